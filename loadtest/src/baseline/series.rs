//! What of a run is compared: figures that can be taken of any selection of its seconds, or of its viewers.

use crate::clock::Basis;
use crate::hist::Hist;
use crate::report::Report;
use crate::timeline::Second;

/// A figure, and what it is taken from.
pub(super) struct Series {
    pub(super) figure: &'static str,
    pub(super) more_is_better: bool,
    pub(super) taken: Taken,
}

/// How a figure is taken.
pub(super) enum Taken {
    /// Sum of the first by sum of the second, second by second.
    Ratio(Vec<(f64, f64)>),
    /// Median of the seconds that have it.
    Median(Vec<Option<f64>>),
    /// A quantile of times (milliseconds, how many), of which so many are worth being called independent.
    Quantile(Vec<(f64, u64)>, f64, u64),
}

impl Series {
    fn new(figure: &'static str, taken: Taken) -> Self {
        Self {
            figure,
            more_is_better: figure == "kbps",
            taken,
        }
    }

    /// The figure of the whole run.
    pub(super) fn value(&self) -> Option<f64> {
        match &self.taken {
            Taken::Ratio(seconds) => ratio(seconds.iter()),
            Taken::Median(seconds) => median(&mut seconds.iter().copied().flatten().collect::<Vec<_>>()),
            Taken::Quantile(times, quantile, _) => {
                let total: u64 = times.iter().map(|(_, n)| n).sum();
                (total > 0).then(|| at(times, *quantile * total as f64))
            }
        }
    }
}

/// Everything that this run lets compare.
pub(super) fn all(report: &Report) -> Vec<Series> {
    let mut found = Vec::new();
    let clocked = report.circumstances.basis != Basis::None;
    match report
        .timeline
        .as_ref()
        .filter(|timeline| !timeline.seconds.is_empty())
    {
        Some(timeline) => found.extend(of_seconds(&timeline.seconds, clocked)),
        // Parts that come at one moment are late together: a second is one observation of all viewers.
        None if clocked => {
            let seconds = report.circumstances.ran_ms / 1_000;
            let times = |figure, hist: &Hist, quantile| {
                Series::new(
                    figure,
                    Taken::Quantile(milliseconds(hist), quantile, seconds.min(hist.count())),
                )
            };
            found.push(times("lateness_ms_p50", &report.tally.lateness, 0.5));
            found.push(times("lateness_ms_p99", &report.tally.lateness, 0.99));
            found.push(times("latency_ms_p95", &report.tally.latency, 0.95));
        }
        None => {}
    }
    let start = &report.tally.start;
    found.push(Series::new(
        "start_ms_p95",
        Taken::Quantile(milliseconds(start), 0.95, start.count()),
    ));
    found
}

fn of_seconds(seconds: &[Second], clocked: bool) -> Vec<Series> {
    let ratio = |figure, of: fn(&Second) -> (f64, f64)| {
        Series::new(figure, Taken::Ratio(seconds.iter().map(of).collect()))
    };
    let mut found = vec![
        ratio("stalled", |s| {
            (f64::from(s.stalled), f64::from(s.stalled) + f64::from(s.playing))
        }),
        ratio("stalls_per_hour", |s| {
            (f64::from(s.stalls), f64::from(s.playing) / 3_600.0)
        }),
        ratio("errors", |s| (f64::from(s.errors), f64::from(s.requests))),
        ratio("kbps", |s| (s.bytes as f64 * 8.0 / 1_000.0, f64::from(s.playing))),
    ];
    if clocked {
        let median = |figure, of: fn(&Second) -> Option<f64>| {
            Series::new(figure, Taken::Median(seconds.iter().map(of).collect()))
        };
        found.push(median("lateness_ms", |s| s.lateness_ms_p99));
        found.push(median("latency_ms", |s| s.latency_ms_p50));
    }
    found
}

fn milliseconds(hist: &Hist) -> Vec<(f64, u64)> {
    let counts: Vec<(u64, u64)> = hist.clone().into();
    counts
        .into_iter()
        .map(|(us, n)| (us as f64 / 1_000.0, n))
        .collect()
}

/// Sums by sums; none where nothing was there.
pub(super) fn ratio<'a>(seconds: impl Iterator<Item = &'a (f64, f64)>) -> Option<f64> {
    let (part, whole) = seconds.fold((0.0, 0.0), |(a, b), (part, whole)| (a + part, b + whole));
    (whole > 0.0).then(|| part / whole)
}

/// The middle one; order is lost.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let middle = values.len() / 2;
    let (_, value, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    Some(*value)
}

/// The time that so many are not above.
pub(super) fn at(times: &[(f64, u64)], rank: f64) -> f64 {
    let mut passed = 0.0;
    for (time, n) in times {
        passed += *n as f64;
        if passed >= rank {
            return *time;
        }
    }
    times.last().map_or(0.0, |(time, _)| *time)
}
