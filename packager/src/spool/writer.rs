//! The spool's thread: files appended to, and old ones removed. An event's failures are its own and pass by themselves.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::BytesMut;
use feed::Cue;
use hls::id::{Cell, Msn};
use hls::timeline::Share;

use super::codec;
use super::disk::{self, Header};
use super::entry::{Entry, Extent, Kept, Life};
use super::queue::{Job, Order, Orders, Warnings};
use super::shelf::Shelf;
use crate::archive::Pledges;
use crate::metrics::SpoolMeter;

/// Segments after which a journal is followed by another, so that old ones can go.
const JOURNAL_SEGMENTS: u64 = 256;
/// Cues said again at the head of each journal: the breaks that may be on.
const CUES_MAX: usize = 64;
/// How often old events are looked after where nothing is published.
const TICK: Duration = Duration::from_secs(1);

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Of an event, before its newest segment.
    pub(crate) keep: Duration,
    /// Of everything below `events`, but for what only waits for the archive.
    pub(crate) bytes_max: u64,
    /// Of that.
    pub(crate) backlog_bytes: u64,
}

pub(super) struct Writer {
    pub(super) bounds: Bounds,
    pub(super) meter: SpoolMeter,
    /// The newest event of each stream.
    pub(super) events: Vec<Event>,
    /// Earlier ones.
    pub(super) past: Vec<Past>,
    /// The bound on bytes is in force now; said once.
    pub(super) shortened: bool,
    pub(super) warnings: Warnings,
    /// What the archive has yet to take; none where there is no archive.
    pub(super) pledges: Option<Arc<Pledges>>,
    /// Held for as long as this writes.
    pub(super) _lock: File,
}

/// An event that nothing is added to.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) dir: PathBuf,
    pub(super) bytes: u64,
    /// When it was last written.
    pub(super) newest: SystemTime,
}

/// An event that is being written.
#[derive(Debug)]
pub(super) struct Event {
    shelf: Arc<Shelf>,
    journal: Option<File>,
    /// First cell and length of each journal, oldest first.
    journals: VecDeque<(Cell, u64)>,
    /// Where a new journal begins although the last one has room: that was left by another process.
    fresh: bool,
    /// The life the open journal is in.
    said: Option<Arc<Life>>,
    cues: VecDeque<Cue>,
    segment: Option<Segment>,
    sizes: BTreeMap<Msn, u64>,
    /// Sum of them.
    held: u64,
    /// Segments before it stay for the archive alone.
    kept_from: Msn,
    pledges: Option<Arc<Pledges>>,
    described: bool,
    closed: bool,
    failing: bool,
}

#[derive(Debug)]
struct Segment {
    msn: Msn,
    file: File,
    length: u64,
}

impl Writer {
    pub(super) fn run(mut self, orders: &Orders) {
        loop {
            match orders.next(TICK) {
                Order::Keep(job) => self.keep(*job),
                Order::Look => self.look(),
                Order::Stop => break self.look(),
            }
        }
    }

