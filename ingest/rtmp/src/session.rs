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
pub use events::Event;

use crate::chunk::{self, Message, kind};
use crate::command;
use crate::handshake::{Handshake, RANDOM_BYTES};
use crate::peer::Peer;
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
    /// Answers to `createStream` so far; the ids given out are 1 up to this.
    net_streams: u32,
    /// The peer sent `FCPublish`, so it waits for `onFCPublish`.
    announced: bool,
    /// The peer said that it can be asked to connect anew.
    can_reconnect: bool,
}

enum State {
    Handshake(Handshake),
    /// Before `connect`.
    Fresh,
    Connected {
        app: String,
        peer: Peer,
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
            events: Events::new(&limits),
            acknowledgements: Acknowledgements::default(),
            net_streams: 0,
            announced: false,
            can_reconnect: false,
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
        let (code, description) = ("NetStream.Publish.Start", "publishing");
        if self.announced {
            self.send_status(stream, &command::on_fc("onFCPublish", code, description));
        }
        self.send_status(stream, &command::on_status("status", code, description));
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

    /// Asks the peer to connect anew, to `tc_url` if it is to go elsewhere (ertmp, "Reconnect Request"); it goes on
    /// publishing here until then. False when nothing was sent: the peer did not say that it can, is not connected,
    /// does not read, or the URL is longer than 512 bytes. A description past 512 bytes is cut.
    pub fn request_reconnect(&mut self, description: &str, tc_url: Option<&str>) -> bool {
        let is_connected = matches!(
            self.state,
            State::Connected { .. } | State::Asked { .. } | State::Publishing { .. }
        );
        let is_short = tc_url.is_none_or(|url| url.len() <= command::TEXT_BYTES_MAX);
        let sent = self.can_reconnect && is_connected && is_short && self.output_within_limit().is_ok();
        if sent {
            self.send_status(0, &command::reconnect_request(description, tc_url));
        }
        sent
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

    /// Whether what the session holds is within its limits: what every input must leave true.
    pub(crate) fn is_within_limits(&self) -> bool {
        let (events, event_bytes) = self.events.held();
        let limits = &self.limits;
        // An output may pass its limit by the one answer that ends the session, and the acknowledgement.
        let output_max = limits.output_bytes_max + 1024;
        events <= limits.events_max
            && event_bytes <= limits.message_bytes_max
            && self.reader.partial_bytes() <= limits.message_bytes_max
            && self.output.len() <= output_max
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
