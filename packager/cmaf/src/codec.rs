//! What a track holds: sample entries and the CODECS attribute.

use bytes::Bytes;
use mp4_atom::{Atom as _, Audio, Avc1, Avcc, Mp4a, Visual, esds};

use crate::Error;

/// A track's format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Codec {
    /// H.264 with length-prefixed NAL units.
    H264 {
        /// AVCDecoderConfigurationRecord, ISO/IEC 14496-15 §5.3.3.1.
        config: Bytes,
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
    },
    /// AAC-LC.
    Aac {
        /// AudioSpecificConfig, ISO/IEC 14496-3 §1.6.2.1.
        config: Bytes,
        /// Channels.
        channels: u16,
        /// Hz.
        rate: u32,
        /// Bits per second, for the decoder's information.
        bit_rate: u32,
    },
}

impl Codec {
    /// RFC 6381 name, as CODECS lists it.
    pub fn name(&self) -> Result<String, Error> {
        match self {
            Self::H264 { config, .. } => {
                let [_, profile, compatibility, level, ..] = config.as_ref() else {
                    return Err(Error::Config("H.264"));
                };
                Ok(format!("avc1.{profile:02x}{compatibility:02x}{level:02x}"))
            }
            Self::Aac { config, .. } => Ok(format!("mp4a.40.{}", object_type(config)?)),
        }
    }

    pub(crate) fn is_video(&self) -> bool {
        matches!(self, Self::H264 { .. })
    }

    pub(crate) fn sample_entry(&self) -> Result<mp4_atom::Codec, Error> {
        match self {
            Self::H264 {
                config,
                width,
                height,
            } => Ok(avc1(config, *width, *height)?.into()),
            Self::Aac {
                config,
                channels,
                rate,
                bit_rate,
            } => Ok(mp4a(config, *channels, *rate, *bit_rate)?.into()),
        }
    }
}

fn avc1(config: &Bytes, width: u16, height: u16) -> Result<Avc1, Error> {
    let mut bytes = config.as_ref();
    let avcc = Avcc::decode_body(&mut bytes).map_err(|_| Error::Config("H.264"))?;
    let visual = Visual {
        data_reference_index: 1,
        width,
        height,
        horizresolution: 0x48.into(),
        vertresolution: 0x48.into(),
        frame_count: 1,
        compressor: String::new().into(),
        depth: 0x18,
    };
    Ok(Avc1 {
        visual,
        avcc,
        ..Avc1::default()
    })
}

fn object_type(config: &[u8]) -> Result<u8, Error> {
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
    let audio = Audio {
        data_reference_index: 1,
        channel_count: channels,
        sample_size: 16,
        sample_rate: u16::try_from(rate).unwrap_or(0).into(),
    };
    Ok(Mp4a {
        audio,
        esds: mp4_atom::Esds { es_desc },
        btrt: None,
        taic: None,
    })
}
