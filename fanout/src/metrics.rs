//! Metrics of the edge.
#![expect(
    clippy::disallowed_macros,
    reason = "this is where the crate's metrics are declared"
)]

pub(crate) mod admission;
pub(crate) mod telemetry;
pub(crate) mod tokens;

use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};

/// What is asked for, as a label.
pub(crate) const KINDS: [&str; 5] = ["playlist", "part", "object", "page", "report"];

/// Why a parent was asked for what another request was made for already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extra {
    /// The parent before could not give it.
    Failover,
    /// The parent before has been silent for long.
    Hedge,
    /// The parent before lists it and does not have it.
    Repair,
    /// The same parent is asked again.
    Retry,
    /// A parent without blocking reload is looked at.
    Poll,
    /// A lost parent is looked at.
    Probe,
}

/// Names of [`Extra`], in its order.
const EXTRAS: [&str; 6] = ["failover", "hedge", "repair", "retry", "poll", "probe"];

/// What was wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No connection, or it was lost.
    Connection,
    /// No answer in time.
    Late,
    /// A status that is none of ours.
    Status,
    /// It does not have what was asked for.
    Missing,
    /// The body broke off or is too long.
    Body,
    /// A playlist that cannot be mirrored.
    Nonsense,
    /// A playlist that ends before what was here.
    Back,
    /// Compressed, which nobody asked for.
    Encoded,
    /// A source's playlist that uses what is not carried.
    Refused,
}

/// Names of [`Fault`], in its order.
const FAULTS: [&str; 9] = [
    "connection",
    "late",
    "status",
    "missing",
    "body",
    "nonsense",
    "back",
    "encoded",
    "refused",
];

/// Handles of the edge, made once.
#[derive(Clone)]
pub(crate) struct Meter {
    answered: [[Counter; 3]; KINDS.len()],
    /// Requests that had to wait.
    pub(crate) parked: Counter,
    /// Waiting requests that ended, for any reason.
    pub(crate) unparked: Counter,
    /// Requests written to parents.
    pub(crate) upstream_requests: Counter,
    /// Different versions and objects received from parents.
    pub(crate) upstream_objects: Counter,
    failures: [Counter; FAULTS.len()],
    extras: [Counter; EXTRAS.len()],
    /// Parents that were asked first and no longer are, for they are ill.
    pub(crate) parents_lost: Counter,
    /// Lost parents that are asked like the others again.
    pub(crate) parents_returned: Counter,
    /// Times a parent's numbers went back for good.
    pub(crate) generations: Counter,
    /// Mirrors started.
    pub(crate) mirrors_started: Counter,
    /// Mirrors ended.
    pub(crate) mirrors_ended: Counter,
    /// Playlist versions released to viewers.
    pub(crate) versions: Counter,
    /// Versions released before their newest part was here.
    pub(crate) early: Counter,
    /// Delta updates that did not fit what was here; the full playlist was asked for instead.
    pub(crate) misfits: Counter,
    /// From a version's arrival to its release.
    pub(crate) release: Histogram,
}

impl Meter {
    pub(crate) fn new() -> Self {
        describe_counter!(
            "ringside_edge_answers_total",
            "Answers to viewers by kind and status class."
        );
        describe_counter!(
            "ringside_edge_parked_total",
            "Requests of viewers that had to wait."
        );
        describe_counter!(
            "ringside_edge_unparked_total",
            "Waiting requests that ended, for any reason."
        );
        describe_counter!(
            "ringside_edge_upstream_requests_total",
            "Requests written to parents."
        );
        describe_counter!(
            "ringside_edge_upstream_objects_total",
            "Different versions and objects received."
        );
        describe_counter!(
            "ringside_edge_upstream_failures_total",
            "Answers of parents that were of no use, by cause."
        );
        describe_counter!(
            "ringside_edge_upstream_extra_total",
            "Requests to parents beyond one for each object, by cause."
        );
        describe_counter!(
            "ringside_edge_parents_lost_total",
            "Parents no longer asked first."
        );
        describe_counter!(
            "ringside_edge_parents_returned_total",
            "Lost parents asked like the others again."
        );
        describe_counter!(
            "ringside_edge_generations_total",
            "Times a parent's numbers went back for good."
        );
        describe_counter!("ringside_edge_mirrors_started_total", "Track mirrors started.");
        describe_counter!("ringside_edge_mirrors_ended_total", "Track mirrors ended.");
        describe_counter!(
            "ringside_edge_versions_total",
            "Playlist versions released to viewers."
        );
        describe_counter!(
            "ringside_edge_early_versions_total",
            "Versions released before their newest part came."
        );
        describe_counter!(
            "ringside_edge_delta_misfits_total",
            "Delta updates of parents that did not fit; the full playlist was asked for."
        );
        describe_histogram!(
            "ringside_edge_release_seconds",
            "From a version's arrival to its release."
        );
        let class = |kind| {
            ["2xx", "4xx", "5xx"]
                .map(|class| counter!("ringside_edge_answers_total", "kind" => kind, "class" => class))
        };
        Self {
            answered: KINDS.map(class),
            parked: counter!("ringside_edge_parked_total"),
            unparked: counter!("ringside_edge_unparked_total"),
            upstream_requests: counter!("ringside_edge_upstream_requests_total"),
            upstream_objects: counter!("ringside_edge_upstream_objects_total"),
            failures: FAULTS.map(|cause| counter!("ringside_edge_upstream_failures_total", "cause" => cause)),
            extras: EXTRAS.map(|cause| counter!("ringside_edge_upstream_extra_total", "cause" => cause)),
            parents_lost: counter!("ringside_edge_parents_lost_total"),
            parents_returned: counter!("ringside_edge_parents_returned_total"),
            generations: counter!("ringside_edge_generations_total"),
            mirrors_started: counter!("ringside_edge_mirrors_started_total"),
            mirrors_ended: counter!("ringside_edge_mirrors_ended_total"),
            versions: counter!("ringside_edge_versions_total"),
            early: counter!("ringside_edge_early_versions_total"),
            misfits: counter!("ringside_edge_delta_misfits_total"),
            release: histogram!("ringside_edge_release_seconds"),
        }
    }

    /// Counts a request beyond the first for the same thing.
    pub(crate) fn extra(&self, cause: Extra) {
        if let Some(counter) = self.extras.get(cause as usize) {
            counter.increment(1);
        }
    }

    /// Counts an answer that was of no use.
    pub(crate) fn failure(&self, cause: Fault) {
        if let Some(counter) = self.failures.get(cause as usize) {
            counter.increment(1);
        }
    }

    /// Counts an answer; `kind` is an index into [`KINDS`].
    pub(crate) fn answered(&self, kind: usize, status: http::StatusCode) {
        let class = match status.as_u16() {
            ..400 => 0,
            400..500 => 1,
            500.. => 2,
        };
        if let Some(counter) = self.answered.get(kind).and_then(|classes| classes.get(class)) {
            counter.increment(1);
        }
    }
}
