//! Every number this service shows, and its labels.
#![expect(
    clippy::disallowed_macros,
    reason = "the one place where this service declares its metrics"
)]

use std::time::Duration;

use hls::id::{StreamId, TrackId};
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

use crate::desk::Role;
use crate::onair::Shown;
use crate::report::Output;

/// What the switcher shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The built-in test picture: no encoder has ever been on.
    Test,
    /// An encoder's fresh picture.
    Contribution,
    /// An encoder's last picture.
    Hold,
    /// The slate.
    Slate,
    /// The slate with an encoder's sound: its picture is missing.
    Voice,
}

impl Source {
    /// Whether an encoder's sound goes with it.
    pub(crate) fn is_encoder(self) -> bool {
        matches!(self, Self::Contribution | Self::Hold | Self::Voice)
    }

    /// As labels and reports have it.
    pub(crate) fn as_str(self) -> &'static str {
        let named = SOURCES.iter().find(|(source, _)| *source == self);
        named.map_or("test", |(_, name)| name)
    }
}

const SOURCES: [(Source, &str); 5] = [
    (Source::Test, "test"),
    (Source::Contribution, "contribution"),
    (Source::Hold, "hold"),
    (Source::Slate, "slate"),
    (Source::Voice, "voice"),
];

/// Handles of one stream.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Seconds from a tick's due time to its start.
    pub(crate) tick_late: Histogram,
    /// Ticks that started more than half a frame late.
    pub(crate) ticks_late: Counter,
    /// Output frames that showed an encoder's picture once more.
    pub(crate) frames_repeated: Counter,
    /// Decoded frames that were never shown.
    pub(crate) frames_dropped: Counter,
    /// Access units thrown away because a decoder was behind.
    pub(crate) units_dropped: Counter,
    /// Jumps of encoders' time stamps that were put right.
    pub(crate) stamps_jumped: Counter,
    /// Pictures sent to packagers.
    pub(crate) thumbnails_sent: Counter,
    /// Pictures that gave way to newer ones because media had to be sent.
    pub(crate) thumbnails_dropped: Counter,
    /// Pictures too large to be sent.
    pub(crate) thumbnails_unfit: Counter,
    /// Cues sent on to packagers.
    pub(crate) cues_sent: Counter,
    /// Cues that said what was known.
    pub(crate) cues_repeated: Counter,
    /// Cues of an encoder that was not on air at their time.
    pub(crate) cues_off_air: Counter,
    /// Cues without a place in the programme, or over a bound.
    pub(crate) cues_lost: Counter,
    /// Orders of operators over a bound.
    pub(crate) cues_refused: Counter,
    /// Captions that could not be shown in time, triples of cc_data.
    pub(crate) captions_lost: Counter,
    /// Samples of silence filled in while an encoder was on air.
    pub(crate) audio_missing: Counter,
    /// Raw frames waiting for the encoders.
    pub(crate) ladder_queue: Gauge,
    /// Access units waiting for a contribution's decoder.
    pub(crate) decode_queue: Gauge,
    /// Bytes kept for packagers that come back.
    pub(crate) replay_bytes: Gauge,
    /// Packagers that are fed.
    pub(crate) feed_connections: Gauge,
    /// Connections to packagers that ended.
    pub(crate) feed_lost: Counter,
    /// Cells of a track declared missing to a packager.
    pub(crate) feed_gaps: Counter,
    /// Encoders that were let in.
    pub(crate) publishes: Counter,
    /// Ladders that failed and were begun anew.
    pub(crate) ladders_lost: Counter,
    /// Multiple of real time at which the ladder was encoded when the stream was created.
    pub(crate) probe_factor: Gauge,
    /// Times an encoder was passed through.
    pub(crate) passages: Counter,
    /// Encoders closed because a newer one came with the same key.
    pub(crate) takeovers: Counter,
    /// Ticks that were not watched because the watch was behind.
    pub(crate) unwatched: Counter,
    /// Momentary, short-term, integrated.
    loudness: [Gauge; 3],
    black: Gauge,
    freeze: Gauge,
    silence: Gauge,
    on_air: [Gauge; 5],
    role: [Gauge; 2],
}

