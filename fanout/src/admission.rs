//! Measures what is in use, and asks `gate::admission` who is served; holds those who are refused.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use gate::admission::{Admission, Class, Use};
use hls::path::{Directives, Leaf, Object, Resource};
use http::header::{HeaderMap, HeaderValue, USER_AGENT};
use listen::answer::Refused;
use listen::{Open, Peer};
use quick_cache::sync::Cache;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::config::Admission as Config;
use crate::metrics::admission::{Meter, RESOURCES};
use crate::streams::Streams;

/// How often the load is measured.
const EVERY: Duration = Duration::from_secs(1);

/// The shell of the machine.
pub(crate) struct Gate {
    /// Never held across an await.
    machine: RwLock<Admission>,
    config: Config,
    /// Bytes promised to viewers since the start.
    egress: AtomicU64,
    connections: Vec<Connections>,
    refusals: AtomicU64,
    /// When viewers were last given media or its playlists.
    watchers: Cache<u64, Instant>,
    /// Hashes with a key of this process.
    hasher: RandomState,
    pub(crate) meter: Meter,
}

/// Connections of one listener.
pub(crate) struct Connections {
    pub(crate) open: Open,
    pub(crate) limit: usize,
}

/// Viewers that are remembered as watching, several times as many as an edge has connections; who is forgotten is new.
const WATCHERS_MAX: usize = 65_536;
/// Who was given nothing for so long does not watch any more.
const WATCHES: Duration = Duration::from_secs(60);

/// A viewer as far as it can be told from others without keeping anything for it: a browser has several connections, and an
/// address several viewers.
pub(crate) struct Viewer<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) token: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
}

impl Gate {
    pub(crate) fn new(config: Config, connections: Vec<Connections>) -> Self {
        Self {
            machine: RwLock::new(Admission::new(config.window_ms)),
            config,
            egress: AtomicU64::new(0),
            connections,
            refusals: AtomicU64::new(0),
            watchers: Cache::new(WATCHERS_MAX),
            hasher: RandomState::new(),
            meter: Meter::new(),
        }
    }

    pub(crate) fn lock<T>(&self, act: impl FnOnce(&mut Admission) -> T) -> T {
        act(&mut self.machine.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Measures until `stop`.
    pub(crate) async fn measure(self: Arc<Self>, stop: CancellationToken) {
        let (mut before, mut sent) = (Instant::now(), 0);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(EVERY) => {}
            }
            let (now, total) = (Instant::now(), self.egress.load(Ordering::Relaxed));
            let ms = u64::try_from((now - before).as_millis())
                .unwrap_or(u64::MAX)
                .max(1);
            let rate = (total - sent).saturating_mul(1_000) / ms;
            (before, sent) = (now, total);
            // Reads of /proc: memory of the kernel, and a list of descriptors that may be long.
            let Ok((memory, descriptors)) = tokio::task::spawn_blocking(process).await else {
                continue;
            };
            self.took(rate, memory, descriptors);
        }
    }

    fn took(&self, rate: u64, memory: u64, descriptors: Use) {
        let of = |now, limit| Use { now, limit };
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let busiest = self.connections.iter();
        let busiest = busiest.map(|one| of(count(one.open.now()), count(one.limit)));
        let uses: [Use; RESOURCES.len()] = [
            busiest.max_by_key(|one| one.share()).unwrap_or_default(),
            of(rate, self.config.egress_bytes_per_s),
            of(memory, self.config.memory_bytes),
            descriptors,
        ];
        let kept = 100 - u64::from(self.config.headroom_percent.min(90));
        let uses = uses.map(|one| of(one.now, one.limit.saturating_mul(kept) / 100));
        for (at, one) in uses.iter().enumerate() {
            self.meter.load(at, one.share());
        }
        let before = self.lock(|machine| machine.load());
        let counted = if self.config.enabled { uses.as_slice() } else { &[] };
        self.lock(|machine| machine.measured(counted));
        let now = self.lock(|machine| machine.load());
        if before < 800 && now >= 800 {
            tracing::warn!(
                permille = now,
                "load is high: the lowest classes are refused first"
            );
        }
    }

