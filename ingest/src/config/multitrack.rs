//! Section `ingest.multitrack`: what an OBS is told that can send the whole ladder itself.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::out_of_range;

/// Section `ingest.multitrack`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Multitrack {
    /// Where OBS asks for its configuration, over HTTP; opened where `ladder.passthrough` names a stream. Default
    /// 0.0.0.0:1937.
    pub listen: SocketAddr,
    /// The encoder that OBS is to use, by OBS's own name, for example "obs_x264" or "obs_nvenc_h264_tex". Default
    /// "obs_x264".
    pub encoder: String,
    /// Connections at a time. Default 64; others wait.
    pub connections_max: usize,
}

impl Default for Multitrack {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 1937)),
            encoder: "obs_x264".to_owned(),
            connections_max: 64,
        }
    }
}

impl Multitrack {
    pub(super) fn validate(&self) -> Vec<String> {
        let ranges = [("connections_max", self.connections_max as u64, 1, 10_000)];
        let mut wrong = out_of_range("ingest.multitrack", &ranges);
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !(1..=64).contains(&self.encoder.len()) || !self.encoder.chars().all(is_name) {
            wrong.push("ingest.multitrack.encoder: a name such as `obs_x264`".to_owned());
        }
        wrong
    }
}
