//! Decoder configuration records: cheap checks that a decoder will find what it reads first.

use crate::codec::{AudioCodec, VideoCodec};

/// Bytes of an HEVCDecoderConfigurationRecord before its arrays.
const HVCC_BYTES_MIN: usize = 23;
/// Bytes of an AV1CodecConfigurationRecord before its OBUs.
const AV1C_BYTES_MIN: usize = 4;
/// Bytes of an Opus ID header before its channel mapping table.
const OPUS_HEAD_BYTES_MIN: usize = 19;

/// Whether `record` may configure a decoder of `codec`.
pub fn video_is_sound(codec: VideoCodec, record: &[u8]) -> bool {
    match codec {
        VideoCodec::H264 => avc_is_sound(record),
        VideoCodec::Hevc => hevc_is_sound(record),
        VideoCodec::Av1 => av1_is_sound(record),
        // Senders disagree on whether the box's version and flags come first; decoders need none of it.
        VideoCodec::Vp9 => true,
    }
}

/// Whether `record` may configure a decoder of `codec`.
pub fn audio_is_sound(codec: AudioCodec, record: &[u8]) -> bool {
    match codec {
        AudioCodec::Aac => record.len() >= 2,
        AudioCodec::Opus => opus_is_sound(record),
    }
}

/// iso14496-15 §5.2.4.1.1: version 1, a length size of 1, 2 or 4, all parameter sets present.
fn avc_is_sound(record: &[u8]) -> bool {
    let Some((&[1, _, _, _, length_size, sps_count], mut rest)) = record.split_first_chunk() else {
        return false;
    };
    if length_size & 3 == 2 || sps_count & 0x1F == 0 {
        return false;
    }
    if !skip_units(&mut rest, (sps_count & 0x1F).into()) {
        return false;
    }
    let Some((&pps_count, after)) = rest.split_first() else {
        return false;
    };
    rest = after;
    pps_count > 0 && skip_units(&mut rest, pps_count.into())
}

/// iso14496-15 §8.3.3.1.2: version 1, a length size of 1, 2 or 4, all arrays present. None at all is sound: parameter
/// sets may come in band.
fn hevc_is_sound(record: &[u8]) -> bool {
    let Some((head, mut rest)) = record.split_first_chunk::<HVCC_BYTES_MIN>() else {
        return false;
    };
    let [1, .., length_size, arrays] = *head else {
        return false;
    };
    length_size & 3 != 2
        && (0..arrays).all(|_| {
            let Some((&[_kind, c0, c1], after)) = rest.split_first_chunk() else {
                return false;
            };
            rest = after;
            skip_units(&mut rest, u16::from_be_bytes([c0, c1]))
        })
}

/// av1-isobmff §2.3.3: marker bit and version 1.
fn av1_is_sound(record: &[u8]) -> bool {
    record.len() >= AV1C_BYTES_MIN && record.first() == Some(&0x81)
}

/// rfc7845 §5.1: magic, major version 0, one to eight channels, and their mapping where the family needs it.
fn opus_is_sound(record: &[u8]) -> bool {
    let Some((head, mapping)) = record.split_first_chunk::<OPUS_HEAD_BYTES_MIN>() else {
        return false;
    };
    let [
        b'O',
        b'p',
        b'u',
        b's',
        b'H',
        b'e',
        b'a',
        b'd',
        version,
        channels,
        ..,
        family,
    ] = *head
    else {
        return false;
    };
    let channels_max = if family == 0 { 2 } else { 8 };
    let mapping_bytes = if family == 0 { 0 } else { 2 + usize::from(channels) };
    version >> 4 == 0 && (1..=channels_max).contains(&channels) && mapping.len() >= mapping_bytes
}

