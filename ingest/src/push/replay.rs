//! What was fed lately, kept once for all packagers, and how a packager reads through it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use feed::message::is_jpeg;
use feed::{Cue, Message, Shape, Track, Unit};
use hls::id::{Cell, Epoch};
use hls::time::Grid;
use tokio::sync::watch;

use crate::ladder::Plan;
use crate::metrics::Metrics;

/// Messages handed out in one go; more would only delay the look at the socket.
const BATCH_BYTES: usize = 256 << 10;
const BATCH_GAPS: usize = 4_096;
/// Units that wait for company before readers are woken; a unit that completes a cell waits for nothing. A wake-up for
/// every unit costs as much as all that is sent by it, and nothing is published before its cell is complete.
const WAKE_BYTES: usize = 32 << 10;
/// Cues kept for packagers that come back; at 4 kB of section and 17 kB of attributes each, less than 2 MB.
const CUES_MAX: usize = 64;

/// How much is kept, and how far a reader may fall behind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) keep_cells: u64,
    pub(crate) bytes_max: usize,
    pub(crate) behind_cells_max: u64,
}

/// The ring behind its lock; encoders write, feed connections read, nobody waits for anybody.
#[derive(Debug)]
pub(crate) struct Replay {
    plan: Plan,
    metrics: Metrics,
    ring: Mutex<Ring>,
    tracks: Mutex<Vec<Option<Track>>>,
    shape: watch::Sender<Option<Arc<Shape>>>,
    written: watch::Sender<u64>,
    picture: watch::Sender<Option<Picture>>,
}

/// What a cell shows, small; only the newest is kept.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    /// How many there were up to this one.
    pub(crate) number: u64,
    pub(crate) cell: Cell,
    pub(crate) jpeg: Bytes,
}

impl Replay {
    pub(crate) fn new(plan: Plan, epoch: Epoch, bounds: Bounds, metrics: Metrics) -> Self {
        Self {
            ring: Mutex::new(Ring::new(plan.grid, plan.tracks(), epoch, bounds)),
            tracks: Mutex::new(vec![None; plan.tracks()]),
            plan,
            metrics,
            shape: watch::Sender::new(None),
            written: watch::Sender::new(0),
            picture: watch::Sender::new(None),
        }
    }

    /// Learns a track's decoder configuration; the shape is known when every track has told its own.
    pub(crate) fn describe(&self, index: usize, config: Bytes) {
        if self.shape.borrow().is_some() {
            return;
        }
        let mut tracks = self
            .tracks
            .lock()
            .expect("nothing panics while it holds the tracks");
        if let Some(track) = tracks.get_mut(index) {
            *track = Some(self.plan.track(index, config));
        }
        if let Some(tracks) = tracks.iter().cloned().collect() {
            self.shape.send_replace(Some(Arc::new(Shape {
                grid: self.plan.grid,
                tracks,
                captions: self.plan.captions(),
            })));
        }
    }

    /// Appends a unit of `cell` and the watermarks that follow it.
    pub(crate) fn push(&self, cell: Cell, unit: Unit, closed: Range<u64>) {
        let track = unit.track;
        let mut ring = self.ring();
        ring.untold += unit.data.len();
        let tell = !closed.is_empty() || ring.untold >= WAKE_BYTES;
        if tell {
            ring.untold = 0;
        }
        ring.push(cell, Message::Unit(unit));
        for cell in closed.map(Cell) {
            ring.push(cell, Message::Watermark { track, cell });
        }
        let (written, bytes) = (ring.end(), ring.bytes);
        drop(ring);
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        self.metrics.replay_bytes.set(bytes as f64);
        if tell {
            self.written.send_replace(written);
        }
    }

    /// Appends gaps of one track.
    pub(crate) fn gap(&self, track: u16, cells: Range<u64>) {
        let mut ring = self.ring();
        for cell in cells.map(Cell) {
            ring.push(cell, Message::Gap { track, cell });
        }
        let written = ring.end();
        drop(ring);
        self.written.send_replace(written);
    }

    /// Cells from `cell` on are another ladder's: what comes of them is dropped.
    pub(crate) fn end_at(&self, cell: Cell) {
        self.ring().until = Some(cell);
    }

    /// The event is over: what is here is all, and readers say so.
    pub(crate) fn end(&self) {
        let mut ring = self.ring();
        ring.over = true;
        let written = ring.end();
        drop(ring);
        self.written.send_replace(written);
    }

    /// Whether the event is over.
    pub(crate) fn is_over(&self) -> bool {
        self.ring().over
    }

    /// Whether every track is complete up to the end that was set.
    pub(crate) fn is_closed(&self) -> bool {
        let ring = self.ring();
        let until = ring.until.unwrap_or(Cell(u64::MAX));
        ring.open.iter().all(|open| *open >= until)
    }

