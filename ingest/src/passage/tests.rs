//! An encoder of two sizes and one sound in virtual time, and what spoils it.

use std::time::Duration;

use bytes::Bytes;
use hls::id::Cell;
use hls::time::{AUDIO_FRAME_SAMPLES, FrameRate, Grid, Profile};
use proptest::prelude::*;

use super::{Form, Passage, Passed};
use crate::media::{AudioCodec, Clock, Framing, Media, Stamp, VideoCodec, VideoFormat};

const SIZES: [(u32, u32); 2] = [(640, 360), (320, 180)];
/// Where the encoder's clock starts, ms.
const START: u64 = 5_000;

fn grid() -> Grid {
    Grid::of(Profile::Low, FrameRate::new(30, 1).unwrap(), 48_000).unwrap()
}

/// A baseline parameter set of a size in whole macroblocks and a crop, as x264 writes it (h264 §7.3.2.1.1).
fn record((width, height): (u32, u32)) -> Bytes {
    let golomb = |n: u32| {
        let text = format!("{:b}", n + 1);
        "0".repeat(text.len() - 1) + &text
    };
    let all = |numbers: &[u32]| numbers.iter().map(|n| golomb(*n)).collect::<String>();
    let (columns, rows) = (width.div_ceil(16), height.div_ceil(16));
    // Id, frame numbers, order count of type 2, references, gaps; size; frames only, 8x8, cropped; crop; no VUI, end.
    let (right, bottom) = ((columns * 16 - width) / 2, (rows * 16 - height) / 2);
    let size = all(&[columns - 1, rows - 1]);
    let mut bits = all(&[0, 0, 2, 1]) + "0" + &size + "111" + &all(&[0, right, 0, bottom]) + "01";
    bits += &"0".repeat((8 - bits.len() % 8) % 8);
    let bytes = bits.as_bytes().chunks(8);
    let payload = bytes.map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap());
    let sps: Vec<u8> = [0x67, 66, 192, 30].into_iter().chain(payload).collect();
    let mut record = vec![1, 66, 192, 30, 0xff, 0xe1, 0, u8::try_from(sps.len()).unwrap()];
    record.extend(&sps);
    record.extend([1, 0, 2, 0x68, 1]);
    record.into()
}

/// How this encoder differs from a perfect one.
#[derive(Debug, Clone)]
struct Encoder {
    rate: (u64, u64),
    gop: u64,
    /// Key frames of the second track come so many frames later.
    apart: u64,
    composition: fn(u64) -> i64,
    /// Sound comes so long before its picture, ms.
    sound_ahead: u64,
    sizes: Vec<(u32, u32)>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            rate: (30, 1),
            gop: 60,
            apart: 0,
            composition: |_| 0,
            sound_ahead: 0,
            sizes: SIZES.to_vec(),
        }
    }
}

impl Encoder {
    /// All it sends up to a frame, each with the program frame on its way when it comes.
    fn send(&self, frames: u64) -> Vec<(u64, Media)> {
        let format = VideoFormat {
            codec: VideoCodec::H264,
            framing: Framing::Record,
        };
        let config = |(track, size): (usize, &(u32, u32))| Media::VideoConfig {
            track: u8::try_from(track).unwrap(),
            format,
            config: record(*size),
        };
        let mut sent: Vec<(u64, Media)> = self.sizes.iter().enumerate().map(|c| (0, config(c))).collect();
        let (codec, config) = (AudioCodec::Aac, Bytes::from_static(&[0x11, 0x90]));
        sent.push((
            0,
            Media::AudioConfig {
                track: 0,
                codec,
                config,
            },
        ));
        let mut units = 0;
        for n in 0..frames {
            let ms = n * 1_000 * self.rate.1 / self.rate.0;
            let sound_ms = |units: u64| units * u64::from(AUDIO_FRAME_SAMPLES) / 48;
            while sound_ms(units) <= ms + self.sound_ahead {
                let ticks = START + sound_ms(units);
                let pts = Stamp { ticks, nanos: 0 };
                let data = Bytes::from(units.to_be_bytes().to_vec());
                sent.push((n, Media::Audio { track: 0, pts, data }));
                units += 1;
            }
            for track in 0..self.sizes.len() {
                let track = u8::try_from(track).unwrap();
                let key = (n + self.apart * u64::from(track)).is_multiple_of(self.gop);
                let media = Media::Video {
                    track,
                    dts: Stamp {
                        ticks: START + ms,
                        nanos: 0,
                    },
                    composition_ns: (self.composition)(n),
                    key,
                    data: Bytes::from(n.to_be_bytes().to_vec()),
                };
                sent.push((n, media));
            }
        }
        sent
    }
}

/// Program frame on its way when the encoder's first frame comes: 100 frames into a segment of 60.
const AHEAD: u64 = 60_040;

fn passage() -> Passage {
    let form = Form {
        grid: grid(),
        rungs: SIZES.to_vec(),
        sounds: 1,
        captioned: false,
    };
    Passage::new(form, Clock::FLV)
}

