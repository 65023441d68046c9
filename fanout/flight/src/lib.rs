//! Coalescing: one flight for each key, whoever and however many wait for it.
//!
//! The machine decides who leads, who waits and who is refused. It holds no bytes and wakes nobody; the
//! shell around it owns the fetch, so a flight goes on when the one who asked first has left.
//!
//! # Invariants
//! - While a key is in flight, nobody else leads it: coalescing fails closed. A waiter that loses patience is
//!   refused and never fetches for itself.
//! - After a failure or a miss the key stays grounded for a while, so a crowd cannot turn into retries.
//! - Keys are bounded; at the bound new ones are refused, never queued.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Bounds of a table.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Keys in flight at once; more are refused as [`Refusal::Crowded`].
    pub flights: usize,
    /// Keys remembered as missing or failed; beyond it the one that expires first is forgotten.
    pub grounded: usize,
    /// How long a missing key is not asked for again.
    pub missing: Duration,
    /// How long a failed key is not asked for again.
    pub failed: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flights: 1_024,
            grounded: 4_096,
            missing: Duration::from_secs(1),
            failed: Duration::from_millis(250),
        }
    }
}

/// What one who wants a key is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// Start the fetch, and settle it whatever happens.
    Lead,
    /// Wait for the fetch under way.
    Wait,
    /// Do not fetch.
    Refuse(Refusal),
}

/// Why nothing is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The parent does not have it, as of a moment ago.
    Missing,
    /// The last fetch failed a moment ago.
    Failed,
    /// Too many flights at once.
    Crowded,
}

/// How a flight ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The bytes are here.
    Landed,
    /// The parent does not have it.
    Missing,
    /// No usable answer.
    Failed,
}

/// All flights of one kind.
#[derive(Debug)]
pub struct Table<K> {
    limits: Limits,
    flying: BTreeMap<K, u32>,
    grounded: BTreeMap<K, (Instant, Refusal)>,
    /// The same keys by the time they may be asked for again.
    until: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Clone> Table<K> {
    /// An empty table.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            flying: BTreeMap::new(),
            grounded: BTreeMap::new(),
            until: BTreeSet::new(),
        }
    }

    /// Someone wants `key`.
    pub fn join(&mut self, now: Instant, key: &K) -> Join {
        if let Some(waiters) = self.flying.get_mut(key) {
            *waiters = waiters.saturating_add(1);
            return Join::Wait;
        }
        match self.grounded.get(key) {
            Some((until, refusal)) if now < *until => return Join::Refuse(*refusal),
            Some(_) => self.lift(key),
            None => {}
        }
        if self.flying.len() >= self.limits.flights {
            return Join::Refuse(Refusal::Crowded);
        }
        self.flying.insert(key.clone(), 0);
        Join::Lead
    }

    /// The flight of `key` has ended; returns how many waited for it. Once for each [`Join::Lead`].
    pub fn settle(&mut self, now: Instant, key: &K, outcome: Outcome) -> u32 {
        let waiters = self.flying.remove(key);
        assert!(waiters.is_some(), "only a flight that is led can end");
        match outcome {
            Outcome::Landed => {}
            Outcome::Missing => self.ground(now, key, self.limits.missing, Refusal::Missing),
            Outcome::Failed => self.ground(now, key, self.limits.failed, Refusal::Failed),
        }
        waiters.unwrap_or(0)
    }

    /// Keys in flight.
    pub fn flying(&self) -> usize {
        self.flying.len()
    }

    fn ground(&mut self, now: Instant, key: &K, life: Duration, refusal: Refusal) {
        while self.grounded.len() >= self.limits.grounded {
            let Some((_, soonest)) = self.until.pop_first() else {
                break;
            };
            self.grounded.remove(&soonest);
        }
        let until = now + life;
        if let Some((before, _)) = self.grounded.insert(key.clone(), (until, refusal)) {
            self.until.remove(&(before, key.clone()));
        }
        self.until.insert((until, key.clone()));
    }

    fn lift(&mut self, key: &K) {
        if let Some((until, _)) = self.grounded.remove(key) {
            self.until.remove(&(until, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
