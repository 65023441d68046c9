//! Which rungs a machine that is too slow goes without, and when they come back.
//!
//! Rungs go in the plan's order, one at a time, and return in the reverse order; the last one always stays.

use std::time::Duration;

/// A rung that catches up within it is left alone: a machine that stood still for a moment is no overload.
pub(crate) const PATIENCE: Duration = Duration::from_millis(250);
/// What it has to catch up meanwhile.
const CATCH_UP: Duration = Duration::from_millis(100);
/// Rest after an order, for its effect to show.
const SETTLE: Duration = Duration::from_secs(1);
/// A rung shed again so soon after its return came back too early.
const FLAP: Duration = Duration::from_secs(60);

/// When rungs go and come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rules {
    /// Media that may wait in a rung.
    pub(crate) behind: Duration,
    /// Health before a rung returns.
    pub(crate) healthy: Duration,
    /// The same at most, where rungs were shed soon after their return.
    pub(crate) healthy_max: Duration,
    /// Least real-time factor of a healthy rung.
    pub(crate) factor_min: f64,
}

/// One rung as it is now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Load {
    /// Media handed on and not yet encoded; none before its first unit.
    pub(crate) behind: Option<Duration>,
    /// Media time over busy time; none where nothing was encoded lately.
    pub(crate) factor: Option<f64>,
}

/// What has to be done to the rung of that index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Encode it no longer.
    Shed(usize),
    /// Encode it again, from the frame of this tick on.
    Return(usize),
}

/// The decision, over the life of a ladder.
#[derive(Debug)]
pub(crate) struct Shed {
    rules: Rules,
    /// Rungs that are off, from the first.
    off: usize,
    rest_until: Duration,
    /// Since when too much waits, and how much it was.
    over: Option<(Duration, Duration)>,
    healthy_since: Option<Duration>,
    /// Health wanted before the next return.
    wait: Duration,
    returned: Option<Duration>,
}

