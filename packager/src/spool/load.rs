//! What an earlier process has left: read at start, checked, and gone on with.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use feed::Cue;
use hls::id::{Cell, Msn, StreamId};
use hls::timeline::{Share, Timeline};

use super::codec;
use super::disk::{self, Named};
use super::entry::{Entry, Kept, Life};
use super::event::Event;
use super::queue::{Spool, Warnings};
use super::recording::Recording;
use super::shelf::{self, Shelf};
use super::tape::Tape;
use super::writer::{Bounds, Past, Writer};
use crate::archive::Pledges;
use crate::config::Config;
use crate::encryption::Rule;
use crate::encryption::guard::Guard;
use crate::metrics::SpoolMeter;
use crate::window::unix_us;

/// Longest journal that is read, bytes: half an hour of 64 tracks is a tenth of it.
const JOURNAL_BYTES_MAX: u64 = 256 << 20;
/// How long after its newest cell beyond the live window a stream is still gone on with.
const GRACE: Duration = Duration::from_secs(30);
/// The same in cells, of which a timeline takes so many gaps at once.
const GRACE_CELLS: u32 = 480;

/// A stream as it was.
pub(crate) struct Loaded {
    pub(crate) shelf: Arc<Shelf>,
    /// Everything that was published, oldest first; begins with a life.
    pub(crate) entries: Vec<Entry>,
    /// First cell of it.
    pub(crate) from: Cell,
    /// Bytes of the newest cells, by track.
    pub(crate) parts: BTreeMap<Cell, (u64, Vec<Option<Bytes>>)>,
    pub(crate) ended: bool,
}

impl Loaded {
    /// The ladders it has had, oldest first.
    pub(crate) fn lives(&self) -> Vec<&Arc<Life>> {
        self.entries.iter().filter_map(life).collect()
    }

    /// All that was published, as a timeline of this window.
    pub(crate) fn play(&self, window: Duration) -> Option<Timeline> {
        let first = self.entries.iter().position(|entry| kept(entry).is_some())?;
        let life = self.entries.get(..first)?.iter().rev().find_map(life)?;
        let mut tape = Tape::new(Arc::clone(life), self.from, window);
        for entry in self.entries.iter().filter(|entry| **entry != Entry::End) {
            tape.play(entry, &mut |_| {});
        }
        Some(tape.into_timeline())
    }
}

/// One event's files, read.
struct Found {
    entries: Vec<Entry>,
    sizes: BTreeMap<Msn, u64>,
    journals: VecDeque<(Cell, u64)>,
    pictures: BTreeMap<Msn, u64>,
    /// Records that were not sound, bytes of them.
    spoilt: u64,
}

/// Reads what there is, and starts the spool. Blocks on the disk.
///
/// Where there is an archive, `pledges` are what it has yet to take.
pub(crate) fn open(
    data_dir: &Path,
    config: &Config,
    pledges: Option<Arc<Pledges>>,
    rule: Arc<Rule>,
) -> io::Result<(Spool, Vec<Loaded>)> {
    let root = data_dir.join("events");
    let lock = disk::lock(&root)?;
    let window = config.feed.window();
    let meter = SpoolMeter::new();
    let mut reader = Reader {
        rule: Arc::clone(&rule),
        window,
        streams_max: config.feed.streams_max,
        meter: meter.clone(),
        pledges: pledges.clone(),
        loaded: Vec::new(),
        events: Vec::new(),
        past: Vec::new(),
    };
    for (name, _) in disk::list(&root)? {
        if let Ok(stream) = StreamId::new(&name) {
            reader.stream(&root, &stream);
        }
    }
    let writer = Writer {
        bounds: Bounds {
            keep: config.dvr.keep(window),
            bytes_max: config.dvr.bytes_max,
            backlog_bytes: config.archive.backlog_bytes,
        },
        meter: meter.clone(),
        events: reader.events,
        past: reader.past,
        shortened: false,
        warnings: Warnings::default(),
        pledges: pledges.clone(),
        _lock: lock,
    };
    let spool = Spool::start((root, rule), config.dvr.queue_bytes, meter, |orders| {
        writer.run(&orders)
    })?;
    Ok((spool.archived(pledges.is_some()), reader.loaded))
}

