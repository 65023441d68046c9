//! One event's files, as they are written: bytes of segments, journals of cells, and what is removed again.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use feed::Cue;
use hls::id::{Cell, Msn};
use hls::timeline::Share;

use super::codec;
use super::disk::{self, Header};
use super::entry::{Entry, Extent, Kept, Life};
use super::queue::Job;
use super::shelf::Shelf;
use crate::archive::Pledges;

/// Segments after which a journal is followed by another, so that old ones can go.
const JOURNAL_SEGMENTS: u64 = 256;
/// Cues said again at the head of each journal: the breaks that may be on.
const CUES_MAX: usize = 64;

/// An event that is being written.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) shelf: Arc<Shelf>,
    journal: Option<File>,
    /// First cell and length of each journal, oldest first.
    journals: VecDeque<(Cell, u64)>,
    /// Where a new journal begins although the last one has room: that was left by another process.
    fresh: bool,
    /// The life the open journal is in.
    said: Option<Arc<Life>>,
    cues: VecDeque<Cue>,
    segment: Option<Segment>,
    pub(super) sizes: BTreeMap<Msn, u64>,
    /// Sum of them.
    held: u64,
    /// Segments before it stay for the archive alone.
    kept_from: Msn,
    pub(super) pledges: Option<Arc<Pledges>>,
    described: bool,
    pub(super) closed: bool,
    pub(super) failing: bool,
}

#[derive(Debug)]
struct Segment {
    msn: Msn,
    file: File,
    length: u64,
}

impl Event {
    pub(super) fn new(shelf: Arc<Shelf>) -> Self {
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
    pub(super) fn backlog(&self) -> u64 {
        self.sizes.range(..self.kept_from).map(|(_, bytes)| bytes).sum()
    }

    /// The oldest chunk of those goes.
    pub(super) fn give_up(&mut self) -> bool {
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
    pub(super) fn cut_off(&self) {
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

    pub(super) fn bytes(&self) -> u64 {
        let journals: u64 = self.journals.iter().map(|(_, bytes)| bytes).sum();
        journals + self.held + self.shelf.picture_bytes()
    }

    /// Pictures of segments; one that the disk does not take is not missed.
    fn paste(&self, job: &Job) {
        for (msn, jpeg) in &job.pictures {
            match disk::write_picture(&self.shelf.dir, *msn, jpeg) {
                Ok(()) => {
                    let length = jpeg.len() as u64;
                    self.shelf.repaste(|album| album.insert(*msn, length));
                }
                Err(error) => {
                    tracing::debug!(stream = %self.shelf.stream, %msn, %error, "a thumbnail is not on disk");
                }
            }
        }
    }

    fn resize(&mut self, msn: Msn, bytes: u64) {
        let before = self.sizes.insert(msn, bytes).unwrap_or(0);
        self.held = self.held.saturating_sub(before).saturating_add(bytes);
    }

    pub(super) fn newest_segment(&self) -> Option<Msn> {
        self.sizes.keys().next_back().copied()
    }

    fn hold(&mut self, cue: Cue) {
        self.cues.push_back(cue);
        if self.cues.len() > CUES_MAX {
            self.cues.pop_front();
        }
    }

    pub(super) fn start(&self) -> Option<Duration> {
        self.shelf.change(|recording| recording.as_ref()?.start())
    }

    /// Writes a cell; where that fails, the next one finds out by itself what of the event is still there.
    pub(super) fn keep(&mut self, job: &Job) -> io::Result<()> {
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
        self.paste(job);
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
    pub(super) fn close(&mut self) -> io::Result<()> {
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
    pub(super) fn outgrow(&mut self, keep: Duration) {
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
    pub(super) fn shorten(&mut self) -> bool {
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
        let torn = self.shelf.repaste(|album| {
            let rest = album.split_off(&kept);
            std::mem::replace(album, rest)
        });
        for msn in torn.into_keys() {
            remove(&disk::picture(&self.shelf.dir, msn));
        }
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
