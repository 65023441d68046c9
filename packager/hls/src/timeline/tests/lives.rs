//! Ladders that end, and others that take over.

use super::*;
use crate::playlist::{Media, parse};
use crate::timeline::stage::life;

const FIRST: u64 = 160_000_000;

/// A stream of `cells` cells, and a second ladder that starts `pause` cells after its end.
fn two(cells: u64, pause: u64) -> Stage {
    let mut stage = Stage::usual();
    stage.feed(cells);
    stage.take_over(life("b", Cell(FIRST + cells + pause), 1));
    stage
}

/// Discontinuity sequence number of every listed segment (rfc8216bis §6.2.1).
fn sequence(text: &str) -> Vec<(u64, u64)> {
    let parsed = parse(text).unwrap();
    let mut count = parsed.discontinuity_sequence.unwrap();
    let numbered = (parsed.media_sequence.0..).zip(&parsed.segments);
    numbered
        .map(|(msn, segment)| {
            count += segment.discontinuities;
            (msn, count)
        })
        .collect()
}

fn tags(media: &Media) -> u64 {
    media.segments.iter().map(|segment| segment.discontinuities).sum()
}

#[test]
fn a_ladder_that_takes_over_in_its_own_words() {
    let mut stage = two(SEGMENT + 1, 9);
    stage.feed(2);
    assert_eq!(stage.text(0), include_str!("../second.m3u8"));
}

#[test]
fn a_segment_is_media_or_gap_as_a_whole_and_of_one_ladder() {
    for cells in 5 * SEGMENT..6 * SEGMENT {
        for pause in 0..3 * SEGMENT {
            let mut stage = two(cells, pause);
            let before = stage.text(0);
            let first = stage.timeline.due(0).unwrap();
            let earliest = (FIRST + cells).next_multiple_of(SEGMENT);
            assert_eq!(first.0, (FIRST + cells + pause).max(earliest));
            assert_eq!(
                stage.text(0),
                before,
                "nothing is shown before there is something to play"
            );
            assert_eq!(stage.publish(), Progress::Published { first, last: first });
            assert_eq!(judged(&stage), []);
            assert_eq!(successive(&before, &stage.text(0)), []);
            let date = |cell| stage.grid.frame_time(stage.grid.first_frame(cell));
            let segments = stage.media(0).segments;
            let (old, new): (Vec<_>, Vec<_>) = segments
                .iter()
                .partition(|segment| segment.start < date(Cell(earliest)));
            assert!(
                old.iter()
                    .all(|s| !s.map.contains("-b-") && s.discontinuities == 0)
            );
            assert!(new.iter().all(|s| s.map.contains("-b-")));
            let tags: Vec<u64> = new.iter().map(|s| s.discontinuities).collect();
            assert!(tags[0] == 1 && tags[1..].iter().all(|tags| *tags == 0));
            let (begun, lead_in) = new.split_last().unwrap();
            assert!(begun.start == date(first) && !begun.gap && lead_in.iter().all(|s| s.gap));
            assert!(segments.iter().flat_map(|s| &s.parts).all(|part| !part.gap));
        }
    }
}

#[test]
fn a_ladder_that_starts_before_the_end_of_what_is_published_changes_nothing_of_it() {
    let mut stage = two(20, 0);
    stage.feed(6);
    let before = stage.text(1);
    assert_eq!(stage.take_over(life("c", Cell(FIRST + 10), 2)), Cell(FIRST + 28));
    stage.feed(1);
    assert_eq!(judged(&stage), []);
    assert_eq!(successive(&before, &stage.text(1)), []);
}

#[test]
fn three_lives_are_in_one_window_and_leave_it_one_by_one() {
    let mut stage = two(20, 3);
    stage.feed(9);
    stage.take_over(life("c", Cell(FIRST + 37), 2));
    assert_eq!(stage.timeline.maps(0).count(), 3);
    let mut last = stage.text(0);
    for _ in 0..70 * SEGMENT {
        stage.feed(1);
        assert_eq!(judged(&stage), []);
        let text = stage.text(0);
        assert_eq!(successive(&last, &text), []);
        last = text;
    }
    assert!(last.contains("#EXT-X-DISCONTINUITY-SEQUENCE:2\n") && !last.contains("#EXT-X-DISCONTINUITY\n"));
    let maps: Vec<&str> = stage.timeline.maps(0).collect();
    assert_eq!(
        maps,
        ["init-c-360p.mp4"],
        "lives leave memory with their last segment"
    );
}

