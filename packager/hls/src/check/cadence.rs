//! Whether new parts and whole segments come in time.

use std::time::Duration;

use super::{Rule, Violation, all};
use crate::id::{Msn, PartIndex};

/// Where a playlist ended at a moment of some clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The moment, of a clock that does not jump.
    pub at: Duration,
    /// Last part.
    pub last: (Msn, PartIndex),
    /// Last whole segment.
    pub whole: Msn,
}

/// A series of moments, oldest first, from a playlist without EXT-X-ENDLIST.
#[derive(Debug, Clone)]
pub struct Series {
    /// What was seen.
    pub moments: Vec<Moment>,
    /// PART-TARGET.
    pub part_target: Duration,
    /// EXT-X-TARGETDURATION.
    pub target_duration: Duration,
    /// What the way to the observer may add; zero where the clock is virtual.
    pub slack: Duration,
}

const RULES: &[Rule<Series>] = &[
    (14, rule_14_a_part_in_every_part_target),
    (15, rule_15_a_segment_in_every_one_and_a_half_target_durations),
];

/// Both rules about cadence.
pub fn check(series: &Series) -> Vec<Violation> {
    all(&[RULES], series)
}

/// rfc8216bis §6.2.1.
fn rule_14_a_part_in_every_part_target(series: &Series) -> Vec<String> {
    late(series, series.part_target, |moment| moment.last)
}

/// rfc8216bis §6.2.1.
fn rule_15_a_segment_in_every_one_and_a_half_target_durations(series: &Series) -> Vec<String> {
    late(series, series.target_duration * 3 / 2, |moment| moment.whole)
}

/// Moments by which `what` had been the same for longer than it may.
fn late<T: PartialEq>(series: &Series, limit: Duration, what: impl Fn(&Moment) -> T) -> Vec<String> {
    let mut out = Vec::new();
    let mut since: Option<&Moment> = None;
    for moment in &series.moments {
        let Some(first) = since else {
            since = Some(moment);
            continue;
        };
        let waited = moment.at.saturating_sub(first.at);
        if waited > limit + series.slack {
            out.push(format!("nothing new for {waited:?} after {:?}", first.last));
        }
        if what(moment) != what(first) {
            since = Some(moment);
        }
    }
    out
}
