//! Section `ladder`: rungs, audio renditions, frame rate.

use std::time::Duration;

use feed::message::{CAPTIONS_MAX, is_channel};
use hls::id::StreamId;
use hls::time::Grid;
use serde::{Deserialize, Serialize};

use super::out_of_range;
use super::rate::Rate;
use super::renditions::{Audio, Captions, wrong_words};
use super::rung::{Codec, Encoder, Rung};
use crate::shed;

/// Audio renditions of a stream.
const AUDIO_MAX: usize = 8;
/// Streams that are named.
const PASSTHROUGH_MAX: usize = 64;

/// Section `ladder`: the stream's own shape, fixed for its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ladder {
    /// Video rungs; absent = 640x360 + 426x240 on two cores or fewer, 1280x720 + 854x480 + 640x360 above. At most 8.
    pub rungs: Option<Vec<Rung>>,
    /// Output frames per second, "30" or "30000/1001". Default "30".
    pub frame_rate: Rate,
    /// Audio bit rate, kilobits per second, AAC-LC 48 kHz stereo. Default 128; 32 to 320.
    pub audio_bitrate_kbps: u32,
    /// Audio renditions; the n-th carries the n-th audio track of an encoder. Absent = one, called "audio". At
    /// most 8.
    pub audio: Option<Vec<Audio>>,
    /// Captions that encoders bring in their picture, CEA-608 or CEA-708; one entry for each channel players may
    /// show. Absent = none, and what comes is taken out. At most 16.
    pub captions: Option<Vec<Captions>>,
    /// What encodes: "auto" (nvenc, va, qsv, v4l2, then software), "software" (x264, then openh264; x265; libaom), or
    /// one of "nvenc", "va", "qsv", "v4l2", "x264", "openh264", "x265", "aom". The first that passes a trial at start
    /// is used; a kind that is named and does not work is an error. Default "auto".
    pub encoder: Encoder,
    /// Streams whose encoder is passed through undecoded while it sends exactly this ladder: a track for each rung, of
    /// its size, at `frame_rate`, without B-frames, with key frames where segments start, and AAC of 48 kHz. Anything
    /// else is transcoded. Rungs are of H.264 then. Default none; at most 64.
    pub passthrough: Vec<StreamId>,
    /// What is done where a stream is created on a machine that encodes its ladder slower than real time, as a probe of
    /// half a second shows: "warn", "refuse" (the stream does not start), or "off" (no probe). Default "warn".
    pub probe: Probe,
    /// What goes when the encoders are slower than real time: "top" (rungs are no longer encoded, those of HEVC and AV1
    /// before those of H.264, largest first, the last one never; their cells are declared as gaps) or "off" (the whole
    /// stream lags). Default "top".
    pub shed: ShedPolicy,
    /// Milliseconds of media that may wait in a rung, at most two fifths of PART-HOLD-BACK, which players have in hand.
    /// Default 600; 200 to 1500; where more waits and does not shrink for 250 ms, a rung is shed. Each rung but the last
    /// may hold so many raw frames.
    pub shed_behind_ms: u64,
    /// Milliseconds the remaining rungs must have been healthy before a shed one returns, at the start of a GOP.
    /// Default 10000; doubled each time a rung is shed within 60 s of its return.
    pub shed_return_ms: u64,
    /// Milliseconds the doubling ends at. Default 300000.
    pub shed_return_ms_max: u64,
    /// Least real-time factor of a healthy rung, percent. Default 120.
    pub shed_factor_percent: u32,
}

/// What is done about a ladder that the machine cannot carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// It is said aloud.
    #[default]
    Warn,
    /// The stream does not start.
    Refuse,
    /// Nobody looks.
    Off,
}

/// What is done about encoders slower than real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShedPolicy {
    /// The largest rungs go.
    #[default]
    Top,
    /// Nothing; the stream lags.
    Off,
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            rungs: None,
            frame_rate: Rate::default(),
            audio_bitrate_kbps: 128,
            audio: None,
            captions: None,
            encoder: Encoder::default(),
            passthrough: Vec::new(),
            probe: Probe::default(),
            shed: ShedPolicy::default(),
            shed_behind_ms: 600,
            shed_return_ms: 10_000,
            shed_return_ms_max: 300_000,
            shed_factor_percent: 120,
        }
    }
}

