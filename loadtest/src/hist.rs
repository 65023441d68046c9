//! Distributions of times that can be sent, merged and asked for quantiles.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longest time told apart: an hour. Longer ones count as this.
const MAX_US: u64 = 3_600_000_000;

/// Microseconds, three digits exact.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct Hist(Histogram<u64>);

impl Default for Hist {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, MAX_US, 3).expect("these bounds are valid"))
    }
}

impl Hist {
    /// One time more.
    pub fn record(&mut self, time: Duration) {
        self.0
            .saturating_record(u64::try_from(time.as_micros()).unwrap_or(MAX_US).min(MAX_US));
    }

    /// All of another one.
    pub fn merge(&mut self, other: &Self) {
        for value in other.0.iter_recorded() {
            self.0
                .saturating_record_n(value.value_iterated_to(), value.count_at_value());
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Milliseconds that this share is not above; none where there is nothing.
    pub fn ms(&self, quantile: f64) -> Option<f64> {
        (self.count() > 0).then(|| self.0.value_at_quantile(quantile) as f64 / 1_000.0)
    }
}

impl From<Vec<(u64, u64)>> for Hist {
    fn from(values: Vec<(u64, u64)>) -> Self {
        let mut hist = Self::default();
        for (value, count) in values {
            hist.0.saturating_record_n(value.min(MAX_US), count);
        }
        hist
    }
}

impl From<Hist> for Vec<(u64, u64)> {
    fn from(hist: Hist) -> Self {
        let values = hist.0.iter_recorded();
        values
            .map(|value| (value.value_iterated_to(), value.count_at_value()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_was_measured() {
        let mut hist = Hist::default();
        (1..=1_000).for_each(|n| hist.record(Duration::from_millis(n)));
        hist.record(Duration::from_secs(100_000));
        let text = serde_json::to_string(&hist).unwrap();
        let mut back: Hist = serde_json::from_str(&text).unwrap();
        back.merge(&hist);
        assert_eq!(back.count(), 2_002);
        let p50 = back.ms(0.5).unwrap();
        assert!((499.0..503.0).contains(&p50), "{p50}");
        assert_eq!(Hist::default().ms(0.5), None);
    }
}
