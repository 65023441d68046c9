//! Section `ladder`: rungs, audio renditions, frame rate.

use std::time::Duration;

use feed::message::{CAPTIONS_MAX, is_channel};
use hls::id::{StreamId, TrackId};
use hls::time::{FrameRate, Grid};
use serde::{Deserialize, Serialize};

use super::out_of_range;
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

/// What encodes a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoder {
    /// Whatever works, hardware first.
    #[default]
    Auto,
    /// x264, else openh264; x265; libaom.
    Software,
    /// NVIDIA.
    Nvenc,
    /// VA-API.
    Va,
    /// Intel Quick Sync.
    Qsv,
    /// Video4Linux memory to memory.
    V4l2,
    /// x264 alone.
    X264,
    /// openh264 alone.
    Openh264,
    /// x265 alone.
    X265,
    /// libaom alone.
    Aom,
}

impl Encoder {
    /// Whether any of it makes rungs of `codec`.
    fn makes(self, codec: Codec) -> bool {
        match self {
            Self::Auto | Self::Software | Self::Nvenc | Self::Va | Self::Qsv => true,
            Self::V4l2 => codec != Codec::Av1,
            Self::X264 | Self::Openh264 => codec == Codec::H264,
            Self::X265 => codec == Codec::Hevc,
            Self::Aom => codec == Codec::Av1,
        }
    }
}

/// How a rung is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// What every player decodes.
    #[default]
    H264,
    /// Apple's players, and browsers on hardware that decodes it.
    Hevc,
    /// Browsers, and newer hardware.
    Av1,
}

impl Codec {
    /// As the config spells it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Hevc => "hevc",
            Self::Av1 => "av1",
        }
    }
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

/// One video encoder of the ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// Track id in URLs, for example "360p". "audio" is taken.
    pub name: TrackId,
    /// Pixels, even, 64 to 3840.
    pub width: u32,
    /// Pixels, even, 64 to 2160.
    pub height: u32,
    /// Kilobits per second the encoder aims at, 50 to 50000. Peaks are bounded by a 600 ms buffer.
    pub bitrate_kbps: u32,
    /// "h264", "hevc" or "av1"; absent = "h264", which at least one rung has to be.
    #[serde(default)]
    pub codec: Codec,
    /// Preset of x264 and x265, and how hard libaom tries; absent = superfast, or veryfast on more than four cores.
    #[serde(default)]
    pub preset: Option<Preset>,
    /// Absent = as `ladder.encoder`.
    #[serde(default)]
    pub encoder: Option<Encoder>,
}

impl Rung {
    fn validate(&self, at: usize, default: Encoder) -> Vec<String> {
        let section = format!("ladder.rungs[{at}]");
        let ranges = [
            ("width", u64::from(self.width), 64, 3_840),
            ("height", u64::from(self.height), 64, 2_160),
            ("bitrate_kbps", u64::from(self.bitrate_kbps), 50, 50_000),
        ];
        let mut wrong = out_of_range(&section, &ranges);
        if !(self.width.is_multiple_of(2) && self.height.is_multiple_of(2)) {
            wrong.push(format!("{section}: width and height must be even"));
        }
        let encoder = self.encoder.unwrap_or(default);
        if !encoder.makes(self.codec) {
            let codec = self.codec.as_str();
            wrong.push(format!(
                "{section}.encoder: {encoder:?} makes no {codec}; name one that does"
            ));
        }
        if self.name.as_str() == crate::ladder::AUDIO {
            wrong.push(format!("{section}.name: `audio` is the audio track's"));
        }
        wrong
    }
}

/// One audio rendition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audio {
    /// Track id in URLs, for example "audio" or "comments".
    pub name: TrackId,
    /// RFC 5646 tag, for example "en" or "pt-BR"; absent = not stated.
    #[serde(default)]
    pub language: Option<String>,
    /// What players list it as; absent = its name. At most 100 characters.
    #[serde(default)]
    pub title: Option<String>,
}