struct Reader {
    rule: Arc<Rule>,
    window: Duration,
    streams_max: usize,
    meter: SpoolMeter,
    pledges: Option<Arc<Pledges>>,
    loaded: Vec<Loaded>,
    events: Vec<Event>,
    past: Vec<Past>,
}

impl Reader {
    fn stream(&mut self, root: &Path, stream: &StreamId) {
        let dir = root.join(stream.as_str());
        let listed = disk::list(&dir).unwrap_or_default();
        let mut events: Vec<u64> = listed.iter().filter_map(|(name, _)| name.parse().ok()).collect();
        events.sort_unstable();
        let newest = events.pop();
        for event in events {
            self.left(dir.join(event.to_string()));
        }
        let Some(newest) = newest.map(Cell) else { return };
        let shelf = Shelf::new(root, stream.clone(), newest, Arc::clone(&self.rule));
        let shelf = shelf.archived(self.pledges.is_some());
        let dir = shelf.dir.clone();
        match self.event(shelf) {
            Ok(true) => {}
            Ok(false) => self.left(dir),
            Err(error) => {
                self.meter.unreadable.increment(1);
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%stream, event = %newest, error, "spool not read: the stream begins anew");
                self.past.push(past(dir));
            }
        }
    }

    /// An event that nothing is added to any more; the archive may still want it.
    fn left(&mut self, dir: PathBuf) {
        if let Some(pledges) = self.pledges.as_ref().filter(|_| !disk::is_archived(&dir)) {
            pledges.open(&dir, None);
        }
        self.past.push(past(dir));
    }

    /// False where the event is not gone on with.
    fn event(&mut self, shelf: Shelf) -> io::Result<bool> {
        let header = disk::read_header(&shelf.dir)?;
        let mut found = find(&shelf.dir)?;
        if found.spoilt > 0 {
            self.meter.spoilt_bytes.increment(found.spoilt);
            tracing::warn!(stream = %shelf.stream, bytes = found.spoilt, "a journal has bytes that are no records");
        }
        let Some((life, from)) = begin(&mut found) else {
            return Ok(false);
        };
        let ended = header.ended || found.entries.contains(&Entry::End);
        let Some(newest) = found.entries.iter().rev().find_map(kept) else {
            return Ok(false);
        };
        let (newest, available_us) = (newest.cell, newest.available_us);
        let cell = life.hello.shape.grid.cell_duration();
        let stale = is_stale(unix_us(), available_us, self.window, cell);
        // Recordings leave half of the room to what is live.
        let room = if ended {
            self.streams_max / 2
        } else {
            self.streams_max
        };
        if self.loaded.len() >= room || (!ended && stale) {
            return Ok(false);
        }
        let cells = self.window.as_nanos() / cell.as_nanos().max(1);
        // What has left the window is served for as long again; a segment more for what is open.
        let back = u64::try_from(cells).unwrap_or(u64::MAX).saturating_mul(2)
            + 2 * u64::from(life.hello.shape.grid.segment_parts());
        let live = Cell(newest.0.saturating_sub(back));
        let Ok(guard) = Guard::new(Arc::clone(&self.rule), &life.hello) else {
            tracing::warn!(stream = %shelf.stream, "its tracks cannot be under packager.encryption: the stream begins anew");
            return Ok(false);
        };
        let strange = disown(&mut found, &life, &guard);
        if strange > 0 {
            self.meter.strange_cells.increment(strange);
            tracing::warn!(stream = %shelf.stream, cells = strange, "cells are under other keys than packager.encryption gives: gaps");
        }
        let (parts, missing) = verify(&shelf.dir, &mut found, &life, live);
        if missing > 0 {
            self.meter.lost_parts.increment(missing);
            tracing::warn!(stream = %shelf.stream, parts = missing, "parts are not on disk as they were written: gaps");
        }
        let mut recording = Recording::new(Arc::clone(&life), from, guard);
        if self.pledges.is_some() && !disk::is_archived(&shelf.dir) {
            recording = recording.archived();
        }
        found.entries.iter().for_each(|entry| recording.play(entry));
        if ended && !recording.is_ended() {
            recording.play(&Entry::End);
        }
        tracing::info!(stream = %shelf.stream, %from, %newest, ended, "spool read");
        shelf.change(|place| *place = Some(recording));
        shelf.repaste(|album| *album = found.pictures);
        let shelf = Arc::new(shelf);
        let event = Event::found(Arc::clone(&shelf), found.sizes, found.journals);
        let event = event.with_cues(found.entries.iter().filter_map(cue).cloned());
        let event = if ended { event.closed() } else { event };
        let pledges = self.pledges.as_ref().filter(|_| !disk::is_archived(&shelf.dir));
        self.events.push(event.pledged(pledges));
        self.loaded.push(Loaded {
            shelf,
            entries: found.entries,
            from,
            parts,
            ended,
        });
        Ok(true)
    }
}

