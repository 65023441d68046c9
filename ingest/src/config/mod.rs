//! What an operator may set, with every bound.

mod hook;
mod ladder;
mod listeners;
mod multitrack;
mod rate;
mod renditions;
mod rung;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::desk::{Policy, Rules};
use crate::keys;
use crate::onair::Waits;

pub use hook::{Hook, OnFailure};
pub use ladder::{Ladder, Probe, ShedPolicy};
pub use listeners::{Rtmp, Rtmps, Srt};
pub use multitrack::Multitrack;
pub use rate::Rate;
pub use renditions::{Audio, Captions};
pub use rung::{Codec, Encoder, Preset, Rung};

/// Section `ingest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The RTMP listener.
    pub rtmp: Rtmp,
    /// The RTMP listener with TLS.
    pub rtmps: Rtmps,
    /// The SRT listener.
    pub srt: Srt,
    /// What an OBS is told that sends the whole ladder.
    pub multitrack: Multitrack,
    /// Who else is asked.
    pub hook: Hook,
    /// File of the stream keys that `ringside key` makes. Absent = `keys.toml` in the data directory. Followed while
    /// the ingest runs; one that cannot be used leaves the keys before in force.
    pub keys: Option<PathBuf>,
    /// Streams that run at a time, each with a ladder of its own. Default 8; at the limit a publisher with the key
    /// of one more is refused. A stream other than the first starts with its first publisher.
    pub streams_max: usize,
    /// Connections at a time from one address, over all protocols. Default 32; one more is closed and counted.
    pub connections_per_ip_max: usize,
    /// What happens when a publisher comes while another one holds its place: "takeover" (the newest is let in and
    /// the one before closed), "reject", or "priority" (by the priority of the keys). Default "takeover". One that
    /// gave nothing for 2 s never keeps a newcomer out.
    pub policy: Policy,
    /// Takeovers within `flap_window_ms` before newcomers are refused, as two encoders fight. Default 4.
    pub flaps_max: usize,
    /// Milliseconds over which takeovers are counted. Default 20000.
    pub flap_window_ms: u64,
    /// Packagers to feed; each gets the whole stream. Default one on loopback, port 9602.
    pub packagers: Vec<SocketAddr>,
    /// Text of the slate shown while no encoder is on air. Default "Back in a moment"; at most 200 characters.
    pub slate: String,
    /// PNG or JPEG shown instead of the text, scaled and padded to the largest rung; read at start. Absent = the text.
    pub slate_image: Option<PathBuf>,
    /// Film shown instead, over and over, with its sound; decoded into memory at start, so at most 60 s and 512 MiB of
    /// raw pictures (12 s of 1280x720 at 30 fps); a longer one is refused. Absent = the picture or the text.
    pub slate_loop: Option<PathBuf>,
    /// Milliseconds without a fresh frame before the slate replaces an encoder's last picture. Default 2000.
    pub hold_ms: u64,
    /// The same after an encoder said goodbye or its connection closed. Default 500.
    pub leave_ms: u64,
    /// Milliseconds without a fresh frame before the other encoder of the stream is cut in. Default 400.
    pub failover_ms: u64,
    /// Milliseconds the primary must have been healthy before it is on air again. Default 5000.
    pub return_ms: u64,
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
            rtmps: Rtmps::default(),
            srt: Srt::default(),
            multitrack: Multitrack::default(),
            hook: Hook::default(),
            keys: None,
            streams_max: 8,
            connections_per_ip_max: 32,
            policy: Policy::default(),
            flaps_max: 4,
            flap_window_ms: 20_000,
            packagers: vec![SocketAddr::from(([127, 0, 0, 1], 9602))],
            slate: "Back in a moment".to_owned(),
            slate_image: None,
            slate_loop: None,
            hold_ms: 2_000,
            leave_ms: 500,
            failover_ms: 400,
            return_ms: 5_000,
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
        wrong.extend(self.srt.validate());
        wrong.extend(self.multitrack.validate());
        wrong.extend(self.hook.validate());
        if self.packagers.is_empty() {
            wrong.push("ingest.packagers: at least one address is needed".to_owned());
        }
        if self.packagers.len() > 16 {
            wrong.push("ingest.packagers: at most 16 addresses".to_owned());
        }
        if self.slate.chars().count() > 200 {
            wrong.push("ingest.slate: at most 200 characters".to_owned());
        }
        if self.slate_image.is_some() && self.slate_loop.is_some() {
            wrong.push("ingest.slate_image: not together with ingest.slate_loop".to_owned());
        }
        let ranges = [
            ("hold_ms", self.hold_ms, 100, 60_000),
            ("leave_ms", self.leave_ms, 0, 60_000),
            ("failover_ms", self.failover_ms, 100, 60_000),
            ("return_ms", self.return_ms, 0, 600_000),
            ("streams_max", self.streams_max as u64, 1, 64),
            (
                "connections_per_ip_max",
                self.connections_per_ip_max as u64,
                1,
                10_000,
            ),
            ("flaps_max", self.flaps_max as u64, 1, 100),
            ("flap_window_ms", self.flap_window_ms, 1_000, 600_000),
            ("replay_ms", self.replay_ms, 30_000, 600_000),
            ("replay_bytes_max", self.replay_bytes_max as u64, 1 << 20, 8 << 30),
            ("behind_ms_max", self.behind_ms_max, 1_000, 60_000),
            ("feed_write_ms_max", self.feed_write_ms_max, 100, 60_000),
            ("feed_hello_ms_max", self.feed_hello_ms_max, 100, 60_000),
        ];
        wrong.extend(out_of_range("ingest", &ranges));
        wrong
    }

    /// Where the stream keys are, given the data directory.
    pub fn keys_file(&self, data_dir: &Path) -> PathBuf {
        self.keys.clone().unwrap_or_else(|| data_dir.join(keys::FILE))
    }

    pub(crate) fn rules(&self) -> Rules {
        Rules {
            policy: self.policy,
            flaps_max: self.flaps_max,
            flap_window: Duration::from_millis(self.flap_window_ms),
        }
    }

    pub(crate) fn waits(&self) -> Waits {
        Waits {
            hold: Duration::from_millis(self.hold_ms),
            leave: Duration::from_millis(self.leave_ms),
            failover: Duration::from_millis(self.failover_ms),
            back: Duration::from_millis(self.return_ms),
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
    use hls::id::TrackId;

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
            hook: Hook {
                url: Some("https://example.com".to_owned()),
                secret: Some("short".to_owned()),
                timeout_ms: 0,
                ..Hook::default()
            },
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
            "ingest.hook.url",
            "ingest.hook.secret",
            "ingest.hook.timeout_ms",
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
            codec: Codec::H264,
            preset: None,
            encoder: None,
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
}
