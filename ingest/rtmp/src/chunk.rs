//! The chunk stream: messages cut into chunks and put together again.

mod reader;
mod writer;

use std::fmt;

use bytes::Bytes;

pub use reader::Reader;
pub use writer::Writer;
pub(crate) use writer::control;

/// rtmp §5.4.1: the chunk size of both directions until somebody sets another.
pub const SIZE_DEFAULT: usize = 128;
/// Largest chunk size in use. rtmp §5.4.1: no message is longer, so all larger sizes are equivalent to it.
pub const SIZE_MAX: usize = 0x00FF_FFFF;
/// A 24-bit timestamp field of this value announces a 32-bit one.
const EXTENDED: u32 = 0x00FF_FFFF;

/// Message types of rtmp §5.4, §7.1.
pub mod kind {
    /// Protocol control: chunk size.
    pub const SET_CHUNK_SIZE: u8 = 1;
    /// Protocol control: discard a partial message.
    pub const ABORT: u8 = 2;
    /// Protocol control: bytes received so far.
    pub const ACKNOWLEDGEMENT: u8 = 3;
    /// User control, such as ping.
    pub const USER_CONTROL: u8 = 4;
    /// Protocol control: when to acknowledge.
    pub const WINDOW_ACK_SIZE: u8 = 5;
    /// Protocol control: limit of the other side's output.
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    /// Audio tag body.
    pub const AUDIO: u8 = 8;
    /// Video tag body.
    pub const VIDEO: u8 = 9;
    /// Data, one byte of format selector before AMF0.
    pub const DATA_AMF3: u8 = 15;
    /// Command, one byte of format selector before AMF0.
    pub const COMMAND_AMF3: u8 = 17;
    /// Data, AMF0.
    pub const DATA: u8 = 18;
    /// Command, AMF0.
    pub const COMMAND: u8 = 20;
    /// Several tags in one message.
    pub const AGGREGATE: u8 = 22;
}

/// One whole message. `Debug` prints the length of its body: a command's may hold a stream key.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Milliseconds on the sender's clock; wraps.
    pub timestamp_ms: u32,
    /// Message type, see [`kind`].
    pub kind: u8,
    /// Message stream id.
    pub stream: u32,
    /// Body.
    pub payload: Bytes,
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut message = formatter.debug_struct("Message");
        message
            .field("timestamp_ms", &self.timestamp_ms)
            .field("kind", &self.kind);
        message
            .field("stream", &self.stream)
            .field("payload_bytes", &self.payload.len())
            .finish()
    }
}

/// Why the chunk stream cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A chunk size outside 1..=2147483647.
    #[error("chunk size {0} is outside 1..=2147483647")]
    Size(u32),
    /// A message longer than the limit is announced.
    #[error("message of {0} bytes is over the limit")]
    MessageTooLong(usize),
    /// All partial messages together are longer than the limit.
    #[error("partial messages hold more than {0} bytes")]
    PartialsTooLong(usize),
    /// More chunk streams than the limit.
    #[error("more than {0} chunk streams")]
    TooManyStreams(usize),
    /// A compressed header with nothing before it to take the rest from.
    #[error("chunk stream {0} begins with a compressed header")]
    NothingToRepeat(u32),
    /// A new message header before the last message was complete.
    #[error("chunk stream {0} begins a message inside another")]
    InsideMessage(u32),
    /// A protocol control message shorter than its fields.
    #[error("protocol control message of type {0} is too short")]
    Short(u8),
}