/// An event that nothing is added to any more, as it is on disk. Blocks on the disk.
pub(crate) fn past_event(dir: &Path, rule: Arc<Rule>) -> io::Result<Option<Shelf>> {
    let header = disk::read_header(dir)?;
    let (Ok(stream), Some(root)) = (StreamId::new(&header.stream), dir.parent().and_then(Path::parent))
    else {
        return Ok(None);
    };
    let mut found = find(dir)?;
    let Some((life, from)) = begin(&mut found) else {
        return Ok(None);
    };
    let Ok(guard) = Guard::new(Arc::clone(&rule), &life.hello) else {
        return Ok(None);
    };
    disown(&mut found, &life, &guard);
    let mut recording = Recording::new(life, from, guard).archived();
    found.entries.iter().for_each(|entry| recording.play(entry));
    if header.ended {
        recording.play(&Entry::End);
    }
    recording.cut_off();
    let shelf = Shelf::new(root, stream, Cell(header.event), rule).archived(true);
    shelf.change(|place| *place = Some(recording));
    Ok(Some(shelf))
}

/// Whether the live window, and then some, has passed since the newest cell was published. Both times are this
/// machine's.
fn is_stale(now_us: u64, available_us: u64, window: Duration, cell: Duration) -> bool {
    let age = Duration::from_micros(now_us.saturating_sub(available_us));
    age > (window + GRACE).min(cell * GRACE_CELLS)
}

fn past(dir: PathBuf) -> Past {
    let bytes = disk::list(&dir)
        .unwrap_or_default()
        .iter()
        .map(|(_, length)| length)
        .sum();
    let newest = fs::metadata(&dir).and_then(|meta| meta.modified());
    Past {
        dir,
        bytes,
        newest: newest.unwrap_or(UNIX_EPOCH),
    }
}

fn kept(entry: &Entry) -> Option<&Kept> {
    match entry {
        Entry::Cell(kept) => Some(kept),
        Entry::Life(_) | Entry::Cue(_) | Entry::End => None,
    }
}

fn life(entry: &Entry) -> Option<&Arc<Life>> {
    match entry {
        Entry::Life(life) => Some(life),
        Entry::Cell(_) | Entry::Cue(_) | Entry::End => None,
    }
}

fn cue(entry: &Entry) -> Option<&Cue> {
    match entry {
        Entry::Cue(cue) => Some(cue),
        Entry::Life(_) | Entry::Cell(_) | Entry::End => None,
    }
}

fn find(dir: &Path) -> io::Result<Found> {
    let (mut sizes, mut names, mut pictures) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (name, length) in disk::list(dir)? {
        match disk::named(&name) {
            Named::Segment(msn) => drop(sizes.insert(msn, length)),
            Named::Journal(first) => drop(names.insert(first, length)),
            Named::Picture(msn) => drop(pictures.insert(msn, length)),
            Named::Other => {}
        }
    }
    let (mut entries, mut spoilt) = (Vec::new(), 0);
    for (first, length) in &names {
        if *length > JOURNAL_BYTES_MAX {
            spoilt += length;
            continue;
        }
        let (more, bad) = codec::read(&fs::read(disk::journal(dir, *first))?.into());
        entries.extend(more);
        spoilt += bad;
    }
    Ok(Found {
        entries,
        sizes,
        journals: names.into_iter().collect(),
        pictures,
        spoilt,
    })
}

