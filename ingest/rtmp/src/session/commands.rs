//! Commands of the peer, each in its place or refused in RTMP's own words.

use std::time::Instant;

use super::control::{OUTPUT_CHUNK_BYTES, WINDOW_BYTES};
use super::{Error, Event, Session, State, Waiting};
use crate::amf::Value;
use crate::chunk::{Message, kind};
use crate::command::{self, Command, StreamKey, Verb};

/// Most NetStreams one connection may create.
const NET_STREAMS_MAX: u32 = 8;
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
            Verb::Connect { app } => self.connect(transaction, app),
            Verb::CreateStream => self.create_stream(transaction),
            Verb::Announce => {
                self.send_result(transaction, Value::Undefined);
                Ok(())
            }
            Verb::Publish { key } => self.publish(now, message.stream, key),
            Verb::Unpublish => self.unpublish(now, transaction, false),
            Verb::DeleteStream => self.unpublish(now, transaction, true),
            Verb::Play => self.deny_status(
                message.stream,
                "NetStream.Play.Failed",
                "this server takes publishers only",
            ),
            // Encoders call methods of other servers, such as `_checkbw`, and do not wait for their answers.
            Verb::Other => Ok(()),
        }
    }

    fn connect(&mut self, transaction: f64, app: String) -> Result<(), Error> {
        if !matches!(self.state, State::Fresh) {
            return self.deny_call(transaction, "NetConnection.Connect.Rejected", "connected before");
        }
        self.state = State::Connected { app, net_streams: 0 };
        self.send_control(kind::WINDOW_ACK_SIZE, &WINDOW_BYTES.to_be_bytes());
        // rtmp §5.4.5: limit type 2, dynamic.
        let [b0, b1, b2, b3] = WINDOW_BYTES.to_be_bytes();
        self.send_control(kind::SET_PEER_BANDWIDTH, &[b0, b1, b2, b3, 2]);
        self.writer.set_chunk_size(OUTPUT_CHUNK_BYTES, &mut self.output);
        self.send_command(&command::connected(transaction));
        Ok(())
    }

    fn create_stream(&mut self, transaction: f64) -> Result<(), Error> {
        let State::Connected { net_streams, .. } = &mut self.state else {
            return self.deny_call(
                transaction,
                "NetConnection.Call.Failed",
                "createStream out of place",
            );
        };
        if *net_streams >= NET_STREAMS_MAX {
            return self.deny_call(
                transaction,
                "NetConnection.Call.Failed",
                "too many streams created",
            );
        }
        *net_streams += 1;
        let id = Value::Number((*net_streams).into());
        self.send_result(transaction, id);
        Ok(())
    }

    fn publish(&mut self, now: Instant, stream: u32, key: StreamKey) -> Result<(), Error> {
        match &mut self.state {
            State::Connected {
                app,
                net_streams: 1..,
            } => {
                let app = std::mem::take(app);
                self.state = State::Asked { stream };
                self.deadline = Some((now + self.limits.command, Waiting::Answer));
                self.events.push(Event::Publish { app, key })
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
            let status = command::on_status("status", "NetStream.Unpublish.Success", "unpublished");
            self.send_status(stream, &status);
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