/// A segment's number is its ladder's ordinal, whoever was there: so packagers agree.
#[test]
fn ladders_without_a_segment_count_and_leave_nothing_else() {
    let mut stage = two(20, 1);
    stage.take_over(life("c", Cell(FIRST + 22), 2));
    let wanted = stage.take_over(life("e", Cell(FIRST + 23), 4));
    stage.feed(SEGMENT);
    assert_eq!(judged(&stage), []);
    assert_eq!((tags(&stage.media(0)), stage.timeline.maps(0).count()), (4, 2));
    let mut late = Stage::new(stage.grid, wanted, Duration::from_secs(60));
    late.timeline = Timeline::new(stage.timeline.config.clone(), life("e", wanted, 4));
    late.feed(SEGMENT);
    let (all, some) = (sequence(&stage.text(0)), sequence(&late.text(0)));
    let begins = stage.grid.msn(wanted).0;
    let theirs: Vec<_> = some.iter().filter(|(msn, _)| *msn >= begins).collect();
    assert!(!theirs.is_empty() && theirs.iter().all(|number| all.contains(number)));
}

#[test]
fn an_ordinal_that_falls_or_leaps_is_bounded() {
    let bound = DISCONTINUITIES_MAX;
    for (ordinal, expected) in [(0, 1), (1, 1), (bound, bound), (u64::MAX, bound)] {
        let mut stage = Stage::usual();
        stage.feed(20);
        stage.take_over(life("b", Cell(FIRST + 20), ordinal));
        stage.feed(1);
        assert_eq!(tags(&stage.media(0)), expected);
        assert_eq!(judged(&stage), []);
    }
}

#[test]
fn a_pause_longer_than_the_window_leaves_the_old_ladder_out_of_it() {
    let mut stage = two(40, 1_000_000);
    let before = stage.text(0);
    stage.feed(1);
    assert_eq!(judged(&stage), []);
    assert_eq!(successive(&before, &stage.text(0)), []);
    assert!(stage.timeline.cells.len() as u64 <= 32 * SEGMENT);
    stage.feed(70 * SEGMENT);
    assert_eq!((judged(&stage), stage.timeline.maps(0).count()), (vec![], 1));
}

/// rfc8216bis §6.2.2: removing a segment must not make the playlist shorter than three target durations.
#[test]
fn ladders_that_live_for_one_part_leave_a_window_that_is_long_enough() {
    let mut stage = Stage::new(Stage::usual().grid, Cell(FIRST), Duration::from_secs(20));
    stage.feed(40);
    for ladder in 1..60 {
        let before = stage.text(0);
        stage.take_over(life("b", stage.timeline.due(0).unwrap(), ladder));
        stage.feed(1);
        assert_eq!(judged(&stage), []);
        assert_eq!(successive(&before, &stage.text(0)), []);
    }
    assert!(stage.media(0).segments.len() <= 3 * 5 * 2);
}

#[test]
fn an_end_before_a_second_ladder_published_is_where_the_first_one_ended() {
    let mut stage = two(22, 5);
    let before = stage.text(0);
    stage.timeline.end();
    assert_eq!(judged(&stage), []);
    assert_eq!(successive(&before, &stage.text(0)), []);
    assert_eq!(stage.timeline.newest(), Some(Cell(FIRST + 21)));
}

fn broken(violations: &[check::Violation]) -> Vec<u8> {
    violations.iter().map(|violation| violation.rule).collect()
}

/// Changes a playlist whose new ladder begins with this segment.
type Mutation = fn(&mut Media, usize);

