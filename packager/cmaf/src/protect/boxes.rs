//! Boxes of ISO/IEC 23001-7 in an init segment that has none.

use std::ops::Range;

use bytes::BufMut as _;
use mp4_atom::FourCC;

use super::Key;
use crate::Error;

/// The common system (W3C `cenc` initialisation data §4): a list of key ids, whoever has the keys.
const COMMON_SYSTEM: [u8; 16] = [
    0x10, 0x77, 0xef, 0xec, 0xc0, 0xb2, 0x4d, 0x02, 0xac, 0xe3, 0x3c, 0x1e, 0x52, 0xe2, 0xfb, 0x4b,
];

const PATH: [FourCC; 6] = [
    FourCC::new(b"moov"),
    FourCC::new(b"trak"),
    FourCC::new(b"mdia"),
    FourCC::new(b"minf"),
    FourCC::new(b"stbl"),
    FourCC::new(b"stsd"),
];

/// Bytes of a box's header; none of ours has a long size.
const HEADER: usize = 8;

/// The boxes one after the other: kind, and range of the whole.
fn walk(bytes: &[u8]) -> impl Iterator<Item = (FourCC, Range<usize>)> {
    let mut at = 0usize;
    std::iter::from_fn(move || {
        let (size, rest) = bytes.get(at..)?.split_first_chunk::<4>()?;
        let kind = FourCC::new(rest.first_chunk()?);
        let size = usize::try_from(u32::from_be_bytes(*size)).ok()?;
        let end = at
            .checked_add(size)
            .filter(|end| *end <= bytes.len() && size >= HEADER)?;
        let range = at..end;
        at = end;
        Some((kind, range))
    })
}

/// Body of the box that is reached along `path`.
pub(super) fn find(bytes: &[u8], path: &[FourCC]) -> Option<Range<usize>> {
    let (first, deeper) = path.split_first()?;
    let (_, range) = walk(bytes).find(|(kind, _)| kind == first)?;
    let body = range.start + HEADER..range.end;
    if deeper.is_empty() {
        return Some(body);
    }
    let inner = find(bytes.get(body.clone())?, deeper)?;
    Some(body.start + inner.start..body.start + inner.end)
}

/// A box made of its body.
fn boxed(kind: &[u8; 4], body: &[u8]) -> Result<Vec<u8>, Error> {
    let size = u32::try_from(body.len() + HEADER).map_err(|_| Error::TooLarge)?;
    let mut out = Vec::with_capacity(body.len() + HEADER);
    out.put_u32(size);
    out.put_slice(kind);
    out.put_slice(body);
    Ok(out)
}

/// The init segment with its sample entry under `cbcs`, and a `pssh` that names the key.
pub(super) fn protect(init: &[u8], is_video: bool, pattern: u8, key: &Key) -> Result<Vec<u8>, Error> {
    let entry = find(init, &PATH).ok_or(Error::Missing("stsd"))?;
    // Version, flags and count of entries; the first is the only one.
    let start = entry.start + 8;
    let old = init.get(start..entry.end).ok_or(Error::Missing("sample entry"))?;
    let (format, body) = old
        .get(4..)
        .and_then(|rest| rest.split_first_chunk::<4>())
        .ok_or(Error::Missing("sample entry"))?;
    let kind = if is_video { b"encv" } else { b"enca" };
    let new = boxed(kind, &[body, &sinf(format, pattern, key)?].concat())?;
    let grown = new.len() - old.len();
    let mut out = [
        init.get(..start).unwrap_or_default(),
        &new,
        init.get(entry.end..).unwrap_or_default(),
    ]
    .concat();
    let pssh = pssh(key)?;
    for depth in 1..=PATH.len() {
        let path = PATH.get(..depth).unwrap_or_default();
        let more = grown + if depth == 1 { pssh.len() } else { 0 };
        grow(&mut out, init, path, more)?;
    }
    // ISO/IEC 23001-7 §8.1: in the `moov`, whose last box it is.
    let end = find(init, PATH.get(..1).unwrap_or_default()).map_or(init.len(), |moov| moov.end) + grown;
    let tail = out.split_off(end);
    out.extend_from_slice(&pssh);
    out.extend_from_slice(&tail);
    Ok(out)
}

/// A box on the way to what has grown says its new size; it begins where it did.
fn grow(out: &mut [u8], before: &[u8], path: &[FourCC], more: usize) -> Result<(), Error> {
    let body = find(before, path).ok_or(Error::Missing("box on the way to stsd"))?;
    let size = body.len() + HEADER + more;
    let size = u32::try_from(size).map_err(|_| Error::TooLarge)?;
    let place = out
        .get_mut(body.start - HEADER..)
        .and_then(|header| header.first_chunk_mut::<4>());
    *place.ok_or(Error::Missing("box on the way to stsd"))? = size.to_be_bytes();
    Ok(())
}

/// ISO/IEC 14496-12 §8.12: what the entry was, the scheme, and what a decoder has to know of it.
fn sinf(format: &[u8; 4], pattern: u8, key: &Key) -> Result<Vec<u8>, Error> {
    let frma = boxed(b"frma", format)?;
    let schm = boxed(b"schm", &[&[0; 4][..], b"cbcs", &[0, 1, 0, 0]].concat())?;
    // ISO/IEC 23001-7 §8.2: version 1 has a pattern; protected, and no IV of a sample's own: a constant one follows.
    let head = [1, 0, 0, 0, 0, pattern, 1, 0];
    let tenc = boxed(b"tenc", &[&head[..], &key.kid, &[16], &key.iv].concat())?;
    let schi = boxed(b"schi", &tenc)?;
    boxed(b"sinf", &[frma, schm, schi].concat())
}

/// ISO/IEC 23001-7 §8.1, version 1: one key id, and no data.
fn pssh(key: &Key) -> Result<Vec<u8>, Error> {
    let body = [
        &[1, 0, 0, 0][..],
        &COMMON_SYSTEM,
        &1u32.to_be_bytes(),
        &key.kid,
        &0u32.to_be_bytes(),
    ];
    boxed(b"pssh", &body.concat())
}
