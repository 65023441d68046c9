//! Viewers' answers from the store: a lower class than the live edge, one flight for all who want the same, everything
//! bounded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hls::delivery::REWIND_URGENCY;
use hls::id::{Cell, StreamId};
use hls::path::{Leaf, Object, Resource, Vod};
use http::StatusCode;
use listen::answer::{Found, Refused};
use listen::playlist::Form;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

use super::record;
use super::settings::Archive;
use super::store::{Failure, Store};
use crate::metrics::ArchiveMeter;

/// Retry-After while the store does not answer, and while too much is asked of it: seconds.
const DOWN_S: u32 = 5;
const BUSY_S: u32 = 1;
/// How long a playlist that goes on, and a name that is not there, are believed.
const FRESH: Duration = Duration::from_secs(5);
/// The same for a playlist that is whole: its event may be deleted.
const WHOLE: Duration = Duration::from_secs(60);

/// The newest event of each stream that is stored and was ended by its feed.
pub(super) type Latest = Mutex<BTreeMap<StreamId, Cell>>;

/// What is in the store, for viewers.
pub(crate) struct Vault {
    store: Arc<Store>,
    latest: Arc<Latest>,
    /// Where the store is asked.
    threads: Handle,
    cache: Cache<String, Kept, Weight>,
    flights: Mutex<BTreeMap<String, watch::Receiver<Option<Landing>>>>,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
    deadline: Duration,
    meter: ArchiveMeter,
}

/// Something read, or that it is not there.
#[derive(Debug, Clone)]
struct Kept {
    bytes: Option<Bytes>,
    /// When it has to be asked for again; none for what never changes.
    until: Option<Instant>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<String, Kept> for Weight {
    fn weight(&self, name: &String, kept: &Kept) -> u64 {
        kept.bytes.as_ref().map_or(0, Bytes::len) as u64 + name.len() as u64 + 128
    }
}

/// What a flight brought.
#[derive(Debug, Clone)]
enum Landing {
    Here(Bytes),
    Missing,
    Failed,
}

/// Counts one that waits out again however it ends.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Vault {
    pub(super) fn new(
        settings: &Archive,
        (store, latest): (Arc<Store>, Arc<Latest>),
        threads: Handle,
        meter: ArchiveMeter,
    ) -> Self {
        Self {
            store,
            latest,
            threads,
            cache: Cache::with_weighter(1_024, settings.cache_bytes, Weight),
            flights: Mutex::default(),
            permits: Arc::new(Semaphore::new(settings.reads_max)),
            waiting: AtomicUsize::new(0),
            waiting_max: settings.waiting_max,
            deadline: settings.read_timeout(),
            meter,
        }
    }

    /// What a stream's own names stood for when it was live last: nothing of it is on disk any more.
    pub(crate) async fn latest(self: &Arc<Self>, resource: &Resource) -> Result<Found, Refused> {
        let unknown = || Refused::new(StatusCode::NOT_FOUND, "no such stream");
        let leaf = match resource {
            Resource::Multivariant(_) => Leaf::Multivariant,
            Resource::Media(_, track) => Leaf::Media(track.clone()),
            Resource::Object(_, _, Object::Part(_) | Object::Vtt(_)) => return Err(unknown()),
            Resource::Object(_, track, object) => Leaf::Object(track.clone(), object.clone()),
            Resource::Dvr(_)
            | Resource::DvrMedia(..)
            | Resource::Frames(..)
            | Resource::Thumbnails(_)
            | Resource::Thumbnail(..)
            | Resource::Key(..)
            | Resource::Vod(..) => return Err(unknown()),
        };
        let event = {
            let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
            latest.get(resource.stream()).copied()
        };
        let event = Vod::Event(event.ok_or_else(unknown)?);
        self.find(resource.stream(), &event, &leaf).await
    }