impl Shed {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            off: 0,
            rest_until: Duration::ZERO,
            over: None,
            healthy_since: None,
            wait: rules.healthy,
            returned: None,
        }
    }

    /// Health that is wanted before the next return.
    pub(crate) fn wait(&self) -> Duration {
        self.wait
    }

    /// Judges `loads`, in the order in which rungs go, at `now`; rungs return where a GOP starts.
    pub(crate) fn tick(&mut self, now: Duration, loads: &[Load], gop_starts: bool) -> Option<Order> {
        let on = loads.get(self.off..).unwrap_or_default();
        let worst = on.iter().filter_map(|load| load.behind).max().unwrap_or_default();
        if self.is_overloaded(now, worst) {
            return self.shed(now, on);
        }
        self.heal(now, on, worst);
        let since = self.healthy_since?;
        if self.off == 0 || !gop_starts || now.saturating_sub(since) < self.wait {
            return None;
        }
        self.off -= 1;
        self.returned = Some(now);
        self.healthy_since = None;
        Some(Order::Return(self.off))
    }

    fn is_overloaded(&mut self, now: Duration, worst: Duration) -> bool {
        if worst < self.rules.behind || now < self.rest_until {
            self.over = None;
            return false;
        }
        let (since, was) = *self.over.get_or_insert((now, worst));
        if now.saturating_sub(since) < PATIENCE {
            return false;
        }
        self.over = None;
        worst + CATCH_UP > was
    }

    fn shed(&mut self, now: Duration, on: &[Load]) -> Option<Order> {
        self.healthy_since = None;
        // A track that never told its decoder configuration would keep the whole stream from starting.
        let may = on.len() > 1 && on.first().is_some_and(|load| load.behind.is_some());
        if !may {
            return None;
        }
        let flaps = self.returned.is_some_and(|at| now.saturating_sub(at) < FLAP);
        self.wait = if flaps {
            (self.wait * 2).min(self.rules.healthy_max.max(self.rules.healthy))
        } else {
            self.rules.healthy
        };
        self.off += 1;
        self.rest_until = now + SETTLE;
        Some(Order::Shed(self.off - 1))
    }

    fn heal(&mut self, now: Duration, on: &[Load], worst: Duration) {
        let quick = |load: &Load| load.factor.is_none_or(|factor| factor >= self.rules.factor_min);
        let healthy = worst < self.rules.behind / 2 && on.iter().all(quick);
        self.healthy_since = healthy.then(|| self.healthy_since.unwrap_or(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Order::{Return, Shed as Off};

    const RULES: Rules = Rules {
        behind: ms(800),
        healthy: ms(4_000),
        healthy_max: ms(10_000),
        factor_min: 1.2,
    };

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn load(behind_ms: u64) -> Load {
        Load {
            behind: Some(ms(behind_ms)),
            factor: Some(3.0),
        }
    }

    /// Ticks every 100 ms, GOPs of a second; gives each order with its time.
    fn play(
        shed: &mut Shed,
        times: std::ops::Range<u64>,
        loads: impl Fn(u64) -> Vec<Load>,
    ) -> Vec<(u64, Order)> {
        let ticks = (times.start..times.end).step_by(100);
        ticks
            .filter_map(|at| Some((at, shed.tick(ms(at), &loads(at), at.is_multiple_of(1_000))?)))
            .collect()
    }

    #[test]
    fn what_is_overload_and_what_is_not() {
        type Case = (&'static str, fn(u64) -> Vec<Load>, Vec<(u64, Order)>);
        let cases: [Case; 7] = [
            ("all well", |_| vec![load(30), load(30)], vec![]),
            ("just under", |_| vec![load(799), load(0)], vec![]),
            (
                "the top one lags",
                |_| vec![load(900), load(0)],
                vec![(300, Off(0))],
            ),
            (
                "a lower one lags",
                |_| vec![load(0), load(0), load(900)],
                vec![(300, Off(0)), (1_600, Off(1))],
            ),
            (
                "catching up",
                |at| vec![load(2_000_u64.saturating_sub(at)), load(0)],
                vec![],
            ),
            ("the last one stays", |_| vec![load(5_000)], vec![]),
            (
                "nothing is shed before its first unit",
                |_| {
                    vec![
                        Load {
                            behind: None,
                            factor: None,
                        },
                        load(900),
                    ]
                },
                vec![],
            ),
        ];
        for (name, loads, expected) in cases {
            assert_eq!(play(&mut Shed::new(RULES), 0..2_400, loads), expected, "{name}");
        }
    }

    #[test]
    fn a_rung_returns_after_health_and_where_a_gop_starts() {
        let mut shed = Shed::new(RULES);
        let well = |at| vec![load(if at < 500 { 900 } else { 0 }), load(0)];
        let orders = play(&mut shed, 0..9_950, well);
        assert_eq!(orders, [(300, Off(0)), (5_000, Return(0))]);
    }

    #[test]
    fn a_slow_or_lagging_rung_that_stayed_keeps_the_others_out() {
        for ill in [
            Load {
                factor: Some(1.1),
                ..load(0)
            },
            load(500),
        ] {
            let mut shed = Shed::new(RULES);
            let loads = |at| match at {
                0..500 => vec![load(900), load(0)],
                500..6_000 => vec![load(0), ill],
                _ => vec![load(0), load(0)],
            };
            let orders = play(&mut shed, 0..12_000, loads);
            assert_eq!(orders, [(300, Off(0)), (10_000, Return(0))]);
        }
    }

    #[test]
    fn who_flaps_waits_longer_up_to_a_bound_and_is_forgiven() {
        let mut shed = Shed::new(RULES);
        let mut waits = Vec::new();
        let mut at = 0;
        for rest in [0, 0, 0, 0, 100_000] {
            at += rest;
            let lag = play(&mut shed, at..at + 1_000, |_| vec![load(900), load(0)]);
            assert_eq!(lag.len(), 1);
            let well = play(&mut shed, at + 1_000..at + 20_000, |_| vec![load(0), load(0)]);
            let [(back, Return(0))] = well[..] else {
                panic!("{well:?}")
            };
            waits.push(back - at);
            at = back + 1_000 - back % 1_000;
        }
        assert_eq!(waits, [5_000, 9_000, 11_000, 11_000, 5_000]);
    }

    #[test]
    fn rungs_return_in_the_reverse_order() {
        let mut shed = Shed::new(RULES);
        let orders = play(&mut shed, 0..20_000, |at| {
            vec![load(if at < 2_000 { 900 } else { 0 }); 3]
        });
        let only: Vec<Order> = orders.iter().map(|(_, order)| *order).collect();
        assert_eq!(only, [Off(0), Off(1), Return(1), Return(0)]);
    }
}