/// Passes over `count` NAL units, each behind a 16-bit length; false when one is cut short.
fn skip_units(rest: &mut &[u8], count: u16) -> bool {
    for _ in 0..count {
        let Some((length, after)) = rest.split_first_chunk() else {
            return false;
        };
        let length = usize::from(u16::from_be_bytes(*length));
        let Some(after) = after.get(length..) else {
            return false;
        };
        *rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const AVCC: &[u8] = &[1, 0x64, 0, 0x1F, 0xFF, 0xE1, 0, 2, 0x67, 0x64, 1, 0, 1, 0x68];
    const AV1C: &[u8] = &[0x81, 0x05, 0x0C, 0x00, 0x0A, 0x0B];

    fn hvcc() -> Vec<u8> {
        let mut record = vec![1; HVCC_BYTES_MIN];
        record[21] = 0x0F;
        record[22] = 2;
        record.extend([0xA0, 0, 1, 0, 2, 0x40, 0x01]);
        record.extend([0xA1, 0, 2, 0, 1, 0x42, 0, 0]);
        record
    }

    fn opus_head(channels: u8, family: u8) -> Vec<u8> {
        [
            b"OpusHead\x01",
            &[channels][..],
            &[0x38, 1, 0x80, 0xBB, 0, 0, 0, 0, family],
        ]
        .concat()
    }

    #[test]
    fn sound_records_pass() {
        assert!(video_is_sound(VideoCodec::H264, AVCC));
        assert!(video_is_sound(VideoCodec::Hevc, &hvcc()));
        assert!(video_is_sound(VideoCodec::Av1, AV1C));
        assert!(video_is_sound(VideoCodec::Vp9, &[]));
        assert!(audio_is_sound(AudioCodec::Aac, &[0x11, 0x90]));
        assert!(audio_is_sound(AudioCodec::Opus, &opus_head(2, 0)));
        let surround = [opus_head(6, 1), vec![4, 2, 0, 4, 1, 2, 3, 5]].concat();
        assert!(audio_is_sound(AudioCodec::Opus, &surround));
    }

    #[test]
    fn records_cut_anywhere_are_refused() {
        let surround = [opus_head(6, 1), vec![4, 2, 0, 4, 1, 2, 3, 5]].concat();
        let cut = |record: &[u8], sound: &dyn Fn(&[u8]) -> bool| {
            (0..record.len()).for_each(|end| assert!(!sound(&record[..end]), "{end} of {record:02x?}"));
        };
        cut(AVCC, &|record| video_is_sound(VideoCodec::H264, record));
        cut(&hvcc(), &|record| video_is_sound(VideoCodec::Hevc, record));
        cut(&AV1C[..4], &|record| video_is_sound(VideoCodec::Av1, record));
        cut(&opus_head(1, 0), &|record| {
            audio_is_sound(AudioCodec::Opus, record)
        });
        cut(&surround, &|record| audio_is_sound(AudioCodec::Opus, record));
        cut(&[0x11, 0x90], &|record| audio_is_sound(AudioCodec::Aac, record));
    }

    #[test]
    fn records_with_one_wrong_field_are_refused() {
        let wrong = |record: &[u8], changes: &[(usize, u8)], sound: &dyn Fn(&[u8]) -> bool| {
            for &(at, value) in changes {
                let mut record = record.to_vec();
                record[at] = value;
                assert!(!sound(&record), "{value:#04x} at {at}");
            }
        };
        wrong(
            AVCC,
            &[(0, 2), (4, 0xFE), (5, 0xE0), (7, 200), (10, 0)],
            &|record| video_is_sound(VideoCodec::H264, record),
        );
        wrong(
            &hvcc(),
            &[(0, 0), (0, 2), (21, 0x0E), (22, 3), (25, 200), (27, 200)],
            &|record| video_is_sound(VideoCodec::Hevc, record),
        );
        wrong(AV1C, &[(0, 0x01), (0, 0x82)], &|record| {
            video_is_sound(VideoCodec::Av1, record)
        });
        let changes = [(0, b'o'), (7, b'D'), (8, 0x10), (9, 0), (9, 3), (9, 9), (18, 1)];
        wrong(&opus_head(2, 0), &changes, &|record| {
            audio_is_sound(AudioCodec::Opus, record)
        });
    }
}
