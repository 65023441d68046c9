//! One stream as its publishers see it: where they are let in, and what an operator may ask of it.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use hls::id::StreamId;
use tokio_util::sync::CancellationToken;

use crate::contribution::{Contribution, Decoders};
use crate::desk::{Desk, Newcomer, Role, Rules, Seat};
use crate::door::Refusal;
use crate::ladder::Plan;
use crate::media::Clock;
use crate::metrics::{Metrics, Protocol};
use crate::passage::Form;
use crate::relay::Relay;
use crate::report;
use crate::switcher::State;

/// Publishers that may wait for the switcher's next tick; it drains them all at each.
const WAITING_MAX: usize = 16;

/// Where the switcher finds publishers that were let in.
pub(crate) type Newcomers = Receiver<(Role, Arc<Contribution>)>;

/// One stream, over all the ladders it has.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    /// Zero of its publishers' clock.
    pub(crate) origin: Instant,
    pub(crate) metrics: Metrics,
    pub(crate) state: Arc<State>,
    canvas: (u32, u32),
    sounds: u8,
    /// What a publisher has to send to be passed on as it is; none where it never is.
    form: Option<Form>,
    captioned: bool,
    to_switcher: SyncSender<(Role, Arc<Contribution>)>,
    /// Cancelled once its event is over, and once nothing of it runs any more.
    pub(crate) over: CancellationToken,
    pub(crate) gone: CancellationToken,
    places: Mutex<Places>,
}

#[derive(Debug)]
struct Places {
    desk: Desk,
    inside: Vec<Inside>,
}

/// Someone with a seat.
#[derive(Debug)]
struct Inside {
    seat: Seat,
    since: Instant,
    who: Publisher,
}

/// Someone who wants one.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) role: Role,
    pub(crate) priority: u8,
    pub(crate) protocol: Protocol,
    pub(crate) peer: SocketAddr,
    pub(crate) contribution: Arc<Contribution>,
    /// Cancelled once it has to go.
    pub(crate) closed: CancellationToken,
}

/// How a publisher came in.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) seat: Seat,
    pub(crate) took_over: bool,
}

impl Stream {
    /// A stream nobody publishes to yet.
    pub(crate) fn new(id: StreamId, plan: &Plan, rules: Rules) -> (Self, Newcomers) {
        let (to_switcher, newcomers) = sync_channel(WAITING_MAX);
        let stream = Self {
            origin: Instant::now(),
            metrics: Metrics::new(&id),
            state: Arc::default(),
            canvas: plan.canvas(),
            sounds: u8::try_from(plan.sounds.len()).unwrap_or(u8::MAX),
            form: plan.form(&id),
            captioned: !plan.captions.is_empty(),
            to_switcher,
            over: CancellationToken::new(),
            gone: CancellationToken::new(),
            places: Mutex::new(Places {
                desk: Desk::new(rules),
                inside: Vec::new(),
            }),
            id,
        };
        (stream, newcomers)
    }

    /// What a publisher needs, whether it is let in or not.
    pub(crate) fn contribution(&self, clock: Clock) -> (Arc<Contribution>, Decoders) {
        let contribution = Contribution::new(
            self.origin,
            self.sounds.into(),
            clock,
            self.form.clone(),
            self.metrics.clone(),
        );
        let contribution = Arc::new(contribution);
        let decoders = Decoders::new(
            contribution.clone(),
            self.canvas,
            self.sounds,
            clock,
            self.metrics.clone(),
        );
        let decoders = decoders.with_captions(self.captioned);
        (contribution, decoders)
    }

    /// Gives a seat, and closes whoever had it.
    pub(crate) fn enter(&self, who: Publisher) -> Result<Entry, Refusal> {
        let now = Instant::now();
        let mut places = self.places();
        let holder = places.inside.iter().find(|inside| inside.who.role == who.role);
        let silent = |inside: &Inside| inside.who.contribution.silent_for(now);
        let newcomer = Newcomer {
            role: who.role,
            priority: who.priority,
            holder_silent: holder.map_or(Duration::ZERO, silent),
        };
        let seat = places.desk.enter(now, newcomer)?;
        let on_screen = (who.role, who.contribution.clone());
        if self.to_switcher.try_send(on_screen).is_err() {
            places.desk.leave(seat);
            return Err(Refusal::Busy);
        }
        let same_role = |inside: &Inside| inside.who.role == who.role;
        let replaced = places.inside.iter().position(same_role);
        let replaced = replaced.map(|at| places.inside.swap_remove(at));
        places.inside.push(Inside {
            seat,
            since: now,
            who,
        });
        drop(places);
        if let Some(before) = &replaced {
            before.who.closed.cancel();
        }
        self.metrics.publishes.increment(1);
        self.metrics.takeovers.increment(u64::from(replaced.is_some()));
        Ok(Entry {
            seat,
            took_over: replaced.is_some(),
        })
    }

    /// What is on air, and who publishes.
    pub(crate) fn report(&self) -> report::Stream {
        let now = Instant::now();
        let shown = self.state.shown();
        let places = self.places();
        let contributions = places.inside.iter().map(|inside| report::Contribution {
            role: inside.who.role,
            protocol: inside.who.protocol.as_str(),
            peer: inside.who.peer,
            seconds: now.saturating_duration_since(inside.since).as_secs_f64(),
            silent_ms: millis(inside.who.contribution.silent_for(now)),
            passage: inside.who.contribution.relay().map(Relay::state),
            doctor: inside.who.contribution.examine(now, |exam, now| exam.report(now)),
        });
        let mut contributions: Vec<_> = contributions.collect();
        contributions.sort_by_key(|contribution| contribution.role != Role::Primary);
        report::Stream {
            stream: self.id.as_str().to_owned(),
            shown: shown.map_or("nothing", |shown| shown.source.as_str()),
            role: shown
                .filter(|shown| shown.source.is_encoder())
                .map(|shown| shown.role),
            choice: self.state.choice(),
            output: self.state.output(),
            contributions,
        }
    }

    /// Lets all publishers go and ends the event; back once nothing of it runs.
    pub(crate) async fn end(&self) {
        for inside in &self.places().inside {
            inside.who.closed.cancel();
        }
        self.over.cancel();
        self.gone.cancelled().await;
    }

    /// The publisher is gone; harmless for one that was replaced.
    pub(crate) fn leave(&self, seat: Seat) {
        let mut places = self.places();
        places.desk.leave(seat);
        places.inside.retain(|inside| inside.seat != seat);
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places
            .lock()
            .expect("nothing panics while it holds the places")
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
