//! Captions in SEI: user_data_registered_itu_t_t35 of ATSC A/53 part 4 §6.2.3.

use bytes::{BufMut, Bytes, BytesMut};

use super::Triple;
use crate::media::{Framing, VideoCodec, VideoFormat};
use crate::nal;

/// Country United States, provider ATSC, identifier, cc_data.
const HEAD: [u8; 8] = [0xB5, 0x00, 0x31, b'G', b'A', b'9', b'4', 0x03];
/// user_data_registered_itu_t_t35.
const REGISTERED: usize = 4;
/// NAL unit types: slices of H.264 have 1 to 5, its SEI has 6; the prefix SEI of HEVC has 39.
const SLICES: std::ops::RangeInclusive<u8> = 1..=5;
const SEI: u8 = 6;
const HEVC_SEI: u8 = 39;

/// Captions of an access unit that say something.
pub(crate) fn of_unit(format: VideoFormat, unit: &[u8]) -> Vec<Triple> {
    let mut out = Vec::new();
    let mut take = |nal: &[u8]| {
        let kind = nal.first().copied().unwrap_or(0);
        match format.codec {
            VideoCodec::H264 if kind & 0x1F == SEI => of_messages(&unescaped(nal.get(1..)), &mut out),
            VideoCodec::Hevc if kind >> 1 & 0x3F == HEVC_SEI => {
                of_messages(&unescaped(nal.get(2..)), &mut out);
            }
            VideoCodec::H264 | VideoCodec::Hevc | VideoCodec::Av1 | VideoCodec::Vp9 => {}
        }
    };
    match format.framing {
        Framing::Record => nal::by_length(unit).for_each(|(_, nal)| take(nal)),
        Framing::StartCodes => nal::by_start_code(unit).for_each(take),
    }
    out
}

/// The unit, its NAL units behind lengths of 4 bytes, with `sei` before its picture.
pub(crate) fn with_sei(unit: Bytes, sei: &[u8]) -> Bytes {
    let is_slice =
        |(_, nal): &(usize, &[u8])| nal.first().is_some_and(|kind| SLICES.contains(&(kind & 0x1F)));
    let Some((at, _)) = nal::by_length(&unit).find(is_slice) else {
        return unit;
    };
    let (before, after) = unit.split_at(at);
    let mut out = BytesMut::with_capacity(unit.len() + 4 + sei.len());
    out.put_slice(before);
    out.put_u32(u32::try_from(sei.len()).unwrap_or(u32::MAX));
    out.put_slice(sei);
    out.put_slice(after);
    out.freeze()
}

/// The H.264 unit, its NAL units behind lengths of 4 bytes, without the SEI that carries captions.
pub(crate) fn without_captions(unit: Bytes) -> Bytes {
    let is_captions = |nal: &[u8]| {
        let mut said = Vec::new();
        if nal.first().is_some_and(|kind| kind & 0x1F == SEI) {
            of_messages(&unescaped(nal.get(1..)), &mut said);
        }
        !said.is_empty()
    };
    if !nal::by_length(&unit).any(|(_, nal)| is_captions(nal)) {
        return unit;
    }
    let mut out = BytesMut::with_capacity(unit.len());
    for (_, nal) in nal::by_length(&unit).filter(|(_, nal)| !is_captions(nal)) {
        out.put_u32(u32::try_from(nal.len()).unwrap_or(u32::MAX));
        out.put_slice(nal);
    }
    out.freeze()
}

/// A SEI NAL unit of H.264 with these captions, at most 31.
pub(super) fn write(triples: &[Triple]) -> Bytes {
    let count = u8::try_from(triples.len()).unwrap_or(31).min(31);
    let mut payload = HEAD.to_vec();
    // process_cc_data_flag and a reserved bit that is 1; em_data is reserved.
    payload.extend([0xC0 | count, 0xFF]);
    payload.extend(triples.iter().take(count.into()).flatten());
    payload.push(0xFF);
    let length = u8::try_from(payload.len()).expect("31 triples are 104 bytes");
    let mut out = BytesMut::from(&[SEI][..]);
    let mut zeros = 0;
    for byte in [4, length].into_iter().chain(payload).chain([0x80]) {
        // ISO/IEC 14496-10 §7.4.1: nothing looks like a start code.
        if zeros == 2 && byte <= 3 {
            out.put_u8(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.put_u8(byte);
    }
    out.freeze()
}

/// ISO/IEC 14496-10 §7.3.2.3: type, length, payload, each number in bytes of which 255 means more.
fn of_messages(mut rest: &[u8], out: &mut Vec<Triple>) {
    while let Some((kind, after)) = number(rest)
        && let Some((length, after)) = number(after)
        && let Some((payload, after)) = after.split_at_checked(length)
    {
        rest = after;
        if kind == REGISTERED
            && let Some([flags, _em_data, triples @ ..]) = payload.strip_prefix(&HEAD)
            && flags & 0x40 != 0
        {
            let (triples, _) = triples.as_chunks::<3>();
            let said = triples
                .iter()
                .take(usize::from(flags & 31))
                .filter(|triple| says(**triple));
            out.extend(said);
        }
    }
}

fn number(mut bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut sum = 0;
    loop {
        let (byte, rest) = bytes.split_first()?;
        (sum, bytes) = (sum + usize::from(*byte), rest);
        if *byte != 255 {
            return Some((sum, bytes));
        }
    }
}

/// Not padding: cc_valid, and of CEA-608 not a pair of zeros behind their parity.
fn says([head, one, two]: Triple) -> bool {
    let is_field = head & 3 < 2;
    head & 4 != 0 && !(is_field && one & 0x7F == 0 && two & 0x7F == 0)
}

fn unescaped(nal: Option<&[u8]>) -> Vec<u8> {
    let (mut out, mut zeros) = (Vec::new(), 0);
    for byte in nal.unwrap_or_default() {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        out.push(*byte);
    }
    out
}
