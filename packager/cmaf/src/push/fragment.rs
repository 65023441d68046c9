//! Where a `moof` says that samples are, and when (ISO/IEC 14496-12 §8.8).

use std::collections::VecDeque;

use bytes::Bytes;

use super::boxes::{Reader, children, find};
use super::{Error, Movie, SAMPLE_BYTES_MAX, SAMPLES_MAX, Unit};

/// One sample before its bytes are here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Of its first byte, since the body's beginning.
    pub(super) at: u64,
    pub(super) size: u32,
    time: i64,
    decode: i64,
    duration: u32,
    key: bool,
}

impl Place {
    pub(super) fn unit(self, data: Bytes) -> Unit {
        Unit {
            time: self.time,
            decode: self.decode,
            duration: self.duration,
            key: self.key,
            data,
        }
    }
}

/// What samples have that do not say it themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Defaults {
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) flags: u32,
}

/// ISO/IEC 14496-12 §8.8.3.1: sample_is_non_sync_sample.
const NON_SYNC: u32 = 0x0001_0000;

/// Samples of a `moof` whose header began at `start`.
pub(super) fn places(moof: &[u8], start: u64, movie: &Movie) -> Result<VecDeque<Place>, Error> {
    let mut trafs = children(moof, "moof").filter(|child| !matches!(child, Ok((kind, _)) if kind != b"traf"));
    let (_, traf) = trafs.next().ok_or(Error::Missing("traf"))??;
    if trafs.next().is_some() {
        return Err(Error::Tracks(2));
    }
    let head = find(traf, b"tfhd", "traf")?.ok_or(Error::Missing("tfhd"))?;
    let defaults = defaults(head, movie)?;
    let time = find(traf, b"tfdt", "traf")?.ok_or(Error::Missing("tfdt"))?;
    let mut run = Run {
        // 2^62 ticks are more than a thousand years of anything; sums below stay in range.
        decode: decode_time(time)
            .filter(|time| *time < 1 << 62)
            .ok_or(Error::Malformed("tfdt"))?,
        at: None,
        start,
        shift: movie.shift,
        places: VecDeque::new(),
    };
    for child in children(traf, "traf") {
        let (kind, body) = child?;
        if &kind == b"trun" {
            run.take(body, defaults)?;
        }
    }
    Ok(run.places)
}

fn decode_time(tfdt: &[u8]) -> Option<i64> {
    let mut reader = Reader(tfdt);
    let (version, _) = reader.full()?;
    match version {
        0 => reader.u32().map(i64::from),
        _ => i64::try_from(reader.u64()?).ok(),
    }
}

fn defaults(tfhd: &[u8], movie: &Movie) -> Result<Defaults, Error> {
    let mut reader = Reader(tfhd);
    let malformed = || Error::Malformed("tfhd");
    let (_, flags) = reader.full().ok_or_else(malformed)?;
    let track = reader.u32().ok_or_else(malformed)?;
    if track != movie.track {
        return Err(malformed());
    }
    // CMAF §7.5.15: offsets count from the `moof`, never from the file's beginning.
    if flags & 0x1 != 0 {
        return Err(Error::Config(
            "tfhd has a base data offset: set -movflags +default_base_moof",
        ));
    }
    let mut given = |flag, otherwise| {
        if flags & flag == 0 {
            Ok(otherwise)
        } else {
            reader.u32().ok_or_else(malformed)
        }
    };
    given(0x2, 0)?;
    Ok(Defaults {
        duration: given(0x8, movie.defaults.duration)?,
        size: given(0x10, movie.defaults.size)?,
        flags: given(0x20, movie.defaults.flags)?,
    })
}

struct Run {
    decode: i64,
    /// Just after the last sample's bytes.
    at: Option<u64>,
    start: u64,
    shift: i64,
    places: VecDeque<Place>,
}

impl Run {
    fn take(&mut self, trun: &[u8], defaults: Defaults) -> Result<(), Error> {
        self.read(trun, defaults).unwrap_or(Err(Error::Malformed("trun")))
    }

    /// None where bytes are missing.
    fn read(&mut self, trun: &[u8], defaults: Defaults) -> Option<Result<(), Error>> {
        let mut reader = Reader(trun);
        let (version, flags) = reader.full()?;
        let count = usize::try_from(reader.u32()?).ok()?;
        if count.saturating_add(self.places.len()) > SAMPLES_MAX {
            return Some(Err(Error::Malformed("trun")));
        }
        let offset = if flags & 0x1 == 0 {
            None
        } else {
            Some(reader.i32()?)
        };
        let mut at = match (offset, self.at) {
            (Some(offset), _) => self.start.checked_add_signed(i64::from(offset))?,
            (None, Some(at)) => at,
            (None, None) => return Some(Err(Error::Malformed("trun"))),
        };
        let first_flags = if flags & 0x4 == 0 {
            None
        } else {
            Some(reader.u32()?)
        };
        for index in 0..count {
            let mut given = |flag, otherwise| {
                if flags & flag == 0 {
                    Some(otherwise)
                } else {
                    reader.u32()
                }
            };
            let duration = given(0x100, defaults.duration)?;
            let size = given(0x200, defaults.size)?;
            let said = given(0x400, defaults.flags)?;
            let composition = given(0x800, 0)?;
            if size > SAMPLE_BYTES_MAX {
                return Some(Err(Error::TooLong("sample", u64::from(SAMPLE_BYTES_MAX))));
            }
            let composition = match version {
                0 => i64::from(composition),
                _ => i64::from(composition.cast_signed()),
            };
            let said = first_flags
                .filter(|_| index == 0 && flags & 0x400 == 0)
                .unwrap_or(said);
            let decode = self.decode.saturating_add(self.shift);
            self.places.push_back(Place {
                at,
                size,
                time: decode.saturating_add(composition),
                decode,
                duration,
                key: said & NON_SYNC == 0,
            });
            self.decode = self.decode.saturating_add(i64::from(duration));
            at = at.saturating_add(u64::from(size));
        }
        self.at = Some(at);
        Some(Ok(()))
    }
}