impl Audio {
    fn validate(&self, at: usize) -> Vec<String> {
        let section = format!("ladder.audio[{at}]");
        wrong_words(&section, self.language.as_deref(), self.title.as_deref())
    }
}

/// One channel of captions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Captions {
    /// "CC1" to "CC4" or "SERVICE1" to "SERVICE63".
    pub channel: String,
    /// RFC 5646 tag, for example "en"; absent = not stated.
    #[serde(default)]
    pub language: Option<String>,
    /// What players list it as; absent = its channel. At most 100 characters.
    #[serde(default)]
    pub title: Option<String>,
}

fn wrong_words(section: &str, language: Option<&str>, title: Option<&str>) -> Vec<String> {
    let mut wrong = Vec::new();
    let subtag =
        |part: &str| (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric());
    let is_tag = |tag: &&str| tag.len() <= 35 && tag.split('-').all(subtag);
    if language.is_some_and(|tag| !is_tag(&tag)) {
        wrong.push(format!("{section}.language: a tag such as `en` or `pt-BR`"));
    }
    let bad = |title: &str| title.chars().count() > 100 || title.chars().any(|c| c.is_control() || c == '"');
    if title.is_some_and(bad) {
        wrong.push(format!("{section}.title: at most 100 characters, no quotes"));
    }
    wrong
}

/// How much work an encoder in software spends on a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Least work.
    Ultrafast,
    /// Default on up to four cores.
    Superfast,
    /// Default above.
    Veryfast,
    /// More work.
    Faster,
    /// Yet more work.
    Fast,
    /// x264's and x265's own default.
    Medium,
}

impl Preset {
    /// As x264 spells it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ultrafast => "ultrafast",
            Self::Superfast => "superfast",
            Self::Veryfast => "veryfast",
            Self::Faster => "faster",
            Self::Fast => "fast",
            Self::Medium => "medium",
        }
    }

    /// As libaom counts it in its real-time mode: more is less work.
    pub(crate) fn cpu_used(self) -> u8 {
        match self {
            Self::Ultrafast | Self::Superfast => 10,
            Self::Veryfast => 9,
            Self::Faster => 8,
            Self::Fast => 7,
            Self::Medium => 6,
        }
    }
}

/// A frame rate as people write it: `30` or `30000/1001`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RateText", into = "String")]
pub struct Rate(pub FrameRate);

impl Default for Rate {
    fn default() -> Self {
        Self(FrameRate::new(30, 1).expect("30/1 is between 1 and 240"))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RateText {
    Number(u32),
    Text(String),
}

impl TryFrom<RateText> for Rate {
    type Error = String;

    fn try_from(text: RateText) -> Result<Self, String> {
        let (num, den) = match &text {
            RateText::Number(n) => (Some(*n), Some(1)),
            RateText::Text(text) => {
                let (num, den) = text.split_once('/').unwrap_or((text, "1"));
                (num.trim().parse().ok(), den.trim().parse().ok())
            }
        };
        let (Some(num), Some(den)) = (num, den) else {
            return Err("a frame rate is written `30` or `30000/1001`".to_owned());
        };
        FrameRate::new(num, den).map(Self).map_err(|e| e.to_string())
    }
}

impl From<Rate> for String {
    fn from(Rate(rate): Rate) -> Self {
        match rate.den() {
            1 => rate.num().to_string(),
            den => format!("{}/{den}", rate.num()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn rates_are_read_as_people_write_them() {
        let read = |text: &str| Rate::try_from(RateText::Text(text.to_owned()));
        assert_eq!(String::from(read("30").unwrap()), "30");
        assert_eq!(String::from(read("30000/1001").unwrap()), "30000/1001");
        assert_eq!(Rate::try_from(RateText::Number(25)), read("25"));
        for bad in ["", "fast", "0", "30/0", "1/2", "30/1/1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
