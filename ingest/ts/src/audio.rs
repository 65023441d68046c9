//! PES payload to audio frames and their exact times.

use bytes::Bytes;

use crate::event::{AudioCodec, Counters};
use crate::{TICKS_PER_SECOND, TICKS_WRAP, adts, opus};

/// AAC frames always have as many samples.
const AAC_SAMPLES: u64 = 1024;

/// One frame, and the configuration where it changed with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) config: Option<Bytes>,
    pub(crate) pts: u64,
    pub(crate) data: Bytes,
}

/// Cuts the payload of one audio stream into frames, which may cross PES packets.
#[derive(Debug)]
pub(crate) struct Reader {
    codec: AudioCodec,
    /// What was not cut yet begins at `position`. Holds less than a frame and one payload between calls.
    buffer: Vec<u8>,
    position: usize,
    /// The PTS of the first frame that begins at this place of the buffer or behind it.
    stamp: Option<(usize, u64)>,
    clock: Clock,
    hunting: bool,
    config: Bytes,
    config_sent: bool,
}

impl Reader {
    /// `config` is empty for codecs that carry theirs in every frame.
    pub(crate) fn new(codec: AudioCodec, config: Bytes) -> Self {
        Self {
            codec,
            buffer: Vec::new(),
            position: 0,
            stamp: None,
            clock: Clock::default(),
            hunting: true,
            config,
            config_sent: false,
        }
    }

    /// A PES packet begins.
    pub(crate) fn begin(&mut self, pts: Option<u64>) {
        if let Some(pts) = pts {
            // A frame that is not whole yet has begun before this packet: the time before is its own.
            self.take_stamp();
            self.stamp = Some((self.buffer.len(), pts));
        }
    }

    /// Takes payload.
    pub(crate) fn push(&mut self, payload: &[u8]) {
        self.buffer.drain(..self.position);
        self.stamp = self
            .stamp
            .map(|(at, pts)| (at.saturating_sub(self.position), pts));
        self.position = 0;
        self.buffer.extend_from_slice(payload);
    }

    /// The next whole frame.
    pub(crate) fn next(&mut self, counters: &mut Counters) -> Option<Frame> {
        match self.codec {
            AudioCodec::Aac => self.next_aac(counters),
            AudioCodec::Opus => self.next_opus(counters),
        }
    }

    /// The last frame of a stream, if it only waited for the header after it.
    pub(crate) fn flush(&mut self, counters: &mut Counters) -> Option<Frame> {
        self.hunting = false;
        self.next(counters)
    }

    /// Bytes were lost: forgets the frame in progress and the time. True if there was one.
    pub(crate) fn reset(&mut self) -> bool {
        let partial = self.buffer.len() > self.position;
        self.buffer.clear();
        self.position = 0;
        self.stamp = None;
        self.clock.base = None;
        self.hunting = true;
        partial
    }

    fn next_aac(&mut self, counters: &mut Counters) -> Option<Frame> {
        loop {
            let rest = self.buffer.get(self.position..)?;
            let head = rest.first_chunk::<{ adts::HEADER }>()?;
            let Some(header) = adts::Header::parse(head) else {
                self.skip_to_sync(counters);
                continue;
            };
            let frame = rest.get(..header.len)?;
            if self.hunting {
                // A header may turn up anywhere in a frame: one found by search needs another behind its frame.
                let [first, second] = rest.get(header.len..)?.first_chunk()?;
                if *first != 0xFF || second & 0xF6 != 0xF0 {
                    self.skip_to_sync(counters);
                    continue;
                }
                self.hunting = false;
            }
            let data = Bytes::copy_from_slice(frame.get(header.header_len..)?);
            let pts = self.time(header.rate, AAC_SAMPLES * header.blocks);
            self.position += header.len;
            // Several blocks can be told apart only by decoding them.
            if header.blocks != 1 || data.is_empty() {
                counters.audio_malformed += 1;
                continue;
            }
            if self.config != header.config.as_slice() {
                self.config = Bytes::copy_from_slice(&header.config);
                self.config_sent = false;
            }
            if let Some(frame) = self.frame(counters, pts, data) {
                return Some(frame);
            }
        }
    }

    fn next_opus(&mut self, counters: &mut Counters) -> Option<Frame> {
        loop {
            if self.hunting {
                // Packets have no mark of their own: after a bad one only the next PES packet's start is sure.
                let start = self.stamp.map(|(at, _)| at).filter(|at| *at >= self.position);
                self.position = start.unwrap_or(self.buffer.len());
                start?;
            }
            let rest = self.buffer.get(self.position..)?;
            let (header_len, len) = match opus::control(rest) {
                opus::Control::Short => return None,
                opus::Control::Bad => {
                    counters.audio_resyncs += u64::from(!self.hunting);
                    self.hunting = true;
                    self.position += 1;
                    continue;
                }
                opus::Control::Packet { header_len, len } => (header_len, len),
            };
            let packet = rest.get(header_len..header_len + len)?;
            let samples = opus::samples(packet);
            let data = Bytes::copy_from_slice(packet);
            self.hunting = false;
            let pts = self.time(48_000, samples.unwrap_or(0));
            self.position += header_len + len;
            if samples.is_none() {
                counters.audio_malformed += 1;
                continue;
            }
            if let Some(frame) = self.frame(counters, pts, data) {
                return Some(frame);
            }
        }
    }

    fn frame(&mut self, counters: &mut Counters, pts: Option<u64>, data: Bytes) -> Option<Frame> {
        let Some(pts) = pts else {
            counters.units_untimed += 1;
            return None;
        };
        let config = (!self.config_sent).then(|| self.config.clone());
        self.config_sent = true;
        Some(Frame { config, pts, data })
    }