fn run(passage: &mut Passage, sent: &[(u64, Media)]) -> Vec<Passed> {
    let take = |(n, media): &(u64, Media)| passage.take(media, Some(AHEAD + n));
    sent.iter().flat_map(take).collect()
}

fn number(passed: &Passed) -> u64 {
    u64::from_be_bytes(passed.data.as_ref().try_into().unwrap())
}

/// Every promise of the feed, for what was passed on.
fn assert_regular(passed: &[Passed], first: Cell) {
    let grid = grid();
    assert_eq!(grid.part_index(first).0, 0, "it begins with a segment");
    let first_frame = grid.first_frame(first);
    for index in 0..2 {
        let units: Vec<&Passed> = passed.iter().filter(|unit| unit.index == index).collect();
        for (n, unit) in units.iter().enumerate() {
            let n = n as u64;
            assert_eq!(unit.time, first_frame + n);
            assert_eq!(number(unit), number(units[0]) + n, "the encoder's own frames");
            assert!(
                unit.key || !n.is_multiple_of(60),
                "a segment starts with a key frame"
            );
        }
        assert_eq!(
            number(units[0]),
            number(passed.iter().find(|unit| unit.index == 0).unwrap())
        );
    }
    let sounds: Vec<&Passed> = passed.iter().filter(|unit| unit.index == 2).collect();
    let start = grid.first_sample(first_frame);
    let step = u64::from(AUDIO_FRAME_SAMPLES);
    assert!(
        (start..start + step).contains(&sounds[0].time),
        "the first cell is whole"
    );
    // Sound keeps its place beside its picture to within the rounding of time stamps.
    let picture_ms = number(passed.iter().find(|unit| unit.index == 0).unwrap()) * 1_000 / 30;
    let sound_ms = number(sounds[0]) * step / 48;
    let (apart, wanted) = (sound_ms.abs_diff(picture_ms), (sounds[0].time - start) / 48);
    assert!(apart.abs_diff(wanted) <= 2, "{apart} ms where {wanted} are meant");
    for (n, unit) in sounds.iter().enumerate() {
        assert_eq!(unit.time, sounds[0].time + n as u64 * step);
        assert_eq!(number(unit), number(sounds[0]) + n as u64);
    }
}

#[test]
fn what_a_ladder_would_make_is_passed_on() {
    for sound_ahead in [0, 700] {
        let mut passage = passage();
        let encoder = Encoder {
            sound_ahead,
            ..Encoder::default()
        };
        let passed = run(&mut passage, &encoder.send(600));
        let first = passage.first().expect("it is passed on");
        assert_eq!(passage.fault(), None);
        assert_regular(&passed, first);
        // Three key frames are seen before one begins; it does so at the next segment that leaves the ladder time.
        let begun = number(&passed[passed.len() - 1]);
        assert!(
            passed.iter().filter(|unit| unit.index == 0).count() >= 600 - 240,
            "{begun}"
        );
        let frame = grid().first_frame(first);
        assert!((AHEAD + 186..AHEAD + 180 + 6 + 60).contains(&frame), "{frame}");
    }
}

#[test]
fn nothing_begins_without_permission() {
    let mut passage = passage();
    let sent = Encoder::default().send(600);
    let passed: Vec<Passed> = sent
        .iter()
        .flat_map(|(_, media)| passage.take(media, None))
        .collect();
    assert_eq!(
        (passed, passage.first(), passage.fault()),
        (Vec::new(), None, None)
    );
    assert_eq!(passage.bit_rate(0), Some(8 * 8 * 30));
}

#[test]
fn whoever_is_not_fit_is_told_why() {
    let good = Encoder::default();
    let cases = [
        (
            Encoder {
                gop: 50,
                ..good.clone()
            },
            "key frame every 50",
        ),
        (
            Encoder {
                gop: 250,
                ..good.clone()
            },
            "segment of 60",
        ),
        (
            Encoder {
                apart: 30,
                ..good.clone()
            },
            "not where the others",
        ),
        (
            Encoder {
                rate: (30_000, 1_001),
                ..good.clone()
            },
            "30.000 frames a second",
        ),
        (
            Encoder {
                rate: (25, 1),
                ..good.clone()
            },
            "30.000 frames a second",
        ),
        (
            Encoder {
                composition: |n| i64::try_from(n % 3).unwrap() * 33_000_000,
                ..good.clone()
            },
            "B-frames",
        ),
        (
            Encoder {
                sizes: vec![SIZES[0]],
                ..good.clone()
            },
            "1 video tracks, the ladder has 2",
        ),
        (
            Encoder {
                sizes: vec![SIZES[0], (426, 240)],
                ..good
            },
            "320x180",
        ),
    ];
    for (encoder, words) in cases {
        let mut passage = passage();
        let passed = run(&mut passage, &encoder.send(900));
        assert_eq!((passed.len(), passage.first()), (0, None), "{words}");
        let fault = passage.fault().map(ToString::to_string).unwrap_or_default();
        assert!(fault.contains(words), "`{fault}` does not say `{words}`");
    }
}

