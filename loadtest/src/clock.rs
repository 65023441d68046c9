//! The origin's clock as this machine sees it.
//!
//! The origin says when, by its own clock, a part became available; who asks it directly has the answer a moment later. The
//! smallest difference between arrival and that stamp is the offset of the two clocks and the shortest way: at most a
//! hair too much, whoever else is late. An edge that is late by the same time always cannot hide in it, because probes
//! do not ask the edge.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The minimum is taken over this long and the same before: clocks that drift by 50 ppm err by 6 ms at most.
const WINDOW: Duration = Duration::from_secs(60);

/// What lateness is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Probes of the origin.
    Probed,
    /// Target on loopback and no origin named: one machine, one clock.
    SameMachine,
    /// Nothing: neither lateness nor latency is claimed.
    None,
}

/// Time since the drill began, and what the wall clock said then.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
    wall_us: i64,
}

impl Clock {
    /// Begins now.
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            began: Instant::now(),
            wall_us: i64::try_from(wall.as_micros()).unwrap_or(i64::MAX),
        }
    }

    /// Began at this time, microseconds since 1970, in another process of this machine.
    pub fn began_at(wall_us: i64) -> Self {
        let now = Self::start();
        let ago = viewer::listing::length(now.wall_us.saturating_sub(wall_us));
        Self {
            began: now.began.checked_sub(ago).unwrap_or(now.began),
            wall_us,
        }
    }

    /// Begins anew; the wall clock is not asked again, so that what was learnt of offsets still holds.
    pub fn again(&self) -> Self {
        let began = Instant::now();
        Self {
            began,
            wall_us: self.wall_us(began - self.began),
        }
    }

    /// Time since it began.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Microseconds since 1970 of a time since it began.
    pub fn wall_us(&self, at: Duration) -> i64 {
        self.wall_us + viewer::listing::micros(at)
    }
}

/// Minimum of what probes saw, over the last one to two windows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Offset {
    current: Option<(Duration, i64)>,
    before: Option<i64>,
    samples: u64,
    newest: Option<i64>,
}

impl Offset {
    /// A direct answer arrived at `arrived_us` of our clock, whose part was available at `available_us` of the origin's.
    /// Only answers that waited for their part say anything: others are later by any time, which the minimum ignores.
    pub fn sample(&mut self, now: Duration, arrived_us: i64, available_us: i64) {
        let difference = arrived_us.saturating_sub(available_us);
        self.samples += 1;
        self.newest = self.newest.max(Some(available_us));
        match &mut self.current {
            Some((since, least)) if now.saturating_sub(*since) < WINDOW => *least = difference.min(*least),
            current => {
                self.before = current.map(|(_, least)| least);
                *current = Some((now, difference));
            }
        }
    }

    /// Our clock less the origin's, microseconds; none before the first sample.
    pub fn us(&self) -> Option<i64> {
        let current = self.current.map(|(_, least)| least);
        current.into_iter().chain(self.before).min()
    }

    /// When the newest part that probes have seen was available, microseconds of the origin's clock.
    pub fn newest_us(&self) -> Option<i64> {
        self.newest
    }

    /// Answers seen.
    pub fn samples(&self) -> u64 {
        self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_late_answer_tells_the_offset() {
        let mut offset = Offset::default();
        assert_eq!(offset.us(), None);
        // Our clock is 7 s ahead; ways of 1 to 90 ms.
        for (n, way) in [90_000, 4_000, 1_000, 30_000].into_iter().enumerate() {
            let available = 1_000_000 * n as i64;
            offset.sample(
                Duration::from_secs(n as u64),
                available + 7_000_000 + way,
                available,
            );
        }
        assert_eq!(offset.us(), Some(7_001_000));
    }

    #[test]
    fn a_drift_is_followed() {
        let mut offset = Offset::default();
        for n in 0..300u64 {
            // Ours gains a millisecond a second, far more than clocks do.
            offset.sample(Duration::from_secs(n), 1_000 * n as i64, 0);
        }
        let us = offset.us().unwrap();
        assert!((299_000 - 120_000..=299_000).contains(&us), "{us}");
    }
}