#[test]
fn what_a_restart_must_not_leave_out_is_missed() {
    let mut stage = two(20, 6);
    stage.feed(2);
    let before = stage.media(0);
    stage.feed(1);
    let after = stage.media(0);
    assert_eq!(successive(&before.render(), &after.render()), []);
    let at = after
        .segments
        .iter()
        .position(|segment| segment.discontinuities > 0)
        .unwrap();
    let mutants: [(u8, Mutation); 5] = [
        (94, |media, at| media.segments[at].discontinuities = 0),
        (73, |media, _| media.discontinuity_sequence += 1),
        (94, |media, at| {
            media.segments[at].map = media.segments[at - 1].map.clone()
        }),
        (94, |media, at| {
            media.segments[0].map = media.segments[at].map.clone()
        }),
        (94, |media, at| media.segments[at].gap ^= true),
    ];
    for (rule, mutate) in mutants {
        let mut mutant = after.clone();
        mutate(&mut mutant, at);
        assert_eq!(broken(&successive(&before.render(), &mutant.render())), [rule]);
    }
    let mut unmarked = after.clone();
    unmarked.segments[at].discontinuities = 0;
    assert_eq!(broken(&playlist(&unmarked.render())), [7, 72]);
    let bare = after.render().replace("#EXT-X-MAP:", "#");
    assert!(broken(&playlist(&bare)).iter().all(|rule| *rule == 19) && !playlist(&bare).is_empty());
}

#[test]
fn renditions_that_count_differently_are_told_apart() {
    let mut stage = two(20, 2);
    stage.feed(2);
    let mutants: [fn(&mut Media); 2] = [
        |media| media.discontinuity_sequence += 1,
        |media| media.segments.iter_mut().for_each(|s| s.discontinuities *= 2),
    ];
    for mutate in mutants {
        let mut mutant = stage.media(0);
        mutate(&mut mutant);
        let texts = [mutant.render(), stage.text(1), stage.text(2)];
        let all: Vec<Sibling<'_>> = URIS
            .iter()
            .zip(&texts)
            .map(|(uri, text)| Sibling { uri, text })
            .collect();
        assert_eq!(broken(&siblings(&all)), [68, 68]);
    }
}

/// What happens next: cells of all tracks, or another ladder after a pause, with so many before it that were never
/// seen.
#[derive(Debug, Clone)]
enum Step {
    Cells(u64),
    Ladder { pause: u64, unseen: u64, changed: bool },
}

fn lives() -> impl Strategy<Value = Vec<Step>> {
    let cells = (1u64..40).prop_map(Step::Cells);
    let pause = prop_oneof![4 => 0u64..20, 1 => 20u64..2_000];
    let ladder = (pause, 0u64..3, any::<bool>()).prop_map(|(pause, unseen, changed)| Step::Ladder {
        pause,
        unseen,
        changed,
    });
    prop::collection::vec(prop_oneof![2 => cells, 1 => ladder], 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_ladders_come_every_playlist_follows_the_rules(
        grid in grids(), offset in 0u64..40, steps in lives(), window in 20u64..100,
    ) {
        let mut stage = Stage::new(grid, Cell(FIRST + offset), Duration::from_secs(window));
        let (mut ordinal, mut name) = (0, 0);
        let mut last: Vec<Option<String>> = vec![None; URIS.len()];
        let mut numbers: BTreeMap<u64, u64> = BTreeMap::new();
        for step in steps {
            let cells = match step {
                Step::Cells(cells) => cells,
                Step::Ladder { pause, unseen, changed } => {
                    ordinal += 1 + unseen;
                    name += u64::from(changed);
                    let end = stage.timeline.newest().map_or(Cell(FIRST + offset), Cell::next);
                    stage.take_over(life(&name.to_string(), Cell(end.0 + pause), ordinal));
                    continue;
                }
            };
            for _ in 0..cells {
                stage.feed(1);
                prop_assert_eq!(judged(&stage), []);
                for (track, last) in last.iter_mut().enumerate() {
                    let text = stage.text(track);
                    let broken = last.as_ref().map(|last| successive(last, &text)).unwrap_or_default();
                    prop_assert_eq!(broken, []);
                    *last = Some(text);
                }
                for (msn, number) in sequence(last[0].as_ref().unwrap()) {
                    prop_assert_eq!(*numbers.entry(msn).or_insert(number), number, "segment {}", msn);
                }
                prop_assert_eq!(numbers.last_key_value().map(|(_, number)| *number), Some(ordinal));
            }
            let segments = stage.timeline.newest().map_or(0, |_| stage.media(0).segments.len());
            prop_assert!(stage.timeline.maps(0).count() <= 2 * segments + 1);
        }
    }
}
