mod dates;
mod lives;
mod long;

use super::stage::{SEGMENT, Stage, URIS};
use super::*;
use crate::check::{self, Sibling, playlist, siblings, successive};
use crate::path::Object;
use crate::time::{FrameRate, Profile};
use proptest::prelude::*;

/// Every playlist of a stage, as `check` wants them.
fn judged(stage: &Stage) -> Vec<check::Violation> {
    let texts: Vec<String> = (0..URIS.len()).map(|track| stage.text(track)).collect();
    let all: Vec<Sibling<'_>> = URIS
        .iter()
        .zip(&texts)
        .map(|(uri, text)| Sibling { uri, text })
        .collect();
    let mut broken = siblings(&all);
    broken.extend(texts.iter().flat_map(|text| playlist(text)));
    broken
}

/// What one track delivers next, or that it rests; and whether it is a gap.
fn steps() -> impl Strategy<Value = Vec<(usize, bool)>> {
    prop::collection::vec((0..URIS.len(), prop::bool::weighted(0.05)), 1..400)
}

fn grids() -> impl Strategy<Value = Grid> {
    let rates = prop::sample::select(vec![(25, 1), (30_000, 1_001), (30, 1), (50, 1), (60, 1)]);
    let profiles = prop::sample::select(vec![Profile::Low, Profile::Ultra, Profile::Wide]);
    (rates, profiles, prop::sample::select(vec![44_100, 48_000])).prop_map(|((num, den), profile, audio)| {
        Grid::of(profile, FrameRate::new(num, den).unwrap(), audio).unwrap()
    })
}

/// Whether a cell of a track is a gap is settled before it is delivered, in whatever order that happens.
fn gap(gaps: &[(usize, u64)], track: usize, cell: Cell) -> bool {
    gaps.contains(&(track, cell.0 % 97))
}

fn deliver(stage: &mut Stage, track: usize, gaps: &[(usize, u64)]) -> Result<Progress, Error> {
    let cell = stage.timeline.due(track)?;
    let share = if gap(gaps, track, cell) {
        Share::Gap
    } else {
        stage.share(track, cell)
    };
    stage.timeline.share(track, cell, share)
}

#[test]
fn a_whole_playlist_in_its_own_words() {
    let mut stage = Stage::usual();
    stage.feed(SEGMENT);
    let gap = stage.timeline.due(0).unwrap();
    for track in 0..URIS.len() {
        let share = if track == 0 {
            Share::Gap
        } else {
            stage.share(track, gap)
        };
        stage.timeline.share(track, gap, share).unwrap();
    }
    stage.feed(1);
    assert_eq!(stage.text(0), include_str!("first.m3u8"));
}

#[test]
fn a_stream_that_begins_inside_a_segment_leaves_no_hole() {
    for first in 160_000_000..160_000_000 + SEGMENT {
        let mut stage = Stage::new(Stage::usual().grid, Cell(first), Duration::from_secs(60));
        for _ in 0..6 {
            stage.feed(1);
            assert_eq!(judged(&stage), []);
        }
    }
}

#[test]
fn the_end_makes_the_open_segment_whole() {
    for cells in SEGMENT..=2 * SEGMENT {
        let mut stage = Stage::usual();
        stage.feed(cells);
        let before = stage.text(0);
        stage.timeline.end();
        let ended = stage.media(0);
        assert!(ended.ended && ended.segments.iter().all(|segment| segment.whole.is_some()));
        assert_eq!(judged(&stage), []);
        assert_eq!(successive(&before, &ended.render()), []);
        let last = stage.timeline.position().unwrap().last;
        assert_eq!(stage.timeline.segment_cells(last).end, 160_000_000 + cells);
    }
}