impl Metrics {
    pub(crate) fn new(stream: &StreamId) -> Self {
        describe();
        let id = || stream.as_str().to_owned();
        let cues = |outcome| counter!("ringside_ingest_cues_total", "stream" => id(), "outcome" => outcome);
        let thumbnails =
            |outcome| counter!("ringside_ingest_thumbnails_total", "stream" => id(), "outcome" => outcome);
        Self {
            thumbnails_sent: thumbnails("sent"),
            thumbnails_dropped: thumbnails("dropped"),
            thumbnails_unfit: thumbnails("unfit"),
            captions_lost: counter!("ringside_ingest_captions_lost_total", "stream" => id()),
            cues_sent: cues("sent"),
            cues_repeated: cues("repeated"),
            cues_off_air: cues("off_air"),
            cues_lost: cues("lost"),
            cues_refused: cues("refused"),
            tick_late: histogram!("ringside_ingest_tick_late_seconds", "stream" => id()),
            ticks_late: counter!("ringside_ingest_ticks_late_total", "stream" => id()),
            frames_repeated: counter!("ringside_ingest_frames_repeated_total", "stream" => id()),
            frames_dropped: counter!("ringside_ingest_frames_dropped_total", "stream" => id()),
            units_dropped: counter!("ringside_ingest_units_dropped_total", "stream" => id()),
            stamps_jumped: counter!("ringside_ingest_stamps_jumped_total", "stream" => id()),
            audio_missing: counter!("ringside_ingest_audio_missing_samples_total", "stream" => id()),
            ladder_queue: gauge!("ringside_ingest_queue_depth", "stream" => id(), "queue" => "ladder"),
            decode_queue: gauge!("ringside_ingest_queue_depth", "stream" => id(), "queue" => "decode"),
            replay_bytes: gauge!("ringside_ingest_replay_bytes", "stream" => id()),
            feed_connections: gauge!("ringside_ingest_feed_connections", "stream" => id()),
            feed_lost: counter!("ringside_ingest_feed_lost_total", "stream" => id()),
            feed_gaps: counter!("ringside_ingest_feed_gap_cells_total", "stream" => id()),
            publishes: counter!("ringside_ingest_publishes_total", "stream" => id()),
            takeovers: counter!("ringside_ingest_takeovers_total", "stream" => id()),
            probe_factor: gauge!("ringside_ingest_probe_factor", "stream" => id()),
            passages: counter!("ringside_ingest_passages_total", "stream" => id()),
            ladders_lost: counter!("ringside_ingest_ladders_lost_total", "stream" => id()),
            unwatched: counter!("ringside_ingest_unwatched_ticks_total", "stream" => id()),
            loudness: ["momentary", "short_term", "integrated"]
                .map(|kind| gauge!("ringside_ingest_loudness_lufs", "stream" => id(), "kind" => kind)),
            black: gauge!("ringside_ingest_black_seconds", "stream" => id()),
            freeze: gauge!("ringside_ingest_freeze_seconds", "stream" => id()),
            silence: gauge!("ringside_ingest_silence_seconds", "stream" => id()),
            on_air: SOURCES
                .map(|(_, name)| gauge!("ringside_ingest_on_air", "stream" => id(), "source" => name)),
            role: Role::ALL
                .map(|role| gauge!("ringside_ingest_on_air_role", "stream" => id(), "role" => role.as_str())),
        }
    }

    /// Shows what goes out.
    pub(crate) fn watch(&self, output: &Output) {
        let lufs = [
            output.momentary_lufs,
            output.short_term_lufs,
            output.integrated_lufs,
        ];
        for (gauge, lufs) in self.loudness.iter().zip(lufs) {
            // -70 LUFS is R 128's own gate: what is below it has no loudness.
            gauge.set(lufs.unwrap_or(-70.0));
        }
        self.black.set(output.black_seconds);
        self.freeze.set(output.freeze_seconds);
        self.silence.set(output.silence_seconds);
    }

    /// Marks the one source that is shown, and whose it is.
    pub(crate) fn show(&self, shown: Shown) {
        for ((source, _), gauge) in SOURCES.iter().zip(&self.on_air) {
            gauge.set(if *source == shown.source { 1.0 } else { 0.0 });
        }
        for (role, gauge) in Role::ALL.iter().zip(&self.role) {
            let on = *role == shown.role && shown.source.is_encoder();
            gauge.set(if on { 1.0 } else { 0.0 });
        }
    }
}

