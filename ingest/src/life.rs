//! One life of a stream's ladder: from the first frame it is given to its end, by shutdown or by failure.

mod opening;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hls::id::StreamId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::boarding::{Boarding, Gangway};
use crate::branch::Branch;
use crate::captions::Board;
use crate::config::Config;
use crate::error::Error;
use crate::ladder::Plan;
use crate::metrics::Metrics;
use crate::overload::Overload;
use crate::passer::Passer;
use crate::picture::TestPicture;
use crate::pipeline::encoder::{self, Kind};
use crate::pipeline::slate::Slate;
use crate::pipeline::thumbnail::Thumbnails;
use crate::pipeline::{self, ladder::Ladder};
use crate::program::{Program, wall};
use crate::push::replay::Replay;
use crate::switcher::{Ended, Mixer, State, Switcher};

/// What packagers may take to read the end of a life that ended in order.
const CLOSING_MAX: Duration = Duration::from_millis(500);
/// What packagers may take to hear that the event is over, one that is started again meanwhile included.
const OVER_MAX: Duration = Duration::from_secs(10);

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

/// A ladder, or an encoder in its place, at work.
#[derive(Debug)]
pub(crate) struct Life {
    ends: mpsc::Receiver<Ended>,
    stop: CancellationToken,
    closing: CancellationToken,
    tasks: TaskTracker,
    feeds: TaskTracker,
    replay: Arc<Replay>,
    mixer: JoinHandle<Mixer>,
    /// None where an encoder is passed through.
    ladder: Option<Arc<Ladder>>,
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
        let (plan, metrics) = (&blueprint.plan, &blueprint.metrics);
        let start = |published| Program::start(plan.grid, published, wall(), Instant::now());
        let opened = blueprint.open(plan, start, &stop)?;
        let (program, replay) = (opened.program, opened.replay.clone());
        let tell = opened.teller();
        let fail = move |error| tell(Ended::Failed(error));
        blueprint.tell_encoders(&made.encoders);
        let board = Arc::<Board>::default();
        let mut rungs = vec![None; plan.rungs.len()];
        for index in 0..plan.tracks() {
            let mut outlet = blueprint.outlet(index, &opened);
            if index < plan.rungs.len() {
                let branch = Arc::new(Branch::new(index, program, replay.clone()));
                made.ladder.watch(index, branch.clone())?;
                outlet.branch = Some(branch.clone());
                if let Some(place) = rungs.get_mut(index) {
                    *place = Some((branch, outlet.metrics.clone()));
                }
            }
            outlet.board = board.clone();
            made.ladder.on_coded(index, move |coded| outlet.take(coded))?;
        }
        let in_order = plan.shed_order().into_iter();
        let rungs = in_order
            .filter_map(|index| rungs.get_mut(index)?.take())
            .collect();
        let watcher = blueprint.watcher(&mixer)?;
        made.ladder
            .on_thumbnail(show(mixer.state.clone(), program, replay.clone()))?;
        made.ladder.play(fail)?;
        let ladder = Arc::new(made.ladder);
        let switcher = Switcher {
            mixer,
            program,
            ladder: ladder.clone(),
            test: made.test,
            slate: made.slate,
            sounds: plan.sounds.len(),
            watcher,
            board,
            replay: replay.clone(),
            overload: Overload::new(program, rungs, plan.shed),
            gangway: Gangway::new(program, replay),
            metrics: metrics.clone(),
            stop: stop.clone(),
        };
        let mixer = switcher.spawn(opened.teller())?;
        tracing::info!(stream = %blueprint.id, epoch = program.epoch.0, "ladder is on");
        Ok(opened.life(stop, mixer, Some(ladder), made.encoders))
    }

    /// Passes a contribution through, from the cell on with which it has begun.
    pub(crate) fn pass(
        blueprint: &Blueprint,
        boarding: Boarding,
        mixer: Mixer,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let relay = boarding.contribution.relay();
        let relay = relay.ok_or_else(|| Error::System("nothing to pass through".to_owned()))?;
        let plan = blueprint.plan.clone().with_bit_rates(|rung| relay.bit_rate(rung));
        let start = |_| Program::at(plan.grid, boarding.first, Instant::now());
        let opened = blueprint.open(&plan, start, &stop)?;
        let outlets = (0..plan.tracks()).map(|index| blueprint.outlet(index, &opened));
        relay.open(outlets.collect());
        let show = show(mixer.state.clone(), opened.program, opened.replay.clone());
        let passer = Passer {
            watcher: blueprint.watcher(&mixer)?,
            replay: opened.replay.clone(),
            thumbnails: Thumbnails::new(&plan, show)?,
            mixer,
            program: opened.program,
            boarding,
            sounds: plan.sounds.len(),
            metrics: blueprint.metrics.clone(),
            stop: stop.clone(),
        };
        let epoch = opened.program.epoch.0;
        let mixer = passer.spawn(opened.teller())?;
        blueprint.metrics.passages.increment(1);
        tracing::info!(stream = %blueprint.id, epoch, "the encoder is passed through");
        Ok(opened.life(stop, mixer, None, Vec::new()))
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

    /// Resolves when it was stopped, or with why it ended; nothing of it runs afterwards. The mixer is there for the
    /// next one. Once `over` is cancelled, packagers are told that nothing follows.
    pub(crate) async fn end(mut self, over: &CancellationToken) -> (Option<Ended>, Result<Mixer, Error>) {
        let ended = tokio::select! {
            () = self.stop.cancelled() => None,
            () = over.cancelled() => None,
            ended = self.ends.recv() => ended,
        };
        self.tasks.close();
        self.feeds.close();
        if over.is_cancelled() {
            self.replay.end();
            let told = tokio::time::timeout(OVER_MAX, self.feeds.wait()).await;
            if told.is_err() {
                tracing::warn!("a packager was not told that the event is over");
            }
        } else if matches!(ended, Some(Ended::Passes(_) | Ended::Encodes)) {
            // Everything of it counts: packagers are given the time to take it.
            self.closing.cancel();
            let all = async { tokio::join!(self.feeds.wait(), self.tasks.wait()) };
            let _late = tokio::time::timeout(CLOSING_MAX, all).await;
        }
        self.stop.cancel();
        self.feeds.wait().await;
        self.tasks.wait().await;
        let joined = tokio::task::spawn_blocking(move || {
            let mixer = self.mixer.join();
            self.ladder.iter().for_each(|ladder| ladder.stop());
            mixer.map_err(|_| Error::System("the switcher panicked".to_owned()))
        });
        let mixer = joined.await.map_err(|e| Error::System(e.to_string())).flatten();
        (ended, mixer)
    }
}

/// Takes pictures of what goes out, for operators and for packagers.
fn show(state: Arc<State>, program: Program, replay: Arc<Replay>) -> impl Fn(u64, Bytes) + Send + 'static {
    move |running_ns, jpeg| {
        let frame = program.frame_of_running(running_ns);
        let cell = program
            .grid
            .cell_of_frame(program.first_frame.saturating_add(frame));
        replay.picture(cell, jpeg.clone());
        state.keep_thumbnail(jpeg);
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
