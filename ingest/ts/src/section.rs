//! Packets to sections; iso13818-1 §2.4.4.

use bytes::Bytes;

use crate::event::Counters;

/// Collects the sections of one PID.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// Holds less than the limit and one payload.
    buffer: Vec<u8>,
    open: bool,
}

impl Assembler {
    /// Takes the payload of the next packet; gives the sections that it completes and whose CRC is right.
    pub(crate) fn push(
        &mut self,
        payload: &[u8],
        unit_start: bool,
        max: usize,
        counters: &mut Counters,
    ) -> Vec<Bytes> {
        let mut done = Vec::new();
        let mut fresh = payload;
        if unit_start {
            let split = payload.split_first();
            let Some((tail, rest)) =
                split.and_then(|(pointer, rest)| rest.split_at_checked(usize::from(*pointer)))
            else {
                counters.sections_malformed += 1;
                self.reset();
                return done;
            };
            self.extend(tail, max, counters, &mut done);
            self.buffer.clear();
            self.open = true;
            fresh = rest;
        }
        self.extend(fresh, max, counters, &mut done);
        done
    }

    /// Forgets what was collected, until the next section begins.
    pub(crate) fn reset(&mut self) {
        self.buffer.clear();
        self.open = false;
    }

    fn extend(&mut self, bytes: &[u8], max: usize, counters: &mut Counters, done: &mut Vec<Bytes>) {
        if !self.open {
            return;
        }
        self.buffer.extend_from_slice(bytes);
        while let Some([table, high, low]) = self.buffer.first_chunk() {
            // 0xFF fills the packet after the last section.
            if *table == 0xFF {
                return self.reset();
            }
            let len = 3 + usize::from(u16::from_be_bytes([high & 0x0F, *low]));
            if len > max {
                counters.sections_oversize += 1;
                return self.reset();
            }
            let Some(section) = self.buffer.get(..len) else {
                return;
            };
            if crc(section) == 0 {
                done.push(Bytes::copy_from_slice(section));
            } else {
                counters.crc_errors += 1;
            }
            self.buffer.drain(..len);
        }
        if self.buffer.first() == Some(&0xFF) {
            self.reset();
        }
    }
}

/// CRC-32 of iso13818-1 annex A; 0 over a section with its right CRC.
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        let [high, ..] = crc.to_be_bytes();
        crc << 8
            ^ TABLE
                .get(usize::from(high ^ byte))
                .expect("the table has an entry per byte")
    })
}

const TABLE: [u32; 256] = table();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated at compile time, below 256"
)]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < table.len() {
        let mut crc = (index as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 << 31 != 0 {
                crc << 1 ^ 0x04C1_1DB7
            } else {
                crc << 1
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(table: u8, body: &[u8]) -> Vec<u8> {
        let mut section = vec![table, 0xB0, u8::try_from(body.len() + 4).unwrap()];
        section.extend(body);
        section.extend(crc(&section).to_be_bytes());
        section
    }

    #[test]
    fn crc_of_the_check_string() {
        assert_eq!(crc(b"123456789"), 0x0376_E6E7);
    }

    #[test]
    fn sections_share_and_cross_packets() {
        let (first, second) = (section(1, &[7; 100]), section(2, &[8; 150]));
        let (mut assembler, mut counters) = (Assembler::default(), Counters::default());
        let mut push = |payload: &[u8], start| assembler.push(payload, start, 4096, &mut counters);
        assert_eq!(
            push(&[&[0], &first[..], &second[..60]].concat(), true),
            std::slice::from_ref(&first)
        );
        let rest = u8::try_from(second.len() - 60).unwrap();
        assert_eq!(
            push(&[&[rest], &second[60..], &first[..2]].concat(), true),
            [second]
        );
        let tail = [&first[2..], &[0xFF; 20]].concat();
        assert_eq!(push(&tail, false), [first]);
        assert!(push(&tail, false).is_empty(), "nothing is open");
        assert_eq!(counters, Counters::default());
    }

    #[test]
    fn bad_sections_are_counted() {
        let (mut assembler, mut counters) = (Assembler::default(), Counters::default());
        let mut wrong = [&[0], &section(1, &[7; 10])[..]].concat();
        wrong[5] ^= 1;
        for payload in [&wrong[..], &[0, 1, 0xBF, 0xFF], &[200, 1], &[]] {
            assert!(assembler.push(payload, true, 4096, &mut counters).is_empty());
        }
        let expected = Counters {
            crc_errors: 1,
            sections_oversize: 1,
            sections_malformed: 2,
            ..Counters::default()
        };
        assert_eq!(counters, expected);
    }
}
