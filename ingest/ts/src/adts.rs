//! ADTS headers of AAC; iso14496-3 §1.A.2.2.

use crate::bits::Bits;

/// Bytes of the header without CRC.
pub(crate) const HEADER: usize = 7;
/// iso14496-3 §1.6.3.4
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
];

/// What is asked of a header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// AudioSpecificConfig.
    pub(crate) config: [u8; 2],
    /// Samples in a second.
    pub(crate) rate: u32,
    /// Bytes of header and frame.
    pub(crate) len: usize,
    /// Bytes of the header, with CRC where there is one.
    pub(crate) header_len: usize,
    /// AAC frames in this ADTS frame.
    pub(crate) blocks: u64,
}

impl Header {
    /// None if this is no ADTS header.
    pub(crate) fn parse(bytes: &[u8; HEADER]) -> Option<Self> {
        let mut bits = Bits::new(bytes);
        let sync = bits.read(12)? == 0xFFF;
        bits.skip(1)?;
        let layer = bits.read(2)?;
        let protected = !bits.flag()?;
        let object = u16::try_from(bits.read(2)? + 1).ok()?;
        let index = u16::try_from(bits.read(4)?).ok()?;
        bits.skip(1)?;
        let channels = u16::try_from(bits.read(3)?).ok()?;
        bits.skip(4)?;
        let len = usize::try_from(bits.read(13)?).ok()?;
        bits.skip(11)?;
        let blocks = bits.read(2)? + 1;
        let rate = *RATES.get(usize::from(index))?;
        let header_len = if protected { HEADER + 2 } else { HEADER };
        let config = (object << 11 | index << 7 | channels << 3).to_be_bytes();
        (sync && layer == 0 && len >= header_len).then_some(Self {
            config,
            rate,
            len,
            header_len,
            blocks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_to_audio_specific_config() {
        let mut bytes = [0xFF, 0xF1, 0x4C, 0x80, 0x2E, 0x7F, 0xFC];
        let header = Header {
            config: [0x11, 0x90],
            rate: 48_000,
            len: 371,
            header_len: 7,
            blocks: 1,
        };
        assert_eq!(Header::parse(&bytes), Some(header));
        bytes[1] = 0xF0;
        assert_eq!(Header::parse(&bytes).unwrap().header_len, 9);
        bytes[2] = 0x74;
        assert_eq!(Header::parse(&bytes), None, "no such rate");
    }
}
