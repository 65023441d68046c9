//! Putting an ingest together, and taking it down.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hls::id::StreamId;
use hls::time::Profile;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Ladder as LadderConfig};
use crate::desk::Desk;
use crate::error::Error;
use crate::keys::Keys;
use crate::ladder::Plan;
use crate::metrics::{Metrics, Rung};
use crate::onair::OnAir;
use crate::picture::{self, TestPicture};
use crate::pipeline::{self, ladder::Ladder};
use crate::program::{Memory, Program, wall};
use crate::push::Push;
use crate::push::replay::{Bounds, Replay};
use crate::rtmp;
use crate::switcher::Switcher;
use crate::units::Outlet;

/// How often the end of what was published is written down.
const REMEMBER_EVERY: Duration = Duration::from_secs(2);

/// Everything an ingest of one stream is made from.
#[derive(Debug)]
pub struct Ingest {
    /// Section `ingest`.
    pub config: Config,
    /// Section `ladder`.
    pub ladder: LadderConfig,
    /// How long parts, GOPs and segments are.
    pub profile: Profile,
    /// The stream that is made.
    pub stream: StreamId,
    /// Who may publish.
    pub keys: Keys,
    /// Secret shared with the packagers.
    pub feed_secret: Vec<u8>,
    /// Where program time is kept over restarts; created if missing.
    pub data_dir: PathBuf,
    /// Ends the ingest.
    pub shutdown: CancellationToken,
}

/// An ingest at work. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Running {
    rtmp_addr: SocketAddr,
    failures: mpsc::Receiver<Error>,
    stop: CancellationToken,
    tasks: TaskTracker,
    switcher: Option<JoinHandle<()>>,
    ladder: Arc<Ladder>,
}

impl Ingest {
    /// Opens the listener, starts the ladder on the test picture and begins to feed the packagers.
    pub async fn start(self) -> Result<Running, Error> {
        let mut wrong = self.config.validate();
        wrong.extend(self.ladder.validate());
        if !wrong.is_empty() {
            return Err(Error::Config(wrong));
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let plan = Plan::new(&self.ladder, self.profile, cores)
            .map_err(|e| Error::Config(vec![format!("ladder.frame_rate: {e}")]))?;
        let listener = rtmp::listen(self.config.rtmp.listen)?;
        let (scene, slate) = (plan.clone(), self.config.slate.clone());
        let made = tokio::task::spawn_blocking(move || Made::new(&scene, &slate)).await;
        let made = made.map_err(|e| Error::System(e.to_string()))??;
        self.run(plan, made, listener)
    }

    fn run(self, plan: Plan, made: Made, listener: TcpListener) -> Result<Running, Error> {
        let addr = self.config.rtmp.listen;
        let rtmp_addr = listener
            .local_addr()
            .map_err(|source| Error::Listen { addr, source })?;
        let path = Memory::path(&self.data_dir);
        let unkept = |source| Error::ProgramTime {
            path: path.clone(),
            source,
        };
        let memory = Memory::load(&path).map_err(unkept)?;
        let program = Program::start(plan.grid, memory.published, wall(), Instant::now());
        // Written before anything is published: an ordinal is never used twice.
        let remembered = Memory {
            ladders: memory.ladders + 1,
            ..memory
        };
        remembered.store(&path).map_err(unkept)?;

        let metrics = Metrics::new();
        let bounds = bounds(&self.config, &program);
        let replay = Arc::new(Replay::new(plan.clone(), program.epoch, bounds, metrics.clone()));
        let stop = self.shutdown.child_token();
        let (failed, failures) = mpsc::channel(4);
        // A full channel already holds the reason.
        let fail = move |error| drop(failed.try_send(error));
        for index in 0..plan.tracks() {
            let is_video = index < plan.rungs.len();
            let (replay, metrics) = (replay.clone(), Rung::new(&plan.id(index)));
            let mut outlet = Outlet {
                index,
                is_video,
                program,
                replay,
                metrics,
                expected: None,
            };
            made.ladder.on_coded(index, move |coded| outlet.take(coded))?;
        }
        made.ladder.play(fail.clone())?;
        let ladder = Arc::new(made.ladder);
        let (desk, newcomers) = Desk::new();
        let switcher = Switcher {
            program,
            ladder: ladder.clone(),
            test: made.test,
            slate: gst::Buffer::from_slice(made.slate),
            on_air: OnAir::new(
                Duration::from_millis(self.config.hold_ms),
                Duration::from_millis(self.config.leave_ms),
            ),
            newcomers,
            metrics: metrics.clone(),
            stop: stop.clone(),
        };
        let switcher = switcher.spawn(fail)?;

        let tasks = TaskTracker::new();
        let push = Arc::new(Push {
            stream: self.stream.clone(),
            epoch: program.epoch,
            discontinuity: memory.ladders,
            secret: self.feed_secret,
            replay: replay.clone(),
            hello_max: Duration::from_millis(self.config.feed_hello_ms_max),
            write_max: Duration::from_millis(self.config.feed_write_ms_max),
            metrics: metrics.clone(),
        });
        for peer in self.config.packagers {
            tasks.spawn(push.clone().run(peer, stop.clone()));
        }
        let server = Arc::new(rtmp::Server {
            config: self.config.rtmp,
            keys: self.keys,
            desk,
            origin: program.due(0),
            canvas: plan.canvas(),
            metrics,
            tasks: tasks.clone(),
            stop: stop.clone(),
        });
        tasks.spawn(server.run(listener));
        tasks.spawn(remember(remembered, path, program, replay, stop.clone()));
        tracing::info!(stream = %self.stream, epoch = program.epoch.0, %rtmp_addr, "ladder is on");
        Ok(Running {
            rtmp_addr,
            failures,
            stop,
            tasks,
            switcher: Some(switcher),
            ladder,
        })
    }
}

impl Running {
    /// Where encoders connect, with the port that was really taken.
    pub fn rtmp_addr(&self) -> SocketAddr {
        self.rtmp_addr
    }

