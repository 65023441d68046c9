//! An encoder's time stamps on one line, their wraps undone and nothing else changed.

use crate::media::{Clock, Stamp};

/// Undoes wraps: whatever is nearest to the stamp before it.
#[derive(Debug)]
pub(super) struct Stamps {
    clock: Clock,
    last: Option<i64>,
}

impl Stamps {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, last: None }
    }

    /// Nanoseconds on the encoder's own clock.
    pub(super) fn line(&mut self, stamp: Stamp) -> i64 {
        let ticks = i64::try_from(stamp.ticks).unwrap_or(0);
        let unwrapped = self.last.map_or(ticks, |last| {
            let shift = 64 - self.clock.bits;
            let step = (ticks.wrapping_sub(last) << shift) >> shift;
            last.wrapping_add(step)
        });
        self.last = Some(unwrapped);
        let ns = i128::from(unwrapped) * 1_000_000_000 / i128::from(self.clock.per_second);
        i64::try_from(ns)
            .unwrap_or(i64::MAX)
            .saturating_add(stamp.nanos.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrap_is_a_step_like_any_other() {
        let mut stamps = Stamps::new(Clock::MPEG);
        let mut line = |ticks| stamps.line(Stamp { ticks, nanos: 0 });
        let before = line((1 << 33) - 9_000);
        assert_eq!(line(9_000) - before, 200_000_000);
        assert_eq!(line((1 << 33) - 9_000), before, "and back");
        let mut stamps = Stamps::new(Clock::FLV);
        let first = stamps.line(Stamp {
            ticks: u64::from(u32::MAX),
            nanos: 0,
        });
        assert_eq!(stamps.line(Stamp { ticks: 9, nanos: 5 }) - first, 10_000_005);
    }
}
