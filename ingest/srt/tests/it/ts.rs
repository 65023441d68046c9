//! Whether a transport stream is whole (ISO 13818-1 §2.4.3).

use std::collections::BTreeMap;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) packets: usize,
    /// Gaps in the continuity counter of some PID, and packets without the sync byte.
    pub(crate) errors: usize,
}

pub(crate) fn inspect(bytes: &[u8]) -> Seen {
    let mut seen = Seen::default();
    let mut counters: BTreeMap<u16, u8> = BTreeMap::new();
    if !bytes.len().is_multiple_of(188) {
        seen.errors += 1;
    }
    for packet in bytes.chunks_exact(188) {
        seen.packets += 1;
        if packet[0] != 0x47 {
            seen.errors += 1;
            continue;
        }
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let has_payload = packet[3] & 0x10 != 0;
        if pid == 0x1fff || !has_payload {
            continue;
        }
        let counter = packet[3] & 0x0f;
        if let Some(last) = counters.insert(pid, counter)
            && counter != (last + 1) & 0x0f
        {
            seen.errors += 1;
        }
    }
    seen
}

#[test]
fn a_missing_packet_is_seen() {
    let mut bytes = Vec::new();
    for counter in [0, 1, 2, 4] {
        let mut packet = [0; 188];
        packet[..4].copy_from_slice(&[0x47, 1, 0, 0x10 | counter]);
        bytes.extend(packet);
    }
    assert_eq!(
        inspect(&bytes),
        Seen {
            packets: 4,
            errors: 1
        }
    );
}
