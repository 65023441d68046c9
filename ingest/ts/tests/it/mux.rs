//! Packets by hand.

/// PIDs of the hand-made programme.
pub(crate) const VIDEO: u16 = 0x100;
pub(crate) const HEVC: u16 = 0x101;
pub(crate) const AAC: u16 = 0x102;
pub(crate) const OPUS: u16 = 0x103;
pub(crate) const CUES: u16 = 0x104;
pub(crate) const PMT: u16 = 0x20;

/// The programme's streams as a PMT lists them.
pub(crate) const STREAMS: [&[u8]; 5] = [
    &[0x1B, 0xE1, 0x00, 0xF0, 0],
    &[0x24, 0xE1, 0x01, 0xF0, 0],
    &[0x0F, 0xE1, 0x02, 0xF0, 6, 0x0A, 4, b'd', b'e', b'u', 0],
    &[
        0x06, 0xE1, 0x03, 0xF0, 10, 5, 4, b'O', b'p', b'u', b's', 0x7F, 2, 0x80, 2,
    ],
    &[0x86, 0xE1, 0x04, 0xF0, 0],
];

/// Counts continuity per PID and collects packets.
#[derive(Default)]
pub(crate) struct Mux {
    pub(crate) bytes: Vec<u8>,
    counters: std::collections::BTreeMap<u16, u8>,
}

impl Mux {
    /// A stream that begins with the tables of all `STREAMS`.
    pub(crate) fn with_program() -> Self {
        let mut mux = Self::default();
        mux.pat();
        mux.pmt(0, &STREAMS);
        mux
    }

    pub(crate) fn pat(&mut self) {
        self.section(0, &table(0, 0, &[0, 1, 0xE0, 0x20]));
    }

    pub(crate) fn pmt(&mut self, version: u8, streams: &[&[u8]]) {
        self.section(
            PMT,
            &table(
                2,
                version,
                &[&[0xE1, 0x00, 0xF0, 0][..], &streams.concat()].concat(),
            ),
        );
    }

    pub(crate) fn section(&mut self, pid: u16, section: &[u8]) {
        let mut payload = vec![0];
        payload.extend(section);
        while payload.len() % 184 != 0 {
            payload.push(0xFF);
        }
        for (index, payload) in payload.chunks(184).enumerate() {
            self.packet(pid, index == 0, &[], payload);
        }
    }

    pub(crate) fn pes(&mut self, pid: u16, times: Option<(u64, u64)>, payload: &[u8]) {
        let mut pes = vec![0, 0, 1, 0xE0, 0, 0, 0x80, 0, 0];
        if let Some((pts, dts)) = times {
            pes[7..].copy_from_slice(&[0xC0, 10]);
            pes.extend(time(3, pts));
            pes.extend(time(1, dts));
        }
        pes.extend(payload);
        for (index, payload) in pes.chunks(180).enumerate() {
            self.packet(pid, index == 0, &[0x40], payload);
        }
    }

    /// One packet; `adaptation` begins with its flags, and is made longer to fill the packet.
    pub(crate) fn packet(&mut self, pid: u16, unit_start: bool, adaptation: &[u8], payload: &[u8]) {
        let counter = self.counters.entry(pid).or_default();
        let [high, low] = pid.to_be_bytes();
        let mut packet = vec![
            0x47,
            high | if unit_start { 0x40 } else { 0 },
            low,
            0x10 | *counter,
        ];
        if !payload.is_empty() {
            *counter = (*counter + 1) & 15;
        } else {
            packet[3] &= 0xEF;
        }
        let room = 184 - payload.len();
        if room > 0 {
            packet[3] |= 0x20;
            packet.push(u8::try_from(room - 1).unwrap());
            packet.extend(adaptation.iter().take(room - 1));
            if adaptation.is_empty() && room > 1 {
                packet.push(0);
            }
            packet.resize(188 - payload.len(), 0xFF);
        }
        packet.extend(payload);
        assert_eq!(packet.len(), 188);
        self.bytes.extend(packet);
    }

    /// The packet that was added last.
    pub(crate) fn last(&mut self) -> &mut [u8] {
        let len = self.bytes.len();
        &mut self.bytes[len - 188..]
    }

    /// As if `count` packets of a PID had been lost.
    pub(crate) fn lose(&mut self, pid: u16, count: u8) {
        let counter = self.counters.entry(pid).or_default();
        *counter = (*counter + count) & 15;
    }
}

pub(crate) fn table(id: u8, version: u8, body: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(body.len() + 9).unwrap().to_be_bytes();
    let mut section = vec![id, 0xB0 | high, low, 0, 1, 0xC1 | version << 1, 0, 0];
    section.extend(body);
    section.extend(crc(&section).to_be_bytes());
    section
}

pub(crate) fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            crc = if crc >> 31 == 1 {
                crc << 1 ^ 0x04C1_1DB7
            } else {
                crc << 1
            };
        }
    }
    crc
}

fn time(prefix: u8, ticks: u64) -> [u8; 5] {
    let bits = |shift: u32, mask: u64| u8::try_from(ticks >> shift & mask).unwrap();
    [
        prefix << 4 | bits(30, 7) << 1 | 1,
        bits(22, 0xFF),
        bits(15, 0x7F) << 1 | 1,
        bits(7, 0xFF),
        bits(0, 0x7F) << 1 | 1,
    ]
}

/// A unit of H.264 that begins a picture and fills `len` bytes.
pub(crate) fn slice(len: usize, fill: u8) -> Vec<u8> {
    let mut unit = vec![0, 0, 0, 1, 9, 0xF0, 0, 0, 1, 0x41, 0x9A];
    unit.resize(len, fill);
    unit
}