    /// Something of an event or a clip.
    pub(crate) async fn find(
        self: &Arc<Self>,
        stream: &StreamId,
        vod: &Vod,
        leaf: &Leaf,
    ) -> Result<Found, Refused> {
        let dir = record::dir(stream, vod);
        let name = |leaf: &Leaf| format!("{dir}/{}", leaf.name());
        match leaf {
            Leaf::Multivariant | Leaf::Media(_) => {
                let bytes = self.get(name(leaf)).await?;
                let target = target_duration(&bytes);
                Ok(Found::playlist(Form::new(bytes), target))
            }
            Leaf::Object(track, _) => {
                let index = self.get(name(&Leaf::Multivariant)).await?;
                let text = std::str::from_utf8(&index).unwrap_or_default();
                let video = hls::delivery::is_video(text, track).ok_or_else(missing)?;
                let bytes = self.get(name(leaf)).await?;
                Ok(Found::media(bytes.into(), video, REWIND_URGENCY, Duration::ZERO))
            }
        }
    }

    async fn get(self: &Arc<Self>, name: String) -> Result<Bytes, Refused> {
        let fresh = |kept: &Kept| kept.until.is_none_or(|until| Instant::now() < until);
        if let Some(kept) = self.cache.get(&name).filter(fresh) {
            self.meter.hits.increment(1);
            return kept.bytes.ok_or_else(missing);
        }
        let _waiting = Waiting(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= self.waiting_max {
            self.meter.refused.increment(1);
            return Err(Refused::later(BUSY_S, "too much is asked of the archive"));
        }
        let mut landing = self.board(name);
        let landed = timeout(self.deadline, landing.wait_for(Option::is_some)).await;
        let landed = landed.ok().and_then(Result::ok).and_then(|landed| landed.clone());
        match landed {
            Some(Landing::Here(bytes)) => Ok(bytes),
            Some(Landing::Missing) => Err(missing()),
            Some(Landing::Failed) | None => {
                self.meter.refused.increment(1);
                Err(Refused::later(DOWN_S, "the archive does not answer"))
            }
        }
    }

    /// The flight that brings an object; it outlives whoever waits for it.
    fn board(self: &Arc<Self>, name: String) -> watch::Receiver<Option<Landing>> {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&name) {
            return flight.clone();
        }
        let (sender, receiver) = watch::channel(None);
        flights.insert(name.clone(), receiver.clone());
        drop(flights);
        let this = Arc::clone(self);
        drop(self.threads.spawn(async move {
            let landing = this.fly(&name).await;
            // What it brought is kept by now, so nobody can miss both.
            this.flights().remove(&name);
            sender.send_replace(Some(landing));
        }));
        receiver
    }

    async fn fly(&self, name: &str) -> Landing {
        let got = async {
            let _permit = self.permits.acquire().await;
            self.store.get(name, self.deadline).await
        };
        let (bytes, landing) = match timeout(self.deadline, got).await {
            Ok(Ok(bytes)) => (Some(bytes.clone()), Landing::Here(bytes)),
            Ok(Err(Failure::Missing)) => (None, Landing::Missing),
            Ok(Err(failure)) => {
                let error = &failure as &dyn std::error::Error;
                tracing::debug!(object = name, error, "not read back from the archive");
                return Landing::Failed;
            }
            Err(_) => return Landing::Failed,
        };
        let lifetime = match &bytes {
            Some(_) if !name.ends_with(".m3u8") => None,
            Some(bytes) if bytes.ends_with(b"#EXT-X-ENDLIST\n") => Some(WHOLE),
            Some(_) | None => Some(FRESH),
        };
        let until = lifetime.map(|lifetime| Instant::now() + lifetime);
        self.cache.insert(name.to_owned(), Kept { bytes, until });
        landing
    }

    fn flights(&self) -> MutexGuard<'_, BTreeMap<String, watch::Receiver<Option<Landing>>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn missing() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "not in the archive")
}

/// EXT-X-TARGETDURATION, which stands in the head.
fn target_duration(playlist: &[u8]) -> Duration {
    let head = playlist.get(..playlist.len().min(512)).unwrap_or_default();
    let mut lines = head.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(b"#EXT-X-TARGETDURATION:"));
    let seconds = value.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}
