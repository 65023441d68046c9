//! Load drills: a crowd of players on real sockets against a running edge, and a verdict that can be believed.
//!
//! # Code map
//! | module | question it answers |
//! |---|---|
//! | [`scenario`] | what a drill is to be, and every mistake in its file |
//! | [`probe`] | whether a target's owner agrees, and what the origin's clock is |
//! | [`clock`] | what lateness is counted by |
//! | [`crowd`] | how one worker plays its viewers |
//! | [`worker`], `coordinator` | how a crowd is many processes |
//! | [`fleet`], [`faults`], [`toxic`] | what a drill may touch, what it does there and when, and to the links between |
//! | [`shipped`] | the scenarios in the binary |
//! | `cast` | who each viewer is |
//! | `socket`, [`http`] | one connection; the heads of answers |
//! | `inspect` | whether every byte is right and the same for everybody |
//! | [`tally`], [`hist`] | what was counted |
//! | [`report`] | PASS, FAIL or INVALID, and why |
//! | [`timeline`], [`machine`] | what happened in each second and at each edge, and where the drill ran |
//! | [`baseline`] | what is worse than in an older run, beyond chance |
//! | [`figure`] | what a figure is called, and how it is written |
//! | [`page`], [`junit`] | the report as one HTML file, and for build servers |
//! | [`view`] | a drill as it goes, on a terminal |
//!
//! The players themselves are the crate `viewer`: state machines without a clock or a socket.
//!
//! # Invariants
//! - Lateness is counted from publication by the origin's clock, not from asking: a viewer that could not ask in time
//!   because an earlier answer was late is late all the same, and so is one whose part never came.
//! - The tool measures its own lateness at every event and timer; where it was late itself, the run is INVALID.
//! - A report claims the viewers that ran, and is INVALID where they were fewer than asked for.
//! - No machine but this one is loaded without its owner's token.
//! - A [`crowd::Plan`] and a [`tally::Tally`] are plain data: workers may be other processes. One that dies makes the run
//!   INVALID.
//! - Faults touch only processes and links of the fleet file, on this machine, and are undone however the drill ends; one
//!   that could not be done makes the run INVALID.
//!
//! Deliberately absent: TLS and HTTP/2 (their cost is the client's, mostly), content steering.

pub mod baseline;
mod cast;
pub mod clock;
mod coordinator;
pub mod crowd;
pub mod faults;
pub mod figure;
pub mod fleet;
pub mod hist;
pub mod http;
mod inspect;
pub mod junit;
pub mod machine;
pub mod page;
pub mod probe;
pub mod report;
pub mod scenario;
pub mod shipped;
mod socket;
pub mod tally;
pub mod timeline;
pub mod toxic;
pub mod view;
pub mod worker;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use clock::{Basis, Clock, Offset};
use coordinator::Workers;
use crowd::{Plan, Progress};
use fleet::{Fleet, Listed};
use machine::Machine;
use probe::Target;
use report::Report;
use scenario::Scenario;
use tally::{Circumstances, Tally};

/// Direct answers after which the crowd comes.
const PROBES_MIN: u64 = 3;
/// Longest wait for them.
const PROBES_WAIT: Duration = Duration::from_secs(15);

/// What an operator asks for.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// The scenario's text.
    pub scenario: String,
    /// Base URLs of edges.
    pub targets: Vec<String>,
    /// Base URL of the origin, whose clock counts.
    pub origin: Option<String>,
    /// Base URL of the origin's operators' port: whether it gave each object once is then said.
    pub origin_ops: Option<String>,
    /// The token that targets beyond this machine serve.
    pub consent: Option<String>,
    /// What starts a worker process; nothing plays everybody in this one.
    pub worker: Vec<OsString>,
    /// The fleet file: what faults may touch, and targets and origin where they are not named here.
    pub fleet: Option<PathBuf>,
}

/// Why a drill does not begin (exit code 64), or broke off (1).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Every mistake in the order.
    #[error("{}", .0.join("\n  "))]
    Order(Vec<String>),
    /// The machine refused something.
    #[error("the drill broke off")]
    Broken(#[source] std::io::Error),
}

/// What a drill says while it goes; as text, a line.
#[derive(Debug, Clone, Copy)]
pub enum Said<'a> {
    /// Something happened.
    Line(&'a str),
    /// A second has passed.
    Progress(&'a Progress),
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => f.write_str(line),
            Self::Progress(progress) => f.write_str(&line(progress)),
        }
    }
}