    fn keep(&mut self, job: Job) {
        let at = match self
            .events
            .iter()
            .position(|event| Arc::ptr_eq(&event.shelf, &job.shelf))
        {
            Some(at) => at,
            None => self.begin(&job),
        };
        let Some(event) = self.events.get_mut(at) else {
            return;
        };
        let before = event.newest_segment();
        match event.keep(&job) {
            Ok(()) => {
                self.meter.kept.increment(1);
                if std::mem::take(&mut event.failing) {
                    tracing::debug!(stream = %job.shelf.stream, cell = %job.cell, "the spool goes on");
                }
            }
            Err(error) => {
                self.meter.left_out_io.increment(1);
                if !std::mem::replace(&mut event.failing, true) && self.warnings.may(Instant::now()) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(stream = %job.shelf.stream, cell = %job.cell, error, "cells are left out of the spool");
                }
            }
        }
        let full = event.failing;
        if event.newest_segment() != before || full {
            event.outgrow(self.bounds.keep);
            self.bound();
            if let Some(pledges) = &self.pledges {
                pledges.tell();
            }
        }
    }

    /// A new event; the one before of its stream is past.
    fn begin(&mut self, job: &Job) -> usize {
        let gone = self
            .events
            .iter()
            .position(|event| event.shelf.stream == job.shelf.stream);
        if let Some(gone) = gone {
            let event = self.events.swap_remove(gone);
            event.cut_off();
            self.past.push(Past {
                bytes: event.bytes(),
                dir: event.shelf.dir.clone(),
                newest: SystemTime::now(),
            });
        }
        let event = Event::new(Arc::clone(&job.shelf));
        self.events.push(event.pledged(self.pledges.as_ref()));
        self.events.len() - 1
    }

    fn look(&mut self) {
        for event in self
            .events
            .iter_mut()
            .filter(|event| event.shelf.is_over() && !event.closed)
        {
            if let Err(error) = event.close() {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(stream = %event.shelf.stream, error, "the end of an event is not on disk");
            }
            if let Some(pledges) = &event.pledges {
                pledges.close(&event.shelf.dir);
            }
        }
        self.bound();
    }

    fn bound(&mut self) {
        let now = SystemTime::now();
        let keep = self.bounds.keep;
        let old = |past: &Past| now.duration_since(past.newest).unwrap_or_default() > keep;
        let pledges = self.pledges.as_ref();
        self.past
            .retain(|past| !old(past) || past.is_pledged(pledges) || !remove_all(past));
        let mut shortened = false;
        while self.bytes().saturating_sub(self.backlog()) > self.bounds.bytes_max {
            shortened = true;
            if !self.give_way() {
                break;
            }
        }
        if shortened && !self.shortened {
            tracing::warn!(
                bytes = self.bytes(),
                "packager.dvr.bytes_max is reached: the oldest segments go before their time"
            );
        }
        self.shortened = shortened || (self.shortened && self.bytes() > self.bounds.bytes_max / 10 * 9);
        while self.backlog() > self.bounds.backlog_bytes && self.give_up() {}
        let (bytes, backlog) = (self.bytes(), self.backlog());
        #[expect(clippy::cast_precision_loss, reason = "gauges")]
        {
            self.meter.bytes.set(bytes as f64);
            self.meter.backlog_bytes.set(backlog as f64);
        }
    }

    fn bytes(&self) -> u64 {
        let events: u64 = self.events.iter().map(Event::bytes).sum();
        events + self.past.iter().map(|past| past.bytes).sum::<u64>()
    }

    /// What stays for the archive alone.
    fn backlog(&self) -> u64 {
        let pledges = self.pledges.as_ref();
        let past = self.past.iter().filter(|past| past.is_pledged(pledges));
        let events: u64 = self.events.iter().map(Event::backlog).sum();
        events + past.map(|past| past.bytes).sum::<u64>()
    }

    /// The oldest that waits for the archive goes; false where there is none.
    fn give_up(&mut self) -> bool {
        self.meter.given_up.increment(1);
        if self.warnings.may(Instant::now()) {
            tracing::error!(
                "packager.archive.backlog_bytes is reached: the oldest is given up, and the archive has a hole"
            );
        }
        let pledges = self.pledges.as_ref();
        let past = self
            .past
            .iter()
            .enumerate()
            .filter(|(_, past)| past.is_pledged(pledges));
        let oldest = past.min_by_key(|(_, past)| past.newest).map(|(at, _)| at);
        if let Some(at) = oldest {
            let past = self.past.swap_remove(at);
            if let Some(pledges) = pledges {
                pledges.advance(&past.dir, Msn(u64::MAX));
            }
            remove_all(&past);
            return true;
        }
        let mut events: Vec<&mut Event> = self
            .events
            .iter_mut()
            .filter(|event| event.backlog() > 0)
            .collect();
        events.sort_by_key(|event| event.sizes.keys().next().copied());
        events.into_iter().next().is_some_and(Event::give_up)
    }

    /// The oldest of all goes; false where there is nothing left that may.
    fn give_way(&mut self) -> bool {
        self.meter.shortened.increment(1);
        let pledges = self.pledges.as_ref();
        let free = self
            .past
            .iter()
            .enumerate()
            .filter(|(_, past)| !past.is_pledged(pledges));
        let oldest = free.min_by_key(|(_, past)| past.newest).map(|(at, _)| at);
        if let Some(at) = oldest {
            let past = self.past.swap_remove(at);
            remove_all(&past);
            return true;
        }
        let mut events: Vec<&mut Event> = self.events.iter_mut().collect();
        events.sort_by_key(|event| event.start());
        events.into_iter().any(Event::shorten)
    }
}

