//! The machine on an encoder of two tracks that behaves, and on the same one after something has happened to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cmaf::push::{Event, Movie, Parser, Unit};
use feed::Message;
use hls::id::{Cell, StreamId, TrackId};
use hls::time::Profile;

use super::config::{Rate, Stream, Track};
use super::machine::{Machine, Output, Sender, Taken};
use super::refusal::Refusal;

const AVCC: &[u8] = &[
    1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 0x17, 0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x04, 0x26, 0xc0, 0x44, 0, 0, 3,
    0, 4, 0, 0, 3, 0, 0xf0, 0x3c, 0x48, 0x99, 0x20, 1, 0, 5, 0x68, 0xcb, 0x83, 0xcb, 0x20,
];
const LATE: Duration = Duration::from_secs(4);
const FIRST: Cell = Cell(1_000);

/// As an encoder's own muxer writes it.
fn movie(codec: &cmaf::Codec, timescale: u32) -> Arc<Movie> {
    let init = cmaf::Init::new(codec, timescale, None).unwrap();
    let mut parser = Parser::new(None);
    parser.push(&init.bytes);
    let Some(Event::Init(movie)) = parser.next().unwrap() else {
        panic!("no init segment")
    };
    movie
}

fn video(level: u8) -> Arc<Movie> {
    let mut config = AVCC.to_vec();
    config[3] = level;
    let codec = cmaf::Codec::H264 {
        config: config.into(),
        width: 64,
        height: 36,
    };
    movie(&codec, 90_000)
}

fn audio() -> Arc<Movie> {
    let codec = cmaf::Codec::Aac {
        config: Bytes::from_static(&[0x11, 0x90]),
        channels: 2,
        rate: 48_000,
        bit_rate: 64_000,
    };
    movie(&codec, 48_000)
}

/// A stream of 30 pictures a second, parts of 15 frames and GOPs of 30, and its encoder.
struct Stage {
    machine: Machine,
    start: Instant,
    senders: [Sender; 2],
    said: Vec<Message>,
    begun: usize,
    /// What the machine is told a life begins with.
    first: Cell,
}

