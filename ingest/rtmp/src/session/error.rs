//! Bounds of a session, and the errors that end it.

use std::time::Duration;

use crate::{chunk, command, flv, handshake};

/// Bounds of one session. Where nothing else is said, the connection ends there, with an error that says which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From the start to the end of the handshake; 5 s.
    pub handshake: Duration,
    /// From the start to `publish`, from there to the shell's answer, and from a refusal to the close; 10 s each.
    pub command: Duration,
    /// Without a byte from an accepted publisher; 10 s.
    pub idle: Duration,
    /// Bytes of one message, of all partial messages together, and of media and text in events not polled; 8 MiB
    /// each.
    pub message_bytes_max: usize,
    /// Chunk streams in use; 64.
    pub chunk_streams_max: usize,
    /// Bytes not taken by `poll_output`; 64 KiB.
    pub output_bytes_max: usize,
    /// Events not polled; 8192. A shell that drains after each read of up to 64 KiB stays below.
    pub events_max: usize,
    /// Streams one connection may create; 8. Further ones are denied and the connection goes on.
    pub net_streams_max: u32,
    /// Names in `Unsupported` events of one connection; 16. Further ones pass in silence.
    pub names_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            command: Duration::from_secs(10),
            idle: Duration::from_secs(10),
            message_bytes_max: 8 << 20,
            chunk_streams_max: 64,
            output_bytes_max: 64 << 10,
            events_max: 8192,
            net_streams_max: 8,
            names_max: 16,
        }
    }
}

/// What a session was waiting for when its time was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Waiting {
    /// The handshake.
    #[error("the handshake")]
    Handshake,
    /// `connect`, `createStream` and `publish`.
    #[error("a publish command")]
    Publish,
    /// The shell's `accept` or `refuse`.
    #[error("an answer to the publish")]
    Answer,
    /// Bytes from the publisher.
    #[error("media")]
    Media,
    /// The last output to be taken, after the session ended.
    #[error("the close")]
    Close,
}

/// Why a connection is to be closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another protocol, or nonsense.
    #[error("handshake")]
    Handshake(#[from] handshake::Error),
    /// Nonsense, or a limit of [`Limits`].
    #[error("chunk stream")]
    Chunk(#[from] chunk::Error),
    /// A command that cannot be understood.
    #[error("command")]
    Command(#[from] command::Error),
    /// A malformed audio or video tag.
    #[error("media tag")]
    Flv(#[from] flv::Error),
    /// A command or message that has no place here. The peer was told in RTMP's own words.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// A deadline passed.
    #[error("timed out waiting for {0}")]
    Timeout(Waiting),
    /// More than `events_max` events are not polled.
    #[error("event queue is full: more than {0} events")]
    EventsFull(usize),
    /// More media and text than `message_bytes_max` is in events not polled.
    #[error("event queue is full: media over the byte limit")]
    EventBytesFull,
    /// More than `output_bytes_max` is not taken.
    #[error("output queue is full")]
    OutputFull,
}
