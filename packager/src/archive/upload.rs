//! One event on its way to the store: segment by segment, bytes before the playlists that name them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hls::id::{Msn, TrackId};
use hls::path::{Object, Vod};
use hls::playlist::{Dvr, Kind as Form, Segment, Whole};
use hls::time::date_time;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::journal::{Journal, Line, Written};
use super::pledge::Pledges;
use super::record::{self, Record};
use super::store::{Kind, Store};
use crate::machine::Described;
use crate::metrics::ArchiveMeter;
use crate::spool::{Due, Life, Lost, Shelf, disk};
use crate::window::unix_us;

/// Segments that playlists list: a week of 2 s. Older ones of an event that goes on stay in the store unlisted.
const SEGMENTS_MAX: u64 = 302_400;
/// Longest hole that is listed as gaps, segments: a day of 2 s.
const HOLE_MAX: u64 = 43_200;
/// Date ranges listed; beyond it the oldest are not.
const DATES_MAX: usize = 1_024;
/// Readings of a segment before it is taken for lost.
const READS: u32 = 3;
/// How soon a disk that failed is tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// How often is looked for what nobody has told of.
const LOOK: Duration = Duration::from_secs(1);

/// What all uploads share.
pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) pledges: Arc<Pledges>,
    pub(super) permits: Arc<Semaphore>,
    pub(super) meter: ArchiveMeter,
    pub(super) refresh: Duration,
}

/// An event's recording as far as the store has it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// By track.
    pub(super) lists: Vec<(TrackId, Dvr)>,
    /// EXT-X-DATERANGE lines, by id.
    dates: Vec<(String, String)>,
    next: Option<Msn>,
    bytes: u64,
    objects: u64,
    gaps: u64,
}

/// The same, shared with those who make clips of it.
pub(super) type Roll = Arc<Mutex<Progress>>;

/// One event's upload.
pub(super) struct Upload {
    pub(super) shared: Arc<Shared>,
    pub(super) dir: PathBuf,
    pub(super) shelf: Arc<Shelf>,
    pub(super) roll: Roll,
}

/// Why an upload ends before the event does.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the event's directory cannot be written")]
    Io(#[from] std::io::Error),
    #[error("the event's directory is gone")]
    Gone,
}

/// What became of one track's segment.
#[derive(Debug, Default)]
struct Stored {
    bytes: u64,
    objects: u64,
    is_lost: bool,
}

impl Progress {
    /// A playlist's text; none while it is too short to be shown.
    pub(super) fn text(&self, list: &Dvr) -> Option<String> {
        let text = list.render(&[], Form::Stored)?;
        let Some((head, rest)) = text.split_once("#EXT-X-DISCONTINUITY-SEQUENCE:") else {
            return Some(text);
        };
        let (sequence, body) = rest.split_once('\n')?;
        let dates: String = self.dates.iter().map(|(_, line)| line.as_str()).collect();
        Some(format!(
            "{head}#EXT-X-DISCONTINUITY-SEQUENCE:{sequence}\n{dates}{body}"
        ))
    }

    fn begin(&mut self, life: &Life) {
        let target = life.hello.shape.grid.target_duration();
        let tracks = life.tracks().into_iter();
        self.lists = tracks.map(|track| (track, Dvr::new(target))).collect();
    }

    fn take(&mut self, line: &Line) {
        for ((_, list), written) in self.lists.iter_mut().zip(&line.tracks) {
            list.push_text(
                line.msn(),
                line.sequence,
                written.start(),
                written.end(),
                &written.text,
            );
        }
        self.count(line);
    }

    fn count(&mut self, line: &Line) {
        self.next = Some(line.msn().next());
        self.bytes += line.bytes;
        self.objects += line.objects;
        self.gaps += line.gaps();
        for (_, list) in &mut self.lists {
            while list
                .first()
                .is_some_and(|first| line.msn - first.0 > SEGMENTS_MAX)
                && list.second().is_some()
            {
                list.trim();
            }
        }
        for date in &line.dates {
            match self.dates.iter_mut().find(|(id, _)| *id == date.0) {
                Some(known) => known.clone_from(date),
                None => self.dates.push(date.clone()),
            }
        }
        let over = self.dates.len().saturating_sub(DATES_MAX);
        self.dates.drain(..over);
    }
}

