//! PES payload to access units.
//!
//! A unit begins where h264 §7.4.1.2.3 and h265 §7.4.2.4.4 say: at the first delimiter, parameter set or SEI, or else at
//! the first slice of a picture, after a slice of the picture before. So PES packets may hold several units or parts.

mod config;
mod nal;

use bytes::Bytes;

use crate::event::{Counters, VideoCodec};
use crate::pes::Stamp;
use crate::{TICKS_PER_SECOND, TICKS_WRAP};

use config::Sets;
use nal::Kind;

/// Parameter sets and SEI remembered per unit; more are data like any other.
const MARKS_MAX: usize = 64;
/// Between units while no two timestamps have told it: 30 frames a second.
const SPACING_DEFAULT: u64 = 3000;

/// One access unit, and the parameter sets where they changed with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) config: Option<Bytes>,
    pub(crate) stamp: Stamp,
    pub(crate) key: bool,
    pub(crate) data: Bytes,
}

/// Cuts the payload of one video stream into access units.
#[derive(Debug)]
pub(crate) struct Splitter {
    codec: VideoCodec,
    /// The unit in progress and what was not looked at yet.
    buffer: Vec<u8>,
    /// Start codes before this place are known.
    scanned: usize,
    /// What is known of the unit in progress; none until one begins.
    current: Option<Current>,
    /// Marks of the PES packet that began last, for the first unit that begins there or behind.
    pending: Option<Pending>,
    timeline: Timeline,
    sets: Sets,
}

#[derive(Debug, Default)]
struct Current {
    stamp: Option<Stamp>,
    random_access: bool,
    /// A slice was seen: the next picture is another unit.
    has_picture: bool,
    intra: bool,
    marks: Vec<Mark>,
}

/// A parameter set or SEI, without start code.
#[derive(Debug)]
struct Mark {
    kind: Kind,
    start: usize,
    end: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    at: usize,
    stamp: Option<Stamp>,
    random_access: bool,
}

impl Splitter {
    /// Waits for a unit to begin.
    pub(crate) fn new(codec: VideoCodec) -> Self {
        Self {
            codec,
            buffer: Vec::new(),
            scanned: 0,
            current: None,
            pending: None,
            timeline: Timeline::default(),
            sets: Sets::default(),
        }
    }

    /// A PES packet begins.
    pub(crate) fn begin(&mut self, stamp: Option<Stamp>, random_access: bool) {
        self.pending = Some(Pending {
            at: self.buffer.len(),
            stamp,
            random_access,
        });
    }

    /// Takes payload; false if the unit in progress grew beyond `max` and was dropped.
    pub(crate) fn push(&mut self, payload: &[u8], max: usize) -> bool {
        self.buffer.extend_from_slice(payload);
        self.buffer.len() <= max || !self.reset()
    }

    /// The next whole unit.
    pub(crate) fn next(&mut self, counters: &mut Counters) -> Option<Unit> {
        while let Some(at) = nal::start_code(&self.buffer, self.scanned) {
            let body = self.buffer.get(at + 3..)?;
            let Some(found) = nal::Nal::parse(self.codec, body) else {
                self.scanned = at;
                return None;
            };
            self.scanned = at + 3;
            let unit = self.enter(counters, at, found);
            if unit.is_some() {
                return unit;
            }
        }
        // The last two bytes may be the first of a start code.
        self.scanned = self.scanned.max(self.buffer.len().saturating_sub(2));
        if self.current.is_none() {
            // One byte more: a zero before the start code is part of the unit.
            self.cut(self.scanned.saturating_sub(1));
        }
        None
    }

    /// The unit in progress, at the end of the stream.
    pub(crate) fn flush(&mut self, counters: &mut Counters) -> Option<Unit> {
        let unit = self.close(counters, self.buffer.len());
        self.reset();
        unit
    }

    /// Bytes were lost: forgets the unit in progress and the time. True if there was one.
    pub(crate) fn reset(&mut self) -> bool {
        let partial = self.current.take().is_some();
        self.buffer.clear();
        self.scanned = 0;
        self.pending = None;
        self.timeline.lose();
        partial
    }

