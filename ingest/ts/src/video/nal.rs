//! NAL units: where they begin and what they are.

use crate::bits::Bits;
use crate::event::VideoCodec;

/// What is asked of a NAL unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Part of a picture.
    Slice,
    /// Part of a picture at which decoding can start.
    Intra,
    /// A parameter set.
    Set(Set),
    /// Supplemental enhancement information before the picture.
    Sei,
    /// Anything else.
    Other,
}

/// The kinds of parameter sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Set {
    Vps,
    Sps,
    Pps,
}

/// The beginning of a NAL unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nal {
    pub(super) kind: Kind,
    /// After a slice, it begins the next access unit.
    pub(super) may_begin: bool,
}

impl Nal {
    /// None if more bytes are needed.
    pub(super) fn parse(codec: VideoCodec, body: &[u8]) -> Option<Self> {
        match codec {
            VideoCodec::H264 => body.first_chunk().map(|[header, slice]| h264(*header, *slice)),
            VideoCodec::Hevc => body
                .first_chunk()
                .map(|[header, layer, slice]| hevc(*header, *layer, *slice)),
        }
    }
}

/// h264 table 7-1
fn h264(header: u8, slice: u8) -> Nal {
    // first_mb_in_slice is 0 where its Exp-Golomb code is a single 1.
    let first_slice = slice & 0x80 != 0;
    let (kind, may_begin) = match header & 0x1F {
        1 | 2 => (Kind::Slice, first_slice && header & 0x1F == 1),
        3 | 4 => (Kind::Slice, false),
        5 => (Kind::Intra, first_slice),
        6 => (Kind::Sei, true),
        7 => (Kind::Set(Set::Sps), true),
        8 => (Kind::Set(Set::Pps), true),
        9 | 15..=18 => (Kind::Other, true),
        _ => (Kind::Other, false),
    };
    Nal { kind, may_begin }
}

/// h265 table 7-1
fn hevc(header: u8, layer: u8, slice: u8) -> Nal {
    // Only the base layer delimits units: nuh_layer_id is 0.
    let base = header & 1 == 0 && layer >> 3 == 0;
    let first_slice = slice & 0x80 != 0;
    let (kind, may_begin) = match header >> 1 & 0x3F {
        16..=23 => (Kind::Intra, first_slice),
        0..=31 => (Kind::Slice, first_slice),
        32 => (Kind::Set(Set::Vps), true),
        33 => (Kind::Set(Set::Sps), true),
        34 => (Kind::Set(Set::Pps), true),
        39 => (Kind::Sei, true),
        35 | 41..=44 | 48..=55 => (Kind::Other, true),
        _ => (Kind::Other, false),
    };
    Nal {
        kind: if base { kind } else { Kind::Other },
        may_begin: base && may_begin,
    }
}

/// The first 00 00 01 at `from` or behind.
pub(super) fn start_code(bytes: &[u8], from: usize) -> Option<usize> {
    let mut last = from + 2;
    // Two of three steps skip three bytes: only zeros need a closer look.
    while let Some(byte) = bytes.get(last) {
        match byte {
            0 => last += 1,
            1 if bytes.get(last - 2..last) == Some(&[0, 0]) => return Some(last - 2),
            _ => last += 3,
        }
    }
    None
}

/// Whether a SEI NAL unit of H.264 says that pictures are right from here on: h264 §D.1.8, recovery_frame_cnt of 0.
pub(super) fn recovers_at_once(nal: &[u8]) -> bool {
    const RECOVERY_POINT: u64 = 6;
    let mut rest = nal.get(1..).unwrap_or_default();
    while rest.len() > 2 {
        let (Some(kind), Some(len)) = (sei_number(&mut rest), sei_number(&mut rest)) else {
            return false;
        };
        if kind == RECOVERY_POINT {
            return Bits::new(rest).exp_golomb() == Some(0);
        }
        // Emulation prevention bytes are not counted by len, so a message that has some may hide the next; encoders send
        // the recovery point in its own NAL unit or first.
        let Some(next) = usize::try_from(len).ok().and_then(|len| rest.get(len..)) else {
            return false;
        };
        rest = next;
    }
    false
}

/// h264 §7.3.2.3.1: 0xFF adds 255 and goes on.
fn sei_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    loop {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number += u64::from(*byte);
        if *byte != 0xFF {
            return Some(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_codes_at_every_place() {
        for zeros in 0..9 {
            let mut bytes = vec![7; zeros];
            bytes.extend([0, 0, 1]);
            assert_eq!(start_code(&bytes, 0), Some(zeros));
            assert_eq!(start_code(&bytes, zeros + 1), None);
            bytes[zeros] = 9;
            assert_eq!(start_code(&bytes, 0), None);
        }
        assert_eq!(start_code(&[0, 0, 0, 0, 1], 0), Some(2));
        assert_eq!(start_code(&[1, 0, 1, 0, 0, 1], 0), Some(3));
    }

    #[test]
    fn recovery_points() {
        assert!(recovers_at_once(&[6, 6, 1, 0xC4, 0x80]));
        assert!(recovers_at_once(&[6, 5, 2, 9, 9, 6, 1, 0xC4, 0x80]));
        assert!(
            !recovers_at_once(&[6, 6, 1, 0x44, 0x80]),
            "recovers one frame later"
        );
        assert!(!recovers_at_once(&[6, 5, 0xFF, 0xFF]));
        assert!(!recovers_at_once(&[]));
    }
}
