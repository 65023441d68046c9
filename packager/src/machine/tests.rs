mod codecs;
mod encryption;

use super::*;
use feed::{Codec, message::PROTOCOL};
use hls::check;
use hls::id::{StreamId, TrackId};
use hls::path::Skip;
use hls::playlist::parse;
use hls::time::{AUDIO_FRAME_SAMPLES, FrameRate, Grid, Profile};

const FIRST: u64 = 160_000_000;
const WINDOW: Duration = Duration::from_secs(20);

/// A real AVCDecoderConfigurationRecord of x264 (baseline, 64x64).
const AVCC: &[u8] = &[
    1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 0x17, 0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x04, 0x26, 0xc0, 0x44, 0, 0, 3,
    0, 4, 0, 0, 3, 0, 0xf0, 0x3c, 0x48, 0x99, 0x20, 1, 0, 5, 0x68, 0xcb, 0x83, 0xcb, 0x20,
];

fn grid() -> Grid {
    Grid::of(Profile::Low, FrameRate::new(30, 1).unwrap(), 48_000).unwrap()
}

/// The words of the n-th ladder, whose configurations differ by their level.
fn hello(ordinal: u64, first: u64, level: u8) -> Hello {
    let mut config = AVCC.to_vec();
    config[3] = level;
    let video = Codec::H264 {
        config: config.into(),
        width: 64,
        height: 64,
    };
    let audio = Codec::Aac {
        config: Bytes::from_static(&[0x11, 0x90]),
        channels: 2,
    };
    let track = |id, codec| feed::Track {
        id: TrackId::new(id).unwrap(),
        codec,
        average_bps: 1_000,
        peak_bps: 2_000,
        language: None,
        title: None,
    };
    Hello {
        protocol: PROTOCOL,
        stream: StreamId::new("main").unwrap(),
        epoch: Epoch(first),
        discontinuity: ordinal,
        shape: Shape {
            grid: grid(),
            tracks: vec![track("360p", video), track("audio", audio)],
            captions: Vec::new(),
        },
        mac: [0; 32],
    }
}

/// What a machine showed last, and the part it showed.
type Shown = (Vec<String>, Vec<Option<Bytes>>);

/// A ladder's cell, whose sound began with cell `first`; what it made of the playlists, if anything.
fn feed(machine: &mut Machine, first: u64, cell: u64) -> Option<Shown> {
    let grid = grid();
    let start = |cell| grid.first_frame(Cell(cell));
    let unit = |track, time, key| Unit {
        track,
        time,
        key,
        data: Bytes::from_static(b"data"),
    };
    for frame in start(cell)..start(cell + 1) {
        machine.unit(unit(0, frame, frame == start(cell)));
    }
    let sound = (grid.first_sample(start(first))..).step_by(AUDIO_FRAME_SAMPLES as usize);
    let inside = sound.skip_while(|time| grid.cell_of_sample(*time) < Cell(cell));
    for time in inside.take_while(|time| grid.cell_of_sample(*time) == Cell(cell)) {
        machine.unit(unit(1, time, true));
    }
    machine.close(0, |assembler| assembler.watermark(Cell(cell)));
    match machine.close(1, |assembler| assembler.watermark(Cell(cell))) {
        Progress::Waiting => None,
        Progress::Published { first, last } => {
            assert_eq!((first, last), (Cell(cell), Cell(cell)));
            machine.retain();
            let view = machine.view(last, 0, Duration::ZERO);
            let text = |track: &Track| String::from_utf8(track.playlist.text().to_vec()).unwrap();
            let texts: Vec<String> = view.tracks.iter().map(text).collect();
            texts
                .iter()
                .for_each(|text| assert_eq!(check::playlist(text), []));
            let shares = machine.staged(last).unwrap();
            Some((texts, shares.into_iter().map(|(_, bytes)| bytes).collect()))
        }
    }
}

fn feed_all(machine: &mut Machine, first: u64, cells: Range<u64>) -> Shown {
    let mut last: Option<Shown> = None;
    for cell in cells {
        let Some(shown) = feed(machine, first, cell) else {
            continue;
        };
        for (before, after) in last.iter().flat_map(|(texts, _)| texts).zip(&shown.0) {
            assert_eq!(check::successive(before, after), []);
        }
        last = Some(shown);
    }
    last.unwrap()
}

fn machine(hello: &Hello) -> Machine {
    Machine::new(hello, WINDOW, 0, Arc::default()).unwrap()
}

fn sequence(text: &str) -> Vec<(u64, u64, bool)> {
    let parsed = parse(text).unwrap();
    let mut count = parsed.discontinuity_sequence.unwrap();
    let numbered = (parsed.media_sequence.0..).zip(&parsed.segments);
    numbered
        .map(|(msn, segment)| {
            count += segment.discontinuities;
            (msn, count, segment.gap)
        })
        .collect()
}

