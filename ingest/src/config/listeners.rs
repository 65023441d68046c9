//! Sections `ingest.rtmp`, `ingest.rtmps` and `ingest.srt`: where encoders connect.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::out_of_range;

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
    pub(super) fn validate(&self) -> Vec<String> {
        let ranges = [
            ("connections_max", self.connections_max as u64, 1, 10_000),
            ("write_ms_max", self.write_ms_max, 100, 60_000),
            ("idle_ms_max", self.idle_ms_max, 1_000, 600_000),
            ("media_idle_ms_max", self.media_idle_ms_max, 1_000, 600_000),
        ];
        out_of_range("ingest.rtmp", &ranges)
    }
}

/// Section `ingest.rtmps`; all else is as in `ingest.rtmp`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rtmps {
    /// Where encoders connect with TLS. Default 0.0.0.0:1936.
    pub listen: SocketAddr,
}

impl Default for Rtmps {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 1936)),
        }
    }
}

/// Section `ingest.srt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Srt {
    /// Where encoders connect, one UDP port for all. Default 0.0.0.0:8890.
    pub listen: SocketAddr,
    /// Milliseconds in which lost packets may be sent again; the encoder may ask for more. Default 200.
    pub latency_ms: u32,
    /// What encoders must encrypt with where their key has no passphrase of its own, 10 to 79 bytes. Absent = they
    /// must not encrypt.
    pub passphrase: Option<String>,
    /// Connections at a time. Default 64; one more is refused as overload.
    pub connections_max: usize,
    /// Milliseconds without a packet before a connection counts as broken. Default 5000.
    pub idle_ms_max: u32,
    /// Milliseconds without a whole frame of picture or sound from an accepted encoder. Default 15000; then it is
    /// closed.
    pub media_idle_ms_max: u64,
}

impl Default for Srt {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 8890)),
            latency_ms: 200,
            passphrase: None,
            connections_max: 64,
            idle_ms_max: 5_000,
            media_idle_ms_max: 15_000,
        }
    }
}

impl Srt {
    pub(super) fn validate(&self) -> Vec<String> {
        let ranges = [
            ("latency_ms", u64::from(self.latency_ms), 20, 8_000),
            ("connections_max", self.connections_max as u64, 1, 1_000),
            ("idle_ms_max", u64::from(self.idle_ms_max), 1_000, 60_000),
            ("media_idle_ms_max", self.media_idle_ms_max, 1_000, 600_000),
        ];
        let mut wrong = out_of_range("ingest.srt", &ranges);
        let unusable = |secret: &str| srt::Passphrase::new(secret).is_none();
        if self.passphrase.as_deref().is_some_and(unusable) {
            wrong.push("ingest.srt.passphrase: 10 to 79 bytes".to_owned());
        }
        wrong
    }
}
