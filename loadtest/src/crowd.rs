//! The crowd of one worker: all its viewers in one thread, on one readiness queue, with one buffer.

mod seat;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mio::{Events, Poll, Registry, Token};
use serde::{Deserialize, Serialize};
use viewer::ladder::Ladder;
use viewer::listing::{Library, micros};
use viewer::playout::State;

use crate::cast::role;
use crate::clock::{Basis, Clock, Offset};
use crate::inspect::Evidence;
use crate::probe::Target;
use crate::scenario::{Scenario, seconds};
use crate::tally::Tally;
use crate::timeline::{Counts, EdgeCounts};
use seat::{SOCKETS, Seat};

/// How often the tool looks whether it is late itself.
const BEAT: Duration = Duration::from_millis(10);
/// Read at once.
const SCRATCH_BYTES: usize = 256 << 10;
/// Multivariant playlists kept for those who are given the same one.
const LADDERS_MAX: usize = 64;

/// What one worker is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The whole scenario.
    pub scenario: Scenario,
    /// Edges; viewers are dealt to them in turn.
    pub targets: Vec<Target>,
    /// What lateness is counted by.
    pub basis: Basis,
    /// This worker plays every viewer whose number leaves this rest...
    pub worker: u32,
    /// ...when divided by this.
    pub workers: u32,
}

/// How it goes, once a second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Since the beginning.
    pub at_s: u64,
    /// Viewers that are there.
    pub viewers: u64,
    /// Whose picture moves.
    pub playing: u64,
    /// Whose picture is frozen.
    pub stalled: u64,
    /// Requests so far.
    pub requests: u64,
    /// Failures so far.
    pub errors: u64,
    /// Lateness so far, p50 and p99.
    pub lateness_ms: [Option<f64>; 2],
    /// The tool's own lateness so far, p99.
    pub lag_ms_p99: Option<f64>,
    /// Each edge, in the order of the targets.
    pub edges: Vec<EdgeNow>,
    /// What the last second was like.
    pub second: Counts,
}

/// What viewers have of one edge now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EdgeNow {
    /// Viewers that are there.
    pub viewers: u64,
    /// Whose picture moves.
    pub playing: u64,
    /// Whose picture is frozen.
    pub stalled: u64,
}

/// What a crowd shares.
struct Crowd<'a> {
    plan: &'a Plan,
    clock: Clock,
    offset: &'a Mutex<Offset>,
    registry: Registry,
    scratch: Vec<u8>,
    library: Library,
    ladders: HashMap<Vec<u8>, Arc<Ladder>>,
    evidence: Evidence,
    tally: Tally,
    /// The second that goes on.
    second: Counts,
    edges: Vec<EdgeCounts>,
    timers: BinaryHeap<Reverse<(Duration, u32)>>,
}

/// Plays this worker's viewers until the drill ends, or `stop` is set. `say` hears how it goes.
pub fn play(
    plan: &Plan,
    clock: Clock,
    offset: &Mutex<Offset>,
    stop: &AtomicBool,
    say: &mut dyn FnMut(&Progress),
) -> io::Result<Tally> {
    let mut poll = Poll::new()?;
    let mut crowd = Crowd {
        plan,
        clock,
        offset,
        registry: poll.registry().try_clone()?,
        scratch: vec![0; SCRATCH_BYTES],
        library: Library::default(),
        ladders: HashMap::new(),
        evidence: Evidence::default(),
        tally: Tally::default(),
        second: Counts::default(),
        edges: vec![EdgeCounts::default(); plan.targets.len()],
        timers: BinaryHeap::new(),
    };
    let mut arrivals = arrivals(plan).into_iter().peekable();
    let mut seats: Vec<Option<Box<Seat>>> = Vec::new();
    let path: Arc<str> = Arc::from(format!("/live/{}/index.m3u8", plan.scenario.stream));
    let (end, mut events) = (seconds(plan.scenario.duration_s), Events::with_capacity(1_024));
    let (mut beat, mut second) = (clock.now() + BEAT, 1);
    while clock.now() < end && !stop.load(Ordering::Relaxed) {
        while let Some((number, at)) = arrivals.next_if(|(_, at)| *at <= clock.now()) {
            crowd.late(at);
            let role = role(&plan.scenario, &path, number, at);
            let index = u32::try_from(seats.len()).unwrap_or(u32::MAX);
            seats.push(Some(crowd.join(index, number, role)));
        }
        while let Some(Reverse((at, index))) = crowd
            .timers
            .peek()
            .copied()
            .filter(|Reverse((at, _))| *at <= clock.now())
        {
            crowd.timers.pop();
            crowd.with(&mut seats, index, |crowd, seat| crowd.due(seat, at));
        }
        if clock.now() >= beat {
            crowd.late(beat);
            beat = clock.now() + BEAT;
        }
        if clock.now().as_secs() >= second {
            second = clock.now().as_secs() + 1;
            say(&crowd.progress(&seats));
        }
        let due = crowd.timers.peek().map(|Reverse((at, _))| *at);
        let next = due
            .into_iter()
            .chain(arrivals.peek().map(|(_, at)| *at))
            .chain([beat])
            .min();
        let wait = next.unwrap_or(beat).saturating_sub(clock.now());
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let woken = clock.now();
        for event in &events {
            crowd.late(woken);
            let Token(token) = event.token();
            let index = u32::try_from(token / SOCKETS).unwrap_or(u32::MAX);
            crowd.with(&mut seats, index, |crowd, seat| {
                crowd.ready(seat, token % SOCKETS)
            });
        }
    }
    for mut seat in seats.into_iter().flatten() {
        crowd.finish(&mut seat);
    }
    let edges = plan.targets.iter().zip(&crowd.edges);
    for (target, counts) in edges {
        crowd
            .tally
            .edges
            .entry(target.host.clone())
            .or_default()
            .merge(counts);
    }
    Ok(crowd.tally)
}