/// Whatever happens while it is passed on: what was passed before is regular, and nothing follows.
#[test]
fn the_first_irregularity_ends_it() {
    type Spoil = fn(&mut Vec<(u64, Media)>, usize);
    let spoils: [(Spoil, &str); 5] = [
        (|sent, at| drop(sent.remove(at)), "without a hole"),
        (|sent, at| sent.insert(at, (0, Media::Lost)), "lost on the way"),
        (
            |sent, at| {
                sent.iter_mut()
                    .skip(at)
                    .for_each(|(_, media)| later(media, 1_000))
            },
            "",
        ),
        (
            |sent, at| {
                let mut n = 0;
                sent.retain(|(_, media)| {
                    n += 1;
                    n < at || !matches!(media, Media::Audio { .. })
                });
            },
            "has stopped",
        ),
        (
            |sent, at| {
                let format = VideoFormat {
                    codec: VideoCodec::H264,
                    framing: Framing::Record,
                };
                let config = record((1280, 720));
                sent.insert(
                    at,
                    (
                        0,
                        Media::VideoConfig {
                            track: 0,
                            format,
                            config,
                        },
                    ),
                );
            },
            "H.264 of 640x360",
        ),
    ];
    for (spoil, words) in spoils {
        let mut sent = Encoder::default().send(900);
        let at = sent
            .iter()
            .rposition(|(n, media)| *n == 500 && matches!(media, Media::Video { .. }))
            .unwrap();
        spoil(&mut sent, at);
        let mut passage = passage();
        let mut first = None;
        let mut passed = Vec::new();
        for (n, media) in &sent {
            passed.extend(passage.take(media, Some(AHEAD + n)));
            first = first.or(passage.first());
        }
        assert_eq!(passage.first(), None);
        let fault = passage.fault().map(ToString::to_string).unwrap_or_default();
        assert!(fault.contains(words), "`{fault}` does not say `{words}`");
        assert_regular(&passed, first.expect("it was passed on"));
        assert!(
            passed
                .iter()
                .all(|unit| unit.index == 2 || number(unit) <= 500 + 61),
            "{words}"
        );
    }
}

/// A minute without a fault after the first failure, and not less.
#[test]
fn an_encoder_that_failed_is_passed_on_again_once_it_was_flawless() {
    let mut sent = Encoder::default().send(3_000);
    let lost = |(n, media): &(u64, Media)| *n == 500 && matches!(media, Media::Video { .. });
    let at = sent.iter().position(lost).unwrap();
    sent.remove(at);
    let mut passage = passage();
    let mut changes = Vec::new();
    for (n, media) in &sent {
        passage.take(media, Some(AHEAD + n));
        if changes.last().map(|(_, first)| *first) != Some(passage.first()) {
            changes.push((*n, passage.first()));
        }
    }
    let [(_, None), (_, Some(_)), (500 | 501, None), (again, Some(_))] = changes.as_slice() else {
        panic!("{changes:?}");
    };
    assert!(
        (501 + 1_800..501 + 1_800 + 121).contains(again),
        "again at frame {again}"
    );
}

#[test]
fn whoever_goes_off_air_has_not_failed() {
    let mut passage = passage();
    let sent = Encoder::default().send(900);
    let (before, after) = sent.split_at(sent.len() / 2);
    assert!(!run(&mut passage, before).is_empty());
    passage.stop(super::Fault::OffAir);
    assert_eq!(
        (passage.first(), passage.fault()),
        (None, Some(&super::Fault::OffAir))
    );
    let passed = run(&mut passage, after);
    assert_regular(&passed, passage.first().expect("it is on air again"));
}

fn later(media: &mut Media, ms: u64) {
    if let Media::Video { dts: stamp, .. } | Media::Audio { pts: stamp, .. } = media {
        stamp.ticks += ms;
    }
}

proptest! {
    /// Anything at all in any order: no panic, and what is passed on is in order.
    #[test]
    fn hostile_order_never_breaks_the_grid(
        swaps in prop::collection::vec((0usize..4_000, 0usize..4_000), 0..6),
        drops in prop::collection::vec(0usize..4_000, 0..4),
    ) {
        let mut sent = Encoder::default().send(700);
        for at in drops {
            let at = at % sent.len();
            sent.remove(at);
        }
        for (a, b) in swaps {
            let (a, b) = (a % sent.len(), b % sent.len());
            sent.swap(a, b);
        }
        let mut passage = passage();
        let mut next: std::collections::BTreeMap<usize, u64> = Default::default();
        for (n, media) in &sent {
            for unit in passage.take(media, Some(AHEAD + n)) {
                let step = if unit.index == 2 { u64::from(AUDIO_FRAME_SAMPLES) } else { 1 };
                let due = next.insert(unit.index, unit.time + step);
                prop_assert!(due.is_none_or(|due| due == unit.time));
            }
        }
    }
}

#[test]
fn the_lead_is_shorter_than_any_part() {
    assert!(super::pass::LEAD <= Duration::from_millis(200));
}
