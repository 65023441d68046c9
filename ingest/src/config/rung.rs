//! Section `ladder.rungs`: what each rung is, and what makes it.

use hls::id::TrackId;
use serde::{Deserialize, Serialize};

use super::out_of_range;

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
    pub(super) fn makes(self, codec: Codec) -> bool {
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
    pub(super) fn validate(&self, at: usize, default: Encoder) -> Vec<String> {
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
