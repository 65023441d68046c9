//! The archive: an object store that holds every event's recording, and clips of them.
//!
//! # In the store
//! Names are those of URLs below `/live`, so that the store is playable by itself behind any CDN.
//! | name | what |
//! |---|---|
//! | `{stream}/event-{cell}/index.m3u8` | the multivariant playlist |
//! | `{stream}/event-{cell}/{track}/media.m3u8` | EVENT while it goes on, VOD once it is over |
//! | `{stream}/event-{cell}/{track}/init-*.mp4`, `seg-*.m4s` | media, as it was published |
//! | `{stream}/event-{cell}/event.json` | what [`Record`] says |
//! | `{stream}/clip-{id}/...` | the same of a clip, with `clip.json` |
//!
//! # Code map
//! | module | question it answers |
//! |---|---|
//! | `settings` | what an operator can set |
//! | `store` | how the store is asked, and how often while it fails |
//! | `pledge` | what the spool must keep because the store does not have it |
//! | `journal` | what of an event is stored, across a `kill -9` |
//! | `upload` | how one event gets there |
//! | `record` | what the store says of events |
//! | `vault` | how viewers are answered from it |
//! | `clip` | ranges that are kept for themselves |
//!
//! # Invariants
//! - It has threads of its own, a bounded number: a store that hangs holds up nothing else.
//! - Bytes are stored before the playlists that name them, and removed after them.
//! - Bytes are never looked into: they may be ciphertext.
//! - What the store does not have stays in the spool, up to `packager.archive.backlog_bytes`.

mod clip;
mod journal;
mod pledge;
mod record;
mod settings;
mod store;
mod upload;
mod vault;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hls::id::{Cell, StreamId};
use hls::path::Vod;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

pub use clip::{Clip, Order, State, Unfit};
pub(crate) use pledge::Pledges;
pub use record::Record;
pub use settings::Archive as Settings;
pub use store::{Failure, Unusable};
pub(crate) use vault::Vault;

use crate::encryption::Rule;
use crate::metrics::ArchiveMeter;
use crate::spool::past_event;
use pledge::Pledge;
use store::Store;
use upload::{Error, Roll, Shared, Upload};

