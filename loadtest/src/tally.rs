//! What a worker counted. Workers' tallies are added; nothing in them is an average.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use viewer::player::Score;

use crate::clock::Basis;
use crate::hist::Hist;
use crate::timeline::{EdgeCounts, Mark, Series};

/// Counts and distributions of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Viewers that joined.
    pub joined: u64,
    /// Most viewers at one time.
    pub peak: u64,
    /// Viewers that saw a picture.
    pub started: u64,
    /// How sessions ended before there was a picture, by cause; `waiting` are those whom the end of the drill found so.
    pub unstarted: BTreeMap<String, u64>,
    /// How all sessions ended, by cause.
    pub ends: BTreeMap<String, u64>,
    /// From joining to the picture.
    pub start: Hist,
    /// Seconds that pictures moved.
    pub played_s: f64,
    /// Seconds that pictures were frozen.
    pub stalled_s: f64,
    /// Freezes.
    pub stalls: u64,
    /// Changes of rung.
    pub switches: u64,
    /// Jumps over media that was gone.
    pub skips: u64,
    /// Pieces that playlists said never came.
    pub gaps: u64,
    /// Seconds of video loaded.
    pub loaded_s: f64,
    /// Its bits, by AVERAGE-BANDWIDTH.
    pub rung_bits: u64,
    /// Seconds of video loaded of rungs of each rate, thousand bits per second.
    pub rungs_s: BTreeMap<u64, f64>,
    /// Bytes of all bodies.
    pub bytes: u64,
    /// Requests sent.
    pub requests: u64,
    /// Requests that failed, by class.
    pub errors: BTreeMap<String, u64>,
    /// From a part's publication to its last byte, at viewers that were waiting for it.
    pub lateness: Hist,
    /// Of those, parts that had not come when the viewer left or the drill ended: counted with the lateness they had then.
    pub overdue: u64,
    /// Parts that came before they were published: a clock is wrong.
    pub before_time: u64,
    /// Behind the stream's clock, once a second and picture.
    pub latency: Hist,
    /// Playlists and parts that inspectors compared, and those that differed.
    pub compared: u64,
    /// Those that differed.
    pub divergent: u64,
    /// Parts that inspectors took apart.
    pub inspected: u64,
    /// What was wrong with them, by kind.
    pub broken: BTreeMap<String, u64>,
    /// How late the tool itself was, at every event and every timer.
    pub lag: Hist,
    /// The drill second by second; a report has it as its timeline.
    #[serde(default)]
    pub series: Series,
    /// By edge; a report has them as its edges.
    #[serde(default)]
    pub edges: BTreeMap<String, EdgeCounts>,
    /// What was done to the system; a report has them in its timeline.
    #[serde(default)]
    pub marks: Vec<Mark>,
    /// What the origin gave to an edge for the first time, and what it gave once more, by its own count; none where nobody
    /// asked it.
    #[serde(default)]
    pub origin: Option<[u64; 2]>,
    /// Why the figures cannot be believed, besides what they say themselves.
    #[serde(default)]
    pub doubts: Vec<String>,
}

/// One more of a class.
pub(crate) fn count(map: &mut BTreeMap<String, u64>, class: &str) {
    match map.get_mut(class) {
        Some(n) => *n += 1,
        None => {
            map.insert(class.to_owned(), 1);
        }
    }
}

impl Tally {
    /// A session is over.
    pub(crate) fn session(&mut self, score: &Score, how: &str) {
        count(&mut self.ends, how);
        match score.start {
            Some(took) => {
                self.started += 1;
                self.start.record(took);
            }
            None => count(&mut self.unstarted, how),
        }
        self.played_s += score.played.as_secs_f64();
        self.stalled_s += score.stalled.as_secs_f64();
        self.stalls += u64::from(score.stalls);
        self.switches += u64::from(score.switches);
        self.skips += u64::from(score.skips);
        self.gaps += u64::from(score.gaps);
        self.loaded_s += score.loaded.as_secs_f64();
        self.rung_bits += score.bits;
    }

    /// A part came at `arrived`, and was published at `available`, both since the beginning; negative before it.
    pub(crate) fn part(&mut self, arrived: Duration, available_us: i64) {
        let late = viewer::listing::micros(arrived) - available_us;
        if late < 0 {
            self.before_time += 1;
        }
        self.lateness.record(viewer::listing::length(late));
    }

    /// Adds another worker's.
    pub fn merge(&mut self, other: &Self) {
        let maps = [
            (&mut self.unstarted, &other.unstarted),
            (&mut self.ends, &other.ends),
            (&mut self.errors, &other.errors),
            (&mut self.broken, &other.broken),
        ];
        for (own, theirs) in maps {
            for (class, n) in theirs {
                *own.entry(class.clone()).or_default() += n;
            }
        }
        for (rung, seconds) in &other.rungs_s {
            *self.rungs_s.entry(*rung).or_default() += seconds;
        }
        for (target, counts) in &other.edges {
            self.edges.entry(target.clone()).or_default().merge(counts);
        }
        self.series.merge(&other.series);
        self.marks.extend(other.marks.iter().cloned());
        self.doubts.extend(other.doubts.iter().cloned());
        let hists = [
            (&mut self.start, &other.start),
            (&mut self.lateness, &other.lateness),
            (&mut self.latency, &other.latency),
            (&mut self.lag, &other.lag),
        ];
        hists.into_iter().for_each(|(own, theirs)| own.merge(theirs));
        for (own, theirs) in [
            (&mut self.played_s, other.played_s),
            (&mut self.stalled_s, other.stalled_s),
            (&mut self.loaded_s, other.loaded_s),
        ] {
            *own += theirs;
        }
        for (own, theirs) in [
            (&mut self.joined, other.joined),
            // Of different workers, at about the same time: what was there at once is no more than this.
            (&mut self.peak, other.peak),
            (&mut self.started, other.started),
            (&mut self.stalls, other.stalls),
            (&mut self.switches, other.switches),
            (&mut self.skips, other.skips),
            (&mut self.gaps, other.gaps),
            (&mut self.rung_bits, other.rung_bits),
            (&mut self.bytes, other.bytes),
            (&mut self.requests, other.requests),
            (&mut self.overdue, other.overdue),
            (&mut self.before_time, other.before_time),
            (&mut self.compared, other.compared),
            (&mut self.divergent, other.divergent),
            (&mut self.inspected, other.inspected),
        ] {
            *own += theirs;
        }
    }
}

/// How a run went, besides what was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    /// Stopped by hand before its time.
    pub partial: bool,
    /// What lateness was counted by.
    pub basis: Basis,
    /// This machine's clock less the origin's, microseconds.
    pub offset_us: i64,
    /// Direct answers the offset was taken from.
    pub probes: u64,
    /// How long it ran, milliseconds.
    pub ran_ms: u64,
}
