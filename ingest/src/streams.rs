//! The streams of this ingest: the first from the start, others with their first publisher; each kept alive.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hls::id::StreamId;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::config::{Config, Probe};
use crate::error::Error;
use crate::ladder::Plan;
use crate::life::{Blueprint, Life, Made};
use crate::onair::OnAir;
use crate::pipeline::{self, encoder::Kind};
use crate::probe;
use crate::program::Memory;
use crate::stream::Stream;
use crate::switcher::{Ended, Mixer};

/// Between the end of a ladder and the next one.
const REST: Duration = Duration::from_millis(500);
/// A ladder that lived so long was no failure of its making.
const SOUND_LIFE: Duration = Duration::from_secs(60);
/// How long a new stream's ladder is measured, after as long for warming up.
const PROBE: Duration = Duration::from_millis(250);
/// Ladders that fail one after the other before the stream is given up.
const FAILURES_MAX: u32 = 5;

/// Why a publisher's stream does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("this server runs as many streams as it may")]
    Full,
    #[error("the stream does not start: {0}")]
    Failed(String),
}

/// Starts streams and keeps them alive.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) config: Config,
    pub(crate) plan: Plan,
    pub(crate) feed_secret: Vec<u8>,
    pub(crate) data_dir: PathBuf,
    /// Hears of a stream that cannot be kept alive.
    pub(crate) failed: mpsc::Sender<Error>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) running: Mutex<HashMap<StreamId, Arc<Stream>>>,
}

impl Streams {
    /// The stream, started if it does not run yet. Publishers of other streams wait meanwhile: two ladders that
    /// start at once would each take twice as long.
    pub(crate) async fn stream(&self, id: &StreamId) -> Result<Arc<Stream>, Refused> {
        let mut running = self.running.lock().await;
        if let Some(stream) = running.get(id) {
            return Ok(stream.clone());
        }
        if running.len() >= self.config.streams_max {
            return Err(Refused::Full);
        }
        let started = self.start(id).await;
        let stream = started.map_err(|error| {
            tracing::error!(stream = %id, %error, "stream does not start");
            Refused::Failed(error.to_string())
        })?;
        running.insert(id.clone(), stream.clone());
        Ok(stream)
    }

    /// Asks the machine whether it can carry the ladder, where the stream has never run.
    async fn probe(&self, blueprint: &Blueprint) -> Result<(), Error> {
        let known = Memory::load(&blueprint.memory).is_ok_and(|memory| memory.ladders > 0);
        let policy = self.plan.probe;
        if known || policy == Probe::Off {
            return Ok(());
        }
        let plan = self.plan.clone();
        let measured = tokio::task::spawn_blocking(move || {
            pipeline::init()?;
            probe::measure(&plan, PROBE)
        });
        let speed = measured.await.map_err(|e| Error::System(e.to_string()))??;
        let times = speed.real_time();
        let stream = &blueprint.id;
        blueprint.metrics.probe_factor.set(times);
        match policy {
            _ if times >= 1.0 => tracing::info!(%stream, times, "this machine carries the ladder"),
            Probe::Refuse => return Err(Error::TooSlow { times }),
            Probe::Warn | Probe::Off => {
                tracing::warn!(%stream, times, "a busy picture is too much for this machine: rungs would be shed");
            }
        }
        Ok(())
    }

    /// Starts the stream that is there before any publisher.
    pub(crate) async fn first(&self, id: &StreamId) -> Result<(), Error> {
        let stream = self.start(id).await?;
        self.running.lock().await.insert(id.clone(), stream);
        Ok(())
    }

    /// Ends a stream's event: its publishers are let go, packagers are told that nothing follows, and the next publisher
    /// begins another event. False where no such stream runs. Nobody starts meanwhile: two feeds of one stream would
    /// be taken for a takeover.
    pub(crate) async fn end(&self, id: &StreamId) -> bool {
        let mut running = self.running.lock().await;
        let Some(stream) = running.remove(id) else {
            return false;
        };
        tracing::info!(stream = %id, "the event is over");
        stream.end().await;
        true
    }

