//! Where packets begin in a byte stream.

/// Bytes of a packet.
pub(crate) const PACKET: usize = 188;
/// What every packet begins with.
pub(crate) const SYNC: u8 = 0x47;
/// Three sync bytes in step make a false start improbable (1 in 65,536 per 0x47) at a cost of 377 bytes of delay.
const HUNT: usize = 2 * PACKET + 1;

/// Cuts a byte stream, in any split, into packets.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    carry: Vec<u8>,
    synced: bool,
    /// Times that sync was lost.
    pub(crate) losses: u64,
    /// Bytes passed over while out of sync.
    pub(crate) skipped: u64,
}

impl Framer {
    /// Hands each whole packet of `bytes`, and of what was kept of earlier ones, to `sink`.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut sink: impl FnMut(&[u8; PACKET])) {
        loop {
            if !self.synced && !self.hunt(&mut bytes) {
                return;
            }
            if self.carry.is_empty() {
                let Some((packet, rest)) = bytes.split_first_chunk::<PACKET>() else {
                    self.carry.extend_from_slice(bytes);
                    return;
                };
                if packet.first() == Some(&SYNC) {
                    bytes = rest;
                    sink(packet);
                } else {
                    self.lose();
                }
                continue;
            }
            fill(&mut self.carry, &mut bytes, PACKET);
            let Some(&packet) = self.carry.first_chunk::<PACKET>() else {
                return;
            };
            if packet.first() == Some(&SYNC) {
                self.carry.drain(..PACKET);
                sink(&packet);
            } else {
                self.lose();
            }
        }
    }

    /// Hands out packets at the end of the stream that were still waiting for the sync bytes after them.
    pub(crate) fn finish(&mut self, mut sink: impl FnMut(&[u8; PACKET])) {
        let carry = std::mem::take(&mut self.carry);
        let in_step = |rest: &[u8]| rest.iter().step_by(PACKET).all(|byte| *byte == SYNC);
        let start = (0..carry.len()).find(|start| carry.get(*start..).is_some_and(in_step));
        let rest = start.and_then(|start| carry.get(start..)).unwrap_or_default();
        rest.as_chunks::<PACKET>().0.iter().for_each(&mut sink);
        self.synced = false;
    }

    fn lose(&mut self) {
        self.synced = false;
        self.losses += 1;
    }

    /// Drops bytes until three sync bytes are in step; false if more bytes are needed.
    fn hunt(&mut self, bytes: &mut &[u8]) -> bool {
        loop {
            fill(&mut self.carry, bytes, HUNT);
            if self.carry.len() < HUNT {
                return false;
            }
            if self.carry.iter().step_by(PACKET).all(|byte| *byte == SYNC) {
                self.synced = true;
                return true;
            }
            let next = self.carry.iter().skip(1).position(|byte| *byte == SYNC);
            let junk = next.map_or(self.carry.len(), |position| position + 1);
            self.carry.drain(..junk);
            self.skipped += u64::try_from(junk).expect("a buffer's length fits");
        }
    }
}

/// Moves bytes from `from` to `to` until it has `len`.
fn fill(to: &mut Vec<u8>, from: &mut &[u8], len: usize) {
    let missing = len.saturating_sub(to.len()).min(from.len());
    let (head, rest) = from.split_at(missing);
    to.extend_from_slice(head);
    *from = rest;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(number: u8) -> [u8; PACKET] {
        let mut packet = [number; PACKET];
        packet[0] = SYNC;
        packet
    }

    fn numbers(stream: &[u8], chunk: usize) -> (Vec<u8>, Framer) {
        let (mut framer, mut seen) = (Framer::default(), Vec::new());
        for bytes in stream.chunks(chunk) {
            framer.feed(bytes, |packet| seen.push(packet[1]));
        }
        framer.finish(|packet| seen.push(packet[1]));
        (seen, framer)
    }

    #[test]
    fn whole_packets_come_out_in_any_split() {
        let stream: Vec<u8> = (0..20).flat_map(packet).collect();
        for chunk in [1, 7, 187, 188, 189, 376, 377, 1316, 5000] {
            let (seen, framer) = numbers(&stream, chunk);
            assert_eq!(seen, (0..20).collect::<Vec<_>>(), "chunk {chunk}");
            assert_eq!((framer.losses, framer.skipped), (0, 0));
        }
    }

    #[test]
    fn junk_is_skipped_and_counted() {
        let mut stream = vec![SYNC, 1, 2, SYNC, 9];
        stream.extend((0..5).flat_map(packet));
        stream.extend([0; 50]);
        stream.extend((5..10).flat_map(packet));
        for chunk in [1, 100, 188, 4000] {
            let (seen, framer) = numbers(&stream, chunk);
            assert_eq!(seen, (0..10).collect::<Vec<_>>(), "chunk {chunk}");
            assert_eq!((framer.losses, framer.skipped), (1, 55));
        }
    }

    #[test]
    fn short_streams_are_not_lost() {
        for count in 0..4 {
            let stream: Vec<u8> = (0..count).flat_map(packet).collect();
            assert_eq!(numbers(&stream, 100).0.len(), usize::from(count));
        }
    }
}
