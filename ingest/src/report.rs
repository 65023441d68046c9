//! What operators are told, and what they may order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use feed::Cue;
use feed::cue::{ATTRIBUTES_MAX, DURATION_MAX, Kind, is_class, is_id, is_name, is_value};
use hls::id::StreamId;
use hls::playlist::Value;
use hls::time::Grid;
use serde::{Deserialize, Serialize};

use crate::desk::Role;
use crate::doctor;
use crate::interstitials::{Book, Interstitial, Refusal};
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

/// Something an operator tells players of: a break that begins or ends, or a happening (rfc8216bis §4.4.5.1).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Unique in the stream, but for the two ends of a break: letters, digits and `._:-`, at most 128.
    pub id: String,
    /// "out", "in" or "plain".
    #[serde(default)]
    pub kind: OrderKind,
    /// Seconds from now to where it takes effect; 0 to 3600. Default 0.
    #[serde(default)]
    pub in_s: f64,
    /// How long it is (planned to be), seconds; at most 86400.
    pub duration_s: Option<f64>,
    /// CLASS of the date range.
    pub class: Option<String>,
    /// Further attributes, without their `X-`: capitals, digits and `-`.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// What happens there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderKind {
    /// A break begins.
    Out,
    /// The break of this id ends.
    In,
    /// Neither.
    #[default]
    Plain,
}

/// Why an order is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// No such stream.
    #[error("no such stream runs here")]
    Stream,
    /// A field is not what it may be.
    #[error("`{0}` is not what it may be")]
    Field(&'static str),
    /// The stream has not taken the orders before.
    #[error("too many orders at once")]
    Full,
}

/// Seconds ahead of which an order may lie.
const AHEAD_MAX: f64 = 3_600.0;

impl Order {
    /// The cue it becomes when the frame on its way is `now`.
    pub(crate) fn cue(&self, grid: &Grid, now: u64) -> Result<Cue, Unfit> {
        let wrong = |field| move || Unfit::Field(field);
        let seconds = |s: f64, most: f64, field| {
            let within = (0.0..=most).contains(&s);
            within
                .then(|| Duration::from_secs_f64(s))
                .ok_or_else(wrong(field))
        };
        let ahead = seconds(self.in_s, AHEAD_MAX, "in_s")?;
        let most = DURATION_MAX.as_secs_f64();
        let duration = self
            .duration_s
            .map(|s| seconds(s, most, "duration_s"))
            .transpose()?;
        is_id(&self.id).then_some(()).ok_or_else(wrong("id"))?;
        let class = self.class.as_deref();
        class
            .is_none_or(is_class)
            .then_some(())
            .ok_or_else(wrong("class"))?;
        let good = |(name, value): (&String, &String)| is_name(name) && is_value(value);
        let fits = self.attributes.len() <= ATTRIBUTES_MAX && self.attributes.iter().all(good);
        fits.then_some(()).ok_or_else(wrong("attributes"))?;
        let attributes = self.attributes.iter();
        let attributes = attributes.map(|(name, value)| (name.clone(), Value::Text(value.clone())));
        Ok(Cue {
            id: self.id.clone(),
            class: self.class.clone(),
            frame: now.saturating_add(grid.frame_at(ahead)),
            kind: match self.kind {
                OrderKind::Out => Kind::Out,
                OrderKind::In => Kind::In,
                OrderKind::Plain => Kind::Plain,
            },
            duration,
            section: Bytes::new(),
            trigger: None,
            attributes: attributes.collect(),
        })
    }
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

    /// Ends a stream's event: playlists end, and become the recording; false where there is no such stream. The next
    /// publisher begins another event.
    pub async fn end(&self, stream: &StreamId) -> bool {
        self.streams.end(stream).await
    }

    /// Tells the stream's players of something, from the next frame on.
    pub async fn cue(&self, stream: &StreamId, order: Order) -> Result<(), Unfit> {
        // Any grid and frame will do to see whether it is fit.
        order.cue(&self.streams.plan.grid, 0)?;
        let running = self.streams.running.lock().await;
        let found = running.get(stream).ok_or(Unfit::Stream)?;
        tracing::info!(%stream, id = order.id, "an operator sets a cue");
        let answer = found.state.order(order);
        let is_full = u64::from(answer == Err(Unfit::Full));
        found.metrics.cues_refused.increment(is_full);
        answer
    }

    /// Orders an interstitial: players hear of it within some parts.
    pub async fn interstitial(&self, stream: &StreamId, said: &Interstitial) -> Result<(), Refusal> {
        let grid = &self.streams.plan.grid;
        self.book(stream, |book| book.order(grid, said)).await
    }

    /// Says more of an interstitial; what was said before stays.
    pub async fn interstitial_more(
        &self,
        stream: &StreamId,
        id: &str,
        more: &Interstitial,
    ) -> Result<(), Refusal> {
        self.book(stream, |book| book.add(id, more)).await
    }

    /// Takes an interstitial back that has not begun.
    pub async fn cancel_interstitial(&self, stream: &StreamId, id: &str) -> Result<(), Refusal> {
        self.book(stream, |book| book.cancel(id)).await
    }

    async fn book(
        &self,
        stream: &StreamId,
        ask: impl FnOnce(&mut Book) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let running = self.streams.running.lock().await;
        let found = running.get(stream).ok_or(Refusal::Stream)?;
        let answer = ask(&mut found.state.interstitials());
        match &answer {
            Ok(()) => tracing::info!(%stream, "an operator orders of interstitials"),
            Err(refusal) => {
                let is_full = u64::from(*refusal == Refusal::Full);
                found.metrics.cues_refused.increment(is_full);
            }
        }
        answer
    }
}
