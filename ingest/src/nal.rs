//! PURE. NAL units of an access unit, however they are told apart.

/// NAL units with where their lengths stand; ends at what cannot be walked.
pub(crate) fn by_length(unit: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (length, rest) = unit.get(at..)?.split_first_chunk::<4>()?;
        let nal = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        let found = (at, nal);
        at += 4 + nal.len();
        Some(found)
    })
}

/// NAL units between start codes (h264 Annex B), without the zeros that belong to a start code.
pub(crate) fn by_start_code(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    let code = |bytes: &[u8]| bytes.windows(3).position(|window| window == [0, 0, 1]);
    rest = code(rest).and_then(|at| rest.get(at + 3..)).unwrap_or_default();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = code(rest);
        let (nal, after) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
        rest = after.get(3..).unwrap_or_default();
        let zeros = nal.iter().rev().take_while(|byte| **byte == 0).count();
        nal.get(..nal.len() - zeros)
    })
}
