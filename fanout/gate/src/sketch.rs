//! How many different viewers there are, about: HyperLogLog (Flajolet and others, 2007) of 4,096 registers, whose error is 1.6%.
//! Sketches of several edges merge into the sketch of all their viewers, whoever was at more than one.

use aws_lc_rs::digest;

/// Registers are chosen by so many bits.
const BITS: u32 = 12;
const REGISTERS: usize = 1 << BITS;

/// The sketch; 4 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch(Box<[u8; REGISTERS]>);

impl Default for Sketch {
    fn default() -> Self {
        Self(Box::new([0; REGISTERS]))
    }
}

impl Sketch {
    /// Takes one name in, which may be in already. All edges hash alike, so that their sketches merge.
    pub fn add(&mut self, name: &[u8]) {
        let digest = digest::digest(&digest::SHA256, name);
        let mut first = [0; 8];
        for (to, from) in first.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        let hash = u64::from_be_bytes(first);
        let register = usize::try_from(hash >> (u64::BITS - BITS)).unwrap_or(0);
        // The bit set below the rest ends the run where all else is zero.
        let rest = (hash << BITS) | (1 << (BITS - 1));
        let rank = u8::try_from(rest.leading_zeros() + 1).unwrap_or(u8::MAX);
        if let Some(longest) = self.0.get_mut(register) {
            *longest = rank.max(*longest);
        }
    }

    /// Takes in everybody another sketch has.
    pub fn merge(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(other.0.iter()) {
            *own = (*own).max(*other);
        }
    }

    /// How many there are, about.
    pub fn estimate(&self) -> u64 {
        let registers = f64::from(1u32 << BITS);
        let sum: f64 = self.0.iter().map(|rank| 0.5f64.powi(i32::from(*rank))).sum();
        let raw = 0.7213 / (1.0 + 1.079 / registers) * registers * registers / sum;
        let empty = self.0.iter().filter(|rank| **rank == 0).count();
        // Few names are better counted by the registers nobody has hit.
        let few = raw <= 2.5 * registers && empty > 0;
        let empty = u32::try_from(empty).map_or(registers, f64::from);
        let estimate = if few {
            registers * (registers / empty).ln()
        } else {
            raw
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate is positive and far below 2^53"
        )]
        let rounded = estimate.round() as u64;
        rounded
    }

    /// The registers, one byte each.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Reads [`Sketch::bytes`].
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let registers: [u8; REGISTERS] = bytes.try_into().ok()?;
        let highest = u64::BITS - BITS + 1;
        let are_ranks = registers.iter().all(|rank| u32::from(*rank) <= highest);
        are_ranks.then(|| Self(Box::new(registers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: std::ops::Range<u32>) -> Sketch {
        let mut sketch = Sketch::default();
        for name in names {
            sketch.add(&name.to_be_bytes());
        }
        sketch
    }

    #[test]
    fn the_error_is_a_few_per_cent_from_none_to_many() {
        assert_eq!(Sketch::default().estimate(), 0);
        assert_eq!(of(0..1).estimate(), 1);
        for count in [10u32, 100, 1_000, 8_000, 12_000, 100_000] {
            let estimate = of(0..count).estimate();
            let off = (f64::from(u32::try_from(estimate).unwrap()) / f64::from(count) - 1.0).abs();
            assert!(off < 0.06, "{count} are counted as {estimate}");
        }
    }

    #[test]
    fn sketches_of_edges_merge_into_that_of_all() {
        let mut merged = of(0..3_000);
        merged.merge(&of(2_000..5_000));
        assert_eq!(merged, of(0..5_000));
        assert_eq!(Sketch::of(merged.bytes()), Some(merged.clone()));
        assert_eq!(Sketch::of(&[0; 9]), None);
        assert_eq!(Sketch::of(&[60; REGISTERS]), None);
    }
}
