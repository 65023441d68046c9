//! Protocol control and user control messages, and everything the session writes.

use bytes::Bytes;

use super::{Error, Session};
use crate::amf::Value;
use crate::chunk::{self, Message, control, kind};
use crate::command;

/// Chunk size of our output; every answer fits one chunk.
pub(super) const OUTPUT_CHUNK_BYTES: u16 = 4096;
/// Bytes after which we ask the peer, and the peer asks us, for an acknowledgement.
pub(super) const WINDOW_BYTES: u32 = 2_500_000;
/// Chunk streams of our output.
const CONTROL_CHUNKS: u8 = 2;
const COMMAND_CHUNKS: u8 = 3;
const STATUS_CHUNKS: u8 = 5;

/// User control events, rtmp §7.1.7.
const STREAM_BEGIN: u16 = 0;
const PING_REQUEST: u16 = 6;
const PING_RESPONSE: u16 = 7;

/// When the peer wants to hear how much has arrived.
#[derive(Debug, Default)]
pub(super) struct Acknowledgements {
    received: u64,
    acknowledged: u64,
    /// rtmp §5.4.4: the peer's window; none until it states one.
    window: Option<u32>,
}

impl Acknowledgements {
    /// Counts bytes after the handshake.
    pub(super) fn received(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    /// rtmp §5.4.3: the sequence number to send, once a window's worth has arrived.
    fn due(&mut self) -> Option<u32> {
        let window = self.window?;
        if self.received - self.acknowledged < window.into() {
            return None;
        }
        self.acknowledged = self.received;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the sequence number wraps at 32 bits"
        )]
        Some(self.received as u32)
    }

    #[cfg(test)]
    pub(super) fn total(&self) -> usize {
        usize::try_from(self.received).expect("tests are short")
    }
}

impl Session {
    /// rtmp §5.4, §7.1.7.
    pub(super) fn control(&mut self, message: &Message) -> Result<(), Error> {
        let field = message
            .payload
            .first_chunk()
            .map(|field| u32::from_be_bytes(*field));
        let field = field.ok_or(chunk::Error::Short(message.kind));
        match message.kind {
            kind::SET_CHUNK_SIZE => self.reader.set_chunk_size(field?)?,
            kind::ABORT => self.reader.abort(field?),
            kind::WINDOW_ACK_SIZE => self.acknowledgements.window = Some(field?).filter(|window| *window > 0),
            kind::USER_CONTROL => self.user_control(&message.payload),
            // An acknowledgement or a bandwidth: what we write is far below any window.
            _ => {}
        }
        Ok(())
    }

    fn user_control(&mut self, payload: &[u8]) {
        let Some(&[e0, e1, t0, t1, t2, t3]) = payload.first_chunk() else {
            return;
        };
        if u16::from_be_bytes([e0, e1]) == PING_REQUEST {
            let [r0, r1] = PING_RESPONSE.to_be_bytes();
            self.send_control(kind::USER_CONTROL, &[r0, r1, t0, t1, t2, t3]);
        }
    }

    pub(super) fn acknowledge(&mut self) {
        if let Some(sequence) = self.acknowledgements.due() {
            self.send_control(kind::ACKNOWLEDGEMENT, &sequence.to_be_bytes());
        }
    }

    pub(super) fn send_stream_begin(&mut self, stream: u32) {
        let payload = [STREAM_BEGIN.to_be_bytes().as_slice(), &stream.to_be_bytes()].concat();
        self.send_control(kind::USER_CONTROL, &payload);
    }

    pub(super) fn send_control(&mut self, kind: u8, payload: &[u8]) {
        self.writer
            .write(CONTROL_CHUNKS, &control(kind, payload), &mut self.output);
    }

    pub(super) fn send_command(&mut self, payload: &[u8]) {
        self.writer
            .write(COMMAND_CHUNKS, &control(kind::COMMAND, payload), &mut self.output);
    }

    /// rtmp §7.2: a call with transaction 0 wants no answer.
    pub(super) fn send_result(&mut self, transaction: f64, value: Value) {
        if transaction != 0.0 {
            self.send_command(&command::result(transaction, value));
        }
    }

    pub(super) fn send_status(&mut self, stream: u32, payload: &Bytes) {
        let message = Message {
            timestamp_ms: 0,
            kind: kind::COMMAND,
            stream,
            payload: payload.clone(),
        };
        self.writer.write(STATUS_CHUNKS, &message, &mut self.output);
    }
}
