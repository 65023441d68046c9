//! What is done to the system during a drill, and how long the crowd took to be well again.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::clock::Clock;
use crate::fleet::{Fleet, Listed};
use crate::scenario::{Fault, FaultKind, Scenario, Well, seconds};
use crate::timeline::{Counts, Mark, Series};

/// Seconds in a row in which the crowd is well, before it has recovered.
pub const WELL_SECONDS: u32 = 3;
/// How often it is looked whether something is to be done.
const LOOK: Duration = Duration::from_millis(10);

/// Every fault whose node the fleet does not have, or cannot start again.
pub(crate) fn mistakes(scenario: &Scenario, fleet: Option<&Listed>) -> Vec<String> {
    let Some(fleet) = fleet else {
        let none = scenario.faults.is_empty();
        return if none {
            Vec::new()
        } else {
            vec!["faults: which processes may be touched? name them with --fleet".to_owned()]
        };
    };
    let wrong = |fault: &Fault| {
        let name = &fault.node;
        if fault.kind.is_of_link() {
            let has = fleet.links.iter().any(|link| link.name == *name);
            return (!has).then(|| format!("faults: the fleet has no link {name}"));
        }
        let Some(node) = fleet.nodes.iter().find(|node| node.name == *name) else {
            return Some(format!("faults: the fleet has no node {name}"));
        };
        let starts =
            fault.kind == FaultKind::Restart || (fault.kind != FaultKind::Stop && fault.for_s.is_some());
        (starts && node.command.is_empty())
            .then(|| format!("faults: {name} has no command to start it again"))
    };
    scenario.faults.iter().filter_map(wrong).collect()
}

/// What was done when, and what could not be.
pub(crate) type Done = (Vec<Mark>, Vec<String>);

/// Does every fault at its time, until `done`; then undoes those that last.
pub(crate) fn run(faults: &[Fault], fleet: &mut Fleet, clock: Clock, done: &AtomicBool) -> Done {
    let mut steps: Vec<(Duration, usize, bool)> = Vec::new();
    for (index, fault) in faults.iter().enumerate() {
        steps.push((seconds(fault.at_s), index, true));
        if let Some(lasts) = fault.for_s {
            steps.push((seconds(fault.at_s + lasts), index, false));
        }
    }
    steps.sort();
    let mut run = Run {
        faults,
        fleet,
        clock,
        marks: BTreeMap::new(),
        failures: Vec::new(),
    };
    for (at, index, begins) in steps {
        while clock.now() < at && !done.load(Ordering::Relaxed) {
            thread::sleep(LOOK);
        }
        match (begins, done.load(Ordering::Relaxed)) {
            (true, false) => run.begin(index),
            (false, _) => run.end(index),
            (true, true) => {}
        }
    }
    (run.marks.into_values().collect(), run.failures)
}

struct Run<'a> {
    faults: &'a [Fault],
    fleet: &'a mut Fleet,
    clock: Clock,
    marks: BTreeMap<usize, Mark>,
    failures: Vec<String>,
}

impl Run<'_> {
    /// Milliseconds are enough.
    fn now_s(&self) -> f64 {
        (self.clock.now().as_secs_f64() * 1_000.0).round() / 1_000.0
    }

    fn begin(&mut self, index: usize) {
        let Some(fault) = self.faults.get(index) else {
            return;
        };
        let t = self.now_s();
        let begun = begin(self.fleet, fault);
        let is_over = begun.is_ok() && fault.kind == FaultKind::Restart;
        self.note(fault, "was not done", begun);
        let mark = Mark {
            t,
            until: is_over.then(|| self.now_s()),
            kind: fault.kind.name().to_owned(),
            node: fault.node.clone(),
            recovered_s: None,
            bound_s: fault.recover_s,
        };
        self.marks.insert(index, mark);
    }

    fn end(&mut self, index: usize) {
        let (Some(fault), true) = (self.faults.get(index), self.marks.contains_key(&index)) else {
            return;
        };
        let ended = end(self.fleet, fault);
        self.note(fault, "was not undone", ended);
        let until = self.now_s();
        if let Some(mark) = self.marks.get_mut(&index) {
            mark.until = Some(until);
        }
    }

    fn note(&mut self, fault: &Fault, what: &str, result: io::Result<()>) {
        if let Err(error) = result {
            let (kind, node, at_s) = (fault.kind.name(), &fault.node, fault.at_s);
            self.failures
                .push(format!("{kind} {node} at {at_s} s {what}: {error}"));
        }
    }
}

