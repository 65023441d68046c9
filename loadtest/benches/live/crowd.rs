//! Viewers on one thread and one readiness queue, as many as descriptors allow.

use std::collections::{BTreeMap, HashMap};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use loadtest::hist::Hist;
use loadtest::http::Head;
use mio::{Events, Interest, Poll, Token};

use crate::link::{self, Link};
use crate::listing::{Version, request};

/// Connections begun in a millisecond.
const ARRIVALS_PER_MS: usize = 2;
/// After the first viewer knows the playlist, the others begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is measured.
#[derive(Debug)]
pub(crate) struct Order {
    to: SocketAddr,
    path: String,
    viewers: usize,
    warm: Duration,
    seconds: Duration,
    tls: bool,
    /// Parts do not say when they were available: what counts is when the first viewer heard of them.
    foreign: bool,
}

impl Order {
    pub(crate) fn read(words: &[&str]) -> Self {
        let [to, path, rest @ ..] = words else {
            panic!("crowd HOST:PORT PLAYLIST_PATH")
        };
        let number = |name: &str, else_: u64| {
            let at = rest.iter().position(|word| *word == name);
            at.map_or(else_, |at| rest[at + 1].parse().unwrap())
        };
        Self {
            to: to.parse().unwrap(),
            path: (*path).to_owned(),
            viewers: usize::try_from(number("--viewers", 100)).unwrap(),
            warm: Duration::from_secs(number("--warm", 3)),
            seconds: Duration::from_secs(number("--seconds", 10)),
            tls: rest.contains(&"--tls"),
            foreign: rest.contains(&"--foreign"),
        }
    }
}

enum Want {
    Playlist,
    Part(Arc<Version>),
}

struct Viewer {
    link: Link,
    want: Want,
    asked: Arc<[u8]>,
    sent: usize,
    /// The head until it is whole, then the body where somebody reads it.
    kept: Vec<u8>,
    head: Option<Head>,
    got: u64,
    /// Where it stood before.
    at: Option<(u64, u64)>,
}

#[derive(Default)]
struct Tally {
    lateness: Hist,
    parts: u64,
    playlists: u64,
    /// Parts that somebody heard of.
    versions: u64,
    bytes: u64,
    errors: BTreeMap<String, u64>,
}

struct Crowd<'a> {
    order: &'a Order,
    host: String,
    /// By the request that was answered with it.
    versions: HashMap<Arc<[u8]>, Arc<Version>>,
    /// When a part was first heard of, microseconds of Unix time.
    heard: HashMap<String, u64>,
    /// Somebody has been answered.
    begun: bool,
    counts: bool,
    tally: Tally,
    scratch: Vec<u8>,
}

/// One JSON object.
pub(crate) fn measure(order: &Order) -> serde_json::Value {
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    assert!(
        order.viewers as u64 + 64 < limit,
        "{limit} descriptors are too few"
    );
    let mut poll = Poll::new().unwrap();
    let config = order.tls.then(link::tls);
    let mut crowd = Crowd {
        order,
        host: order.to.to_string(),
        versions: HashMap::new(),
        heard: HashMap::new(),
        begun: false,
        counts: false,
        tally: Tally::default(),
        scratch: vec![0; 256 << 10],
    };
    let first = request(&order.path, &crowd.host);
    let mut viewers: Vec<Option<Viewer>> = Vec::new();
    let mut events = Events::with_capacity(1_024);
    let begun = Instant::now();
    let ramp = Duration::from_millis((order.viewers / ARRIVALS_PER_MS) as u64);
    let (from, until) = (ramp + order.warm, ramp + order.warm + order.seconds);
    let mut used = Duration::ZERO;
    while begun.elapsed() < until {
        assert!(
            crowd.begun || begun.elapsed() < PATIENCE,
            "no playlist: {:?}",
            crowd.tally.errors
        );
        if !crowd.counts && begun.elapsed() >= from {
            crowd.counts = true;
            crowd.tally = Tally::default();
            used = cpu();
        }
        let arrived = usize::try_from(begun.elapsed().as_millis()).unwrap() * ARRIVALS_PER_MS;
        let wanted = if crowd.begun { arrived } else { 1 };
        while viewers.len() < wanted.min(order.viewers) {
            let mut link = Link::open(order.to, config.as_ref()).unwrap();
            let token = Token(viewers.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut link.stream, token, interest)
                .unwrap();
            viewers.push(Some(Viewer::new(link, first.clone())));
        }
        poll.poll(&mut events, Some(Duration::from_millis(5))).unwrap();
        for event in &events {
            let place = &mut viewers[event.token().0];
            let Some(viewer) = place else { continue };
            if let Err(class) = crowd.drive(viewer) {
                *crowd.tally.errors.entry(class).or_default() += 1;
                *place = None;
            }
        }
    }
    let tally = &crowd.tally;
    let there = viewers.iter().flatten().count();
    serde_json::json!({
        "viewers": there, "asked_for": order.viewers, "seconds": order.seconds.as_secs_f64(),
        "parts": tally.parts, "playlists": tally.playlists, "versions": tally.versions, "bytes": tally.bytes, "errors": tally.errors,
        "cpu_s": (cpu() - used).as_secs_f64(), "lateness_us": tally.lateness,
    })
}