    async fn start(&self, id: &StreamId) -> Result<Arc<Stream>, Error> {
        let (stream, newcomers) = Stream::new(id.clone(), &self.plan, self.config.rules());
        let stream = Arc::new(stream);
        let blueprint = Blueprint {
            id: id.clone(),
            config: self.config.clone(),
            plan: self.plan.clone(),
            feed_secret: self.feed_secret.clone(),
            memory: Memory::path(&self.data_dir, id),
            metrics: stream.metrics.clone(),
            excluded: BTreeSet::new(),
        };
        self.probe(&blueprint).await?;
        let on_air = OnAir::new(self.config.waits());
        let mixer = Mixer::new(newcomers, on_air, stream.state.clone(), stream.origin);
        let life = begin(&blueprint, mixer, &self.stop).await?;
        let lives = Lives {
            over: stream.over.clone(),
            _gone: stream.gone.clone().drop_guard(),
            blueprint,
            stop: self.stop.clone(),
            failed: self.failed.clone(),
        };
        self.tasks.spawn(lives.keep(life));
        Ok(stream)
    }
}

/// The ladders of one stream, one after the other.
struct Lives {
    blueprint: Blueprint,
    /// Cancelled once the event is over.
    over: CancellationToken,
    /// Tells when nothing of the stream runs any more.
    _gone: DropGuard,
    stop: CancellationToken,
    failed: mpsc::Sender<Error>,
}

impl Lives {
    async fn keep(mut self, mut life: Life) {
        let mut failures = 0;
        loop {
            let since = Instant::now();
            let encoders = life.encoders().to_vec();
            let (ended, mixer) = life.end(&self.over).await;
            if self.stop.is_cancelled() || self.over.is_cancelled() {
                return;
            }
            let next = match (ended, mixer) {
                (_, Err(error)) => Err(error),
                (Some(Ended::Passes(boarding)), Ok(mixer)) => {
                    Life::pass(&self.blueprint, boarding, mixer, self.stop.child_token())
                }
                (Some(Ended::Encodes), Ok(mixer)) => begin(&self.blueprint, mixer, &self.stop).await,
                (failed, Ok(mixer)) => {
                    failures = if since.elapsed() > SOUND_LIFE {
                        1
                    } else {
                        failures + 1
                    };
                    let error = match failed {
                        Some(Ended::Failed(error)) => error,
                        _ => Error::System("the ladder ended by itself".to_owned()),
                    };
                    self.lost(&error, failures, &encoders);
                    if failures >= FAILURES_MAX {
                        return self.give_up(error).await;
                    }
                    tokio::time::sleep(REST).await;
                    begin(&self.blueprint, mixer, &self.stop).await
                }
            };
            life = match next {
                Ok(life) => life,
                Err(error) => return self.give_up(error).await,
            };
        }
    }

    fn lost(&mut self, error: &Error, failures: u32, encoders: &[Kind]) {
        let stream = &self.blueprint.id;
        self.blueprint.metrics.ladders_lost.increment(1);
        tracing::error!(%stream, %error, failures, "ladder lost; the next one starts");
        if let Some(kind) = Life::culprit(encoders, error) {
            tracing::warn!(%stream, encoder = kind.factory(), "passed over from now on");
            self.blueprint.excluded.insert(kind);
        }
    }

    async fn give_up(&self, error: Error) {
        // Whoever listens has ended already, or hears it.
        drop(self.failed.send(error).await);
    }
}

async fn begin(blueprint: &Blueprint, mixer: Mixer, stop: &CancellationToken) -> Result<Life, Error> {
    let scene = blueprint.clone();
    let made = tokio::task::spawn_blocking(move || Made::new(&scene)).await;
    let made = made.map_err(|e| Error::System(e.to_string()))??;
    Life::begin(blueprint, made, mixer, stop.child_token())
}
