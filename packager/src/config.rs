//! What an operator can set.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::encryption::{Encryption, Method};

/// Sections `packager.feed`, `packager.window_s` and `origin`.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `[packager.feed]`
    pub feed: Feed,
    /// `[origin]`
    pub origin: Origin,
    /// `[packager.encryption]`
    pub encryption: Encryption,
}

/// `[packager]` of the config file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Section {
    /// Feeds from ingests.
    pub feed: Feed,
    /// Encryption of media.
    pub encryption: Encryption,
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
