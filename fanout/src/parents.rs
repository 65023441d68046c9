//! Parents, best first: which of them is asked, and when another one is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hls::path::Resource;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::metrics::{Extra, Fault, Meter};
use crate::source::Source;
use crate::standing::Standing;
use crate::upstream::{Error, Object, Upstream};

/// How often lost parents are thought of.
const WATCH: Duration = Duration::from_millis(250);
/// Longest a lost parent may take to show that it is well.
const PROBE_WAIT: Duration = Duration::from_secs(2);

/// What parents are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A playlist as it is now, or media that is there.
    Prompt,
    /// A playlist that a parent may hold back until there is news.
    Version,
    /// A part that was hinted at and may never come.
    Hinted,
}

/// A request to whichever parent can answer it.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) kind: Kind,
    /// Bounds all of it.
    pub(crate) wait: Duration,
    /// After so much silence another parent is asked as well.
    pub(crate) silence: Duration,
}

/// The parents of this edge.
pub(crate) struct Parents {
    list: Vec<Parent>,
    way: Way,
    /// Never held across an await.
    standing: Mutex<Standing>,
    /// What lost parents are asked for: the playlist that was answered last.
    sample: Mutex<Option<String>>,
    meter: Meter,
}

/// How they are asked.
enum Way {
    /// As one of ours, below its base URL.
    Ours(Box<Upstream>),
    /// By the names that its playlists gave.
    Theirs(Box<Source>),
}

struct Parent {
    base: String,
    /// Round trip, microseconds; 0 while it is not known.
    trip_us: AtomicU64,
}

impl Parents {
    pub(crate) fn new(parents: &[String], tier_secret: Option<&str>, meter: Meter) -> Self {
        let upstream = Upstream::new(tier_secret, meter.clone());
        let bases = parents.iter().map(|url| url.trim_end_matches('/').to_owned());
        Self::asked(Way::Ours(Box::new(upstream)), bases, meter)
    }

    /// An origin that is not ours.
    pub(crate) fn of_source(source: Source, meter: Meter) -> Self {
        let base = source.playlist.to_string();
        Self::asked(Way::Theirs(Box::new(source)), std::iter::once(base), meter)
    }

    fn asked(way: Way, bases: impl Iterator<Item = String>, meter: Meter) -> Self {
        let parent = |base| Parent {
            base,
            trip_us: AtomicU64::new(0),
        };
        let list: Vec<_> = bases.map(parent).collect();
        Self {
            way,
            standing: Mutex::new(Standing::new(list.len())),
            list,
            sample: Mutex::default(),
            meter,
        }
    }

    /// Whether a playlist of a source is not passed on.
    pub(crate) fn refuses(&self, playlist: &Resource) -> bool {
        match &self.way {
            Way::Ours(_) => false,
            Way::Theirs(source) => source.refuses(playlist),
        }
    }

    /// Waits until a playlist of a source is not passed on.
    pub(crate) async fn refusal(&self, playlist: &Resource) {
        match &self.way {
            Way::Ours(_) => std::future::pending().await,
            Way::Theirs(source) => source.refusal(playlist).await,
        }
    }

    /// What the first parent says that can, within the request's time.
    pub(crate) async fn get(self: &Arc<Self>, ask: Ask) -> Result<Object, Error> {
        let ask = Arc::new(ask);
        let asked = timeout(ask.wait, self.first(&ask)).await;
        if asked.is_err() {
            self.meter.failure(Fault::Late);
        }
        let asked = asked.unwrap_or(Err(Error::Late(ask.wait)));
        if let Ok(object) = &asked {
            self.meter.upstream_objects.increment(1);
            if ask.kind != Kind::Prompt {
                return asked;
            }
            if let Some(parent) = self.list.get(object.parent) {
                parent.took(object.trip);
            }
        }
        asked
    }

    /// How many versions are asked for ahead, for news to be no later than its way here: a request has to be at the
    /// parent before what it asks for is.
    pub(crate) fn depth(&self, part_target: Duration) -> usize {
        if matches!(self.way, Way::Theirs(_)) {
            return 1;
        }
        let first = self.standing().order().first().copied();
        let trip_us = first
            .and_then(|at| self.list.get(at))
            .map_or(0, |parent| parent.trip_us.load(Ordering::Relaxed));
        let part_us = part_target.as_micros().max(1);
        // A quarter of a part for what trips differ by.
        let depth = (u128::from(trip_us) + part_us / 4).div_ceil(part_us);
        usize::try_from(depth).unwrap_or(1).max(1)
    }

    /// What a parent said cannot be used; another one is asked first from now on.
    pub(crate) fn refuse(&self, parent: usize, fault: Fault) {
        self.meter.failure(fault);
        self.lost(parent);
    }

    /// Looks at lost parents until they are well again.
    pub(crate) async fn watch(self: Arc<Self>, shutdown: CancellationToken) {
        if self.list.len() < 2 {
            return;
        }
        let watch = async {
            loop {
                sleep(WATCH).await;
                let due = self.standing().due(now());
                if let Some(at) = due {
                    self.probe(at).await;
                }
            }
        };
        tokio::select! {
            () = watch => {}
            () = shutdown.cancelled() => {}
        }
    }

