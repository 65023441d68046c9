use super::cadence::{Moment, Series};
use super::*;

#[test]
fn rule_01_parts_come_with_a_part_target() {
    text_mutant(1, |text| without(&text, "#EXT-X-PART-INF"));
}

#[test]
fn rule_04_parts_have_uri_and_duration() {
    text_mutant(4, |text| {
        text.replacen("#EXT-X-PART:DURATION=0.50000,", "#EXT-X-PART:", 1)
    });
    text_mutant(4, |text| {
        text.replacen("DURATION=0.50000,URI=", "DURATION=0.50000,URL=", 1)
    });
}

#[test]
fn rule_07_extinf_is_the_sum_of_parts_and_of_media_time() {
    let at = |media: &mut Media, index: usize, more: u64| {
        let whole = media.segments[index].whole.as_mut().unwrap();
        whole.duration += Duration::from_millis(more);
    };
    mutant(7, |media| at(media, 9, 60));
    // Too little for any one segment, but it adds up.
    mutant(7, |media| (5..12).for_each(|index| at(media, index, 15)));
}

#[test]
fn rule_08_no_segment_rounds_to_more_than_the_target() {
    let mut young = Stage::usual();
    young.feed(2);
    mutant_of(&young, 8, |media| media.target_duration = Duration::from_secs(1));
}

#[test]
fn rule_09_the_target_duration_is_a_whole_number_that_never_changes() {
    text_mutant(9, |text| {
        text.replace("TARGETDURATION:2\n", "TARGETDURATION:2.0\n")
    });
    text_mutant(9, |text| text.replace("TARGETDURATION:2\n", "TARGETDURATION:0\n"));
    next_mutant(9, 1, |media| media.target_duration = Duration::from_secs(3));
}

#[test]
fn rule_10_part_target_and_hold_back_never_change() {
    next_mutant(10, 1, |media| media.part_target += Duration::from_millis(1));
    next_mutant(10, 1, |media| media.part_hold_back += Duration::from_millis(1));
}

#[test]
fn rule_11_segment_tags_come_before_parts() {
    let part = "#EXT-X-PART:DURATION=0.50000,URI=\"part-160000040.m4s\",INDEPENDENT=YES\n";
    let date = "#EXT-X-PROGRAM-DATE-TIME:2026-07-14T22:13:40.000Z\n";
    text_mutant(11, |text| {
        text.replace(&format!("{date}{part}"), &format!("{part}{date}"))
    });
}

#[test]
fn rule_12_old_parts_are_taken_out() {
    let stage = running();
    let listed = stage
        .media(0)
        .segments
        .iter()
        .filter(|segment| !segment.parts.is_empty())
        .count();
    assert_eq!(listed, 3, "the open segment and the two before it");
    mutant(12, |media| {
        media.segments[8].parts = media.segments[12].parts.clone()
    });
}

fn moments(stage: &mut Stage, cells: u64) -> Series {
    let grid = stage.grid;
    let mut moments = Vec::new();
    for _ in 0..cells {
        stage.feed(1);
        let position = stage.timeline.position().unwrap();
        let at = grid.frame_time(grid.first_frame(stage.timeline.newest().unwrap().next()));
        let (last, whole) = ((position.last, position.part.unwrap()), position.whole.unwrap());
        moments.push(Moment { at, last, whole });
    }
    let (part_target, target_duration) = (grid.part_target(), grid.target_duration());
    Series {
        moments,
        part_target,
        target_duration,
        slack: Duration::ZERO,
    }
}

fn every_grid() -> Vec<Grid> {
    let rates = [
        (24_000, 1_001),
        (25, 1),
        (30_000, 1_001),
        (30, 1),
        (50, 1),
        (60, 1),
    ];
    let rates = rates.map(|(num, den)| FrameRate::new(num, den).unwrap());
    let profiles = [Profile::Low, Profile::Ultra, Profile::Wide];
    let of = |rate, profile| [44_100, 48_000].map(|audio| Grid::of(profile, rate, audio).unwrap());
    rates
        .into_iter()
        .flat_map(|rate| profiles.into_iter().flat_map(move |profile| of(rate, profile)))
        .collect()
}

