//! One worker as a process of its own: a plan in by JSON lines, what it counted out.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Offset};
use crate::crowd::{self, Plan, Progress};
use crate::tally::Tally;

/// Longest line between the two, bytes; a longer one ends the conversation.
const LINE_BYTES_MAX: u64 = 256 << 20;

/// What a worker is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    /// Play this; the drill began at that time, microseconds since 1970.
    Play(Box<Plan>, i64),
    /// What is known of the origin's clock.
    Offset(Offset),
    /// End now, and say what was counted.
    Stop,
}

/// What a worker says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// It is there, and may open so many descriptors.
    Ready(u64),
    /// How it goes, once a second.
    Progress(Box<Progress>),
    /// The end of it.
    Tally(Box<Tally>),
    /// It could not go on.
    Broken(String),
}

/// A line, or none at the end.
pub(crate) fn hear<T: for<'a> Deserialize<'a>>(input: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    let n = input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if n == 0 {
        return Ok(None);
    }
    serde_json::from_slice(&line).map(Some).map_err(io::Error::from)
}

/// Says one line.
pub(crate) fn say(output: &mut impl Write, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

/// Plays what it is told over `input`, and says over `output` how it goes; ends where the input does.
pub fn serve(input: impl Read + Send + 'static, mut output: impl Write) -> io::Result<()> {
    let descriptors = rlimit::increase_nofile_limit(u64::MAX)?;
    say(&mut output, &Said::Ready(descriptors))?;
    let mut input = BufReader::new(input);
    let Some(Told::Play(plan, wall_us)) = hear(&mut input)? else {
        return Ok(());
    };
    let (stop, offset) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(Mutex::new(Offset::default())),
    );
    let (stopped, learnt) = (stop.clone(), offset.clone());
    thread::spawn(move || {
        // A coordinator that is gone, or talks nonsense, wants nothing more.
        while let Ok(Some(told)) = hear(&mut input) {
            match told {
                Told::Offset(offset) => *learnt.lock().unwrap_or_else(PoisonError::into_inner) = offset,
                Told::Stop => break,
                Told::Play(..) => {}
            }
        }
        stopped.store(true, Ordering::Relaxed);
    });
    let clock = Clock::began_at(wall_us);
    let mut unheard = None;
    let played = crowd::play(&plan, clock, &offset, &stop, &mut |progress| {
        let said = say(&mut output, &Said::Progress(Box::new(progress.clone())));
        unheard = unheard.take().or(said.err());
    });
    if let Some(error) = unheard {
        return Err(error);
    }
    let said = match played {
        Ok(tally) => Said::Tally(Box::new(tally)),
        Err(error) => Said::Broken(error.to_string()),
    };
    say(&mut output, &said)
}

/// Workers for so many viewers, of whom each takes so many descriptors: as many as their descriptors ask for, and one
/// for every so many viewers while there are cores.
pub(crate) fn workers(viewers: u32, each: u64, descriptors: u64, cores: usize) -> u64 {
    let room = descriptors.saturating_sub(SPARE_DESCRIPTORS).max(1);
    let by_descriptors = (u64::from(viewers) * each).div_ceil(room);
    let by_viewers = u64::from(viewers.div_ceil(VIEWERS_PER_CORE));
    by_descriptors.max(by_viewers.min(u64::try_from(cores).unwrap_or(1)))
}

/// Viewers with which one core has enough to do.
const VIEWERS_PER_CORE: u32 = 4_000;
/// Descriptors besides the viewers'.
pub(crate) const SPARE_DESCRIPTORS: u64 = 64;
/// A worker that has said nothing for so long is lost.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifty_thousand_viewers_fit_under_twenty_thousand_descriptors_each() {
        assert_eq!(workers(50_000, 4, 20_000, 2), 11);
        assert_eq!(workers(50_000, 2, 20_000, 2), 6);
        assert_eq!(workers(300, 4, 20_000, 64), 1);
        assert_eq!(workers(10_000, 2, 1_000_000, 64), 3);
        assert_eq!(workers(1, 4, 10, 0), 4);
    }

    #[test]
    fn a_worker_without_a_coordinator_ends() {
        let mut said = Vec::new();
        serve(io::empty(), &mut said).unwrap();
        assert!(said.starts_with(b"{\"ready\":"));
    }
}
