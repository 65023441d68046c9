//! What an operator can set.

use std::net::SocketAddr;
use std::time::Duration;

use hls::id::StreamId;
use serde::{Deserialize, Serialize};

/// `[edge]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Plain HTTP.
    pub http: Listen,
    /// HTTPS with HTTP/2.
    pub https: Listen,
    /// Base URLs of parents, `http://HOST:PORT`, best first. Default: this process's origin.
    pub parents: Vec<String>,
    /// Seconds a track is mirrored after its last viewer. Default 60.
    pub linger_s: u64,
    /// Connections at once on each listener. Default 16000; further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// Seconds a connection may be idle or take for a request's head. Default 60; then it is closed.
    pub idle_s: u64,
    /// Memory for objects that are not in a live window, bytes. Default 256 MiB; the least used go first.
    pub cache_bytes: u64,
    /// Memory for what viewers rewind to, bytes. Default 256 MiB; the least used go first.
    pub dvr_cache_bytes: u64,
    /// Streams known at once. Default 256; viewers of further ones get 503.
    pub streams_max: usize,
    /// Where `/` leads: the watch page of this stream.
    pub home: Option<StreamId>,
}

/// An address to listen on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Address and port; port 0 lets the system choose.
    pub listen: SocketAddr,
}

impl Default for Config {
    fn default() -> Self {
        let all = |port| Listen {
            listen: SocketAddr::from(([0, 0, 0, 0], port)),
        };
        Self {
            http: all(8_080),
            https: all(8_443),
            parents: Vec::new(),
            linger_s: 60,
            connections_max: 16_000,
            idle_s: 60,
            cache_bytes: 256 << 20,
            dvr_cache_bytes: 256 << 20,
            streams_max: 256,
            home: None,
        }
    }
}

impl Config {
    pub(crate) fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_s)
    }

    pub(crate) fn linger(&self) -> Duration {
        Duration::from_secs(self.linger_s)
    }

    /// Every mistake in the section.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut want = |good: bool, text: String| {
            if !good {
                mistakes.push(text);
            }
        };
        for parent in &self.parents {
            let good = parent.parse::<http::Uri>().is_ok_and(|uri| {
                uri.scheme_str() == Some("http") && uri.authority().is_some() && uri.path() == "/"
            });
            want(
                good,
                format!("edge.parents: `{parent}` is not of the form http://HOST:PORT"),
            );
        }
        want(
            (1..=86_400).contains(&self.linger_s),
            "edge.linger_s must be 1 to 86400".to_owned(),
        );
        want(
            (1..=3_600).contains(&self.idle_s),
            "edge.idle_s must be 1 to 3600".to_owned(),
        );
        want(
            self.connections_max > 0,
            "edge.connections_max must be at least 1".to_owned(),
        );
        want(
            self.streams_max > 0,
            "edge.streams_max must be at least 1".to_owned(),
        );
        mistakes
    }
}