impl Viewer {
    fn new(link: Link, first: Arc<[u8]>) -> Self {
        Self {
            link,
            want: Want::Playlist,
            asked: first,
            sent: 0,
            kept: Vec::new(),
            head: None,
            got: 0,
            at: None,
        }
    }

    fn ask(&mut self, want: Want, bytes: Arc<[u8]>) {
        (self.want, self.asked) = (want, bytes);
        (self.sent, self.got, self.head) = (0, 0, None);
        self.kept.clear();
    }

    /// Whether all of the request is out.
    fn write(&mut self) -> Result<bool, String> {
        while self.sent < self.asked.len() {
            match self.link.write(&self.asked[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(error) if waits(error.kind()) => return Ok(false),
                Err(error) => return Err(format!("write: {}", error.kind())),
            }
        }
        Ok(true)
    }
}

fn waits(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted
    )
}

impl Crowd<'_> {
    /// Writes and reads what can be.
    fn drive(&mut self, viewer: &mut Viewer) -> Result<(), String> {
        loop {
            if !viewer.write()? && viewer.link.stream.peer_addr().is_err() {
                return Ok(());
            }
            let read = match viewer.link.read(&mut self.scratch) {
                Ok(0) => return Err("closed".to_owned()),
                Ok(n) => n,
                Err(error) if waits(error.kind()) => return Ok(()),
                Err(error) => return Err(format!("read: {}", error.kind())),
            };
            self.take(viewer, read)?;
        }
    }

    fn take(&mut self, viewer: &mut Viewer, read: usize) -> Result<(), String> {
        let keeps = matches!(viewer.want, Want::Playlist) && !self.versions.contains_key(&viewer.asked);
        if viewer.head.is_none() {
            viewer.kept.extend_from_slice(&self.scratch[..read]);
            let Some((head, length)) = Head::read(&viewer.kept).map_err(|error| error.to_string())? else {
                return Ok(());
            };
            if head.status != 200 {
                return Err(format!("status {}", head.status));
            }
            viewer.kept.drain(..length);
            viewer.got = viewer.kept.len() as u64;
            viewer.head = Some(head);
        } else {
            viewer.got += read as u64;
            if keeps {
                viewer.kept.extend_from_slice(&self.scratch[..read]);
            }
        }
        let head = viewer.head.as_ref().unwrap();
        if Some(viewer.got) == head.length {
            let available = head.available_us;
            self.answered(viewer, available)?;
        }
        Ok(())
    }

    fn answered(&mut self, viewer: &mut Viewer, available: Option<i64>) -> Result<(), String> {
        self.tally.bytes += viewer.got;
        match &viewer.want {
            Want::Playlist => {
                self.tally.playlists += 1;
                let version = self.version(viewer)?;
                // A plain poll where it stands tells nothing new.
                let again = viewer.at.is_some_and(|at| at >= version.at);
                viewer.at = Some(version.at);
                if again {
                    viewer.ask(Want::Playlist, version.ask_next.clone());
                } else {
                    let bytes = version.ask_part.clone();
                    viewer.ask(Want::Part(version), bytes);
                }
            }
            Want::Part(version) => {
                let version = version.clone();
                let since = if self.order.foreign {
                    self.heard.get(&version.part).copied()
                } else {
                    available.and_then(|us| u64::try_from(us).ok())
                };
                let since = since.ok_or("no ringside-available")?;
                if self.counts {
                    let late = unix_us().saturating_sub(since);
                    self.tally.lateness.record(Duration::from_micros(late));
                }
                self.tally.parts += 1;
                viewer.ask(Want::Playlist, version.ask_next.clone());
            }
        }
        Ok(())
    }

    fn version(&mut self, viewer: &Viewer) -> Result<Arc<Version>, String> {
        if let Some(known) = self.versions.get(&viewer.asked) {
            return Ok(known.clone());
        }
        let text = std::str::from_utf8(&viewer.kept).map_err(|error| error.to_string())?;
        let version = Version::read(text, &self.order.path, &self.host).ok_or("no playlist with parts")?;
        if !self.heard.contains_key(&version.part) {
            self.heard.insert(version.part.clone(), unix_us());
            self.tally.versions += 1;
        }
        let version = Arc::new(version);
        // What who comes first is told is not for who comes later.
        if viewer.at.is_some() {
            self.versions.insert(viewer.asked.clone(), version.clone());
        }
        self.begun = true;
        Ok(version)
    }
}

fn unix_us() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// CPU time of this process.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
