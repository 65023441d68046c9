//! What happened when: a line a second, what was done to the fleet, and each edge by itself.

use serde::{Deserialize, Serialize};

/// A drill by the clock.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timeline {
    /// One after the other; a second that nobody watched may be missing.
    pub seconds: Vec<Second>,
    /// Faults, in the order they began.
    pub marks: Vec<Mark>,
}

/// One second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Second {
    /// Since the beginning.
    pub t: u32,
    /// Whose picture moves at its end.
    pub playing: u32,
    /// Whose picture is frozen.
    pub stalled: u32,
    /// Who has no picture yet.
    pub joining: u32,
    /// Failed requests within it.
    pub errors: u32,
    /// Freezes that began within it.
    pub stalls: u32,
    /// Lateness of the parts that came within it, p99.
    pub lateness_ms_p99: Option<f64>,
    /// Behind the stream's clock, p50 of the pictures.
    pub latency_ms_p50: Option<f64>,
    /// Requests within it.
    pub requests: u32,
    /// Bytes of bodies within it.
    pub bytes: u64,
}

/// Something that was done to the fleet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mark {
    /// When, seconds since the beginning.
    pub t: f64,
    /// When it was undone.
    pub until: Option<f64>,
    /// What.
    pub kind: String,
    /// To whom.
    pub node: String,
    /// After how long, from its end, viewers were well again.
    pub recovered_s: Option<f64>,
    /// What was allowed.
    pub bound_s: Option<f64>,
}

impl Mark {
    /// Whether viewers were well again in time; none where nothing was asked for.
    pub fn held(&self) -> Option<bool> {
        self.bound_s
            .map(|bound| self.recovered_s.is_some_and(|took| took <= bound))
    }
}

/// What viewers had of one edge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Edge {
    /// Its URL.
    pub target: String,
    /// Requests to it.
    pub requests: u64,
    /// Those that failed.
    pub errors: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Lateness of its parts, p50.
    pub lateness_ms_p50: Option<f64>,
    /// And p99.
    pub lateness_ms_p99: Option<f64>,
}
