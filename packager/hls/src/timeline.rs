//! The timeline: which parts and segments a stream's playlists list, and from when.
//!
//! A cell is published in all tracks at once, when the last of them has it. So rendition reports are exact,
//! playlists end at the same time, and no track runs ahead of another.

#[cfg(test)]
pub(crate) mod stage;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::id::{Cell, Msn, PartIndex, TrackId};
use crate::path::Object;
use crate::playlist::{Media, Part, Report, Segment, Whole};
use crate::reload::Position;
use crate::time::Grid;

/// Cells a track may be ahead of the slowest one before [`Error::Ahead`]: more than an ingest replays, whose gaps
/// come track by track, at the shortest parts.
pub const AHEAD_CELLS_MAX: u64 = 512;

/// What a stream's timeline needs to know once.
#[derive(Debug, Clone)]
pub struct Config {
    /// The cutting rule.
    pub grid: Grid,
    /// Each track with the URI of its init segment.
    pub tracks: Vec<(TrackId, String)>,
    /// First cell of this life of the ladder.
    pub first: Cell,
    /// Discontinuities before it.
    pub discontinuity_sequence: u64,
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
    /// Per track, shares not yet published.
    pending: Vec<VecDeque<Share>>,
    /// The cell to publish next.
    next: Cell,
    /// Published cells that are still listed, each with one share per track.
    cells: BTreeMap<Cell, Vec<Share>>,
    /// First segment listed.
    oldest: Msn,
    ended: bool,
}

impl Timeline {
    /// A stream that starts at `config.first`.
    pub fn new(config: Config) -> Self {
        let pending = vec![VecDeque::new(); config.tracks.len()];
        let first = config.grid.msn(config.first);
        // rfc8216bis §6.2.2: a live playlist is never shorter than three target durations, so the stream
        // begins behind segments of GAP.
        let oldest = Msn(first.0.saturating_sub(shortest_window(&config.grid)));
        Self {
            next: config.first,
            pending,
            cells: BTreeMap::new(),
            oldest,
            ended: false,
            config,
        }
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

    /// Last published cell.
    pub fn newest(&self) -> Option<Cell> {
        self.cells.last_key_value().map(|(cell, _)| *cell)
    }

    /// First segment the playlists list.
    pub fn oldest(&self) -> Msn {
        self.oldest
    }

    /// Cells of a segment that belong to this life of the ladder.
    pub fn segment_cells(&self, msn: Msn) -> std::ops::Range<u64> {
        let grid = &self.config.grid;
        let end = grid.first_cell(msn.next());
        let end = if self.ended { end.min(self.next) } else { end };
        grid.first_cell(msn).max(self.config.first).0..end.0
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

    /// The media playlist of a track; `None` before the first publication.
    pub fn playlist(&self, track: usize) -> Option<Media> {
        let (_, map) = self.config.tracks.get(track)?;
        let newest = self.newest()?;
        let grid = &self.config.grid;
        let last = grid.msn(newest);
        let segments = (self.oldest.0..=last.0).map(|n| self.segment(track, map, Msn(n), newest));
        let end = (last, self.index(newest));
        let others = self
            .config
            .tracks
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != track);
        Some(Media {
            target_duration: grid.target_duration(),
            part_target: grid.part_target(),
            part_hold_back: grid.part_hold_back(),
            media_sequence: self.oldest,
            discontinuity_sequence: self.config.discontinuity_sequence,
            segments: segments.collect(),
            hint: (!self.ended).then(|| Object::Part(newest.next()).uri()),
            reports: others.map(|(_, (id, _))| Report::of(id, end)).collect(),
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
        let shortest = SEGMENTS_MIN.max(shortest_window(grid));
        let listed = u64::try_from(listed).unwrap_or(u64::MAX).max(shortest);
        let open = grid.msn(self.next);
        self.oldest = self.oldest.max(Msn(open.0.saturating_sub(listed)));
        let keep = grid.first_cell(self.oldest);
        self.cells = self.cells.split_off(&keep);
    }

    /// Place of a cell among the parts its segment has; the opening segment may begin in the middle.
    fn index(&self, cell: Cell) -> PartIndex {
        let first = self.segment_cells(self.config.grid.msn(cell)).start;
        PartIndex(cell.0.saturating_sub(first))
    }

    fn is_whole(&self, msn: Msn) -> bool {
        self.segment_cells(msn).end <= self.next.0
    }

    fn segment(&self, track: usize, map: &str, msn: Msn, newest: Cell) -> Segment {
        let grid = &self.config.grid;
        let range = self.segment_cells(msn);
        let uri = Object::Segment(msn).uri();
        if range.is_empty() || range.end <= self.config.first.0 {
            return self.lead_in(map, msn, uri);
        }
        let cells: Vec<Cell> = range
            .clone()
            .map(Cell)
            .take_while(|cell| *cell <= newest)
            .collect();
        let shares: Vec<Share> = cells.iter().filter_map(|cell| self.of(track, *cell)).collect();
        let duration = shares.iter().map(|share| self.duration(share)).sum();
        let listed = self.lists_parts(msn, newest);
        let parts = cells
            .iter()
            .zip(&shares)
            .filter(|_| listed)
            .map(|(cell, share)| self.part(*cell, share));
        Segment {
            whole: self.is_whole(msn).then_some(Whole { uri, duration }),
            map: map.to_owned(),
            discontinuity: false,
            start: grid.frame_time(grid.first_frame(Cell(range.start))),
            gap: shares.contains(&Share::Gap),
            parts: parts.collect(),
        }
    }

    /// A segment from before the stream began; dated back from its first cell, wherever in a segment that is,
    /// so that no hole is left.
    fn lead_in(&self, map: &str, msn: Msn, uri: String) -> Segment {
        let grid = &self.config.grid;
        let opening = grid.msn(self.config.first);
        let back = |msn: Msn| {
            let cells = opening
                .0
                .saturating_sub(msn.0)
                .saturating_mul(u64::from(grid.segment_parts()));
            grid.frame_time(grid.first_frame(Cell(self.config.first.0.saturating_sub(cells))))
        };
        let (start, end) = (back(msn), back(msn.next()));
        Segment {
            whole: Some(Whole {
                uri,
                duration: end.saturating_sub(start),
            }),
            map: map.to_owned(),
            discontinuity: false,
            start,
            gap: true,
            parts: Vec::new(),
        }
    }

    fn part(&self, cell: Cell, share: &Share) -> Part {
        let (independent, gap) = match share {
            Share::Media { independent, .. } => (*independent, false),
            Share::Gap => (false, true),
        };
        Part {
            uri: Object::Part(cell).uri(),
            duration: self.duration(share),
            independent,
            gap,
        }
    }

    fn duration(&self, share: &Share) -> Duration {
        match share {
            Share::Media { duration, .. } => *duration,
            Share::Gap => self.config.grid.cell_duration(),
        }
    }

    fn of(&self, track: usize, cell: Cell) -> Option<Share> {
        self.cells.get(&cell)?.get(track).copied()
    }

    /// rfc8216bis §6.2.2: parts further than three target durations from the end are taken out, whole segments at a
    /// time. Strict validators count that in segments, the one that comes next included.
    fn lists_parts(&self, msn: Msn, newest: Cell) -> bool {
        let next = self.config.grid.msn(newest.next());
        next.0.saturating_sub(msn.0) < 3
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