/// Plays a drill; `stop` ends it early, and then the report says so. `say` hears how it goes, once a second, and holds up
/// the crowd for as long as it takes.
pub fn run(order: &Order, stop: &AtomicBool, mut say: impl FnMut(Said<'_>)) -> Result<Report, Error> {
    let Read {
        scenario,
        targets,
        origin,
        ops,
        listed,
    } = read(order).map_err(Error::Order)?;
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).map_err(Error::Broken)?;
    let workers = workers(&scenario, descriptors, !order.worker.is_empty()).map_err(Error::Order)?;
    let mut fleet = match (&order.fleet, listed) {
        (Some(path), Some(listed)) => Some(Fleet::open(path, listed).map_err(Error::Broken)?),
        _ => None,
    };
    if fleet.is_some() {
        await_streams(&targets, &scenario, stop, &mut say);
    }
    let (offset, inflicted) = (Mutex::new(Offset::default()), scenario.faults.clone());
    let machine = Machine::here(&order.targets, order.origin.as_ref());
    let (done, stream, waiting) = (AtomicBool::new(false), scenario.stream.clone(), Clock::start());
    thread::scope(|threads| {
        let ends = Ends(&done);
        let mut basis = basis(&targets);
        if let Some(origin) = &origin {
            let (offset, done, stream) = (&offset, &done, &stream);
            threads.spawn(move || probe::follow(origin, stream, waiting, offset, done));
            say(Said::Line("waiting for the origin's clock"));
            basis = await_probes(waiting, offset, stop);
            if basis == Basis::None {
                say(Said::Line(
                    "the origin does not say when its parts were available: no lateness is claimed",
                ));
            }
        }
        let plan = Plan {
            scenario,
            targets,
            basis,
            worker: 0,
            workers,
        };
        let processes = (workers > 1).then(|| Workers::start(&order.worker, workers));
        let processes = processes.transpose().map_err(Error::Broken)?;
        let given = ops.as_ref().and_then(probe::given);
        let clock = waiting.again();
        let faults = fleet.as_mut().map(|fleet| {
            let (faults, done) = (&inflicted, &done);
            threads.spawn(move || faults::run(faults, fleet, clock, done))
        });
        let mut say = |progress: &Progress| say(Said::Progress(progress));
        let played = match processes {
            Some(processes) => Ok(processes.play(&plan, clock, &offset, stop, &mut say)),
            None => crowd::play(&plan, clock, &offset, stop, &mut say),
        };
        let ran_ms = u64::try_from(clock.now().as_millis()).unwrap_or(u64::MAX);
        drop(ends);
        let done_to_it = faults.map(|faults| faults.join());
        let mut tally = played.map_err(Error::Broken)?;
        tally.origin = ops.as_ref().and_then(probe::given).zip(given).map(since);
        judge(&mut tally, done_to_it, &plan.scenario);
        let offset = offset.lock().unwrap_or_else(PoisonError::into_inner);
        let circumstances = Circumstances {
            partial: stop.load(Ordering::Relaxed),
            basis,
            offset_us: offset.us().unwrap_or(0),
            probes: offset.samples(),
            ran_ms,
        };
        drop(offset);
        let mut report = Report::of(plan.scenario, tally, circumstances);
        report.machine = Some(machine);
        Ok(report)
    })
}

