//! Who may send: for each role of a stream one publisher, and what happens when another one comes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// A publisher that gave nothing for so long does not keep a newcomer out: it is the one that comes back.
const SILENT: Duration = Duration::from_secs(2);

/// Which of a stream's two encoders a publisher is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// On air whenever it is healthy.
    #[default]
    Primary,
    /// On air while the primary is not.
    Backup,
}

impl Role {
    /// Both, in the order in which they are preferred.
    pub(crate) const ALL: [Self; 2] = [Self::Primary, Self::Backup];

    /// As it stands in configs, labels and stream ids.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
        }
    }

    /// The inverse of `as_str`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// The other one.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Primary => Self::Backup,
            Self::Backup => Self::Primary,
        }
    }

    /// Its half of a pair in the order of `ALL`.
    pub(crate) fn of<T>(self, [primary, backup]: &[T; 2]) -> &T {
        match self {
            Self::Primary => primary,
            Self::Backup => backup,
        }
    }

    /// The same, to change it.
    pub(crate) fn of_mut<T>(self, [primary, backup]: &mut [T; 2]) -> &mut T {
        match self {
            Self::Primary => primary,
            Self::Backup => backup,
        }
    }
}

/// What happens when a publisher comes while another one holds its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// The newest is let in and the one before is closed.
    #[default]
    Takeover,
    /// The newest is refused while the one before gives media.
    Reject,
    /// The newest is let in unless its key has a lower priority.
    Priority,
}

/// How the desk decides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) policy: Policy,
    /// So many takeovers within `flap_window` are two encoders that fight.
    pub(crate) flaps_max: usize,
    pub(crate) flap_window: Duration,
}

/// Someone who wants in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Newcomer {
    pub(crate) role: Role,
    /// Higher is preferred.
    pub(crate) priority: u8,
    /// How long the one that holds the place has given nothing.
    pub(crate) holder_silent: Duration,
}

/// A place at the desk, by a number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat(u64);

/// Why a newcomer is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("another encoder is publishing with this key")]
    Taken,
    #[error("an encoder of higher priority is publishing")]
    Outranked,
    #[error("two encoders fight over this key; the one that is in keeps its place for {} s", .0.as_secs().max(1))]
    Fight(Duration),
}

/// The places of one stream.
#[derive(Debug)]
pub(crate) struct Desk {
    rules: Rules,
    places: [Place; 2],
    seats: u64,
}

#[derive(Debug, Default)]
struct Place {
    holder: Option<(Seat, u8)>,
    takeovers: VecDeque<Instant>,
}

impl Desk {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            places: Default::default(),
            seats: 0,
        }
    }

    /// A seat for the newcomer; whoever had the place has to go.
    pub(crate) fn enter(&mut self, now: Instant, newcomer: Newcomer) -> Result<Seat, Refused> {
        let rules = self.rules;
        let place = newcomer.role.of_mut(&mut self.places);
        if let Some((_, priority)) = place.holder {
            let silent = newcomer.holder_silent >= SILENT;
            match rules.policy {
                Policy::Reject if !silent => return Err(Refused::Taken),
                Policy::Priority if !silent && newcomer.priority < priority => {
                    return Err(Refused::Outranked);
                }
                Policy::Takeover | Policy::Reject | Policy::Priority => {}
            }
            if !silent {
                place.count_takeover(now, rules)?;
            }
        }
        self.seats += 1;
        let seat = Seat(self.seats);
        newcomer.role.of_mut(&mut self.places).holder = Some((seat, newcomer.priority));
        Ok(seat)
    }

    /// The publisher is gone.
    pub(crate) fn leave(&mut self, seat: Seat) {
        for place in &mut self.places {
            place.holder.take_if(|(holder, _)| *holder == seat);
        }
    }
}

impl Place {
    fn count_takeover(&mut self, now: Instant, rules: Rules) -> Result<(), Refused> {
        let recent = |at: &Instant| now.saturating_duration_since(*at) < rules.flap_window;
        self.takeovers.retain(recent);
        if self.takeovers.len() >= rules.flaps_max {
            let oldest = self.takeovers.front().copied().unwrap_or(now);
            let left = rules.flap_window.saturating_sub(now - oldest);
            return Err(Refused::Fight(left));
        }
        self.takeovers.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn desk(policy: Policy) -> Desk {
        Desk::new(Rules {
            policy,
            flaps_max: 3,
            flap_window: 20 * SECOND,
        })
    }

    fn newcomer(priority: u8) -> Newcomer {
        Newcomer {
            role: Role::Primary,
            priority,
            holder_silent: Duration::ZERO,
        }
    }

    #[test]
    fn the_newest_takes_over_and_each_role_has_its_own_place() {
        let (mut desk, now) = (desk(Policy::Takeover), Instant::now());
        let first = desk.enter(now, newcomer(0)).unwrap();
        let backup = Newcomer {
            role: Role::Backup,
            ..newcomer(0)
        };
        let backup = desk.enter(now, backup).unwrap();
        let second = desk.enter(now, newcomer(0)).unwrap();
        desk.leave(first);
        let holders = Role::ALL.map(|role| role.of(&desk.places).holder);
        let holders = holders.map(|holder| holder.map(|(seat, _)| seat));
        assert_eq!(
            holders,
            [Some(second), Some(backup)],
            "who leaves late takes nothing along"
        );
    }

    #[test]
    fn two_that_fight_are_parted_and_the_one_inside_stays() {
        let (mut desk, start) = (desk(Policy::Takeover), Instant::now());
        desk.enter(start, newcomer(0)).unwrap();
        for second in 1..=3 {
            desk.enter(start + second * SECOND, newcomer(0)).unwrap();
        }
        let refused = desk.enter(start + 4 * SECOND, newcomer(0)).unwrap_err();
        assert_eq!(refused, Refused::Fight(17 * SECOND));
        assert!(desk.enter(start + 22 * SECOND, newcomer(0)).is_ok());
    }

    #[test]
    fn an_encoder_that_comes_back_is_never_refused_for_its_own_ghost() {
        for policy in [Policy::Takeover, Policy::Reject, Policy::Priority] {
            let (mut desk, now) = (desk(policy), Instant::now());
            desk.enter(now, newcomer(9)).unwrap();
            for _ in 0..20 {
                let back = Newcomer {
                    holder_silent: SILENT,
                    ..newcomer(0)
                };
                assert!(desk.enter(now, back).is_ok(), "{policy:?}");
            }
        }
    }

    #[test]
    fn the_other_policies_keep_newcomers_out() {
        let now = Instant::now();
        let mut rejecting = desk(Policy::Reject);
        let first = rejecting.enter(now, newcomer(0)).unwrap();
        assert_eq!(rejecting.enter(now, newcomer(9)), Err(Refused::Taken));
        rejecting.leave(first);
        assert!(rejecting.enter(now, newcomer(0)).is_ok());
        let mut ranking = desk(Policy::Priority);
        ranking.enter(now, newcomer(5)).unwrap();
        assert_eq!(ranking.enter(now, newcomer(4)), Err(Refused::Outranked));
        assert!(ranking.enter(now, newcomer(5)).is_ok());
        assert!(ranking.enter(now, newcomer(6)).is_ok());
    }
}
