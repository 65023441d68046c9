//! `[packager.cmaf]`: which streams other encoders may send, and what these have to look like.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use hls::id::{StreamId, TrackId};
use hls::time::{FrameRate, Grid, Profile};
use serde::{Deserialize, Serialize};

/// Most tracks of one stream.
pub const TRACKS_MAX: usize = 16;
/// Most streams.
const STREAMS_MAX: usize = 64;
/// Most keys of one stream.
const KEYS_MAX: usize = 8;

/// CMAF from other encoders, by HTTP POST or PUT.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cmaf {
    /// Address for encoders. Default: none, and nothing is listened on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Connections at once. Default 64; further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// Seconds a body may stand still before it is refused with 408, and a stream nobody sends is held against feeds.
    /// Default 15.
    pub idle_s: u64,
    /// How long a track that is behind is waited for, milliseconds. Default 4000; then its parts are GAP. Encoders that
    /// send whole segments need more than a segment.
    pub late_ms: u64,
    /// Streams that may be sent.
    pub streams: Vec<Stream>,
}

impl Default for Cmaf {
    fn default() -> Self {
        Self {
            listen: None,
            connections_max: 64,
            idle_s: 15,
            late_ms: 4_000,
            streams: Vec::new(),
        }
    }
}

/// A stream that may be sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Its name.
    pub id: StreamId,
    /// SHA-256 of each key that may send it, hexadecimal: `printf %s KEY | sha256sum`.
    pub keys_sha256: Vec<KeyHash>,
    /// Pictures in a second of every rung: `30`, `30000/1001`.
    pub frame_rate: Rate,
    /// How long parts, GOPs and segments are. Default `low`.
    #[serde(default)]
    pub profile: Profile,
    /// Its tracks. The stream begins when all of them are sent.
    pub tracks: Vec<Track>,
}

/// A track that has to be sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Track {
    /// Its name.
    pub id: TrackId,
    /// Average bit rate for the multivariant playlist. Default: what the init segment says (`btrt`, `esds`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitrate_kbps: Option<u32>,
}

/// Frames a second, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate(pub FrameRate);

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (num, den) = text.split_once('/').unwrap_or((&text, "1"));
        let numbers = num.parse().ok().zip(den.parse().ok());
        let rate = numbers.and_then(|(num, den)| FrameRate::new(num, den).ok());
        rate.map(Self)
            .ok_or_else(|| format!("not a frame rate: `{text}` (want `30` or `30000/1001`)"))
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

/// SHA-256 of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyHash(pub [u8; 32]);

impl TryFrom<String> for KeyHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // The text may be a key that was put here by mistake, so it is not shown.
        let wrong = || "not a SHA-256: want 64 hexadecimal digits".to_owned();
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let byte = |pair: &[u8; 2]| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16)
                .ok()
                .filter(|_| !pair.starts_with('+'))
        };
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        let hash = bytes
            .filter(|_| rest.is_empty())
            .and_then(|bytes| bytes.try_into().ok());
        hash.map(Self).ok_or_else(wrong)
    }
}

impl From<KeyHash> for String {
    fn from(KeyHash(hash): KeyHash) -> Self {
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Cmaf {
    pub(crate) fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_s)
    }

    pub(crate) fn late(&self) -> Duration {
        Duration::from_millis(self.late_ms)
    }

    /// Every mistake in the section.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut want = |good: bool, text: &str| {
            if !good {
                mistakes.push(format!("packager.cmaf.{text}"));
            }
        };
        want(self.connections_max > 0, "connections_max must be at least 1");
        want((1..=600).contains(&self.idle_s), "idle_s must be 1 to 600");
        want(
            (500..=30_000).contains(&self.late_ms),
            "late_ms must be 500 to 30000",
        );
        want(self.streams.len() <= STREAMS_MAX, "streams: at most 64");
        let ids: BTreeSet<_> = self.streams.iter().map(|stream| &stream.id).collect();
        want(ids.len() == self.streams.len(), "streams: an id is there twice");
        for stream in &self.streams {
            let mut want = |good: bool, text: &str| want(good, &format!("streams: {}: {text}", stream.id));
            let tracks: BTreeSet<_> = stream.tracks.iter().map(|track| &track.id).collect();
            want(tracks.len() == stream.tracks.len(), "a track is there twice");
            want(
                (1..=TRACKS_MAX).contains(&stream.tracks.len()),
                "`tracks` must be 1 to 16",
            );
            want(
                (1..=KEYS_MAX).contains(&stream.keys_sha256.len()),
                "`keys_sha256` must be 1 to 8",
            );
            let grid = Grid::of(stream.profile, stream.frame_rate.0, 48_000);
            want(grid.is_ok(), "`frame_rate` and `profile` make no grid");
        }
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(id: &str, tracks: &[&str]) -> Stream {
        let track = |id: &&str| Track {
            id: TrackId::new(id).unwrap(),
            bitrate_kbps: None,
        };
        Stream {
            id: StreamId::new(id).unwrap(),
            keys_sha256: vec![KeyHash([7; 32])],
            frame_rate: Rate::try_from("30".to_owned()).unwrap(),
            profile: Profile::Low,
            tracks: tracks.iter().map(track).collect(),
        }
    }

    #[test]
    fn every_mistake_is_named() {
        let good = Cmaf {
            streams: vec![stream("main", &["a", "b"])],
            ..Cmaf::default()
        };
        assert_eq!(good.mistakes(), Vec::<String>::new());
        let mut bad = Cmaf {
            connections_max: 0,
            idle_s: 0,
            late_ms: 0,
            streams: vec![stream("main", &["a", "a"]), stream("main", &[])],
            ..Cmaf::default()
        };
        bad.streams[0].keys_sha256.clear();
        assert_eq!(bad.mistakes().len(), 7, "{:?}", bad.mistakes());
    }

    #[test]
    fn rates_and_hashes_are_written_as_they_are_read() {
        for text in ["30", "30000/1001"] {
            assert_eq!(String::from(Rate::try_from(text.to_owned()).unwrap()), text);
        }
        assert!(Rate::try_from("fast".to_owned()).is_err());
        let hash = "0a".repeat(32);
        assert_eq!(String::from(KeyHash::try_from(hash.clone()).unwrap()), hash);
        for bad in ["secret", &hash[2..], &"+a".repeat(32)] {
            let refused = KeyHash::try_from(bad.to_owned()).unwrap_err();
            assert!(!refused.contains(bad));
        }
    }
}
