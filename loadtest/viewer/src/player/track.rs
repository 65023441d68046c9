//! One media playlist as a player follows it: reloads, and which piece of media comes next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hls::path::{Directives, Skip};

use super::{Ask, Lane, Output, Slot};
use crate::habit::{Habit, Kind};
use crate::listing::{Item, Listing, Micros, length, micros};

/// Pieces closer than this follow each other; audio frames do not end where video frames do.
const TOLERANCE: Micros = 30_000;

/// A playlist's segment and part to wait for.
type Wait = Option<(u64, Option<u64>)>;

#[derive(Debug)]
pub(super) struct Track {
    lane: Lane,
    path: Arc<str>,
    listing: Option<Arc<Listing>>,
    /// When the playlist last had something new.
    advanced: Duration,
    /// How far the last answer was behind, seconds.
    tune_in: Option<f64>,
    reload: Reload,
    fetch: Fetch,
    playlist_tries: u32,
    media_tries: u32,
    init: Option<Arc<str>>,
    /// Media time of what comes next, and whether decoding goes on there; else it must begin anew.
    cursor: Option<Micros>,
    aligned: bool,
    /// Media time up to which there is media.
    end: Micros,
    /// The hint that was loaded, until it is listed.
    hinted: Option<String>,
    gaps: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Reload {
    Idle,
    At(Duration),
    Asked { at: Duration, wait: Wait },
}

#[derive(Debug, Clone, PartialEq)]
enum Fetch {
    Idle,
    Retry(Duration),
    Init(Arc<str>),
    Piece { start: Micros, end: Micros },
    Hint(String),
}

/// What comes next.
pub(super) enum Choice {
    /// This path.
    Ask(String),
    /// All that is listed is here; perhaps the hint can be asked for.
    Edge(Option<String>),
    /// It is gone; there is media from here on.
    Jump(Micros),
    /// No playlist yet.
    Nothing,
}

impl Track {
    pub(super) fn new(lane: Lane) -> Self {
        Self {
            lane,
            path: Arc::from(""),
            listing: None,
            advanced: Duration::ZERO,
            tune_in: None,
            reload: Reload::Idle,
            fetch: Fetch::Idle,
            playlist_tries: 0,
            media_tries: 0,
            init: None,
            cursor: None,
            aligned: false,
            end: 0,
            hinted: None,
            gaps: 0,
        }
    }

    /// Goes over to this playlist. What is loaded stays; decoding begins anew at a key frame.
    pub(super) fn open(
        &mut self,
        now: Duration,
        path: Arc<str>,
        wait: Wait,
        habit: Habit,
        out: &mut VecDeque<Output>,
    ) {
        if matches!(self.reload, Reload::Asked { .. }) {
            out.push_back(Output::Cancel(Slot::Playlist(self.lane)));
        }
        if !matches!(self.fetch, Fetch::Idle | Fetch::Retry(_)) {
            out.push_back(Output::Cancel(Slot::Media(self.lane)));
        }
        (self.path, self.listing, self.tune_in) = (path, None, None);
        (self.fetch, self.aligned, self.hinted) = (Fetch::Idle, false, None);
        (self.playlist_tries, self.media_tries) = (0, 0);
        self.ask(now, wait, habit, out);
    }

