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
        self.samples.iter().fold(self.decode_time, |time, sample| {
            time.saturating_add(u64::from(sample.duration))
        })
    }
}

/// Bytes of a part up to the end of its first sample: what a player needs to show that alone.
pub fn first_sample(part: &[u8]) -> Result<usize, Error> {
    let mut bytes = part;
    while let Some(header) = Header::decode_maybe(&mut bytes)? {
        let length = header.size.ok_or(Error::Missing("box size"))?;
        if header.kind == Moof::KIND {
            let at = part.len() - bytes.len() - HEAD;
            let moof = Moof::decode_atom(&header, &mut bytes)?;
            let traf = moof.traf.first().ok_or(Error::Missing("traf"))?;
            let run = traf.trun.first().ok_or(Error::Missing("trun"))?;
            let first = run.samples.iter().next().and_then(|entry| entry.size);
            let size = first.or(traf.tfhd.default_sample_size);
            let size = size.ok_or(Error::Missing("sample size"))?;
            let offset = usize::try_from(run.data_offset.unwrap_or(0)).map_err(|_| Error::TooLarge)?;
            let end = at.saturating_add(offset).saturating_add(size as usize);
            return if end <= part.len() {
                Ok(end)
            } else {
                Err(Error::Missing("sample data"))
            };
        }
        bytes = bytes.get(length..).ok_or(Error::Missing("end of box"))?;
    }
    Err(Error::Missing("moof"))
}

