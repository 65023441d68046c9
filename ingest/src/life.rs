//! One life of a stream's ladder: from the first frame it is given to its end, by shutdown or by failure.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hls::id::StreamId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::branch::Branch;
use crate::config::Config;
use crate::error::Error;
use crate::ladder::Plan;
use crate::metrics::{self, Metrics, Rung};
use crate::overload::Overload;
use crate::picture::{self, TestPicture};
use crate::pipeline::encoder::{self, Kind};
use crate::pipeline::slate::Slate;
use crate::pipeline::{self, ladder::Ladder};
use crate::program::{Memory, Program, wall};
use crate::push::Push;
use crate::push::replay::{Bounds, Replay};
use crate::switcher::{Mixer, Switcher};
use crate::units::Outlet;
use crate::watcher::Watcher;

/// How often the end of what was published is written down.
const REMEMBER_EVERY: Duration = Duration::from_secs(2);

/// What every ladder of a stream is made from.
#[derive(Debug, Clone)]
pub(crate) struct Blueprint {
    pub(crate) id: StreamId,
    pub(crate) config: Config,
    pub(crate) plan: Plan,
    pub(crate) feed_secret: Vec<u8>,
    /// File of the stream's program time.
    pub(crate) memory: PathBuf,
    pub(crate) metrics: Metrics,
    /// Encoders that failed this stream.
    pub(crate) excluded: BTreeSet<Kind>,
}

/// What takes a moment to make and needs no clock.
pub(crate) struct Made {
    /// One for each rung.
    encoders: Vec<Kind>,
    ladder: Ladder,
    test: Arc<TestPicture>,
    slate: Slate,
}

impl Made {
    /// Blocks for some hundred milliseconds.
    pub(crate) fn new(blueprint: &Blueprint) -> Result<Self, Error> {
        let canvas = blueprint.plan.canvas();
        pipeline::init()?;
        let encoders = encoder::choose(&blueprint.plan, &blueprint.excluded)?;
        Ok(Self {
            ladder: Ladder::new(&blueprint.plan, &encoders)?,
            encoders,
            test: Arc::new(TestPicture::new(canvas)?),
            slate: Slate::new(&blueprint.config, &blueprint.plan)?,
        })
    }
}

/// A ladder at work.
#[derive(Debug)]
pub(crate) struct Life {
    failures: mpsc::Receiver<Error>,
    stop: CancellationToken,
    tasks: TaskTracker,
    switcher: JoinHandle<Mixer>,
    ladder: Arc<Ladder>,
    encoders: Vec<Kind>,
}

impl Life {
    /// Starts the clock, the encoders and the feeds.
    pub(crate) fn begin(
        blueprint: &Blueprint,
        made: Made,
        mixer: Mixer,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let path = blueprint.memory.clone();
        let unkept = |source| Error::ProgramTime {
            path: path.clone(),
            source,
        };
        let (plan, metrics) = (&blueprint.plan, &blueprint.metrics);
        let memory = Memory::load(&path).map_err(unkept)?;
        let program = Program::start(plan.grid, memory.published, wall(), Instant::now());
        // Written before anything is published: an ordinal is never used twice.
        let remembered = Memory {
            ladders: memory.ladders + 1,
            ..memory
        };
        remembered.store(&path).map_err(unkept)?;
        let bounds = bounds(&blueprint.config, &program);
        let replay = Arc::new(Replay::new(plan.clone(), program.epoch, bounds, metrics.clone()));
        let (failed, failures) = mpsc::channel(4);
        // A full channel already holds the reason.
        let fail = move |error| drop(failed.try_send(error));
        blueprint.tell_encoders(&made.encoders);
        let mut rungs = Vec::new();
        for index in 0..plan.tracks() {
            let metrics = Rung::new(&blueprint.id, &plan.id(index));
            let branch =
                (index < plan.rungs.len()).then(|| Arc::new(Branch::new(index, program, replay.clone())));
            if let Some(branch) = &branch {
                made.ladder.watch(index, branch.clone())?;
                rungs.push((branch.clone(), metrics.clone()));
            }
            let mut outlet = Outlet {
                index,
                is_video: index < plan.rungs.len(),
                program,
                replay: replay.clone(),
                metrics,
                branch,
                expected: None,
            };
            made.ladder.on_coded(index, move |coded| outlet.take(coded))?;
        }
        let canvas = picture::info(plan.canvas())?;
        let watcher = Watcher::spawn(canvas, mixer.state.clone(), metrics.clone())?;
        let state = mixer.state.clone();
        made.ladder.on_thumbnail(move |jpeg| state.keep_thumbnail(jpeg))?;
        made.ladder.play(fail.clone())?;
        let ladder = Arc::new(made.ladder);
        let switcher = Switcher {
            mixer,
            program,
            ladder: ladder.clone(),
            test: made.test,
            slate: made.slate,
            sounds: plan.sounds.len(),
            watcher,
            overload: Overload::new(program, rungs, plan.shed),
            metrics: metrics.clone(),
            stop: stop.clone(),
        };
        let switcher = switcher.spawn(fail)?;
        let tasks = TaskTracker::new();
        let push = Arc::new(blueprint.push(&program, memory.ladders, replay.clone()));
        for peer in &blueprint.config.packagers {
            tasks.spawn(push.clone().run(*peer, stop.clone()));
        }
        tasks.spawn(remember(remembered, path, program, replay, stop.clone()));
        tracing::info!(stream = %blueprint.id, epoch = program.epoch.0, "ladder is on");
        Ok(Self {
            failures,
            stop,
            tasks,
            switcher,
            ladder,
            encoders: made.encoders,
        })
    }

