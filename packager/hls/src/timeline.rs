//! The timeline: which parts and segments a stream's playlists list, and from when.
//!
//! A cell is published in all tracks at once, when the last of them has it. So rendition reports are exact,
//! playlists end at the same time, and no track runs ahead of another.
//!
//! A ladder that takes over goes on later on the same grid. The segment that the one before has begun is whole with
//! what it has. All later ones are the new ladder's, behind an EXT-X-DISCONTINUITY, and it begins like a stream:
//! segments before its first cell are GAP and dated back from it. So a segment is media or GAP as a whole, and of one
//! ladder alone. GAP parts that fill a segment up would do by the letter (rfc8216bis §4.4.4.9), but hls.js 1.7.4 stays
//! before them for ever: it seeks over a hole only where it is made of whole segments (§4.4.4.7), or no hole at all.

mod dates;
mod listing;
mod lives;
#[cfg(test)]
pub(crate) mod stage;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::id::{Cell, Msn, PartIndex, TrackId};
use crate::playlist::DateRange;
use crate::reload::Position;
use crate::time::Grid;

use dates::Dates;
pub use dates::{ATTRIBUTES_MAX, DATES_MAX, Mark, MarkKind, Marked};
use lives::Lives;
pub use lives::{DISCONTINUITIES_MAX, Life};

/// Cells a track may be ahead of the slowest one before [`Error::Ahead`]: more than an ingest replays, whose gaps
/// come track by track, at the shortest parts.
pub const AHEAD_CELLS_MAX: u64 = 512;

/// What a stream's timeline needs to know once.
#[derive(Debug, Clone)]
pub struct Config {
    /// The cutting rule.
    pub grid: Grid,
    /// The tracks.
    pub tracks: Vec<TrackId>,
    /// How much a playlist lists; at least six segments.
    pub window: Duration,
}

/// A track's share of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// A part with media.
    Media {
        /// Its duration.
        duration: Duration,
        /// Whether decoding can start with it.
        independent: bool,
        /// How long after the cell's beginning it begins: sound is cut between its own frames.
        offset: Duration,
    },
    /// Its media never came.
    Gap,
}

/// What came of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Other tracks have yet to deliver the cell.
    Waiting,
    /// These cells are now listed, oldest first: `first..=last`.
    Published {
        /// First of them.
        first: Cell,
        /// Last of them.
        last: Cell,
    },
}

/// Why a share is refused. The timeline is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such track.
    #[error("track {0} does not exist")]
    Track(usize),
    /// Not the cell that follows the track's last one; a published cell never changes.
    #[error("cell {got} of track {track} where {want} was due")]
    Order {
        /// The track.
        track: usize,
        /// The cell that was due.
        want: Cell,
        /// The cell that came.
        got: Cell,
    },
    /// The slowest track is too far behind.
    #[error("track {0} is more than {AHEAD_CELLS_MAX} cells ahead of the slowest")]
    Ahead(usize),
    /// The event is over.
    #[error("the stream has ended")]
    Ended,
}

/// The machine.
#[derive(Debug)]
pub struct Timeline {
    config: Config,
    /// First cell of all.
    opening: Cell,
    lives: Lives,
    /// Per track, shares not yet published.
    pending: Vec<VecDeque<Share>>,
    /// The cell to publish next.
    next: Cell,
    /// Published cells that are still listed, each with one share per track.
    cells: BTreeMap<Cell, Vec<Share>>,
    dates: Dates,
    /// First segment listed.
    oldest: Msn,
    ended: bool,
}

impl Timeline {
    /// A stream that starts with this life.
    pub fn new(config: Config, life: Life) -> Self {
        let pending = vec![VecDeque::new(); config.tracks.len()];
        let first = config.grid.msn(life.first);
        // rfc8216bis §6.2.2: a live playlist is never shorter than three target durations, so the stream
        // begins behind segments of GAP.
        let oldest = Msn(first.0.saturating_sub(shortest_window(&config.grid)));
        Self {
            opening: life.first,
            next: life.first,
            lives: Lives::new(life),
            pending,
            cells: BTreeMap::new(),
            dates: Dates::default(),
            oldest,
            ended: false,
            config,
        }
    }

