//! Drawing again from what was measured: how much a figure could have been another one by chance.

use super::series::{Series, Taken, at, median, ratio};

const DRAWS: usize = 4_000;
/// Shortest run, seconds, of which anything is claimed.
const SECONDS_MIN: usize = 20;
/// Shortest block, seconds: longer than a segment, a stall or a retry.
const BLOCK_MIN: usize = 5;
/// Fewest independent times.
const TIMES_MIN: u64 = 20;
/// Most that are drawn; fewer only widen the band.
const TIMES_MAX: u64 = 1_000;
/// The same files give the same bands.
const SEED: u64 = 0x5eed_ba5e_0000_0001;

/// Where a difference lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Band {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Band {
    /// Of the other sign.
    pub(super) fn mirrored(self) -> Self {
        Self {
            low: -self.high,
            high: -self.low,
        }
    }
}

/// What each band is to hold.
pub(super) struct Draws {
    tail: f64,
}

impl Draws {
    /// Bands that hold together with this confidence.
    pub(super) fn new(confidence: f64, bands: usize) -> Self {
        Self {
            tail: (1.0 - confidence) / 2.0 / bands.max(1) as f64,
        }
    }

    /// The band of new less old; none where either is too short.
    pub(super) fn difference(&self, old: &Series, new: &Series) -> Option<Band> {
        let (mut was, mut is) = (Again::of(old, SEED)?, Again::of(new, SEED ^ u64::MAX)?);
        let own = self.band(&mut was, &mut is)?;
        // A run in which something rare never happened would always be drawn without it, as though it could not. Were
        // both runs one, they would differ by this much: the band is at least as wide.
        let (Taken::Ratio(before), Taken::Ratio(after)) = (&old.taken, &new.taken) else {
            return Some(own);
        };
        let both = Series {
            taken: Taken::Ratio(before.iter().chain(after).copied().collect()),
            ..*old
        };
        let (mut was, mut is) = (Again::of(&both, SEED)?, Again::of(&both, SEED ^ u64::MAX)?);
        (was.size, is.size) = (before.len(), after.len());
        let (chance, found) = (self.band(&mut was, &mut is)?, new.value()? - old.value()?);
        Some(Band {
            low: own.low.min(found - chance.high),
            high: own.high.max(found - chance.low),
        })
    }

    fn band(&self, was: &mut Again<'_>, is: &mut Again<'_>) -> Option<Band> {
        let mut differences: Vec<f64> = (0..DRAWS)
            .filter_map(|_| Some(is.draw()? - was.draw()?))
            .collect();
        // Where many draws had nothing in them, those that had something are no fair choice.
        if differences.len() * 10 < DRAWS * 9 {
            return None;
        }
        differences.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a few thousand"
        )]
        let outside = (self.tail * differences.len() as f64).floor() as usize;
        Some(Band {
            low: *differences.get(outside)?,
            high: *differences.get(differences.len() - 1 - outside)?,
        })
    }
}

/// A run that is drawn from again and again.
struct Again<'a> {
    series: &'a Series,
    /// Seconds that a draw has.
    size: usize,
    chance: Chance,
    drawn: Vec<f64>,
}

impl<'a> Again<'a> {
    fn of(series: &'a Series, seed: u64) -> Option<Self> {
        let enough = match &series.taken {
            Taken::Ratio(seconds) => seconds.len() >= SECONDS_MIN,
            Taken::Median(seconds) => seconds.iter().flatten().count() >= SECONDS_MIN,
            Taken::Quantile(_, _, independent) => *independent >= TIMES_MIN,
        };
        let size = match &series.taken {
            Taken::Ratio(seconds) => seconds.len(),
            Taken::Median(seconds) => seconds.len(),
            Taken::Quantile(..) => 0,
        };
        let again = Self {
            series,
            size,
            chance: Chance(seed),
            drawn: Vec::new(),
        };
        enough.then_some(again)
    }

    fn draw(&mut self) -> Option<f64> {
        match &self.series.taken {
            Taken::Ratio(seconds) => {
                let drawn = blocks(&mut self.chance, self.size, seconds.len());
                ratio(drawn.filter_map(|index| seconds.get(index)))
            }
            Taken::Median(seconds) => {
                let drawn = blocks(&mut self.chance, self.size, seconds.len());
                self.drawn.clear();
                self.drawn
                    .extend(drawn.filter_map(|index| seconds.get(index).copied().flatten()));
                median(&mut self.drawn)
            }
            Taken::Quantile(times, quantile, independent) => {
                let total: u64 = times.iter().map(|(_, n)| n).sum();
                let n = (*independent).min(TIMES_MAX);
                self.drawn.clear();
                for _ in 0..n {
                    self.drawn.push(self.chance.share());
                }
                // The quantile of a sample is the time at the sample's quantile of ranks.
                let index = usize::try_from(n).ok()?.saturating_sub(1);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a share of a thousand"
                )]
                let index = (*quantile * index as f64).round() as usize;
                let (_, rank, _) = self.drawn.select_nth_unstable_by(index, f64::total_cmp);
                (total > 0).then(|| at(times, *rank * total as f64))
            }
        }
    }
}

/// Indices of `size` of these seconds, in blocks that begin anywhere and go on at the beginning.
fn blocks(chance: &mut Chance, size: usize, seconds: usize) -> impl Iterator<Item = usize> {
    let block = size.isqrt().max(BLOCK_MIN);
    let mut from = 0;
    (0..size).map(move |index| {
        if index % block == 0 {
            from = chance.below(seconds);
        }
        (from + index % block) % seconds
    })
}

/// splitmix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % limit).unwrap_or(0)
    }
}