/// This worker's viewers and when they come.
fn arrivals(plan: &Plan) -> Vec<(u32, Duration)> {
    let workers = plan.workers.max(1);
    let own = |(number, _): &(u32, Duration)| number % workers == plan.worker;
    (0..).zip(plan.scenario.times()).filter(own).collect()
}

impl Crowd<'_> {
    /// Something should have been done at `at`, and is done now.
    fn late(&mut self, at: Duration) {
        self.tally.lag.record(self.clock.now().saturating_sub(at));
    }

    /// Does something with a viewer who is still there, and sees to its next timer.
    fn with(&mut self, seats: &mut [Option<Box<Seat>>], index: u32, act: impl FnOnce(&mut Self, &mut Seat)) {
        let Some(place) = usize::try_from(index).ok().and_then(|index| seats.get_mut(index)) else {
            return;
        };
        let Some(mut seat) = place.take() else {
            return;
        };
        act(self, &mut seat);
        if seat.player.ended().is_some() {
            self.finish(&mut seat);
            return;
        }
        self.arm(&mut seat);
        *place = Some(seat);
    }

    fn arm(&mut self, seat: &mut Seat) {
        if let Some(at) = seat.deadline()
            && at < seat.armed
        {
            seat.armed = at;
            self.timers.push(Reverse((at, seat.index)));
        }
    }

    /// Our clock less the origin's, with the beginning taken off: added to the origin's stamps, time since the beginning.
    fn since_beginning_us(&self, origin_us: i64) -> Option<i64> {
        let offset = match self.plan.basis {
            Basis::None => return None,
            Basis::SameMachine => 0,
            Basis::Probed => self.offset.lock().unwrap_or_else(PoisonError::into_inner).us()?,
        };
        Some(
            origin_us
                .saturating_add(offset)
                .saturating_sub(self.clock.wall_us(Duration::ZERO)),
        )
    }

    /// When the newest part there is was published, microseconds since the beginning. Where nobody asks the origin, the
    /// stream is taken to go on: an edge that falls silent must not be excused.
    fn newest_us(&self, now: Duration) -> i64 {
        let probed = match self.plan.basis {
            Basis::Probed => self
                .offset
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .newest_us(),
            Basis::SameMachine | Basis::None => None,
        };
        probed
            .and_then(|us| self.since_beginning_us(us))
            .unwrap_or(micros(now))
    }

    fn progress(&mut self, seats: &[Option<Box<Seat>>]) -> Progress {
        let now = self.clock.now();
        let mut edges = vec![EdgeNow::default(); self.plan.targets.len()];
        for seat in seats.iter().flatten() {
            if let Some(edge) = edges.get_mut(seat.target) {
                edge.viewers += 1;
                match seat.player.state() {
                    State::Playing => edge.playing += 1,
                    State::Stalled => edge.stalled += 1,
                    State::Waiting => {}
                }
            }
            let position = seat
                .player
                .position(now)
                .filter(|_| seat.is_live)
                .and_then(|position| self.since_beginning_us(position));
            if let Some(position) = position {
                let latency = viewer::listing::length(micros(now) - position);
                self.tally.latency.record(latency);
                self.second.latency.record(latency);
            }
        }
        let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let mut second = std::mem::take(&mut self.second);
        let [viewers, playing, stalled] = [
            |edge: &EdgeNow| edge.viewers,
            |edge: &EdgeNow| edge.playing,
            |edge: &EdgeNow| edge.stalled,
        ]
        .map(|of| edges.iter().map(of).sum::<u64>());
        second.playing = small(playing);
        second.stalled = small(stalled);
        second.joining = small(viewers - playing - stalled);
        // What is said at the end of a second is about that second.
        let t = small(now.as_secs().saturating_sub(1));
        self.tally.series.add(t, &second);
        Progress {
            at_s: now.as_secs(),
            viewers,
            playing,
            stalled,
            requests: self.tally.requests,
            errors: self.tally.errors.values().sum(),
            lateness_ms: [0.5, 0.99].map(|q| self.tally.lateness.ms(q)),
            lag_ms_p99: self.tally.lag.ms(0.99),
            edges,
            second,
        }
    }
}
