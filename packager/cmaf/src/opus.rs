//! Opus packets: how long they are.

/// Samples at 48 kHz in a packet (RFC 6716 §3.1), at most 120 ms of them; none where it is malformed.
pub fn samples(packet: &[u8]) -> Option<u32> {
    let (&toc, rest) = packet.split_first()?;
    let config = toc >> 3;
    let frame = match config {
        // SILK: 10, 20, 40, 60 ms; hybrid: 10, 20; CELT: 2.5, 5, 10, 20.
        0..=11 => [480, 960, 1_920, 2_880].get(usize::from(config % 4)).copied()?,
        12..=15 => 480 << (config % 2),
        _ => 120 << (config % 4),
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(rest.first()? & 0x3F),
    };
    Some(frame * frames).filter(|samples| (1..=5_760).contains(samples))
}

#[cfg(test)]
mod tests {
    #[test]
    fn packets_of_opus_say_how_long_they_are() {
        for (packet, samples) in [
            (&[0xFC_u8][..], Some(960)),
            (&[0xFD], Some(1_920)),
            (&[0xFF, 3], Some(2_880)),
            (&[0x08], Some(960)),
            (&[0x78], Some(960)),
            (&[0xE0], Some(120)),
            (&[0xFF, 0x3F], None),
            (&[0xFF, 0], None),
            (&[0xFF], None),
            (&[], None),
        ] {
            assert_eq!(super::samples(packet), samples, "{packet:x?}");
        }
    }
}
