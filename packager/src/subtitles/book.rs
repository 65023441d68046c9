//! PURE. The cues of one track: which are taken, and in which segments they are.

use std::time::Duration;

use hls::id::Msn;
use hls::time::Grid;
use hls::vtt::{self, Cue};

use super::Unfit;

/// Cues of one request.
pub const REQUEST_CUES_MAX: usize = 512;
/// Cues of a track whose time has not come; further ones are refused.
pub const AHEAD_CUES_MAX: usize = 512;
/// Cues kept of a track; beyond it the oldest are in no recording any more.
pub const CUES_MAX: usize = 65_536;
/// Text of all of them, bytes; the same beyond it.
const BYTES_MAX: usize = 16 << 20;
/// How far ahead of what is published a cue may begin.
const AHEAD_MAX: Duration = Duration::from_secs(6 * 3_600);
/// Mistakes said of one request.
const MISTAKES_MAX: usize = 64;

/// A cue, and the first segment that has it although it may have begun before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kept {
    pub(super) cue: Cue,
    pub(super) from: Msn,
}

/// The machine.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// By begin.
    kept: Vec<Kept>,
    bytes: usize,
    /// Last segment that is published, and the grid it is on.
    published: Option<(Msn, Grid)>,
}

/// What is wrong with a request, by the places of its cues.
pub(super) fn mistakes(cues: &[Cue]) -> Vec<String> {
    if !(1..=REQUEST_CUES_MAX).contains(&cues.len()) {
        return vec![format!(
            "1 to {REQUEST_CUES_MAX} cues are wanted, not {}",
            cues.len()
        )];
    }
    let of = |(place, cue): (usize, &Cue)| {
        let wrong = cue.mistakes().into_iter();
        wrong.map(move |why| format!("cue {place}: {why}"))
    };
    let all = cues.iter().enumerate().flat_map(of);
    all.take(MISTAKES_MAX).collect()
}

/// Program time of a segment. A ladder that ends or begins in its middle changes nothing here: cues have their own times.
fn span(msn: Msn, grid: &Grid) -> (Duration, Duration) {
    let begin = |msn| grid.frame_time(grid.first_frame(grid.first_cell(msn)));
    (begin(msn), begin(msn.next()))
}

impl Book {
    /// Goes on with what an earlier process knew.
    pub(super) fn new(mut kept: Vec<Kept>) -> Self {
        kept.sort();
        kept.dedup_by(|b, a| a.cue == b.cue);
        let mut book = Self {
            bytes: kept.iter().map(bytes).sum(),
            kept,
            published: None,
        };
        book.trim();
        book
    }

    pub(super) fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// Segments up to this one are published.
    pub(super) fn publish(&mut self, whole: Msn, grid: &Grid) {
        match &mut self.published {
            Some((known, same)) if same == grid => *known = whole.max(*known),
            Some(_) => {
                // The stream began anew, and its numbers count something else.
                self.kept.iter_mut().for_each(|kept| kept.from = Msn(0));
                self.published = Some((whole, *grid));
            }
            None => self.published = Some((whole, *grid)),
        }
    }

    /// Takes all cues or none; returns those that are new.
    pub(super) fn add(&mut self, cues: Vec<Cue>) -> Result<Vec<Kept>, Unfit> {
        let (from, now) = match &self.published {
            Some((whole, grid)) => (whole.next(), span(*whole, grid).1),
            None => (Msn(0), Duration::ZERO),
        };
        let places = |is: &dyn Fn(&Cue) -> bool| -> Vec<usize> {
            let found = cues.iter().enumerate().filter(|(_, cue)| is(cue));
            found.map(|(place, _)| place).collect()
        };
        let known = |cue: &Cue| self.kept.binary_search_by(|kept| kept.cue.cmp(cue)).is_ok();
        let late = places(&|cue| cue.end <= now && !known(cue));
        if !late.is_empty() {
            return Err(Unfit::Late(late));
        }
        let far = places(&|cue| self.published.is_some() && cue.start > now + AHEAD_MAX);
        if !far.is_empty() {
            let said = |place| format!("cue {place}: it begins more than 6 hours ahead");
            return Err(Unfit::Wrong(far.into_iter().map(said).collect()));
        }
        let mut new: Vec<Kept> = cues
            .iter()
            .filter(|cue| !known(cue))
            .map(|cue| Kept {
                cue: cue.clone(),
                from,
            })
            .collect();
        new.sort();
        new.dedup();
        let ahead = self.kept.iter().filter(|kept| kept.cue.end > now).count();
        if ahead + new.len() > AHEAD_CUES_MAX {
            return Err(Unfit::Full);
        }
        self.bytes += new.iter().map(bytes).sum::<usize>();
        self.kept.extend(new.iter().cloned());
        self.kept.sort();
        self.trim();
        Ok(new)
    }

    /// A published segment's text.
    pub(super) fn segment(&self, msn: Msn) -> Option<String> {
        let (_, grid) = self.published.as_ref().filter(|(whole, _)| msn <= *whole)?;
        let (start, end) = span(msn, grid);
        // None that began before the longest one could is still there.
        let oldest = start.saturating_sub(vtt::LENGTH_MAX);
        let first = self.kept.partition_point(|kept| kept.cue.start < oldest);
        let cues = self.kept.iter().skip(first);
        let cues = cues.take_while(|kept| kept.cue.start < end);
        let shown = cues.filter(|kept| kept.from <= msn && kept.cue.is_within(start, end));
        Some(vtt::segment(start, shown.map(|kept| &kept.cue)))
    }

    fn trim(&mut self) {
        let mut gone = self.kept.len().saturating_sub(CUES_MAX);
        let mut left = self.bytes - self.kept.iter().take(gone).map(bytes).sum::<usize>();
        for kept in self.kept.iter().skip(gone) {
            if left <= BYTES_MAX {
                break;
            }
            left -= bytes(kept);
            gone += 1;
        }
        self.kept.drain(..gone);
        self.bytes = left;
    }
}

fn bytes(kept: &Kept) -> usize {
    kept.cue.text.len() + kept.cue.settings.len()
}
