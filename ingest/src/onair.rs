//! What viewers see when encoders come, falter or go: which of two is on air, and what stands in for both.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::desk::Role;
use crate::metrics::Source;

/// Up to this long without a fresh frame is an encoder's own frame rate, not a fault.
const FRESH: Duration = Duration::from_millis(200);

/// What an operator wants on air.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The primary while it is healthy, else the backup.
    #[default]
    Auto,
    /// The primary, healthy or not.
    Primary,
    /// The backup, healthy or not.
    Backup,
    /// The slate, whoever publishes.
    Slate,
}

/// When one source replaces another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waits {
    /// Without a fresh frame, before the slate.
    pub(crate) hold: Duration,
    /// The same after a goodbye.
    pub(crate) leave: Duration,
    /// Without a fresh frame, before the other encoder.
    pub(crate) failover: Duration,
    /// The primary must have been healthy for so long before it is on air again.
    pub(crate) back: Duration,
}

/// One encoder at one tick.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// A new frame of it is due.
    pub(crate) fresh: bool,
    /// It said goodbye, or nobody is there.
    pub(crate) left: bool,
    /// Its sound is coming.
    pub(crate) sounding: bool,
}

/// What is shown at a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) source: Source,
    /// Whose picture and sound, where the source is an encoder.
    pub(crate) role: Role,
}

/// Test picture until the first encoder; then an encoder, its last picture for a while, then the slate.
#[derive(Debug)]
pub(crate) struct OnAir {
    waits: Waits,
    inputs: [Input; 2],
    role: Role,
}

#[derive(Debug, Default)]
struct Input {
    last_fresh: Option<Duration>,
    healthy_since: Option<Duration>,
    sounding_since: Option<Duration>,
    left: bool,
}

impl OnAir {
    pub(crate) fn new(waits: Waits) -> Self {
        Self {
            waits,
            inputs: Default::default(),
            role: Role::Primary,
        }
    }

    /// What is on air at the tick at `now` (any clock of the stream). Both encoders are watched all the time, so
    /// that a cut needs no preparation.
    pub(crate) fn tick(&mut self, now: Duration, seen: [Seen; 2], choice: Choice) -> Shown {
        for (input, seen) in self.inputs.iter_mut().zip(seen) {
            input.tick(now, seen, self.waits.failover);
        }
        self.role = self.choose(now, choice);
        let source = match choice {
            Choice::Slate => Source::Slate,
            Choice::Auto | Choice::Primary | Choice::Backup => {
                self.role.of(&self.inputs).source(now, self.waits)
            }
        };
        // Whoever came first and left, the test picture does not come back.
        let over = self.inputs.iter().any(|input| input.last_fresh.is_some());
        let source = if source == Source::Test && over {
            Source::Slate
        } else {
            source
        };
        Shown {
            source,
            role: self.role,
        }
    }

    fn choose(&self, now: Duration, choice: Choice) -> Role {
        let (on, other) = (self.role, self.role.other());
        match choice {
            Choice::Primary => return Role::Primary,
            Choice::Backup => return Role::Backup,
            Choice::Auto | Choice::Slate => {}
        }
        let rested = |role: Role| {
            let since = role.of(&self.inputs).healthy_since;
            since.is_some_and(|since| now - since >= self.waits.back)
        };
        let healthy = |role: Role| role.of(&self.inputs).healthy_since.is_some();
        match on {
            Role::Backup if rested(Role::Primary) => Role::Primary,
            on if !healthy(on) && healthy(other) => other,
            // Sound alone is better than nothing.
            on if !healthy(on) && !on.of(&self.inputs).is_voice() && other.of(&self.inputs).is_voice() => {
                other
            }
            Role::Primary | Role::Backup => on,
        }
    }
}

impl Input {
    fn tick(&mut self, now: Duration, seen: Seen, failover: Duration) {
        self.left = seen.left;
        if seen.fresh {
            self.last_fresh = Some(now);
        }
        let lively = self
            .last_fresh
            .is_some_and(|last| now.saturating_sub(last) <= failover);
        let since = |healthy: bool, since: Option<Duration>| healthy.then(|| since.unwrap_or(now));
        self.healthy_since = since(lively && !seen.left, self.healthy_since);
        self.sounding_since = since(seen.sounding && !seen.left, self.sounding_since);
    }

    fn is_voice(&self) -> bool {
        self.sounding_since.is_some()
    }

    fn source(&self, now: Duration, waits: Waits) -> Source {
        let wait = if self.left { waits.leave } else { waits.hold };
        let without = match (self.last_fresh, self.sounding_since) {
            (Some(last), _) => now.saturating_sub(last),
            // Sound alone waits for its picture as long as one that stopped is waited for.
            (None, Some(since)) if now.saturating_sub(since) > waits.hold => return Source::Voice,
            (None, _) => return Source::Test,
        };
        match without {
            _ if without > wait && self.is_voice() => Source::Voice,
            _ if without > wait => Source::Slate,
            _ if without > FRESH => Source::Hold,
            _ => Source::Contribution,
        }
    }
}

#[cfg(test)]
mod tests;
