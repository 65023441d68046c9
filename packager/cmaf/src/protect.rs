//! Media under a key: AES-128 of whole resources, and SAMPLE-AES, which in fMP4 is scheme `cbcs` of ISO/IEC 23001-7.
//!
//! - AES-128 (rfc8216bis §4.4.4.4): all bytes of a resource, in CBC with padding of PKCS7. The rules of chaining and
//!   padding make of parts one after the other no segment: each part is a resource of its own, and so is the segment.
//! - `cbcs` (ISO/IEC 23001-7 §10.4): of pictures, one block of ten of the slice data alone; of sound, all whole blocks.
//!   The IV is constant, and every subsample begins with it anew. Bytes that fill no block stay clear.
//! - Slice headers stay clear (§10.4.2), since decoders read them before they have a key. A picture whose headers cannot
//!   be read is refused, never published clear or at a guess.
//! - AV1 is refused: what may be protected begins behind the tile group's header (AV1-ISOBMFF §4.2), which takes half a
//!   decoder to find.

mod bits;
mod boxes;
mod h264;
mod hevc;
#[cfg(test)]
mod tests;

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{Block, BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use bytes::{BufMut as _, Bytes};
use mp4_atom::{Atom as _, Avcc, FourCC, Hvcc, Moof, Saio, Saiz, Senc};

use crate::init::{self, Init};
use crate::part::{self, Sample};
use crate::{Codec, Error};

/// Bytes of a block, a key, a key's id and an IV.
pub const BLOCK: usize = 16;

/// A content key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub kid: [u8; BLOCK],
    /// The secret.
    pub key: [u8; BLOCK],
    /// Initialisation vector of all that it encrypts.
    pub iv: [u8; BLOCK],
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

type Encryptor = cbc::Encryptor<Aes128>;
type Decryptor = cbc::Decryptor<Aes128>;

impl Key {
    fn encryptor(&self) -> Encryptor {
        Encryptor::new(&self.key.into(), &self.iv.into())
    }

    /// A part or a whole segment under AES-128.
    pub fn seal(&self, clear: &[u8]) -> Bytes {
        self.encryptor().encrypt_padded_vec::<Pkcs7>(clear).into()
    }

    /// What [`Key::seal`] was given; none of bytes that it did not make with this key.
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let decryptor = Decryptor::new(&self.key.into(), &self.iv.into());
        decryptor.decrypt_padded_vec::<Pkcs7>(sealed).ok()
    }
}

/// Slice data cannot be told from its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unreadable;

impl From<Unreadable> for Error {
    fn from(_: Unreadable) -> Self {
        Self::Unprotectable("a slice header that cannot be read")
    }
}

/// What of a track's samples SAMPLE-AES encrypts.
#[derive(Debug, Clone)]
pub struct Layout(Kind);

#[derive(Debug, Clone)]
enum Kind {
    H264(h264::Parameters),
    Hevc(hevc::Parameters),
    Sound,
}

/// Clear bytes, then protected ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Subsample {
    clear: usize,
    protected: usize,
}

impl Layout {
    /// Refuses what SAMPLE-AES cannot protect, by name.
    pub fn of(codec: &Codec) -> Result<Self, Error> {
        let kind = match codec {
            Codec::H264 { config, .. } => {
                let mut bytes = config.as_ref();
                let avcc = Avcc::decode_body(&mut bytes).map_err(|_| Error::Config("H.264"))?;
                if avcc.length_size != 4 {
                    return Err(Error::Unprotectable("H.264 without lengths of four bytes"));
                }
                let read = h264::Parameters::read(&avcc);
                Kind::H264(read.ok_or(Error::Unprotectable("H.264 of these parameter sets"))?)
            }
            Codec::Hevc { config, .. } => {
                let mut bytes = config.as_ref();
                let hvcc = Hvcc::decode_body(&mut bytes).map_err(|_| Error::Config("HEVC"))?;
                let read = hevc::Parameters::read(&hvcc);
                Kind::Hevc(read.ok_or(Error::Unprotectable("HEVC of these parameter sets"))?)
            }
            Codec::Av1 { .. } => return Err(Error::Unprotectable("AV1")),
            Codec::Aac { .. } | Codec::Opus { .. } => Kind::Sound,
        };
        Ok(Self(kind))
    }

    /// The init segment of the track under `key`.
    pub fn init(&self, clear: &Init, key: &Key) -> Result<Init, Error> {
        let pattern = if self.is_video() { PATTERN } else { 0 };
        let bytes = boxes::protect(&clear.bytes, self.is_video(), pattern, key)?;
        Ok(init::named(bytes))
    }

    /// A part of the track under `key`; see [`part()`](crate::part()).
    pub fn part(
        &self,
        key: &Key,
        sequence: u32,
        decode_time: u64,
        samples: &[Sample],
    ) -> Result<Bytes, Error> {
        let mut maps = Vec::with_capacity(samples.len());
        let mut sealed = Vec::with_capacity(samples.len());
        for sample in samples {
            let (data, map) = self.sample(key, &sample.data)?;
            maps.push(map);
            let data = data.into();
            sealed.push(Sample {
                data,
                ..sample.clone()
            });
        }
        let mut moof = part::fragment(sequence, decode_time, &sealed)?;
        if self.is_video() {
            describe(&mut moof, &maps)?;
        }
        part::write(moof, &sealed)
    }

