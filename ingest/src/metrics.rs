//! Every number this service shows, and its labels.
#![expect(
    clippy::disallowed_macros,
    reason = "the one place where this service declares its metrics"
)]

use hls::id::TrackId;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

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
}

const SOURCES: [(Source, &str); 4] = [
    (Source::Test, "test"),
    (Source::Contribution, "contribution"),
    (Source::Hold, "hold"),
    (Source::Slate, "slate"),
];

/// Handles, made once per ingest.
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
    /// Open RTMP connections.
    pub(crate) rtmp_connections: Gauge,
    /// Encoders that were let in.
    pub(crate) publishes: Counter,
    /// Encoders refused for an unknown stream key.
    pub(crate) refused_key: Counter,
    /// Connections closed because the table was full.
    pub(crate) refused_full: Counter,
    /// Encoders closed because a newer one came with the same key.
    pub(crate) takeovers: Counter,
    on_air: [Gauge; 4],
}

impl Metrics {
    pub(crate) fn new() -> Self {
        describe();
        Self {
            tick_late: histogram!("ringside_ingest_tick_late_seconds"),
            ticks_late: counter!("ringside_ingest_ticks_late_total"),
            frames_repeated: counter!("ringside_ingest_frames_repeated_total"),
            frames_dropped: counter!("ringside_ingest_frames_dropped_total"),
            units_dropped: counter!("ringside_ingest_units_dropped_total"),
            audio_missing: counter!("ringside_ingest_audio_missing_samples_total"),
            ladder_queue: gauge!("ringside_ingest_queue_depth", "queue" => "ladder"),
            decode_queue: gauge!("ringside_ingest_queue_depth", "queue" => "decode"),
            replay_bytes: gauge!("ringside_ingest_replay_bytes"),
            feed_connections: gauge!("ringside_ingest_feed_connections"),
            feed_lost: counter!("ringside_ingest_feed_lost_total"),
            feed_gaps: counter!("ringside_ingest_feed_gap_cells_total"),
            rtmp_connections: gauge!("ringside_ingest_rtmp_connections"),
            publishes: counter!("ringside_ingest_publishes_total"),
            refused_key: counter!("ringside_ingest_refused_total", "cause" => "key"),
            refused_full: counter!("ringside_ingest_refused_total", "cause" => "full"),
            takeovers: counter!("ringside_ingest_takeovers_total"),
            on_air: SOURCES.map(|(_, name)| gauge!("ringside_ingest_on_air", "source" => name)),
        }
    }

    /// Marks the one source that is shown.
    pub(crate) fn show(&self, shown: Source) {
        for ((source, _), gauge) in SOURCES.iter().zip(&self.on_air) {
            gauge.set(if *source == shown { 1.0 } else { 0.0 });
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
}

impl Rung {
    pub(crate) fn new(id: &TrackId) -> Self {
        let id = || id.as_str().to_owned();
        Self {
            encode: histogram!("ringside_ingest_encode_seconds", "rung" => id()),
            units: counter!("ringside_ingest_units_total", "rung" => id()),
            units_missing: counter!("ringside_ingest_units_missing_total", "rung" => id()),
        }
    }
}

fn describe() {
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
    describe_gauge!("ringside_ingest_rtmp_connections", "Open RTMP connections");
    describe_counter!("ringside_ingest_publishes_total", "Encoders let in");
    describe_counter!("ringside_ingest_refused_total", "Encoders refused, by cause");
    describe_counter!(
        "ringside_ingest_takeovers_total",
        "Encoders replaced by a newer one"
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
            ["360p", "audio"].map(|id| Rung::new(&TrackId::new(id).unwrap()))
        });
        assert_eq!(made.len(), 2);
        let entries = register.0.lock().unwrap();
        assert_eq!(entries.len(), 6);
        for name in ["encode_seconds", "units_total", "units_missing_total"] {
            let of = |(entry, _): &&(String, String)| *entry == format!("ringside_ingest_{name}");
            let labels: Vec<&str> = entries.iter().filter(of).map(|(_, l)| l.as_str()).collect();
            assert_eq!(labels, ["rung=360p", "rung=audio"], "{name}");
        }
    }
}
