use super::*;
use crate::sound::{Reader, Ring};
use proptest::prelude::*;

mod drift;

const MS: i64 = 1_000_000;

struct Tick {
    due: i64,
    playout: Option<i64>,
    shown: Option<i64>,
    taken: usize,
}

impl Tick {
    fn late(&self) -> i64 {
        self.due - self.shown.unwrap()
    }
}

/// Runs frames (arrival, pts) against 30 ticks a second.
fn run(frames: &[(i64, i64)], until: i64) -> Vec<Tick> {
    let (mut anchor, mut waiting) = (Anchor::default(), VecDeque::new());
    let (mut shown, mut next, mut ticks) = (None, frames.iter().peekable(), Vec::new());
    for n in 0.. {
        let due = n * 1_000 * MS / 30;
        if due > until {
            break;
        }
        while let Some((at, pts)) = next.next_if(|(at, _)| *at <= due) {
            anchor.observe(*at, *pts);
            waiting.push_back(*pts);
        }
        let playout = anchor.playout(due);
        let taken = playout.map_or(0, |playout| advance(playout, waiting.iter().copied()));
        for _ in 0..taken {
            shown = waiting.pop_front();
        }
        ticks.push(Tick {
            due,
            playout,
            shown,
            taken,
        });
    }
    ticks
}

#[test]
fn an_encoder_on_our_rate_is_shown_frame_by_frame_whatever_its_phase() {
    for quarter in 0..133 {
        let phase = quarter * MS / 4;
        // Arrivals jitter by up to 5 ms, and FLV's times are whole milliseconds.
        let frames: Vec<_> = (0..300)
            .map(|n: i64| {
                let exact = n * 1_000 * MS / 30;
                (exact + phase + n * 7 % 6 * MS, exact / MS * MS)
            })
            .collect();
        let ticks = run(&frames, 9_000 * MS);
        let odd = ticks.iter().skip(15).filter(|tick| tick.taken != 1).count();
        assert_eq!(odd, 0, "phase {phase}");
    }
}

#[test]
fn a_clock_that_runs_off_costs_single_frames() {
    for ppm in [-500, 500] {
        let frames: Vec<_> = (0..1_800)
            .map(|n: i64| {
                let pts = n * 1_000 * MS / 30;
                (pts + pts / 1_000_000 * ppm + n * 7 % 6 * MS, pts)
            })
            .collect();
        let ticks = run(&frames, 59_000 * MS);
        let odd = ticks.iter().skip(30).filter(|tick| tick.taken != 1).count();
        assert!(odd <= 3, "{ppm} ppm: {odd} irregular ticks");
    }
}

#[test]
fn a_burst_after_a_stall_does_not_move_the_clock() {
    let mut frames: Vec<_> = (0..90).map(|n: i64| (n * 33 * MS, n * 33 * MS)).collect();
    // Ten seconds of silence, then all of it in 1.5 s, then as before.
    frames.extend((90..393).map(|n: i64| (13_000 * MS + (n - 90) * 5 * MS, n * 33 * MS)));
    frames.extend((450..700).map(|n: i64| (n * 33 * MS, n * 33 * MS)));
    let ticks = run(&frames, 20_000 * MS);
    let behind = ticks.iter().filter_map(|tick| Some(tick.due - tick.playout?));
    assert!(behind.max() < Some(100 * MS), "the clock fell back for the burst");
    let mut after = ticks.iter().filter(|tick| tick.due > 15_100 * MS);
    assert!(after.all(|tick| (0..80 * MS).contains(&tick.late())));
}