fn begin(fleet: &mut Fleet, fault: &Fault) -> io::Result<()> {
    let node = &fault.node;
    match fault.kind {
        FaultKind::Kill => fleet.end(node, Signal::SIGKILL),
        FaultKind::Drain => fleet.end(node, Signal::SIGTERM),
        FaultKind::Stop => fleet.signal(node, Signal::SIGSTOP),
        FaultKind::Restart => fleet.end(node, Signal::SIGTERM).and_then(|()| fleet.start(node)),
        FaultKind::Slow | FaultKind::Partition | FaultKind::Reset => set(fleet, node, fault.toxic()),
    }
}

fn end(fleet: &mut Fleet, fault: &Fault) -> io::Result<()> {
    let node = &fault.node;
    match fault.kind {
        FaultKind::Kill | FaultKind::Drain => fleet.start(node),
        FaultKind::Stop => fleet.signal(node, Signal::SIGCONT),
        FaultKind::Restart => Ok(()),
        FaultKind::Slow | FaultKind::Partition | FaultKind::Reset => {
            set(fleet, node, crate::toxic::Toxic::default())
        }
    }
}

fn set(fleet: &Fleet, name: &str, toxic: crate::toxic::Toxic) -> io::Result<()> {
    let link = fleet.link(name).ok_or(io::ErrorKind::NotFound)?;
    link.set(toxic);
    Ok(())
}

/// Seconds from the end of each fault until the crowd was well for [`WELL_SECONDS`].
pub(crate) fn recoveries(marks: &mut [Mark], series: &Series, well: &Well) {
    for mark in marks {
        let from = mark.until.unwrap_or(mark.t);
        let before = whole(mark.t).checked_sub(1).and_then(|t| series.0.get(&t));
        let before = before.map_or(0, |counts| counts.playing);
        let is_well = |t: &u32| {
            series
                .0
                .get(t)
                .is_some_and(|counts| is_well(counts, before, well))
        };
        let last = series.0.keys().next_back().copied().unwrap_or(0);
        let first = (whole(from) + 1..=last).find(|t| (*t..t + WELL_SECONDS).all(|t| is_well(&t)));
        mark.recovered_s = first.map(|t| ((f64::from(t) - from).max(0.0) * 1_000.0).round() / 1_000.0);
    }
}

fn whole(at_s: f64) -> u32 {
    u32::try_from(seconds(at_s).as_secs()).unwrap_or(u32::MAX)
}

fn is_well(counts: &Counts, playing_before: u32, well: &Well) -> bool {
    let share = |part: u32, whole: u32| f64::from(part) / f64::from(whole.max(1));
    let on_time = match counts.lateness.ms(0.99) {
        Some(ms) => ms <= well.lateness_ms_p99,
        None => counts.bytes > 0,
    };
    on_time
        && counts.playing > 0
        && share(counts.playing, playing_before) >= well.playing_min
        && share(counts.stalled, counts.stalled + counts.playing) <= well.stalled_max
        && share(counts.errors, counts.requests) <= well.errors_max
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(of: impl Fn(u32) -> Counts) -> Series {
        let mut series = Series::default();
        (0..30).for_each(|t| series.add(t, &of(t)));
        series
    }

    fn counts(lateness_ms: u64, stalled: u32, errors: u32) -> Counts {
        let mut counts = Counts {
            playing: 100 - stalled,
            stalled,
            errors,
            requests: 300,
            bytes: 1,
            ..Counts::default()
        };
        counts.lateness.record(Duration::from_millis(lateness_ms));
        counts
    }

    fn recovered(series: &Series) -> Option<f64> {
        let mut marks = [Mark {
            t: 10.2,
            until: Some(13.5),
            kind: "kill".to_owned(),
            node: "edge-1".to_owned(),
            recovered_s: None,
            bound_s: Some(5.0),
        }];
        recoveries(&mut marks, series, &Well::default());
        marks[0].recovered_s
    }

    #[test]
    fn a_crowd_has_recovered_once_it_stays_well() {
        assert_eq!(recovered(&series(|_| counts(100, 0, 0))), Some(0.5));
        assert_eq!(
            recovered(&series(|t| counts(if t < 18 { 3_000 } else { 100 }, 0, 0))),
            Some(4.5)
        );
        assert_eq!(
            recovered(&series(|t| counts(100, if t < 17 { 50 } else { 0 }, 0))),
            Some(3.5)
        );
        // A good second between two bad ones is not it.
        let flaps = series(|t| counts(100, 0, if t > 13 && t < 20 && t % 2 == 0 { 50 } else { 0 }));
        assert_eq!(recovered(&flaps), Some(5.5));
        assert_eq!(
            recovered(&series(|t| counts(100, if t < 12 { 0 } else { 90 }, 0))),
            None
        );
        // Those who gave up are missed.
        let lost = series(|t| Counts {
            playing: if t < 11 { 100 } else { 50 },
            ..counts(100, 0, 0)
        });
        assert_eq!(recovered(&lost), None);
    }
}
