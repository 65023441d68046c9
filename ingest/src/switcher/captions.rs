//! Captions of the encoder that viewers see, handed out frame by frame. Slate and test picture have none.

use std::sync::{Arc, Weak};

use super::{Shown, Switcher};
use crate::captions::Queue;
use crate::contribution::Contribution;
use crate::desk::Role;

/// What waits, and whose it is.
#[derive(Debug, Default)]
pub(crate) struct Captions {
    queue: Queue,
    of: Weak<Contribution>,
}

impl Switcher {
    /// Notes what the frame of tick `n` carries. What an encoder sent while it was off air is over.
    pub(super) fn caption(&mut self, shown: Shown, n: u64) {
        let due = self.due(n);
        let mut on_air: Option<Arc<Contribution>> = None;
        let mut due_now = Vec::new();
        for role in Role::ALL {
            let Some(playing) = &self.mixer.input(role).current else {
                continue;
            };
            let contribution = playing.contribution.clone();
            let triples = contribution.captions(due);
            if shown.source.is_encoder() && shown.role == role {
                (on_air, due_now) = (Some(contribution), triples);
            }
        }
        let frame = self.program.first_frame + n;
        let captions = &mut self.mixer.captions;
        let whose = on_air.as_ref().map(Arc::downgrade).unwrap_or_default();
        if !captions.of.ptr_eq(&whose) {
            captions.queue.clear();
            captions.of = whose;
        }
        let lost = captions.queue.push(due_now);
        self.metrics.captions_lost.increment(lost);
        let triples = captions.queue.frame(frame, self.program.grid.rate());
        self.board.note(frame, &triples);
    }
}