    /// Lets a request in, or says after a while that it is refused.
    pub(crate) async fn admit(
        &self,
        class: Class,
        is_new: bool,
        stop: &CancellationToken,
    ) -> Result<(), Refused> {
        let spread = self.refusals.fetch_add(1, Ordering::Relaxed);
        let admitted = {
            let machine = self.machine.read().unwrap_or_else(PoisonError::into_inner);
            machine.is_closed(class, is_new).map(|_| {
                let random = self.hasher.hash_one(spread);
                machine.admit(class, is_new, random)
            })
        };
        let Some(Err(refusal)) = admitted else {
            self.meter.admitted(class);
            return Ok(());
        };
        self.meter.refused(class, refusal.reason);
        let _held = self.meter.held();
        tokio::select! {
            () = sleep(Duration::from_millis(refusal.hold_ms.into())) => {}
            () = stop.cancelled() => {}
        }
        Err(Refused::later(refusal.later_s, "not everybody can be served now"))
    }

    /// Whether a viewer has been given media or its playlists lately.
    pub(crate) fn watches(&self, viewer: &Viewer<'_>) -> bool {
        let last = self.watchers.get(&self.name(viewer));
        last.is_some_and(|last| last.elapsed() < WATCHES)
    }

    /// It has been now.
    pub(crate) fn now_watches(&self, viewer: &Viewer<'_>) {
        let name = self.name(viewer);
        let last = self.watchers.get(&name);
        // Written now and then: reading is what many can do at once.
        if last.is_none_or(|last| last.elapsed() > WATCHES / 6) {
            self.watchers.insert(name, Instant::now());
        }
    }

    fn name(&self, viewer: &Viewer<'_>) -> u64 {
        let agent = viewer.headers.get(USER_AGENT).map(HeaderValue::as_bytes);
        self.hasher.hash_one((viewer.peer.address(), viewer.token, agent))
    }

    /// An answer of so many bytes goes to a viewer.
    pub(crate) fn sends(&self, bytes: u64) {
        self.egress.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What a request counts as, and whether it shows by itself that its viewer watches: who is new knows no numbers.
pub(crate) fn class(streams: &Streams, resource: &Resource, query: &str) -> (Class, bool) {
    match resource {
        Resource::Multivariant(_) => (Class::Playlist, false),
        Resource::Media(stream, track) => {
            let ended = streams
                .mirrored(stream, track)
                .is_some_and(|track| track.has_ended());
            let waits = Directives::parse(query).is_ok_and(|directives| directives.wait.is_some());
            match (ended, waits) {
                (true, _) => (Class::Archive, false),
                (false, true) => (Class::Live, true),
                (false, false) => (Class::Playlist, false),
            }
        }
        Resource::Dvr(_)
        | Resource::DvrMedia(..)
        | Resource::Frames(..)
        | Resource::Thumbnails(_)
        | Resource::Thumbnail(..) => (Class::Dvr, false),
        Resource::Vod(_, _, leaf) => (Class::Archive, matches!(leaf, Leaf::Object(..))),
        Resource::Key(..) | Resource::Object(_, _, Object::Part(_) | Object::Init(_)) => (Class::Live, true),
        Resource::Object(stream, id, Object::Segment(msn) | Object::Vtt(msn)) => {
            let track = streams.mirrored(stream, id);
            match track {
                Some(track) if track.has_ended() => (Class::Archive, true),
                Some(track) if track.may_have_segment(*msn) => (Class::Live, true),
                Some(_) | None => (Class::Dvr, true),
            }
        }
    }
}

/// Resident memory, bytes, and descriptors of this process.
fn process() -> (u64, Use) {
    let read = |name| std::fs::read_to_string(name).unwrap_or_default();
    let status = read("/proc/self/status");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = |text: &str| text.split_whitespace().find_map(|word| word.parse::<u64>().ok());
    let memory = resident.and_then(number).unwrap_or(0).saturating_mul(1_024);
    let limits = read("/proc/self/limits");
    let most = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let descriptors = Use {
        now: open_descriptors(),
        limit: most.and_then(number).unwrap_or(0),
    };
    (memory, descriptors)
}

/// Linux says so in the folder's size since 6.2; before, that was zero, and each of thousands has to be looked at.
fn open_descriptors() -> u64 {
    let folder = "/proc/self/fd";
    let told = std::fs::metadata(folder).map_or(0, |folder| folder.len());
    if told > 0 {
        return told;
    }
    let counted = std::fs::read_dir(folder).map_or(0, Iterator::count);
    u64::try_from(counted).unwrap_or(u64::MAX)
}
