//! Which rung the network can carry: hls.js 1.7.4's estimator and choice, for live.

use std::time::Duration;

/// Defaults of hls.js: `abrEwmaFastLive`, `abrEwmaSlowLive`, `abrEwmaDefaultEstimate`, `abrBandWidthFactor`,
/// `abrBandWidthUpFactor`.
const FAST_S: f64 = 3.0;
const SLOW_S: f64 = 9.0;
const DEFAULT_BPS: f64 = 500_000.0;
const FACTOR: f64 = 0.95;
const UP_FACTOR: f64 = 0.7;

/// Exponentially weighted moving average with a half-life in units of weight.
#[derive(Debug, Clone, Copy, Default)]
struct Ewma {
    estimate: f64,
    weight: f64,
}

impl Ewma {
    fn sample(&mut self, half_life: f64, weight: f64, value: f64) {
        let alpha = 0.5f64.powf(weight / half_life);
        self.estimate = value * (1.0 - alpha) + alpha * self.estimate;
        self.weight += weight;
    }

    fn get(&self, half_life: f64) -> Option<f64> {
        let zero = 1.0 - 0.5f64.powf(self.weight / half_life);
        (zero > 0.0).then(|| self.estimate / zero)
    }
}

/// What one viewer knows of its network.
#[derive(Debug, Clone, Copy, Default)]
pub struct Estimator {
    fast: Ewma,
    slow: Ewma,
    first_byte: Ewma,
}

impl Estimator {
    /// A media answer: bytes, from asking to the first byte, and to the last one.
    pub fn sample(&mut self, bytes: u64, first_byte: Duration, whole: Duration) {
        if bytes == 0 {
            return;
        }
        // Longer times weigh less: under a second is what is expected.
        let first = first_byte.as_secs_f64();
        let weight = std::f64::consts::SQRT_2 * (-first * first / 2.0).exp();
        self.first_byte.sample(SLOW_S, weight, first.max(0.005));
        let wait = first_byte.min(self.first_byte());
        let least = (bytes as f64 / 100_000.0).min(50.0) / 1_000.0;
        let seconds = whole.saturating_sub(wait).as_secs_f64().max(least);
        let rate = bytes as f64 * 8.0 / seconds;
        self.fast.sample(FAST_S, seconds, rate);
        self.slow.sample(SLOW_S, seconds, rate);
    }

    /// Bits per second: the lesser of a quick and a slow average.
    pub fn bps(&self) -> f64 {
        // Less than a millisecond of media says nothing.
        if self.fast.weight < 0.001 {
            return DEFAULT_BPS;
        }
        let of = |ewma: Ewma, half_life| ewma.get(half_life).unwrap_or(DEFAULT_BPS);
        of(self.fast, FAST_S).min(of(self.slow, SLOW_S))
    }

    fn first_byte(&self) -> Duration {
        match self.first_byte.get(SLOW_S) {
            Some(seconds) if self.first_byte.weight >= 0.001 => {
                Duration::from_secs_f64(seconds.clamp(0.0, 60.0))
            }
            _ => Duration::from_millis(100),
        }
    }
}

/// What is known of a rung, lowest first in a ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// BANDWIDTH.
    pub peak: u64,
    /// AVERAGE-BANDWIDTH, else BANDWIDTH.
    pub average: u64,
}

/// The rung for the next part: the best whose rate fits into the estimate, more carefully upwards than downwards; the
/// lowest where none does. `buffered` is what is left to play, `part` how long the last piece was; `current` is none
/// before the first choice, which is made without the factors. Rungs are lowest first.
pub fn choose(rungs: &[Rung], bps: f64, current: Option<usize>, buffered: Duration, part: Duration) -> usize {
    let calm = !part.is_zero() && buffered >= part * 2;
    let fits = |index: usize, rung: &Rung| {
        let factor = match current {
            None => 1.0,
            Some(current) if index > current => UP_FACTOR,
            Some(_) => FACTOR,
        };
        let rate = if calm { rung.average } else { rung.peak };
        factor * bps >= rate as f64
    };
    let best = rungs
        .iter()
        .enumerate()
        .rev()
        .find(|(index, rung)| fits(*index, rung));
    best.map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ladder() -> Vec<Rung> {
        [600_000, 1_200_000, 3_000_000]
            .map(|average| Rung {
                peak: average * 13 / 10,
                average,
            })
            .to_vec()
    }

    fn settled(bps: u64) -> Estimator {
        let mut estimator = Estimator::default();
        for _ in 0..200 {
            estimator.sample(
                bps / 8,
                Duration::from_millis(5),
                SECOND + Duration::from_millis(5),
            );
        }
        estimator
    }

    #[test]
    fn it_begins_with_the_default_and_settles_on_the_truth() {
        assert_eq!(Estimator::default().bps(), 500_000.0);
        let bps = settled(2_000_000).bps();
        assert!((1_990_000.0..2_010_000.0).contains(&bps), "{bps}");
    }

    #[test]
    fn it_falls_quickly_and_rises_slowly() {
        let mut falls = settled(4_000_000);
        let mut rises = settled(1_000_000);
        for _ in 0..3 {
            falls.sample(125_000, Duration::ZERO, SECOND);
            rises.sample(500_000, Duration::ZERO, SECOND);
        }
        // After one half-life of the quick average, half of the fall, but only a fifth of the rise.
        assert!(falls.bps() < 2_600_000.0, "{}", falls.bps());
        assert!(rises.bps() < 1_700_000.0, "{}", rises.bps());
    }

    #[test]
    fn waiting_for_the_first_byte_is_not_the_network_s_slowness() {
        let mut estimator = Estimator::default();
        // A hinted part: half a second of waiting, then 10 ms of bytes.
        for _ in 0..100 {
            estimator.sample(50_000, Duration::from_millis(500), Duration::from_millis(510));
        }
        assert!(estimator.bps() > 10_000_000.0, "{}", estimator.bps());
    }

    #[test]
    fn up_needs_more_than_staying() {
        let rungs = ladder();
        let calm = Duration::from_secs(3);
        let at = |bps, current| choose(&rungs, bps, current, calm, SECOND);
        assert_eq!(at(1_300_000.0, Some(1)), 1, "0.95 x 1.3 carries 1.2");
        assert_eq!(at(1_300_000.0, Some(0)), 0, "0.7 x 1.3 does not");
        assert_eq!(at(1_800_000.0, Some(0)), 1);
        assert_eq!(at(100_000.0, Some(2)), 0, "the lowest where none fits");
        assert_eq!(
            choose(&rungs, 1_300_000.0, Some(1), Duration::ZERO, SECOND),
            0,
            "the peak counts when starving"
        );
    }

    proptest! {
        #[test]
        fn more_network_never_means_a_lower_rung(low in 0.0..1e8, more in 0.0..1e8, current in 0usize..3) {
            let rungs = ladder();
            let at = |bps| choose(&rungs, bps, Some(current), SECOND, SECOND);
            prop_assert!(at(low + more) >= at(low));
        }

        #[test]
        fn an_estimate_is_never_wild(samples in proptest::collection::vec((0u64..10_000_000, 0u64..20_000, 0u64..20_000), 0..50)) {
            let mut estimator = Estimator::default();
            for (bytes, first, rest) in samples {
                estimator.sample(bytes, Duration::from_millis(first), Duration::from_millis(first + rest));
                let bps = estimator.bps();
                prop_assert!(bps.is_finite() && bps >= 0.0, "{bps}");
            }
        }
    }
}
