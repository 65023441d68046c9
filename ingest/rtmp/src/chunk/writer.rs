//! Messages to chunks.

use bytes::{BufMut, BytesMut};

use super::{EXTENDED, Message, SIZE_DEFAULT, kind};

/// Writes messages as type 0 chunks, continued by type 3.
#[derive(Debug)]
pub struct Writer {
    chunk_size: usize,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            chunk_size: SIZE_DEFAULT,
        }
    }
}

impl Writer {
    /// Announces `size` to the peer and uses it from the next message on.
    pub fn set_chunk_size(&mut self, size: u16, output: &mut BytesMut) {
        let payload = u32::from(size.max(1)).to_be_bytes();
        self.write(2, &control(kind::SET_CHUNK_SIZE, &payload), output);
        self.chunk_size = usize::from(size.max(1));
    }

    /// Appends `message` on chunk stream `id` (2..=63); a payload past 16 MiB is cut there.
    pub fn write(&mut self, id: u8, message: &Message, output: &mut BytesMut) {
        let timestamp = message.timestamp_ms;
        let extended = timestamp >= EXTENDED;
        let length_max = EXTENDED as usize;
        let payload = message.payload.get(..length_max).unwrap_or(&message.payload);
        output.put_u8(id & 0x3F);
        output.put_uint(timestamp.min(EXTENDED).into(), 3);
        output.put_uint(payload.len() as u64, 3);
        output.put_u8(message.kind);
        output.put_u32_le(message.stream);
        if extended {
            output.put_u32(timestamp);
        }
        for (index, chunk) in payload.chunks(self.chunk_size).enumerate() {
            if index > 0 {
                output.put_u8(0xC0 | id & 0x3F);
                if extended {
                    output.put_u32(timestamp);
                }
            }
            output.put_slice(chunk);
        }
    }
}

/// A message of message stream 0 and time 0, as protocol and user control are.
pub(crate) fn control(kind: u8, payload: &[u8]) -> Message {
    Message {
        timestamp_ms: 0,
        kind,
        stream: 0,
        payload: bytes::Bytes::copy_from_slice(payload),
    }
}