    /// A NAL unit's start code is at `at`: gives the unit before if a new one begins here.
    fn enter(&mut self, counters: &mut Counters, at: usize, found: nal::Nal) -> Option<Unit> {
        if let Some(mark) = self.current.as_mut().and_then(|current| current.marks.last_mut()) {
            mark.end.get_or_insert(at);
        }
        let begins = found.may_begin && self.current.as_ref().is_none_or(|current| current.has_picture);
        let mut unit = None;
        let mut start = at + 3;
        if begins {
            // The zero before a start code belongs to it, unless it ended the PES packet before.
            let zero = at
                .checked_sub(1)
                .filter(|before| self.buffer.get(*before) == Some(&0));
            let floor = self
                .pending
                .map_or(0, |pending| if pending.at <= at { pending.at } else { 0 });
            let place = zero.unwrap_or(at).max(floor);
            unit = self.close(counters, place);
            self.cut(place);
            start -= place;
            self.open();
        }
        let current = self.current.as_mut()?;
        current.has_picture |= matches!(found.kind, Kind::Slice | Kind::Intra);
        current.intra |= found.kind == Kind::Intra;
        if matches!(found.kind, Kind::Set(_) | Kind::Sei) && current.marks.len() < MARKS_MAX {
            current.marks.push(Mark {
                kind: found.kind,
                start,
                end: None,
            });
        }
        unit
    }

    fn open(&mut self) {
        let pending = self.pending.take_if(|pending| pending.at == 0);
        self.current = Some(Current {
            stamp: pending.and_then(|pending| pending.stamp),
            random_access: pending.is_some_and(|pending| pending.random_access),
            ..Current::default()
        });
    }

    /// Ends the unit in progress at `place`.
    fn close(&mut self, counters: &mut Counters, place: usize) -> Option<Unit> {
        let current = self.current.take()?;
        let data = self.buffer.get(..place)?;
        let marked = |mark: &Mark| {
            data.get(mark.start..mark.end.unwrap_or(place).min(place))
                .map(trim)
        };
        let sets: Vec<_> = current
            .marks
            .iter()
            .filter_map(|mark| match mark.kind {
                Kind::Set(set) => Some((set, marked(mark)?)),
                Kind::Sei | Kind::Slice | Kind::Intra | Kind::Other => None,
            })
            .collect();
        let config = self.sets.update(self.codec, &sets);
        let recovers = || {
            let sei = current
                .marks
                .iter()
                .filter(|mark| mark.kind == Kind::Sei)
                .filter_map(marked);
            self.codec == VideoCodec::H264 && sei.into_iter().any(nal::recovers_at_once)
        };
        let key = current.intra || current.random_access && recovers();
        let data = Bytes::copy_from_slice(data);
        counters.timestamps_derived += u64::from(current.stamp.is_none() && self.timeline.last.is_some());
        let Some(stamp) = self.timeline.next(current.stamp) else {
            counters.units_untimed += 1;
            self.sets.forget(config.is_some());
            return None;
        };
        Some(Unit {
            config,
            stamp,
            key,
            data,
        })
    }

    /// Drops the first `len` bytes.
    fn cut(&mut self, len: usize) {
        self.buffer.drain(..len);
        self.scanned = self.scanned.saturating_sub(len);
        if let Some(pending) = &mut self.pending {
            pending.at = pending.at.saturating_sub(len);
        }
    }
}

/// Zeros at the end of a NAL unit belong to what follows; h264 §B.1.
fn trim(mut nal: &[u8]) -> &[u8] {
    while let Some((0, rest)) = nal.split_last() {
        nal = rest;
    }
    nal
}

/// Gives times to units without: one spacing after the unit before. That is exact for the DTS at a constant rate; for
/// the PTS only where no picture is reordered, since the order is in the pictures.
#[derive(Debug, Default)]
struct Timeline {
    last: Option<Stamp>,
    /// The DTS that came last with a PES packet, and the units since, itself included.
    anchor: Option<(u64, u64)>,
    spacing: Option<u64>,
}

impl Timeline {
    fn next(&mut self, stamp: Option<Stamp>) -> Option<Stamp> {
        if let Some(stamp) = stamp {
            if let Some((dts, units)) = self.anchor.replace((stamp.dts, 1)) {
                let passed = (stamp.dts + TICKS_WRAP - dts) % TICKS_WRAP;
                let spacing = passed
                    .checked_div(units)
                    .filter(|ticks| (1..=TICKS_PER_SECOND).contains(ticks));
                self.spacing = spacing.or(self.spacing);
            }
            self.last = Some(stamp);
            return self.last;
        }
        let last = self.last?;
        let later = |ticks| (ticks + self.spacing.unwrap_or(SPACING_DEFAULT)) % TICKS_WRAP;
        let derived = Stamp {
            pts: later(last.pts),
            dts: later(last.dts),
        };
        if let Some((_, units)) = &mut self.anchor {
            *units += 1;
        }
        self.last = Some(derived);
        self.last
    }

    fn lose(&mut self) {
        self.last = None;
        self.anchor = None;
    }
}

#[cfg(test)]
mod tests;
