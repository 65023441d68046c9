//! What was written, read back: for checks of continuity, and for tests.

use bytes::Bytes;
use mp4_atom::{Atom as _, DecodeAtom as _, DecodeMaybe as _, FourCC, Header, Mdat, Moof, Moov};

use crate::{Error, Sample};

/// A part taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `mfhd` sequence number.
    pub sequence: u32,
    /// Decode time of its first sample, ticks.
    pub decode_time: u64,
    /// Its samples.
    pub samples: Vec<Sample>,
}

impl Part {
    /// Decode time just after its last sample, ticks.
    pub fn end(&self) -> u64 {
        self.samples
            .iter()
            .fold(self.decode_time, |time, sample| time + u64::from(sample.duration))
    }
}

/// All fragments in a part's or segment's bytes. Other boxes are passed over.
pub fn parts(mut bytes: &[u8]) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    let mut head: Option<(Moof, usize)> = None;
    while !bytes.is_empty() {
        let before = bytes.len();
        let header = Header::decode_maybe(&mut bytes)?.ok_or(Error::Missing("box header"))?;
        let length = header.size.ok_or(Error::Missing("box size"))?;
        let consumed = before - bytes.len();
        if length > bytes.len() {
            return Err(Error::Missing("end of box"));
        }
        match header.kind {
            kind if kind == Moof::KIND => {
                head = Some((Moof::decode_atom(&header, &mut bytes)?, consumed + length));
            }
            kind if kind == Mdat::KIND => {
                let (moof, size) = head.take().ok_or(Error::Missing("moof"))?;
                let (body, rest) = bytes.split_at(length);
                bytes = rest;
                parts.push(samples(&moof, size + consumed, body)?);
            }
            _ => bytes = bytes.get(length..).ok_or(Error::Missing("end of box"))?,
        }
    }
    Ok(parts)
}

fn samples(moof: &Moof, body_at: usize, body: &[u8]) -> Result<Part, Error> {
    let [traf] = moof.traf.as_slice() else {
        return Err(Error::Missing("single traf"));
    };
    let decode_time = traf
        .tfdt
        .as_ref()
        .ok_or(Error::Missing("tfdt"))?
        .base_media_decode_time;
    let mut samples = Vec::new();
    for run in &traf.trun {
        let offset = usize::try_from(run.data_offset.unwrap_or(0)).map_err(|_| Error::TooLarge)?;
        let mut at = offset.checked_sub(body_at).ok_or(Error::Missing("sample data"))?;
        for entry in run.samples.iter() {
            let size = entry
                .size
                .or(traf.tfhd.default_sample_size)
                .ok_or(Error::Missing("sample size"))?;
            let end = at.saturating_add(size as usize);
            let data = body.get(at..end).ok_or(Error::Missing("sample data"))?;
            let flags = entry.flags.or(traf.tfhd.default_sample_flags).unwrap_or(0);
            samples.push(Sample {
                duration: entry.duration.or(traf.tfhd.default_sample_duration).unwrap_or(0),
                key: flags & NON_SYNC == 0,
                composition: entry.cts.and_then(|cts| i32::try_from(cts).ok()).unwrap_or(0),
                data: Bytes::copy_from_slice(data),
            });
            at = end;
        }
    }
    Ok(Part {
        sequence: moof.mfhd.sequence_number,
        decode_time,
        samples,
    })
}

/// ISO/IEC 14496-12 §8.8.3.1: sample_is_non_sync_sample.
const NON_SYNC: u32 = 0x0001_0000;

