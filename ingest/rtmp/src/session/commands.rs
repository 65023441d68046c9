//! Commands of the peer, each in its place or refused in RTMP's own words.

use std::time::Instant;

use super::control::{OUTPUT_CHUNK_BYTES, WINDOW_BYTES};
use super::{Error, Event, Session, State, Waiting};
use crate::amf::Value;
use crate::chunk::{Message, kind};
use crate::command::{self, Command, StreamKey, Verb};
use crate::peer::Peer;

/// Status code of a publish that may not be.
pub(super) const DENIED: &str = "NetStream.Publish.Denied";

impl Session {
    pub(super) fn command(&mut self, now: Instant, message: &Message, payload: &[u8]) -> Result<(), Error> {
        let Command { transaction, verb } = match command::parse(payload) {
            Err(
                error @ command::Error::Argument {
                    command: "publish", ..
                },
            ) => {
                let status = command::on_status("error", DENIED, &error.to_string());
                self.send_status(message.stream, &status);
                return Err(error.into());
            }
            parsed => parsed?,
        };
        match verb {
            Verb::Connect { app, peer } => self.connect(transaction, app, peer),
            Verb::CreateStream => self.create_stream(transaction),
            Verb::Acknowledge => {
                self.send_result(transaction, Value::Undefined);
                Ok(())
            }
            Verb::Announce => {
                self.announced = true;
                self.send_result(transaction, Value::Undefined);
                Ok(())
            }
            Verb::Publish { key } => self.publish(now, message.stream, key),
            Verb::Unpublish => self.unpublish(now, transaction, false),
            Verb::DeleteStream { stream } if self.is_another(stream) => {
                self.send_result(transaction, Value::Undefined);
                Ok(())
            }
            Verb::DeleteStream { .. } => self.unpublish(now, transaction, true),
            Verb::Play => self.deny_status(
                message.stream,
                "NetStream.Play.Failed",
                "this server takes publishers only",
            ),
            // Encoders call methods of other servers and do not wait for their answers.
            Verb::Other => Ok(()),
        }
    }

    fn connect(&mut self, transaction: f64, app: String, peer: Peer) -> Result<(), Error> {
        if !matches!(self.state, State::Fresh) {
            return self.deny_call(transaction, "NetConnection.Connect.Rejected", "connected before");
        }
        self.can_reconnect = peer.capabilities.reconnect;
        self.state = State::Connected { app, peer };
        self.send_control(kind::WINDOW_ACK_SIZE, &WINDOW_BYTES.to_be_bytes());
        // rtmp §5.4.5: limit type 2, dynamic.
        let [b0, b1, b2, b3] = WINDOW_BYTES.to_be_bytes();
        self.send_control(kind::SET_PEER_BANDWIDTH, &[b0, b1, b2, b3, 2]);
        self.writer.set_chunk_size(OUTPUT_CHUNK_BYTES, &mut self.output);
        self.send_command(&command::connected(transaction));
        Ok(())
    }

    /// Encoders that probe, or send several streams, create more than one; only one of them publishes.
    fn create_stream(&mut self, transaction: f64) -> Result<(), Error> {
        let code = "NetConnection.Call.Failed";
        if matches!(self.state, State::Fresh) {
            return self.deny_call(transaction, code, "createStream before connect");
        }
        if self.net_streams >= self.limits.net_streams_max {
            self.send_command(&command::error(transaction, code, "too many streams created"));
            return Ok(());
        }
        self.net_streams += 1;
        let id = Value::Number(self.net_streams.into());
        self.send_result(transaction, id);
        Ok(())
    }

    /// A stream that was created and is not the one of the publish.
    fn is_another(&self, stream: Option<f64>) -> bool {
        let (State::Asked { stream: own } | State::Publishing { stream: own }) = self.state else {
            return false;
        };
        let mut created = (1..=self.net_streams).filter(|id| *id != own);
        created.any(|id| Some(f64::from(id)) == stream)
    }

    fn publish(&mut self, now: Instant, stream: u32, key: StreamKey) -> Result<(), Error> {
        match &mut self.state {
            State::Connected { app, peer } if self.net_streams > 0 => {
                let (app, peer) = (std::mem::take(app), std::mem::take(peer));
                self.state = State::Asked { stream };
                self.deadline = Some((now + self.limits.command, Waiting::Answer));
                self.events.push(Event::Publish { app, key, peer })
            }
            State::Asked { .. } | State::Publishing { .. } | State::Unpublished => {
                self.deny_status(stream, DENIED, "one publish per connection")
            }
            State::Handshake(_) | State::Fresh | State::Connected { .. } | State::Ended => {
                self.deny_status(stream, DENIED, "publish before createStream")
            }
        }
    }

    /// `last` says whether the peer has nothing more to send.
    fn unpublish(&mut self, now: Instant, transaction: f64, last: bool) -> Result<(), Error> {
        self.send_result(transaction, Value::Undefined);
        let ended = match self.state {
            State::Asked { stream } | State::Publishing { stream } => Some(stream),
            State::Unpublished => None,
            State::Handshake(_) | State::Fresh | State::Connected { .. } | State::Ended => {
                return Ok(());
            }
        };
        if let Some(stream) = ended {
            let (code, description) = ("NetStream.Unpublish.Success", "unpublished");
            if !last {
                self.send_status(stream, &command::on_fc("onFCUnpublish", code, description));
            }
            self.send_status(stream, &command::on_status("status", code, description));
            self.deadline = Some((now + self.limits.command, Waiting::Close));
            self.state = State::Unpublished;
            self.events.push(Event::Unpublish)?;
        }
        if last {
            self.end(now);
        }
        Ok(())
    }

    fn deny_call(&mut self, transaction: f64, code: &str, what: &'static str) -> Result<(), Error> {
        self.send_command(&command::error(transaction, code, what));
        Err(Error::Refused(what))
    }

    pub(super) fn deny_status(&mut self, stream: u32, code: &str, what: &'static str) -> Result<(), Error> {
        self.send_status(stream, &command::on_status("error", code, what));
        Err(Error::Refused(what))
    }
}