/// How encoders connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Rtmp,
    Rtmps,
    Srt,
}

impl Protocol {
    /// As labels and reports have it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::Rtmps => "rtmps",
            Self::Srt => "srt",
        }
    }
}

/// Handles of the keys file.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// Keys of the file that open something.
    pub(crate) keys: Gauge,
    /// Changes of the file that are in force.
    pub(crate) reloads: Counter,
    /// Changes of the file that could not be used.
    pub(crate) reloads_failed: Counter,
    /// Encoders closed because their key was revoked.
    pub(crate) disconnected: Counter,
}

impl Keys {
    pub(crate) fn new() -> Self {
        describe();
        Self {
            keys: gauge!("ringside_ingest_keys"),
            reloads: counter!("ringside_ingest_keys_reloads_total"),
            reloads_failed: counter!("ringside_ingest_keys_reload_failed_total"),
            disconnected: counter!("ringside_ingest_keys_disconnected_total"),
        }
    }
}

/// What came of a call to the publish hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HookOutcome {
    Allowed,
    Refused,
    /// A status that is neither yes nor no.
    Status,
    Timeout,
    Error,
}

const HOOK_OUTCOMES: [(HookOutcome, &str); 5] = [
    (HookOutcome::Allowed, "allowed"),
    (HookOutcome::Refused, "refused"),
    (HookOutcome::Status, "status"),
    (HookOutcome::Timeout, "timeout"),
    (HookOutcome::Error, "error"),
];

/// Handles of the publish hook.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    publish: [Counter; 5],
    unpublish: [Counter; 5],
    seconds: Histogram,
    /// Publishers that left and were not told of, since too many waited.
    pub(crate) dropped: Counter,
}

impl Hook {
    pub(crate) fn new() -> Self {
        describe();
        let calls = |event: &'static str| {
            HOOK_OUTCOMES.map(|(_, outcome)| {
                counter!("ringside_ingest_hook_calls_total", "event" => event, "outcome" => outcome)
            })
        };
        Self {
            publish: calls("publish"),
            unpublish: calls("unpublish"),
            seconds: histogram!("ringside_ingest_hook_seconds"),
            dropped: counter!("ringside_ingest_hook_dropped_total"),
        }
    }

    /// A call is over.
    pub(crate) fn called(&self, publish: bool, outcome: HookOutcome, took: Duration) {
        let counters = if publish { &self.publish } else { &self.unpublish };
        for ((each, _), counter) in HOOK_OUTCOMES.iter().zip(counters) {
            counter.increment(u64::from(*each == outcome));
        }
        self.seconds.record(took);
    }
}

/// Handles of one listener.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    /// Open connections.
    pub(crate) connections: Gauge,
    /// Encoders refused: unknown or expired key.
    pub(crate) refused_key: Counter,
    /// Connections closed because the table, or an address's share of it, was full.
    pub(crate) refused_full: Counter,
    /// Encoders refused by policy, hook or for want of capacity.
    pub(crate) refused_policy: Counter,
}

impl Listener {
    pub(crate) fn new(protocol: Protocol) -> Self {
        describe();
        let name = protocol.as_str();
        let refused = |cause| counter!("ringside_ingest_refused_total", "protocol" => name, "cause" => cause);
        Self {
            connections: gauge!("ringside_ingest_connections", "protocol" => name),
            refused_key: refused("key"),
            refused_full: refused("full"),
            refused_policy: refused("policy"),
        }
    }
}

/// Handles of one track of the ladder; the label is its id, `audio` included.
#[derive(Debug, Clone)]
pub(crate) struct Rung {
    /// Seconds from a frame's due time to its access unit; none for sound.
    pub(crate) encode: Histogram,
    /// Access units the ladder gave.
    pub(crate) units: Counter,
    /// Access units the ladder should have given and did not.
    pub(crate) units_missing: Counter,
    /// Media time encoded over the encoder's busy time, last 5 s; 0 where nothing was encoded.
    pub(crate) realtime_factor: Gauge,
    /// 1 while the rung is not encoded because the machine is too slow.
    pub(crate) shed: Gauge,
    /// How often it was shed.
    pub(crate) sheds: Counter,
    /// The track's id.
    pub(crate) id: TrackId,
}

