//! How fast the encoder's clock runs against ours, from the units that were held up least.

use std::collections::VecDeque;

use super::report::Drift;
use super::rounded;

/// Of so much time only the unit that came earliest counts, nanoseconds.
const BUCKET: i64 = 2_000_000_000;
/// Buckets that are kept: ten minutes.
const BUCKETS_MAX: usize = 300;
/// Nothing is stated before so much was seen, nanoseconds.
const ENOUGH: i64 = 60_000_000_000;

/// Earliest arrivals over time.
#[derive(Debug, Default)]
pub(super) struct Trend {
    /// Once there is a picture, its clock is the one that counts.
    pictures: bool,
    /// Arrival and how much later than its time stamp that was.
    buckets: VecDeque<(i64, i64)>,
    /// When the newest bucket was begun.
    since: i64,
}

impl Trend {
    pub(super) fn observe(&mut self, picture: bool, arrival: i64, stamp: i64) {
        if picture && !self.pictures {
            *self = Self {
                pictures: true,
                ..Self::default()
            };
        }
        if picture != self.pictures {
            return;
        }
        let late = arrival.saturating_sub(stamp);
        match self.buckets.back_mut().filter(|_| arrival - self.since < BUCKET) {
            Some(bucket) if late < bucket.1 => *bucket = (arrival, late),
            Some(_) => {}
            None => {
                self.since = arrival;
                self.buckets.push_back((arrival, late));
                if self.buckets.len() > BUCKETS_MAX {
                    self.buckets.pop_front();
                }
            }
        }
    }

    /// Least squares; none before it means something.
    pub(super) fn report(&self) -> Option<Drift> {
        let (first, last) = (self.buckets.front()?, self.buckets.back()?);
        if last.0 - first.0 < ENOUGH {
            return None;
        }
        let points = self.buckets.iter();
        let points: Vec<(f64, f64)> = points
            .map(|(at, late)| ((at - first.0) as f64 / 1e9, (late - first.1) as f64 / 1e9))
            .collect();
        let count = points.len() as f64;
        let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
        let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
        let sxx: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
        let sxy: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
        let slope = sxy / sxx;
        let rest = |(x, y): &(f64, f64)| (y - mean_y - slope * (x - mean_x)).powi(2);
        let squares: f64 = points.iter().map(rest).sum();
        let error = (squares / (count - 2.0).max(1.0) / sxx).sqrt();
        // A clock that is fast makes units seem ever less late.
        (slope.is_finite() && error.is_finite()).then(|| Drift {
            ppm: rounded(-slope * 1e6, 1),
            error_ppm: rounded(error * 1e6, 1),
        })
    }
}
