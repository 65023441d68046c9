//! What operators are told, and what they may order.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hls::id::StreamId;
use serde::Serialize;

use crate::desk::Role;
use crate::doctor;
use crate::onair::Choice;
use crate::streams::Streams;

/// One stream as it is now.
#[derive(Debug, Clone, Serialize)]
pub struct Stream {
    /// Its id.
    pub stream: String,
    /// What viewers see: "test", "contribution", "hold", "slate" or "voice" (slate with an encoder's sound).
    pub shown: &'static str,
    /// Whose picture or sound it is, where it is an encoder's.
    pub role: Option<Role>,
    /// What the operator asked for.
    pub choice: Choice,
    /// What is seen and heard.
    pub output: Output,
    /// Who publishes, the primary first.
    pub contributions: Vec<Contribution>,
}

/// The output as viewers get it; levels by EBU R 128, none below its gate.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Output {
    /// Loudness of the last 400 ms, LUFS.
    pub momentary_lufs: Option<f64>,
    /// Loudness of the last 3 s, LUFS.
    pub short_term_lufs: Option<f64>,
    /// Loudness since the ladder began, LUFS.
    pub integrated_lufs: Option<f64>,
    /// For how long the picture has been black.
    pub black_seconds: f64,
    /// For how long the picture has not moved.
    pub freeze_seconds: f64,
    /// For how long the sound has been below -60 dBFS.
    pub silence_seconds: f64,
}

/// One publisher.
#[derive(Debug, Clone, Serialize)]
pub struct Contribution {
    /// Primary or backup.
    pub role: Role,
    /// "rtmp", "rtmps" or "srt".
    pub protocol: &'static str,
    /// Where it connects from.
    pub peer: SocketAddr,
    /// How long it has been in.
    pub seconds: f64,
    /// Milliseconds since its last unit came.
    pub silent_ms: u64,
    /// Where its stream may be passed through undecoded: whether it is, or why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passage: Option<String>,
    /// What it sends, and what to set at it.
    pub doctor: doctor::Report,
}

/// An operator's hand on a running ingest; clones are the same hand.
#[derive(Debug, Clone)]
pub struct Control {
    pub(crate) streams: Arc<Streams>,
}

impl Control {
    /// All streams that run, by id.
    pub async fn streams(&self) -> Vec<Stream> {
        let running = self.streams.running.lock().await;
        let mut reports: Vec<Stream> = running.values().map(|stream| stream.report()).collect();
        reports.sort_by(|a, b| a.stream.cmp(&b.stream));
        reports
    }

    /// The stream's latest picture as JPEG, at most 256 KiB, a new one every 2 s; none before the first.
    pub async fn thumbnail(&self, stream: &StreamId) -> Option<Bytes> {
        let running = self.streams.running.lock().await;
        running.get(stream)?.state.thumbnail()
    }

    /// Puts on air what an operator wants, from the next frame on; false where there is no such stream.
    pub async fn choose(&self, stream: &StreamId, choice: Choice) -> bool {
        let running = self.streams.running.lock().await;
        let found = running.get(stream);
        if let Some(found) = found {
            tracing::info!(%stream, ?choice, "an operator chose");
            found.state.choose(choice);
        }
        found.is_some()
    }
}
