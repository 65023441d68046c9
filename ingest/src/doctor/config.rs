//! Codec configurations, read as far as an operator cares and never past their bounds.

use crate::media::{AudioCodec, Framing, VideoCodec, VideoFormat};

/// Bytes of a parameter set that are looked at; what stands behind them is not needed.
const SPS_BYTES_MAX: usize = 512;

/// How the picture is coded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct VideoShape {
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
    pub(super) profile: Option<String>,
    pub(super) interlaced: bool,
}

/// How sound is coded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct AudioShape {
    pub(super) rate: Option<u32>,
    pub(super) channels: Option<u32>,
}

/// What a picture's configuration tells; all of it only for H.264.
pub(super) fn video(format: VideoFormat, config: &[u8]) -> VideoShape {
    match (format.codec, format.framing) {
        (VideoCodec::H264, Framing::Record) => avc_record(config).and_then(sps).unwrap_or_default(),
        (VideoCodec::H264, Framing::StartCodes) => nal_units(config).find_map(sps).unwrap_or_default(),
        // ISO/IEC 14496-15 §8.3.3.1.2: profile_idc is the low five bits of the second byte.
        (VideoCodec::Hevc, Framing::Record) => VideoShape {
            profile: config.get(1).and_then(|byte| hevc_profile(byte & 31)),
            ..VideoShape::default()
        },
        (VideoCodec::Hevc, Framing::StartCodes) | (VideoCodec::Av1 | VideoCodec::Vp9, _) => {
            VideoShape::default()
        }
    }
}

/// What a track's configuration tells.
pub(super) fn audio(codec: AudioCodec, config: &[u8]) -> AudioShape {
    match codec {
        AudioCodec::Aac => aac(config),
        // RFC 7845 §5.1; Opus always decodes at 48 kHz.
        AudioCodec::Opus => AudioShape {
            rate: Some(48_000),
            channels: config.get(9).copied().map(u32::from),
        },
    }
}

/// ISO/IEC 14496-3 §1.6.2.1, with the explicit kinds of SBR: the rate that comes out of the decoder.
fn aac(config: &[u8]) -> AudioShape {
    let read = || {
        let mut bits = Bits::new(config);
        let kind = bits.take(5)?;
        let core = aac_rate(&mut bits)?;
        let channels = match bits.take(4)? {
            0 => None,
            7 => Some(8),
            count => Some(count),
        };
        let mut rate = core;
        if kind == 5 || kind == 29 {
            rate = aac_rate(&mut bits)?;
        } else if bits.skip(3).is_some() && bits.take(11) == Some(0x2B7) && bits.take(5) == Some(5) {
            // The backward compatible extension behind a plain AAC-LC configuration.
            let present = bits.take(1) == Some(1);
            rate = present.then(|| aac_rate(&mut bits)).flatten().unwrap_or(core);
        }
        Some(AudioShape {
            rate: Some(rate),
            channels,
        })
    };
    read().unwrap_or_default()
}

fn aac_rate(bits: &mut Bits<'_>) -> Option<u32> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
    ];
    match bits.take(4)? {
        15 => bits.take(24),
        index => RATES.get(usize::try_from(index).ok()?).copied(),
    }
}

/// The first parameter set of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1.2).
fn avc_record(record: &[u8]) -> Option<&[u8]> {
    let rest = record.get(6..)?;
    let (length, rest) = rest.split_at_checked(2)?;
    let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
    rest.get(..length)
}

/// NAL units between start codes.
fn nal_units(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let starts = bytes.windows(3).enumerate();
    let starts = starts
        .filter(|(_, window)| *window == [0, 0, 1])
        .map(|(at, _)| at + 3);
    starts.filter_map(|at| bytes.get(at..))
}

/// ISO/IEC 14496-10 §7.3.2.1.1, up to the cropping window.
fn sps(nal: &[u8]) -> Option<VideoShape> {
    let (header, payload) = nal.split_first()?;
    if header & 31 != 7 {
        return None;
    }
    let payload = without_emulation(payload);
    let mut bits = Bits::new(&payload);
    let profile = bits.take(8)?;
    let constraints = bits.take(8)?;
    bits.skip(8)?;
    bits.golomb()?;
    let (chroma, separate) = match profile {
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135 => chroma(&mut bits)?,
        _ => (1, false),
    };
    bits.golomb()?;
    order_count(&mut bits)?;
    bits.golomb()?;
    bits.skip(1)?;
    let columns = bits.golomb()?.checked_add(1)?;
    let rows = bits.golomb()?.checked_add(1)?;
    let frames_only = bits.take(1)?;
    if frames_only == 0 {
        bits.skip(1)?;
    }
    bits.skip(1)?;
    let mut crop = [0; 4];
    if bits.take(1)? == 1 {
        for edge in &mut crop {
            *edge = bits.golomb()?;
        }
    }
    let field = 2 - frames_only;
    let (unit_x, unit_y) = match (chroma, separate) {
        (1, false) => (2, 2 * field),
        (2, false) => (2, field),
        _ => (1, field),
    };
    let [left, right, top, bottom] = crop;
    let size = |blocks: u32, units: u32, first: u32, last: u32| {
        let cut = first.checked_add(last)?.checked_mul(units)?;
        blocks.checked_mul(16)?.checked_sub(cut)
    };
    Some(VideoShape {
        width: size(columns, unit_x, left, right),
        height: size(rows.checked_mul(field)?, unit_y, top, bottom),
        profile: Some(avc_profile(profile, constraints)),
        interlaced: frames_only == 0,
    })
}

