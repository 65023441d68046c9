//! Packets to PES headers and payload; iso13818-1 §2.4.3.6.

use crate::bits::Bits;
use crate::event::Counters;

/// The longest header: 9 bytes and a length of one byte.
const HEADER_MAX: usize = 9 + 255;

/// The times of a PES packet: of the first unit that begins in it (iso13818-1 §2.4.3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) pts: u64,
    /// The PTS where the packet has no DTS.
    pub(crate) dts: u64,
}

/// What a packet adds to its PES packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    /// Where a PES packet's payload begins here: its times, if it has some.
    pub(crate) begins: Option<Option<Stamp>>,
    pub(crate) payload: &'a [u8],
}

/// Follows the PES packets of one PID.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    state: State,
    header: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    /// Nothing until a PES packet begins.
    #[default]
    Wait,
    /// Within a header, which may cross packets.
    Header,
    /// Within a payload; `None` where it lasts until the next begins.
    Payload(Option<usize>),
}

impl Assembler {
    /// Takes the payload of the next packet.
    pub(crate) fn push<'a>(
        &mut self,
        payload: &'a [u8],
        unit_start: bool,
        counters: &mut Counters,
    ) -> Option<Piece<'a>> {
        if unit_start {
            if let State::Payload(Some(1..)) = self.state {
                counters.pes_short += 1;
            }
            self.state = State::Header;
            self.header.clear();
        }
        match self.state {
            State::Wait => None,
            State::Header => self.header(payload, counters),
            State::Payload(rest) => {
                let payload = self.take(payload, rest);
                (!payload.is_empty()).then_some(Piece {
                    begins: None,
                    payload,
                })
            }
        }
    }

    /// Waits for the next PES packet.
    pub(crate) fn reset(&mut self) {
        self.state = State::Wait;
    }

    fn header<'a>(&mut self, bytes: &'a [u8], counters: &mut Counters) -> Option<Piece<'a>> {
        let kept = self.header.len();
        let head = bytes.get(..bytes.len().min(HEADER_MAX - kept))?;
        self.header.extend_from_slice(head);
        let &[a, b, c, stream, len_high, len_low, marker, flags, header_len] = self.header.first_chunk()?;
        // Padding and private_stream_2 have no such header, and nothing that is asked for.
        if [a, b, c] != [0, 0, 1]
            || matches!(stream, 0xBC | 0xBE | 0xBF | 0xF0..=0xF2 | 0xF8 | 0xFF)
            || marker >> 6 != 2
        {
            counters.pes_malformed += 1;
            self.state = State::Wait;
            return None;
        }
        let whole = 9 + usize::from(header_len);
        let fields = self.header.get(9..whole)?;
        let stamp = stamp(flags, fields);
        let rest = match usize::from(u16::from_be_bytes([len_high, len_low])) {
            0 => None,
            len => {
                let Some(rest) = (len + 6).checked_sub(whole) else {
                    counters.pes_malformed += 1;
                    self.state = State::Wait;
                    return None;
                };
                Some(rest)
            }
        };
        let body = bytes.get(whole.saturating_sub(kept)..)?;
        let payload = self.take(body, rest);
        Some(Piece {
            begins: Some(stamp),
            payload,
        })
    }

    /// What of `bytes` belongs to the payload; the rest is stuffing.
    fn take<'a>(&mut self, bytes: &'a [u8], rest: Option<usize>) -> &'a [u8] {
        let len = rest.map_or(bytes.len(), |rest| rest.min(bytes.len()));
        self.state = State::Payload(rest.map(|rest| rest - len));
        bytes.get(..len).unwrap_or_default()
    }
}

fn stamp(flags: u8, fields: &[u8]) -> Option<Stamp> {
    let pts = fields
        .first_chunk()
        .and_then(time)
        .filter(|_| flags & 0x80 != 0)?;
    let dts = fields
        .get(5..)
        .and_then(|rest| rest.first_chunk())
        .and_then(time)
        .filter(|_| flags & 0x40 != 0);
    Some(Stamp {
        pts,
        dts: dts.unwrap_or(pts),
    })
}

/// 33 bits between marker bits; None where a marker is missing.
fn time(field: &[u8; 5]) -> Option<u64> {
    let mut bits = Bits::new(field);
    bits.skip(4)?;
    let high = bits.read(3)?;
    let first = bits.flag()?;
    let middle = bits.read(15)?;
    let second = bits.flag()?;
    let low = bits.read(15)?;
    (first && second && bits.flag()?).then_some(high << 30 | middle << 15 | low)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: [u8; 19] = [
        0, 0, 1, 0xE0, 0, 0, 0x80, 0xC0, 10, 0x31, 0x00, 0x05, 0xBF, 0x21, 0x11, 0x00, 0x05, 0xA7, 0xB1,
    ];
    const STAMP: Stamp = Stamp {
        pts: 90_000,
        dts: 87_000,
    };

    #[test]
    fn a_header_may_cross_packets() {
        for split in 0..HEAD.len() {
            let (mut pes, mut counters) = (Assembler::default(), Counters::default());
            assert_eq!(pes.push(&HEAD[..split], true, &mut counters), None);
            let mut second = HEAD[split..].to_vec();
            second.extend([1, 2, 3]);
            assert_eq!(
                pes.push(&second, false, &mut counters),
                Some(Piece {
                    begins: Some(Some(STAMP)),
                    payload: &[1, 2, 3]
                })
            );
            assert_eq!(
                pes.push(&[4], false, &mut counters),
                Some(Piece {
                    begins: None,
                    payload: &[4]
                })
            );
        }
    }

    #[test]
    fn a_length_ends_the_payload() {
        let mut head = HEAD;
        head[5] = 13 + 4;
        let (mut pes, mut counters) = (Assembler::default(), Counters::default());
        assert_eq!(
            pes.push(&head, true, &mut counters).unwrap().payload,
            &[] as &[u8]
        );
        assert_eq!(
            pes.push(&[1, 2, 3], false, &mut counters).unwrap().payload,
            &[1, 2, 3]
        );
        assert_eq!(pes.push(&[4, 5, 6], false, &mut counters).unwrap().payload, &[4]);
        assert_eq!(pes.push(&[7], false, &mut counters), None);
        assert_eq!(counters.pes_short, 0);
        pes.push(&head, true, &mut counters);
        pes.push(&head, true, &mut counters);
        assert_eq!(counters.pes_short, 1);
    }

    #[test]
    fn bad_headers_are_dropped() {
        let (mut pes, mut counters) = (Assembler::default(), Counters::default());
        for (at, value) in [(2, 2), (3, 0xBE), (6, 0x40), (5, 3)] {
            let mut head = HEAD;
            head[at] = value;
            assert_eq!(pes.push(&head, true, &mut counters), None);
            assert_eq!(pes.push(&[1], false, &mut counters), None);
        }
        assert_eq!(counters.pes_malformed, 4);
        let mut unmarked = HEAD;
        unmarked[9] &= 0xFE;
        assert_eq!(
            pes.push(&unmarked, true, &mut counters).unwrap().begins,
            Some(None)
        );
    }
}