impl Upload {
    /// Ends once all of the event is in the store, or when it is deleted.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        // Its directory is made with its first cell.
        let life = self.life().await;
        let (journal, lines) = self.journal().await?;
        let mut journal = Some(journal);
        {
            let mut roll = self.lock();
            roll.begin(&life);
            lines.iter().for_each(|line| roll.take(line));
        }
        let mut told = self.shared.pledges.watch();
        let (mut inits, mut shown) = (BTreeSet::new(), Shown::default());
        loop {
            let next = self.lock().next.unwrap_or_default();
            self.shared.pledges.advance(&self.dir, next);
            // What is asked first is answered for all that comes behind it.
            let is_past = self.shared.pledges.is_past(&self.dir) && self.shelf.is_ended();
            match self.shelf.due(next) {
                Some(due) => {
                    self.inits(&due, &mut inits).await;
                    journal = self.segment(&due, journal.take()).await?;
                    shown.is_behind = true;
                }
                None if is_past => break,
                None => {
                    // A change that is missed is found a moment later.
                    let _woken_or_late = timeout(LOOK, told.changed()).await;
                }
            }
            if !self.dir.exists() {
                return Err(Error::Gone);
            }
            if shown.is_due(self.shared.refresh) {
                self.show(&mut shown, false).await;
            }
        }
        self.lock().lists.iter_mut().for_each(|(_, list)| list.end());
        self.show(&mut shown, true).await;
        disk::set_archived(&self.dir)?;
        Ok(())
    }

    /// What the event's feed says of it; it may be a moment until that is on disk.
    async fn life(&self) -> Arc<Life> {
        loop {
            if let Some(life) = self.shelf.life() {
                return life;
            }
            sleep(LOOK / 4).await;
        }
    }

    /// What an earlier process has noted. While that cannot be read, nothing is known, so nothing is uploaded.
    async fn journal(&self) -> Result<(Journal, Vec<Line>), Error> {
        loop {
            let dir = self.dir.clone();
            let opened = tokio::task::spawn_blocking(move || Journal::open(&dir)).await;
            match opened.map_err(std::io::Error::other)? {
                Ok(opened) => return Ok(opened),
                Err(_) if !self.dir.exists() => return Err(Error::Gone),
                Err(error) => {
                    tracing::warn!(stream = %self.shelf.stream, %error, "what is in the archive cannot be read");
                    sleep(AGAIN).await;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, file: &str) -> String {
        let dir = record::dir(&self.shelf.stream, &Vod::Event(self.shelf.event));
        format!("{dir}/{file}")
    }

    /// The init segments that a segment needs, where they are not stored yet.
    async fn inits(&self, due: &Due, stored: &mut BTreeSet<String>) {
        let tracks: Vec<TrackId> = self.lock().lists.iter().map(|(track, _)| track.clone()).collect();
        for (track, segment) in tracks.iter().zip(&due.segments) {
            let name = self.name(&format!("{track}/{}", segment.map));
            let Some(Object::Init(hash)) = Object::parse(&segment.map).filter(|_| !stored.contains(&name))
            else {
                continue;
            };
            if let Some(bytes) = self.shelf.init(track, hash) {
                let video = self.shelf.kind(track).unwrap_or(true);
                self.put(&name, kind(video), vec![bytes]).await;
                self.lock().objects += 1;
                stored.insert(name);
            }
        }
    }

    async fn put(&self, name: &str, kind: Kind, chunks: Vec<Bytes>) {
        let _permit = self.shared.permits.acquire().await;
        self.shared.store.put(name, kind, chunks).await;
    }

    /// A segment of all tracks, and its line.
    async fn segment(&mut self, due: &Due, journal: Option<Journal>) -> Result<Option<Journal>, Error> {
        let mut lines = self.hole(due);
        let mut uploads = JoinSet::new();
        let tracks: Vec<TrackId> = self.lock().lists.iter().map(|(track, _)| track.clone()).collect();
        for (index, (track, segment)) in tracks.iter().zip(&due.segments).enumerate() {
            if segment.gap {
                continue;
            }
            let one = One {
                shared: Arc::clone(&self.shared),
                shelf: Arc::clone(&self.shelf),
                dir: self.dir.clone(),
                name: self.name(&format!("{track}/{}", Object::Segment(due.msn).uri())),
                track: track.clone(),
                msn: due.msn,
            };
            uploads.spawn(async move { (index, one.run().await) });
        }
        let mut segments = due.segments.clone();
        let (mut bytes, mut objects) = (0, 0);
        while let Some(ended) = uploads.join_next().await {
            let (index, stored) = ended.map_err(std::io::Error::other)?;
            (bytes, objects) = (bytes + stored.bytes, objects + stored.objects);
            if let Some(segment) = segments.get_mut(index) {
                segment.gap |= stored.is_lost;
            }
        }
        let mut line = self.write(due.msn, due.sequence, &segments);
        (line.bytes, line.objects, line.dates) = (bytes, objects, self.new_dates());
        lines.push(line);
        lines.iter().for_each(|line| self.lock().count(line));
        let Some(mut journal) = journal else {
            return Ok(None);
        };
        let written = tokio::task::spawn_blocking(move || {
            let written = lines.iter().try_for_each(|line| journal.add(line));
            (journal, written)
        });
        let (journal, written) = written.await.map_err(std::io::Error::other)?;
        if let Err(error) = written {
            // A line that is missing makes the next process upload from there on again.
            let error = &error as &dyn std::error::Error;
            tracing::warn!(stream = %self.shelf.stream, error, "what is in the archive is not noted");
            return Ok(None);
        }
        Ok(Some(journal))
    }

    fn write(&self, msn: Msn, sequence: u64, segments: &[Segment]) -> Line {
        let mut roll = self.lock();
        let lists = roll.lists.iter_mut().zip(segments);
        let tracks = lists.map(|((_, list), segment)| {
            let duration = segment
                .whole
                .as_ref()
                .map_or(Duration::ZERO, |whole| whole.duration);
            let text = list.push(msn, sequence, segment);
            Written::new(segment.start, segment.start + duration, text)
        });
        Line {
            msn: msn.0,
            sequence,
            tracks: tracks.collect(),
            bytes: 0,
            objects: 0,
            dates: Vec::new(),
        }
    }

    /// Segments that the spool does not have any more, as gaps; behind a hole that is too long the list begins anew.
    fn hole(&self, due: &Due) -> Vec<Line> {
        let next = self.lock().next;
        let missing = next.map_or(0, |next| due.msn.0.saturating_sub(next.0));
        if missing == 0 || missing > HOLE_MAX {
            return Vec::new();
        }
        let absent = |n: u64| {
            let back = due.msn.0 - n;
            let gap = |segment: &Segment| {
                let whole = segment
                    .whole
                    .as_ref()
                    .map_or(Duration::ZERO, |whole| whole.duration);
                let ago = whole.saturating_mul(u32::try_from(back).unwrap_or(u32::MAX));
                Segment {
                    whole: Some(Whole {
                        uri: Object::Segment(Msn(n)).uri(),
                        duration: whole,
                    }),
                    start: segment.start.saturating_sub(ago),
                    discontinuities: 0,
                    gap: true,
                    parts: Vec::new(),
                    ..segment.clone()
                }
            };
            let segments: Vec<Segment> = due.segments.iter().map(gap).collect();
            self.shared.meter.lost.increment(segments.len() as u64);
            self.write(Msn(n), due.sequence, &segments)
        };
        (due.msn.0 - missing..due.msn.0).map(absent).collect()
    }

    /// Date ranges that are not listed as they are now.
    fn new_dates(&self) -> Vec<(String, String)> {
        let now = self.shelf.dates();
        let roll = self.lock();
        let dated = now.iter().map(|range| (range.id.clone(), range.line()));
        dated.filter(|date| !roll.dates.contains(date)).collect()
    }

    /// Media playlists, then the one that names them, then what tells of the event.
    async fn show(&self, shown: &mut Shown, ended: bool) {
        let texts: Option<Vec<_>> = {
            let roll = self.lock();
            let lists = roll.lists.iter();
            lists
                .map(|(track, list)| Some((track.clone(), roll.text(list)?)))
                .collect()
        };
        let (Some(texts), Some(life)) = (texts, self.shelf.life()) else {
            return;
        };
        let kind = if ended {
            Kind::Whole
        } else {
            Kind::Playlist(self.shared.refresh)
        };
        for (track, text) in texts {
            let name = self.name(&format!("{track}/media.m3u8"));
            self.put(&name, kind, vec![text.into()]).await;
        }
        if let Ok(described) = Described::of(&life.hello) {
            let text = described.announced.render();
            if shown.index.as_ref() != Some(&text) || ended {
                let name = self.name("index.m3u8");
                self.put(&name, kind, vec![text.clone().into()]).await;
                shown.index = Some(text);
            }
        }
        let record = self.record(&life, ended);
        // A record of plain numbers and names always is JSON.
        if let Ok(json) = serde_json::to_vec_pretty(&record) {
            let name = record::name(&self.shelf.stream, self.shelf.event);
            self.put(&name, Kind::Json, vec![json.into()]).await;
        }
        (shown.at, shown.is_behind) = (Some(Instant::now()), false);
    }

    fn record(&self, life: &Life, ended: bool) -> Record {
        let roll = self.lock();
        let list = roll.lists.first().map(|(_, list)| list);
        let start = list.and_then(Dvr::start).unwrap_or_default();
        let length = list.map_or(Duration::ZERO, Dvr::reached).saturating_sub(start);
        Record {
            version: record::VERSION,
            stream: self.shelf.stream.to_string(),
            event: self.shelf.event.0,
            started: date_time(start),
            tracks: life.tracks().iter().map(TrackId::to_string).collect(),
            length_s: length.as_secs_f64(),
            bytes: roll.bytes,
            objects: roll.objects,
            gaps: roll.gaps,
            next: roll.next.unwrap_or_default().0,
            ended,
            cut_off: self.shelf.is_cut_off(),
            written_s: unix_us() / 1_000_000,
        }
    }
}

/// What the store says of the event.
#[derive(Debug, Default)]
struct Shown {
    at: Option<Instant>,
    index: Option<String>,
    is_behind: bool,
}

impl Shown {
    fn is_due(&self, refresh: Duration) -> bool {
        self.is_behind && self.at.is_none_or(|at| at.elapsed() >= refresh)
    }
}

/// One track's segment.
struct One {
    shared: Arc<Shared>,
    shelf: Arc<Shelf>,
    dir: PathBuf,
    name: String,
    track: TrackId,
    msn: Msn,
}

impl One {
    async fn run(self) -> Stored {
        let Ok(_permit) = self.shared.permits.acquire().await else {
            return Stored::default();
        };
        let Some(parts) = self.read().await else {
            self.shared.meter.lost.increment(1);
            return Stored {
                is_lost: true,
                ..Stored::default()
            };
        };
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        let video = self.shelf.kind(&self.track).unwrap_or(true);
        self.shared.store.put(&self.name, kind(video), parts).await;
        Stored {
            bytes,
            objects: 1,
            is_lost: false,
        }
    }

    async fn read(&self) -> Option<Vec<Bytes>> {
        for _ in 0..READS {
            if self
                .shared
                .pledges
                .from(&self.dir)
                .is_some_and(|from| from > self.msn)
            {
                return None;
            }
            let (shelf, track, msn) = (Arc::clone(&self.shelf), self.track.clone(), self.msn);
            match tokio::task::spawn_blocking(move || shelf.read(&track, msn)).await {
                Ok(Ok((parts, _))) => return Some(parts),
                Ok(Err(Lost::Unknown | Lost::Sum | Lost::Key)) => break,
                Ok(Err(Lost::Io(_))) | Err(_) => sleep(LOOK / 4).await,
            }
        }
        tracing::warn!(stream = %self.shelf.stream, rendition = %self.track, msn = %self.msn, "segment lost before it was archived");
        None
    }
}

fn kind(video: bool) -> Kind {
    if video { Kind::Video } else { Kind::Audio }
}
