//! What every life begins with: its programme, its feeds, and what is remembered of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Blueprint, Life};
use crate::config::Config;
use crate::error::Error;
use crate::ladder::Plan;
use crate::metrics::{self, Rung};
use crate::picture;
use crate::pipeline::encoder::Kind;
use crate::pipeline::ladder::Ladder;
use crate::program::{Memory, Program};
use crate::push::Push;
use crate::push::replay::{Bounds, Replay};
use crate::switcher::{Ended, Mixer};
use crate::units::Outlet;
use crate::watcher::Watcher;

/// How often the end of what was published is written down.
const REMEMBER_EVERY: Duration = Duration::from_secs(2);

/// What every life begins with: its programme, its feeds, and a way to tell how it ended.
pub(super) struct Opened {
    pub(super) program: Program,
    pub(super) replay: Arc<Replay>,
    pub(super) tasks: TaskTracker,
    pub(super) feeds: TaskTracker,
    pub(super) closing: CancellationToken,
    pub(super) ended: mpsc::Sender<Ended>,
    pub(super) ends: mpsc::Receiver<Ended>,
}

impl Opened {
    /// Hears of an end; the first counts.
    pub(super) fn teller(&self) -> impl Fn(Ended) + Send + Sync + Clone + 'static + use<> {
        let ended = self.ended.clone();
        // A full channel already holds the reason.
        move |reason| drop(ended.try_send(reason))
    }

    pub(super) fn life(
        self,
        stop: CancellationToken,
        mixer: JoinHandle<Mixer>,
        ladder: Option<Arc<Ladder>>,
        encoders: Vec<Kind>,
    ) -> Life {
        Life {
            ends: self.ends,
            stop,
            closing: self.closing,
            tasks: self.tasks,
            feeds: self.feeds,
            replay: self.replay,
            mixer,
            ladder,
            encoders,
        }
    }
}

impl Blueprint {
    pub(super) fn tell_encoders(&self, encoders: &[Kind]) {
        let all = Kind::ALL.map(Kind::factory);
        for (index, kind) in encoders.iter().enumerate() {
            let rung = self.plan.id(index);
            tracing::info!(stream = %self.id, %rung, encoder = kind.factory(), "encoder passed its trial");
            metrics::encoder(&self.id, &rung, kind.factory(), &all);
        }
    }

    /// Opens the programme where `start` says, given the end of what was published, and the feeds.
    pub(super) fn open(
        &self,
        plan: &Plan,
        start: impl FnOnce(Duration) -> Program,
        stop: &CancellationToken,
    ) -> Result<Opened, Error> {
        let unkept = |source| Error::ProgramTime {
            path: self.memory.clone(),
            source,
        };
        let memory = Memory::load(&self.memory).map_err(unkept)?;
        let program = start(memory.published);
        // Written before anything is published: an ordinal is never used twice.
        let remembered = Memory {
            ladders: memory.ladders + 1,
            ..memory
        };
        remembered.store(&self.memory).map_err(unkept)?;
        let bounds = bounds(&self.config, &program);
        let replay = Replay::new(plan.clone(), program.epoch, bounds, self.metrics.clone());
        let replay = Arc::new(replay);
        let closing = CancellationToken::new();
        let (tasks, feeds) = (TaskTracker::new(), TaskTracker::new());
        let push = Arc::new(self.push(&program, memory.ladders, replay.clone(), closing.clone()));
        for peer in &self.config.packagers {
            feeds.spawn(push.clone().run(*peer, stop.clone()));
        }
        let over = closing.child_token();
        tasks.spawn(either(stop.clone(), over.clone()));
        tasks.spawn(remember(
            remembered,
            self.memory.clone(),
            program,
            replay.clone(),
            over,
        ));
        let (ended, ends) = mpsc::channel(4);
        Ok(Opened {
            program,
            replay,
            tasks,
            feeds,
            closing,
            ended,
            ends,
        })
    }

    pub(super) fn outlet(&self, index: usize, opened: &Opened) -> Outlet {
        Outlet {
            index,
            is_video: index < self.plan.rungs.len(),
            is_h264: self.plan.is_h264(index),
            board: Arc::default(),
            program: opened.program,
            replay: opened.replay.clone(),
            metrics: Rung::new(&self.id, &self.plan.id(index)),
            branch: None,
            expected: None,
        }
    }

    pub(super) fn watcher(&self, mixer: &Mixer) -> Result<Watcher, Error> {
        let canvas = picture::info(self.plan.canvas())?;
        Watcher::spawn(canvas, mixer.state.clone(), self.metrics.clone())
    }

    pub(super) fn push(
        &self,
        program: &Program,
        discontinuity: u64,
        replay: Arc<Replay>,
        closing: CancellationToken,
    ) -> Push {
        Push {
            stream: self.id.clone(),
            epoch: program.epoch,
            discontinuity,
            secret: self.feed_secret.clone(),
            replay,
            hello_max: Duration::from_millis(self.config.feed_hello_ms_max),
            write_max: Duration::from_millis(self.config.feed_write_ms_max),
            metrics: self.metrics.clone(),
            closing,
        }
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

/// Cancels `over` with `stop`; ends with either.
async fn either(stop: CancellationToken, over: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => over.cancel(),
        () = over.cancelled() => {}
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
