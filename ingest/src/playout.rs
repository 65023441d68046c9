//! The playout clock: which of an encoder's frames is due at a tick, given when frames become available.

use std::collections::VecDeque;

/// Distance kept behind the earliest frames; at 10 ms sound starved, at 20 ms it never did, nanoseconds.
const BEHIND: i64 = 20_000_000;
/// A frame this much early is taken, and passed over only when the next is this much late: no judder while
/// an encoder's frames fall near the ticks, nanoseconds.
const HYSTERESIS: i64 = 8_000_000;
/// How far back arrivals are remembered, nanoseconds.
const WINDOW: i64 = 2_000_000_000;
/// Arrivals remembered at most.
const WINDOW_FRAMES: usize = 512;
/// A difference that is not slewed but jumped over, nanoseconds.
const JUMP: i64 = 100_000_000;
/// What must have been seen before the clock falls back by a jump, nanoseconds.
const EVIDENCE: i64 = 1_000_000_000;
/// Fastest change of the clock otherwise, millionths.
const SLEW_PPM: i64 = 2_000;
/// A frame this late is not worth showing, nanoseconds.
pub(crate) const STALE: i64 = 500_000_000;

/// One frame's arrival.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    at: i64,
    lateness: i64,
}

/// Ties contribution time to the stream's clock. All times are nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Anchor {
    seen: VecDeque<Arrival>,
    first: Option<i64>,
    offset: Option<i64>,
    moved: i64,
}

impl Anchor {
    /// A frame of `pts` became available at `at`.
    pub(crate) fn observe(&mut self, at: i64, pts: i64) {
        let lateness = at - pts;
        self.seen.push_back(Arrival { at, lateness });
        while self.seen.front().is_some_and(|old| old.at < at - WINDOW) || self.seen.len() > WINDOW_FRAMES {
            self.seen.pop_front();
        }
        let first = *self.first.get_or_insert(at);
        // Frames earlier than believed: waiting on would only add delay. At first every frame teaches.
        let certain = if at - first < WINDOW { 0 } else { JUMP };
        match self.offset {
            Some(offset) if lateness >= offset - certain => {}
            Some(_) | None => {
                self.offset = Some(lateness);
                self.moved = at;
            }
        }
    }

    /// Contribution time to show at the tick due at `due`; none before the first frame.
    pub(crate) fn playout(&mut self, due: i64) -> Option<i64> {
        let offset = self.offset?;
        let earliest = self.seen.iter().map(|seen| seen.lateness).min().unwrap_or(offset);
        let wanted = earliest - offset;
        let slewed = (due - self.moved).clamp(0, EVIDENCE) * SLEW_PPM / 1_000_000;
        let step = if wanted <= JUMP {
            wanted.clamp(-slewed, slewed)
        } else if self.is_lasting() {
            wanted
        } else {
            0
        };
        self.moved = self.moved.max(due);
        self.offset = Some(offset + step);
        Some(due - offset - step - BEHIND)
    }

    /// After a stall a burst makes up for it: its lateness shrinks by the frame, and falling back for it would
    /// mean to jump forth again.
    fn is_lasting(&self) -> bool {
        let (Some(first), Some(last)) = (self.seen.front(), self.seen.back()) else {
            return false;
        };
        last.at - first.at > EVIDENCE && last.lateness > first.lateness - JUMP
    }
}

/// How many of the waiting frames to take, the last of them to be shown; 0 repeats what is shown.
pub(crate) fn advance(playout: i64, mut waiting: impl Iterator<Item = i64>) -> usize {
    match waiting.next() {
        Some(pts) if playout - pts >= -HYSTERESIS => {
            1 + waiting.take_while(|pts| playout - pts >= HYSTERESIS).count()
        }
        Some(_) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
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
}
