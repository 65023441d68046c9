//! The machine: order of commands, media once accepted, deadlines.

mod commands;
mod control;
mod error;
mod events;
mod media;

use std::fmt;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

pub use error::{Error, Limits, Waiting};
pub use events::{EVENTS_MAX, Event};

use crate::chunk::{self, Message, kind};
use crate::command;
use crate::handshake::{Handshake, RANDOM_BYTES};
use control::Acknowledgements;
use events::Events;

/// One RTMP connection that publishes, seen from the server.
pub struct Session {
    limits: Limits,
    started: Instant,
    state: State,
    deadline: Option<(Instant, Waiting)>,
    reader: chunk::Reader,
    writer: chunk::Writer,
    output: BytesMut,
    events: Events,
    acknowledgements: Acknowledgements,
}

enum State {
    Handshake(Handshake),
    /// Before `connect`.
    Fresh,
    Connected {
        app: String,
        net_streams: u32,
    },
    /// The shell was asked about the publish on this message stream.
    Asked {
        stream: u32,
    },
    Publishing {
        stream: u32,
    },
    /// The publish is over, the peer's `deleteStream` is on its way: closing before it arrives would reset the
    /// connection, which encoders report as a failure.
    Unpublished,
    /// What the peer still sends is ignored.
    Ended,
}

impl Session {
    /// A session whose connection was accepted at `now`. `random` fills the handshake.
    pub fn new(now: Instant, random: [u8; RANDOM_BYTES], limits: Limits) -> Self {
        Self {
            started: now,
            state: State::Handshake(Handshake::new(random)),
            deadline: Some((now + limits.handshake, Waiting::Handshake)),
            reader: chunk::Reader::new(limits.message_bytes_max, limits.chunk_streams_max),
            writer: chunk::Writer::default(),
            output: BytesMut::new(),
            events: Events::new(limits.message_bytes_max),
            acknowledgements: Acknowledgements::default(),
            limits,
        }
    }

    /// Takes what the peer sent. Drain events and output after each call; on an error drain them, then close.
    pub fn handle(&mut self, now: Instant, bytes: &[u8]) -> Result<(), Error> {
        let result = self.advance(now, bytes);
        if result.is_err() {
            self.end(now);
        }
        result
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// All bytes to be written to the peer by now.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        (!self.output.is_empty()).then(|| std::mem::take(&mut self.output).freeze())
    }

    /// Answers [`Event::Publish`]: media may come. Without effect when no publish waits for an answer.
    pub fn accept(&mut self, now: Instant) {
        let State::Asked { stream } = self.state else {
            return;
        };
        self.state = State::Publishing { stream };
        self.deadline = Some((now + self.limits.idle, Waiting::Media));
        self.send_stream_begin(stream);
        self.send_status(
            stream,
            &command::on_status("status", "NetStream.Publish.Start", "publishing"),
        );
    }

    /// Answers [`Event::Publish`] with an error the encoder shows its user, and ends the session. A reason past
    /// 512 bytes is cut. Without effect when no publish waits for an answer.
    pub fn refuse(&mut self, now: Instant, reason: &str) {
        let State::Asked { stream } = self.state else {
            return;
        };
        self.send_status(stream, &command::on_status("error", commands::DENIED, reason));
        self.end(now);
    }

    /// When to call `handle_timeout`; moves with each call of the other functions.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.map(|(at, _)| at)
    }

    /// An error once the deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        match self.deadline {
            Some((at, waiting)) if at <= now => {
                self.state = State::Ended;
                self.deadline = None;
                self.output.clear();
                Err(Error::Timeout(waiting))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The session has ended and its output is drained: close the connection.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Ended) && self.output.is_empty()
    }

    fn end(&mut self, now: Instant) {
        self.state = State::Ended;
        self.deadline = Some((now + self.limits.command, Waiting::Close));
    }

    fn advance(&mut self, now: Instant, bytes: &[u8]) -> Result<(), Error> {
        let mut input = bytes;
        if let State::Handshake(handshake) = &mut self.state {
            if !handshake.read(&mut input, &mut self.output)? {
                return Ok(());
            }
            self.state = State::Fresh;
            self.deadline = Some((self.started + self.limits.command, Waiting::Publish));
        }
        if matches!(self.state, State::Publishing { .. }) && !input.is_empty() {
            self.deadline = Some((now + self.limits.idle, Waiting::Media));
        }
        self.acknowledgements.received(input.len());
        while !matches!(self.state, State::Ended) {
            let Some(message) = self.reader.read(&mut input)? else {
                break;
            };
            self.message(now, message)?;
            self.output_within_limit()?;
        }
        self.acknowledge();
        self.output_within_limit()
    }

    fn output_within_limit(&self) -> Result<(), Error> {
        if self.output.len() > self.limits.output_bytes_max {
            return Err(Error::OutputFull);
        }
        Ok(())
    }

    fn message(&mut self, now: Instant, message: Message) -> Result<(), Error> {
        match message.kind {
            kind::SET_CHUNK_SIZE..=kind::SET_PEER_BANDWIDTH => self.control(&message)?,
            kind::COMMAND => self.command(now, &message, &message.payload)?,
            kind::COMMAND_AMF3 => match message.payload.split_first() {
                // The selector before the name: 0 announces AMF0, which every encoder sends.
                Some((0, amf0)) => self.command(now, &message, amf0)?,
                Some(_) | None => self.events.unsupported("AMF3 command".to_owned())?,
            },
            kind::AUDIO | kind::VIDEO | kind::DATA | kind::DATA_AMF3 | kind::AGGREGATE => match self.state {
                State::Publishing { .. } => self.media(message)?,
                State::Unpublished => {}
                State::Handshake(_)
                | State::Fresh
                | State::Connected { .. }
                | State::Asked { .. }
                | State::Ended => {
                    self.deny_status(
                        message.stream,
                        "NetStream.Failed",
                        "media before publish was accepted",
                    )?;
                }
            },
            other => self.events.unsupported(format!("message type {other}"))?,
        }
        Ok(())
    }
}

// Bytes in flight may hold a stream key, so only the deadline is printed.
impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut session = formatter.debug_struct("Session");
        session.field("deadline", &self.deadline);
        session.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
