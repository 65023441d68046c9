//! Load drills: a crowd of players on real sockets against a running edge, and a verdict that can be believed.
//!
//! # Code map
//! | module | question it answers |
//! |---|---|
//! | [`scenario`] | what a drill is to be, and every mistake in its file |
//! | [`probe`] | whether a target's owner agrees, and what the origin's clock is |
//! | [`clock`] | what lateness is counted by |
//! | [`crowd`] | how one worker plays its viewers |
//! | `cast` | who each viewer is |
//! | `socket`, [`http`] | one connection; the heads of answers |
//! | `inspect` | whether every byte is right and the same for everybody |
//! | [`tally`], [`hist`] | what was counted |
//! | [`report`] | PASS, FAIL or INVALID, and why |
//! | [`timeline`], [`machine`] | what happened when, and where the drill ran |
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
//! - A [`crowd::Plan`] and a [`tally::Tally`] are plain data: workers may be other processes.
//!
//! Deliberately absent: TLS and HTTP/2 (their cost is the client's, mostly), faults, content steering.

pub mod baseline;
mod cast;
pub mod clock;
pub mod crowd;
pub mod figure;
pub mod hist;
pub mod http;
mod inspect;
pub mod junit;
pub mod machine;
pub mod page;
pub mod probe;
pub mod report;
pub mod scenario;
mod socket;
pub mod tally;
pub mod timeline;
pub mod view;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use clock::{Basis, Clock, Offset};
use crowd::{Plan, Progress};
use machine::Machine;
use probe::Target;
use report::Report;
use scenario::Scenario;
use tally::Circumstances;

/// Direct answers after which the crowd comes.
const PROBES_MIN: u64 = 3;
/// Longest wait for them.
const PROBES_WAIT: Duration = Duration::from_secs(15);
/// Descriptors besides the viewers'.
const SPARE_DESCRIPTORS: u64 = 64;

/// What an operator asks for.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// The scenario's text.
    pub scenario: String,
    /// Base URLs of edges.
    pub targets: Vec<String>,
    /// Base URL of the origin, whose clock counts.
    pub origin: Option<String>,
    /// The token that targets beyond this machine serve.
    pub consent: Option<String>,
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
    let (scenario, targets, origin) = read(order).map_err(Error::Order)?;
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).map_err(Error::Broken)?;
    let each = if scenario.audio { 4 } else { 2 };
    let needed = u64::from(scenario.viewers) * each + SPARE_DESCRIPTORS;
    if needed > descriptors {
        let said =
            format!("viewers: {needed} descriptors are needed and {descriptors} may be open (ulimit -n)");
        return Err(Error::Order(vec![said]));
    }
    let offset = Mutex::new(Offset::default());
    let machine = Machine::here(&order.targets, order.origin.as_ref());
    let (done, stream, waiting) = (AtomicBool::new(false), scenario.stream.clone(), Clock::start());
    thread::scope(|threads| {
        let _ends_probes = Ends(&done);
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
            workers: 1,
        };
        let clock = waiting.again();
        let played = crowd::play(&plan, clock, &offset, stop, &mut |progress| {
            say(Said::Progress(progress))
        });
        let offset = offset.lock().unwrap_or_else(PoisonError::into_inner);
        let circumstances = Circumstances {
            partial: stop.load(Ordering::Relaxed),
            basis,
            offset_us: offset.us().unwrap_or(0),
            probes: offset.samples(),
            ran_ms: u64::try_from(clock.now().as_millis()).unwrap_or(u64::MAX),
        };
        drop(offset);
        let tally = played.map_err(Error::Broken)?;
        let mut report = Report::of(plan.scenario, tally, circumstances);
        report.machine = Some(machine);
        Ok(report)
    })
}

/// Ends the probes however the drill ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Scenario, edges and origin, or every mistake.
fn read(order: &Order) -> Result<(Scenario, Vec<Target>, Option<Target>), Vec<String>> {
    let mut mistakes = Vec::new();
    let scenario = Scenario::read(&order.scenario)
        .map_err(|found| mistakes.extend(found))
        .ok();
    let mut target = |url: &String| {
        let target =
            Target::read(url).and_then(|target| target.consents(order.consent.as_deref()).map(|()| target));
        target.map_err(|mistake| mistakes.push(mistake)).ok()
    };
    let targets: Vec<Target> = order.targets.iter().filter_map(&mut target).collect();
    let origin = order.origin.as_ref().and_then(&mut target);
    if order.targets.is_empty() {
        mistakes.push("no target".to_owned());
    }
    match scenario {
        Some(scenario) if mistakes.is_empty() => Ok((scenario, targets, origin)),
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
