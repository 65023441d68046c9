//! When viewers come, how long they wait for a picture, how long they stay, and when they go all at once.

use std::time::Duration;

use crate::random::Random;

/// How a crowd comes.
#[derive(Debug, Clone, PartialEq)]
pub enum Curve {
    /// Evenly, until all are there after `over`.
    Ramp {
        /// From the first to the last.
        over: Duration,
    },
    /// In so many equal groups, one every `every`.
    Step {
        /// Groups.
        steps: u32,
        /// Between two groups.
        every: Duration,
    },
    /// All at once.
    Wall {
        /// When.
        at: Duration,
    },
    /// As it was: viewers there at each time, rising times; made into joins where it rises.
    Replay(Vec<(Duration, u64)>),
}

/// Why a curve cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A line that is not `seconds,viewers`.
    #[error("line {0}: not `seconds,viewers`")]
    Malformed(usize),
    /// A time that is not later than the one before.
    #[error("line {0}: times must rise")]
    Backwards(usize),
    /// No line at all.
    #[error("no line")]
    Empty,
}

impl Curve {
    /// Reads `seconds,viewers` lines; empty ones and those beginning with `#` are passed over.
    pub fn replay(csv: &str) -> Result<Self, Error> {
        let mut points: Vec<(Duration, u64)> = Vec::new();
        for (number, line) in csv.lines().enumerate() {
            let (number, line) = (number + 1, line.trim());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (at, viewers) = line.split_once(',').ok_or(Error::Malformed(number))?;
            let at: f64 = at.trim().parse().map_err(|_| Error::Malformed(number))?;
            let viewers = viewers.trim().parse().map_err(|_| Error::Malformed(number))?;
            let at = Duration::try_from_secs_f64(at).map_err(|_| Error::Malformed(number))?;
            if points.last().is_some_and(|(before, _)| *before >= at) {
                return Err(Error::Backwards(number));
            }
            points.push((at, viewers));
        }
        if points.is_empty() {
            return Err(Error::Empty);
        }
        Ok(Self::Replay(points))
    }

    /// When each of `viewers` comes, in order. A replayed curve is scaled so that its joins are so many.
    pub fn times(&self, viewers: u32) -> Vec<Duration> {
        let share = |n: u32| f64::from(n) / f64::from(viewers.max(1));
        match self {
            Self::Ramp { over } => (0..viewers).map(|n| over.mul_f64(share(n))).collect(),
            Self::Wall { at } => (0..viewers).map(|_| *at).collect(),
            Self::Step { steps, every } => {
                let steps = u64::from((*steps).max(1));
                let group =
                    |n: u32| u32::try_from(u64::from(n) * steps / u64::from(viewers)).unwrap_or(u32::MAX);
                (0..viewers).map(|n| *every * group(n)).collect()
            }
            Self::Replay(points) => (0..viewers).map(|n| join(points, share(n))).collect(),
        }
    }
}

/// When the given share of all joins has happened.
fn join(points: &[(Duration, u64)], share: f64) -> Duration {
    let rises = points
        .iter()
        .scan((Duration::ZERO, 0u64), |before, &(at, viewers)| {
            let (from, had) = std::mem::replace(before, (at, viewers));
            Some((from, at, viewers.saturating_sub(had)))
        });
    let total: u64 = rises.clone().map(|(_, _, joins)| joins).sum();
    let mut wanted = share * total as f64;
    for (from, at, joins) in rises {
        let joins = joins as f64;
        if wanted < joins {
            return from + (at - from).mul_f64(wanted / joins);
        }
        wanted -= joins;
    }
    points.last().map_or(Duration::ZERO, |(at, _)| *at)
}

/// Everybody goes at once, as when the match is decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExitWave {
    /// When it begins.
    pub at: Duration,
    /// Until the last one has gone.
    pub over: Duration,
    /// How many of those who are there.
    pub share: f64,
}

impl ExitWave {
    /// When this viewer goes, if it does.
    pub fn time(&self, random: &mut Random) -> Option<Duration> {
        let (goes, when) = (random.unit(), random.unit());
        (goes < self.share).then(|| self.at + self.over.mul_f64(when))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn s(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn curves_bring_all_when_they_say() {
        assert_eq!(
            Curve::Ramp { over: s(4.0) }.times(4),
            [s(0.0), s(1.0), s(2.0), s(3.0)]
        );
        let step = Curve::Step {
            steps: 2,
            every: s(5.0),
        };
        assert_eq!(step.times(4), [s(0.0), s(0.0), s(5.0), s(5.0)]);
        assert_eq!(Curve::Wall { at: s(1.0) }.times(2), [s(1.0); 2]);
    }

    #[test]
    fn a_replayed_curve_keeps_its_shape_at_another_size() {
        let curve = Curve::replay("# a match\n0,0\n10,100\n20,50\n30,150\n").unwrap();
        // 100 joins in the first ten seconds, none while it falls, 100 in the last ten.
        assert_eq!(curve.times(4), [s(0.0), s(5.0), s(20.0), s(25.0)]);
    }

    #[test]
    fn a_curve_that_cannot_be_is_refused_with_its_line() {
        assert_eq!(Curve::replay("0,0\nx,1"), Err(Error::Malformed(2)));
        assert_eq!(Curve::replay("5,0\n5,1"), Err(Error::Backwards(2)));
        assert_eq!(Curve::replay("-1,0"), Err(Error::Malformed(1)));
        assert_eq!(Curve::replay("NaN,0"), Err(Error::Malformed(1)));
        assert_eq!(Curve::replay("#\n"), Err(Error::Empty));
    }

    #[test]
    fn an_exit_wave_takes_its_share_in_its_time() {
        let wave = ExitWave {
            at: s(60.0),
            over: s(2.0),
            share: 0.9,
        };
        let mut random = Random::new(5);
        let times: Vec<_> = (0..1_000).filter_map(|_| wave.time(&mut random)).collect();
        assert!((870..930).contains(&times.len()), "{}", times.len());
        assert!(times.iter().all(|at| (s(60.0)..=s(62.0)).contains(at)));
    }

    proptest! {
        #[test]
        fn times_rise_and_are_as_many(viewers in 0u32..500, steps in 0u32..20, points in proptest::collection::vec((1u64..50, 0u64..1_000), 1..10)) {
            let mut at = 0;
            let points: Vec<_> = points.into_iter().map(|(more, n)| { at += more; (Duration::from_secs(at), n) }).collect();
            for curve in [Curve::Ramp { over: s(9.0) }, Curve::Step { steps, every: s(1.0) }, Curve::Replay(points)] {
                let times = curve.times(viewers);
                prop_assert_eq!(times.len(), viewers as usize);
                prop_assert!(times.is_sorted());
            }
        }
    }
}
