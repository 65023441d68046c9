//! PURE. Which parent is asked first: the best one that is well, and no faster back than it earns it.

use std::time::{Duration, Instant};

/// Answers in time that another parent gave first, in a row, after which a parent counts as lost.
const STRIKES: u32 = 2;
/// Good probes in a row before a better parent is asked first again.
const PROOF: u32 = 3;
/// First and last pause between looks at a lost parent; doubled while it stays lost, and where it is lost again soon.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(16));
/// A parent lost so soon after its return is looked at half as often as before.
const SOON: Duration = Duration::from_secs(60);

/// How all parents stand, best first.
#[derive(Debug)]
pub(crate) struct Standing(Vec<Parent>);

#[derive(Debug, Clone, Copy)]
struct Parent {
    strikes: u32,
    /// Where it is lost: when to look at it next, and how often it has been well since.
    lost: Option<(Instant, u32)>,
    pause: Duration,
    returned: Option<Instant>,
}

impl Standing {
    pub(crate) fn new(parents: usize) -> Self {
        let parent = Parent {
            strikes: 0,
            lost: None,
            pause: PAUSE.0,
            returned: None,
        };
        Self(vec![parent; parents])
    }

    /// Every parent, in the order in which they are asked: the lost ones last.
    pub(crate) fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.0.len()).collect();
        order.sort_by_key(|at| self.0.get(*at).is_some_and(|parent| parent.lost.is_some()));
        order
    }

    /// It gave what it was asked for.
    pub(crate) fn answered(&mut self, at: usize) {
        if let Some(parent) = self.0.get_mut(at) {
            parent.strikes = 0;
        }
    }

    /// It was silent, and another one was not; true if it counts as lost now.
    pub(crate) fn was_silent(&mut self, now: Instant, at: usize) -> bool {
        let Some(parent) = self.0.get_mut(at) else {
            return false;
        };
        parent.strikes = parent.strikes.saturating_add(1);
        parent.strikes >= STRIKES && self.failed(now, at)
    }

    /// It cannot be reached, or answers nonsense; true if it did not count as lost before.
    pub(crate) fn failed(&mut self, now: Instant, at: usize) -> bool {
        let Some(parent) = self.0.get_mut(at) else {
            return false;
        };
        let new = parent.lost.is_none();
        if new {
            let soon = parent.returned.is_some_and(|since| now < since + SOON);
            parent.pause = if soon {
                (parent.pause * 2).min(PAUSE.1)
            } else {
                PAUSE.0
            };
            parent.lost = Some((now + parent.pause, 0));
        }
        new
    }

    /// A lost parent whose turn it is to be looked at.
    pub(crate) fn due(&self, now: Instant) -> Option<usize> {
        self.0
            .iter()
            .position(|parent| parent.lost.is_some_and(|(next, _)| next <= now))
    }

    /// What a look at a lost parent found; true if it is asked like the others again.
    pub(crate) fn probed(&mut self, now: Instant, at: usize, well: bool) -> bool {
        let Some(parent) = self.0.get_mut(at) else {
            return false;
        };
        let Some((_, good)) = parent.lost else {
            return false;
        };
        let good = if well { good.saturating_add(1) } else { 0 };
        if good >= PROOF {
            (parent.lost, parent.strikes, parent.returned) = (None, 0, Some(now));
            return true;
        }
        if !well {
            parent.pause = (parent.pause * 2).min(PAUSE.1);
        }
        parent.lost = Some((now + parent.pause, good));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_parent_is_asked_last_until_it_has_been_well_for_a_while() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut all = Standing::new(3);
        assert_eq!(all.order(), [0, 1, 2]);
        assert!(all.failed(at(0), 0) && !all.failed(at(10), 0));
        assert_eq!(all.order(), [1, 2, 0]);
        assert_eq!((all.due(at(999)), all.due(at(1_000))), (None, Some(0)));
        assert!(!all.probed(at(1_000), 0, true) && !all.probed(at(2_000), 0, true));
        assert!(!all.probed(at(3_000), 0, false), "it begins anew");
        assert_eq!((all.due(at(4_999)), all.due(at(5_000))), (None, Some(0)));
        let back = [5_000, 7_000, 9_000].map(|ms| all.probed(at(ms), 0, true));
        assert_eq!((back, all.order()), ([false, false, true], vec![0, 1, 2]));
        // Lost again within a minute: looked at half as often. Long after: as at first.
        all.failed(at(10_000), 0);
        assert_eq!(all.due(at(13_999)), None);
        for ms in [14_000, 18_000, 22_000] {
            all.probed(at(ms), 0, true);
        }
        all.failed(at(100_000), 0);
        assert_eq!(all.due(at(101_000)), Some(0));
    }

    #[test]
    fn one_slow_answer_costs_no_place_and_all_lost_is_the_first_order() {
        let now = Instant::now();
        let mut all = Standing::new(2);
        assert!(!all.was_silent(now, 0));
        all.answered(0);
        assert!(!all.was_silent(now, 0) && all.was_silent(now, 0));
        assert_eq!(all.order(), [1, 0]);
        all.failed(now, 1);
        assert_eq!(all.order(), [0, 1]);
    }
}