/// Bytes up to the end of a part's key frame; 0 where it has none that can be told.
fn frame(share: &Share, bytes: &[u8]) -> u32 {
    let opens = matches!(
        share,
        Share::Media {
            independent: true,
            ..
        }
    );
    let end = opens.then(|| cmaf::read::first_sample(bytes).ok()).flatten();
    end.and_then(|end| u32::try_from(end).ok()).unwrap_or(0)
}

impl Past {
    /// Whether the archive has yet to take something of it.
    fn is_pledged(&self, pledges: Option<&Arc<Pledges>>) -> bool {
        pledges.is_some_and(|pledges| pledges.from(&self.dir).is_some_and(|from| from < Msn(u64::MAX)))
    }
}

/// False where it could not be removed; it is then counted on.
fn remove_all(past: &Past) -> bool {
    match fs::remove_dir_all(&past.dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(dir = %past.dir.display(), %error, "not removed");
            false
        }
        Ok(()) | Err(_) => true,
    }
}

impl Event {
    fn new(shelf: Arc<Shelf>) -> Self {
        Self::found(shelf, BTreeMap::new(), VecDeque::new())
    }

    /// One that an earlier process has written.
    pub(super) fn found(
        shelf: Arc<Shelf>,
        sizes: BTreeMap<Msn, u64>,
        journals: VecDeque<(Cell, u64)>,
    ) -> Self {
        Self {
            shelf,
            journal: None,
            journals,
            fresh: true,
            said: None,
            cues: VecDeque::new(),
            segment: None,
            held: sizes.values().sum(),
            sizes,
            kept_from: Msn(0),
            pledges: None,
            described: false,
            closed: false,
            failing: false,
        }
    }

    /// The same where the archive is promised what it has not taken yet.
    pub(super) fn pledged(self, pledges: Option<&Arc<Pledges>>) -> Self {
        if let Some(pledges) = pledges {
            pledges.open(&self.shelf.dir, Some(&self.shelf));
            if self.closed {
                pledges.close(&self.shelf.dir);
            }
        }
        Self {
            pledges: pledges.cloned(),
            ..self
        }
    }

    /// First segment that the archive has yet to take.
    fn needed(&self) -> Option<Msn> {
        self.pledges.as_ref()?.from(&self.shelf.dir)
    }

    /// Bytes that stay for the archive alone.
    fn backlog(&self) -> u64 {
        self.sizes.range(..self.kept_from).map(|(_, bytes)| bytes).sum()
    }

    /// The oldest chunk of those goes.
    fn give_up(&mut self) -> bool {
        let Some(oldest) = self.sizes.keys().next() else {
            return false;
        };
        let until = Msn(oldest.0 + hls::playlist::SEGMENTS_PER_CHUNK).min(self.kept_from);
        if let Some(pledges) = &self.pledges {
            pledges.advance(&self.shelf.dir, until);
        }
        self.remove_before(until);
        true
    }

    /// Another event of its stream has begun, and nothing will be added to this one.
    fn cut_off(&self) {
        let Some(pledges) = &self.pledges else { return };
        self.shelf.change(|recording| {
            if let Some(recording) = recording {
                recording.cut_off();
            }
        });
        pledges.close(&self.shelf.dir);
    }

    /// The same for one that is over.
    pub(super) fn closed(self) -> Self {
        Self { closed: true, ..self }
    }

    /// Cues of the last journal, for the next one.
    pub(super) fn with_cues(mut self, cues: impl IntoIterator<Item = Cue>) -> Self {
        cues.into_iter().for_each(|cue| self.hold(cue));
        self
    }

    fn bytes(&self) -> u64 {
        let journals: u64 = self.journals.iter().map(|(_, bytes)| bytes).sum();
        journals + self.held
    }

    fn resize(&mut self, msn: Msn, bytes: u64) {
        let before = self.sizes.insert(msn, bytes).unwrap_or(0);
        self.held = self.held.saturating_sub(before).saturating_add(bytes);
    }

    fn newest_segment(&self) -> Option<Msn> {
        self.sizes.keys().next_back().copied()
    }

    fn hold(&mut self, cue: Cue) {
        self.cues.push_back(cue);
        if self.cues.len() > CUES_MAX {
            self.cues.pop_front();
        }
    }

    fn start(&self) -> Option<Duration> {
        self.shelf.change(|recording| recording.as_ref()?.start())
    }

