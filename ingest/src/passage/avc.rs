//! H.264 as a track keeps it: parameter sets in a record, lengths before NAL units.

use bytes::{BufMut, Bytes, BytesMut};

use crate::media::Framing;
use crate::nal;

const SPS: u8 = 7;
const PPS: u8 = 8;

/// An AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1) from what describes the track.
pub(super) fn record(framing: Framing, config: &Bytes) -> Option<Bytes> {
    match framing {
        Framing::Record => (config.first() == Some(&1)).then(|| config.clone()),
        Framing::StartCodes => {
            let of = |kind: u8| {
                let mut sets =
                    nal::by_start_code(config).filter(move |nal| nal.first().is_some_and(|h| h & 31 == kind));
                sets.next()
            };
            let (sps, pps) = (of(SPS)?, of(PPS)?);
            let [_, profile, constraints, level, ..] = *sps else {
                return None;
            };
            let mut record = BytesMut::new();
            // Four bytes of length; one set of either kind.
            record.put_slice(&[1, profile, constraints, level, 0xff, 0xe1]);
            record.put_u16(u16::try_from(sps.len()).ok()?);
            record.put_slice(sps);
            record.put_u8(1);
            record.put_u16(u16::try_from(pps.len()).ok()?);
            record.put_slice(pps);
            if matches!(profile, 100 | 110 | 122 | 144) {
                // 4:2:0 of eight bits is all that is passed; no extensions.
                record.put_slice(&[0xfd, 0xf8, 0xf8, 0]);
            }
            Some(record.freeze())
        }
    }
}

/// An access unit with a length of four bytes before each NAL unit.
pub(super) fn unit(framing: Framing, data: Bytes) -> Bytes {
    match framing {
        Framing::Record => data,
        Framing::StartCodes => {
            let mut out = BytesMut::with_capacity(data.len() + 16);
            for nal in nal::by_start_code(&data) {
                out.put_u32(u32::try_from(nal.len()).unwrap_or(u32::MAX));
                out.put_slice(nal);
            }
            out.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETS: &[u8] = &[0, 0, 0, 1, 0x67, 66, 192, 30, 9, 0, 0, 0, 1, 0x68, 5, 6];

    #[test]
    fn start_codes_become_lengths_and_sets_a_record() {
        let made = record(Framing::StartCodes, &Bytes::from_static(SETS)).unwrap();
        assert_eq!(
            made.as_ref(),
            [
                1, 66, 192, 30, 0xff, 0xe1, 0, 5, 0x67, 66, 192, 30, 9, 1, 0, 3, 0x68, 5, 6
            ]
        );
        let unit = unit(
            Framing::StartCodes,
            Bytes::from_static(&[0, 0, 1, 6, 1, 0, 0, 1, 0x65, 0, 0, 2]),
        );
        assert_eq!(unit.as_ref(), [0, 0, 0, 2, 6, 1, 0, 0, 0, 4, 0x65, 0, 0, 2]);
    }

    #[test]
    fn what_has_no_sets_has_no_record() {
        assert_eq!(
            record(Framing::StartCodes, &Bytes::from_static(b"\0\0\x01\x67")),
            None
        );
        assert_eq!(record(Framing::Record, &Bytes::new()), None);
    }
}