/// Threads that wait for a disk, at most.
const BLOCKING_MAX: usize = 16;
/// How often events that have had their time are looked for.
const RETENTION: Duration = Duration::from_secs(600);
/// How often the same is tried where the store failed.
const RETENTION_AGAIN: Duration = Duration::from_secs(30);
const DAY_S: u64 = 86_400;

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum Absent {
    /// It is not wanted.
    #[error("packager.archive.url is off")]
    Off,
    /// The store's settings.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// No threads.
    #[error("no threads for the archive")]
    Threads(#[source] std::io::Error),
}

/// The archive of a packager.
pub struct Archive {
    settings: Settings,
    /// What events of earlier processes are read under.
    rule: Arc<Rule>,
    store: Arc<Store>,
    pledges: Arc<Pledges>,
    meter: ArchiveMeter,
    threads: Threads,
    /// Events on their way to the store.
    rolls: Mutex<BTreeMap<(StreamId, Cell), Roll>>,
    latest: Arc<vault::Latest>,
}

/// A runtime that may be dropped anywhere.
struct Threads(Option<Runtime>, Handle);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Archive {
    /// The archive that is set; nothing is asked of its store yet.
    pub fn open(settings: &Settings, data_dir: &Path) -> Result<Self, Absent> {
        if !settings.is_on() {
            return Err(Absent::Off);
        }
        let meter = ArchiveMeter::new();
        let store = Store::open(settings, data_dir, meter.clone())?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(BLOCKING_MAX)
            .thread_name("archive")
            .enable_all()
            .build()
            .map_err(Absent::Threads)?;
        let handle = runtime.handle().clone();
        Ok(Self {
            settings: settings.clone(),
            rule: Arc::default(),
            store: Arc::new(store),
            pledges: Arc::default(),
            meter,
            threads: Threads(Some(runtime), handle),
            rolls: Mutex::default(),
            latest: Arc::default(),
        })
    }

    /// The same for recordings under keys.
    pub(crate) fn under(self, rule: Arc<Rule>) -> Self {
        Self { rule, ..self }
    }

    pub(crate) fn pledges(&self) -> &Arc<Pledges> {
        &self.pledges
    }

    /// How viewers are answered from the store.
    pub(crate) fn vault(self: &Arc<Self>) -> Arc<Vault> {
        let (store, meter) = (Arc::clone(&self.store), self.meter.clone());
        let sources = (store, Arc::clone(&self.latest));
        Arc::new(Vault::new(&self.settings, sources, self.threads.1.clone(), meter))
    }

    /// Uploads, and removes what has had its time, until `shutdown`.
    pub(crate) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let this = Arc::clone(&self);
        let work = async move {
            tokio::join!(this.upload(), this.retain());
        };
        let work = self.threads.1.spawn(async move {
            tokio::select! {
                () = work => {}
                () = shutdown.cancelled() => {}
            }
        });
        // A panic has been said where it happened; live goes on without an archive.
        let _ended = work.await;
    }

    /// Looks which events have something for the store, and gives each a task.
    async fn upload(self: &Arc<Self>) {
        let shared = Arc::new(Shared {
            store: Arc::clone(&self.store),
            pledges: Arc::clone(&self.pledges),
            permits: Arc::new(Semaphore::new(self.settings.uploads_max)),
            meter: self.meter.clone(),
            refresh: self.settings.refresh(),
        });
        let mut told = self.pledges.watch();
        let mut tasks = tokio::task::JoinSet::new();
        let mut running: Vec<PathBuf> = Vec::new();
        loop {
            let all = self.pledges.all().into_iter();
            let (live, past): (Vec<_>, Vec<_>) = all
                .filter(|(dir, _)| !running.contains(dir))
                .partition(|(_, pledge)| pledge.shelf.is_some());
            // Those that nobody adds to can wait, and are read one by one.
            let waits = running.len() > tasks.len();
            let next = live
                .into_iter()
                .chain(past.into_iter().filter(|_| !waits).take(1));
            for (dir, pledge) in next {
                running.push(dir.clone());
                let (this, shared) = (Arc::clone(self), Arc::clone(&shared));
                tasks.spawn(async move {
                    this.event(dir.clone(), pledge, shared).await;
                    dir
                });
            }
            let told = timeout(Duration::from_secs(1), told.changed());
            tokio::select! {
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => match ended {
                    Ok(dir) => running.retain(|known| *known != dir),
                    Err(panic) => tracing::error!(%panic, "an upload has ended by itself"),
                },
                _ = told => {}
            }
        }
    }

    /// One event, until all of it is stored or it is gone.
    async fn event(&self, dir: PathBuf, pledge: Pledge, shared: Arc<Shared>) {
        let shelf = match pledge.shelf {
            Some(shelf) => Some(shelf),
            None => {
                let (dir, rule) = (dir.clone(), Arc::clone(&self.rule));
                let read = tokio::task::spawn_blocking(move || past_event(&dir, rule)).await;
                let read = read.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
                read.unwrap_or_else(|error| {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(
                        error,
                        "an event of an earlier process is not archived: it cannot be read"
                    );
                    None
                })
                .map(Arc::new)
            }
        };
        let Some(shelf) = shelf else {
            self.pledges.settle(&dir);
            return;
        };
        let (key, roll) = ((shelf.stream.clone(), shelf.event), Roll::default());
        self.rolls().insert(key.clone(), Arc::clone(&roll));
        let upload = Upload {
            shared,
            dir: dir.clone(),
            shelf: Arc::clone(&shelf),
            roll,
        };
        match upload.run().await {
            Ok(()) => {
                tracing::info!(stream = %key.0, event = %key.1, "the whole event is in the archive");
                if !shelf.is_cut_off() {
                    self.latest().insert(key.0.clone(), key.1);
                }
            }
            Err(Error::Gone) => {
                tracing::debug!(stream = %key.0, event = %key.1, "deleted while it was archived")
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(stream = %key.0, event = %key.1, error, "an event is not archived any more");
            }
        }
        self.rolls().remove(&key);
        self.pledges.settle(&dir);
    }

    /// Removes what has had its time.
    async fn retain(&self) {
        loop {
            let again = match self.expire().await {
                Ok(()) => RETENTION,
                Err(failure) => {
                    let error = &failure as &dyn std::error::Error;
                    tracing::debug!(error, "events in the archive are not looked after");
                    RETENTION_AGAIN
                }
            };
            tokio::time::sleep_until(Instant::now() + again).await;
        }
    }

    async fn expire(&self) -> Result<(), Failure> {
        let records = record::all(&self.store).await?;
        let kept = keep(&records, &self.settings, SystemTime::now());
        for (record, stays) in records.iter().zip(&kept) {
            let Ok(stream) = StreamId::new(&record.stream) else {
                continue;
            };
            let event = Cell(record.event);
            if *stays {
                if record.ended && !record.cut_off {
                    self.latest().insert(stream, event);
                }
                continue;
            }
            record::remove(&self.store, &record::dir(&stream, &Vod::Event(event))).await?;
            self.meter.expired.increment(1);
            tracing::info!(%stream, %event, "removed from the archive: its time is over");
            let mut latest = self.latest();
            if latest.get(&stream) == Some(&event) {
                latest.remove(&stream);
            }
        }
        Ok(())
    }

    /// Everything in the store, by stream and age.
    pub async fn records(self: &Arc<Self>) -> Result<Vec<Record>, Failure> {
        let store = Arc::clone(&self.store);
        let asked = self.threads.1.spawn(async move { record::all(&store).await });
        asked.await.unwrap_or(Err(Failure::Down))
    }

    /// Removes an event from the store; false where it is not there.
    pub async fn delete(self: &Arc<Self>, stream: &StreamId, event: u64) -> Result<bool, Failure> {
        let (store, dir) = (
            Arc::clone(&self.store),
            record::dir(stream, &Vod::Event(Cell(event))),
        );
        let asked = self
            .threads
            .1
            .spawn(async move { record::remove(&store, &dir).await });
        asked.await.unwrap_or(Err(Failure::Down))
    }

    fn rolls(&self) -> std::sync::MutexGuard<'_, BTreeMap<(StreamId, Cell), Roll>> {
        self.rolls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn latest(&self) -> std::sync::MutexGuard<'_, BTreeMap<StreamId, Cell>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which of these stay. One that goes on always does.
fn keep(records: &[Record], settings: &Settings, now: SystemTime) -> Vec<bool> {
    let now_s = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let is_old = |record: &Record| {
        let age_s = now_s.saturating_sub(record.written_s);
        settings.keep_days > 0 && age_s > settings.keep_days.saturating_mul(DAY_S)
    };
    let mut kept: Vec<bool> = records
        .iter()
        .map(|record| !record.ended || !is_old(record))
        .collect();
    let mut bytes: u64 = records
        .iter()
        .zip(&kept)
        .filter(|(_, kept)| **kept)
        .map(|(r, _)| r.bytes)
        .sum();
    let mut order: Vec<usize> = (0..records.len()).collect();
    order.sort_by_key(|at| records.get(*at).map(|record| record.written_s));
    for at in order {
        let (Some(record), Some(stays)) = (records.get(at), kept.get_mut(at)) else {
            continue;
        };
        if settings.keep_bytes > 0 && bytes > settings.keep_bytes && *stays && record.ended {
            *stays = false;
            bytes -= record.bytes;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(event: u64, gib: u64, written_s: u64, ended: bool) -> Record {
        Record {
            version: record::VERSION,
            stream: "main".to_owned(),
            event,
            started: String::new(),
            tracks: Vec::new(),
            length_s: 0.0,
            bytes: gib << 30,
            objects: 0,
            gaps: 0,
            next: 0,
            ended,
            cut_off: false,
            written_s,
        }
    }

    #[test]
    fn the_oldest_that_has_ended_goes_first_and_what_goes_on_stays() {
        let now = UNIX_EPOCH + Duration::from_secs(100 * DAY_S);
        let records = [
            record(1, 5, 10 * DAY_S, false),
            record(2, 5, 20 * DAY_S, true),
            record(3, 5, 98 * DAY_S, true),
            record(4, 5, 99 * DAY_S, true),
        ];
        let kept = |keep_days, keep_gib: u64| {
            let settings = Settings {
                keep_days,
                keep_bytes: keep_gib << 30,
                ..Settings::default()
            };
            keep(&records, &settings, now)
        };
        assert_eq!(kept(0, 0), [true; 4]);
        assert_eq!(kept(30, 0), [true, false, true, true]);
        assert_eq!(kept(0, 15), [true, false, true, true]);
        assert_eq!(kept(30, 10), [true, false, false, true]);
        assert_eq!(kept(0, 1), [true, false, false, false]);
    }
}