    /// Writes a cell; where that fails, the next one finds out by itself what of the event is still there.
    fn keep(&mut self, job: &Job) -> io::Result<()> {
        let kept = self.write(job);
        if kept.is_err() {
            // What of the journal is on disk is not known: the next record says everything again.
            (self.described, self.journal, self.said) = (false, None, None);
        }
        kept
    }

    /// Bytes first, then the journal. What fails leaves nothing that is taken for a cell.
    fn write(&mut self, job: &Job) -> io::Result<()> {
        self.describe(&job.life, false)?;
        let kept = match self.payload(job) {
            Ok(kept) => kept,
            Err(error) => {
                self.take_back();
                return Err(error);
            }
        };
        let mut entries: Vec<Entry> = job.cues.iter().cloned().map(Entry::Cue).collect();
        entries.push(Entry::Cell(kept));
        self.journal(job, &entries)?;
        job.cues.iter().for_each(|cue| self.hold(cue.clone()));
        self.shelf.change(|recording| {
            if recording.is_none() {
                *recording = self.shelf.recording(&job.life, job.cell);
            }
            let Some(recording) = recording else { return };
            recording.play(&Entry::Life(Arc::clone(&job.life)));
            entries.iter().for_each(|entry| recording.play(entry));
        });
        Ok(())
    }

    fn describe(&mut self, life: &Life, ended: bool) -> io::Result<()> {
        if self.described && !ended {
            return Ok(());
        }
        disk::make_dir(&self.shelf.dir)?;
        let shape = &life.hello.shape;
        let header = Header {
            version: disk::VERSION,
            stream: self.shelf.stream.to_string(),
            event: self.shelf.event.0,
            cell_s: shape.grid.cell_duration().as_secs_f64(),
            segment_s: shape.grid.cell_duration().as_secs_f64() * f64::from(shape.grid.segment_parts()),
            tracks: shape.tracks.iter().map(|track| track.id.to_string()).collect(),
            ended,
        };
        disk::write_header(&self.shelf.dir, &header)?;
        self.described = true;
        Ok(())
    }

    fn payload(&mut self, job: &Job) -> io::Result<Kept> {
        let msn = job.life.hello.shape.grid.msn(job.cell);
        if self.segment.as_ref().is_none_or(|open| open.msn != msn) {
            let (file, length) = disk::append(&disk::segment(&self.shelf.dir, msn))?;
            self.segment = Some(Segment { msn, file, length });
        }
        let open = self
            .segment
            .as_mut()
            .ok_or_else(|| io::Error::other("no segment is open"))?;
        let mut offset = open.length;
        let mut shares = Vec::with_capacity(job.parts.len());
        for ((share, bytes), track) in job.parts.iter().zip(&job.life.hello.shape.tracks) {
            let Some(bytes) = bytes else {
                shares.push((Share::Gap, None));
                continue;
            };
            open.file.write_all(bytes)?;
            let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
            let sum = crc32c::crc32c(bytes);
            let frame = if track.is_video() { frame(share, bytes) } else { 0 };
            shares.push((
                *share,
                Some(Extent {
                    offset,
                    length,
                    sum,
                    frame,
                }),
            ));
            offset += u64::from(length);
        }
        open.length = offset;
        self.resize(msn, offset);
        Ok(Kept {
            cell: job.cell,
            available_us: job.available_us,
            seal: job.seal,
            shares,
        })
    }

    /// Cuts off what a write that failed has left, and opens the file anew next time.
    fn take_back(&mut self) {
        let Some(open) = self.segment.take() else { return };
        // Where not even that works, it stays as bytes that no cell names.
        let _left = open.file.set_len(open.length);
    }

    fn journal(&mut self, job: &Job, entries: &[Entry]) -> io::Result<()> {
        let grid = &job.life.hello.shape.grid;
        let long = |first: Cell| grid.msn(job.cell).0.saturating_sub(grid.msn(first).0) >= JOURNAL_SEGMENTS;
        let last = self.journals.back().map(|(first, _)| *first);
        let anew = self.fresh || last.is_none_or(long);
        if anew {
            (self.journal, self.said) = (None, None);
        }
        let first = last.filter(|_| !anew).unwrap_or(job.cell);
        let mut out = BytesMut::new();
        if self.said.as_ref() != Some(&job.life) {
            codec::put(&Entry::Life(Arc::clone(&job.life)), &mut out);
        }
        if self.said.is_none() {
            let cues = self.cues.iter().cloned().map(Entry::Cue);
            cues.for_each(|entry| codec::put(&entry, &mut out));
        }
        entries.iter().for_each(|entry| codec::put(entry, &mut out));
        self.append(first, &out)?;
        self.fresh = false;
        self.said = Some(Arc::clone(&job.life));
        Ok(())
    }