#[test]
fn rule_14_a_part_is_published_in_every_part_target() {
    for grid in every_grid() {
        let mut stage = Stage::new(grid, Cell(160_000_000), Duration::from_secs(60));
        clean(&cadence::check(&moments(&mut stage, 40)));
    }
    let mut series = moments(&mut running(), 20);
    let still = series.moments[10];
    series.moments[11].last = still.last;
    only(14, &cadence::check(&series));
}

#[test]
fn rule_15_a_segment_becomes_whole_in_every_one_and_a_half_target_durations() {
    let mut series = moments(&mut running(), 40);
    clean(&cadence::check(&series));
    let whole: std::collections::BTreeSet<_> = series.moments.iter().map(|moment| moment.whole).collect();
    assert_eq!(whole.len(), 11, "a segment in every four cells");
    let held = series.moments[15].whole;
    series.moments[15..20]
        .iter_mut()
        .for_each(|moment| moment.whole = held);
    only(15, &cadence::check(&series));
}

/// Seconds by which a profile is what it says: `wide` is what Apple recommends, a part of 1 s, a GOP of 1 s to 2 s and a
/// segment of 6 s; and the shortest parts of all are three round trips of 66 ms.
fn suits(profile: Profile, grid: &Grid) -> bool {
    let (part, parts) = (grid.cell_duration(), grid.gop_parts());
    let (gop, target) = ((part * parts).as_secs_f64(), grid.target_duration().as_secs());
    let (part, round_trip) = (part.as_secs_f64(), 0.066);
    let shape = match profile {
        Profile::Wide => (1.0..1.1).contains(&part) && (1.0..=2.2).contains(&gop) && target == 6,
        Profile::Low => (0.5..0.6).contains(&part),
        Profile::Ultra => true,
    };
    shape && grid.part_target().as_secs_f64() >= 3.0 * round_trip
}

#[test]
fn rule_29_parts_are_longer_than_round_trips_and_wide_is_what_apple_recommends() {
    let rates = [
        (24, 1),
        (25, 1),
        (30_000, 1_001),
        (30, 1),
        (50, 1),
        (60_000, 1_001),
        (60, 1),
    ];
    for (profile, (num, den)) in [Profile::Low, Profile::Ultra, Profile::Wide]
        .into_iter()
        .flat_map(|profile| rates.map(|rate| (profile, rate)))
    {
        let rate = FrameRate::new(num, den).unwrap();
        let grid = Grid::of(profile, rate, 48_000).unwrap();
        assert!(suits(profile, &grid), "{profile:?} at {num}/{den}: {grid:?}");
        let [part, gop, segment] = [grid.part_frames(), grid.gop_parts(), grid.segment_gops()];
        let changed = |part, gop, segment| Grid::new(rate, 48_000, part, gop, segment);
        // Half a part, twice a GOP, half a segment more: each is another profile's, or no grid at all.
        if profile == Profile::Wide {
            for mutant in [
                changed(part / 2, gop, segment),
                changed(part, 2 * gop, segment),
                changed(part, gop, segment + 1),
            ] {
                assert!(mutant.is_err() || !suits(profile, &mutant.unwrap()));
            }
        }
        let tiny = changed(part.div_ceil(8), gop, segment);
        assert!(tiny.is_err() || !suits(profile, &tiny.unwrap()));
    }
}

#[test]
fn every_grid_passes_every_rule() {
    for grid in every_grid() {
        let mut stage = Stage::new(grid, Cell(160_000_003), Duration::from_secs(60));
        for _ in 0..30 {
            stage.feed(3);
            let texts: Vec<String> = (0..URIS.len()).map(|track| stage.text(track)).collect();
            texts.iter().for_each(|text| clean(&playlist(text)));
            clean(&together(&texts));
        }
    }
}