    /// Resolves when the ingest was shut down, or with what made it fail; nothing of it runs afterwards.
    pub async fn join(mut self) -> Result<(), Error> {
        let failure = tokio::select! {
            () = self.stop.cancelled() => None,
            failure = self.failures.recv() => failure,
        };
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let (switcher, ladder) = (self.switcher.take(), self.ladder.clone());
        let ended = tokio::task::spawn_blocking(move || {
            let ended = switcher.map_or(Ok(()), JoinHandle::join);
            ladder.stop();
            ended.map_err(|_| Error::System("the switcher panicked".to_owned()))
        });
        let ended = ended.await.map_err(|e| Error::System(e.to_string())).flatten();
        failure.map_or(ended, Err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What takes a moment to make and needs no clock.
struct Made {
    ladder: Ladder,
    test: TestPicture,
    slate: Vec<u8>,
}

impl Made {
    fn new(plan: &Plan, slate: &str) -> Result<Self, Error> {
        pipeline::init()?;
        Ok(Self {
            ladder: Ladder::new(plan)?,
            test: TestPicture::new(plan.canvas())?,
            slate: picture::slate(plan.canvas(), slate)?,
        })
    }
}

fn bounds(config: &Config, program: &Program) -> Bounds {
    let cell = program.grid.cell_duration().as_nanos().max(1);
    let cells = |ms: u64| u64::try_from((u128::from(ms) * 1_000_000).div_ceil(cell)).unwrap_or(u64::MAX);
    Bounds {
        keep_cells: cells(config.replay_ms),
        bytes_max: config.replay_bytes_max,
        behind_cells_max: cells(config.behind_ms_max),
    }
}

/// Writes down how far the stream got, now and then and at the end.
async fn remember(
    mut memory: Memory,
    path: PathBuf,
    program: Program,
    replay: Arc<Replay>,
    stop: CancellationToken,
) {
    loop {
        let last = tokio::select! {
            () = stop.cancelled() => true,
            () = tokio::time::sleep(REMEMBER_EVERY) => false,
        };
        if let Some(cell) = replay.head() {
            memory = memory.with_published(&program.grid, cell);
            let (memory, path) = (memory, path.clone());
            let stored = tokio::task::spawn_blocking(move || memory.store(&path)).await;
            if let Ok(Err(error)) = stored {
                // A full disk must not touch the live path; it costs truth only if a restart follows.
                tracing::warn!(%error, "program time not kept");
            }
        }
        if last {
            return;
        }
    }
}
