//! A contribution's passage, and the feed it leads to once the ladder has made room.

use std::fmt;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use hls::id::Cell;

use crate::cues::Happening;
use crate::media::{Media, Stamp};
use crate::passage::{Fault, Passage, Passed, Said};
use crate::program::Program;
use crate::units::Outlet;

/// Units that may wait for the ladder to make room: a segment of eight tracks, several times.
const WAITING_MAX: usize = 8_192;
/// Their bytes: 12 s at 40 Mb/s.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// Cues that may wait for the next tick.
const SAID_MAX: usize = 64;

/// Shared by the publisher's connection, which waits for nothing here, and the switcher.
pub(crate) struct Relay {
    inner: Mutex<Inner>,
}

struct Inner {
    passage: Passage,
    /// The ladder whose place may be taken.
    permit: Option<Program>,
    waiting: Vec<Passed>,
    waiting_bytes: usize,
    /// Cues that no tick has taken yet.
    said: Vec<Said>,
    /// One for each track of the feed, once the ladder has ended.
    outlets: Vec<Outlet>,
}

impl Relay {
    pub(crate) fn new(passage: Passage) -> Self {
        let inner = Inner {
            passage,
            permit: None,
            waiting: Vec::new(),
            waiting_bytes: 0,
            said: Vec::new(),
            outlets: Vec::new(),
        };
        Self {
            inner: Mutex::new(inner),
        }
    }

    /// Takes what the publisher sent.
    pub(crate) fn take(&self, now: Instant, media: &Media) {
        let mut inner = self.inner();
        if let Media::Cue { at, said } = media {
            inner.hear(*at, said.clone());
            return;
        }
        let frame_now = inner.permit.map(|program| program.frame_on_its_way(now));
        let passed = inner.passage.take(media, frame_now);
        if inner.outlets.is_empty() {
            inner.wait(passed);
        } else {
            passed.into_iter().for_each(|unit| inner.hand_on(unit));
        }
    }

    /// It may take the place of the ladder whose programme this is, and begins when it is fit for it.
    pub(crate) fn permit(&self, program: Program) {
        self.inner().permit = Some(program);
    }

    /// The first cell that is its own, once it has begun and for as long as it goes on.
    pub(crate) fn first(&self) -> Option<Cell> {
        self.inner().passage.first()
    }

    /// Bits a second of a rung, as measured.
    pub(crate) fn bit_rate(&self, rung: usize) -> Option<u64> {
        self.inner().passage.bit_rate(rung)
    }

    /// What the encoder has said since the last call of what is passed on.
    pub(crate) fn said(&self) -> Vec<Said> {
        std::mem::take(&mut self.inner().said)
    }

    /// The feed is here: what has waited goes first.
    pub(crate) fn open(&self, outlets: Vec<Outlet>) {
        let mut inner = self.inner();
        inner.outlets = outlets;
        inner.permit = None;
        inner.waiting_bytes = 0;
        let waiting = std::mem::take(&mut inner.waiting);
        waiting.into_iter().for_each(|unit| inner.hand_on(unit));
    }

    /// Nothing is passed on any more; gives the reason.
    pub(crate) fn close(&self) -> Option<Fault> {
        let mut inner = self.inner();
        inner.passage.stop(Fault::OffAir);
        inner.permit = None;
        inner.outlets.clear();
        inner.waiting.clear();
        inner.waiting_bytes = 0;
        inner.passage.fault().cloned()
    }

    /// In words: passed on, fit for it, or why not.
    pub(crate) fn state(&self) -> String {
        let inner = self.inner();
        match (inner.passage.first(), inner.passage.fault()) {
            (Some(_), _) => "passed through".to_owned(),
            (None, Some(fault)) => format!("transcoded: {fault}"),
            (None, None) => "transcoded: still being measured".to_owned(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds a relay")
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").finish_non_exhaustive()
    }
}

impl Inner {
    fn wait(&mut self, passed: Vec<Passed>) {
        self.waiting_bytes += passed.iter().map(|unit| unit.data.len()).sum::<usize>();
        self.waiting.extend(passed);
        if self.waiting.len() > WAITING_MAX || self.waiting_bytes > WAITING_BYTES_MAX {
            self.passage.stop(Fault::Full);
        }
        if self.passage.first().is_none() {
            self.waiting.clear();
            self.waiting_bytes = 0;
        }
    }

    /// More than a tick can be full of is dropped.
    fn hear(&mut self, at: Option<Stamp>, said: Vec<Happening>) {
        let told = self.passage.said(at, said);
        let room = SAID_MAX.saturating_sub(self.said.len());
        self.said.extend(told.into_iter().take(room));
    }

    fn hand_on(&mut self, unit: Passed) {
        if let Some(outlet) = self.outlets.get_mut(unit.index) {
            outlet.pass(unit);
        }
    }
}
