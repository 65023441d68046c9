//! PURE. CEA-608 and CEA-708 captions: read from an encoder's SEI, put in step with the stream, written as SEI again.
//!
//! They do not travel with decoded frames. The stream repeats and skips those; captions are a sequence of bytes of
//! which none may come twice or be missing. So they wait in a [`Queue`], which gives each output frame as many as its
//! rate allows, and are put into the coded frames of every rung ([`with_sei`]), whatever encodes them.

mod sei;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use hls::time::FrameRate;

pub(crate) use sei::{of_unit, with_sei, without_captions};

/// Pairs of a field that wait, 2 s of them; the oldest go first.
const PAIRS_MAX: usize = 60;
/// Triples of CEA-708 that wait, 2 s of them; the oldest go first.
const SERVICES_MAX: usize = 1_080;
/// Most triples in a frame: the field has 5 bits.
const COUNT_MAX: u64 = 31;
/// Frames whose captions are kept for encoders that are behind.
const BOARD_FRAMES: usize = 600;

/// One cc_data construct: marker, cc_valid and cc_type, then two bytes (CEA-708 §4.3).
pub(crate) type Triple = [u8; 3];

/// Captions that wait for their output frame.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// CEA-608, field by field.
    fields: [VecDeque<Triple>; 2],
    services: VecDeque<Triple>,
}

impl Queue {
    /// Appends what a unit carried; gives how much was lost at the bound.
    pub(crate) fn push(&mut self, triples: impl IntoIterator<Item = Triple>) -> u64 {
        let mut lost = 0;
        for triple in triples {
            let [first, second] = &mut self.fields;
            let (queue, most) = match triple[0] & 3 {
                0 => (first, PAIRS_MAX),
                1 => (second, PAIRS_MAX),
                _ => (&mut self.services, SERVICES_MAX),
            };
            if queue.len() >= most {
                queue.pop_front();
                lost += 1;
            }
            queue.push_back(triple);
        }
        lost
    }

    /// What frame `n` of the stream carries: of each field its share of 30 pairs a second, and in all of 600 triples.
    pub(crate) fn frame(&mut self, n: u64, rate: FrameRate) -> Vec<Triple> {
        let mut out = Vec::new();
        let pairs = share(n, rate, 30);
        for field in &mut self.fields {
            let count = field.len().min(usize::try_from(pairs).unwrap_or(0));
            out.extend(field.drain(..count));
        }
        let room = share(n, rate, 600).min(COUNT_MAX).saturating_sub(2 * pairs);
        let count = self.services.len().min(usize::try_from(room).unwrap_or(0));
        out.extend(self.services.drain(..count));
        out
    }

    pub(crate) fn clear(&mut self) {
        self.fields.iter_mut().for_each(VecDeque::clear);
        self.services.clear();
    }
}

/// How many of `per_second` things belong to frame `n`.
fn share(n: u64, rate: FrameRate, per_second: u64) -> u64 {
    let before = |n: u64| {
        let scaled = u128::from(n) * u128::from(per_second) * u128::from(rate.den());
        scaled / u128::from(rate.num())
    };
    u64::try_from(before(n + 1) - before(n)).unwrap_or(0)
}

/// Captions of the frames that are being encoded, for all rungs.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<BTreeMap<u64, Bytes>>);

impl Board {
    /// Notes what program frame `frame` carries, before it is handed on.
    pub(crate) fn note(&self, frame: u64, triples: &[Triple]) {
        if triples.is_empty() {
            return;
        }
        let mut frames = self.lock();
        frames.insert(frame, sei::write(triples));
        if frames.len() > BOARD_FRAMES {
            frames.pop_first();
        }
    }

    /// The SEI of a frame.
    pub(crate) fn of(&self, frame: u64) -> Option<Bytes> {
        self.lock().get(&frame).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Bytes>> {
        self.0.lock().expect("nothing panics while it holds the captions")
    }
}

#[cfg(test)]
mod tests;