    async fn probe(&self, at: usize) {
        let sample = || self.sample.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((parent, path)) = self.list.get(at).zip(sample().clone()) else {
            return;
        };
        self.meter.extra(Extra::Probe);
        let asked = timeout(PROBE_WAIT, self.way.get(&parent.base, &path, None)).await;
        let well = matches!(&asked, Ok(Ok(object)) if object.bytes.starts_with(b"#EXTM3U"));
        if self.standing().probed(now(), at, well) {
            tracing::info!(parent = %parent.base, "parent is back");
            self.meter.parents_returned.increment(1);
        }
    }

    async fn first(self: &Arc<Self>, ask: &Arc<Ask>) -> Result<Object, Error> {
        let mut rest = self.standing().order().into_iter();
        let (mut asked, mut under_way, mut cause) = (JoinSet::new(), Vec::new(), None);
        let mut best = Error::NoParent;
        let mut hedged = None;
        let mut without = Vec::new();
        loop {
            let silent_until = Instant::now() + ask.silence;
            if let Some(at) = rest.next() {
                if let Some(cause) = cause.take() {
                    self.meter.extra(cause);
                }
                let (this, ask) = (Arc::clone(self), Arc::clone(ask));
                asked.spawn(async move { (at, this.one(at, &ask).await) });
                under_way.push(at);
            } else if asked.is_empty() {
                return Err(best);
            }
            let (at, answer) = tokio::select! {
                joined = asked.join_next() => match joined {
                    Some(Ok(answer)) => answer,
                    Some(Err(_)) | None => return Err(Error::Shutdown),
                },
                () = sleep_until(silent_until), if rest.len() > 0 => {
                    cause = Some(Extra::Hedge);
                    hedged = Some(Instant::now());
                    continue;
                }
            };
            under_way.retain(|silent| *silent != at);
            match answer {
                Ok(object) => {
                    self.standing().answered(at);
                    // What came long after was news to both of them.
                    let silent = hedged.is_some_and(|since| since.elapsed() < ask.silence);
                    let silent = under_way.into_iter().filter(|_| silent);
                    self.struck(silent.chain(without));
                    return Ok(object);
                }
                Err(error) => {
                    self.meter.failure(error.fault());
                    let waits = ask.kind == Kind::Version && error.is_wait();
                    let never_promised = ask.kind == Kind::Hinted && matches!(error, Error::Missing);
                    if waits || never_promised {
                        return Err(error);
                    }
                    let lacks = matches!(error, Error::Missing);
                    cause = Some(if lacks { Extra::Repair } else { Extra::Failover });
                    if error.is_fault() {
                        self.lost(at);
                    } else if ask.kind == Kind::Version {
                        without.push(at);
                    }
                    // That one of them does not have it is no news while another cannot say.
                    if matches!(best, Error::NoParent) || !matches!(error, Error::Missing) {
                        best = error;
                    }
                }
            }
        }
    }

    async fn one(&self, at: usize, ask: &Ask) -> Result<Object, Error> {
        let parent = self.list.get(at).ok_or(Error::NoParent)?;
        let asked = self.way.get(&parent.base, &ask.path, ask.query.as_deref());
        let mut object = asked.await?;
        object.parent = at;
        if ask.kind == Kind::Version {
            *self.sample.lock().unwrap_or_else(PoisonError::into_inner) = Some(ask.path.clone());
        }
        Ok(object)
    }

    fn struck(&self, parents: impl Iterator<Item = usize>) {
        for at in parents {
            let lost = self.standing().was_silent(now(), at);
            self.say_lost(at, lost);
        }
    }

    fn lost(&self, at: usize) {
        let lost = self.standing().failed(now(), at);
        self.say_lost(at, lost);
    }

    fn say_lost(&self, at: usize, lost: bool) {
        // Without another one nothing changes.
        if let (true, true, Some(parent)) = (lost, self.list.len() > 1, self.list.get(at)) {
            tracing::warn!(parent = %parent.base, "parent lost; others are asked first");
            self.meter.parents_lost.increment(1);
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Way {
    async fn get(&self, base: &str, path: &str, query: Option<&str>) -> Result<Object, Error> {
        match self {
            Self::Ours(upstream) => upstream.get(base, path, query).await,
            Self::Theirs(source) => source.get(path, query).await,
        }
    }
}

impl Parent {
    /// A round trip was so long, with whatever the parent needed to think.
    fn took(&self, trip: Duration) {
        let new = u64::try_from(trip.as_micros()).unwrap_or(u64::MAX).max(1);
        let old = self.trip_us.load(Ordering::Relaxed);
        // A shorter one is nearer the truth at once; a way that grew is believed by and by.
        let kept = if old == 0 || new < old {
            new
        } else {
            old + (new - old) / 8
        };
        self.trip_us.store(kept, Ordering::Relaxed);
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
