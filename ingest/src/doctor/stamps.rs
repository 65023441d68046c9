//! Time stamps of one track: unwrapped, and what is wrong with them.

use std::collections::VecDeque;

use super::report::Stamps;
use crate::media::{Clock, Stamp};
use crate::retime::unwrap;

/// Farther than this from the unit before is a jump, unless that much time passed, nanoseconds.
const JUMP: i64 = 1_000_000_000;
/// Nothing for so long where something was due is a hole, nanoseconds.
const HOLE: i64 = 250_000_000;
/// Time stamps and arrivals may differ by this over a hole, nanoseconds.
const SLACK: i64 = 500_000_000;
/// How long a fault is spoken of, nanoseconds.
const REMEMBERED: i64 = 60_000_000_000;
/// Faults that are remembered one by one; older ones only count.
const FAULTS_MAX: usize = 64;

/// One track's last unit.
#[derive(Debug, Default)]
pub(super) struct Track {
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    unwrapped: i64,
    ns: i64,
    arrival: i64,
}

/// One time stamp, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// Nanoseconds of the encoder's own clock, with wraps undone.
    pub(super) ns: i64,
    pub(super) fault: Option<Fault>,
}

/// What can be wrong with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Far from where it should be.
    Jump,
    /// Before the unit that was sent before it.
    Back,
    /// Later than the next one was due.
    Hole,
}

impl Reading {
    /// Whether later units cannot be compared with earlier ones.
    pub(super) fn restarts(self) -> bool {
        self.fault == Some(Fault::Jump)
    }
}

impl Track {
    pub(super) fn read(&mut self, clock: Clock, stamp: Stamp, arrival: i64) -> Reading {
        let unwrapped = match self.last {
            Some(last) => unwrap(clock, last.unwrapped, stamp.ticks),
            None => i64::try_from(stamp.ticks).unwrap_or(0),
        };
        let ns = i128::from(unwrapped) * 1_000_000_000 / i128::from(clock.per_second.max(1));
        let ns = i64::try_from(ns).unwrap_or(0).saturating_add(stamp.nanos.into());
        let fault = self.last.and_then(|last| fault(last, ns, arrival));
        self.last = Some(Last {
            unwrapped,
            ns,
            arrival,
        });
        Reading { ns, fault }
    }
}

fn fault(last: Last, ns: i64, arrival: i64) -> Option<Fault> {
    let step = ns.saturating_sub(last.ns);
    let passed = arrival.saturating_sub(last.arrival);
    let unexpected = step.saturating_sub(passed).saturating_abs() > SLACK;
    if step.saturating_abs() > JUMP && unexpected {
        Some(Fault::Jump)
    } else if step < 0 {
        Some(Fault::Back)
    } else {
        (step > HOLE).then_some(Fault::Hole)
    }
}

/// All tracks' faults.
#[derive(Debug, Default)]
pub(super) struct Faults {
    jumps: u64,
    backwards: u64,
    holes: u64,
    recent: VecDeque<i64>,
}

impl Faults {
    pub(super) fn note(&mut self, now: i64, reading: Reading) {
        let Some(fault) = reading.fault else { return };
        *match fault {
            Fault::Jump => &mut self.jumps,
            Fault::Back => &mut self.backwards,
            Fault::Hole => &mut self.holes,
        } += 1;
        self.recent.push_back(now);
        if self.recent.len() > FAULTS_MAX {
            self.recent.pop_front();
        }
    }

    pub(super) fn report(&self, now: i64) -> Stamps {
        let recent = self.recent.iter().filter(|at| now - **at <= REMEMBERED);
        Stamps {
            jumps: self.jumps,
            backwards: self.backwards,
            holes: self.holes,
            last_minute: recent.count() as u64,
        }
    }
}
