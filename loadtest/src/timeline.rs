//! The drill second by second, and edge by edge: what a report draws, and what recovery from a fault is judged by.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longest timeline: six hours, the longest drill, and a little.
const SECONDS_MAX: usize = 6 * 3_600 + 60;
/// Bits of a time that are told apart: steps of 3 percent.
const PRECISION_BITS: u32 = 6;

/// Times in steps of 3 percent: small enough to be kept for every second of a drill.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct Coarse(BTreeMap<u64, u64>);

impl Coarse {
    /// One time more.
    pub(crate) fn record(&mut self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let dropped = (u64::BITS - us.leading_zeros()).saturating_sub(PRECISION_BITS);
        *self.0.entry((us >> dropped) << dropped).or_default() += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (us, n) in &other.0 {
            *self.0.entry(*us).or_default() += n;
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// Milliseconds that this share is not above; none where there is nothing.
    pub fn ms(&self, quantile: f64) -> Option<f64> {
        let wanted = (self.count() as f64 * quantile).ceil();
        let mut seen = 0;
        self.0.iter().find_map(|(us, n)| {
            seen += n;
            (seen as f64 >= wanted).then_some(*us as f64 / 1_000.0)
        })
    }
}

impl From<Vec<(u64, u64)>> for Coarse {
    fn from(pairs: Vec<(u64, u64)>) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl From<Coarse> for Vec<(u64, u64)> {
    fn from(coarse: Coarse) -> Self {
        coarse.0.into_iter().collect()
    }
}

/// What workers count in one second; they are added.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Whose picture moved at its end.
    pub playing: u32,
    /// Whose picture was frozen.
    pub stalled: u32,
    /// Who waited for a first one.
    pub joining: u32,
    /// Requests that failed.
    pub errors: u32,
    /// Pictures that froze.
    pub stalls: u32,
    /// Requests sent.
    pub requests: u32,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Publication to last byte.
    pub lateness: Coarse,
    /// Behind the stream's clock.
    pub latency: Coarse,
}

impl Counts {
    /// Adds another worker's of the same second.
    pub fn merge(&mut self, other: &Self) {
        for (own, theirs) in [
            (&mut self.playing, other.playing),
            (&mut self.stalled, other.stalled),
            (&mut self.joining, other.joining),
            (&mut self.errors, other.errors),
            (&mut self.stalls, other.stalls),
            (&mut self.requests, other.requests),
        ] {
            *own = own.saturating_add(theirs);
        }
        self.bytes += other.bytes;
        self.lateness.merge(&other.lateness);
        self.latency.merge(&other.latency);
    }
}

/// Seconds of one worker, or of all.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Series(pub(crate) BTreeMap<u32, Counts>);

impl Series {
    /// One second more; what is beyond the longest drill is left away.
    pub(crate) fn add(&mut self, t: u32, counts: &Counts) {
        if self.0.len() < SECONDS_MAX || self.0.contains_key(&t) {
            self.0.entry(t).or_default().merge(counts);
        }
    }

    /// Adds another worker's.
    pub(crate) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(t, counts)| self.add(*t, counts));
    }
}

/// One second of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Second {
    /// Since the drill began.
    pub t: u32,
    /// Whose picture moved at its end.
    pub playing: u32,
    /// Whose picture was frozen.
    pub stalled: u32,
    /// Who waited for a first one.
    pub joining: u32,
    /// Requests that failed.
    pub errors: u32,
    /// Pictures that froze.
    pub stalls: u32,
    /// Publication to last byte, p99, of parts that came in this second; none where none did.
    pub lateness_ms_p99: Option<f64>,
    /// Behind the stream's clock, p50.
    pub latency_ms_p50: Option<f64>,
    /// Requests sent.
    pub requests: u32,
    /// Bytes of bodies.
    pub bytes: u64,
}

impl Second {
    /// Of what was counted.
    pub fn of(t: u32, counts: &Counts) -> Self {
        Self {
            t,
            playing: counts.playing,
            stalled: counts.stalled,
            joining: counts.joining,
            errors: counts.errors,
            stalls: counts.stalls,
            lateness_ms_p99: counts.lateness.ms(0.99),
            latency_ms_p50: counts.latency.ms(0.5),
            requests: counts.requests,
            bytes: counts.bytes,
        }
    }
}

/// Something that was done to the system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mark {
    /// When it was done, seconds since the drill began.
    pub t: f64,
    /// When it was undone; none where it was not, before the drill ended.
    pub until: Option<f64>,
    /// What, as the scenario names it.
    pub kind: String,
    /// To which node or link.
    pub node: String,
    /// Seconds from its end until the crowd was well again; none where it never was.
    pub recovered_s: Option<f64>,
    /// Most that was allowed; none where nothing was asked for.
    pub bound_s: Option<f64>,
}

impl Mark {
    /// Whether the crowd was well again in time; none where nothing was asked for.
    pub fn held(&self) -> Option<bool> {
        self.bound_s
            .map(|bound| self.recovered_s.is_some_and(|took| took <= bound))
    }
}

/// What happened when.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Every second of the drill.
    pub seconds: Vec<Second>,
    /// What was done to the system.
    pub marks: Vec<Mark>,
}

/// What one edge gave.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct EdgeCounts {
    /// Requests sent to it.
    pub requests: u64,
    /// Those that failed.
    pub errors: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Publication to last byte.
    pub lateness: Coarse,
}

impl EdgeCounts {
    /// Adds another worker's.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.bytes += other.bytes;
        self.lateness.merge(&other.lateness);
    }
}

/// One edge of a report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Edge {
    /// Host and port.
    pub target: String,
    /// Requests sent to it.
    pub requests: u64,
    /// Those that failed.
    pub errors: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Publication to last byte, p50; none where nothing was measured.
    pub lateness_ms_p50: Option<f64>,
    /// The same, p99.
    pub lateness_ms_p99: Option<f64>,
}

impl Edge {
    /// Of what was counted.
    pub fn of(target: &str, counts: &EdgeCounts) -> Self {
        Self {
            target: target.to_owned(),
            requests: counts.requests,
            errors: counts.errors,
            bytes: counts.bytes,
            lateness_ms_p50: counts.lateness.ms(0.5),
            lateness_ms_p99: counts.lateness.ms(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_times_are_right_within_three_percent_after_the_wire_and_a_merge() {
        let mut coarse = Coarse::default();
        (1..=1_000).for_each(|ms| coarse.record(Duration::from_millis(ms)));
        let text = serde_json::to_string(&coarse).unwrap();
        let mut back: Coarse = serde_json::from_str(&text).unwrap();
        back.merge(&coarse);
        assert_eq!(back.count(), 2_000);
        for quantile in [0.01, 0.5, 0.99, 1.0] {
            let (ms, exact) = (back.ms(quantile).unwrap(), 1_000.0 * quantile);
            assert!((exact * 0.96..=exact).contains(&ms), "{quantile}: {ms}");
        }
        assert_eq!(Coarse::default().ms(0.5), None);
        assert!(coarse.0.len() < 220, "{}", coarse.0.len());
    }

    #[test]
    fn seconds_of_workers_are_added() {
        let one = Counts {
            playing: 3,
            errors: 1,
            ..Counts::default()
        };
        let mut all = Series::default();
        all.add(4, &one);
        let mut other = Series::default();
        other.add(4, &one);
        other.add(5, &one);
        all.merge(&other);
        assert_eq!(
            all.0.get(&4).map(|counts| (counts.playing, counts.errors)),
            Some((6, 2))
        );
        assert_eq!(all.0.len(), 2);
    }
}
