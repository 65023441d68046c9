//! Sample entries, and the group that Opus has to name.

use bytes::Bytes;
use mp4_atom::{
    AnySampleGroupEntry, Atom as _, Audio, Av01, Av1c, Avc1, Avcc, Dops, Hvc1, HvcCArray, Hvcc, Mp4a, Opus,
    Sgpd, SgpdEntry, Visual, esds,
};

use crate::{Codec, Error};

/// Opus in ISOBMFF §4.1 and §4.3.1: whatever the input was, times are of this rate.
const OPUS_RATE: u32 = 48_000;

/// The sample entry of a track with times in `timescale` ticks a second.
pub(crate) fn of(codec: &Codec, timescale: u32) -> Result<mp4_atom::Codec, Error> {
    match codec {
        Codec::H264 {
            config,
            width,
            height,
        } => Ok(avc1(config, *width, *height)?.into()),
        Codec::Hevc {
            config,
            width,
            height,
        } => Ok(hvc1(config, *width, *height)?.into()),
        Codec::Av1 {
            config,
            width,
            height,
        } => Ok(av01(config, *width, *height)?.into()),
        Codec::Aac {
            config,
            channels,
            rate,
            bit_rate,
        } => Ok(mp4a(config, *channels, *rate, *bit_rate)?.into()),
        Codec::Opus { config, channels } => Ok(opus(config, *channels, timescale)?.into()),
    }
}

/// Opus in ISOBMFF §4.3.6: a decoder that joins has to begin 80 ms early, and the track says so. The default is of
/// every sample, so that parts need not repeat it.
pub(crate) fn groups(codec: &Codec) -> Vec<Sgpd> {
    match codec {
        Codec::Opus { .. } => vec![roll()],
        Codec::H264 { .. } | Codec::Hevc { .. } | Codec::Av1 { .. } | Codec::Aac { .. } => Vec::new(),
    }
}

/// ISO/IEC 14496-12 §10.1: four packets of 20 ms before the one that is wanted.
const ROLL_DISTANCE: i16 = -4;

fn roll() -> Sgpd {
    let distance = ROLL_DISTANCE.to_be_bytes().to_vec();
    Sgpd {
        grouping_type: b"roll".into(),
        default_length: Some(2),
        default_group_description_index: Some(1),
        static_group_description: false,
        static_mapping: false,
        essential: false,
        entries: vec![SgpdEntry {
            description_length: Some(2),
            entry: AnySampleGroupEntry::UnknownGroupingType(b"roll".into(), distance),
        }],
    }
}

fn visual(width: u16, height: u16) -> Visual {
    Visual {
        data_reference_index: 1,
        width,
        height,
        horizresolution: 0x48.into(),
        vertresolution: 0x48.into(),
        frame_count: 1,
        compressor: String::new().into(),
        depth: 0x18,
    }
}

fn audio(channels: u16, rate: u32) -> Audio {
    Audio {
        data_reference_index: 1,
        channel_count: channels,
        sample_size: 16,
        sample_rate: u16::try_from(rate).unwrap_or(0).into(),
    }
}

/// ISO/IEC 14496-15 §8.3.2.1: VPS, SPS and PPS.
const PARAMETERS: std::ops::RangeInclusive<u8> = 32..=34;

fn hvc1(config: &Bytes, width: u16, height: u16) -> Result<Hvc1, Error> {
    let malformed = || Error::Config("HEVC");
    let mut bytes = config.as_ref();
    let mut hvcc = Hvcc::decode_body(&mut bytes).map_err(|_| malformed())?;
    hvcc.arrays
        .retain(|array| PARAMETERS.contains(&array.nal_unit_type));
    let has = |kind: u8| {
        let full = |array: &HvcCArray| array.nal_unit_type == kind && !array.nalus.is_empty();
        hvcc.arrays.iter().any(full)
    };
    if hvcc.configuration_version != 1 || hvcc.length_size_minus_one != 3 || !PARAMETERS.into_iter().all(has)
    {
        return Err(malformed());
    }
    // §8.4.1.1.2: of type `hvc1`, no parameter set is in the samples. Encoders say they may come again.
    for array in &mut hvcc.arrays {
        array.completeness = true;
    }
    Ok(Hvc1 {
        visual: visual(width, height),
        hvcc,
        ..Hvc1::default()
    })
}

fn av01(config: &Bytes, width: u16, height: u16) -> Result<Av01, Error> {
    let mut bytes = config.as_ref();
    let av1c = Av1c::decode_body(&mut bytes).map_err(|_| Error::Config("AV1"))?;
    Ok(Av01 {
        visual: visual(width, height),
        av1c,
        ..Av01::default()
    })
}

fn opus(config: &Bytes, channels: u16, timescale: u32) -> Result<Opus, Error> {
    let mut bytes = config.as_ref();
    let dops = Dops::decode_body(&mut bytes).map_err(|_| Error::Config("Opus"))?;
    if timescale != OPUS_RATE || u16::from(dops.output_channel_count) != channels || !bytes.is_empty() {
        return Err(Error::Config("Opus"));
    }
    Ok(Opus {
        audio: audio(channels, OPUS_RATE),
        dops,
        btrt: None,
    })
}

fn avc1(config: &Bytes, width: u16, height: u16) -> Result<Avc1, Error> {
    let mut bytes = config.as_ref();
    let avcc = Avcc::decode_body(&mut bytes).map_err(|_| Error::Config("H.264"))?;
    Ok(Avc1 {
        visual: visual(width, height),
        avcc,
        ..Avc1::default()
    })
}

pub(crate) fn object_type(config: &[u8]) -> Result<u8, Error> {
    match config.first().map(|byte| byte >> 3) {
        // 0 is no type and 31 escapes to types no encoder of ours writes.
        None | Some(0 | 31) => Err(Error::Config("AAC")),
        Some(kind) => Ok(kind),
    }
}

fn mp4a(config: &Bytes, channels: u16, rate: u32, bit_rate: u32) -> Result<Mp4a, Error> {
    let kind = object_type(config)?;
    let [first, second, ..] = config.as_ref() else {
        return Err(Error::Config("AAC"));
    };
    let specific = esds::DecoderSpecific {
        profile: kind,
        freq_index: (first & 7) << 1 | second >> 7,
        chan_conf: second >> 3 & 0xf,
        raw: config.to_vec(),
    };
    let decoder = esds::DecoderConfig {
        object_type_indication: 0x40, // ISO/IEC 14496-3 audio
        stream_type: 5,
        up_stream: 0,
        buffer_size_db: Default::default(),
        max_bitrate: bit_rate,
        avg_bitrate: bit_rate,
        dec_specific: Some(specific),
    };
    let es_desc = esds::EsDescriptor {
        es_id: 1,
        dec_config: decoder,
        ..Default::default()
    };
    Ok(Mp4a {
        audio: audio(channels, rate),
        esds: mp4_atom::Esds { es_desc },
        btrt: None,
        taic: None,
    })
}
