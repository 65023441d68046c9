//! One packet's header and adaptation field, and the continuity of the packets of a PID.

use crate::bits::Bits;
use crate::event::Counters;
use crate::framer::PACKET;

/// The PID of packets that only fill.
pub(crate) const NULL_PID: u16 = 0x1FFF;

/// What the header of a packet says; iso13818-1 §2.4.3.2.
#[derive(Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) pid: u16,
    pub(crate) transport_error: bool,
    /// A PES packet or a section begins in the payload.
    pub(crate) unit_start: bool,
    pub(crate) scrambled: bool,
    pub(crate) continuity: u8,
    pub(crate) payload: Option<&'a [u8]>,
    /// discontinuity_indicator: the counter may jump here.
    pub(crate) discontinuity: bool,
    /// random_access_indicator: decoding can start here.
    pub(crate) random_access: bool,
    /// 27 MHz ticks.
    pub(crate) pcr: Option<u64>,
}

impl<'a> Packet<'a> {
    /// None if the lengths contradict each other.
    pub(crate) fn parse(raw: &'a [u8; PACKET]) -> Option<Self> {
        let [_, high, low, control, body @ ..] = raw;
        let mut packet = Packet {
            pid: u16::from_be_bytes([high & 0x1F, *low]),
            transport_error: high & 0x80 != 0,
            unit_start: high & 0x40 != 0,
            scrambled: control & 0xC0 != 0,
            continuity: control & 0x0F,
            payload: None,
            discontinuity: false,
            random_access: false,
            pcr: None,
        };
        let mut rest = body.as_slice();
        if control & 0x20 != 0 {
            let (len, after) = rest.split_first()?;
            let (field, after) = after.split_at_checked(usize::from(*len))?;
            packet.adaptation(field);
            rest = after;
        }
        if control & 0x10 != 0 {
            packet.payload = Some(rest);
        }
        Some(packet)
    }

    /// iso13818-1 §2.4.3.4
    fn adaptation(&mut self, field: &[u8]) {
        let Some((flags, rest)) = field.split_first() else {
            return;
        };
        self.discontinuity = flags & 0x80 != 0;
        self.random_access = flags & 0x40 != 0;
        if flags & 0x10 != 0 {
            let mut bits = Bits::new(rest);
            let base = bits.read(33);
            let extension = bits.skip(6).and_then(|()| bits.read(9));
            self.pcr = base
                .zip(extension)
                .map(|(base, extension)| base * 300 + extension);
        }
    }
}

/// What the continuity counter of a packet tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing is missing.
    Next,
    /// The packet before, again: to be dropped.
    Duplicate,
    /// The counter jumps, as announced by discontinuity_indicator.
    Jump,
    /// Packets are missing before this one.
    Gap,
}

/// The continuity of one PID; iso13818-1 §2.4.3.3.
#[derive(Debug, Default)]
pub(crate) struct Continuity {
    last: Option<u8>,
    duplicated: bool,
    payload: Vec<u8>,
}

impl Continuity {
    /// Judges and counts the next packet of the PID.
    pub(crate) fn judge(&mut self, packet: &Packet<'_>, counters: &mut Counters) -> Verdict {
        let verdict = self.verdict(packet);
        counters.duplicates += u64::from(verdict == Verdict::Duplicate);
        counters.continuity_errors += u64::from(verdict == Verdict::Gap);
        verdict
    }

    fn verdict(&mut self, packet: &Packet<'_>) -> Verdict {
        let Some(payload) = packet.payload else {
            // The counter does not rise without payload, and its value then tells nothing that the next will not.
            if packet.discontinuity {
                self.last = None;
            }
            return Verdict::Next;
        };
        let verdict = match self.last {
            None => Verdict::Next,
            Some(last) if packet.continuity == (last + 1) & 0x0F => Verdict::Next,
            // Fifteen lost packets leave the counter as two equal ones do: only equal payloads are a duplicate.
            Some(last) if packet.continuity == last && !self.duplicated && payload == self.payload => {
                self.duplicated = true;
                return Verdict::Duplicate;
            }
            Some(_) if packet.discontinuity => Verdict::Jump,
            Some(_) => Verdict::Gap,
        };
        self.last = Some(packet.continuity);
        self.duplicated = false;
        self.payload.clear();
        self.payload.extend_from_slice(payload);
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(control: u8, fill: u8) -> [u8; PACKET] {
        let mut raw = [fill; PACKET];
        raw[..4].copy_from_slice(&[0x47, 0x01, 0x00, control]);
        raw
    }

    fn judge(continuity: &mut Continuity, raw: &[u8; PACKET]) -> Verdict {
        continuity.verdict(&Packet::parse(raw).unwrap())
    }

    #[test]
    fn counter_rules() {
        let mut continuity = Continuity::default();
        assert_eq!(judge(&mut continuity, &raw(0x1E, 0)), Verdict::Next);
        assert_eq!(judge(&mut continuity, &raw(0x1F, 1)), Verdict::Next);
        assert_eq!(judge(&mut continuity, &raw(0x1F, 1)), Verdict::Duplicate);
        assert_eq!(
            judge(&mut continuity, &raw(0x1F, 1)),
            Verdict::Gap,
            "two duplicates are one too many"
        );
        assert_eq!(judge(&mut continuity, &raw(0x10, 2)), Verdict::Next, "wraps");
        assert_eq!(
            judge(&mut continuity, &raw(0x10, 3)),
            Verdict::Gap,
            "same counter, other payload"
        );
        assert_eq!(judge(&mut continuity, &raw(0x12, 3)), Verdict::Gap);
        let mut announced = raw(0x39, 0);
        announced[4..6].copy_from_slice(&[1, 0x80]);
        assert_eq!(judge(&mut continuity, &announced), Verdict::Jump);
        let mut no_payload = raw(0x29, 0);
        no_payload[4] = 183;
        assert_eq!(
            judge(&mut continuity, &no_payload),
            Verdict::Next,
            "no payload, no count"
        );
        assert_eq!(judge(&mut continuity, &raw(0x1A, 0)), Verdict::Next);
    }

    #[test]
    fn pcr_and_flags_are_read() {
        let mut bytes = raw(0x30, 0xAA);
        bytes[4..12].copy_from_slice(&[7, 0x50, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0x05]);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.pcr, Some(((1 << 33) - 1) * 300 + 5));
        assert!(packet.random_access && !packet.discontinuity);
        assert_eq!(packet.payload.unwrap().len(), 176);
        bytes[4] = 184;
        assert!(Packet::parse(&bytes).is_none());
    }
}