#[test]
fn a_lasting_delay_is_accepted_and_a_shorter_way_taken_at_once() {
    let mut frames: Vec<_> = (0..90).map(|n: i64| (n * 33 * MS, n * 33 * MS)).collect();
    frames.extend((90..300).map(|n: i64| (n * 33 * MS + 800 * MS, n * 33 * MS)));
    frames.extend((330..500).map(|n: i64| (n * 33 * MS, n * 33 * MS)));
    let ticks = run(&frames, 16_000 * MS);
    let of = |range: std::ops::Range<i64>| {
        let within = ticks.iter().filter(move |tick| range.contains(&(tick.due / MS)));
        within.map(Tick::late)
    };
    assert!(of(7_000..9_000).all(|late| (800 * MS..880 * MS).contains(&late)));
    assert!(
        of(11_200..16_000).all(|late| late < 80 * MS),
        "{:?}",
        of(11_200..16_000).max()
    );
}

/// A minute of picture in time and sound later by `later(n)`, in blocks of 1024 samples that jitter by up to
/// 10 ms; gives each tick's due time, its delay behind the encoder's clock, samples missing and sound's error.
fn with_sound(later: impl Fn(i64) -> i64) -> Vec<(i64, i64, usize, f64)> {
    let (mut anchor, mut ring, mut reader) = (Anchor::default(), Ring::default(), Reader::default());
    let (mut frame, mut block, mut ticks) = (0_i64, 0_i64, Vec::new());
    for n in 0..1_800 {
        let due = n * 1_000 * MS / 30;
        while frame * 1_000 * MS / 30 + frame * 7 % 6 * MS <= due {
            let pts = frame * 1_000 * MS / 30;
            anchor.observe(pts + frame * 7 % 6 * MS, pts);
            frame += 1;
        }
        loop {
            let pts = block * 1_024 * 1_000_000 / 48;
            let at = pts + later(block) + block * 7 % 11 * MS;
            if at > due {
                break;
            }
            anchor.observe_sound(at, pts);
            ring.write(block * 1_024, &[0.1; 2_048]);
            block += 1;
        }
        let playout = anchor.playout(due).unwrap();
        let (target, mut out) = ((playout - 16_666_667) as f64 * 48e3 / 1e9, Vec::new());
        let missing = reader.read(&ring, target, 1_600, &mut out);
        ticks.push((
            due / MS,
            (due - playout) / MS,
            missing,
            reader.ahead_ms(target + 1_600.0),
        ));
    }
    ticks
}

#[test]
fn sound_that_is_later_than_its_picture_is_waited_for() {
    for later in [30, 45, 60, 100, 150, 380] {
        let ticks = with_sound(|_| later * MS);
        let settled = ticks.iter().filter(|tick| tick.0 > 1_500);
        for (due, behind, missing, ahead) in settled {
            assert_eq!(*missing, 0, "{later} ms late, at {due} ms: starves");
            assert!(
                (later..later + 50).contains(behind),
                "{later} ms late: {behind} ms behind"
            );
            assert!(
                ahead.abs() <= 30.0,
                "{later} ms late, at {due} ms: sound is {ahead} ms ahead"
            );
        }
    }
}

#[test]
fn a_tenth_of_it_that_is_late_now_and_then_is_waited_for() {
    let ticks = with_sound(|block| if block * 7 % 10 == 0 { 90 * MS } else { 0 });
    let starved = ticks.iter().filter(|tick| tick.0 > 5_000 && tick.2 > 0).count();
    assert_eq!(starved, 0);
}

#[test]
fn sound_that_is_in_time_or_beyond_help_costs_no_more_than_its_bound() {
    for (later, most) in [(-200, 25), (-10, 25), (0, 35), (4, 39), (2_000, 465)] {
        let ticks = with_sound(|_| later * MS);
        let behind = ticks.iter().map(|tick| tick.1).max();
        assert!(behind <= Some(most), "{later} ms late: {behind:?} ms behind");
    }
}

#[test]
fn sound_packed_into_one_packet_is_as_late_as_its_first_block() {
    // Twelve blocks, 256 ms, at a time.
    let ticks = with_sound(|block| (11 - block % 12) * 64 * MS / 3);
    let behind: Vec<i64> = ticks.iter().skip(150).map(|tick| tick.1).collect();
    let all = behind.iter().all(|behind| (235..290).contains(behind));
    assert!(all, "{behind:?}");
}

