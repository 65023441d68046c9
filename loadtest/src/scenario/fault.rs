//! What a scenario does to the system, and when the crowd counts as well again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::faults::WELL_SECONDS;
use crate::toxic::Toxic;

/// Most faults of one drill.
const FAULTS_MAX: usize = 100;

/// Something that is done to a node or a link of the fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When, seconds.
    pub at_s: f64,
    /// How long; a process that was killed or drained is started again then, or never.
    pub for_s: Option<f64>,
    /// What.
    pub kind: FaultKind,
    /// To which node or link, as the fleet file names it.
    pub node: String,
    /// The crowd has to be well again so many seconds after its end.
    pub recover_s: Option<f64>,
    /// `slow`: added to each way, milliseconds.
    pub latency_ms: Option<f64>,
    /// `slow`: thousand bits per second of each connection and way.
    pub kbps: Option<f64>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// SIGKILL to a process.
    Kill,
    /// SIGSTOP, and SIGCONT at its end.
    Stop,
    /// SIGTERM.
    Drain,
    /// SIGTERM, and started again once it has ended.
    Restart,
    /// A link is slow.
    Slow,
    /// Nothing passes a link.
    Partition,
    /// Connections over a link are cut and refused.
    Reset,
}

impl FaultKind {
    /// As the scenario has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Drain => "drain",
            Self::Restart => "restart",
            Self::Slow => "slow",
            Self::Partition => "partition",
            Self::Reset => "reset",
        }
    }

    /// Whether it is done to a link, not to a process.
    pub fn is_of_link(self) -> bool {
        matches!(self, Self::Slow | Self::Partition | Self::Reset)
    }

    /// Whether it goes on until it is ended.
    fn lasts(self) -> bool {
        self.is_of_link() || self == Self::Stop
    }
}

impl Fault {
    /// What a link does meanwhile.
    pub fn toxic(&self) -> Toxic {
        let latency = self.latency_ms.map_or(0.0, |ms| ms / 1_000.0);
        Toxic {
            latency: Duration::try_from_secs_f64(latency).unwrap_or_default(),
            kbps: self.kbps,
            blackhole: self.kind == FaultKind::Partition,
            reset: self.kind == FaultKind::Reset,
        }
    }

    fn end_s(&self) -> f64 {
        self.at_s + self.for_s.unwrap_or(0.0)
    }
}

/// A second in which the crowd is well.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Well {
    /// Publication to last byte, p99 of the second, milliseconds.
    pub lateness_ms_p99: f64,
    /// Frozen pictures by all pictures.
    pub stalled_max: f64,
    /// Failed requests by all requests.
    pub errors_max: f64,
    /// Pictures that move by those that moved before the fault.
    pub playing_min: f64,
}

impl Default for Well {
    fn default() -> Self {
        Self {
            lateness_ms_p99: 1_000.0,
            stalled_max: 0.02,
            errors_max: 0.02,
            playing_min: 0.95,
        }
    }
}

/// What follows the grammar and cannot be.
pub(super) fn impossible(
    faults: &[Fault],
    well: &Well,
    duration_s: f64,
    check: &mut impl FnMut(bool, &str, &str, &str),
) {
    check(faults.len() <= FAULTS_MAX, "faults", "at_s", "more than 100");
    for fault in faults {
        let positive = |value: Option<f64>| value.is_none_or(|value| value > 0.0 && value <= 1e6);
        check(
            (0.0..=duration_s).contains(&fault.at_s),
            "faults",
            "at_s",
            "not within duration_s",
        );
        check(positive(fault.for_s), "faults", "for_s", "more than 0");
        check(positive(fault.recover_s), "faults", "recover_s", "more than 0");
        check(
            !fault.kind.lasts() || fault.for_s.is_some(),
            "faults",
            "for_s",
            "how long?",
        );
        let once = fault.kind == FaultKind::Restart && fault.for_s.is_some();
        check(!once, "faults", "for_s", "a restart takes as long as it takes");
        let judged = fault.end_s() + fault.recover_s.unwrap_or(0.0) + f64::from(WELL_SECONDS);
        check(
            fault.recover_s.is_none() || judged <= duration_s,
            "faults",
            "recover_s",
            "the drill ends before it can be told, three seconds after it",
        );
        let slowed = fault.latency_ms.is_some() || fault.kbps.is_some();
        let right = slowed == (fault.kind == FaultKind::Slow);
        check(
            right,
            "faults",
            "kind",
            "slow has latency_ms or kbps, and nothing else has",
        );
        let bounded = fault.latency_ms.is_none_or(|ms| (0.0..=60_000.0).contains(&ms));
        check(bounded, "faults", "latency_ms", "0 to 60000");
        check(
            fault.kbps.is_none_or(|kbps| (1.0..=1e7).contains(&kbps)),
            "faults",
            "kbps",
            "1 to 10000000",
        );
    }
    let together = |one: &Fault, other: &Fault| {
        one.node == other.node
            && one.kind.is_of_link() == other.kind.is_of_link()
            && one.at_s <= other.end_s()
            && other.at_s <= one.end_s()
    };
    let mut rest = faults;
    while let Some((one, others)) = rest.split_first() {
        let alone = !others.iter().any(|other| together(one, other));
        check(alone, "faults", "node", "two faults of one node at one time");
        rest = others;
    }
    let share = |value: f64| (0.0..=1.0).contains(&value);
    check(
        well.lateness_ms_p99 > 0.0,
        "well",
        "lateness_ms_p99",
        "more than 0",
    );
    check(share(well.stalled_max), "well", "stalled_max", "0 to 1");
    check(share(well.errors_max), "well", "errors_max", "0 to 1");
    check(share(well.playing_min), "well", "playing_min", "0 to 1");
}

#[cfg(test)]
mod tests {
    use crate::scenario::Scenario;

    fn mistakes(faults: &str) -> usize {
        Scenario::read(faults).map_or_else(|mistakes| mistakes.len(), |_| 0)
    }

    #[test]
    fn faults_that_cannot_be_are_named() {
        let fault = |rest: &str| format!("[[faults]]\nat_s = 5\nnode = \"edge-1\"\n{rest}\n");
        let fine = fault("kind = \"kill\"\nfor_s = 5\nrecover_s = 5");
        assert_eq!(mistakes(&fine), 0);
        assert_eq!(mistakes(&format!("{fine}{fine}")), 1);
        assert_eq!(
            mistakes(&format!("{fine}{}", fault("kind = \"partition\"\nfor_s = 5"))),
            0
        );
        for wrong in [
            "kind = \"stop\"",
            "kind = \"slow\"\nfor_s = 1",
            "kind = \"kill\"\nkbps = 5",
            "kind = \"restart\"\nfor_s = 5",
            "kind = \"kill\"\nrecover_s = 24",
        ] {
            assert_eq!(mistakes(&fault(wrong)), 1, "{wrong}");
        }
        assert!(mistakes(&fault("kind = \"melt\"")) > 0);
    }
}
