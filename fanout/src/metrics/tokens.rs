//! Metrics of playback tokens.

use std::collections::BTreeMap;

use gate::token::Refusal;
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

/// Handles, made once.
pub(crate) struct Meter {
    accepted: Counter,
    trusted: Counter,
    refused: BTreeMap<Refusal, Counter>,
    keys: Gauge,
    /// Readings of the keys file that changed the keys.
    pub(crate) reloads: Counter,
    /// Readings that did not, because the file is gone or makes no sense.
    pub(crate) reloads_failed: Counter,
}

impl Meter {
    pub(crate) fn new() -> Self {
        describe_counter!(
            "ringside_edge_token_verdicts_total",
            "Requests by what became of their playback token; `trusted` needed none."
        );
        describe_gauge!(
            "ringside_edge_token_keys",
            "Keys of playback tokens, revoked ones included; 0 asks for no tokens."
        );
        describe_counter!(
            "ringside_edge_token_reloads_total",
            "Changes of the file of token keys that were taken over."
        );
        describe_counter!(
            "ringside_edge_token_reloads_failed_total",
            "Changes of the file of token keys that left the keys as they were."
        );
        let verdict = |verdict| counter!("ringside_edge_token_verdicts_total", "verdict" => verdict);
        Self {
            accepted: verdict("accepted"),
            trusted: verdict("trusted"),
            refused: Refusal::ALL
                .into_iter()
                .map(|refusal| (refusal, verdict(refusal.label())))
                .collect(),
            keys: gauge!("ringside_edge_token_keys"),
            reloads: counter!("ringside_edge_token_reloads_total"),
            reloads_failed: counter!("ringside_edge_token_reloads_failed_total"),
        }
    }

    pub(crate) fn trusted(&self) {
        self.trusted.increment(1);
    }

    pub(crate) fn verdict(&self, verdict: Result<(), Refusal>) {
        match verdict {
            Ok(()) => self.accepted.increment(1),
            Err(refusal) => {
                if let Some(counter) = self.refused.get(&refusal) {
                    counter.increment(1);
                }
            }
        }
    }

    pub(crate) fn keys(&self, keys: usize) {
        // Counts of keys are far below where a float loses whole numbers.
        self.keys.set(u32::try_from(keys).map_or(f64::MAX, f64::from));
    }
}
