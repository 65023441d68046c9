//! While a contribution is passed on: who is on air is watched as ever, and the first fault brings the ladder back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::boarding::Boarding;
use crate::error::Error;
use crate::metrics::{Metrics, Source};
use crate::pipeline::thumbnail::Thumbnails;
use crate::program::Program;
use crate::push::replay::Replay;
use crate::relay::Relay;
use crate::switcher::{Ended, Mixer};
use crate::watcher::Watcher;

/// As often as a ladder makes one.
const THUMBNAIL_EVERY: Duration = Duration::from_secs(2);

/// Everything a tick needs.
pub(crate) struct Passer {
    pub(crate) mixer: Mixer,
    pub(crate) program: Program,
    pub(crate) boarding: Boarding,
    /// Audio renditions.
    pub(crate) sounds: usize,
    pub(crate) watcher: Watcher,
    pub(crate) thumbnails: Thumbnails,
    /// Where cues go.
    pub(crate) replay: Arc<Replay>,
    pub(crate) metrics: Metrics,
    pub(crate) stop: CancellationToken,
}

impl Passer {
    /// Ticks on a thread of its own until `stop`; `ended` hears why it ended otherwise. The thread gives back the mixer.
    pub(crate) fn spawn(
        mut self,
        ended: impl Fn(Ended) + Send + 'static,
    ) -> Result<JoinHandle<Mixer>, Error> {
        let run = move || {
            let result = catch_unwind(AssertUnwindSafe(|| self.run()));
            let panicked = |_| Ended::Failed(Error::System("the passer panicked".to_owned()));
            let reason = self.boarding.contribution.relay().and_then(|relay| relay.close());
            if !self.stop.is_cancelled() {
                let reason = reason.map(|fault| fault.to_string()).unwrap_or_default();
                tracing::warn!(reason, "no longer passed through, the ladder encodes again");
                ended(result.map_or_else(panicked, |()| Ended::Encodes));
            }
            self.mixer
        };
        std::thread::Builder::new()
            .name("passer".to_owned())
            .spawn(run)
            .map_err(|e| Error::System(e.to_string()))
    }

    fn run(&mut self) {
        for n in 0.. {
            let due = self.program.due(n);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if self.stop.is_cancelled() || !self.tick(n) {
                return;
            }
        }
    }

    /// False once something else has to be shown.
    fn tick(&mut self, n: u64) -> bool {
        let due = self.program.due(n);
        let shown = self.mixer.look(due, self.sounds);
        self.mixer.note(shown, &self.metrics);
        let samples = self.program.samples(n);
        let count = usize::try_from(samples.end - samples.start).unwrap_or(0);
        if let Some((picture, sound)) = self.mixer.seen_and_heard(shown.role, due, count) {
            self.watcher
                .show(n, self.program.grid.frame_time(n), &picture, &sound);
            if n.is_multiple_of(self.program.grid.frame_at(THUMBNAIL_EVERY).max(1)) {
                self.thumbnails.take(self.program.grid.frame_time(n), picture);
            }
        }
        let passed = &self.boarding.contribution;
        // Decoded beside what is passed on, it has heard the same.
        drop(passed.cues(self.mixer.on_clock(due)));
        let said = passed.relay().map(Relay::said).unwrap_or_default();
        for cue in self
            .mixer
            .book_in(&self.program.grid, said, self.program.first_frame + n)
        {
            tracing::info!(id = cue.id, kind = ?cue.kind, frame = cue.frame, "cue");
            self.metrics.cues_sent.increment(1);
            self.replay.cue(cue);
        }
        let on_air = self.mixer.playing(shown.role);
        let is_on_air = on_air.is_some_and(|on_air| Arc::ptr_eq(on_air, passed))
            && matches!(shown.source, Source::Contribution | Source::Hold);
        is_on_air && passed.relay().is_some_and(|relay| relay.first().is_some())
    }
}
