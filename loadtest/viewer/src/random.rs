//! Seeded chance.

use std::time::Duration;

/// `SplitMix64` (Steele, Lea, Flood 2014): eight bytes of state, enough for a crowd's dice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers for ever.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for the `n`th member of something.
    pub fn fork(seed: u64, n: u64) -> Self {
        let mut own = Self(seed ^ n.wrapping_mul(0xd605_1a6d_1b2d_9c4b));
        Self(own.bits())
    }

    /// 64 even bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// At least 0 and under 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Index of one of these weights; 0 where all are 0 or none is given.
    pub fn pick(&mut self, weights: impl Iterator<Item = f64> + Clone) -> usize {
        let mut at = self.unit() * weights.clone().sum::<f64>();
        for (index, weight) in weights.enumerate() {
            if at < weight {
                return index;
            }
            at -= weight;
        }
        0
    }

    /// Log-normal: half are under the median; `sigma` 0 gives the median always. At most 100 medians.
    pub fn lognormal(&mut self, median: Duration, sigma: f64) -> Duration {
        let (radius, turn) = (1.0 - self.unit(), self.unit());
        let normal = (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * turn).cos();
        median.mul_f64((normal * sigma).exp().min(100.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_are_fixed() {
        let mut random = Random::new(0);
        assert_eq!(
            random.bits(),
            0xe220_a839_7b1d_cdaf,
            "the published first number of seed 0"
        );
        assert_ne!(Random::fork(1, 1), Random::fork(1, 2));
    }

    #[test]
    fn chance_follows_the_weights_and_the_median() {
        let mut random = Random::new(7);
        let mut counts = [0u32; 3];
        for _ in 0..10_000 {
            counts[random.pick([1.0, 0.0, 3.0].into_iter())] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((2_300..2_700).contains(&counts[0]), "{counts:?}");
        let median = Duration::from_secs(10);
        let under = (0..10_000)
            .filter(|_| random.lognormal(median, 1.0) < median)
            .count();
        assert!((4_800..5_200).contains(&under), "{under}");
    }
}
