//! What an operator may set, with every bound.

use std::net::SocketAddr;

use hls::id::TrackId;
use hls::time::FrameRate;
use serde::{Deserialize, Serialize};

/// Section `ingest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The RTMP listener.
    pub rtmp: Rtmp,
    /// Packagers to feed; each gets the whole stream. Default one on loopback, port 9602.
    pub packagers: Vec<SocketAddr>,
    /// Text of the slate shown while no encoder is on air. Default "Back in a moment"; at most 200 characters.
    pub slate: String,
    /// Milliseconds without a fresh frame before the slate replaces an encoder's last picture. Default 2000.
    pub hold_ms: u64,
    /// The same after an encoder said goodbye or its connection closed. Default 500.
    pub leave_ms: u64,
    /// Milliseconds of feed kept for a packager that comes back. Default 40000, at least 30000; older cells are
    /// gone and declared as gaps.
    pub replay_ms: u64,
    /// Bytes of feed kept at most. Default 128 MiB; at the limit the oldest GOP goes first.
    pub replay_bytes_max: usize,
    /// Milliseconds a connected packager may be behind. Default 8000; beyond it whole GOPs are dropped and
    /// declared as gaps.
    pub behind_ms_max: u64,
    /// Milliseconds a write to a packager may take. Default 5000; then the connection is made anew.
    pub feed_write_ms_max: u64,
    /// Milliseconds from connecting to the packager's first wish. Default 5000; then the connection is made anew.
    pub feed_hello_ms_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rtmp: Rtmp::default(),
            packagers: vec![SocketAddr::from(([127, 0, 0, 1], 9602))],
            slate: "Back in a moment".to_owned(),
            hold_ms: 2_000,
            leave_ms: 500,
            replay_ms: 40_000,
            replay_bytes_max: 128 << 20,
            behind_ms_max: 8_000,
            feed_write_ms_max: 5_000,
            feed_hello_ms_max: 5_000,
        }
    }
}

impl Config {
    /// All mistakes, each naming its key; empty where the section can be used.
    pub fn validate(&self) -> Vec<String> {
        let mut wrong = self.rtmp.validate();
        if self.packagers.is_empty() {
            wrong.push("ingest.packagers: at least one address is needed".to_owned());
        }
        if self.packagers.len() > 16 {
            wrong.push("ingest.packagers: at most 16 addresses".to_owned());
        }
        if self.slate.chars().count() > 200 {
            wrong.push("ingest.slate: at most 200 characters".to_owned());
        }
        let ranges = [
            ("hold_ms", self.hold_ms, 100, 60_000),
            ("leave_ms", self.leave_ms, 0, 60_000),
            ("replay_ms", self.replay_ms, 30_000, 600_000),
            ("replay_bytes_max", self.replay_bytes_max as u64, 1 << 20, 8 << 30),
            ("behind_ms_max", self.behind_ms_max, 1_000, 60_000),
            ("feed_write_ms_max", self.feed_write_ms_max, 100, 60_000),
            ("feed_hello_ms_max", self.feed_hello_ms_max, 100, 60_000),
        ];
        wrong.extend(out_of_range("ingest", &ranges));
        wrong
    }
}

/// Section `ingest.rtmp`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rtmp {
    /// Where encoders connect. Default 0.0.0.0:1935.
    pub listen: SocketAddr,
    /// Connections at a time. Default 64; one more is closed at once and counted.
    pub connections_max: usize,
    /// Milliseconds a write to an encoder may take. Default 5000; then it is closed.
    pub write_ms_max: u64,
    /// Milliseconds without a byte from an accepted encoder. Default 15000; then it is closed, so that a half-open
    /// connection does not pass for one.
    pub idle_ms_max: u64,
    /// Milliseconds without a whole frame of picture or sound from an accepted encoder, whatever else it sends.
    /// Default 15000; then it is closed, so that one which stopped in mid-frame does not keep a place.
    pub media_idle_ms_max: u64,
}

impl Default for Rtmp {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 1935)),
            connections_max: 64,
            write_ms_max: 5_000,
            idle_ms_max: 15_000,
            media_idle_ms_max: 15_000,
        }
    }
}

impl Rtmp {
    fn validate(&self) -> Vec<String> {
        let ranges = [
            ("connections_max", self.connections_max as u64, 1, 10_000),
            ("write_ms_max", self.write_ms_max, 100, 60_000),
            ("idle_ms_max", self.idle_ms_max, 1_000, 600_000),
            ("media_idle_ms_max", self.media_idle_ms_max, 1_000, 600_000),
        ];
        out_of_range("ingest.rtmp", &ranges)
    }
}

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
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            rungs: None,
            frame_rate: Rate::default(),
            audio_bitrate_kbps: 128,
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
        for (at, rung) in rungs.iter().enumerate() {
            wrong.extend(rung.validate(at));
            if rungs.iter().take(at).any(|other| other.name == rung.name) {
                wrong.push(format!("ladder.rungs[{at}].name: `{}` is used twice", rung.name));
            }
        }
        let ranges = [("audio_bitrate_kbps", u64::from(self.audio_bitrate_kbps), 32, 320)];
        wrong.extend(out_of_range("ladder", &ranges));
        wrong
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
    /// x264 preset; absent = superfast, or veryfast on more than four cores.
    #[serde(default)]
    pub preset: Option<Preset>,
}

impl Rung {
    fn validate(&self, at: usize) -> Vec<String> {
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
        if self.name.as_str() == crate::ladder::AUDIO {
            wrong.push(format!("{section}.name: `audio` is the audio track's"));
        }
        wrong
    }
}

/// How much work x264 spends on a frame.
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
    /// x264's own default.
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

fn out_of_range(section: &str, ranges: &[(&str, u64, u64, u64)]) -> Vec<String> {
    ranges
        .iter()
        .filter(|(_, value, low, high)| !(low..=high).contains(&value))
        .map(|(key, value, low, high)| format!("{section}.{key}: {value} is not between {low} and {high}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Vec::<String>::new());
        assert_eq!(Ladder::default().validate(), Vec::<String>::new());
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let config = Config {
            packagers: Vec::new(),
            hold_ms: 1,
            rtmp: Rtmp {
                connections_max: 0,
                media_idle_ms_max: 0,
                ..Rtmp::default()
            },
            ..Config::default()
        };
        let wrong = config.validate();
        for key in [
            "ingest.packagers",
            "ingest.hold_ms",
            "ingest.rtmp.connections_max",
            "ingest.rtmp.media_idle_ms_max",
        ] {
            assert!(wrong.iter().any(|w| w.starts_with(key)), "{key} not in {wrong:?}");
        }
        let rung = Rung {
            name: TrackId::new("audio").unwrap(),
            width: 641,
            height: 360,
            bitrate_kbps: 1,
            preset: None,
        };
        let ladder = Ladder {
            rungs: Some(vec![rung.clone(), rung]),
            ..Ladder::default()
        };
        let wrong = ladder.validate();
        for part in ["even", "bitrate_kbps", "used twice", "audio track"] {
            assert!(wrong.iter().any(|w| w.contains(part)), "{part} not in {wrong:?}");
        }
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