/// One packager saw three ladders, the other began with the second, and missed its first cells.
#[test]
fn packagers_of_different_age_say_the_same_of_the_same_ladders() {
    let ladders = [
        hello(3, FIRST, 10),
        hello(4, FIRST + 26, 11),
        hello(7, FIRST + 45, 11),
    ];
    let mut old = machine(&ladders[0]);
    let before = feed_all(&mut old, FIRST, FIRST..FIRST + 22).0;
    old.take_over(&ladders[1], 1).unwrap();
    assert_eq!(old.resume(), Cell(0), "from the oldest cell the ingest keeps");
    let after = feed_all(&mut old, FIRST + 26, FIRST + 26..FIRST + 40).0;
    assert_eq!(check::successive(&before[0], &after[0]), []);
    let mut young = machine(&ladders[1]);
    feed_all(&mut young, FIRST + 26, FIRST + 30..FIRST + 40);
    let mut shown = Vec::new();
    for machine in [&mut old, &mut young] {
        machine.take_over(&ladders[2], 2).unwrap();
        shown.push(feed_all(machine, FIRST + 45, FIRST + 45..FIRST + 50));
    }
    assert_eq!(shown[0].1, shown[1].1, "the same bytes");
    let media = |text: &str| {
        sequence(text)
            .into_iter()
            .filter(|(.., gap)| !gap)
            .collect::<Vec<_>>()
    };
    let (all, theirs) = (media(&shown[0].0[0]), media(&shown[1].0[0]));
    assert!(theirs.len() > 3 && theirs.iter().all(|number| all.contains(number)));
    assert_eq!(all.iter().map(|(_, number, _)| *number).max(), Some(7));
}

#[test]
fn a_ladder_that_cannot_be_packaged_changes_nothing() {
    let mut machine = machine(&hello(0, FIRST, 10));
    let (before, _) = feed_all(&mut machine, FIRST, FIRST..FIRST + 9);
    let mut broken = hello(1, FIRST + 20, 10);
    broken.shape.tracks[0].codec = Codec::H264 {
        config: Bytes::new(),
        width: 64,
        height: 64,
    };
    assert!(machine.goes_on_with(&broken));
    assert!(matches!(machine.take_over(&broken, 1), Err(Refusal::Track(..))));
    assert_eq!((machine.epoch(), machine.generation), (Epoch(FIRST), 0));
    let (after, _) = feed_all(&mut machine, FIRST, FIRST + 9..FIRST + 10);
    assert_eq!(check::successive(&before[0], &after[0]), []);
}

#[test]
fn only_the_same_tracks_on_the_same_grid_go_on_in_a_stream_that_is_shown_and_not_over() {
    let mut machine = machine(&hello(0, FIRST, 10));
    let next = hello(1, FIRST + 20, 11);
    assert!(!machine.goes_on_with(&next), "nobody has seen anything of it");
    feed_all(&mut machine, FIRST, FIRST..FIRST + 5);
    assert!(machine.goes_on_with(&next));
    let mut fewer = next.clone();
    fewer.shape.tracks.pop();
    let mut swapped = next.clone();
    swapped.shape.tracks.reverse();
    let mut finer = next.clone();
    finer.shape.grid = Grid::of(Profile::Ultra, FrameRate::new(30, 1).unwrap(), 48_000).unwrap();
    for other in [fewer, swapped, finer] {
        assert!(!machine.goes_on_with(&other));
    }
    machine.end();
    assert!(!machine.goes_on_with(&next));
}

/// Sound of these cells came, the picture did not.
#[test]
fn what_was_incomplete_at_the_end_of_a_ladder_is_dropped() {
    let mut machine = machine(&hello(0, FIRST, 10));
    let (before, _) = feed_all(&mut machine, FIRST, FIRST..FIRST + 10);
    machine.close(1, |assembler| assembler.watermark(Cell(FIRST + 14)));
    assert_eq!(machine.staged.len(), 5);
    machine.take_over(&hello(1, FIRST + 13, 10), 1).unwrap();
    let (after, parts) = feed_all(&mut machine, FIRST + 13, FIRST + 13..FIRST + 15);
    assert!(machine.staged.is_empty() && parts.iter().all(Option::is_some));
    assert_eq!(check::successive(&before[0], &after[0]), []);
}

#[test]
fn init_segments_leave_memory_with_the_last_segment_that_needs_them() {
    let mut machine = machine(&hello(0, FIRST, 10));
    feed_all(&mut machine, FIRST, FIRST..FIRST + 9);
    for (ordinal, first) in [(1, FIRST + 12), (2, FIRST + 24)] {
        let level = 10 + u8::try_from(ordinal).unwrap();
        machine.take_over(&hello(ordinal, first, level), ordinal).unwrap();
        feed_all(&mut machine, first, first..first + 9);
    }
    let count = |machine: &Machine| machine.tracks.iter().map(|t| t.inits.len()).collect::<Vec<_>>();
    assert_eq!(count(&machine), [3, 1], "sound is configured as before");
    feed_all(&mut machine, FIRST + 24, FIRST + 33..FIRST + 130);
    assert_eq!(count(&machine), [1, 1]);
}

/// rfc8216bis §6.2.5.1: by the moment of publication, not by what the programme says.
#[test]
fn a_date_range_is_new_for_as_long_as_can_be_skipped() {
    let mut machine = machine(&hello(0, FIRST, 10));
    feed_all(&mut machine, FIRST, FIRST..FIRST + 40);
    let view = |machine: &mut Machine, second| {
        let view = machine.view(Cell(FIRST + 39), 0, Duration::from_secs(second));
        let form = view.tracks[1].playlist.form(Some(Skip::Dates));
        String::from_utf8(form.plain().to_vec()).unwrap()
    };
    let cue = Cue {
        id: "a".to_owned(),
        class: None,
        frame: grid().first_frame(Cell(FIRST + 41)),
        kind: feed::cue::Kind::Plain,
        duration: None,
        section: Bytes::new(),
        trigger: None,
        attributes: Vec::new(),
    };
    assert!(!view(&mut machine, 0).contains("DATERANGE:"));
    machine.cue(&cue);
    let says = |text: &str| (text.contains("DATERANGE:ID=\"a\""), text.contains("VERSION:10\n"));
    assert_eq!(says(&view(&mut machine, 100)), (true, false));
    assert_eq!(says(&view(&mut machine, 112)), (true, false));
    assert_eq!(says(&view(&mut machine, 113)), (false, true));
}
