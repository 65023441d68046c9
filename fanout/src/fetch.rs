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
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::task::TaskTracker;

use crate::metrics::{Extra, Meter};
use crate::parents::{Ask, Kind};
use crate::rewind;
use crate::routes::Routes;
use crate::track::{Promise, Track};
use crate::upstream::{Error, Object};

/// Fetches with coalescing, and keeps what may be asked for again.
pub(crate) struct Fetch {
    flights: Mutex<Flights>,
    cache: Cache<Resource, Object, Bytes>,
    routes: Arc<Routes>,
    tasks: TaskTracker,
    wait: Duration,
    meter: Meter,
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

/// First and last pause before a listed part that was not had is asked for again; doubled in between.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// Times a part that was hinted at is asked for again in a stall; after that the next version asks.
const HOLDS_MAX: usize = 4;
/// After so much silence another parent is asked for what is not live.
const SILENCE: Duration = Duration::from_secs(2);
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
        routes: Arc<Routes>,
        tasks: TaskTracker,
        limits: flight::Limits,
        cache_bytes: u64,
        wait: Duration,
        meter: Meter,
    ) -> Self {
        let flights = Flights {
            table: Table::new(limits),
            landing: BTreeMap::new(),
        };
        let cache = Cache::with_weighter(1_024, cache_bytes, Bytes);
        Self {
            flights: Mutex::new(flights),
            cache,
            routes,
            tasks,
            wait,
            meter,
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

    /// Forgets what is cached of a track: other media comes under the same names.
    pub(crate) fn forget_track(&self, track: &Track) {
        self.cache.retain(|resource, _| {
            let is_of = matches!(resource, Resource::Object(stream, id, _)
                if (stream, id) == (&track.stream, &track.id));
            !is_of
        });
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

    fn ask(&self, resource: &Resource, kind: Kind, silence: Duration) -> Ask {
        Ask {
            path: resource.path(),
            query: None,
            kind,
            wait: self.wait,
            silence,
        }
    }

    /// A part of the live window. What a parent lists it has, or is about to have: it is asked until three target
    /// durations have gone by. What it only hinted at, and then does not have, is asked for again once it is listed.
    async fn bring(&self, resource: &Resource, track: &Track, cell: Cell) -> Result<Object, Error> {
        let mut listing = track.listing.subscribe();
        let (since, mut pause, mut holds) = (Instant::now(), PAUSE.0, 0);
        loop {
            let seen = *listing.borrow_and_update();
            let promise = seen.promise(cell);
            let kind = match promise {
                Promise::Hinted => Kind::Hinted,
                Promise::Listed | Promise::Gone => Kind::Prompt,
            };
            let asked = self.routes.of(resource.stream()).get(self.ask(
                resource,
                kind,
                silence(promise, seen.part_target),
            ));
            let error = match asked.await {
                Ok(object) => return Ok(object),
                Err(error) => error,
            };
            let until = since + seen.longest_wait;
            match promise {
                // Nobody was asked, and nobody will be.
                _ if matches!(error, Error::Unnamed) => return Err(error),
                Promise::Gone => return Err(error),
                // The stream stalls, and the parent held the request as long as it may.
                Promise::Hinted if error.is_wait() && holds < HOLDS_MAX => {
                    holds += 1;
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
                // A parent that is ill is not asked for promises; the mirror comes back with the next version.
                Promise::Hinted if !matches!(error, Error::Missing) => return Err(error),
                Promise::Hinted => {
                    let listed = listing.wait_for(|now| now.promise(cell) != Promise::Hinted);
                    if !matches!(timeout_at(until, listed).await, Ok(Ok(_))) {
                        return Err(error);
                    }
                }
                Promise::Listed if Instant::now() + pause > until => return Err(Error::Overdue),
                Promise::Listed => {
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
            self.meter.extra(Extra::Retry);
        }
    }

    async fn fly(&self, resource: &Resource, keep: Keep) -> Landing {
        let asked = match &keep {
            Keep::Live(track, cell) => self.bring(resource, track, *cell).await,
            Keep::Cache | Keep::Fresh | Keep::Briefly => {
                let parents = self.routes.of(resource.stream());
                parents.get(self.ask(resource, Kind::Prompt, SILENCE)).await
            }
        };
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
            Err(Error::Missing | Error::Unnamed) => (Err(Refusal::Missing), Outcome::Missing),
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

/// How long a part may be silent before another parent is asked as well: one that is only hinted at is silent until it is
/// there.
fn silence(promise: Promise, part_target: Duration) -> Duration {
    let parts = if promise == Promise::Hinted { 3 } else { 1 };
    (part_target * parts).max(Duration::from_millis(500))
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