#[test]
fn a_burst_of_late_sound_is_not_waited_for_and_a_shorter_way_slewed_to() {
    // Three seconds of sound are held up and come at once.
    let ticks = with_sound(|block| {
        if (470..610).contains(&block) {
            (610 - block) * 21 * MS
        } else {
            0
        }
    });
    assert!(
        ticks.iter().all(|tick| tick.1 <= 35),
        "the clock fell back for the burst"
    );
    // A decoder that starts, and makes up for 300 ms.
    let ticks = with_sound(|block| (300 - block * 11).max(0) * MS);
    assert!(
        ticks.iter().skip(30 * 5 / 2).all(|tick| tick.1 <= 45),
        "the clock fell back for the start"
    );
    // 60 ms late for 20 s, then in time.
    let ticks = with_sound(|block| if block < 938 { 60 * MS } else { 0 });
    assert!(ticks.iter().any(|tick| tick.1 > 80));
    let steps = ticks.windows(2).skip(60).map(|pair| pair[0].1 - pair[1].1);
    assert!(steps.max() <= Some(1), "it is slewed");
    assert!(ticks.last().unwrap().1 <= 45);
}

proptest! {
    #[test]
    fn whatever_sound_does_the_clock_stays_within_its_bound(
        gaps in prop::collection::vec((0_i64..200, 0_i64..5_000), 1..300),
    ) {
        let (mut anchor, mut at) = (Anchor::default(), 0);
        for (wait, later) in gaps {
            at += wait * MS;
            anchor.observe(at, at);
            anchor.observe_sound(at, at - later * MS);
            let behind = at - anchor.playout(at).unwrap() - BEHIND;
            prop_assert!((0..=SOUND_MAX).contains(&behind), "{behind}");
            prop_assert!(anchor.sound.seen.len() <= WINDOW_FRAMES);
        }
    }

    #[test]
    fn the_clock_is_bounded_by_what_was_seen(
        gaps in prop::collection::vec((0_i64..200, 0_i64..200), 1..300),
    ) {
        let (mut anchor, mut at, mut pts) = (Anchor::default(), 0, 0);
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        for (wait, step) in gaps {
            at += wait * MS;
            pts += step * MS;
            anchor.observe(at, pts);
            low = low.min(at - pts);
            high = high.max(at - pts);
            let playout = anchor.playout(at).unwrap();
            let offset = at - playout - BEHIND;
            prop_assert!((low..=high).contains(&offset), "{offset} not in {low}..={high}");
            prop_assert!(anchor.seen.len() <= WINDOW_FRAMES);
        }
    }

    #[test]
    fn frames_are_never_taken_early_nor_left_behind(
        playout in 0_i64..1_000, waiting in prop::collection::btree_set(0_i64..1_000, 0..40),
    ) {
        let waiting: Vec<i64> = waiting.into_iter().collect();
        let taken = advance(playout * MS, waiting.iter().map(|ms| ms * MS));
        for (n, pts) in waiting.iter().enumerate() {
            if n < taken {
                prop_assert!(playout - pts >= -8);
            } else {
                prop_assert!(playout - pts < 8 || n == 0 && playout - pts < -8);
            }
        }
    }
}

#[test]
fn a_clock_is_steady_once_it_has_not_jumped_for_a_while() {
    let mut steady = Steady::default();
    let tick = |n: i64| n * 33_333_333;
    let first = (0..200).find(|n| steady.observe(tick(*n), tick(*n) - 20 * MS));
    assert_eq!(first, Some(46));
    // Slewed by 2000 ppm, then back by the lateness of sound.
    assert!((47..80).all(|n| steady.observe(tick(n), tick(n) - 20 * MS - n * 66_666)));
    let again = (80..200).find(|n| steady.observe(tick(*n), tick(*n) - 300 * MS));
    assert_eq!(again, Some(80 + 46));
}
