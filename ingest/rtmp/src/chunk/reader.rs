//! Chunks to messages.

use std::collections::BTreeMap;

use bytes::BytesMut;

use super::{EXTENDED, Error, Message, SIZE_DEFAULT, SIZE_MAX};
use crate::handshake::take;

/// Longest chunk header: 3 basic, 11 message, 4 extended timestamp.
const HEADER_BYTES_MAX: usize = 18;

/// Puts messages together, whatever pieces their chunks arrive in.
pub struct Reader {
    chunk_size: usize,
    message_bytes_max: usize,
    streams_max: usize,
    /// Bytes of a header that is not complete yet; at most `HEADER_BYTES_MAX`.
    header: Vec<u8>,
    /// The chunk being read: its chunk stream, and bytes still missing (never 0).
    chunk: Option<(u32, usize)>,
    streams: BTreeMap<u32, Stream>,
    partial_bytes: usize,
}

/// What later headers of one chunk stream refer back to, and its message under assembly.
#[derive(Default)]
struct Stream {
    timestamp_ms: u32,
    /// Timestamp field of the last header that had one.
    delta_ms: u32,
    extended: bool,
    length: usize,
    kind: u8,
    stream: u32,
    payload: BytesMut,
}

/// A complete chunk header.
struct Header {
    format: u8,
    id: u32,
    /// The format's own fields: timestamp, length and type, message stream.
    fields: [u8; 11],
    extended: Option<u32>,
}

impl Reader {
    /// `message_bytes_max` bounds each message and all partial ones together.
    pub fn new(message_bytes_max: usize, streams_max: usize) -> Self {
        Self {
            chunk_size: SIZE_DEFAULT,
            message_bytes_max,
            streams_max,
            header: Vec::with_capacity(HEADER_BYTES_MAX),
            chunk: None,
            streams: BTreeMap::new(),
            partial_bytes: 0,
        }
    }

    /// Consumes from `input` up to the end of the next message; `None` when `input` is used up before.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        loop {
            let message = if let Some((id, missing)) = self.chunk {
                if input.is_empty() {
                    return Ok(None);
                }
                self.body(id, missing, input)?
            } else {
                let Some(header) = self.header(input) else {
                    return Ok(None);
                };
                self.begin(&header)?
            };
            if message.is_some() {
                return Ok(message);
            }
        }
    }

    /// rtmp §5.4.1: the peer's chunks are at most `size` bytes from the next chunk on. The top bit is zero.
    pub fn set_chunk_size(&mut self, size: u32) -> Result<(), Error> {
        if size == 0 || size > i32::MAX.unsigned_abs() {
            return Err(Error::Size(size));
        }
        self.chunk_size = usize::try_from(size).map_or(SIZE_MAX, |size| size.min(SIZE_MAX));
        Ok(())
    }

    /// rtmp §5.4.2: discards what has arrived of the message on chunk stream `id`.
    pub fn abort(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            self.partial_bytes -= std::mem::take(&mut stream.payload).len();
        }
    }

    /// Bytes held for messages that are not complete.
    pub fn partial_bytes(&self) -> usize {
        self.partial_bytes
    }

    /// Collects one header, over as many calls as it takes.
    fn header(&mut self, input: &mut &[u8]) -> Option<Header> {
        loop {
            let need = self.header_bytes();
            if self.header.len() == need {
                break;
            }
            if input.is_empty() {
                return None;
            }
            self.header
                .extend_from_slice(take(input, need - self.header.len()));
        }
        let mut rest = self.header.as_slice();
        let (format, id) = basic(&mut rest)?;
        let mut fields = [0; 11];
        let own = take(&mut rest, message_header_bytes(format));
        fields
            .iter_mut()
            .zip(own)
            .for_each(|(field, byte)| *field = *byte);
        let extended = rest.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        self.header.clear();
        Some(Header {
            format,
            id,
            fields,
            extended,
        })
    }

    /// How long the header begun in `self.header` is, as far as its bytes tell.
    fn header_bytes(&self) -> usize {
        let mut rest = self.header.as_slice();
        let Some(&first) = rest.first() else { return 1 };
        let basic_bytes = basic_header_bytes(first);
        let Some((format, id)) = basic(&mut rest) else {
            return basic_bytes;
        };
        let bytes = basic_bytes + message_header_bytes(format);
        let extended = if format == 3 {
            // rtmp §5.3.1.3: a type 3 chunk repeats the extended timestamp where the header before had one.
            self.streams.get(&id).is_some_and(|stream| stream.extended)
        } else {
            rest.first_chunk::<3>() == Some(&[0xFF; 3])
        };
        if extended { bytes + 4 } else { bytes }
    }

    /// Takes over a header: the begin of a message, or of its next chunk.
    fn begin(&mut self, header: &Header) -> Result<Option<Message>, Error> {
        let id = header.id;
        if !self.streams.contains_key(&id) {
            // rtmp §5.3.1.2.1: a chunk stream begins with type 0. OBS begins its control stream with type 1.
            if header.format > 1 {
                return Err(Error::NothingToRepeat(id));
            }
            if self.streams.len() >= self.streams_max {
                return Err(Error::TooManyStreams(self.streams_max));
            }
        }
        let stream = self.streams.entry(id).or_default();
        if stream.payload.is_empty() {
            stream.begin(header);
            if stream.length > self.message_bytes_max {
                return Err(Error::MessageTooLong(stream.length));
            }
            if stream.length == 0 {
                return Ok(Some(stream.finish()));
            }
        } else if header.format != 3 {
            return Err(Error::InsideMessage(id));
        }
        self.chunk = Some((id, self.chunk_size.min(stream.length - stream.payload.len())));
        Ok(None)
    }

    /// Appends to the chunk being read.
    fn body(&mut self, id: u32, missing: usize, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        let stream = self
            .streams
            .get_mut(&id)
            .expect("a chunk being read has its chunk stream");
        let bytes = take(input, missing);
        if self.partial_bytes + bytes.len() > self.message_bytes_max {
            return Err(Error::PartialsTooLong(self.message_bytes_max));
        }
        self.partial_bytes += bytes.len();
        stream.payload.extend_from_slice(bytes);
        self.chunk = Some((id, missing - bytes.len())).filter(|(_, missing)| *missing > 0);
        if stream.payload.len() < stream.length {
            return Ok(None);
        }
        self.partial_bytes -= stream.length;
        Ok(Some(stream.finish()))
    }
}

