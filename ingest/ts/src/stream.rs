//! One stream: its packets to units, and what a loss does to them.

use bytes::Bytes;

use crate::audio;
use crate::event::{AudioCodec, Codec, Counters, Event, VideoCodec};
use crate::limits::Limits;
use crate::packet::{Continuity, Packet, Verdict};
use crate::pes;
use crate::psi;
use crate::queue::Queue;
use crate::scte35;
use crate::section;
use crate::video;

/// One stream that is followed.
#[derive(Debug)]
pub(crate) struct Stream {
    /// What the PMT says of it; while that stays, so does the stream's state.
    pub(crate) info: psi::Stream,
    pub(crate) track: u8,
    continuity: Continuity,
    pes: pes::Assembler,
    payload: Payload,
}

/// What takes the payload of its packets.
#[derive(Debug)]
enum Payload {
    Video(VideoCodec, Box<video::Splitter>),
    Audio(AudioCodec, Box<audio::Reader>),
    Cues(section::Assembler),
    /// Named in the tracks, then passed over.
    Unsupported,
}

impl Stream {
    /// Waits for its first unit.
    pub(crate) fn new(info: psi::Stream, track: u8, codec: Codec) -> Self {
        let payload = match codec {
            Codec::Video(codec) => Payload::Video(codec, Box::new(video::Splitter::new(codec))),
            Codec::Audio(codec) => {
                let head = info.opus_head.clone().unwrap_or_default();
                Payload::Audio(codec, Box::new(audio::Reader::new(codec, head.into())))
            }
            Codec::Scte35 => Payload::Cues(section::Assembler::default()),
            Codec::Unsupported(_) => Payload::Unsupported,
        };
        Self {
            info,
            track,
            continuity: Continuity::default(),
            pes: pes::Assembler::default(),
            payload,
        }
    }

    /// Takes its next packet.
    pub(crate) fn packet(
        &mut self,
        packet: &Packet<'_>,
        queue: &mut Queue,
        counters: &mut Counters,
        limits: Limits,
    ) {
        match self.continuity.judge(packet, counters) {
            Verdict::Next => {}
            Verdict::Duplicate => return,
            // Announced, and a unit begins: what came before was whole.
            Verdict::Jump if packet.unit_start => self.flush(queue, counters),
            Verdict::Jump | Verdict::Gap => self.lose(queue, counters),
        }
        let Some(payload) = packet.payload else {
            return;
        };
        match &mut self.payload {
            Payload::Unsupported => {}
            Payload::Cues(sections) => {
                for section in sections.push(payload, packet.unit_start, limits.section_bytes_max, counters) {
                    cue(self.info.pid, section, queue, counters);
                }
            }
            Payload::Video(..) | Payload::Audio(..) => {
                if let Some(piece) = self.pes.push(payload, packet.unit_start, counters) {
                    self.media(
                        packet.random_access,
                        &piece,
                        queue,
                        counters,
                        limits.unit_bytes_max,
                    );
                }
            }
        }
    }

    fn media(
        &mut self,
        random_access: bool,
        piece: &pes::Piece<'_>,
        queue: &mut Queue,
        counters: &mut Counters,
        max: usize,
    ) {
        counters.pts_missing += u64::from(piece.begins == Some(None));
        let (pid, track) = (self.info.pid, self.track);
        match &mut self.payload {
            Payload::Video(codec, splitter) => {
                if let Some(stamp) = piece.begins {
                    splitter.begin(stamp, random_access);
                }
                if !splitter.push(piece.payload, max) {
                    counters.units_oversize += 1;
                    queue.push(pid, Event::Discontinuity { pid });
                }
                while let Some(unit) = splitter.next(counters) {
                    video_unit(pid, track, *codec, unit, queue);
                }
            }
            Payload::Audio(codec, reader) => {
                if let Some(stamp) = piece.begins {
                    reader.begin(stamp.map(|stamp| stamp.pts));
                }
                reader.push(piece.payload);
                while let Some(frame) = reader.next(counters) {
                    audio_frame(pid, track, *codec, frame, queue);
                }
            }
            Payload::Cues(_) | Payload::Unsupported => {}
        }
    }

    /// Packets are missing: what they belonged to goes.
    fn lose(&mut self, queue: &mut Queue, counters: &mut Counters) {
        self.pes.reset();
        let partial = match &mut self.payload {
            Payload::Video(_, splitter) => splitter.reset(),
            Payload::Audio(_, reader) => reader.reset(),
            Payload::Cues(sections) => {
                sections.reset();
                false
            }
            Payload::Unsupported => return,
        };
        counters.units_damaged += u64::from(partial);
        let pid = self.info.pid;
        queue.push(pid, Event::Discontinuity { pid });
    }

    /// No more packets belong to what is in progress.
    pub(crate) fn flush(&mut self, queue: &mut Queue, counters: &mut Counters) {
        self.pes.reset();
        let (pid, track) = (self.info.pid, self.track);
        match &mut self.payload {
            Payload::Video(codec, splitter) => {
                if let Some(unit) = splitter.flush(counters) {
                    video_unit(pid, track, *codec, unit, queue);
                }
            }
            Payload::Audio(codec, reader) => {
                while let Some(frame) = reader.flush(counters) {
                    audio_frame(pid, track, *codec, frame, queue);
                }
                reader.reset();
            }
            Payload::Cues(sections) => sections.reset(),
            Payload::Unsupported => {}
        }
    }
}

fn video_unit(pid: u16, track: u8, codec: VideoCodec, unit: video::Unit, queue: &mut Queue) {
    if let Some(config) = unit.config {
        queue.push(pid, Event::VideoConfig { track, codec, config });
    }
    let (pts, dts) = (unit.stamp.pts, unit.stamp.dts);
    queue.push(
        pid,
        Event::Video {
            track,
            codec,
            pts,
            dts,
            key: unit.key,
            data: unit.data,
        },
    );
}

fn audio_frame(pid: u16, track: u8, codec: AudioCodec, frame: audio::Frame, queue: &mut Queue) {
    if let Some(config) = frame.config {
        queue.push(pid, Event::AudioConfig { track, codec, config });
    }
    queue.push(
        pid,
        Event::Audio {
            track,
            codec,
            pts: frame.pts,
            data: frame.data,
        },
    );
}

fn cue(pid: u16, section: Bytes, queue: &mut Queue, counters: &mut Counters) {
    match scte35::parse(&section) {
        Ok(splice) => queue.push(
            pid,
            Event::Cue {
                pid,
                section,
                pts: splice.pts,
                splice,
            },
        ),
        Err(_) => counters.sections_malformed += 1,
    }
}
