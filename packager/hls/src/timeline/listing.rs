//! The timeline as playlists.

use std::time::Duration;

use super::lives::Span;
use super::{Share, Timeline};
use crate::id::{Cell, Msn};
use crate::path::Object;
use crate::playlist::{Media, Part, Report, Segment, Whole};

/// rfc8216bis §4.4.4.6: a date is that of the first sample.
fn offset(share: &Share) -> Duration {
    match share {
        Share::Media { offset, .. } => *offset,
        Share::Gap => Duration::ZERO,
    }
}

impl Timeline {
    /// The media playlist of a track; `None` before the first publication.
    pub fn playlist(&self, track: usize) -> Option<Media> {
        self.config.tracks.get(track)?;
        let newest = self.newest()?;
        let grid = &self.config.grid;
        let last = grid.msn(newest);
        let segments = (self.oldest.0..=last.0).map(|n| self.segment(track, Msn(n), newest));
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
            discontinuity_sequence: self.lives.of(self.oldest).sequence(self.oldest),
            dates: self.dates.listed().to_vec(),
            segments: segments.collect(),
            hint: (!self.ended).then(|| Object::Part(newest.next()).uri()),
            reports: others.map(|(_, id)| Report::of(id, end)).collect(),
            ended: self.ended,
        })
    }

    /// A whole segment without its parts, while it is listed.
    pub fn whole_segment(&self, track: usize, msn: Msn) -> Option<Segment> {
        self.config.tracks.get(track)?;
        let whole = self.position()?.whole?;
        (self.oldest <= msn && msn <= whole).then(|| Segment {
            parts: Vec::new(),
            ..self.segment(track, msn, self.newest().unwrap_or_default())
        })
    }

    fn segment(&self, track: usize, msn: Msn, newest: Cell) -> Segment {
        let range = self.segment_cells(msn);
        let life = self.lives.of(msn);
        let uri = Object::Segment(msn).uri();
        if range.is_empty() {
            return self.lead_in(track, msn, uri);
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
            map: life.map(track).to_owned(),
            key: None,
            discontinuities: life.tags(msn),
            start: self.start(msn) + shares.first().map_or(Duration::ZERO, offset),
            gap: shares.contains(&Share::Gap),
            parts: parts.collect(),
        }
    }

    /// A segment from before its ladder began; dated back from that one's first cell, wherever in a segment that is,
    /// so that no hole is left.
    fn lead_in(&self, track: usize, msn: Msn, uri: String) -> Segment {
        let life = self.lives.of(msn);
        let (start, end) = (self.back(life, msn), self.back(life, msn.next()));
        Segment {
            whole: Some(Whole {
                uri,
                duration: end.saturating_sub(start),
            }),
            map: life.map(track).to_owned(),
            key: None,
            discontinuities: life.tags(msn),
            start,
            gap: true,
            parts: Vec::new(),
        }
    }

    fn back(&self, life: &Span, msn: Msn) -> Duration {
        let grid = &self.config.grid;
        let segments = grid.msn(life.first()).0.saturating_sub(msn.0);
        let cells = segments.saturating_mul(u64::from(grid.segment_parts()));
        grid.frame_time(grid.first_frame(Cell(life.first().0.saturating_sub(cells))))
    }

    /// Program time at which a segment begins.
    pub(super) fn start(&self, msn: Msn) -> Duration {
        let grid = &self.config.grid;
        match self.segment_cells(msn) {
            none if none.is_empty() => self.back(self.lives.of(msn), msn),
            some => grid.frame_time(grid.first_frame(Cell(some.start))),
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
