//! Objects that mirrors do not bring by themselves: fetched once, for all who wait.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flight::{Join, Outcome, Refusal, Table};
use hls::id::Cell;
use hls::path::Resource;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::rewind;
use crate::track::Track;
use crate::upstream::{Error, Object, Parents};

/// Fetches with coalescing, and keeps what may be asked for again.
pub(crate) struct Fetch {
    flights: Mutex<Flights>,
    cache: Cache<Resource, Object, Bytes>,
    parents: Arc<Parents>,
    tasks: TaskTracker,
    wait: Duration,
}

/// Guards table and landings together, so that a flight is joined or led and never both.
struct Flights {
    table: Table<Resource>,
    landing: BTreeMap<Resource, watch::Receiver<Option<Landing>>>,
}

type Landing = Result<Object, Refusal>;

/// What one who wants an object finds.
enum Boarded {
    Kept(Object),
    Flying(watch::Receiver<Option<Landing>>),
}

/// How long a key is kept.
const BRIEF: Duration = Duration::from_secs(60);

/// Where the bytes go.
#[derive(Clone)]
pub(crate) enum Keep {
    /// The cache, within its budget.
    Cache,
    /// The same, for as long as a playlist may be kept.
    Fresh,
    /// The cache, for [`BRIEF`]: keys that a parent has taken back are soon gone here.
    Briefly,
    /// A track's live window.
    Live(Arc<Track>, Cell),
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Resource, Object> for Bytes {
    fn weight(&self, _: &Resource, object: &Object) -> u64 {
        object.bytes.len() as u64 + 256
    }
}

impl Fetch {
    /// `wait` bounds each upstream request.
    pub(crate) fn new(
        parents: Arc<Parents>,
        tasks: TaskTracker,
        limits: flight::Limits,
        cache_bytes: u64,
        wait: Duration,
    ) -> Self {
        let flights = Flights {
            table: Table::new(limits),
            landing: BTreeMap::new(),
        };
        let cache = Cache::with_weighter(1_024, cache_bytes, Bytes);
        Self {
            flights: Mutex::new(flights),
            cache,
            parents,
            tasks,
            wait,
        }
    }

    /// The object, from where it is kept or from one flight shared with everyone else who wants it.
    ///
    /// Dropping the future leaves the flight in the air: it belongs to nobody.
    pub(crate) async fn get(self: &Arc<Self>, resource: &Resource, keep: Keep) -> Landing {
        if let Some(object) = self.kept(resource, &keep) {
            return Ok(object);
        }
        let mut landing = match self.board(resource, keep)? {
            Boarded::Kept(object) => return Ok(object),
            Boarded::Flying(landing) => landing,
        };
        let landed = landing.wait_for(Option::is_some).await;
        match landed.as_deref() {
            Ok(Some(landing)) => landing.clone(),
            // The task that flew was cut by shutdown.
            Ok(None) | Err(_) => Err(Refusal::Failed),
        }
    }

    /// The object if it is kept; nothing is fetched.
    pub(crate) fn peek(&self, resource: &Resource) -> Option<Object> {
        self.cache.get(resource)
    }

    /// Forgets a cached object.
    pub(crate) fn forget(&self, resource: &Resource) {
        self.cache.remove(resource);
    }

    fn lock(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self, resource: &Resource, keep: &Keep) -> Option<Object> {
        match keep {
            Keep::Cache => self.cache.get(resource),
            Keep::Fresh => self.cache.get(resource).filter(rewind::is_fresh),
            Keep::Briefly => {
                let cached = self.cache.get(resource);
                cached.filter(|object| object.received.elapsed() < BRIEF)
            }
            Keep::Live(track, cell) => track.part(*cell),
        }
    }

    fn board(self: &Arc<Self>, resource: &Resource, keep: Keep) -> Result<Boarded, Refusal> {
        let mut flights = self.lock();
        // A flight keeps its object before it settles. So under the lock an object is kept, in flight, or
        // neither; looking without it would fetch what landed a moment ago once more.
        if let Some(object) = self.kept(resource, &keep) {
            return Ok(Boarded::Kept(object));
        }
        match flights.table.join(now(), resource) {
            Join::Refuse(refusal) => Err(refusal),
            Join::Wait => flights
                .landing
                .get(resource)
                .cloned()
                .map(Boarded::Flying)
                .ok_or(Refusal::Failed),
            Join::Lead => {
                let (sender, receiver) = watch::channel(None);
                flights.landing.insert(resource.clone(), receiver.clone());
                drop(flights);
                let (this, resource) = (Arc::clone(self), resource.clone());
                self.tasks.spawn(async move {
                    let landing = this.fly(&resource, keep).await;
                    sender.send_replace(Some(landing));
                });
                Ok(Boarded::Flying(receiver))
            }
        }
    }

    async fn fly(&self, resource: &Resource, keep: Keep) -> Landing {
        let asked = self.parents.get(&resource.path(), None, self.wait).await;
        let (landing, outcome) = match asked {
            Ok(object) => {
                match keep {
                    Keep::Cache | Keep::Fresh | Keep::Briefly => {
                        self.cache.insert(resource.clone(), object.clone())
                    }
                    Keep::Live(track, cell) => track.hold(cell, object.clone()),
                }
                (Ok(object), Outcome::Landed)
            }
            Err(Error::Missing) => (Err(Refusal::Missing), Outcome::Missing),
            Err(error) => {
                tracing::debug!(object = %resource.path(), error = &error as &dyn std::error::Error, "fetch failed");
                (Err(Refusal::Failed), Outcome::Failed)
            }
        };
        let mut flights = self.lock();
        flights.landing.remove(resource);
        flights.table.settle(now(), resource, outcome);
        landing
    }
}

fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}
