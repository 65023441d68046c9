//! What encoders say of breaks, at the tick: only of the one that viewers see, and in the stream's frames.

use feed::Cue;

use super::{Shown, Switcher};
use crate::cues;
use crate::desk::Role;

impl Switcher {
    /// Sends on what the encoder on air has said since the tick before. The other one's cues wait until their time
    /// is over: it may be on air by then.
    pub(super) fn cue(&mut self, shown: Shown, n: u64) {
        let due = self.due(n);
        let now = self.program.first_frame + n;
        let grid = self.program.grid;
        for role in Role::ALL {
            let Some(playing) = &self.mixer.input(role).current else {
                continue;
            };
            let contribution = playing.contribution.clone();
            if !(shown.source.is_encoder() && shown.role == role) {
                let over = contribution.forget_cues(due);
                self.metrics.cues_off_air.increment(over);
                continue;
            }
            for (ahead, said) in contribution.cues(due) {
                let Some(at) = cues::frame(&grid, now, ahead) else {
                    self.metrics.cues_lost.increment(1);
                    continue;
                };
                let at = at.max(self.program.first_frame);
                let told = self.mixer.book.take(&grid, now, at, said);
                self.metrics.cues_repeated.increment(u64::from(told.is_empty()));
                told.into_iter().for_each(|cue| self.send_cue(cue));
            }
        }
        let ordered = self.mixer.state.take_orders(&grid, now);
        let over = self.mixer.book.tick(now);
        ordered.into_iter().chain(over).for_each(|cue| self.send_cue(cue));
    }

    fn send_cue(&self, cue: Cue) {
        tracing::info!(id = cue.id, kind = ?cue.kind, frame = cue.frame, "cue");
        self.metrics.cues_sent.increment(1);
        self.replay.cue(cue);
    }
}
