//! When an encoder's own pictures take the place of the ladder's.

use std::sync::Arc;
use std::time::Duration;

use hls::id::Cell;

use crate::contribution::Contribution;
use crate::program::Program;
use crate::push::replay::Replay;
use crate::relay::Relay;

/// Frames handed on beyond the ladder's last cell: an AAC encoder gives a unit only after the next.
const BEYOND: Duration = Duration::from_millis(100);
/// What has not come out of the encoders after this is missing.
const LATE_MAX: Duration = Duration::from_secs(1);

/// A contribution that is passed on from a cell on.
#[derive(Debug, Clone)]
pub(crate) struct Boarding {
    pub(crate) contribution: Arc<Contribution>,
    pub(crate) first: Cell,
}

/// Looks at every tick of a ladder.
pub(crate) struct Gangway {
    program: Program,
    replay: Arc<Replay>,
    /// Whoever is on air and may board.
    candidate: Option<Arc<Contribution>>,
    first: Option<Cell>,
}

/// What a tick came to.
#[derive(Debug)]
pub(crate) enum Step {
    /// The ladder goes on.
    On,
    /// The ladder has done its part.
    Over(Boarding),
    /// The one that was to take over failed when the end of the ladder was fixed already.
    Missed,
}

impl Gangway {
    pub(crate) fn new(program: Program, replay: Arc<Replay>) -> Self {
        Self {
            program,
            replay,
            candidate: None,
            first: None,
        }
    }

    /// After frame `n` of the ladder was handed on, with this contribution on air.
    pub(crate) fn tick(&mut self, n: u64, on_air: Option<&Arc<Contribution>>) -> Step {
        let same = match (&self.candidate, on_air) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same {
            self.change(on_air.cloned());
        }
        let relay = self.candidate.as_ref().and_then(|candidate| candidate.relay());
        let first = relay.and_then(|relay| relay.first());
        match (self.first, first, &self.candidate) {
            (None, None, _) | (None, Some(_), None) => Step::On,
            (None, Some(first), Some(_)) => {
                self.replay.end_at(first);
                self.first = Some(first);
                Step::On
            }
            (Some(first), Some(_), Some(contribution)) => {
                let end = self.program.grid.first_frame(first);
                let at = |frame: u64| self.program.grid.frame_time(frame);
                let since = at(self.program.first_frame + n).saturating_sub(at(end));
                if since >= LATE_MAX || since >= BEYOND && self.replay.is_closed() {
                    let contribution = contribution.clone();
                    Step::Over(Boarding { contribution, first })
                } else {
                    Step::On
                }
            }
            (Some(_), _, _) => Step::Missed,
        }
    }

    fn change(&mut self, candidate: Option<Arc<Contribution>>) {
        fn relay(of: &Option<Arc<Contribution>>) -> Option<&Relay> {
            of.as_ref()?.relay()
        }
        // One that has begun already must not go on for nobody.
        relay(&self.candidate).map(Relay::close);
        if let Some(relay) = relay(&candidate) {
            relay.permit(self.program);
        }
        self.candidate = candidate;
    }
}
