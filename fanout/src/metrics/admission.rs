//! Metrics of admission.

use gate::admission::{Class, Reason};
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

/// What can be scarce, as a label.
pub(crate) const RESOURCES: [&str; 4] = ["connections", "egress", "memory", "descriptors"];

/// Handles, made once.
pub(crate) struct Meter {
    /// Of each class: admitted, refused for load, refused by an operator.
    classes: [(Class, [Counter; 3]); Class::ALL.len()],
    load: [Gauge; RESOURCES.len()],
    panic: Gauge,
    held: Counter,
    let_go: Counter,
}

/// Counts a refusal that is held out again however it ends.
pub(crate) struct Held<'a>(&'a Meter);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.let_go.increment(1);
    }
}

impl Meter {
    pub(crate) fn new() -> Self {
        describe_counter!(
            "ringside_edge_admitted_total",
            "Requests that admission let in, by class."
        );
        describe_counter!(
            "ringside_edge_refused_total",
            "Requests refused with a held 503, by class and reason."
        );
        describe_gauge!(
            "ringside_edge_load_ratio",
            "What is in use of a limit less its headroom, by resource; 0 where there is no limit."
        );
        describe_gauge!(
            "ringside_edge_panic_level",
            "What an operator has given up, 0 to 3."
        );
        describe_counter!(
            "ringside_edge_refusals_held_total",
            "Refusals that began to be held."
        );
        describe_counter!("ringside_edge_refusals_let_go_total", "Held refusals that ended.");
        let refused = |class: Class, reason| counter!("ringside_edge_refused_total", "class" => class.label(), "reason" => reason);
        let of = |class: Class| {
            let admitted = counter!("ringside_edge_admitted_total", "class" => class.label());
            (class, [admitted, refused(class, "load"), refused(class, "panic")])
        };
        Self {
            classes: Class::ALL.map(of),
            load: RESOURCES.map(|resource| gauge!("ringside_edge_load_ratio", "resource" => resource)),
            panic: gauge!("ringside_edge_panic_level"),
            held: counter!("ringside_edge_refusals_held_total"),
            let_go: counter!("ringside_edge_refusals_let_go_total"),
        }
    }

    fn count(&self, class: Class, what: usize) {
        let of = self.classes.iter().find(|(one, _)| *one == class);
        if let Some(counter) = of.and_then(|(_, counters)| counters.get(what)) {
            counter.increment(1);
        }
    }

    pub(crate) fn admitted(&self, class: Class) {
        self.count(class, 0);
    }

    pub(crate) fn refused(&self, class: Class, reason: Reason) {
        self.count(
            class,
            match reason {
                Reason::Load => 1,
                Reason::Panic => 2,
            },
        );
    }

    pub(crate) fn held(&self) -> Held<'_> {
        self.held.increment(1);
        Held(self)
    }

    /// `resource` is an index into [`RESOURCES`].
    pub(crate) fn load(&self, resource: usize, permille: u32) {
        if let Some(gauge) = self.load.get(resource) {
            gauge.set(f64::from(permille) / 1_000.0);
        }
    }

    pub(crate) fn panic(&self, level: u8) {
        self.panic.set(f64::from(level));
    }
}