/// Timescale and sample entry of an init segment.
pub fn init(mut bytes: &[u8]) -> Result<(u32, FourCC), Error> {
    while let Some(header) = Header::decode_maybe(&mut bytes)? {
        let length = header.size.ok_or(Error::Missing("box size"))?;
        if header.kind == Moov::KIND {
            let moov = Moov::decode_atom(&header, &mut bytes)?;
            let trak = moov.trak.first().ok_or(Error::Missing("trak"))?;
            let entry = trak
                .mdia
                .minf
                .stbl
                .stsd
                .codecs
                .first()
                .ok_or(Error::Missing("sample entry"))?;
            let avc = matches!(entry, mp4_atom::Codec::Avc1(_));
            let kind = if avc {
                mp4_atom::Avc1::KIND
            } else {
                mp4_atom::Mp4a::KIND
            };
            return Ok((trak.mdia.mdhd.timescale, kind));
        }
        bytes = bytes.get(length..).ok_or(Error::Missing("end of box"))?;
    }
    Err(Error::Missing("moov"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Codec, Init, part};
    use proptest::prelude::*;

    /// A real AVCDecoderConfigurationRecord of x264 (baseline, 64x64).
    const AVCC: &[u8] = &[
        1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 0x17, 0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x04, 0x26, 0xc0, 0x44, 0, 0,
        3, 0, 4, 0, 0, 3, 0, 0xf0, 0x3c, 0x48, 0x99, 0x20, 1, 0, 5, 0x68, 0xcb, 0x83, 0xcb, 0x20,
    ];

    #[test]
    fn init_segments_are_named_by_their_bytes() {
        let video = Codec::H264 {
            config: Bytes::from_static(AVCC),
            width: 64,
            height: 64,
        };
        let (one, two) = (
            Init::new(&video, 30_000, None).unwrap(),
            Init::new(&video, 30_000, None).unwrap(),
        );
        assert_eq!(one, two);
        assert_ne!(one.hash, Init::new(&video, 60_000, None).unwrap().hash);
        assert_eq!(init(&one.bytes).unwrap(), (30_000, b"avc1".into()));
        assert_eq!(video.name().unwrap(), "avc1.42c00a");
        let audio = Codec::Aac {
            config: Bytes::from_static(&[0x11, 0x90]),
            channels: 2,
            rate: 48_000,
            bit_rate: 128_000,
        };
        assert_eq!(
            init(&Init::new(&audio, 48_000, None).unwrap().bytes).unwrap(),
            (48_000, b"mp4a".into())
        );
        assert_eq!(audio.name().unwrap(), "mp4a.40.2");
        let language = |tag| language(&Init::new(&audio, 48_000, tag).unwrap().bytes);
        assert_eq!(
            (language(Some("pt-BR")), language(None)),
            ("por".to_owned(), "und".to_owned())
        );
    }

    #[test]
    fn broken_configurations_are_refused_by_name() {
        let video = Codec::H264 {
            config: Bytes::from_static(&[1, 2]),
            width: 64,
            height: 64,
        };
        assert!(matches!(
            Init::new(&video, 30_000, None),
            Err(Error::Config("H.264"))
        ));
        let audio = Codec::Aac {
            config: Bytes::new(),
            channels: 2,
            rate: 48_000,
            bit_rate: 0,
        };
        assert!(matches!(
            Init::new(&audio, 48_000, None),
            Err(Error::Config("AAC"))
        ));
        assert!(matches!(part(1, 0, &[]), Err(Error::Empty)));
    }

    fn language(mut bytes: &[u8]) -> String {
        while let Some(header) = Header::decode_maybe(&mut bytes).unwrap() {
            if header.kind == Moov::KIND {
                let moov = Moov::decode_atom(&header, &mut bytes).unwrap();
                return moov.trak[0].mdia.mdhd.language.clone();
            }
            bytes = &bytes[header.size.unwrap()..];
        }
        panic!("no moov")
    }

    fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
        let sample = (
            1u32..100_000,
            any::<bool>(),
            -9_000i32..9_000,
            prop::collection::vec(any::<u8>(), 0..50),
        );
        let sample = sample.prop_map(|(duration, key, composition, data)| Sample {
            duration,
            key,
            composition,
            data: data.into(),
        });
        prop::collection::vec(sample, 1..40)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            runs in prop::collection::vec((any::<u32>(), 0u64..1 << 60, any_samples()), 1..4),
        ) {
            let mut bytes = Vec::new();
            for (sequence, time, samples) in &runs {
                bytes.extend_from_slice(&part(*sequence, *time, samples).unwrap());
            }
            let read = parts(&bytes).unwrap();
            prop_assert_eq!(read.len(), runs.len());
            for (part, (sequence, time, samples)) in read.iter().zip(&runs) {
                prop_assert_eq!((part.sequence, part.decode_time), (*sequence, *time));
                prop_assert_eq!(&part.samples, samples);
            }
        }

        #[test]
        fn damaged_bytes_are_an_error_or_samples_but_never_a_panic(at in any::<usize>(), with in any::<u8>(), cut in any::<usize>()) {
            let sample = Sample { duration: 1, key: true, composition: 0, data: Bytes::from_static(b"abc") };
            let mut bytes = part(1, 2, &[sample.clone(), sample]).unwrap().to_vec();
            let length = bytes.len();
            bytes[at % length] = with;
            bytes.truncate(cut % (length + 1));
            let _either_is_fine = parts(&bytes);
        }
    }
}
