//! What an operator can set.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::archive::Settings as Archive;
pub use crate::cmafin::config::Cmaf;
pub use crate::encryption::{Encryption, Method};
pub use crate::steering::Section as Steering;
pub use crate::subtitles::config::Track as Subtitles;

/// Sections `packager` and `origin`.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `[packager.feed]`
    pub feed: Feed,
    /// `[packager.dvr]`
    pub dvr: Dvr,
    /// `[packager.cmaf]`
    pub cmaf: Cmaf,
    /// `[packager.archive]`
    pub archive: Archive,
    /// `[origin]`
    pub origin: Origin,
    /// `data.dir`; without one nothing is kept, and a restart begins every stream anew.
    pub data_dir: Option<PathBuf>,
    /// `[packager.encryption]`
    pub encryption: Encryption,
    /// `[packager.steering]`
    pub steering: Steering,
    /// `[[packager.subtitles]]`
    pub subtitles: Vec<Subtitles>,
}

/// `[packager]` of the config file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Section {
    /// Feeds from ingests.
    pub feed: Feed,
    /// What is kept on disk.
    pub dvr: Dvr,
    /// Encryption of media.
    pub encryption: Encryption,
    /// CMAF from other encoders.
    pub cmaf: Cmaf,
    /// Where recordings go.
    pub archive: Archive,
    /// Content steering.
    pub steering: Steering,
    /// Subtitle tracks, filled with cues by `POST /api/streams/{stream}/subtitles/{name}`. Default: none.
    pub subtitles: Vec<Subtitles>,
}

/// What is kept on disk: for rewinding, and for a restart.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dvr {
    /// Hours that viewers can rewind. Default 4, at most 168; older segments are removed. 0 = not at all, and only what
    /// a restart needs is kept.
    pub hours: u64,
    /// Everything that is kept, bytes. Default 64 GiB; beyond it the oldest goes first, down to a minute of each stream.
    pub bytes_max: u64,
    /// Parts on their way to disk, bytes. Default 64 MiB; beyond it cells are left out of what is kept.
    pub queue_bytes: usize,
    /// Segments read from disk at once. Default 4; further requests wait.
    pub reads_max: usize,
    /// Requests that wait for the disk. Default 64; further ones get 503.
    pub waiting_max: usize,
}

impl Default for Dvr {
    fn default() -> Self {
        Self {
            hours: 4,
            bytes_max: 64 << 30,
            queue_bytes: 64 << 20,
            reads_max: 4,
            waiting_max: 64,
        }
    }
}

impl Dvr {
    /// How much of an event is kept; a restart needs what is in the window and what has just left it.
    pub(crate) fn keep(&self, window: Duration) -> Duration {
        Duration::from_secs(self.hours.saturating_mul(3_600)).max(window * 3)
    }

    /// Every mistake in the section.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut want = |good: bool, text: &str| {
            if !good {
                mistakes.push(text.to_owned());
            }
        };
        want(self.hours <= 168, "packager.dvr.hours must be 0 to 168");
        want(
            self.bytes_max >= 256 << 20,
            "packager.dvr.bytes_max must be at least 268435456 (256 MiB)",
        );
        want(
            (1 << 20..=4 << 30).contains(&self.queue_bytes),
            "packager.dvr.queue_bytes must be 1048576 to 4294967296",
        );
        want(
            (1..=64).contains(&self.reads_max),
            "packager.dvr.reads_max must be 1 to 64",
        );
        want(
            self.waiting_max <= 65_536,
            "packager.dvr.waiting_max must be at most 65536",
        );
        mistakes
    }
}

/// Feeds from ingests.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Feed {
    /// Address for ingests. Default `127.0.0.1:9602`.
    pub listen: SocketAddr,
    /// Feeds at once. Default 64; further ones are refused with a reason.
    pub connections_max: usize,
    /// Seconds a feed may say nothing before it is closed. Default 15; the ingest connects again.
    pub idle_s: u64,
    /// Streams held at once. Default 64; further ones are refused with a reason.
    pub streams_max: usize,
    /// Length of the live window, seconds. Default 60, at most 120; older segments leave the playlist.
    pub window_s: u64,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9_602)),
            connections_max: 64,
            idle_s: 15,
            streams_max: 64,
            window_s: 60,
        }
    }
}

impl Feed {
    pub(crate) fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_s)
    }

    pub(crate) fn window(&self) -> Duration {
        Duration::from_secs(self.window_s)
    }

    /// Every mistake in the section.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut want = |good: bool, text: &str| {
            if !good {
                mistakes.push(text.to_owned());
            }
        };
        want(
            self.connections_max > 0,
            "packager.feed.connections_max must be at least 1",
        );
        want(
            self.streams_max > 0,
            "packager.feed.streams_max must be at least 1",
        );
        want(
            (1..=600).contains(&self.idle_s),
            "packager.feed.idle_s must be 1 to 600",
        );
        // Apple authoring 14.4: a longer window would have to offer delta updates.
        want(
            (20..=120).contains(&self.window_s),
            "packager.feed.window_s must be 20 to 120",
        );
        mistakes
    }
}

/// `[origin]`: the packager's HTTP face.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Origin {
    /// Address for edges. Default `127.0.0.1:9601`.
    pub listen: SocketAddr,
    /// Connections at once. Default 1024; further ones wait in the kernel's backlog.
    pub connections_max: usize,
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9_601)),
            connections_max: 1_024,
        }
    }
}

impl Origin {
    /// Every mistake in the section.
    pub fn mistakes(&self) -> Vec<String> {
        if self.connections_max > 0 {
            Vec::new()
        } else {
            vec!["origin.connections_max must be at least 1".to_owned()]
        }
    }
}
