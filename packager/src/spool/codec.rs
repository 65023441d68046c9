//! PURE. Entries as bytes of a journal: `magic, u8 kind, u32 length, fields, u32 CRC32C`, everything big-endian.
//!
//! A journal is only ever appended to. What a crash or a bad disk has spoilt is passed over up to the next record that
//! is sound; its bytes are counted.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use feed::{Decoder, Message, encode};
use hls::id::Cell;
use hls::path::Hash;
use hls::timeline::Share;

use super::entry::{Entry, Extent, Kept, Life};
use crate::encryption::guard::Seal;

const MAGIC: &[u8] = b"RSJ1";
/// Magic, kind and length.
const HEAD: usize = 9;
const SUM: usize = 4;
/// Longest record, bytes: a shape of 64 tracks with its init segments fits many times.
const RECORD_BYTES_MAX: usize = 1 << 20;

const LIFE: u8 = 1;
const CUE: u8 = 2;
const CELL: u8 = 3;
const END: u8 = 4;

const MEDIA: u8 = 1;
const INDEPENDENT: u8 = 2;
/// Instead of a cell where there is none.
const NONE: u64 = u64::MAX;

/// Appends one record.
pub(crate) fn put(entry: &Entry, out: &mut BytesMut) {
    let start = out.len();
    out.put_slice(MAGIC);
    out.put_u8(match entry {
        Entry::Life(_) => LIFE,
        Entry::Cue(_) => CUE,
        Entry::Cell(_) => CELL,
        Entry::End => END,
    });
    out.put_u32(0);
    match entry {
        Entry::Life(life) => put_life(life, out),
        Entry::Cue(cue) => encode(&Message::Cue(Box::new(cue.clone())), out),
        Entry::Cell(kept) => put_cell(kept, out),
        Entry::End => {}
    }
    let length = u32::try_from(out.len() - start - HEAD).unwrap_or(u32::MAX);
    if let Some(field) = out.get_mut(start + HEAD - 4..start + HEAD) {
        field.copy_from_slice(&length.to_be_bytes());
    }
    let sum = crc32c::crc32c(out.get(start + MAGIC.len()..).unwrap_or_default());
    out.put_u32(sum);
}

fn put_life(life: &Life, out: &mut BytesMut) {
    out.put_u64(life.first.0);
    out.put_u64(life.after.map_or(NONE, |cell| cell.0));
    out.put_u64(life.discontinuity);
    out.put_u16(u16::try_from(life.inits.len()).unwrap_or(u16::MAX));
    for (hash, bytes) in &life.inits {
        out.put_u64(hash.0);
        out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        out.put_slice(bytes);
    }
    encode(&Message::Hello(Box::new(life.hello.clone())), out);
}

