//! Opus in MPEG-TS: the control header before each packet, and what the descriptor says of channels.

use crate::bits::Bits;

/// The largest packet: 120 ms of 255 streams would be more, but no encoder comes near.
pub(crate) const PACKET_MAX: usize = 64 << 10;

/// What a control header says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// More bytes are needed.
    Short,
    /// There is no control header here.
    Bad,
    /// A packet of `len` bytes follows after `header_len`.
    Packet { header_len: usize, len: usize },
}

/// opus-ts §"opus_control_header"
pub(crate) fn control(bytes: &[u8]) -> Control {
    let Some(([first, second], rest)) = bytes.split_first_chunk() else {
        return Control::Short;
    };
    if *first != 0x7F || second & 0xE0 != 0xE0 {
        return Control::Bad;
    }
    let (start_trim, end_trim, extension) = (second & 0x10 != 0, second & 0x08 != 0, second & 0x04 != 0);
    let ones = rest.iter().take_while(|byte| **byte == 0xFF).count();
    if ones * 255 > PACKET_MAX {
        return Control::Bad;
    }
    let Some(last) = rest.get(ones) else {
        return Control::Short;
    };
    let mut header_len = 2 + ones + 1 + 2 * (usize::from(start_trim) + usize::from(end_trim));
    if extension {
        let Some(len) = bytes.get(header_len) else {
            return Control::Short;
        };
        header_len += 1 + usize::from(*len);
    }
    Control::Packet {
        header_len,
        len: ones * 255 + usize::from(*last),
    }
}

/// Samples of a packet at 48 kHz, rfc6716 §3.1; None if it is no Opus packet.
pub(crate) fn samples(packet: &[u8]) -> Option<u64> {
    let (toc, rest) = packet.split_first()?;
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880].get(usize::from(config & 3)).copied()?,
        config @ 12..=15 => 480 << (config & 1),
        config => 120 << (config & 3),
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => Bits::new(rest).read(8)? & 0x3F,
    };
    let samples = frame * frames;
    // rfc6716 §3.4 R5: at most 120 ms.
    (1..=5760).contains(&samples).then_some(samples)
}

/// Streams, coupled streams and channel mapping by number of channels, rfc7845 §5.1.1.2.
const LAYOUTS: [(u8, u8, &[u8]); 6] = [
    (2, 1, &[0, 2, 1]),
    (2, 2, &[0, 1, 2, 3]),
    (3, 2, &[0, 4, 1, 2, 3]),
    (4, 2, &[0, 4, 1, 2, 3, 5]),
    (4, 3, &[0, 4, 1, 2, 3, 5, 6]),
    (5, 3, &[0, 6, 1, 2, 3, 4, 5, 7]),
];

/// The OpusHead (rfc7845 §5.1) of a channel_config_code; None for codes that are not plain layouts.
pub(crate) fn head(channel_config: u8) -> Option<Vec<u8>> {
    let channels = match channel_config {
        0 => 2,
        1..=8 => channel_config,
        _ => return None,
    };
    let mut head = b"OpusHead\x01".to_vec();
    head.push(channels);
    head.extend(0_u16.to_le_bytes());
    head.extend(48_000_u32.to_le_bytes());
    head.extend(0_u16.to_le_bytes());
    match (
        channel_config,
        channels
            .checked_sub(3)
            .and_then(|index| LAYOUTS.get(usize::from(index))),
    ) {
        // Dual mono: two uncoupled streams without a place.
        (0, _) => head.extend([255, 2, 0, 0, 1]),
        (_, None) => head.push(0),
        (_, Some((streams, coupled, mapping))) => {
            head.extend([1, *streams, *coupled]);
            head.extend(*mapping);
        }
    }
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_headers() {
        assert_eq!(
            control(&[0x7F, 0xE0, 0xFF, 45]),
            Control::Packet {
                header_len: 4,
                len: 300
            }
        );
        assert_eq!(
            control(&[0x7F, 0xF0, 9, 0, 1]),
            Control::Packet {
                header_len: 5,
                len: 9
            }
        );
        assert_eq!(
            control(&[0x7F, 0xE4, 9, 2, 0, 0]),
            Control::Packet {
                header_len: 6,
                len: 9
            }
        );
        assert_eq!(control(&[0x7F, 0xE0, 0xFF]), Control::Short);
        assert_eq!(control(&[0x7F, 0x00, 9]), Control::Bad);
        let mut endless = vec![0xFF; 1000];
        endless[..2].copy_from_slice(&[0x7F, 0xE0]);
        assert_eq!(control(&endless), Control::Bad);
    }

    #[test]
    fn durations_by_toc() {
        let table: [(&[u8], _); 7] = [
            (&[0xFC], Some(960)),
            (&[3 << 3], Some(2880)),
            (&[13 << 3], Some(960)),
            (&[16 << 3 | 1], Some(240)),
            (&[0xFF, 3], Some(2880)),
            (&[0xFF, 40], None),
            (&[0xFF], None),
        ];
        for (packet, expected) in table {
            assert_eq!(samples(packet), expected, "{packet:?}");
        }
    }

    #[test]
    fn heads_by_channel_config() {
        assert_eq!(head(2).unwrap(), b"OpusHead\x01\x02\0\0\x80\xBB\0\0\0\0\0");
        assert_eq!(head(6).unwrap()[18..], [1, 4, 2, 0, 4, 1, 2, 3, 5]);
        assert_eq!(head(0).unwrap()[18..], [255, 2, 0, 0, 1]);
        assert_eq!(head(0x82), None);
    }
}
