//! Which ladder a segment is of. A stream's ladders follow one another on one grid; a segment is of one alone.

use std::collections::VecDeque;
use std::ops::Range;

use crate::id::{Cell, Msn};
use crate::time::Grid;

/// Most EXT-X-DISCONTINUITY tags before one segment: so many ladders in a row may have failed before they were seen
/// here. Were there more, the sequence falls short of the ladder's ordinal until a packager starts anew.
pub const DISCONTINUITIES_MAX: u64 = 64;

/// One ladder's time on air.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// Its first cell.
    pub first: Cell,
    /// How many ladders the stream had before it.
    pub discontinuity: u64,
    /// URI of each track's init segment.
    pub maps: Vec<String>,
}

/// The lives of which something is listed or may still be fetched, oldest first; never empty.
#[derive(Debug)]
pub(super) struct Lives(VecDeque<Span>);

/// The segments of one life.
#[derive(Debug)]
pub(super) struct Span {
    /// The first of them; those before its first cell are GAP.
    from: Msn,
    /// EXT-X-DISCONTINUITY tags before that one.
    tags: u64,
    /// Just after its last cell, once another life has followed.
    end: Option<Cell>,
    life: Life,
}

impl Lives {
    pub(super) fn new(life: Life) -> Self {
        Self(VecDeque::from([Span {
            from: Msn(0),
            tags: 0,
            end: None,
            life,
        }]))
    }

    /// From segment `from` on, the stream is of `life`; what came before ended with the cell before `end`. Lives that
    /// would have begun with `from`, too, have no segment.
    pub(super) fn follow(&mut self, end: Cell, from: Msn, mut life: Life) {
        while self.0.len() > 1 && self.0.back().is_some_and(|last| last.from >= from) {
            self.0.pop_back();
        }
        if let Some(last) = self.0.back_mut() {
            last.end = Some(end);
        }
        let before = self.0.back().map_or(0, |last| last.life.discontinuity);
        // rfc8216bis §6.2.2: the sequence never falls, not even where an ingest has lost its count.
        let tags = life
            .discontinuity
            .saturating_sub(before)
            .clamp(1, DISCONTINUITIES_MAX);
        life.discontinuity = before.saturating_add(tags);
        self.0.push_back(Span {
            from,
            tags,
            end: None,
            life,
        });
    }

    /// The life of a segment.
    pub(super) fn of(&self, msn: Msn) -> &Span {
        let theirs = self.0.iter().rev().find(|span| span.from <= msn);
        theirs
            .or_else(|| self.0.front())
            .expect("a stream is of one life at least")
    }

    /// EXT-X-DISCONTINUITY-SEQUENCE of the newest life's segments, all its tags counted.
    pub(super) fn discontinuity(&self) -> u64 {
        self.0.back().map_or(0, |span| span.life.discontinuity)
    }

    /// Lives without a segment from `oldest` on are gone.
    pub(super) fn forget(&mut self, oldest: Msn) {
        while self.0.get(1).is_some_and(|second| second.from <= oldest) {
            self.0.pop_front();
        }
    }

    /// URIs of a track's init segments.
    pub(super) fn maps(&self, track: usize) -> impl Iterator<Item = &str> {
        self.0.iter().map(move |span| span.map(track))
    }
}

impl Span {
    /// Its first cell.
    pub(super) fn first(&self) -> Cell {
        self.life.first
    }

    /// Its cells of one of its segments; none where it had not begun.
    pub(super) fn cells(&self, grid: &Grid, msn: Msn) -> Range<u64> {
        let whole = grid.first_cell(msn)..grid.first_cell(msn.next());
        let end = self.end.map_or(whole.end, |end| end.min(whole.end));
        whole.start.max(self.life.first).0..end.0
    }

    /// EXT-X-DISCONTINUITY tags before a segment of this life.
    pub(super) fn tags(&self, msn: Msn) -> u64 {
        if msn == self.from { self.tags } else { 0 }
    }

    /// EXT-X-DISCONTINUITY-SEQUENCE of a playlist that begins with a segment of this life. A tag counts once its
    /// segment has left (rfc8216bis §6.2.2).
    pub(super) fn sequence(&self, oldest: Msn) -> u64 {
        self.life.discontinuity.saturating_sub(self.tags(oldest))
    }

    /// URI of a track's init segment.
    pub(super) fn map(&self, track: usize) -> &str {
        self.life.maps.get(track).map_or("", String::as_str)
    }
}
