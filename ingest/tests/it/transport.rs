//! MPEG-TS in the test's own hands: what ffmpeg made, with sections of SCTE-35 in it, sent over SRT by GStreamer.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use gst::prelude::*;
use gst_app::AppSrc;
use tokio::time::{Instant, sleep_until};

const PACKET: usize = 188;
/// Bits per second of the whole stream: its packets are as far apart as they are in it.
pub(crate) const RATE: usize = 1_504_000;
const NULL: u16 = 0x1FFF;
const PMT: u16 = 0x1000;
const VIDEO: u16 = 0x100;
const CUES: u16 = 0x1F0;

pub(crate) struct Stream {
    bytes: Vec<u8>,
    /// Of the first picture, 90 kHz.
    pub(crate) first_pts: u64,
    cues: u8,
}

/// Has ffmpeg encode `seconds` of lavfi at a constant rate, and adds a stream of SCTE-35 to its programme.
pub(crate) fn record(picture: &str, sound: &str, seconds: u32) -> Stream {
    let made = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
        .args(["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound])
        .args(["-t", &seconds.to_string(), "-c:a", "aac", "-b:a", "96k"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"])
        .args(["-g", "30", "-pix_fmt", "yuv420p", "-f", "mpegts"])
        .args(["-muxrate", &RATE.to_string(), "-"])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(made.status.success());
    Stream::with_cues(made.stdout)
}

impl Stream {
    /// A stream of ffmpeg's, with SCTE-35 in its programme.
    pub(crate) fn with_cues(mut bytes: Vec<u8>) -> Self {
        let first = bytes
            .chunks(PACKET)
            .find(|packet| pid(packet) == VIDEO && packet[1] & 0x40 != 0);
        let first_pts = pts(payload(first.unwrap()));
        bytes
            .chunks_mut(PACKET)
            .filter(|packet| pid(packet) == PMT)
            .for_each(add_cues);
        Self {
            bytes,
            first_pts,
            cues: 0,
        }
    }

    /// Puts a section where the stream is `ms` old, in place of a packet of nothing.
    pub(crate) fn insert(&mut self, ms: usize, section: &[u8]) {
        let from = RATE / 8 * ms / 1_000 / PACKET;
        let mut packets = self.bytes.chunks_mut(PACKET).skip(from);
        let packet = packets.find(|packet| pid(packet) == NULL).unwrap();
        packet.fill(0xFF);
        let [high, low] = CUES.to_be_bytes();
        packet[..5].copy_from_slice(&[0x47, 0x40 | high, low, 0x10 | self.cues, 0]);
        packet[5..5 + section.len()].copy_from_slice(section);
        self.cues = (self.cues + 1) & 15;
    }

    /// Sends it in its own time.
    pub(crate) async fn play(&self, to: SocketAddr, id: &str) {
        gst::init().unwrap();
        let line = format!(
            "appsrc name=in max-bytes=0 ! srtsink uri=srt://{to}?mode=caller streamid={id} latency=120 sync=false \
             wait-for-connection=true"
        );
        let pipeline = gst::parse::launch(&line)
            .unwrap()
            .downcast::<gst::Pipeline>()
            .unwrap();
        let source = pipeline.by_name("in").unwrap().downcast::<AppSrc>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let start = Instant::now() + Duration::from_millis(500);
        let datagram = 7 * PACKET;
        for (n, bytes) in self.bytes.chunks(datagram).enumerate() {
            let micros = (n * datagram * 8) as u64 * 1_000_000 / RATE as u64;
            sleep_until(start + Duration::from_micros(micros)).await;
            source
                .push_buffer(gst::Buffer::from_slice(bytes.to_vec()))
                .unwrap();
        }
        // What is on the way arrives before the line is closed.
        tokio::time::sleep(Duration::from_millis(500)).await;
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1F, packet[2]])
}

fn payload(packet: &[u8]) -> &[u8] {
    let adaptation = if packet[3] & 0x20 == 0 {
        0
    } else {
        1 + usize::from(packet[4])
    };
    &packet[4 + adaptation..]
}

/// ISO/IEC 13818-1 §2.4.3.7, of a PES packet with a PTS.
fn pts(pes: &[u8]) -> u64 {
    let at = |n: usize| u64::from(pes[9 + n]);
    (at(0) >> 1 & 7) << 30 | at(1) << 22 | (at(2) >> 1) << 15 | at(3) << 7 | at(4) >> 1
}

/// One more stream behind the others of a PMT, which fills a packet of its own.
fn add_cues(packet: &mut [u8]) {
    let length = usize::from(u16::from_be_bytes([packet[6] & 0x0F, packet[7]])) - 4;
    let mut section = packet[5..8 + length].to_vec();
    let [high, low] = CUES.to_be_bytes();
    section.extend([0x86, 0xE0 | high, low, 0xF0, 0]);
    section[2] += 5;
    section.extend(crc(&section).to_be_bytes());
    packet[5..5 + section.len()].copy_from_slice(&section);
}

/// scte35 §9.6 and §9.7.3: one splice of the whole programme at `pts`, 90 kHz ticks.
pub(crate) fn splice_insert(event_id: u32, pts: u64, out: bool, duration: Option<u64>) -> Vec<u8> {
    let time = |first: u8, ticks: u64| {
        let bytes = ticks.to_be_bytes();
        [first | bytes[3] & 1, bytes[4], bytes[5], bytes[6], bytes[7]]
    };
    let mut command = event_id.to_be_bytes().to_vec();
    let flags = if out { 0x80 } else { 0 } | if duration.is_some() { 0x20 } else { 0 } | 0x4F;
    command.extend([0x7F, flags]);
    command.extend(time(0xFE, pts));
    command.extend(duration.into_iter().flat_map(|ticks| time(0x7E, ticks)));
    command.extend([0, 1, 0, 0]);
    let length = u8::try_from(command.len()).unwrap();
    let mut section = vec![
        0xFC,
        0x30,
        17 + length,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0xFF,
        0xF0,
        length,
        5,
    ];
    section.extend(command);
    section.extend([0, 0]);
    section.extend(crc(&section).to_be_bytes());
    section
}

fn crc(bytes: &[u8]) -> u32 {
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
