//! Access units as samples of their track's type: without what the sample entry holds alone.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// An H.264 access unit with length-prefixed NAL units, as a sample of type `avc1`: its parameter sets are in the
/// sample entry alone (ISO/IEC 14496-15 §5.4.2.1.2). Encoders repeat them in the stream, behind a delimiter.
pub fn avc1(unit: Bytes) -> Bytes {
    without(unit, |header| matches!(header & 0x1f, SPS | PPS | DELIMITER))
}

/// The same of HEVC, as a sample of type `hvc1` (ISO/IEC 14496-15 §8.4.1.1.2).
pub fn hvc1(unit: Bytes) -> Bytes {
    without(unit, |header| {
        matches!(
            header >> 1 & 0x3f,
            HEVC_VPS | HEVC_SPS | HEVC_PPS | HEVC_DELIMITER
        )
    })
}

/// Whether an HEVC access unit is an IDR picture: nothing from it on refers to anything before it.
pub fn is_idr_hvc1(unit: &Bytes) -> bool {
    let mut rest = unit.clone();
    let mut nals = std::iter::from_fn(|| next_nal(&mut rest));
    nals.any(|nal| {
        let header = nal.first().map(|header| header >> 1 & 0x3f);
        matches!(header, Some(IDR_W_RADL | IDR_N_LP))
    })
}

const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;

const IDR_W_RADL: u8 = 19;
const IDR_N_LP: u8 = 20;
const HEVC_VPS: u8 = 32;
const HEVC_SPS: u8 = 33;
const HEVC_PPS: u8 = 34;
const HEVC_DELIMITER: u8 = 35;

/// Leaves out NAL units by the first byte of their header.
fn without(unit: Bytes, out: impl Fn(u8) -> bool) -> Bytes {
    let (mut rest, mut kept) = (unit.clone(), BytesMut::with_capacity(unit.len()));
    while let Some(nal) = next_nal(&mut rest) {
        if !nal.first().is_some_and(|header| out(*header)) {
            kept.put_u32(u32::try_from(nal.len()).unwrap_or(u32::MAX));
            kept.put_slice(&nal);
        }
    }
    // What cannot be walked is handed on as it came.
    if rest.is_empty() { kept.freeze() } else { unit }
}

fn next_nal(rest: &mut Bytes) -> Option<Bytes> {
    let mut after = rest.clone();
    let length = usize::try_from(after.try_get_u32().ok()?).ok()?;
    if length > after.len() {
        return None;
    }
    *rest = after.split_off(length);
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nal(header: u8, length: u32) -> Vec<u8> {
        [&length.to_be_bytes()[..], &vec![header; length as usize]].concat()
    }

    #[test]
    fn parameters_and_delimiters_leave_the_stream() {
        type Rule = fn(Bytes) -> Bytes;
        let avc = [nal(9, 2), nal(7, 27), nal(8, 4), nal(6, 9), nal(5, 100)];
        // Access unit delimiter, VPS, SPS, PPS, prefix SEI, IDR_N_LP.
        let hevc = [35, 32, 33, 34, 39, 20].map(|kind: u8| nal(kind << 1, 20 + u32::from(kind)));
        for (rule, all, first) in [(avc1 as Rule, &avc[..], 3), (hvc1 as Rule, &hevc[..], 4)] {
            let (whole, kept) = (all.concat(), all[first..].concat());
            assert_eq!(rule(whole.clone().into()), kept);
            assert_eq!(rule(kept.clone().into()), kept);
            let torn = Bytes::from(whole).slice(..30);
            assert_eq!(rule(torn.clone()), torn);
        }
        assert!(is_idr_hvc1(&hevc.concat().into()) && is_idr_hvc1(&nal(19 << 1, 9).into()));
        // A clean random access picture, and a trailing one.
        assert!(!is_idr_hvc1(&[nal(21 << 1, 9), nal(1 << 1, 9)].concat().into()));
        let suffix = nal(40 << 1, 8);
        assert_eq!(hvc1(suffix.clone().into()), suffix, "other units of HEVC stay");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let length = bytes.len();
            prop_assert!(avc1(bytes.clone().into()).len() <= length);
            prop_assert!(hvc1(bytes.into()).len() <= length);
        }
    }
}