fn chroma(bits: &mut Bits<'_>) -> Option<(u32, bool)> {
    let format = bits.golomb()?;
    let separate = format == 3 && bits.take(1)? == 1;
    bits.golomb()?;
    bits.golomb()?;
    bits.skip(1)?;
    if bits.take(1)? == 1 {
        for list in 0..if format == 3 { 12 } else { 8 } {
            if bits.take(1)? == 1 {
                scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some((format, separate))
}

/// §7.3.2.1.1.1
fn scaling_list(bits: &mut Bits<'_>, length: u32) -> Option<()> {
    let (mut last, mut next) = (8_i64, 8_i64);
    for _ in 0..length {
        if next != 0 {
            next = (last + bits.signed_golomb()?).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

fn order_count(bits: &mut Bits<'_>) -> Option<()> {
    match bits.golomb()? {
        0 => {
            bits.golomb()?;
        }
        1 => {
            bits.skip(1)?;
            bits.golomb()?;
            bits.golomb()?;
            for _ in 0..bits.golomb()?.min(255) {
                bits.golomb()?;
            }
        }
        _ => {}
    }
    Some(())
}

fn avc_profile(profile: u32, constraints: u32) -> String {
    match profile {
        66 if constraints & 0x40 != 0 => "Constrained Baseline".to_owned(),
        66 => "Baseline".to_owned(),
        77 => "Main".to_owned(),
        88 => "Extended".to_owned(),
        100 => "High".to_owned(),
        110 => "High 10".to_owned(),
        122 => "High 4:2:2".to_owned(),
        244 => "High 4:4:4".to_owned(),
        other => format!("profile {other}"),
    }
}

fn hevc_profile(profile: u8) -> Option<String> {
    match profile {
        0 => None,
        1 => Some("Main".to_owned()),
        2 => Some("Main 10".to_owned()),
        other => Some(format!("profile {other}")),
    }
}

/// §7.4.1: a 3 behind two zeros is not part of the payload.
fn without_emulation(payload: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(payload.len().min(SPS_BYTES_MAX));
    let mut zeros = 0;
    for &byte in payload.iter().take(SPS_BYTES_MAX) {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        plain.push(byte);
    }
    plain
}

/// Bits from the front; none once they are used up.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count.min(32) {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn skip(&mut self, count: u32) -> Option<()> {
        self.take(count).map(drop)
    }

    /// §9.1, codes of at most 31 zeros.
    fn golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let rest = self.take(zeros)?;
        (1_u32 << zeros).checked_sub(1)?.checked_add(rest)
    }

    /// §9.1.1
    fn signed_golomb(&mut self) -> Option<i64> {
        let code = i64::from(self.golomb()?);
        Some(if code % 2 == 1 { code / 2 + 1 } else { -(code / 2) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// x264, 1920x1080 in High: 68 rows of blocks, cropped by eight lines.
    const FULL_HD: &[u8] = &[
        0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00,
        0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58,
    ];

    fn format(framing: Framing) -> VideoFormat {
        let codec = VideoCodec::H264;
        VideoFormat { codec, framing }
    }

    #[test]
    fn size_and_profile_are_read_from_both_framings() {
        let mut record = vec![
            1,
            0x64,
            0,
            0x28,
            0xff,
            0xe1,
            0,
            u8::try_from(FULL_HD.len()).unwrap(),
        ];
        record.extend(FULL_HD);
        let annex_b = [&[0, 0, 0, 1][..], FULL_HD, &[0, 0, 0, 1, 0x68, 0xee]].concat();
        let wanted = VideoShape {
            width: Some(1_920),
            height: Some(1_080),
            profile: Some("High".to_owned()),
            interlaced: false,
        };
        assert_eq!(video(format(Framing::Record), &record), wanted);
        assert_eq!(video(format(Framing::StartCodes), &annex_b), wanted);
        assert_eq!(
            video(format(Framing::Record), &record[..9]),
            VideoShape::default()
        );
    }

    #[test]
    fn the_rate_is_the_one_that_is_heard() {
        for (config, rate, channels) in [
            (&[0x11, 0x90][..], Some(48_000), Some(2)),
            (&[0x12, 0x08], Some(44_100), Some(1)),
            // HE-AAC, told in front and told behind.
            (&[0x2b, 0x11, 0x88, 0x00], Some(48_000), Some(2)),
            (&[0x13, 0x10, 0x56, 0xe5, 0x98], Some(48_000), Some(2)),
            (&[0x11], None, None),
        ] {
            assert_eq!(aac(config), AudioShape { rate, channels }, "{config:x?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_there_nothing_panics(config in prop::collection::vec(any::<u8>(), 0..80)) {
            for framing in [Framing::Record, Framing::StartCodes] {
                video(format(framing), &config);
            }
            sps(&[&[0x67, 100, 0, 30], config.as_slice()].concat());
            audio(AudioCodec::Aac, &config);
            audio(AudioCodec::Opus, &config);
        }
    }
}
