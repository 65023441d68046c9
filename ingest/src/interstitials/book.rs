//! What was ordered of interstitials, and what waits for the next tick.

use std::collections::VecDeque;

use feed::cue::{Cue, Kind};
use hls::playlist::Value;
use hls::time::Grid;

use super::{Interstitial, Refusal, bare};

/// Interstitials known; at the bound the oldest that is over is forgotten, and without any such the newest refused.
const KNOWN_MAX: usize = 64;
/// Orders that may wait for a tick; further ones are refused.
const WAITING_MAX: usize = 16;

/// The interstitials of a stream.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// The frame of the last tick; 0 before the first.
    now: u64,
    known: VecDeque<Known>,
    waiting: Vec<Cue>,
}

#[derive(Debug)]
struct Known {
    id: String,
    start: u64,
    end: u64,
    attributes: Vec<(String, Value)>,
    is_cancelled: bool,
}

impl Book {
    /// Orders a new one.
    pub(crate) fn order(&mut self, grid: &Grid, said: &Interstitial) -> Result<(), Refusal> {
        if self.now == 0 {
            return Err(Refusal::Stream);
        }
        let cue = said
            .cue(self.now, |duration| grid.frame_at(duration))
            .map_err(Refusal::Fields)?;
        self.has_room()?;
        if self.find(&cue.id).is_ok() {
            return Err(Refusal::Known);
        }
        if self.known.len() >= KNOWN_MAX {
            let over = self.known.iter().position(|known| known.end <= self.now);
            self.known.remove(over.ok_or(Refusal::Full)?);
        }
        self.known.push_back(Known {
            id: cue.id.clone(),
            start: cue.frame,
            end: cue.frame + grid.frame_at(cue.duration.unwrap_or_default()),
            attributes: cue.attributes.clone(),
            is_cancelled: false,
        });
        self.waiting.push(cue);
        Ok(())
    }

    /// Says more of one. rfc8216bis §4.4.5.1: what was said stays.
    pub(crate) fn add(&mut self, id: &str, more: &Interstitial) -> Result<(), Refusal> {
        let mut cue = more.more(id).map_err(Refusal::Fields)?;
        self.has_room()?;
        let now = self.now;
        let known = self.find(id)?;
        if known.is_cancelled {
            return Err(Refusal::Cancelled);
        }
        if known.end <= now {
            return Err(Refusal::Over);
        }
        for (name, value) in &cue.attributes {
            let said = known.attributes.iter().find(|(other, _)| other == name);
            if said.is_some_and(|(_, said)| said != value) {
                return Err(Refusal::Said(format!("X-{name}")));
            }
        }
        cue.attributes.retain(|new| !known.attributes.contains(new));
        known.attributes.extend(cue.attributes.iter().cloned());
        if !cue.attributes.is_empty() {
            self.waiting.push(cue);
        }
        Ok(())
    }

    /// Takes one back. rfc8216bis §6.2.1: only as long as none of it is in a playlist's segments.
    pub(crate) fn cancel(&mut self, id: &str) -> Result<(), Refusal> {
        self.has_room()?;
        let now = self.now;
        let known = self.find(id)?;
        if known.is_cancelled {
            return Ok(());
        }
        if known.start <= now {
            return Err(Refusal::Begun);
        }
        known.is_cancelled = true;
        self.waiting.push(bare(id, Kind::Cancel));
        Ok(())
    }

    /// What was ordered since the last call, for a programme whose next frame is `now`.
    pub(crate) fn take(&mut self, now: u64) -> Vec<Cue> {
        self.now = now;
        std::mem::take(&mut self.waiting)
    }

    fn has_room(&self) -> Result<(), Refusal> {
        let has_room = self.waiting.len() < WAITING_MAX;
        has_room.then_some(()).ok_or(Refusal::Full)
    }

    fn find(&mut self, id: &str) -> Result<&mut Known, Refusal> {
        let mut known = self.known.iter_mut();
        known.find(|known| known.id == id).ok_or(Refusal::Unknown)
    }
}