/// What is behind a link of ours is there only now.
fn await_streams(targets: &[Target], scenario: &Scenario, stop: &AtomicBool, say: &mut impl FnMut(Said<'_>)) {
    for target in targets {
        if !probe::await_stream(target, &scenario.stream, STREAM_WAIT, stop) {
            say(Said::Line(&format!("{} does not give the stream", target.host)));
        }
    }
}

/// What was counted between; all of it where the counter began anew.
fn since((after, before): ([u64; 2], [u64; 2])) -> [u64; 2] {
    let ([objects, repeats], [objects_before, repeats_before]) = (after, before);
    [
        objects.checked_sub(objects_before).unwrap_or(objects),
        repeats.checked_sub(repeats_before).unwrap_or(repeats),
    ]
}

/// What was done to the system, and how long the crowd took to be well again, goes to what was counted.
fn judge(tally: &mut Tally, done_to_it: Option<thread::Result<faults::Done>>, scenario: &Scenario) {
    match done_to_it {
        Some(Ok((marks, failures))) => {
            tally.marks = marks;
            tally.doubts.extend(failures);
        }
        Some(Err(_)) => tally.doubts.push("the thread of the faults died".to_owned()),
        None => {}
    }
    faults::recoveries(&mut tally.marks, &tally.series, &scenario.well);
}

/// How many workers play, if their descriptors are enough.
fn workers(scenario: &Scenario, descriptors: u64, can_start: bool) -> Result<u32, Vec<String>> {
    let each = if scenario.audio { 4 } else { 2 };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (asked, most) = (scenario.workers.map(u64::from), u64::from(scenario::WORKERS_MAX));
    let fit = worker::workers(scenario.viewers, each, descriptors, cores);
    let number = if can_start {
        asked.unwrap_or(fit.min(most))
    } else {
        1
    };
    let needed = u64::from(scenario.viewers).div_ceil(number.max(1)) * each + worker::SPARE_DESCRIPTORS;
    if needed > descriptors {
        return Err(vec![format!(
            "viewers: {needed} descriptors are needed in each of {number} workers, and {descriptors} may be open (ulimit -n)"
        )]);
    }
    Ok(u32::try_from(number).unwrap_or(1))
}

/// Longest wait for each edge to have the stream, where the drill is a link of it.
const STREAM_WAIT: Duration = Duration::from_secs(15);

/// Ends probes and faults however the drill ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What an order comes to.
struct Read {
    scenario: Scenario,
    targets: Vec<Target>,
    origin: Option<Target>,
    ops: Option<Target>,
    listed: Option<Listed>,
}

/// Scenario, edges, origin and fleet, or every mistake.
fn read(order: &Order) -> Result<Read, Vec<String>> {
    let mut mistakes = Vec::new();
    let scenario = Scenario::read(&order.scenario)
        .map_err(|found| mistakes.extend(found))
        .ok();
    let listed = order.fleet.as_deref().map(Listed::read).transpose();
    let listed = listed.map_err(|found| mistakes.extend(found)).ok().flatten();
    let mut target = |url: &String| {
        let target =
            Target::read(url).and_then(|target| target.consents(order.consent.as_deref()).map(|()| target));
        target.map_err(|mistake| mistakes.push(mistake)).ok()
    };
    let fleet = listed.clone().unwrap_or_default();
    let named = if order.targets.is_empty() {
        &fleet.targets
    } else {
        &order.targets
    };
    let targets: Vec<Target> = named.iter().filter_map(&mut target).collect();
    let origin = order
        .origin
        .as_ref()
        .or(fleet.origin.as_ref())
        .and_then(&mut target);
    let ops = order.origin_ops.as_ref().or(fleet.origin_ops.as_ref());
    let ops = ops.and_then(&mut target);
    if named.is_empty() {
        mistakes.push("no target".to_owned());
    }
    if let Some(scenario) = &scenario {
        mistakes.extend(faults::mistakes(scenario, listed.as_ref()));
    }
    match scenario {
        Some(scenario) if mistakes.is_empty() => Ok(Read {
            scenario,
            targets,
            origin,
            ops,
            listed,
        }),
        _ => Err(mistakes),
    }
}

/// What lateness is counted by where no origin is named.
fn basis(targets: &[Target]) -> Basis {
    let here = targets.iter().all(|target| target.address.ip().is_loopback());
    if here { Basis::SameMachine } else { Basis::None }
}

fn await_probes(clock: Clock, offset: &Mutex<Offset>, stop: &AtomicBool) -> Basis {
    while clock.now() < PROBES_WAIT && !stop.load(Ordering::Relaxed) {
        if offset.lock().unwrap_or_else(PoisonError::into_inner).samples() >= PROBES_MIN {
            return Basis::Probed;
        }
        thread::sleep(Duration::from_millis(20));
    }
    Basis::None
}

fn line(progress: &Progress) -> String {
    let [p50, p99] = progress
        .lateness_ms
        .map(|ms| ms.map_or("-".to_owned(), |ms| format!("{ms:.0}")));
    let Progress {
        at_s,
        viewers,
        playing,
        stalled,
        requests,
        errors,
        ..
    } = progress;
    format!(
        "{at_s:>5} s  viewers {viewers}  playing {playing}  stalled {stalled}  requests {requests}  errors {errors}  lateness {p50}/{p99} ms"
    )
}
