//! PURE. Cues: what encoders say of breaks and other happenings, in the stream's own frames.
//!
//! A message says one thing or several, and encoders repeat it. The [`Book`] knows what was said before: it tells
//! repetitions apart from news, gives each happening an id, and finds the break that an end belongs to.

mod read;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use feed::cue::{Cue, Kind};
use hls::playlist::Value;
use hls::time::Grid;

pub(crate) use read::{of_message, of_splice};

/// Happenings remembered; the oldest goes first, and an end that comes later is then taken for a cue of its own.
const KNOWN_MAX: usize = 64;
/// What says the same of a time this near is a repetition.
const REPEATED: Duration = Duration::from_secs(10);
/// The same where nothing but a name tells happenings apart.
const REPEATED_NAMELESS: Duration = Duration::from_millis(500);
/// A cue further ahead than this is taken for a mistake.
const AHEAD_MAX: Duration = Duration::from_hours(1);

/// One thing an encoder says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Happening {
    /// The encoder's own name of it, the same in repetitions; fit for an id.
    key: String,
    /// Whether the key is of this happening alone.
    is_named: bool,
    what: What,
    duration: Option<Duration>,
    class: Option<String>,
    section: Bytes,
    attributes: Vec<(String, Value)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A break begins; whether it ends by itself after its duration.
    Out {
        returns: bool,
    },
    In,
    /// The break does not take place, or is over.
    Cancel,
    Plain,
}

/// The output frame that carries a contribution's picture of a time `ahead_ns` after the one that is due at frame
/// `now`; none where that is too far off.
pub(crate) fn frame(grid: &Grid, now: u64, ahead_ns: i64) -> Option<u64> {
    let away = Duration::from_nanos(ahead_ns.unsigned_abs());
    if away > AHEAD_MAX {
        return None;
    }
    Some(match ahead_ns {
        0.. => now.saturating_add(grid.frame_at(away)),
        // Rounded towards later frames, here too.
        _ => now.saturating_sub(grid.frame_at(away + Duration::from_nanos(1)).saturating_sub(1)),
    })
}

/// What a stream's encoders have said.
#[derive(Debug, Default)]
pub(crate) struct Book {
    known: VecDeque<Known>,
}

#[derive(Debug)]
struct Known {
    key: String,
    id: String,
    is_break: bool,
    start: u64,
    end: Option<u64>,
    /// Where the break ends by itself.
    returns: Option<u64>,
}

impl Book {
    /// Takes what is said at frame `now` of frame `at`; nothing comes of a repetition.
    pub(crate) fn take(&mut self, grid: &Grid, now: u64, at: u64, said: Happening) -> Vec<Cue> {
        let within = if said.is_named {
            REPEATED
        } else {
            REPEATED_NAMELESS
        };
        let near = |frame: u64| grid.frame_time(frame.abs_diff(at)) <= within;
        let is_break = said.what != What::Plain;
        let mut known = self.known.iter_mut().rev();
        let last = known.find(|known| known.key == said.key && known.is_break == is_break);
        match (said.what, last) {
            (What::Out { .. }, Some(last)) if near(last.start) => Vec::new(),
            (What::Out { .. }, Some(last)) if last.end.is_none() => {
                // The same name for another break: the one before is over at the latest now.
                let ended = last.ends_at(at);
                ended.into_iter().chain([self.begin(grid, at, said)]).collect()
            }
            (What::In, Some(last)) if last.end.is_none() => {
                let ended = last.ends_at(at);
                let section = said.section;
                ended.map(|cue| Cue { section, ..cue }).into_iter().collect()
            }
            (What::In, Some(last)) if last.end.is_some_and(near) => Vec::new(),
            (What::Cancel, Some(last)) => last.ends_at(now).into_iter().collect(),
            (What::Cancel, None) => Vec::new(),
            (What::Plain, Some(last)) if near(last.start) => Vec::new(),
            (What::Out { .. } | What::Plain | What::In, _) => vec![self.begin(grid, at, said)],
        }
    }

    /// Breaks that end by themselves and are over at frame `now`.
    pub(crate) fn tick(&mut self, now: u64) -> Option<Cue> {
        let is_over = |known: &&mut Known| known.returns.is_some_and(|returns| returns <= now);
        let known = self.known.iter_mut().find(is_over)?;
        let returns = known.returns.take()?;
        known.ends_at(returns)
    }

    fn begin(&mut self, grid: &Grid, at: u64, said: Happening) -> Cue {
        let mut id = format!("{}-{at}", said.key);
        while self.known.iter().any(|known| known.id == id) {
            id.push_str(".1");
        }
        let returns = match (said.what, said.duration) {
            (What::Out { returns: true }, Some(duration)) => Some(at.saturating_add(grid.frame_at(duration))),
            _ => None,
        };
        let is_out = matches!(said.what, What::Out { .. });
        if self.known.len() >= KNOWN_MAX {
            self.known.pop_front();
        }
        self.known.push_back(Known {
            key: said.key,
            id: id.clone(),
            is_break: said.what != What::Plain,
            start: at,
            // An end without a beginning is over at once.
            end: (!is_out).then_some(at),
            returns,
        });
        Cue {
            id,
            class: said.class,
            frame: at,
            kind: if is_out { Kind::Out } else { Kind::Plain },
            duration: said.duration,
            section: said.section,
            trigger: None,
            attributes: said.attributes,
        }
    }
}

impl Known {
    /// Ends it, no earlier than it began; none if it has ended.
    fn ends_at(&mut self, at: u64) -> Option<Cue> {
        if self.end.is_some() {
            return None;
        }
        let frame = at.max(self.start);
        (self.end, self.returns) = (Some(frame), None);
        Some(Cue {
            id: self.id.clone(),
            class: None,
            frame,
            kind: Kind::In,
            duration: None,
            section: Bytes::new(),
            trigger: None,
            attributes: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests;