    /// Appends a cue, which every packager is sent, also one that comes later.
    pub(crate) fn cue(&self, cue: Cue) {
        let mut ring = self.ring();
        ring.cue(cue);
        let written = ring.end();
        drop(ring);
        self.written.send_replace(written);
    }

    /// Replaces the picture that is sent once nothing else is to be.
    pub(crate) fn picture(&self, cell: Cell, jpeg: Bytes) {
        if !is_jpeg(&jpeg) {
            self.metrics.thumbnails_unfit.increment(1);
            return;
        }
        self.picture.send_modify(|newest| {
            let number = newest.as_ref().map_or(0, |newest| newest.number) + 1;
            *newest = Some(Picture { number, cell, jpeg });
        });
    }

    /// The newest picture, and when there is a newer one.
    pub(crate) fn pictures(&self) -> watch::Receiver<Option<Picture>> {
        self.picture.subscribe()
    }

    /// Tells the shape once it is known.
    pub(crate) fn shape(&self) -> watch::Receiver<Option<Arc<Shape>>> {
        self.shape.subscribe()
    }

    /// Changes when something was appended that readers should not wait for.
    pub(crate) fn written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    /// Newest cell of which anything may have been sent; a later ladder must not use it again.
    pub(crate) fn head(&self) -> Option<Cell> {
        let ring = self.ring();
        (ring.end() > 0).then_some(ring.head)
    }

    /// A reader that begins where a packager asked.
    pub(crate) fn resume(&self, cell: Cell) -> Cursor {
        self.ring().resume(cell)
    }

    /// The next messages for a reader; empty when it has seen everything.
    pub(crate) fn read(&self, cursor: &mut Cursor) -> Vec<Message> {
        let batch = self.ring().read(cursor);
        let gaps = batch
            .iter()
            .filter(|message| matches!(message, Message::Gap { .. }))
            .count();
        self.metrics.feed_gaps.increment(gaps as u64);
        batch
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().expect("nothing panics while it holds the ring")
    }
}

/// Where one packager is.
#[derive(Debug)]
pub(crate) struct Cursor {
    next: u64,
    /// The next cue.
    cue: u64,
    /// Cells before it are not sent.
    from: Cell,
    /// Per track, the first cell not yet closed by a watermark or a gap.
    open: Vec<Cell>,
    /// Newest cell of which anything was sent.
    newest: Option<Cell>,
    /// Cells to declare missing before anything else: track and range.
    gaps: VecDeque<(u16, Range<u64>)>,
    /// Whether it has once seen everything; from then on it counts as live.
    live: bool,
}

#[derive(Debug)]
struct Entry {
    cell: Cell,
    message: Message,
}

/// Units and watermarks of the last cells in the order they came.
#[derive(Debug)]
struct Ring {
    grid: Grid,
    epoch: Cell,
    bounds: Bounds,
    entries: VecDeque<Entry>,
    first: u64,
    bytes: usize,
    /// Bytes of units since readers were woken.
    untold: usize,
    /// The newest cues, however old: a break that is on began long ago.
    cues: VecDeque<Cue>,
    cues_first: u64,
    /// Oldest cell that is here as a whole; a GOP starts with it.
    tail: Cell,
    /// Newest cell seen.
    head: Cell,
    /// Per track, the first cell not closed by a watermark or a gap.
    open: Vec<Cell>,
    /// First cell that is not wanted.
    until: Option<Cell>,
    /// Nothing comes any more.
    over: bool,
}

impl Ring {
    fn new(grid: Grid, tracks: usize, epoch: Epoch, bounds: Bounds) -> Self {
        let epoch = Cell(epoch.0);
        Self {
            grid,
            epoch,
            bounds,
            entries: VecDeque::new(),
            first: 0,
            bytes: 0,
            untold: 0,
            cues: VecDeque::new(),
            cues_first: 0,
            tail: epoch,
            head: epoch,
            open: vec![epoch; tracks],
            until: None,
            over: false,
        }
    }

    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn cue(&mut self, cue: Cue) {
        self.cues.push_back(cue);
        if self.cues.len() > CUES_MAX {
            self.cues.pop_front();
            self.cues_first += 1;
        }
    }

    fn push(&mut self, cell: Cell, message: Message) {
        if self.over || self.until.is_some_and(|until| cell >= until) {
            return;
        }
        if let Message::Watermark { track, cell } | Message::Gap { track, cell } = &message
            && let Some(open) = self.open.get_mut(usize::from(*track))
        {
            *open = cell.next();
        }
        self.bytes += size(&message);
        self.head = self.head.max(cell);
        self.entries.push_back(Entry { cell, message });
        let too_old = |ring: &Self| ring.head.0 - ring.tail.0 > ring.bounds.keep_cells;
        while (too_old(self) || self.bytes > self.bounds.bytes_max) && self.drop_gop() {}
    }