impl Ladder {
    /// All mistakes, each naming its key; empty where the section can be used.
    pub fn validate(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let rungs = self.rungs.as_deref().unwrap_or_default();
        if self.rungs.is_some() && !(1..=8).contains(&rungs.len()) {
            wrong.push("ladder.rungs: 1 to 8 rungs".to_owned());
        }
        if !rungs.is_empty() && !rungs.iter().any(|rung| rung.codec == Codec::H264) {
            wrong.push("ladder.rungs: at least one of codec `h264`, which every player decodes".to_owned());
        }
        for (at, rung) in rungs.iter().enumerate() {
            wrong.extend(rung.validate(at, self.encoder));
            if rungs.iter().take(at).any(|other| other.name == rung.name) {
                wrong.push(format!("ladder.rungs[{at}].name: `{}` is used twice", rung.name));
            }
        }
        let audio = self.audio.as_deref().unwrap_or_default();
        if self.audio.is_some() && !(1..=AUDIO_MAX).contains(&audio.len()) {
            wrong.push(format!("ladder.audio: 1 to {AUDIO_MAX} renditions"));
        }
        for (at, sound) in audio.iter().enumerate() {
            wrong.extend(sound.validate(at));
            let mut names = rungs.iter().map(|rung| &rung.name);
            let twice = audio.iter().take(at).any(|other| other.name == sound.name);
            if twice || names.any(|name| *name == sound.name) {
                wrong.push(format!("ladder.audio[{at}].name: `{}` is used twice", sound.name));
            }
        }
        if !self.passthrough.is_empty() && rungs.iter().any(|rung| rung.codec != Codec::H264) {
            wrong.push("ladder.passthrough: only where all rungs are of H.264".to_owned());
        }
        if self.passthrough.len() > PASSTHROUGH_MAX {
            wrong.push(format!("ladder.passthrough: at most {PASSTHROUGH_MAX} streams"));
        }
        wrong.extend(self.wrong_captions());
        let ranges = [
            ("audio_bitrate_kbps", u64::from(self.audio_bitrate_kbps), 32, 320),
            ("shed_behind_ms", self.shed_behind_ms, 200, 1_500),
            ("shed_return_ms", self.shed_return_ms, 1_000, 600_000),
            ("shed_return_ms_max", self.shed_return_ms_max, 1_000, 3_600_000),
            (
                "shed_factor_percent",
                u64::from(self.shed_factor_percent),
                100,
                1_000,
            ),
        ];
        wrong.extend(out_of_range("ladder", &ranges));
        wrong
    }

    fn wrong_captions(&self) -> Vec<String> {
        let captions = self.captions.as_deref().unwrap_or_default();
        let mut wrong = Vec::new();
        if self.captions.is_some() && !(1..=CAPTIONS_MAX).contains(&captions.len()) {
            wrong.push(format!("ladder.captions: 1 to {CAPTIONS_MAX} channels"));
        }
        for (at, one) in captions.iter().enumerate() {
            let section = format!("ladder.captions[{at}]");
            if !is_channel(&one.channel) {
                wrong.push(format!("{section}.channel: CC1 to CC4 or SERVICE1 to SERVICE63"));
            }
            if captions.iter().take(at).any(|other| other.channel == one.channel) {
                wrong.push(format!("{section}.channel: `{}` is used twice", one.channel));
            }
            wrong.extend(wrong_words(
                &section,
                one.language.as_deref(),
                one.title.as_deref(),
            ));
        }
        wrong
    }

    pub(crate) fn shed_rules(&self, grid: &Grid) -> Option<shed::Rules> {
        (self.shed == ShedPolicy::Top).then(|| shed::Rules {
            behind: Duration::from_millis(self.shed_behind_ms).min(grid.part_hold_back() * 2 / 5),
            healthy: Duration::from_millis(self.shed_return_ms),
            healthy_max: Duration::from_millis(self.shed_return_ms_max),
            factor_min: f64::from(self.shed_factor_percent) / 100.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hls::id::TrackId;

    #[test]
    fn players_without_hevc_and_av1_always_have_a_rung() {
        let rung = |name: &str, codec, encoder| Rung {
            name: TrackId::new(name).unwrap(),
            width: 320,
            height: 180,
            bitrate_kbps: 200,
            codec,
            preset: None,
            encoder,
        };
        let (h264, hevc, av1) = (
            rung("180p", Codec::H264, None),
            rung("180p-hevc", Codec::Hevc, None),
            rung("180p-av1", Codec::Av1, None),
        );
        let wrong = |encoder, rungs: &[&Rung]| {
            let rungs = Some(rungs.iter().copied().cloned().collect());
            Ladder {
                encoder,
                rungs,
                ..Ladder::default()
            }
            .validate()
        };
        for encoder in [Encoder::Auto, Encoder::Software, Encoder::Nvenc] {
            assert_eq!(wrong(encoder, &[&av1, &hevc, &h264]), [""; 0], "{encoder:?}");
        }
        let none = wrong(Encoder::Auto, &[&hevc, &av1]);
        assert!(
            none.len() == 1 && none[0].contains("at least one of codec `h264`"),
            "{none:?}"
        );
        let all = wrong(Encoder::X264, &[&h264, &hevc, &av1]);
        let expected = [
            "ladder.rungs[1].encoder: X264 makes no hevc; name one that does",
            "ladder.rungs[2].encoder: X264 makes no av1; name one that does",
        ];
        assert_eq!(all, expected);
        let (x265, aom) = (
            rung("a", Codec::Hevc, Some(Encoder::X265)),
            rung("b", Codec::Av1, Some(Encoder::Aom)),
        );
        assert_eq!(wrong(Encoder::X264, &[&h264, &x265, &aom]), [""; 0]);
    }
}