    /// The time of a frame that begins at the position.
    fn time(&mut self, rate: u32, samples: u64) -> Option<u64> {
        self.take_stamp();
        self.clock.advance(rate, samples)
    }

    fn take_stamp(&mut self) {
        if let Some((_, pts)) = self.stamp.take_if(|(at, _)| *at <= self.position) {
            self.clock = Clock {
                base: Some(pts),
                ..Clock::default()
            };
        }
    }

    fn skip_to_sync(&mut self, counters: &mut Counters) {
        counters.audio_resyncs += u64::from(!self.hunting);
        self.hunting = true;
        let rest = self.buffer.get(self.position + 1..).unwrap_or_default();
        let junk = rest.iter().position(|byte| *byte == 0xFF).unwrap_or(rest.len());
        self.position += 1 + junk;
    }
}

/// Counts samples from the last timestamp, so that rounding never adds up.
#[derive(Debug, Default)]
struct Clock {
    base: Option<u64>,
    rate: u32,
    elapsed: u64,
}

impl Clock {
    /// The time now; then `samples` later.
    fn advance(&mut self, rate: u32, samples: u64) -> Option<u64> {
        let now = self.now()?;
        // Without this, a rate that changes between timestamps would revalue the samples before it.
        if rate != self.rate || self.elapsed > u64::from(u32::MAX) {
            *self = Self {
                base: Some(now),
                rate,
                elapsed: 0,
            };
        }
        self.elapsed += samples;
        Some(now)
    }

    fn now(&self) -> Option<u64> {
        let ticks = (self.elapsed * TICKS_PER_SECOND)
            .checked_div(u64::from(self.rate))
            .unwrap_or(0);
        self.base.map(|base| (base + ticks) % TICKS_WRAP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adts(payload: &[u8], crc: bool) -> Vec<u8> {
        let header_len = if crc { 9 } else { 7 };
        let len = u16::try_from(payload.len() + header_len).unwrap();
        let [_, a, b, c] = (u32::from(len) << 5 | 0x1F).to_be_bytes();
        let mut frame = vec![0xFF, 0xF1, 0x50, 0x80 | a, b, c, 0xFC];
        if crc {
            frame[1] = 0xF0;
            frame.extend([1, 2]);
        }
        frame.extend(payload);
        frame
    }

    fn drain(reader: &mut Reader, counters: &mut Counters) -> Vec<(u64, usize)> {
        std::iter::from_fn(|| reader.next(counters))
            .map(|frame| (frame.pts, frame.data.len()))
            .collect()
    }

    #[test]
    fn following_frames_count_samples_exactly() {
        let mut counters = Counters::default();
        let mut reader = Reader::new(AudioCodec::Aac, Bytes::new());
        reader.begin(Some(TICKS_WRAP - 1));
        for len in 1..=100 {
            reader.push(&adts(&vec![7; len], len % 2 == 0));
        }
        reader.push(&[0xFF, 0xF1]);
        let frames = drain(&mut reader, &mut counters);
        assert_eq!(frames.len(), 100);
        for (index, (pts, len)) in frames.into_iter().enumerate() {
            let expected = (TICKS_WRAP - 1 + index as u64 * 1024 * 90_000 / 44_100) % TICKS_WRAP;
            assert_eq!((pts, len), (expected, index + 1));
        }
    }

    #[test]
    fn a_frame_may_cross_pes_packets_and_the_stamp_is_of_the_next() {
        let mut counters = Counters::default();
        let mut reader = Reader::new(AudioCodec::Aac, Bytes::new());
        let (one, two) = (adts(&[1; 50], false), adts(&[2; 60], false));
        reader.begin(Some(1000));
        reader.push(&one[..20]);
        assert_eq!(drain(&mut reader, &mut counters), []);
        reader.begin(Some(9000));
        reader.push(&[&one[20..], &two[..], &one[..7]].concat());
        assert_eq!(drain(&mut reader, &mut counters), [(1000, 50), (9000, 60)]);
    }

    #[test]
    fn junk_is_skipped_and_a_loss_needs_a_new_time() {
        let mut counters = Counters::default();
        let mut reader = Reader::new(AudioCodec::Aac, Bytes::new());
        let frame = adts(&[1; 50], false);
        reader.begin(Some(1000));
        reader.push(&[&[9; 30][..], &frame, &frame, &[0xFF, 0xF1]].concat());
        assert_eq!(drain(&mut reader, &mut counters), [(1000, 50), (1000 + 2089, 50)]);
        assert!(reader.reset());
        reader.push(&[&frame[..], &frame].concat());
        assert_eq!(drain(&mut reader, &mut counters), []);
        assert_eq!((counters.units_untimed, counters.audio_resyncs), (2, 0));
    }

    #[test]
    fn opus_advances_by_its_own_length() {
        let mut counters = Counters::default();
        let mut reader = Reader::new(AudioCodec::Opus, Bytes::from_static(b"head"));
        reader.begin(Some(0));
        reader.push(&[0x7F, 0xE0, 2, 0xFC, 1, 0x7F, 0xE0, 3, 0xFC, 1, 2, 0, 0]);
        assert_eq!(drain(&mut reader, &mut counters), [(0, 2), (1800, 3)]);
        reader.begin(Some(90));
        reader.push(&[0x7F, 0xE0, 2, 0xFC, 1]);
        assert_eq!(drain(&mut reader, &mut counters), [(90, 2)]);
        assert_eq!(counters.audio_resyncs, 1);
    }
}