    fn append(&mut self, first: Cell, bytes: &[u8]) -> io::Result<()> {
        let mut file = match self.journal.take() {
            Some(file) => file,
            None => disk::append(&disk::journal(&self.shelf.dir, first))?.0,
        };
        file.write_all(bytes)?;
        match self.journals.back_mut().filter(|(last, _)| *last == first) {
            Some((_, length)) => *length += bytes.len() as u64,
            None => self.journals.push_back((first, bytes.len() as u64)),
        }
        self.journal = Some(file);
        Ok(())
    }

    /// The event is over.
    fn close(&mut self) -> io::Result<()> {
        self.closed = true;
        let Some(life) = self
            .shelf
            .change(|recording| Some(Arc::clone(recording.as_ref()?.life())))
        else {
            return Ok(());
        };
        self.shelf.change(|recording| {
            if let Some(recording) = recording {
                recording.play(&Entry::End);
            }
        });
        let mut out = BytesMut::new();
        codec::put(&Entry::End, &mut out);
        if let Some((first, _)) = self.journals.back().copied() {
            self.append(first, &out)?;
        }
        self.describe(&life, true)
    }

    /// What is older than `keep` is listed no more, and goes a chunk later.
    fn outgrow(&mut self, keep: Duration) {
        let needed = self.needed();
        let kept = self.shelf.change(|recording| {
            let recording = recording.as_mut()?;
            while recording.outgrows(keep) && recording.trim(needed) {}
            recording.first()
        });
        if let Some(first) = kept {
            // Those who have the playlist of a moment ago may still fetch what it lists.
            self.leave(Msn(first.0.saturating_sub(hls::playlist::SEGMENTS_PER_CHUNK)));
        }
    }

    /// What is before `kept` goes, unless the archive has yet to take it.
    fn leave(&mut self, kept: Msn) {
        self.kept_from = self.kept_from.max(kept);
        let kept = self
            .needed()
            .map_or(self.kept_from, |needed| needed.min(self.kept_from));
        self.shelf.change(|recording| {
            if let Some(recording) = recording {
                recording.forget(kept);
            }
        });
        self.remove_before(kept);
    }

    /// The oldest chunk goes at once; false where it is the only one.
    fn shorten(&mut self) -> bool {
        let needed = self.needed();
        let kept = self.shelf.change(|recording| {
            let recording = recording.as_mut()?;
            let trimmed = recording.trim(needed);
            recording.first().filter(|_| trimmed)
        });
        if let Some(kept) = kept {
            self.leave(kept);
        }
        kept.is_some()
    }

    fn remove_before(&mut self, kept: Msn) {
        let rest = self.sizes.split_off(&kept);
        let gone = std::mem::replace(&mut self.sizes, rest);
        if gone.is_empty() {
            return;
        }
        for msn in gone.into_keys() {
            remove(&disk::segment(&self.shelf.dir, msn));
        }
        self.held = self.sizes.values().sum();
        let grid = self
            .shelf
            .change(|recording| Some(recording.as_ref()?.shape().grid));
        let Some(cell) = grid.map(|grid| grid.first_cell(kept)) else {
            return;
        };
        while self.journals.get(1).is_some_and(|(first, _)| *first <= cell) {
            if let Some((first, _)) = self.journals.pop_front() {
                remove(&disk::journal(&self.shelf.dir, first));
            }
        }
    }
}

