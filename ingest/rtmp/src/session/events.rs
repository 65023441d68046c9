//! What the session tells the shell, in a bounded queue.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;

use super::{Error, Limits};
use crate::codec::{AudioCodec, VideoCodec};
use crate::command::StreamKey;
use crate::cue::Cue;
use crate::metadata::Metadata;
use crate::peer::Peer;

/// What happened, in the order of the peer's bytes. Timestamps are decoding times in milliseconds, and wrap; `nanos`
/// is to be added to them, and is below a millisecond. Tracks are numbered for each medium; a peer that does not number
/// them sends track 0, and it may mix tags of either kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The peer asks to publish: answer with `accept` or `refuse`.
    Publish {
        /// Application, such as `live`.
        app: String,
        /// Secret of the stream.
        key: StreamKey,
        /// What the peer says of itself.
        peer: Peer,
    },
    /// The encoder describes itself; may repeat.
    Metadata(Metadata),
    /// Where programme and advertisements meet.
    Cue {
        /// Of the message; the cue may carry a time of its own.
        timestamp_ms: u32,
        /// What it says.
        cue: Cue,
    },
    /// Configuration of a video decoder; may repeat and change. VP9 does without.
    VideoConfig {
        /// Track of the video.
        track: u8,
        /// Decoding time.
        timestamp_ms: u32,
        /// Whose configuration.
        codec: VideoCodec,
        /// Record of the codec's box in MP4 (`avcC`, `hvcC`, `av1C`, `vpcC`), well formed except VP9's.
        config: Bytes,
    },
    /// One access unit, temporal unit or frame; may come before its configuration.
    Video {
        /// Track of the video.
        track: u8,
        /// Decoding time.
        timestamp_ms: u32,
        /// To be added to the decoding time; 0 to 999,999.
        nanos: u32,
        /// Presentation minus decoding time.
        composition_ms: i32,
        /// Of what.
        codec: VideoCodec,
        /// The encoder marked it as a key frame.
        key: bool,
        /// H.264 and HEVC: NAL units with length fields. AV1: OBUs with size fields. VP9: a frame.
        data: Bytes,
    },
    /// Configuration of an audio decoder; may repeat and change. Opus of one or two channels does without.
    AudioConfig {
        /// Track of the audio.
        track: u8,
        /// Presentation time.
        timestamp_ms: u32,
        /// Whose configuration.
        codec: AudioCodec,
        /// AudioSpecificConfig, at least two bytes; or the ID header of Opus, well formed.
        config: Bytes,
    },
    /// One frame; may come before its configuration.
    Audio {
        /// Track of the audio.
        track: u8,
        /// Presentation time.
        timestamp_ms: u32,
        /// To be added to the presentation time; 0 to 999,999.
        nanos: u32,
        /// Of what.
        codec: AudioCodec,
        /// Raw AAC, or an Opus packet.
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
            Self::VideoConfig { config: data, .. }
            | Self::Video { data, .. }
            | Self::AudioConfig { config: data, .. }
            | Self::Audio { data, .. } => data.len(),
            Self::Publish { peer, .. } => peer.bytes(),
            Self::Metadata(metadata) => metadata.bytes(),
            Self::Cue { cue, .. } => cue.bytes(),
            Self::Unsupported { .. } | Self::Unpublish => 0,
        }
    }
}

/// Events not yet polled, bounded in number and in bytes.
#[derive(Debug)]
pub(super) struct Events {
    queue: VecDeque<Event>,
    queue_max: usize,
    bytes: usize,
    bytes_max: usize,
    named: BTreeSet<String>,
    named_max: usize,
}

impl Events {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            queue: VecDeque::new(),
            queue_max: limits.events_max,
            bytes: 0,
            bytes_max: limits.message_bytes_max,
            named: BTreeSet::new(),
            named_max: limits.names_max,
        }
    }

    pub(super) fn push(&mut self, event: Event) -> Result<(), Error> {
        if self.queue.len() >= self.queue_max {
            return Err(Error::EventsFull(self.queue_max));
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
        if self.named.len() >= self.named_max || !self.named.insert(what.clone()) {
            return Ok(());
        }
        self.push(Event::Unsupported { what })
    }

    /// How many events are queued, and their bytes.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.queue.len(), self.bytes)
    }
}
