//! Parts: one `moof` and one `mdat`.

use bytes::{BufMut as _, Bytes};
use mp4_atom::{Encode as _, Mfhd, Moof, Tfdt, Tfhd, Traf, Trun, TrunEntry};

use crate::init::TRACK_ID;
use crate::{Error, protect};

/// One access unit of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Ticks until the next one.
    pub duration: u32,
    /// Whether decoding can start here.
    pub key: bool,
    /// Presentation minus decode time, ticks.
    pub composition: i32,
    /// The access unit.
    pub data: Bytes,
}

/// ISO/IEC 14496-12 §8.8.3.1: depends on no other sample.
const SYNC: u32 = 0x0200_0000;
/// Depends on others, and is not a sync sample.
const DELTA: u32 = 0x0101_0000;

/// Bytes of a part. `sequence` numbers fragments (the cell), `decode_time` is the first sample's, in ticks.
pub fn part(sequence: u32, decode_time: u64, samples: &[Sample]) -> Result<Bytes, Error> {
    write(fragment(sequence, decode_time, samples)?, samples)
}

/// The fragment that `moof` describes, with the places of things filled in.
pub(crate) fn write(mut moof: Moof, samples: &[Sample]) -> Result<Bytes, Error> {
    let mut head = Vec::with_capacity(128 + samples.len() * 16);
    moof.encode(&mut head)?;
    let entries = protect::entries(&head);
    // The offsets' width does not depend on their value, so the second pass has the first one's length.
    let offset = i32::try_from(head.len() + MDAT_HEADER).map_err(|_| Error::TooLarge)?;
    for run in moof.traf.iter_mut().flat_map(|traf| &mut traf.trun) {
        run.data_offset = Some(offset);
    }
    for auxiliary in moof.traf.iter_mut().flat_map(|traf| &mut traf.saio) {
        auxiliary.offsets = vec![entries.ok_or(Error::Missing("senc"))?];
    }
    let media: usize = samples.iter().map(|sample| sample.data.len()).sum();
    let size = u32::try_from(media + MDAT_HEADER).map_err(|_| Error::TooLarge)?;
    let mut out = Vec::with_capacity(head.len() + MDAT_HEADER + media);
    moof.encode(&mut out)?;
    out.put_u32(size);
    out.put_slice(b"mdat");
    samples.iter().for_each(|sample| out.put_slice(&sample.data));
    Ok(out.into())
}

const MDAT_HEADER: usize = 8;

pub(crate) fn fragment(sequence: u32, decode_time: u64, samples: &[Sample]) -> Result<Moof, Error> {
    if samples.is_empty() {
        return Err(Error::Empty);
    }
    let composed = samples.iter().any(|sample| sample.composition != 0);
    let entry = |sample: &Sample| -> Result<TrunEntry, Error> {
        Ok(TrunEntry {
            duration: Some(sample.duration),
            size: Some(u32::try_from(sample.data.len()).map_err(|_| Error::TooLarge)?),
            flags: Some(if sample.key { SYNC } else { DELTA }),
            cts: composed.then_some(sample.composition.into()),
        })
    };
    let entries = samples.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let tfhd = Tfhd {
        track_id: TRACK_ID,
        default_base_is_moof: true,
        ..Tfhd::default()
    };
    let traf = Traf {
        tfhd,
        tfdt: Some(Tfdt {
            base_media_decode_time: decode_time,
        }),
        trun: vec![Trun {
            data_offset: Some(0),
            samples: entries.into(),
        }],
        ..Traf::default()
    };
    Ok(Moof {
        mfhd: Mfhd {
            sequence_number: sequence,
        },
        traf: vec![traf],
    })
}