    /// The encoder that failed, where it was one.
    pub(crate) fn culprit(encoders: &[Kind], failure: &Error) -> Option<Kind> {
        let Error::Ladder { element, .. } = failure else {
            return None;
        };
        encoders.get(pipeline::ladder::rung_of(element)?).copied()
    }

    /// What makes each rung.
    pub(crate) fn encoders(&self) -> &[Kind] {
        &self.encoders
    }

    /// Resolves when it was stopped, or with what made it fail; nothing of it runs afterwards. The mixer is there
    /// for the next one.
    pub(crate) async fn end(mut self) -> (Option<Error>, Result<Mixer, Error>) {
        let failure = tokio::select! {
            () = self.stop.cancelled() => None,
            failure = self.failures.recv() => failure,
        };
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let ended = tokio::task::spawn_blocking(move || {
            let mixer = self.switcher.join();
            self.ladder.stop();
            mixer.map_err(|_| Error::System("the switcher panicked".to_owned()))
        });
        let mixer = ended.await.map_err(|e| Error::System(e.to_string())).flatten();
        (failure, mixer)
    }
}

impl Blueprint {
    fn tell_encoders(&self, encoders: &[Kind]) {
        let all = Kind::ALL.map(Kind::factory);
        for (index, kind) in encoders.iter().enumerate() {
            let rung = self.plan.id(index);
            tracing::info!(stream = %self.id, %rung, encoder = kind.factory(), "encoder passed its trial");
            metrics::encoder(&self.id, &rung, kind.factory(), &all);
        }
    }

    fn push(&self, program: &Program, discontinuity: u64, replay: Arc<Replay>) -> Push {
        Push {
            stream: self.id.clone(),
            epoch: program.epoch,
            discontinuity,
            secret: self.feed_secret.clone(),
            replay,
            hello_max: Duration::from_millis(self.config.feed_hello_ms_max),
            write_max: Duration::from_millis(self.config.feed_write_ms_max),
            metrics: self.metrics.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_that_fails_is_known_by_its_element() {
        let failure = |element: &str| Error::Ladder {
            element: element.to_owned(),
            reason: "broken".to_owned(),
        };
        let encoders = [Kind::Nvenc, Kind::X264];
        let cases = [
            (failure("encoder0"), Some(Kind::Nvenc)),
            (failure("encoder1"), Some(Kind::X264)),
            (failure("encoder2"), None),
            (failure("video"), None),
            (Error::Behind { behind_ms: 1 }, None),
        ];
        for (error, culprit) in cases {
            assert_eq!(Life::culprit(&encoders, &error), culprit, "{error}");
        }
    }
}