impl Stream {
    /// rtmp §5.3.1.2: each type leaves out what the header before it said.
    fn begin(&mut self, header: &Header) {
        let [t0, t1, t2, l0, l1, l2, kind, s0, s1, s2, s3] = header.fields;
        if header.format < 3 {
            let field = u32::from_be_bytes([0, t0, t1, t2]);
            self.extended = field == EXTENDED;
            self.delta_ms = header.extended.unwrap_or(field);
        }
        if header.format < 2 {
            self.length = usize::from(l0) << 16 | usize::from(l1) << 8 | usize::from(l2);
            self.kind = kind;
        }
        if header.format == 0 {
            self.timestamp_ms = self.delta_ms;
            self.stream = u32::from_le_bytes([s0, s1, s2, s3]);
        } else {
            // rtmp §5.3.1.2.4: after a type 0, type 3 adds that header's timestamp; else the last delta.
            self.timestamp_ms = self.timestamp_ms.wrapping_add(self.delta_ms);
        }
    }

    fn finish(&mut self) -> Message {
        Message {
            timestamp_ms: self.timestamp_ms,
            kind: self.kind,
            stream: self.stream,
            payload: std::mem::take(&mut self.payload).freeze(),
        }
    }
}

/// rtmp §5.3.1.1: type and chunk stream id, in one to three bytes.
fn basic(rest: &mut &[u8]) -> Option<(u8, u32)> {
    let first = *rest.first()?;
    let header = rest.get(..basic_header_bytes(first))?;
    *rest = rest.get(header.len()..)?;
    let id = match *header {
        [_, low] => 64 + u32::from(low),
        [_, low, high] => 64 + u32::from(low) + 256 * u32::from(high),
        _ => u32::from(first & 0x3F),
    };
    Some((first >> 6, id))
}

fn basic_header_bytes(first: u8) -> usize {
    match first & 0x3F {
        0 => 2,
        1 => 3,
        _ => 1,
    }
}

fn message_header_bytes(format: u8) -> usize {
    match format {
        0 => 11,
        1 => 7,
        2 => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