fn remove(path: &std::path::Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "not removed");
        }
        Ok(()) | Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::samples::{cue, life};
    use hls::id::StreamId;
    use std::path::Path;

    const FIRST: u64 = 160_000_000;

    fn writer(root: &Path, keep_s: u64) -> Writer {
        Writer {
            bounds: Bounds {
                keep: Duration::from_secs(keep_s),
                bytes_max: u64::MAX,
                backlog_bytes: u64::MAX,
            },
            meter: SpoolMeter::new(),
            events: Vec::new(),
            past: Vec::new(),
            shortened: false,
            warnings: Warnings::default(),
            pledges: None,
            _lock: disk::lock(root).unwrap(),
        }
    }

    fn shelf(root: &Path, event: u64) -> Arc<Shelf> {
        let stream = StreamId::new("main").unwrap();
        Arc::new(Shelf::new(root, stream, Cell(event), Arc::default()))
    }

    fn job(shelf: &Arc<Shelf>, life: &Arc<Life>, cell: u64) -> Job {
        let share = Share::Media {
            duration: Duration::from_millis(500),
            independent: true,
            offset: Duration::ZERO,
        };
        Job {
            shelf: Arc::clone(shelf),
            life: Arc::clone(life),
            cues: if cell == FIRST {
                vec![cue("spot")]
            } else {
                Vec::new()
            },
            cell: Cell(cell),
            seal: None,
            available_us: 0,
            parts: vec![(share, Some("bytes".into())); 2],
        }
    }

    fn names(dir: &Path, prefix: &str) -> Vec<u64> {
        let listed = disk::list(dir).unwrap();
        let mut found: Vec<u64> = listed
            .iter()
            .filter_map(|(name, _)| name.strip_prefix(prefix)?.parse().ok())
            .collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn what_is_older_than_the_hours_kept_goes_a_chunk_later() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, shelf) = (writer(dir.path(), 300), shelf(dir.path(), FIRST));
        let life = Arc::new(life(Cell(FIRST)));
        for cell in FIRST..FIRST + 4 * 800 {
            writer.keep(job(&shelf, &life, cell));
        }
        // 150 segments and up to a chunk more are listed, and a chunk more is there.
        let segments = names(&shelf.dir, "seg-");
        let listed = shelf.change(|recording| recording.as_ref().unwrap().first().unwrap());
        assert_eq!(
            segments.len() as u64,
            segments[segments.len() - 1] - segments[0] + 1
        );
        assert!((150..=150 + 32).contains(&(40_000_800 - listed.0)), "{listed}");
        assert_eq!(segments[0], listed.0 - 32);
        let journals = names(&shelf.dir, "journal-");
        assert_eq!(
            journals,
            [FIRST + 4 * 512, FIRST + 4 * 768],
            "each begins 256 segments after the one before"
        );
        let on_disk: u64 = disk::list(&shelf.dir)
            .unwrap()
            .iter()
            .map(|(_, length)| length)
            .sum();
        let header = fs::metadata(shelf.dir.join(disk::HEADER)).unwrap().len();
        assert_eq!(writer.bytes(), on_disk - header);
        // A journal is read by itself, so it says again what may still be on.
        let text = fs::read(disk::journal(&shelf.dir, Cell(journals[1]))).unwrap();
        let entries = codec::read(&text.into()).0;
        assert_eq!(entries[..2], [Entry::Life(life), Entry::Cue(cue("spot"))]);
    }

    #[test]
    fn an_earlier_event_goes_after_the_hours_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path(), 300);
        let [old, new] = [FIRST, FIRST + 400].map(|event| shelf(dir.path(), event));
        writer.keep(job(&old, &Arc::new(life(Cell(FIRST))), FIRST));
        writer.keep(job(&new, &Arc::new(life(Cell(FIRST + 400))), FIRST + 400));
        writer.look();
        assert!(old.dir.exists() && writer.past.len() == 1);
        writer.past[0].newest -= Duration::from_secs(301);
        writer.look();
        assert!(!old.dir.exists() && new.dir.exists() && writer.past.is_empty());
    }

    #[test]
    fn a_directory_that_is_taken_away_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, shelf) = (writer(dir.path(), 300), shelf(dir.path(), FIRST));
        let life = Arc::new(life(Cell(FIRST)));
        (FIRST..FIRST + 8).for_each(|cell| writer.keep(job(&shelf, &life, cell)));
        fs::remove_dir_all(&shelf.dir).unwrap();
        (FIRST + 8..FIRST + 40).for_each(|cell| writer.keep(job(&shelf, &life, cell)));
        assert!(!writer.events[0].failing);
        assert!(shelf.dir.join(disk::HEADER).exists());
        assert_eq!(names(&shelf.dir, "journal-"), [FIRST]);
        assert!(names(&shelf.dir, "seg-").ends_with(&[40_000_008, 40_000_009]));
    }
}