    fn is_video(&self) -> bool {
        !matches!(self.0, Kind::Sound)
    }

    fn sample(&self, key: &Key, clear: &[u8]) -> Result<(Vec<u8>, Vec<Subsample>), Error> {
        let mut data = clear.to_vec();
        let map = match &self.0 {
            Kind::Sound => {
                encrypt(&mut key.encryptor(), data.as_chunks_mut().0);
                return Ok((data, Vec::new()));
            }
            Kind::H264(parameters) => subsamples(clear, |nal| parameters.clear(nal))?,
            Kind::Hevc(parameters) => subsamples(clear, |nal| parameters.clear(nal))?,
        };
        pattern(&mut data, &map, key);
        Ok((data, map))
    }
}

/// Encrypts one block of ten of what is protected.
fn pattern(mut data: &mut [u8], map: &[Subsample], key: &Key) {
    for part in map {
        let (_, after) = data.split_at_mut(part.clear);
        let (protected, after) = after.split_at_mut(part.protected);
        let mut encryptor = key.encryptor();
        for step in protected.as_chunks_mut().0.chunks_mut(STEP) {
            encrypt(&mut encryptor, step.get_mut(..1).unwrap_or_default());
        }
        data = after;
    }
}

/// Blocks of the pattern 1:9 of pictures, and how `tenc` writes that.
const STEP: usize = 10;
const PATTERN: u8 = 0x19;

fn encrypt(encryptor: &mut Encryptor, blocks: &mut [[u8; BLOCK]]) {
    encryptor.encrypt_blocks(Block::<Encryptor>::cast_slice_from_core_mut(blocks));
}

/// Most of one sample: its description has a length of 8 bits.
const SUBSAMPLES_MAX: usize = (255 - 2) / 6;

/// What of a sample with length-prefixed NAL units is clear; `header` says how much of a unit is, if not all of it.
fn subsamples(
    sample: &[u8],
    header: impl Fn(&[u8]) -> Result<Option<usize>, Unreadable>,
) -> Result<Vec<Subsample>, Error> {
    let (mut rest, mut clear, mut out) = (sample, 0, Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Error::TooLarge)?;
        let (nal, after) = after.split_at_checked(length).ok_or(Unreadable)?;
        let head = header(nal)?.unwrap_or(length).min(length);
        // What fills no block would be clear anyway.
        let head = if length - head < BLOCK { length } else { head };
        clear += 4 + head;
        if head < length {
            let protected = length - head;
            out.push(Subsample { clear, protected });
            clear = 0;
        }
        rest = after;
    }
    if !rest.is_empty() {
        return Err(Unreadable.into());
    }
    if clear > 0 {
        out.push(Subsample { clear, protected: 0 });
    }
    Ok(out.into_iter().flat_map(Subsample::split).collect())
}

impl Subsample {
    /// A description has 16 bits for clear bytes.
    fn split(self) -> impl Iterator<Item = Self> {
        const MOST: usize = 0xffff;
        let whole = self.clear.saturating_sub(1) / MOST;
        let rest = Self {
            clear: self.clear - whole * MOST,
            ..self
        };
        let filler = Self {
            clear: MOST,
            protected: 0,
        };
        std::iter::repeat_n(filler, whole).chain([rest])
    }
}

/// ISO/IEC 23001-7 §7.2, and ISO/IEC 14496-12 §8.7.8 and §8.7.9, which say the same again where other readers look.
fn describe(moof: &mut Moof, maps: &[Vec<Subsample>]) -> Result<(), Error> {
    let count = u32::try_from(maps.len()).map_err(|_| Error::TooLarge)?;
    let (mut data, mut sizes) = (Vec::new(), Vec::new());
    data.put_u32(count);
    for map in maps {
        if map.len() > SUBSAMPLES_MAX {
            return Err(Error::Unprotectable(
                "a picture of more slices than can be described",
            ));
        }
        let before = data.len();
        data.put_u16(u16::try_from(map.len()).map_err(|_| Error::TooLarge)?);
        for part in map {
            data.put_u16(u16::try_from(part.clear).map_err(|_| Error::TooLarge)?);
            data.put_u32(u32::try_from(part.protected).map_err(|_| Error::TooLarge)?);
        }
        sizes.push(u8::try_from(data.len() - before).map_err(|_| Error::TooLarge)?);
    }
    // One size for all where they are the same.
    let first = sizes.first().copied().unwrap_or_default();
    let alike = sizes.iter().all(|size| *size == first);
    let traf = moof.traf.first_mut().ok_or(Error::Missing("traf"))?;
    traf.senc = Some(Senc {
        use_subsamples: true,
        data,
        ..Senc::default()
    });
    traf.saiz = vec![Saiz {
        aux_info: None,
        default_sample_info_size: if alike { first } else { 0 },
        sample_count: count,
        sample_info_size: if alike { Vec::new() } else { sizes },
    }];
    traf.saio = vec![Saio {
        aux_info: None,
        offsets: vec![0],
    }];
    Ok(())
}

/// Where in a `moof` the entries of its `senc` begin.
pub(crate) fn entries(moof: &[u8]) -> Option<u64> {
    let at = boxes::find(moof, &[Moof::KIND, FourCC::new(b"traf"), FourCC::new(b"senc")])?;
    // Behind the version, the flags and the count.
    u64::try_from(at.start + 8).ok()
}