impl Rung {
    pub(crate) fn new(stream: &StreamId, track: &TrackId) -> Self {
        let stream = || stream.as_str().to_owned();
        let id = || track.as_str().to_owned();
        Self {
            encode: histogram!("ringside_ingest_encode_seconds", "stream" => stream(), "rung" => id()),
            units: counter!("ringside_ingest_units_total", "stream" => stream(), "rung" => id()),
            units_missing: counter!("ringside_ingest_units_missing_total", "stream" => stream(), "rung" => id()),
            realtime_factor: gauge!("ringside_ingest_rung_realtime_factor", "stream" => stream(), "rung" => id()),
            shed: gauge!("ringside_ingest_rung_shed", "stream" => stream(), "rung" => id()),
            sheds: counter!("ringside_ingest_rung_sheds_total", "stream" => stream(), "rung" => id()),
            id: track.clone(),
        }
    }
}

/// Marks the one of `all` encoders that makes a rung.
pub(crate) fn encoder(stream: &StreamId, rung: &TrackId, chosen: &str, all: &[&'static str]) {
    for name in all {
        let (stream, rung) = (stream.as_str().to_owned(), rung.as_str().to_owned());
        let gauge = gauge!("ringside_ingest_encoder", "stream" => stream, "rung" => rung, "encoder" => *name);
        gauge.set(if *name == chosen { 1.0 } else { 0.0 });
    }
}

fn describe() {
    describe_counter!(
        "ringside_ingest_captions_lost_total",
        "Triples of caption data that came too late or were over a bound"
    );
    describe_counter!(
        "ringside_ingest_cues_total",
        "Cues of encoders and operators, by what became of them"
    );
    describe_counter!(
        "ringside_ingest_thumbnails_total",
        "Pictures for packagers, by what became of them: sent, dropped for media, unfit (over 64 KiB)"
    );
    describe_counter!(
        "ringside_ingest_unwatched_ticks_total",
        "Ticks whose output was not looked at because the watch was behind"
    );
    describe_gauge!(
        "ringside_ingest_loudness_lufs",
        "EBU R 128 loudness of the output, by kind; -70 where there is none"
    );
    describe_gauge!(
        "ringside_ingest_black_seconds",
        "How long the output has been black"
    );
    describe_gauge!(
        "ringside_ingest_freeze_seconds",
        "How long the output has not moved"
    );
    describe_gauge!(
        "ringside_ingest_silence_seconds",
        "How long the output has been below -60 dBFS"
    );
    describe_gauge!(
        "ringside_ingest_encoder",
        "1 for the encoder that makes a rung, by rung and element"
    );
    describe_histogram!(
        "ringside_ingest_tick_late_seconds",
        "Start of a tick after its due time"
    );
    describe_counter!(
        "ringside_ingest_ticks_late_total",
        "Ticks more than half a frame late"
    );
    describe_counter!(
        "ringside_ingest_frames_repeated_total",
        "Output frames that repeated a picture"
    );
    describe_counter!(
        "ringside_ingest_frames_dropped_total",
        "Decoded frames that were never shown"
    );
    describe_counter!(
        "ringside_ingest_units_dropped_total",
        "Access units dropped before decoding"
    );
    describe_counter!(
        "ringside_ingest_stamps_jumped_total",
        "Jumps of encoders' time stamps that were put right"
    );
    describe_counter!(
        "ringside_ingest_audio_missing_samples_total",
        "Samples of silence filled in on air"
    );
    describe_histogram!(
        "ringside_ingest_encode_seconds",
        "A frame's due time to its access unit, by rung"
    );
    describe_counter!(
        "ringside_ingest_units_total",
        "Access units the ladder gave, by rung"
    );
    describe_counter!(
        "ringside_ingest_units_missing_total",
        "Access units the ladder did not give, by rung"
    );
    describe_gauge!(
        "ringside_ingest_rung_realtime_factor",
        "Media time encoded over the encoder's busy time in the last 5 s, by rung; 0 where nothing was encoded"
    );
    describe_gauge!(
        "ringside_ingest_rung_shed",
        "1 while a rung is not encoded because the machine is too slow"
    );
    describe_counter!("ringside_ingest_rung_sheds_total", "Times a rung was shed");
    describe_gauge!("ringside_ingest_queue_depth", "Items waiting, by queue");
    describe_gauge!(
        "ringside_ingest_replay_bytes",
        "Feed kept for packagers that come back"
    );
    describe_gauge!("ringside_ingest_feed_connections", "Packagers that are fed");
    describe_counter!(
        "ringside_ingest_feed_lost_total",
        "Connections to packagers that ended"
    );
    describe_counter!(
        "ringside_ingest_feed_gap_cells_total",
        "Cells declared missing to a packager"
    );
    describe_gauge!("ringside_ingest_connections", "Open connections, by protocol");
    describe_counter!(
        "ringside_ingest_ladders_lost_total",
        "Ladders that failed and were begun anew"
    );
    describe_gauge!(
        "ringside_ingest_probe_factor",
        "Multiple of real time at which the ladder was encoded when the stream was created"
    );
    describe_counter!(
        "ringside_ingest_passages_total",
        "Times an encoder's own pictures became the rungs"
    );
    describe_gauge!(
        "ringside_ingest_on_air_role",
        "1 for the encoder whose picture or sound is shown"
    );
    describe_counter!("ringside_ingest_publishes_total", "Encoders let in");
    describe_counter!("ringside_ingest_refused_total", "Encoders refused, by cause");
    describe_counter!(
        "ringside_ingest_takeovers_total",
        "Encoders replaced by a newer one"
    );
    describe_gauge!("ringside_ingest_keys", "Keys of the file that open something");
    describe_counter!(
        "ringside_ingest_keys_reloads_total",
        "Changes of the keys file that are in force"
    );
    describe_counter!(
        "ringside_ingest_keys_reload_failed_total",
        "Changes of the keys file that could not be used"
    );
    describe_counter!(
        "ringside_ingest_keys_disconnected_total",
        "Encoders closed because their key was revoked"
    );
    describe_counter!(
        "ringside_ingest_hook_calls_total",
        "Calls to the publish hook, by event and outcome"
    );
    describe_histogram!("ringside_ingest_hook_seconds", "A call to the publish hook");
    describe_counter!(
        "ringside_ingest_hook_dropped_total",
        "Publishers that left and were not told of"
    );
    describe_gauge!("ringside_ingest_on_air", "1 for the source that is shown");
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use metrics::{Key, KeyName, Metadata, Recorder, SharedString, Unit};

    /// Writes down what is registered.
    #[derive(Default)]
    struct Register(Mutex<Vec<(String, String)>>);

    impl Register {
        fn note(&self, key: &Key) {
            let labels: Vec<String> = key
                .labels()
                .map(|l| format!("{}={}", l.key(), l.value()))
                .collect();
            let entry = (key.name().to_owned(), labels.join(","));
            self.0.lock().unwrap().push(entry);
        }
    }

    impl Recorder for Register {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            self.note(key);
            Counter::noop()
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            self.note(key);
            Gauge::noop()
        }

        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            self.note(key);
            Histogram::noop()
        }
    }

    #[test]
    fn a_rungs_numbers_carry_its_name_and_nothing_else() {
        let register = Register::default();
        let made = metrics::with_local_recorder(&register, || {
            let stream = StreamId::new("main").unwrap();
            ["360p", "audio"].map(|id| Rung::new(&stream, &TrackId::new(id).unwrap()))
        });
        assert_eq!(made.len(), 2);
        let entries = register.0.lock().unwrap();
        assert_eq!(entries.len(), 12);
        for name in [
            "encode_seconds",
            "units_total",
            "units_missing_total",
            "rung_shed",
        ] {
            let of = |(entry, _): &&(String, String)| *entry == format!("ringside_ingest_{name}");
            let labels: Vec<&str> = entries.iter().filter(of).map(|(_, l)| l.as_str()).collect();
            assert_eq!(
                labels,
                ["stream=main,rung=360p", "stream=main,rung=audio"],
                "{name}"
            );
        }
    }
}
