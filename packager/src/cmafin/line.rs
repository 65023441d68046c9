//! PURE. An encoder's time, and where it lies on the stream's own.

use std::cmp::Ordering;
use std::time::Duration;

use hls::time::Grid;

/// A moment of an encoder's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) ticks: i64,
    /// Ticks in a second; never 0.
    pub(crate) scale: u32,
}

impl Moment {
    pub(crate) fn after(self, ticks: i64) -> Self {
        Self {
            ticks: self.ticks.saturating_add(ticks),
            ..self
        }
    }

    /// Seconds since `other` as a fraction. No overflow: ticks are under 2^63 and scales under 2^32.
    fn since(self, other: Self) -> (i128, i128) {
        let (scale, others) = (i128::from(self.scale), i128::from(other.scale));
        let ticks = i128::from(self.ticks) * others - i128::from(other.ticks) * scale;
        (ticks, scale * others)
    }

    /// Nanoseconds since `other`.
    pub(crate) fn ns_since(self, other: Self) -> i64 {
        let (ticks, scale) = self.since(other);
        clamp(divide(ticks.saturating_mul(1_000_000_000), scale))
    }

    pub(crate) fn compare(self, other: Self) -> Ordering {
        self.since(other).0.cmp(&0)
    }

    /// As somebody reads it.
    pub(crate) fn seconds(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "to be read")]
        let ticks = self.ticks as f64;
        ticks / f64::from(self.scale)
    }
}

/// One moment of the encoder's that is the beginning of one frame of ours. All tracks have the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) media: Moment,
    pub(crate) frame: u64,
}

impl Line {
    /// The frame nearest to a moment, and thousandths of a frame that it is late. `frame` counts from [`Line::frame`].
    pub(crate) fn frame(&self, grid: &Grid, at: Moment) -> (i64, i64) {
        let (ticks, scale) = at.since(self.media);
        let (num, den) = (i128::from(grid.rate().num()), i128::from(grid.rate().den()));
        let thousandths = divide(
            ticks.saturating_mul(num).saturating_mul(1_000),
            scale.saturating_mul(den),
        );
        let nearest = (thousandths + 500).div_euclid(1_000);
        (clamp(nearest), clamp(thousandths - nearest * 1_000))
    }

    /// The sample nearest to a moment, from the first one of [`Line::frame`] on.
    pub(crate) fn sample(&self, grid: &Grid, at: Moment) -> i64 {
        let (ticks, scale) = at.since(self.media);
        let rate = i128::from(grid.audio_rate());
        clamp(divide(ticks.saturating_mul(rate), scale))
    }
}

/// Rounded to the nearest; `by` is more than 0.
fn divide(what: i128, by: i128) -> i128 {
    what.saturating_add(by / 2).div_euclid(by)
}

fn clamp(n: i128) -> i64 {
    i64::try_from(n).unwrap_or(if n < 0 { i64::MIN / 4 } else { i64::MAX / 4 })
}

/// Nanoseconds of a duration.
pub(crate) fn ns(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hls::time::{FrameRate, Profile};
    use proptest::prelude::*;

    fn at(ticks: i64, scale: u32) -> Moment {
        Moment { ticks, scale }
    }

    #[test]
    fn frames_are_found_in_any_timescale() {
        let grid = Grid::of(Profile::Low, FrameRate::new(30_000, 1_001).unwrap(), 48_000).unwrap();
        let line = Line {
            media: at(90_000, 90_000),
            frame: 0,
        };
        assert_eq!(line.frame(&grid, at(90_000 + 3_003 * 7, 90_000)), (7, 0));
        assert_eq!(line.frame(&grid, at(1_000 + 33 * 3, 1_000)), (3, -33));
        assert_eq!(line.frame(&grid, at(60_000, 90_000)), (-10, 10));
        assert_eq!(line.sample(&grid, at(90_000 + 1_920, 90_000)), 1_024);
    }

    proptest! {
        #[test]
        fn no_numbers_overflow(ticks in any::<i64>(), scale in 1u32.., other in any::<i64>(), others in 1u32..) {
            let grid = Grid::of(Profile::Low, FrameRate::new(60_000, 1_001).unwrap(), 48_000).unwrap();
            let line = Line { media: at(other, others), frame: 0 };
            line.frame(&grid, at(ticks, scale));
            line.sample(&grid, at(ticks, scale));
            at(ticks, scale).ns_since(line.media);
        }
    }
}