/// The life and the first cell that everything begins with. Cells whose files have had their time are dropped.
fn begin(found: &mut Found) -> Option<(Arc<Life>, Cell)> {
    let oldest = *found.sizes.keys().next()?;
    let mut grid = None;
    found.entries.retain(|entry| match entry {
        Entry::Life(life) => {
            grid = Some(life.hello.shape.grid);
            true
        }
        Entry::Cell(kept) => grid.is_some_and(|grid| grid.msn(kept.cell) >= oldest),
        Entry::Cue(_) | Entry::End => true,
    });
    // A ladder of which no cell is here has not begun.
    let end = found.entries.iter().rposition(|entry| life(entry).is_none())?;
    found.entries.truncate(end + 1);
    let first = found.entries.iter().position(|entry| kept(entry).is_some())?;
    let from = found.entries.get(first).and_then(kept)?.cell;
    let life = found.entries.get(..first)?.iter().rev().find_map(life)?;
    Some((Arc::clone(life), from))
}

/// Turns cells into gaps that are under other keys than those of now. Returns how many.
fn disown(found: &mut Found, life: &Life, guard: &Guard) -> u64 {
    let grid = life.hello.shape.grid;
    let mut strange = 0;
    for entry in &mut found.entries {
        let Entry::Cell(kept) = entry else { continue };
        if kept.seal != guard.seal(grid.msn(kept.cell)) {
            strange += 1;
            kept.shares.fill((Share::Gap, None));
        }
    }
    strange
}

type Parts = BTreeMap<Cell, (u64, Vec<Option<Bytes>>)>;

/// Turns shares into gaps whose bytes are not there, and reads those from `live` on. Returns how many were lost.
fn verify(dir: &Path, found: &mut Found, life: &Life, live: Cell) -> (Parts, u64) {
    let grid = life.hello.shape.grid;
    let (mut parts, mut lost, mut open): (Parts, u64, Option<(Msn, File)>) = (Parts::new(), 0, None);
    let sizes = &found.sizes;
    for entry in &mut found.entries {
        let Entry::Cell(kept) = entry else { continue };
        let msn = grid.msn(kept.cell);
        let length = sizes.get(&msn).copied().unwrap_or(0);
        let is_live = kept.cell >= live;
        if is_live && open.as_ref().is_none_or(|(is, _)| *is != msn) {
            open = File::open(disk::segment(dir, msn)).ok().map(|file| (msn, file));
        }
        let mut bytes = Vec::with_capacity(kept.shares.len());
        for share in &mut kept.shares {
            let Some(extent) = share.1 else {
                bytes.push(None);
                continue;
            };
            let there = extent.offset + u64::from(extent.length) <= length;
            let read = open.as_ref().filter(|_| is_live);
            let read = read.and_then(|(_, file)| shelf::part(file, length, &extent).ok());
            if !there || (is_live && read.is_none()) {
                lost += 1;
                *share = (Share::Gap, None);
            }
            bytes.push(read);
        }
        if is_live {
            parts.insert(kept.cell, (kept.available_us, bytes));
        }
    }
    (parts, lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_gone_on_with_while_its_gap_can_be_filled() {
        let window = Duration::from_secs(60);
        let stale = |age_s: u64, cell_ms| {
            let now_us: u64 = 1 << 50;
            is_stale(
                now_us,
                now_us - age_s * 1_000_000,
                window,
                Duration::from_millis(cell_ms),
            )
        };
        assert_eq!([89, 91].map(|age| stale(age, 500)), [false, true]);
        assert_eq!(
            [23, 25].map(|age| stale(age, 50)),
            [false, true],
            "fewer seconds of short cells"
        );
        assert!(
            !is_stale(5, 9, window, Duration::from_millis(500)),
            "a clock that was set back"
        );
    }
}
