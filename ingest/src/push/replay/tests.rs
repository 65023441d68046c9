use super::*;
use hls::time::{FrameRate, Profile};
use proptest::prelude::*;

const TRACKS: usize = 2;
const EPOCH: u64 = 1_001;

fn grid() -> Grid {
    Grid::of(Profile::Low, FrameRate::new(30, 1).unwrap(), 48_000).unwrap()
}

fn ring(bounds: Bounds) -> Ring {
    Ring::new(grid(), TRACKS, Epoch(EPOCH), bounds)
}

fn wide() -> Bounds {
    Bounds {
        keep_cells: 60,
        bytes_max: usize::MAX,
        behind_cells_max: 16,
    }
}

/// Three units and the watermark of every track; track 1 lags by half a cell, as sound does.
fn push_half(ring: &mut Ring, half: u64) {
    let cell = EPOCH + half / 2;
    let unit = |track, time| {
        Message::Unit(Unit {
            track,
            time,
            key: false,
            data: Bytes::from(vec![0; 100]),
        })
    };
    let (whole, lagging) = (
        half.is_multiple_of(2),
        cell.saturating_sub(u64::from(half.is_multiple_of(2))),
    );
    if whole {
        (0..3).for_each(|n| ring.push(Cell(cell), unit(0, cell * 3 + n)));
        ring.push(
            Cell(cell),
            Message::Watermark {
                track: 0,
                cell: Cell(cell),
            },
        );
    } else {
        (0..3).for_each(|n| ring.push(Cell(lagging), unit(1, lagging * 3 + n)));
        ring.push(
            Cell(lagging),
            Message::Watermark {
                track: 1,
                cell: Cell(lagging),
            },
        );
    }
}

fn push_cells(ring: &mut Ring, cells: Range<u64>) {
    (cells.start * 2..cells.end * 2).for_each(|half| push_half(ring, half));
}

fn read_all(ring: &Ring, cursor: &mut Cursor) -> Vec<Message> {
    let mut all = Vec::new();
    loop {
        let batch = ring.read(cursor);
        if batch.is_empty() {
            return all;
        }
        all.extend(batch);
    }
}

/// Per track, how every cell ended, in order: whole or missing. Panics where the feed's promise is broken.
fn ends(messages: &[Message], track: u16) -> Vec<(u64, bool)> {
    let (mut ends, mut units): (Vec<(u64, bool)>, Vec<u64>) = (Vec::new(), Vec::new());
    for message in messages {
        match message {
            Message::Unit(unit) if unit.track == track => {
                assert!(
                    ends.last().is_none_or(|(cell, _)| unit.time / 3 > *cell),
                    "a unit of a closed cell"
                );
                units.push(unit.time);
            }
            Message::Watermark { track: t, cell } if *t == track => {
                let whole: Vec<u64> = (cell.0 * 3..cell.0 * 3 + 3).collect();
                let got: Vec<u64> = units.drain(..).filter(|time| time / 3 == cell.0).collect();
                assert_eq!(got, whole, "a watermark without all units");
                ends.push((cell.0, true));
            }
            Message::Gap { track: t, cell } if *t == track => ends.push((cell.0, false)),
            Message::Unit(_) | Message::Watermark { .. } | Message::Gap { .. } | Message::Cue(_) => {}
            other @ (Message::Challenge(_)
            | Message::Thumbnail { .. }
            | Message::Hello(_)
            | Message::Resume(_)
            | Message::Refuse(_)
            | Message::End) => panic!("a ring never gives {other:?}"),
        }
    }
    assert!(
        ends.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0),
        "a cell is unaccounted for: {ends:?}"
    );
    ends
}

#[test]
fn a_newcomer_gets_what_is_kept_and_no_gaps() {
    let mut ring = ring(wide());
    push_cells(&mut ring, 0..100);
    let mut cursor = ring.resume(Cell(0));
    let messages = read_all(&ring, &mut cursor);
    for track in 0..2 {
        let ends = ends(&messages, track);
        assert!(ends.iter().all(|(_, whole)| *whole));
        assert!((58..=61).contains(&ends.len()), "{}", ends.len());
        assert!(
            grid().starts_gop(Cell(ends[0].0)),
            "what is kept starts with a key frame"
        );
    }
}

