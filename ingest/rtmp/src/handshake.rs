//! The simple handshake: C0 C1 C2 in, S0 S1 S2 out.

use bytes::{BufMut, BytesMut};

/// Bytes of C1, C2, S1 and S2.
pub const PACKET_BYTES: usize = 1536;
/// Random bytes in S1.
pub const RANDOM_BYTES: usize = 1528;
/// rtmp §5.2.2: the version this specification defines.
const VERSION: u8 = 3;

/// Why a handshake failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The first byte names another protocol, or an encrypted variant.
    #[error("protocol version {0} in the handshake, 3 expected")]
    Version(u8),
}

/// The server's half of a handshake.
#[derive(Debug)]
pub struct Handshake {
    random: Box<[u8; RANDOM_BYTES]>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    C0,
    C1(Vec<u8>),
    C2 { missing: usize },
    Done,
}

impl Handshake {
    /// `random` fills S1.
    pub fn new(random: [u8; RANDOM_BYTES]) -> Self {
        Self {
            random: Box::new(random),
            stage: Stage::C0,
        }
    }

    /// Consumes from `input`, appends the answer to `output`; true once C2 is complete.
    pub fn read(&mut self, input: &mut &[u8], output: &mut BytesMut) -> Result<bool, Error> {
        loop {
            match &mut self.stage {
                Stage::C0 => {
                    let Some((&version, rest)) = input.split_first() else {
                        return Ok(false);
                    };
                    if version != VERSION {
                        return Err(Error::Version(version));
                    }
                    *input = rest;
                    self.stage = Stage::C1(Vec::new());
                }
                Stage::C1(c1) => {
                    c1.extend_from_slice(take(input, PACKET_BYTES - c1.len()));
                    if c1.len() < PACKET_BYTES {
                        return Ok(false);
                    }
                    output.reserve(1 + 2 * PACKET_BYTES);
                    output.put_u8(VERSION);
                    // rtmp §5.2.3: time, then zero. A zero version also tells ffmpeg that no digest follows.
                    output.put_u64(0);
                    output.put_slice(self.random.as_slice());
                    // rtmp §5.2.4: S2 echoes C1. OBS compares all of it, so the time of reading is not filled in.
                    output.put_slice(c1);
                    self.stage = Stage::C2 {
                        missing: PACKET_BYTES,
                    };
                }
                Stage::C2 { missing } => {
                    *missing -= take(input, *missing).len();
                    if *missing > 0 {
                        return Ok(false);
                    }
                    // Not compared with S1: digest clients send something else here.
                    self.stage = Stage::Done;
                }
                Stage::Done => return Ok(true),
            }
        }
    }
}

/// Takes up to `count` bytes off the front of `input`.
pub(crate) fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (head, rest) = input.split_at_checked(count).unwrap_or((*input, &[]));
    *input = rest;
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Vec<u8> {
        let mut bytes = vec![3];
        bytes.extend((0..2 * PACKET_BYTES).map(|i| u8::try_from(i % 251).expect("below 251")));
        bytes
    }

    #[test]
    fn s1_carries_the_random_bytes_and_s2_echoes_c1() {
        let mut handshake = Handshake::new([7; RANDOM_BYTES]);
        let mut output = BytesMut::new();
        let bytes = client();
        let mut input = bytes.as_slice();
        assert_eq!(handshake.read(&mut input, &mut output), Ok(true));
        assert_eq!(output.len(), 1 + 2 * PACKET_BYTES);
        assert_eq!(output[0], 3);
        assert_eq!(output[1..9], [0; 8]);
        assert_eq!(output[9..1537], [7; RANDOM_BYTES]);
        assert_eq!(output[1537..], bytes[1..1537]);
    }

    #[test]
    fn byte_by_byte_answers_once_and_leaves_what_follows() {
        let mut handshake = Handshake::new([7; RANDOM_BYTES]);
        let mut output = BytesMut::new();
        let bytes = client();
        let (last, before) = bytes.split_last().unwrap();
        for byte in before {
            assert_eq!(handshake.read(&mut [*byte].as_slice(), &mut output), Ok(false));
        }
        let tail = [*last, 42];
        let mut input = tail.as_slice();
        assert_eq!(handshake.read(&mut input, &mut output), Ok(true));
        assert_eq!((input, output.len()), ([42].as_slice(), 1 + 2 * PACKET_BYTES));
    }

    #[test]
    fn another_version_is_refused_at_its_first_byte() {
        for version in [0, 6, b'G', 22] {
            let mut output = BytesMut::new();
            let result = Handshake::new([0; RANDOM_BYTES]).read(&mut [version].as_slice(), &mut output);
            assert_eq!(result, Err(Error::Version(version)));
            assert!(output.is_empty());
        }
    }
}