/// Size and kind of a box; ours are none that need longer sizes.
const HEAD: usize = 8;

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
            let kind = kind(entry).ok_or(Error::Missing("sample entry of ours"))?;
            return Ok((trak.mdia.mdhd.timescale, kind));
        }
        bytes = bytes.get(length..).ok_or(Error::Missing("end of box"))?;
    }
    Err(Error::Missing("moov"))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "dozens of formats that are never written here"
)]
fn kind(entry: &mp4_atom::Codec) -> Option<FourCC> {
    match entry {
        mp4_atom::Codec::Avc1(_) => Some(mp4_atom::Avc1::KIND),
        mp4_atom::Codec::Hvc1(_) => Some(mp4_atom::Hvc1::KIND),
        mp4_atom::Codec::Av01(_) => Some(mp4_atom::Av01::KIND),
        mp4_atom::Codec::Mp4a(_) => Some(mp4_atom::Mp4a::KIND),
        mp4_atom::Codec::Opus(_) => Some(mp4_atom::Opus::KIND),
        _ => None,
    }
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
        let language = |tag| {
            let init = Init::new(&audio, 48_000, tag).unwrap();
            moov(&init.bytes).trak[0].mdia.mdhd.language.clone()
        };
        assert_eq!(
            (language(Some("pt-BR")), language(None)),
            ("por".to_owned(), "und".to_owned())
        );
    }

    /// Of x265 as GStreamer's h265parse tells it: parameter sets may come again, and there is an SEI.
    const HVCC: &[u8] = &[
        0x01, 0x01, 0x60, 0x00, 0x00, 0x00, 0x90, 0x00, 0x00, 0x00, 0x00, 0x00, 0x3c, 0xf0, 0x00, 0xfc, 0xfd,
        0xf8, 0xf8, 0x00, 0x00, 0x0f, 0x04, 0x20, 0x00, 0x01, 0x00, 0x18, 0x40, 0x01, 0x0c, 0x01, 0xff, 0xff,
        0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3c, 0xba, 0x02,
        0x40, 0x21, 0x00, 0x01, 0x00, 0x31, 0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00,
        0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3c, 0xa0, 0x0a, 0x08, 0x0b, 0x9f, 0x79, 0x6e, 0xae, 0x4c, 0x2f,
        0xff, 0x00, 0x01, 0x00, 0x01, 0x6a, 0x02, 0x02, 0x02, 0x08, 0x00, 0x00, 0x03, 0x00, 0x08, 0x00, 0x00,
        0x03, 0x00, 0xf0, 0x40, 0x22, 0x00, 0x01, 0x00, 0x06, 0x44, 0x01, 0xc1, 0x73, 0xc0, 0x89, 0x27, 0x00,
        0x01, 0x00, 0x03, 0x4e, 0x01, 0x05,
    ];
    /// Of libaom by FFmpeg.
    const AV1C: &[u8] = &[
        0x81, 0, 0x0c, 0, 0x0a, 0x0c, 0, 0, 0, 4, 0x3c, 0xfe, 0xcf, 0x81, 0xb5, 0xf2, 0, 0x80,
    ];
    /// Stereo, 312 samples of pre-skip.
    const DOPS: &[u8] = &[0, 2, 1, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0];

    fn entry(init: &Init) -> mp4_atom::Codec {
        moov(&init.bytes).trak[0].mdia.minf.stbl.stsd.codecs[0].clone()
    }

    #[test]
    fn parameter_sets_of_hvc1_are_nowhere_else() {
        let hevc = Codec::Hevc {
            config: Bytes::from_static(HVCC),
            width: 320,
            height: 180,
        };
        let made = Init::new(&hevc, 30_000, None).unwrap();
        assert_eq!(init(&made.bytes).unwrap(), (30_000, b"hvc1".into()));
        assert_eq!(made, Init::new(&hevc, 30_000, None).unwrap());
        assert_eq!(hevc.name().unwrap(), "hvc1.1.6.L60.90");
        let mp4_atom::Codec::Hvc1(entry) = entry(&made) else {
            panic!("not hvc1")
        };
        assert_eq!((entry.visual.width, entry.visual.height), (320, 180));
        let arrays = entry.hvcc.arrays.iter();
        let arrays: Vec<_> = arrays
            .map(|array| (array.nal_unit_type, array.completeness))
            .collect();
        assert_eq!(arrays, [(32, true), (33, true), (34, true)]);
        let mut without_pps = HVCC.to_vec();
        without_pps[106] = 0x27;
        for bad in [&HVCC[..22], &without_pps, &[]] {
            let bad = Codec::Hevc {
                config: Bytes::copy_from_slice(bad),
                width: 320,
                height: 180,
            };
            assert!(matches!(
                Init::new(&bad, 30_000, None),
                Err(Error::Config("HEVC"))
            ));
        }
    }

    #[test]
    fn av01_says_its_brand() {
        let av1 = |config: &[u8]| Codec::Av1 {
            config: Bytes::copy_from_slice(config),
            width: 320,
            height: 180,
        };
        let made = Init::new(&av1(AV1C), 30_000, None).unwrap();
        assert_eq!(init(&made.bytes).unwrap(), (30_000, b"av01".into()));
        assert_eq!(av1(AV1C).name().unwrap(), "av01.0.00M.08");
        assert!(made.bytes.windows(4).take(30).any(|four| four == b"av01"));
        let bad = av1(&[1, 0, 0, 0]);
        assert!(matches!(Init::new(&bad, 30_000, None), Err(Error::Config("AV1"))));
        assert!(matches!(bad.name(), Err(Error::Config("AV1"))));
    }

    #[test]
    fn opus_counts_at_48_khz_and_names_its_roll() {
        let opus = |config: &[u8], channels| Codec::Opus {
            config: Bytes::copy_from_slice(config),
            channels,
        };
        let made = Init::new(&opus(DOPS, 2), 48_000, Some("en")).unwrap();
        assert_eq!(init(&made.bytes).unwrap(), (48_000, b"Opus".into()));
        assert_eq!(opus(DOPS, 2).name().unwrap(), "Opus");
        let mp4_atom::Codec::Opus(entry) = entry(&made) else {
            panic!("not Opus")
        };
        assert_eq!((entry.dops.pre_skip, entry.audio.channel_count), (312, 2));
        let groups = &moov(&made.bytes).trak[0].mdia.minf.stbl.sgpd;
        assert_eq!(groups[0].grouping_type, b"roll".into());
        assert_eq!(groups[0].default_group_description_index, Some(1));
        for (bad, rate) in [
            (opus(DOPS, 1), 48_000),
            (opus(&DOPS[..9], 2), 48_000),
            (opus(b"OpusHead\x01\x02", 2), 48_000),
            (opus(DOPS, 2), 44_100),
        ] {
            assert!(matches!(Init::new(&bad, rate, None), Err(Error::Config("Opus"))));
        }
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

    fn moov(mut bytes: &[u8]) -> Moov {
        while let Some(header) = Header::decode_maybe(&mut bytes).unwrap() {
            if header.kind == Moov::KIND {
                return Moov::decode_atom(&header, &mut bytes).unwrap();
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