fn put_cell(kept: &Kept, out: &mut BytesMut) {
    out.put_u64(kept.cell.0);
    out.put_u64(kept.available_us);
    out.put_u8(u8::from(kept.seal.is_some()));
    if let Some(Seal(seal)) = &kept.seal {
        out.put_slice(seal);
    }
    out.put_u16(u16::try_from(kept.shares.len()).unwrap_or(u16::MAX));
    for (share, extent) in &kept.shares {
        let (flags, duration, offset) = match share {
            Share::Gap => (0, Duration::ZERO, Duration::ZERO),
            Share::Media {
                duration,
                independent,
                offset,
            } => {
                let independent = if *independent { INDEPENDENT } else { 0 };
                (MEDIA | independent, *duration, *offset)
            }
        };
        let extent = extent.unwrap_or(Extent {
            offset: 0,
            length: 0,
            sum: 0,
            frame: 0,
        });
        out.put_u8(flags);
        for time in [duration, offset] {
            out.put_u64(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        }
        out.put_u64(extent.offset);
        out.put_u32(extent.length);
        out.put_u32(extent.sum);
        out.put_u32(extent.frame);
    }
}

/// Everything in a journal that is sound, and how many bytes are not.
pub(crate) fn read(journal: &Bytes) -> (Vec<Entry>, u64) {
    let (mut entries, mut at, mut spoilt) = (Vec::new(), 0, 0);
    while at < journal.len() {
        let rest = journal.slice(at..);
        match record(&rest) {
            Some((entry, length)) => {
                entries.push(entry);
                at += length;
            }
            None => {
                let skip = next_magic(&rest);
                spoilt += skip as u64;
                at += skip;
            }
        }
    }
    (entries, spoilt)
}

/// Bytes up to where the next record may begin.
fn next_magic(rest: &Bytes) -> usize {
    let behind = rest.get(1..).unwrap_or_default();
    let found = behind.windows(MAGIC.len()).position(|window| window == MAGIC);
    found.map_or(rest.len(), |at| at + 1)
}

/// The record that `rest` begins with, and its length with all that belongs to it.
fn record(rest: &Bytes) -> Option<(Entry, usize)> {
    let mut head = rest.get(..HEAD)?.strip_prefix(MAGIC)?;
    let kind = head.try_get_u8().ok()?;
    let length = usize::try_from(head.try_get_u32().ok()?).ok()?;
    if length > RECORD_BYTES_MAX {
        return None;
    }
    let end = HEAD + length;
    let sum = rest.get(end..end + SUM)?.try_into().ok()?;
    if crc32c::crc32c(rest.get(MAGIC.len()..end)?) != u32::from_be_bytes(sum) {
        return None;
    }
    let mut body = rest.slice(HEAD..end);
    let entry = match kind {
        LIFE => Entry::Life(Arc::new(get_life(&mut body)?)),
        CUE => {
            let Message::Cue(cue) = message(&body)? else {
                return None;
            };
            Entry::Cue(*cue)
        }
        CELL => Entry::Cell(get_cell(&mut body)?),
        END => Entry::End,
        _ => return None,
    };
    Some((entry, end + SUM))
}

fn get_life(body: &mut Bytes) -> Option<Life> {
    let first = Cell(body.try_get_u64().ok()?);
    let after = Some(body.try_get_u64().ok()?).filter(|cell| *cell != NONE);
    let discontinuity = body.try_get_u64().ok()?;
    let count = body.try_get_u16().ok()?;
    let mut inits = Vec::new();
    for _ in 0..count {
        let hash = Hash(body.try_get_u64().ok()?);
        let length = usize::try_from(body.try_get_u32().ok()?).ok()?;
        if length > body.len() {
            return None;
        }
        inits.push((hash, Bytes::copy_from_slice(&body.split_to(length))));
    }
    let Message::Hello(hello) = message(body)? else {
        return None;
    };
    (inits.len() == hello.shape.tracks.len()).then_some(Life {
        hello: *hello,
        first,
        after: after.map(Cell),
        discontinuity,
        inits,
    })
}

fn get_seal(body: &mut Bytes) -> Option<Seal> {
    let mut seal = [0; 16];
    body.try_copy_to_slice(&mut seal).ok()?;
    Some(Seal(seal))
}

fn get_cell(body: &mut Bytes) -> Option<Kept> {
    let cell = Cell(body.try_get_u64().ok()?);
    let available_us = body.try_get_u64().ok()?;
    let seal = match body.try_get_u8().ok()? {
        0 => None,
        _ => Some(get_seal(body)?),
    };
    let count = body.try_get_u16().ok()?;
    let mut shares = Vec::new();
    for _ in 0..count {
        let flags = body.try_get_u8().ok()?;
        let duration = Duration::from_nanos(body.try_get_u64().ok()?);
        let offset = Duration::from_nanos(body.try_get_u64().ok()?);
        let extent = Extent {
            offset: body.try_get_u64().ok()?,
            length: body.try_get_u32().ok()?,
            sum: body.try_get_u32().ok()?,
            frame: body.try_get_u32().ok()?,
        };
        shares.push(if flags & MEDIA == 0 {
            (Share::Gap, None)
        } else {
            let independent = flags & INDEPENDENT != 0;
            (
                Share::Media {
                    duration,
                    independent,
                    offset,
                },
                Some(extent),
            )
        });
    }
    body.is_empty().then_some(Kept {
        cell,
        available_us,
        seal,
        shares,
    })
}

fn message(bytes: &[u8]) -> Option<Message> {
    let mut decoder = Decoder::default();
    decoder.push(bytes);
    decoder.next().ok()?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::samples::{cue, life};
    use proptest::prelude::*;

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let share = (
            any::<bool>(),
            any::<bool>(),
            0u64..1 << 40,
            any::<u64>(),
            any::<u32>(),
        );
        let share = share.prop_map(|(gap, independent, nanos, offset, sum)| {
            if gap {
                return (Share::Gap, None);
            }
            let duration = Duration::from_nanos(nanos);
            let extent = Extent {
                offset,
                length: sum / 2,
                sum,
                frame: sum / 4,
            };
            (
                Share::Media {
                    duration,
                    independent,
                    offset: duration / 2,
                },
                Some(extent),
            )
        });
        let seal = prop::option::of(any::<[u8; 16]>().prop_map(Seal));
        let cell = (
            any::<u64>(),
            any::<u64>(),
            seal,
            prop::collection::vec(share, 0..4),
        );
        let cell = cell.prop_map(|(cell, available_us, seal, shares)| {
            Entry::Cell(Kept {
                cell: Cell(cell),
                available_us,
                seal,
                shares,
            })
        });
        let life = (any::<u64>(), prop::option::of(0u64..1 << 60), any::<u64>()).prop_map(
            |(first, after, discontinuity)| {
                let after = after.map(Cell);
                Entry::Life(Arc::new(Life {
                    first: Cell(first),
                    after,
                    discontinuity,
                    ..life(Cell(7))
                }))
            },
        );
        let entry = prop_oneof![
            cell,
            life,
            Just(Entry::End),
            "[a-z]{1,9}".prop_map(|id| Entry::Cue(cue(&id)))
        ];
        prop::collection::vec(entry, 1..12)
    }

    fn written(entries: &[Entry]) -> (Bytes, Vec<usize>) {
        let mut out = BytesMut::new();
        let ends = entries.iter().map(|entry| {
            put(entry, &mut out);
            out.len()
        });
        let ends = ends.collect();
        (out.freeze(), ends)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(entries in entries()) {
            prop_assert_eq!(read(&written(&entries).0), (entries, 0));
        }

        #[test]
        fn a_journal_that_breaks_off_loses_its_last_record(entries in entries(), cut in 0.0..1.0f64) {
            let (bytes, ends) = written(&entries);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a short text")]
            let cut = (bytes.len() as f64 * cut) as usize;
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let (found, spoilt) = read(&bytes.slice(..cut));
            prop_assert_eq!(&found, &entries[..whole]);
            let sound = if whole == 0 { 0 } else { ends[whole - 1] };
            prop_assert_eq!(spoilt, (cut - sound) as u64);
        }

        #[test]
        fn a_flipped_bit_loses_one_record(entries in entries(), place in any::<prop::sample::Index>(), bit in 0u8..8) {
            let (bytes, ends) = written(&entries);
            let mut bytes = bytes.to_vec();
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            let hit = ends.iter().filter(|end| **end <= place).count();
            let (found, spoilt) = read(&bytes.into());
            let mut want = entries;
            want.remove(hit);
            prop_assert_eq!(found, want);
            prop_assert!(spoilt > 0);
        }

        #[test]
        fn any_bytes_are_read_or_passed_over(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let length = bytes.len() as u64;
            let (found, spoilt) = read(&bytes.into());
            prop_assert!(spoilt <= length && (spoilt == length || !found.is_empty()));
        }
    }

    #[test]
    fn what_follows_a_torn_record_is_read() {
        let all = [Entry::Life(Arc::new(life(Cell(7)))), Entry::End];
        let (bytes, ends) = written(&all);
        let torn = [&bytes[..ends[0] - 9], &bytes[..]].concat();
        assert_eq!(read(&torn.into()), (all.to_vec(), ends[0] as u64 - 9));
    }
}
