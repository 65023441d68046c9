//! The spool's thread: which event a cell belongs to, and what goes for want of time or room. An event's failures are its
//! own and pass by themselves.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hls::id::Msn;

use super::event::Event;
use super::queue::{Job, Order, Orders, Warnings};
use crate::archive::Pledges;
use crate::metrics::SpoolMeter;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::codec;
    use crate::spool::disk;
    use crate::spool::entry::{Entry, Life};
    use crate::spool::samples::{cue, life};
    use crate::spool::shelf::Shelf;
    use hls::id::Cell;
    use hls::id::StreamId;
    use hls::timeline::Share;
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
            pictures: Vec::new(),
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
