//! Bytes and box headers (ISO/IEC 14496-12 §4.2), read without trust.

use super::Error;

/// A box's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: [u8; 4],
    /// Length of the header, bytes.
    pub(super) header: u64,
    /// Length of the box with its header, bytes.
    pub(super) size: u64,
}

/// Longest box at all, bytes: more than an hour of anything.
const BOX_BYTES_MAX: u64 = 1 << 40;

/// The header at the front of `bytes`; none while it is not here as a whole.
pub(super) fn head(bytes: &[u8]) -> Result<Option<Head>, Error> {
    let mut reader = Reader(bytes);
    let (Some(size), Some(kind)) = (reader.u32(), reader.array::<4>()) else {
        return Ok(None);
    };
    let (header, size) = match size {
        1 => match reader.u64() {
            Some(size) => (16, size),
            None => return Ok(None),
        },
        // 0 is "to the end of the file", which a body that goes on for hours has not.
        size => (8, u64::from(size)),
    };
    if !(header..=BOX_BYTES_MAX).contains(&size) {
        return Err(Error::Malformed("size"));
    }
    Ok(Some(Head { kind, header, size }))
}

/// The boxes inside a box's body, each with its own body.
pub(super) fn children<'a>(
    body: &'a [u8],
    name: &'static str,
) -> impl Iterator<Item = Result<([u8; 4], &'a [u8]), Error>> {
    let mut rest = body;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let child = child(rest).ok_or(Error::Malformed(name));
        match child {
            Ok((kind, inside, after)) => {
                rest = after;
                Some(Ok((kind, inside)))
            }
            Err(error) => {
                rest = &[];
                Some(Err(error))
            }
        }
    })
}

fn child(rest: &[u8]) -> Option<([u8; 4], &[u8], &[u8])> {
    let head = head(rest).ok()??;
    let (header, size) = (
        usize::try_from(head.header).ok()?,
        usize::try_from(head.size).ok()?,
    );
    Some((head.kind, rest.get(header..size)?, rest.get(size..)?))
}

/// The first box of this kind inside a body.
pub(super) fn find<'a>(
    body: &'a [u8],
    kind: &[u8; 4],
    name: &'static str,
) -> Result<Option<&'a [u8]>, Error> {
    for child in children(body, name) {
        let (found, inside) = child?;
        if found == *kind {
            return Ok(Some(inside));
        }
    }
    Ok(None)
}

/// Whether a `styp`'s body names a brand, its major one or any other.
pub(super) fn has_brand(body: &[u8], brand: [u8; 4]) -> bool {
    let (brands, _) = body.as_chunks::<4>();
    brands
        .iter()
        .enumerate()
        .any(|(at, found)| at != 1 && *found == brand)
}

/// Big-endian numbers from the front of bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*front)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn skip(&mut self, bytes: usize) -> Option<()> {
        self.bytes(bytes).map(|_| ())
    }

    pub(super) fn bytes(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(front)
    }

    /// Version and flags of a full box.
    pub(super) fn full(&mut self) -> Option<(u8, u32)> {
        let word = self.u32()?;
        let version = word.to_be_bytes().first().copied()?;
        Some((version, word & 0x00ff_ffff))
    }
}