    /// Goes on at `cell` of a life that began earlier and whose cells before are not at hand. Before anything is
    /// published only; playlists then begin with the first segment that starts there or later.
    pub fn begin_at(&mut self, cell: Cell) {
        let grid = &self.config.grid;
        if self.newest().is_some() || cell <= self.lives.of(grid.msn(cell)).first() {
            return;
        }
        let msn = grid.msn(cell);
        self.oldest = if grid.first_cell(msn) < cell {
            msn.next()
        } else {
            msn
        };
        (self.opening, self.next) = (cell, cell);
    }

    /// Another ladder goes on; returns the cell from which on its shares are wanted. Incomplete cells of the one before
    /// are dropped; what is published stays, and shows no change before the new ladder has published.
    pub fn take_over(&mut self, life: Life) -> Cell {
        self.pending.iter_mut().for_each(VecDeque::clear);
        let Some(newest) = self.newest() else {
            let dates = std::mem::take(&mut self.dates);
            *self = Self::new(self.config.clone(), life);
            self.dates = dates;
            return self.next;
        };
        let grid = &self.config.grid;
        let from = grid.msn(newest).next();
        let first = life.first.max(grid.first_cell(from));
        self.next = first;
        self.lives.follow(newest.next(), from, Life { first, ..life });
        first
    }

    /// Takes a track's share of a cell; publishes what is complete.
    pub fn share(&mut self, track: usize, cell: Cell, share: Share) -> Result<Progress, Error> {
        if self.ended {
            return Err(Error::Ended);
        }
        let want = self.due(track)?;
        if cell != want {
            return Err(Error::Order {
                track,
                want,
                got: cell,
            });
        }
        let pending = self.pending.get_mut(track).ok_or(Error::Track(track))?;
        if pending.len() as u64 >= AHEAD_CELLS_MAX {
            return Err(Error::Ahead(track));
        }
        pending.push_back(share);
        Ok(self.publish())
    }

    /// Takes what happens in the programme; nothing is published before the next cell.
    pub fn mark(&mut self, mark: Mark) -> Marked {
        if self.ended {
            return Marked::Refused;
        }
        let grid = &self.config.grid;
        let now = grid.frame_time(grid.first_frame(self.next));
        // No part of any track is longer, so that no playlist of the next publication ends later.
        self.dates.mark(mark, now, now + grid.part_target())
    }

    /// The cell a track has to deliver next.
    pub fn due(&self, track: usize) -> Result<Cell, Error> {
        let pending = self.pending.get(track).ok_or(Error::Track(track))?;
        Ok(Cell(self.next.0 + pending.len() as u64))
    }

    /// The event is over: cells that not all tracks have are dropped, the open segment is whole with what it
    /// has, and playlists end with EXT-X-ENDLIST.
    pub fn end(&mut self) {
        self.ended = true;
        self.pending.iter_mut().for_each(VecDeque::clear);
    }

    /// Whether the event is over.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Last published cell.
    pub fn newest(&self) -> Option<Cell> {
        self.cells.last_key_value().map(|(cell, _)| *cell)
    }

    /// First segment that playlists list.
    pub fn oldest(&self) -> Msn {
        self.oldest
    }

    /// Oldest cell that may still be fetched: rfc8216bis §6.2.2 wants removed segments served for as long again as the
    /// longest playlist that held them.
    pub fn retained(&self) -> Cell {
        let oldest = self.config.grid.first_cell(self.oldest);
        let listed = self
            .newest()
            .map_or(0, |newest| newest.0.saturating_sub(oldest.0));
        Cell(oldest.0.saturating_sub(listed))
    }

    /// The date ranges that playlists list.
    pub fn dates(&self) -> &[DateRange] {
        self.dates.listed()
    }

    /// How many ladders came before the present one, as the playlists count them.
    pub fn discontinuity(&self) -> u64 {
        self.lives.discontinuity()
    }

    /// EXT-X-DISCONTINUITY-SEQUENCE of a playlist that begins with this segment.
    pub fn discontinuity_sequence(&self, msn: Msn) -> u64 {
        self.lives.of(msn).sequence(msn)
    }

