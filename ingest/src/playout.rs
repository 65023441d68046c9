//! The playout clock: which of an encoder's frames is due at a tick, given when frames become available.

use std::collections::VecDeque;
use std::ops::RangeBounds;

/// Distance kept behind the earliest frames; at 10 ms sound starved, at 20 ms it never did, nanoseconds.
const BEHIND: i64 = 20_000_000;
/// A frame this much early is taken, and passed over only when the next is this much late: no judder while
/// an encoder's frames fall near the ticks, nanoseconds.
pub(crate) const HYSTERESIS: i64 = 8_000_000;
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
/// Added to how much later than the earliest picture late blocks of sound are: a tick's sound reaches half a tick
/// beyond the playout clock, and its reader may be 4 ms ahead before it slews, of which [`BEHIND`] covers all but
/// this, nanoseconds.
const SOUND_REACH: i64 = 3_000_000;
/// Delay is taken back only where this much of it is too much, nanoseconds.
const SOUND_STEP: i64 = 10_000_000;
/// One in so many blocks may be later than what is waited for.
const SOUND_LATE_SHARE: usize = 20;
/// The clock falls back for sound by no more than this: 30 decoded frames of 60 fps must cover it, nanoseconds.
/// ffmpeg and OBS pack up to 2930 bytes of sound, 366 ms at 64 kb/s.
const SOUND_MAX: i64 = 440_000_000;
/// What comes first comes late because its decoder has yet to start, nanoseconds.
const SOUND_START: i64 = 500_000_000;
/// From here on it does not count any more, and delay that was for it alone is given up by a jump: later it would be
/// seen, and slewing takes a minute, nanoseconds.
const SOUND_SETTLED: i64 = 1_500_000_000;
/// Where it is at least so much, nanoseconds.
const SOUND_SETTLING: i64 = 80_000_000;
/// Blocks that come closer together than this came together, nanoseconds.
const SOUND_BURST: i64 = 8_000_000;
/// Without a jump for so long the clock is steady: longer than late sound is watched before it is waited for, and than
/// it takes from there until it has settled, nanoseconds.
const STEADY: i64 = 1_500_000_000;
/// More than it is slewed from tick to tick, nanoseconds.
const STEADY_STEP: i64 = 5_000_000;
/// A frame this late is not worth showing, nanoseconds.
pub(crate) const STALE: i64 = 500_000_000;

/// One frame's or one block of sound's arrival.
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
    sound: SoundDelay,
}

impl Anchor {
    /// A frame of `pts` became available at `at`.
    pub(crate) fn observe(&mut self, at: i64, pts: i64) {
        let lateness = at - pts;
        self.seen.push_back(Arrival { at, lateness });
        forget(&mut self.seen, at);
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

    /// A block of sound that begins at `pts` became available at `at`.
    pub(crate) fn observe_sound(&mut self, at: i64, pts: i64) {
        let lateness = at - pts;
        match self.sound.seen.back_mut() {
            // MPEG-TS packs many blocks into one packet: all of them are as late as the first.
            Some(burst) if at - burst.at < SOUND_BURST => {
                burst.at = at;
                burst.lateness = burst.lateness.max(lateness);
            }
            Some(_) | None => self.sound.seen.push_back(Arrival { at, lateness }),
        }
        self.sound.first.get_or_insert(at);
        forget(&mut self.sound.seen, at);
    }

    /// Contribution time to show at the tick due at `due`; none before the first frame or block of sound.
    pub(crate) fn playout(&mut self, due: i64) -> Option<i64> {
        let Some(offset) = self.offset else {
            // Sound alone keeps its own time until a picture comes.
            let sound = late(&self.sound.seen, ..)?;
            return Some(due - sound - SOUND_REACH - BEHIND);
        };
        let earliest = earliest(&self.seen).unwrap_or(offset);
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
        let delay = self.sound.follow(due, earliest, slewed);
        Some(due - offset - step - delay - BEHIND)
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

/// What the clock stays behind for the sake of sound that comes later than its picture; else it would starve.
#[derive(Debug, Default)]
struct SoundDelay {
    seen: VecDeque<Arrival>,
    first: Option<i64>,
    settled: bool,
    delay: i64,
    /// Since when more was needed at every tick.
    short: Option<i64>,
}

impl SoundDelay {
    /// The delay at the tick due at `due`, given the earliest picture. More of it comes at once but must have been
    /// needed for a while: a burst of late sound passes. Less of it is slewed.
    fn follow(&mut self, due: i64, picture: i64, slewed: i64) -> i64 {
        forget(&mut self.seen, due);
        let first = self.first.unwrap_or(due);
        let settled = due - first >= SOUND_SETTLED;
        let settles = settled && !std::mem::replace(&mut self.settled, settled);
        let start = if settled { first + SOUND_START } else { first };
        let lately = start.max(due - EVIDENCE);
        let needed = |sound: i64| (sound - picture + SOUND_REACH).clamp(0, SOUND_MAX);
        // What was late both before and lately goes on being late; a burst is over.
        let before = late(&self.seen, start..lately);
        let lasting =
            late(&self.seen, lately..).map(|sound| before.map_or(sound, |before| sound.min(before)));
        if lasting.is_none_or(|sound| needed(sound) <= self.delay) {
            self.short = None;
            if let Some(sound) = late(&self.seen, start..) {
                let spare = (self.delay - needed(sound) - SOUND_STEP).max(0);
                let jumps = settles && spare >= SOUND_SETTLING;
                self.delay -= if jumps { spare } else { spare.min(slewed) };
            }
            return self.delay;
        }
        let since = *self.short.get_or_insert(due);
        if due - since > EVIDENCE {
            // All that is known of, in one jump: what is waited for bit by bit is never steady.
            self.delay = late(&self.seen, start..).map_or(self.delay, needed);
            self.short = None;
        }
        self.delay
    }
}

fn earliest(seen: &VecDeque<Arrival>) -> Option<i64> {
    seen.iter().map(|seen| seen.lateness).min()
}

/// Lateness that all but a few arrivals of a time have.
fn late(seen: &VecDeque<Arrival>, time: impl RangeBounds<i64>) -> Option<i64> {
    let recent = seen.iter().filter(|seen| time.contains(&seen.at));
    let mut lateness: Vec<i64> = recent.map(|seen| seen.lateness).collect();
    let at = lateness
        .len()
        .checked_sub(1 + lateness.len() / SOUND_LATE_SHARE)?;
    Some(*lateness.select_nth_unstable(at).1)
}

fn forget(seen: &mut VecDeque<Arrival>, now: i64) {
    while seen.front().is_some_and(|old| old.at < now - WINDOW) || seen.len() > WINDOW_FRAMES {
        seen.pop_front();
    }
}

/// Whether the playout clock has stopped jumping: at first it has yet to learn how late sound is.
#[derive(Debug, Default)]
pub(crate) struct Steady {
    /// How far behind the stream's clock it was, and since when without a jump.
    last: Option<(i64, i64)>,
}

impl Steady {
    /// Takes what [`Anchor::playout`] gave at a tick.
    pub(crate) fn observe(&mut self, due: i64, playout: i64) -> bool {
        let behind = due - playout;
        let same = self
            .last
            .filter(|(before, _)| (before - behind).abs() <= STEADY_STEP);
        let since = same.map_or(due, |(_, since)| since);
        self.last = Some((behind, since));
        due - since >= STEADY
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
mod tests;