impl Stage {
    fn new() -> Self {
        let track = |id: &str| Track {
            id: TrackId::new(id).unwrap(),
            bitrate_kbps: Some(100),
        };
        let stream = Stream {
            id: StreamId::new("main").unwrap(),
            keys_sha256: Vec::new(),
            frame_rate: Rate::try_from("30".to_owned()).unwrap(),
            profile: Profile::Low,
            tracks: vec![track("360p"), track("audio")],
        };
        let mut stage = Self {
            machine: Machine::new(&stream, LATE).unwrap(),
            start: Instant::now(),
            senders: [1, 2].map(|request| Sender { request, life: None }),
            said: Vec::new(),
            begun: 0,
            first: FIRST,
        };
        let now = stage.start;
        stage.machine.init(now, 0, &video(10)).unwrap();
        stage.machine.init(now, 1, &audio()).unwrap();
        stage
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn drain(&mut self, now: Instant) {
        while let Some(output) = self.machine.poll() {
            match output {
                Output::Begin(_) => {
                    self.begun += 1;
                    self.machine.begun(now, self.first);
                }
                Output::Message(message) => self.said.push(message),
            }
        }
    }

    /// The picture of this number, by 90 kHz, at a time.
    fn picture_at(&mut self, now: Instant, frame: i64) -> Result<Taken, Refusal> {
        let unit = Unit {
            time: frame * 3_000,
            decode: frame * 3_000,
            duration: 3_000,
            key: frame % 30 == 0,
            data: Bytes::from_static(&[0, 0, 0, 1, 0x65]),
        };
        let taken = self.machine.unit(now, 0, &mut self.senders[0], 90_000, unit);
        self.drain(now);
        taken
    }

    fn sound_at(&mut self, now: Instant, number: i64) -> Result<Taken, Refusal> {
        let unit = Unit {
            time: number * 1_024,
            decode: number * 1_024,
            duration: 1_024,
            key: true,
            data: Bytes::from_static(&[7]),
        };
        let taken = self.machine.unit(now, 1, &mut self.senders[1], 48_000, unit);
        self.drain(now);
        taken
    }

    /// Pictures of these frames, as they happen, `base_ms` later than their time.
    fn pictures(&mut self, frames: std::ops::Range<i64>, base_ms: i64) -> Vec<Result<Taken, Refusal>> {
        let now = |frame| u64::try_from(base_ms + frame * 1_000 / 30).unwrap();
        frames
            .map(|frame| self.picture_at(self.at(now(frame)), frame))
            .collect()
    }

    fn sounds(&mut self, numbers: std::ops::Range<i64>, base_ms: i64) -> Vec<Result<Taken, Refusal>> {
        let now = |number| u64::try_from(base_ms + number * 1_024 / 48).unwrap();
        numbers
            .map(|number| self.sound_at(self.at(now(number)), number))
            .collect()
    }

    /// Both tracks for so many seconds from the beginning on, second by second.
    fn run(&mut self, seconds: i64, base_ms: i64) {
        for second in 0..seconds {
            let sounds = second * 48_000 / 1_024..(second + 1) * 48_000 / 1_024;
            assert!(self.sounds(sounds, base_ms).iter().all(Result::is_ok));
            assert!(
                self.pictures(second * 30..(second + 1) * 30, base_ms)
                    .iter()
                    .all(Result::is_ok)
            );
        }
    }

    fn times(&self, track: u16) -> Vec<u64> {
        let of = |message: &Message| {
            if let Message::Unit(unit) = message
                && unit.track == track
            {
                Some(unit.time)
            } else {
                None
            }
        };
        self.said.iter().filter_map(of).collect()
    }

    fn gaps(&self, track: u16) -> Vec<u64> {
        let of = |message: &Message| {
            if let Message::Gap { track: of, cell } = message
                && *of == track
            {
                Some(cell.0)
            } else {
                None
            }
        };
        self.said.iter().filter_map(of).collect()
    }

    /// The last cell that a track has closed.
    fn closed(&self, track: u16) -> Option<u64> {
        let of = |message: &Message| {
            if let Message::Watermark { track: of, cell } | Message::Gap { track: of, cell } = message
                && *of == track
            {
                Some(cell.0)
            } else {
                None
            }
        };
        self.said.iter().filter_map(of).next_back()
    }
}

fn frame(cell: u64) -> u64 {
    cell * 15
}

#[test]
fn both_tracks_have_one_offset_and_every_cell_is_closed_as_it_fills() {
    let mut stage = Stage::new();
    stage.run(4, 100);
    assert_eq!(stage.begun, 1);
    let expected: Vec<u64> = (frame(FIRST.0)..).take(120).collect();
    assert_eq!(stage.times(0), expected);
    let first_sample = FIRST.0 * 24_000;
    let expected: Vec<u64> = (0..)
        .map(|n| first_sample + n * 1_024)
        .take(stage.times(1).len())
        .collect();
    assert_eq!(stage.times(1), expected);
    assert_eq!((stage.closed(0), stage.closed(1)), (Some(1_007), Some(1_006)));
    assert_eq!(
        stage.machine.deadline(),
        Some(stage.at(100 + 119 * 1_000 / 30) + LATE)
    );
}

#[test]
fn a_stream_begins_with_the_first_key_frame_that_all_tracks_have() {
    let mut stage = Stage::new();
    stage.pictures(7..31, 0);
    assert_eq!(stage.begun, 0, "no sound yet");
    // From 1.493 s on: after the key frame of 1 s.
    stage.sounds(70..90, 0);
    stage.pictures(31..60, 0);
    assert_eq!(stage.begun, 0);
    stage.pictures(60..63, 0);
    assert_eq!(stage.begun, 1);
    assert_eq!(stage.times(0), [15_000, 15_001, 15_002]);
}

#[test]
fn a_track_that_is_late_is_a_gap_and_comes_back_on_the_grid() {
    let mut stage = Stage::new();
    stage.run(4, 0);
    // Sound stops after 4 s; pictures go on.
    stage.pictures(120..300, 0);
    let deadline = stage.machine.deadline().unwrap();
    stage.machine.tick(deadline - Duration::from_millis(1));
    stage.drain(deadline);
    assert_eq!(stage.gaps(1), [] as [u64; 0]);
    stage.machine.tick(stage.at(10_000));
    stage.drain(deadline);
    // Pictures of cell 1011 were complete after 6 s.
    assert_eq!(stage.gaps(1), [1_007, 1_008, 1_009, 1_010, 1_011]);
    let late = 4 * 48_000 / 1_024 + 1;
    assert_eq!(stage.sound_at(stage.at(10_000), late), Ok(Taken::Dropped));
    // It is back at once with what belongs to cell 1020.
    let back = 10 * 48_000 / 1_024 + 1;
    assert_eq!(stage.sound_at(stage.at(10_050), back), Ok(Taken::Used));
    assert_eq!(
        stage.times(1).last(),
        Some(&(FIRST.0 * 24_000 + u64::try_from(back).unwrap() * 1_024))
    );
    assert_eq!(stage.begun, 1);
}

/// What follows could not be decoded without what is missing.
#[test]
fn pictures_after_a_hole_wait_for_a_key_frame_at_the_beginning_of_a_part() {
    let mut stage = Stage::new();
    stage.run(4, 0);
    let before = stage.times(0).len();
    let answers = stage.pictures(125..150, 0);
    assert!(
        answers.iter().all(|answer| *answer == Ok(Taken::Dropped)),
        "{answers:?}"
    );
    stage.pictures(150..151, 0);
    assert_eq!(stage.times(0).len(), before + 1);
    assert_eq!(stage.times(0).last(), Some(&15_150));
}

#[test]
fn what_comes_twice_is_used_once() {
    let mut stage = Stage::new();
    stage.run(6, 0);
    let before = stage.said.clone();
    stage.senders[0].request = 9;
    let answers: Vec<_> = (150..180)
        .map(|frame| stage.picture_at(stage.at(7_000), frame))
        .collect();
    assert!(
        answers.iter().all(|answer| *answer == Ok(Taken::Duplicate)),
        "{answers:?}"
    );
    assert_eq!(stage.said, before);
    stage.picture_at(stage.at(7_010), 180).unwrap();
    assert_eq!(stage.times(0).last(), Some(&15_180));
}

#[test]
fn an_encoder_that_begins_anew_is_another_life_and_the_old_one_is_told() {
    let mut stage = Stage::new();
    stage.run(8, 0);
    let old = stage.senders;
    stage.first = Cell(2_000);
    stage.senders = [3, 4].map(|request| Sender { request, life: None });
    stage.sounds(0..100, 9_000);
    stage.pictures(0..30, 9_000);
    assert_eq!(stage.begun, 2);
    assert_eq!(stage.times(0).last(), Some(&(frame(2_000) + 29)));
    let news = std::mem::replace(&mut stage.senders, old);
    assert_eq!(stage.picture_at(stage.at(10_000), 240), Err(Refusal::Replaced));
    stage.senders = news;
    assert_eq!(stage.picture_at(stage.at(10_100), 30), Ok(Taken::Used));
}

#[test]
fn clocks_that_jump_again_at_once_are_refused() {
    let mut stage = Stage::new();
    stage.run(2, 0);
    assert_eq!(
        stage.picture_at(stage.at(2_100), 90_000),
        Err(Refusal::Unsteady(5))
    );
    stage.pictures(60..180, 0);
    assert_eq!(stage.picture_at(stage.at(6_000), 90_000), Ok(Taken::Used));
    assert_eq!(stage.begun, 1, "sound has yet to jump, too");
}

#[test]
fn another_decoder_configuration_is_another_life() {
    let mut stage = Stage::new();
    stage.run(6, 0);
    stage.machine.init(stage.at(6_000), 0, &video(10)).unwrap();
    assert_eq!(
        stage.picture_at(stage.at(6_000), 180),
        Ok(Taken::Used),
        "the same is no other"
    );
    stage.first = Cell(2_000);
    stage.machine.init(stage.at(6_100), 0, &video(11)).unwrap();
    stage.sounds(282..330, 0);
    stage.pictures(181..211, 0);
    assert_eq!(stage.begun, 2);
    assert!(stage.times(0).ends_with(&[frame(2_000)]));
    assert_eq!(
        stage.machine.init(stage.at(7_000), 0, &audio()),
        Err(Refusal::Kind)
    );
}

#[test]
fn the_event_is_over_once_all_tracks_have_said_so() {
    let mut stage = Stage::new();
    stage.run(4, 0);
    stage.machine.last(0);
    stage.machine.over(0);
    stage.drain(stage.at(4_000));
    assert!(!stage.said.contains(&Message::End));
    stage.machine.last(1);
    stage.machine.over(1);
    stage.drain(stage.at(4_000));
    assert_eq!(stage.said.last(), Some(&Message::End));
}

#[test]
fn tracks_on_different_clocks_are_told() {
    let mut stage = Stage::new();
    stage.sounds(100_000..100_010, 0);
    let answers = stage.pictures(0..300, 0);
    let refused = answers.iter().find_map(|answer| answer.as_ref().err()).unwrap();
    assert!(
        refused
            .to_string()
            .starts_with("tracks are not on one clock: 360p is at"),
        "{refused}"
    );
}