    /// URIs of a track's init segments, of all lives that may still be fetched.
    pub fn maps(&self, track: usize) -> impl Iterator<Item = &str> {
        self.lives.maps(track)
    }

    /// Cells of a segment, as far as its ladder had or will have them.
    pub fn segment_cells(&self, msn: Msn) -> std::ops::Range<u64> {
        let cells = self.lives.of(msn).cells(&self.config.grid, msn);
        let end = if self.ended {
            cells.end.min(self.published().0)
        } else {
            cells.end
        };
        cells.start..end
    }

    /// Where the playlists end; the same for all tracks. `None` before the first publication.
    pub fn position(&self) -> Option<Position> {
        let newest = self.newest()?;
        let grid = &self.config.grid;
        let last = grid.msn(newest);
        let whole = if self.is_whole(last) {
            last
        } else {
            Msn(last.0.saturating_sub(1))
        };
        Some(Position {
            whole: Some(whole),
            last,
            part: Some(self.index(newest)),
            segment_parts: Some(grid.segment_parts()),
            part_target: grid.part_target(),
            target_duration: grid.target_duration(),
            ended: self.ended,
        })
    }

    fn publish(&mut self) -> Progress {
        let first = self.next;
        while self.pending.iter().all(|shares| !shares.is_empty()) {
            let shares = self.pending.iter_mut().filter_map(VecDeque::pop_front).collect();
            self.cells.insert(self.next, shares);
            self.next = self.next.next();
        }
        if self.next == first {
            return Progress::Waiting;
        }
        self.trim();
        self.lives.forget(self.config.grid.msn(self.retained()));
        Progress::Published {
            first,
            last: Cell(self.next.0 - 1),
        }
    }

    /// Segments that have left the window, counted from the last whole one.
    fn trim(&mut self) {
        let grid = &self.config.grid;
        let segment = grid.cell_duration() * grid.segment_parts();
        let listed = self.config.window.as_nanos().div_ceil(segment.as_nanos().max(1));
        let shortest = shortest_window(grid);
        let listed = u64::try_from(listed)
            .unwrap_or(u64::MAX)
            .max(SEGMENTS_MIN.max(shortest));
        let open = grid.msn(self.next);
        let mut oldest = open.0.saturating_sub(listed).max(self.oldest.0);
        // Where ladders came and went, segments are short.
        let least = shortest.saturating_mul(u64::from(grid.segment_parts()));
        while oldest > self.oldest.0 && self.listed(Msn(oldest)) < least {
            oldest -= 1;
        }
        self.oldest = Msn(oldest);
        let keep = self.config.grid.first_cell(self.oldest);
        self.cells = self.cells.split_off(&keep);
        let start = self.start(self.oldest);
        self.dates.trim(start);
    }

    /// Cells that a playlist from `oldest` on covers in whole segments, GAP included.
    fn listed(&self, oldest: Msn) -> u64 {
        let whole = (oldest.0..self.config.grid.msn(self.next).0).map(Msn);
        whole
            .map(|msn| match self.segment_cells(msn) {
                none if none.is_empty() => u64::from(self.config.grid.segment_parts()),
                some => some.end - some.start,
            })
            .sum()
    }

    /// Place of a cell among the parts its segment has; the opening segment may begin in the middle.
    fn index(&self, cell: Cell) -> PartIndex {
        let first = self.segment_cells(self.config.grid.msn(cell)).start;
        PartIndex(cell.0.saturating_sub(first))
    }

    /// Just after the last published cell.
    fn published(&self) -> Cell {
        self.newest().map_or(self.opening, Cell::next)
    }

    fn is_whole(&self, msn: Msn) -> bool {
        self.segment_cells(msn).end <= self.published().0
    }
}

/// Apple authoring 8.11: at least six segments.
const SEGMENTS_MIN: u64 = 6;

/// Whole segments that cover three target durations in every track; audio's may be a frame shorter.
fn shortest_window(grid: &Grid) -> u64 {
    let segment = grid.cell_duration() * grid.segment_parts();
    let count = (grid.target_duration() * 3).as_nanos() / segment.as_nanos().max(1) + 1;
    u64::try_from(count).unwrap_or(u64::MAX)
}
