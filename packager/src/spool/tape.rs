//! PURE. Entries in, a timeline out: what was published, again. Cells that are not on disk become GAP.

use std::sync::Arc;
use std::time::Duration;

use feed::Cue;
use feed::cue::Kind;
use hls::id::Cell;
use hls::time::Grid;
use hls::timeline::{Config, Mark, MarkKind, Share, Timeline};

use super::entry::{Entry, Kept, Life};

/// Longest hole that is filled, cells: 36 hours of 0.5 s. Behind a longer one it begins anew.
const HOLE_CELLS_MAX: u64 = 1 << 18;

/// A timeline that is written by entries.
#[derive(Debug)]
pub(crate) struct Tape {
    timeline: Timeline,
    life: Arc<Life>,
    window: Duration,
}

impl Tape {
    /// Begins with the first cell of a life, or with a later one.
    pub(crate) fn new(life: Arc<Life>, from: Cell, window: Duration) -> Self {
        let config = Config {
            grid: life.hello.shape.grid,
            tracks: life.tracks(),
            window,
        };
        let mut timeline = Timeline::new(config, life.to_timeline());
        timeline.begin_at(from);
        Self {
            timeline,
            life,
            window,
        }
    }

    pub(crate) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    pub(crate) fn life(&self) -> &Arc<Life> {
        &self.life
    }

    pub(crate) fn into_timeline(self) -> Timeline {
        self.timeline
    }

    /// Takes an entry; tells `published` of the timeline after each cell that it brought.
    pub(crate) fn play(&mut self, entry: &Entry, published: &mut dyn FnMut(&Timeline)) {
        match entry {
            Entry::Life(life) => self.take_over(life, published),
            Entry::Cue(cue) => {
                self.timeline.mark(mark(cue, &self.life.hello.shape.grid));
            }
            Entry::Cell(kept) => self.cell(kept, published),
            Entry::End => {
                self.timeline.end();
                published(&self.timeline);
            }
        }
    }

    fn take_over(&mut self, life: &Arc<Life>, published: &mut dyn FnMut(&Timeline)) {
        if life.first <= self.life.first {
            return;
        }
        if life.tracks() != self.life.tracks() || life.hello.shape.grid != self.life.hello.shape.grid {
            return;
        }
        let due = self.due();
        match life.after {
            Some(after) if after.0.saturating_sub(due.0) <= HOLE_CELLS_MAX => {
                self.fill(after, published);
                self.timeline.take_over(life.to_timeline());
                self.life = Arc::clone(life);
            }
            Some(_) | None => *self = Self::new(Arc::clone(life), life.first, self.window),
        }
    }

    fn cell(&mut self, kept: &Kept, published: &mut dyn FnMut(&Timeline)) {
        if kept.cell.0.saturating_sub(self.due().0) > HOLE_CELLS_MAX {
            *self = Self::new(Arc::clone(&self.life), kept.cell, self.window);
        }
        self.fill(kept.cell, published);
        let is_due = kept.cell == self.due() && kept.shares.len() == self.life.inits.len();
        if is_due {
            let shares: Vec<Share> = kept.shares.iter().map(|(share, _)| *share).collect();
            self.publish(&shares, published);
        }
    }

    fn fill(&mut self, until: Cell, published: &mut dyn FnMut(&Timeline)) {
        let gaps = vec![Share::Gap; self.life.inits.len()];
        for _ in self.due().0..until.0 {
            self.publish(&gaps, published);
        }
    }

    fn publish(&mut self, shares: &[Share], published: &mut dyn FnMut(&Timeline)) {
        let cell = self.due();
        for (track, share) in shares.iter().enumerate() {
            if self.timeline.share(track, cell, *share).is_err() {
                return;
            }
        }
        published(&self.timeline);
    }

    /// The cell that comes next, in all tracks alike.
    pub(crate) fn due(&self) -> Cell {
        self.timeline.due(0).unwrap_or_default()
    }
}

/// A cue as timelines take it.
pub(crate) fn mark(cue: &Cue, grid: &Grid) -> Mark {
    Mark {
        id: cue.id.clone(),
        class: cue.class.clone(),
        at: grid.frame_time(cue.frame),
        kind: match cue.kind {
            Kind::Out => MarkKind::Out,
            Kind::In => MarkKind::In,
            Kind::Plain => MarkKind::Plain,
            Kind::More => MarkKind::More,
            Kind::Cancel => MarkKind::Cancel,
        },
        duration: cue.duration,
        section: cue.section.to_vec(),
        trigger: cue.trigger,
        attributes: cue.attributes.clone(),
    }
}
