//! Watching the output on a thread of its own: loudness takes longer than a tick should.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use gst_video::VideoInfo;

use crate::error::Error;
use crate::metrics::Metrics;
use crate::switcher::State;
use crate::watch::Watch;

/// Ticks that may wait; one that finds no room is not watched, and counted.
const WAITING_MAX: usize = 30;
/// Ticks from one look at the picture to the next, and from one report to the next.
const LOOK_EVERY: u64 = 5;
const REPORT_EVERY: u64 = 15;

/// One tick's output.
struct Tick {
    n: u64,
    now: Duration,
    picture: Option<gst::Buffer>,
    sound: Vec<f32>,
}

/// The thread, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Watcher {
    ticks: Option<SyncSender<Tick>>,
    thread: Option<JoinHandle<()>>,
    metrics: Metrics,
}

impl Watcher {
    /// Reports to `state` and `metrics`; `canvas` is how pictures lie in memory.
    pub(crate) fn spawn(canvas: VideoInfo, state: Arc<State>, metrics: Metrics) -> Result<Self, Error> {
        let (ticks, waiting) = sync_channel(WAITING_MAX);
        let (watch, told) = (Watch::new()?, metrics.clone());
        let thread = std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || run(&waiting, watch, &canvas, &state, &told))
            .map_err(|e| Error::System(e.to_string()))?;
        Ok(Self {
            ticks: Some(ticks),
            thread: Some(thread),
            metrics,
        })
    }

    /// Shows tick `n` of program length `now`; waits for nothing.
    pub(crate) fn show(&self, n: u64, now: Duration, picture: &gst::Buffer, sound: &[f32]) {
        let tick = Tick {
            n,
            now,
            picture: n.is_multiple_of(LOOK_EVERY).then(|| picture.clone()),
            sound: sound.to_vec(),
        };
        let sent = self.ticks.as_ref().map(|ticks| ticks.try_send(tick));
        self.metrics
            .unwatched
            .increment(u64::from(sent.is_some_and(|sent| sent.is_err())));
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.ticks.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the output's watch panicked");
        }
    }
}

fn run(waiting: &Receiver<Tick>, mut watch: Watch, canvas: &VideoInfo, state: &State, metrics: &Metrics) {
    let stride = canvas.stride().first().copied();
    let stride = stride
        .and_then(|stride| usize::try_from(stride).ok())
        .unwrap_or(0);
    while let Ok(tick) = waiting.recv() {
        watch.sound(tick.now, &tick.sound);
        if let Some(pixels) = tick
            .picture
            .as_ref()
            .and_then(|picture| picture.map_readable().ok())
        {
            watch.picture(tick.now, &pixels, stride, (canvas.width(), canvas.height()));
        }
        if tick.n.is_multiple_of(REPORT_EVERY) {
            let output = watch.output();
            metrics.watch(&output);
            state.report(output);
        }
    }
}