    /// Forgets the oldest GOP; the newest is never forgotten.
    fn drop_gop(&mut self) -> bool {
        let next = self.gop_after(self.tail);
        if next > self.head {
            return false;
        }
        self.tail = next;
        while self.entries.front().is_some_and(|entry| entry.cell < self.tail) {
            if let Some(entry) = self.entries.pop_front() {
                self.bytes -= size(&entry.message);
                self.first += 1;
            }
        }
        true
    }

    /// First cell of the next GOP.
    fn gop_after(&self, cell: Cell) -> Cell {
        let parts = u64::from(self.grid.gop_parts());
        Cell((cell.0 / parts + 1).saturating_mul(parts))
    }

    /// Cell 0 asks for whatever is here. Any other cell is a claim to history, so what is gone is declared.
    fn resume(&self, wanted: Cell) -> Cursor {
        let from = wanted.max(self.tail);
        let missing = wanted.max(self.epoch).0..self.tail.0;
        let gaps = if wanted == Cell(0) || missing.is_empty() {
            VecDeque::new()
        } else {
            (0..self.open.len())
                .map(|track| (index(track), missing.clone()))
                .collect()
        };
        let open = vec![from; self.open.len()];
        Cursor {
            next: self.first,
            cue: self.cues_first,
            from,
            open,
            newest: None,
            gaps,
            live: false,
        }
    }

    fn read(&self, cursor: &mut Cursor) -> Vec<Message> {
        self.catch_up(cursor);
        let mut batch = self.take_cues(cursor);
        batch.extend(take_gaps(cursor));
        let mut bytes = 0;
        let skip = usize::try_from(cursor.next.saturating_sub(self.first)).unwrap_or(usize::MAX);
        for entry in self.entries.iter().skip(skip) {
            if bytes > BATCH_BYTES || !cursor.gaps.is_empty() {
                return batch;
            }
            cursor.next += 1;
            if entry.cell < cursor.from {
                continue;
            }
            if let Message::Watermark { track, cell } | Message::Gap { track, cell } = &entry.message
                && let Some(open) = cursor.open.get_mut(usize::from(*track))
            {
                *open = cell.next();
            }
            cursor.newest = cursor.newest.max(Some(entry.cell));
            bytes += size(&entry.message);
            batch.push(entry.message.clone());
        }
        cursor.live |= cursor.gaps.is_empty();
        batch
    }

    fn take_cues(&self, cursor: &mut Cursor) -> Vec<Message> {
        let skip = cursor.cue.saturating_sub(self.cues_first);
        let new = self.cues.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX));
        cursor.cue = self.cues_first + self.cues.len() as u64;
        new.map(|cue| Message::Cue(Box::new(cue.clone()))).collect()
    }

    /// A reader whose place is gone, or who is live and too far behind, goes on with the newest GOP.
    fn catch_up(&self, cursor: &mut Cursor) {
        let lost = cursor.next < self.first && cursor.from < self.tail;
        cursor.next = cursor.next.max(self.first);
        let at = usize::try_from(cursor.next - self.first)
            .ok()
            .and_then(|at| self.entries.get(at));
        let behind = at.map_or(0, |entry| self.head.0.saturating_sub(entry.cell.0));
        let slow = cursor.live && behind > self.bounds.behind_cells_max;
        if !lost && !slow {
            return;
        }
        let parts = u64::from(self.grid.gop_parts());
        let newest_gop = Cell(self.head.0 / parts * parts);
        let target = newest_gop.max(cursor.newest.map_or(self.tail, |cell| self.gop_after(cell)));
        for (track, open) in cursor.open.iter_mut().enumerate() {
            if *open < target {
                cursor.gaps.push_back((index(track), open.0..target.0));
                *open = target;
            }
        }
        cursor.from = cursor.from.max(target);
        cursor.live = true;
    }
}

fn take_gaps(cursor: &mut Cursor) -> Vec<Message> {
    let mut batch = Vec::new();
    while let Some((track, cells)) = cursor.gaps.front_mut() {
        let track = *track;
        let room = BATCH_GAPS.saturating_sub(batch.len());
        batch.extend(cells.by_ref().take(room).map(|cell| Message::Gap {
            track,
            cell: Cell(cell),
        }));
        if !cells.is_empty() {
            break;
        }
        cursor.gaps.pop_front();
    }
    batch
}

fn index(track: usize) -> u16 {
    u16::try_from(track).unwrap_or(u16::MAX)
}

/// What an entry counts for, its own overhead included.
fn size(message: &Message) -> usize {
    let data = if let Message::Unit(unit) = message {
        unit.data.len()
    } else {
        0
    };
    data + size_of::<Entry>()
}

#[cfg(test)]
mod tests;