    /// Reloads and retries that are due.
    pub(super) fn tick(&mut self, now: Duration, habit: Habit, out: &mut VecDeque<Output>) {
        if matches!(self.reload, Reload::At(at) if at <= now) {
            // hls.js: a retry, and a reload after an unchanged answer, name no part.
            self.ask(now, None, habit, out);
        }
        if matches!(self.fetch, Fetch::Retry(at) if at <= now) {
            self.fetch = Fetch::Idle;
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let reload = match self.reload {
            Reload::At(at) => Some(at),
            Reload::Idle | Reload::Asked { .. } => None,
        };
        let retry = match self.fetch {
            Fetch::Retry(at) => Some(at),
            Fetch::Idle | Fetch::Init(_) | Fetch::Piece { .. } | Fetch::Hint(_) => None,
        };
        reload.into_iter().chain(retry).min()
    }

    fn ask(&mut self, now: Duration, wait: Wait, habit: Habit, out: &mut VecDeque<Output>) {
        let skip = self.listing.as_ref().and_then(|listing| {
            // rfc8216bis §6.3.7: not where the last one is older than half the skip boundary.
            let fresh = now.saturating_sub(self.advanced) < listing.skip_until? / 2;
            let skip = if listing.skip_dates {
                Skip::Dates
            } else {
                Skip::Segments
            };
            fresh.then_some(skip)
        });
        self.ask_for(now, Directives { wait, skip }, habit, out);
    }

    fn ask_for(&mut self, now: Duration, directives: Directives, habit: Habit, out: &mut VecDeque<Output>) {
        let path = match directives.query() {
            Some(query) if self.path.contains('?') => format!("{}&{query}", self.path),
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.to_string(),
        };
        let wait = directives.wait;
        self.reload = Reload::Asked { at: now, wait };
        out.push_back(Output::Ask(Ask {
            slot: Slot::Playlist(self.lane),
            path,
            patience: habit.patience(Kind::Playlist),
        }));
    }

    /// The same again, without a delta.
    pub(super) fn ask_whole(&mut self, now: Duration, habit: Habit, out: &mut VecDeque<Output>) {
        let wait = match self.reload {
            Reload::Asked { wait, .. } => wait,
            Reload::Idle | Reload::At(_) => None,
        };
        self.ask_for(now, Directives { wait, skip: None }, habit, out);
    }

    /// A playlist came: what is asked for next, and when.
    pub(super) fn listed(
        &mut self,
        now: Duration,
        listing: Arc<Listing>,
        age: Duration,
        habit: Habit,
        out: &mut VecDeque<Output>,
    ) {
        let asked = match self.reload {
            Reload::Asked { at, .. } => at,
            Reload::Idle | Reload::At(_) => now,
        };
        let newest = |listing: &Arc<Listing>| (listing.last, listing.closed);
        let advanced = self
            .listing
            .as_ref()
            .is_none_or(|had| newest(&listing) > newest(had));
        self.playlist_tries = 0;
        if advanced {
            self.advanced = now;
        }
        if let Some(hinted) = self.hinted.take() {
            match listing.items.iter().rev().find(|item| item.path == hinted) {
                Some(item) => (self.cursor, self.end) = (Some(item.end()), item.end()),
                None => self.hinted = Some(hinted),
            }
        }
        self.reload = Reload::Idle;
        if listing.ended {
            self.listing = Some(listing);
            return;
        }
        if listing.can_block && advanced {
            let wait = self.next(&listing, age.as_secs_f64());
            self.listing = Some(listing);
            self.ask(now, wait, habit, out);
        } else {
            // rfc8216bis §6.3.4: half a target duration where nothing changed.
            let pause = if advanced {
                listing.target
            } else {
                listing.target / 2
            };
            self.listing = Some(listing);
            self.reload = Reload::At((asked + pause).max(now));
        }
    }

    /// The version after this one; further on where a cache says that it held it for long (hls.js's tune-in).
    fn next(&mut self, listing: &Listing, age: f64) -> Wait {
        let (msn, part) = match listing.last {
            (msn, Some(_)) if listing.closed => (msn + 1, Some(0)),
            (msn, Some(part)) => (msn, Some(part + 1)),
            (msn, None) => (msn + 1, listing.part_target.map(|_| 0)),
        };
        let (target, part_target) = (
            listing.target.as_secs_f64(),
            listing.part_target.unwrap_or_default(),
        );
        let behind = age - part_target.as_secs_f64();
        let goal = behind.min(target * 1.5);
        if goal <= 0.0 || part_target.is_zero() {
            self.tune_in = None;
            return Some((msn, part));
        }
        if age > target * 3.0 {
            self.tune_in = Some(goal);
            return None;
        }
        if self.tune_in.is_some_and(|before| before > 0.0 && behind > before) {
            // It grew although we asked for it: the age is not to be believed.
            self.tune_in = Some(0.0);
            return Some((msn, part));
        }
        self.tune_in = Some(goal);
        let segments = Duration::from_secs_f64(goal).as_secs() / listing.target.as_secs().max(1);
        let rest = Duration::from_secs_f64(goal % target) + part_target / 2;
        let parts = u64::try_from(rest.as_nanos() / part_target.as_nanos().max(1)).unwrap_or(0);
        Some((msn + segments, part.map(|part| part + parts)))
    }

    /// What the current playlist says of another one's end (rfc8216bis §6.2.3).
    pub(super) fn report(&self, now: Duration, path: &str) -> Wait {
        let listing = self.listing.as_ref().filter(|listing| listing.can_block)?;
        let (_, msn, part) = listing.reports.iter().find(|(other, _, _)| other == path)?;
        let part_target = listing.part_target?;
        let age = now.saturating_sub(self.advanced);
        let goal = age.saturating_sub(part_target).min(listing.target);
        Some((*msn, Some(part + u64::from(goal > part_target))))
    }

    pub(super) fn tries(&mut self, kind: Kind) -> &mut u32 {
        match kind {
            Kind::Media => &mut self.media_tries,
            Kind::Ladder | Kind::Playlist => &mut self.playlist_tries,
        }
    }

    pub(super) fn retry(&mut self, kind: Kind, at: Duration) {
        match kind {
            Kind::Media => self.fetch = Fetch::Retry(at),
            Kind::Ladder | Kind::Playlist => self.reload = Reload::At(at),
        }
    }

    pub(super) fn previous(&self) -> Option<&Arc<Listing>> {
        self.listing.as_ref()
    }

    pub(super) fn path(&self) -> &Arc<str> {
        &self.path
    }

    pub(super) fn gaps(&self) -> u32 {
        self.gaps
    }

    pub(super) fn end(&self) -> Micros {
        self.end
    }

    pub(super) fn is_busy(&self, now: Duration) -> bool {
        match self.fetch {
            Fetch::Idle => false,
            Fetch::Retry(at) => at > now,
            Fetch::Init(_) | Fetch::Piece { .. } | Fetch::Hint(_) => true,
        }
    }

    pub(super) fn is_placed(&self) -> bool {
        self.cursor.is_some()
    }

    pub(super) fn is_over(&self) -> bool {
        let over = |listing: &Arc<Listing>| {
            listing.ended && self.cursor.is_some_and(|at| at + TOLERANCE >= listing.edge())
        };
        self.listing.as_ref().is_some_and(over)
    }

    /// Where a player starts: so far behind the end, else the hold-back; at the beginning of what has ended.
    pub(super) fn start(&self, rewind: Option<Duration>) -> Option<Micros> {
        let listing = self.listing.as_ref()?;
        let behind = rewind.unwrap_or(listing.hold_back);
        if listing.ended && rewind.is_none() {
            return Some(listing.start());
        }
        Some((listing.edge() - micros(behind)).max(listing.start()))
    }

    /// Seconds by which a picture is behind its aim, and up to how many it may catch up; hls.js's latency controller.
    pub(super) fn behind(&self, now: Duration, position: Micros, stalls: u32) -> Option<(f64, Duration)> {
        let listing = self.listing.as_ref()?;
        let edge = listing.edge() + micros(now.saturating_sub(self.advanced));
        let aim = listing.hold_back + Duration::from_secs(u64::from(stalls)).min(listing.target);
        let latency = length(edge - position).as_secs_f64();
        Some((latency - aim.as_secs_f64(), aim + listing.target))
    }

    /// Loading goes on at this media time.
    pub(super) fn seek(&mut self, to: Micros) {
        (self.cursor, self.end, self.aligned) = (Some(to), to, false);
    }

    /// What was asked for is here; how long it is, nothing for an init segment.
    pub(super) fn loaded(&mut self) -> Duration {
        self.media_tries = 0;
        match std::mem::replace(&mut self.fetch, Fetch::Idle) {
            Fetch::Idle | Fetch::Retry(_) => Duration::ZERO,
            Fetch::Init(path) => {
                self.init = Some(path);
                Duration::ZERO
            }
            Fetch::Piece { start, end } => {
                (self.cursor, self.end) = (Some(end), self.end.max(end));
                length(end - start)
            }
            Fetch::Hint(path) => {
                // How long it is, only the playlist will say: as long as the last one, until then.
                let last = self.listing.as_ref().and_then(|listing| listing.items.last());
                let span = last.map_or(0, |item| item.length);
                let end = self.cursor.unwrap_or(self.end) + span;
                (self.cursor, self.end, self.hinted) = (Some(end), self.end.max(end), Some(path));
                length(span)
            }
        }
    }

    /// What comes next; it counts as asked for.
    pub(super) fn choose(&mut self, hints: bool) -> Choice {
        let (Some(listing), Some(mut cursor)) = (self.listing.clone(), self.cursor) else {
            return Choice::Nothing;
        };
        let items = &listing.items;
        let mut at = items.partition_point(|item| item.end() <= cursor + TOLERANCE);
        if !self.aligned {
            let earlier = clean(items, at, cursor);
            let starts = |item: &Item| item.independent && !item.gap;
            let later = || items.iter().skip(at).position(starts).map(|more| at + more);
            match earlier.or_else(later) {
                Some(found) => at = found,
                None => return Choice::Edge(None),
            }
            if let Some(item) = items.get(at).filter(|item| item.start <= cursor + TOLERANCE) {
                cursor = item.start;
            }
        }
        let Some(item) = items.get(at) else {
            return self.at_edge(&listing, hints);
        };
        if item.start > cursor + TOLERANCE {
            return Choice::Jump(item.start);
        }
        if item.gap {
            self.gaps += 1;
            (self.cursor, self.end) = (Some(item.end()), self.end.max(item.end()));
            return self.choose(hints);
        }
        self.take(item)
    }

    fn take(&mut self, item: &Item) -> Choice {
        if let Some(map) = item.map.as_ref().filter(|map| self.init.as_ref() != Some(*map)) {
            self.fetch = Fetch::Init(map.clone());
            return Choice::Ask(map.to_string());
        }
        self.aligned = true;
        self.fetch = Fetch::Piece {
            start: item.start,
            end: item.end(),
        };
        Choice::Ask(item.path.clone())
    }

    fn at_edge(&mut self, listing: &Listing, hints: bool) -> Choice {
        let hint = listing
            .hint
            .clone()
            .filter(|path| hints && self.aligned && self.hinted.as_ref() != Some(path));
        if let Some(path) = &hint {
            self.fetch = Fetch::Hint(path.clone());
        }
        Choice::Edge(hint)
    }
}

/// The last piece before `cursor` at which decoding can begin and from which nothing is missing until there.
fn clean(items: &[Item], at: usize, cursor: Micros) -> Option<usize> {
    let mut needed = cursor;
    for (index, item) in items.iter().enumerate().take(at + 1).rev() {
        if item.start > cursor + TOLERANCE {
            continue;
        }
        if item.end() + TOLERANCE < needed || item.gap {
            return None;
        }
        if item.independent {
            return Some(index);
        }
        needed = item.start;
    }
    None
}