#[test]
fn one_who_comes_back_gets_its_cell_or_is_told_what_is_gone() {
    let mut ring = ring(wide());
    push_cells(&mut ring, 0..100);
    let wanted = EPOCH + 70;
    let messages = read_all(&ring, &mut ring.resume(Cell(wanted)));
    assert_eq!(ends(&messages, 0)[0], (wanted, true));
    let messages = read_all(&ring, &mut ring.resume(Cell(EPOCH + 5)));
    for track in 0..2 {
        let ends = ends(&messages, track);
        assert_eq!(ends[0], (EPOCH + 5, false));
        assert_eq!(ends.last(), Some(&(EPOCH + 99, true)));
    }
    let messages = read_all(&ring, &mut ring.resume(Cell(3)));
    assert_eq!(
        ends(&messages, 0)[0].0,
        EPOCH,
        "gaps do not reach before the ladder"
    );
    assert_eq!(read_all(&ring, &mut ring.resume(Cell(EPOCH + 500))), []);
}

#[test]
fn a_slow_reader_loses_whole_gops_and_nothing_else() {
    let mut ring = ring(wide());
    push_cells(&mut ring, 0..4);
    let mut cursor = ring.resume(Cell(0));
    let mut messages = read_all(&ring, &mut cursor);
    push_cells(&mut ring, 4..19);
    messages.extend(read_all(&ring, &mut cursor));
    assert!(
        ends(&messages, 0).iter().all(|(_, whole)| *whole),
        "15 cells behind is within the bound"
    );
    push_cells(&mut ring, 19..41);
    messages.extend(read_all(&ring, &mut cursor));
    let ends = ends(&messages, 0);
    let first_again = ends
        .iter()
        .rposition(|(_, whole)| !whole)
        .expect("cells were dropped")
        + 1;
    assert!(grid().starts_gop(Cell(ends[first_again].0)));
    assert_eq!(ends.len() - first_again, 2, "it goes on with the newest GOP");
}

#[test]
fn bytes_are_bounded_too() {
    let mut ring = ring(Bounds {
        bytes_max: 20_000,
        ..wide()
    });
    push_cells(&mut ring, 0..200);
    assert!(ring.bytes <= 20_000 && ring.entries.len() > 10);
    assert_eq!(
        ring.bytes,
        ring.entries
            .iter()
            .map(|entry| size(&entry.message))
            .sum::<usize>()
    );
}

proptest! {
    #[test]
    fn every_cell_of_every_track_ends_once_however_one_reads(
        pushes in prop::collection::vec((1_u64..12, 0_usize..4), 1..60),
        wanted in prop_oneof![Just(0), 0..EPOCH + 40],
        keep_cells in 8_u64..40,
    ) {
        let mut ring = ring(Bounds { keep_cells, bytes_max: 60_000, behind_cells_max: 6 });
        let mut half = 4;
        (0..half).for_each(|half| push_half(&mut ring, half));
        let mut cursor = ring.resume(Cell(wanted));
        let mut messages = Vec::new();
        for (more, reads) in pushes {
            (half..half + more).for_each(|half| push_half(&mut ring, half));
            half += more;
            (0..reads).for_each(|_| messages.extend(ring.read(&mut cursor)));
        }
        half += half % 2;
        messages.extend(read_all(&ring, &mut cursor));
        for track in 0..2 {
            let ends = ends(&messages, track);
            if let Some((first, _)) = ends.first() {
                prop_assert!(*first >= wanted.max(EPOCH) || wanted == 0);
                prop_assert!(ends.len() as u64 <= half);
            }
        }
    }
}

fn cue(n: u64) -> Cue {
    Cue {
        id: format!("c-{n}"),
        class: None,
        frame: n,
        kind: feed::cue::Kind::Plain,
        duration: None,
        section: Bytes::new(),
        trigger: None,
        attributes: Vec::new(),
    }
}

fn cues(messages: &[Message]) -> Vec<u64> {
    let frame = |message: &Message| {
        let Message::Cue(cue) = message else { return None };
        Some(cue.frame)
    };
    messages.iter().filter_map(frame).collect()
}

#[test]
fn every_reader_gets_each_cue_once_however_old_and_no_more_than_are_kept() {
    let mut ring = ring(wide());
    ring.cue(cue(0));
    push_cells(&mut ring, 0..4);
    let mut early = ring.resume(Cell(0));
    assert_eq!(cues(&read_all(&ring, &mut early)), [0]);
    ring.cue(cue(1));
    assert_eq!(cues(&read_all(&ring, &mut early)), [1]);
    push_cells(&mut ring, 4..200);
    assert_eq!(cues(&read_all(&ring, &mut early)), [0_u64; 0]);
    let mut late = ring.resume(Cell(EPOCH + 199));
    let got = read_all(&ring, &mut late);
    assert_eq!(cues(&got), [0, 1]);
    (2..500).for_each(|n| ring.cue(cue(n)));
    let kept: Vec<u64> = (500 - CUES_MAX as u64..500).collect();
    assert_eq!(
        cues(&read_all(&ring, &mut late)),
        kept,
        "who is behind loses the oldest"
    );
    assert_eq!(cues(&read_all(&ring, &mut ring.resume(Cell(0)))), kept);
}
