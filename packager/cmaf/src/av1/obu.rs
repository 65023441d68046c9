//! Open bitstream units of a temporal unit (AV1 §5.3).

/// What a unit is, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    SequenceHeader,
    TemporalDelimiter,
    TileList,
    Padding,
    Other,
}

/// One unit.
pub(super) struct Obu<'a> {
    pub(super) kind: Kind,
    /// With its header.
    pub(super) bytes: &'a [u8],
    pub(super) payload: &'a [u8],
}

/// The units of a byte string, up to the first that does not fit.
pub(super) struct Obus<'a>(&'a [u8]);

impl<'a> Obus<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Once it has ended: whether bytes are left that are no unit.
    pub(super) fn is_torn(&self) -> bool {
        !self.0.is_empty()
    }
}

impl<'a> Iterator for Obus<'a> {
    type Item = Obu<'a>;

    fn next(&mut self) -> Option<Obu<'a>> {
        let header = *self.0.first()?;
        // §5.3.2: the forbidden bit; and without a size only the last unit of a sample could end.
        if header & 0x80 != 0 || header & 0x02 == 0 {
            return None;
        }
        let at = if header & 0x04 == 0 { 1 } else { 2 };
        let (size, length) = leb128(self.0.get(at..)?)?;
        let end = at.checked_add(length)?.checked_add(size)?;
        let (bytes, rest) = self.0.split_at_checked(end)?;
        let payload = bytes.get(at + length..)?;
        self.0 = rest;
        let kind = match header >> 3 & 0xf {
            1 => Kind::SequenceHeader,
            2 => Kind::TemporalDelimiter,
            8 => Kind::TileList,
            15 => Kind::Padding,
            _ => Kind::Other,
        };
        Some(Obu { kind, bytes, payload })
    }
}

/// §4.10.5: the number, and the bytes it takes.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().take(8).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let number = u32::try_from(number).ok()?;
            return Some((usize::try_from(number).ok()?, at + 1));
        }
    }
    None
}