#[test]
fn short_segments_have_as_much_before_the_start_as_others() {
    let rate = FrameRate::new(30, 1).unwrap();
    for (part_frames, gop_parts, segment_gops) in [(15, 1, 1), (15, 1, 2), (6, 3, 1), (20, 1, 2), (30, 1, 1)]
    {
        let grid = Grid::new(rate, 48_000, part_frames, gop_parts, segment_gops).unwrap();
        let mut stage = Stage::new(grid, Cell(160_000_000), Duration::from_secs(2));
        for _ in 0..60 {
            stage.feed(1);
            assert_eq!(judged(&stage), [], "{grid:?}");
        }
    }
}

#[test]
fn refused_shares_change_nothing() {
    let mut stage = Stage::usual();
    let ahead = (0..=AHEAD_CELLS_MAX)
        .map(|_| deliver(&mut stage, 0, &[]))
        .last()
        .unwrap();
    assert_eq!(ahead, Err(Error::Ahead(0)));
    let (due, share) = (stage.timeline.due(1).unwrap(), stage.share(1, Cell(160_000_000)));
    let order = Error::Order {
        track: 1,
        want: due,
        got: due.next(),
    };
    assert_eq!(stage.timeline.share(1, due.next(), share), Err(order));
    assert_eq!(stage.timeline.share(7, due, share), Err(Error::Track(7)));
    assert_eq!(stage.timeline.newest(), None);
    stage.timeline.end();
    assert_eq!(stage.timeline.share(1, due, share), Err(Error::Ended));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_comes_in_whatever_order_every_playlist_follows_the_rules(
        grid in grids(), offset in 0u64..12, steps in steps(), window in 20u64..100,
    ) {
        let mut stage = Stage::new(grid, Cell(160_000_000 + offset), Duration::from_secs(window));
        let mut last: Vec<Option<String>> = vec![None; URIS.len()];
        let mut published = Vec::new();
        for (track, gap) in steps {
            let cell = stage.timeline.due(track).unwrap();
            let share = if gap { Share::Gap } else { stage.share(track, cell) };
            if let Ok(Progress::Published { first, last: newest }) = stage.timeline.share(track, cell, share) {
                published.extend(first.0..=newest.0);
                prop_assert_eq!(judged(&stage), []);
                for (track, last) in last.iter_mut().enumerate() {
                    let text = stage.text(track);
                    let broken = last.as_ref().map(|last| successive(last, &text)).unwrap_or_default();
                    prop_assert_eq!(broken, []);
                    *last = Some(text);
                }
            }
            if let Some(newest) = stage.timeline.newest() {
                prop_assert_eq!(published.last(), Some(&newest.0));
                let listed: Vec<String> = stage.media(0).segments.into_iter().flat_map(|s| s.parts).map(|p| p.uri).collect();
                let tail = &published[published.len() - listed.len()..];
                prop_assert_eq!(listed, tail.iter().map(|n| Object::Part(Cell(*n)).uri()).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_order_in_which_tracks_deliver_leaves_no_trace(
        one in prop::collection::vec(0..URIS.len(), 0..200), two in prop::collection::vec(0..URIS.len(), 0..200),
        gaps in prop::collection::vec((0..URIS.len(), 0u64..97), 0..6),
    ) {
        let run = |order: Vec<usize>| {
            let mut stage = Stage::usual();
            // A track that is as far as it may be waits for the others.
            for track in order {
                let _waits = deliver(&mut stage, track, &gaps);
            }
            let goal = Cell(160_000_100);
            for track in 0..URIS.len() {
                while stage.timeline.due(track).unwrap() < goal {
                    if deliver(&mut stage, track, &gaps).is_err() {
                        break;
                    }
                }
            }
            for track in (0..URIS.len()).cycle().take(1_000) {
                if stage.timeline.due(track).unwrap() < goal {
                    deliver(&mut stage, track, &gaps).unwrap();
                }
            }
            (0..URIS.len()).map(|track| stage.text(track)).collect::<Vec<_>>()
        };
        let (one, two) = (run(one), run(two));
        prop_assert!(one[0].contains("part-160000099.m4s"));
        prop_assert_eq!(one, two);
    }
}
