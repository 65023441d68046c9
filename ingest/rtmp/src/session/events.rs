//! What the session tells the shell, in a bounded queue.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;

use super::Error;
use crate::command::StreamKey;
use crate::metadata::Metadata;

/// Most events queued; past that the connection ends. A shell that drains after each read of up to 64 KiB stays below.
pub const EVENTS_MAX: usize = 8192;
/// Most codecs named in [`Event::Unsupported`]; later ones pass in silence.
const NAMES_MAX: usize = 16;

/// What happened, in the order of the peer's bytes. Timestamps are decoding times in milliseconds, and wrap.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The peer asks to publish: answer with `accept` or `refuse`.
    Publish {
        /// Application, such as `live`.
        app: String,
        /// Secret of the stream.
        key: StreamKey,
    },
    /// The encoder describes itself; may repeat.
    Metadata(Metadata),
    /// H.264 configuration; may repeat and change.
    VideoConfig {
        /// Decoding time.
        timestamp_ms: u32,
        /// AVCDecoderConfigurationRecord, well formed.
        avcc: Bytes,
    },
    /// One H.264 access unit; may come before its configuration.
    Video {
        /// Decoding time.
        timestamp_ms: u32,
        /// Presentation minus decoding time.
        composition_ms: i32,
        /// The encoder marked it as a key frame.
        key: bool,
        /// NAL units with length fields.
        data: Bytes,
    },
    /// AAC configuration; may repeat and change.
    AudioConfig {
        /// Presentation time.
        timestamp_ms: u32,
        /// AudioSpecificConfig, at least two bytes.
        asc: Bytes,
    },
    /// One AAC frame; may come before its configuration.
    Audio {
        /// Presentation time.
        timestamp_ms: u32,
        /// Raw AAC.
        data: Bytes,
    },
    /// Something the peer sends is passed over; once for each name.
    Unsupported {
        /// Its name, printable ASCII.
        what: String,
    },
    /// The peer ended its publish properly. A lost connection or an error brings no such event.
    Unpublish,
}

impl Event {
    fn bytes(&self) -> usize {
        match self {
            Self::VideoConfig { avcc: data, .. }
            | Self::Video { data, .. }
            | Self::AudioConfig { asc: data, .. }
            | Self::Audio { data, .. } => data.len(),
            Self::Publish { .. } | Self::Metadata(_) | Self::Unsupported { .. } | Self::Unpublish => 0,
        }
    }
}

/// Events not yet polled, bounded in number and in bytes of media.
#[derive(Debug)]
pub(super) struct Events {
    queue: VecDeque<Event>,
    bytes: usize,
    bytes_max: usize,
    named: BTreeSet<String>,
}

impl Events {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            bytes_max,
            named: BTreeSet::new(),
        }
    }

    pub(super) fn push(&mut self, event: Event) -> Result<(), Error> {
        if self.queue.len() >= EVENTS_MAX {
            return Err(Error::EventsFull);
        }
        if self.bytes + event.bytes() > self.bytes_max {
            return Err(Error::EventBytesFull);
        }
        self.bytes += event.bytes();
        self.queue.push_back(event);
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        let event = self.queue.pop_front()?;
        self.bytes -= event.bytes();
        Some(event)
    }

    /// Queues `Unsupported` the first time a name comes up.
    pub(super) fn unsupported(&mut self, what: String) -> Result<(), Error> {
        if self.named.len() >= NAMES_MAX || !self.named.insert(what.clone()) {
            return Ok(());
        }
        self.push(Event::Unsupported { what })
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        (self.queue.len(), self.bytes)
    }
}
