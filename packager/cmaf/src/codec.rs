//! What a track holds, and its name in the CODECS attribute.

use bytes::Bytes;

use crate::{Error, av1, entry};

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
    /// HEVC with length-prefixed NAL units.
    Hevc {
        /// HEVCDecoderConfigurationRecord, ISO/IEC 14496-15 §8.3.3.1.
        config: Bytes,
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
    },
    /// AV1 in temporal units.
    Av1 {
        /// AV1CodecConfigurationRecord, AV1-ISOBMFF §2.3.
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
    /// Opus; its timescale is 48 kHz.
    Opus {
        /// Body of an OpusSpecificBox, Opus in ISOBMFF §4.3.2.
        config: Bytes,
        /// Channels.
        channels: u16,
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
            Self::Hevc { config, .. } => hevc(config).ok_or(Error::Config("HEVC")),
            Self::Av1 { config, .. } => Ok(av1::Configuration::read(config)?.name()),
            Self::Aac { config, .. } => Ok(format!("mp4a.40.{}", entry::object_type(config)?)),
            Self::Opus { .. } => Ok("Opus".to_owned()),
        }
    }

    /// Size of its pictures; none of sound.
    pub(crate) fn picture(&self) -> Option<(u16, u16)> {
        match self {
            Self::H264 { width, height, .. }
            | Self::Hevc { width, height, .. }
            | Self::Av1 { width, height, .. } => Some((*width, *height)),
            Self::Aac { .. } | Self::Opus { .. } => None,
        }
    }
}

/// ISO/IEC 14496-15 Annex E.3.
fn hevc(config: &[u8]) -> Option<String> {
    let [_version, profile, rest @ ..] = config else {
        return None;
    };
    let (compatibility, rest) = rest.split_first_chunk::<4>()?;
    let (constraints, rest) = rest.split_first_chunk::<6>()?;
    let level = rest.first()?;
    let space = ["", "A", "B", "C"].get(usize::from(profile >> 6))?;
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    // E.3: the flags in reverse bit order, without leading zeros; the constraints without trailing zero bytes.
    let compatibility = u32::from_be_bytes(*compatibility).reverse_bits();
    let last = constraints
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let constraints = constraints.iter().take(last).map(|byte| format!(".{byte:X}"));
    Some(format!(
        "hvc1.{space}{}.{compatibility:X}.{tier}{level}{}",
        profile & 0x1f,
        constraints.collect::<String>()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hevc_of(profile: u8, flags: [u8; 4], constraints: [u8; 6], level: u8) -> String {
        let config = [&[1, profile][..], &flags, &constraints, &[level]].concat();
        hevc(&config).unwrap()
    }

    #[test]
    fn hevc_names_as_the_annex_writes_them() {
        let main = [0x60, 0, 0, 0];
        assert_eq!(hevc_of(1, main, [0xb0, 0, 0, 0, 0, 0], 93), "hvc1.1.6.L93.B0");
        assert_eq!(hevc_of(1, main, [0x90, 0, 0, 0, 0, 0], 60), "hvc1.1.6.L60.90");
        assert_eq!(hevc_of(1, main, [0; 6], 120), "hvc1.1.6.L120");
        let high_main_10 = hevc_of(0x42 | 0x20, [0x20, 0, 0, 0], [0x90, 0, 8, 0, 0, 0], 150);
        assert_eq!(high_main_10, "hvc1.A2.4.H150.90.0.8");
        assert_eq!(hevc(&[1, 1, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0]), None);
    }
}
