//! An encoder's sound: a short ring of samples, and a reader that follows the playout clock without clicks.

use std::collections::VecDeque;

use crate::ladder::CHANNELS;

/// Samples kept, 2 s; the oldest go first.
const RING_SAMPLES: usize = 96_000;
/// Times of neighbouring blocks may disagree by this (20 ms) before a hole is left or sound cut.
const JOIN_SAMPLES: i64 = 960;
/// Beyond this error (4 ms) the reader slews, until it is under a quarter of a millisecond.
const SLEW_FROM: f64 = 192.0;
const SLEW_UNTIL: f64 = 12.0;
/// Beyond this error (30 ms) it slews faster, and beyond the next (100 ms) it jumps.
const FAST_FROM: f64 = 1_440.0;
const JUMP_FROM: f64 = 4_800.0;
/// Late sound may trail the picture by this (40 ms) rather than be lost.
const RESUME_WITHIN: f64 = 1_920.0;
/// Change of speed, inaudible and barely audible.
const SLOW: f64 = 0.001;
const FAST: f64 = 0.005;
/// Samples of the fade into and out of silence (5 ms), and of a jump's crossfade (10 ms).
const FADE: usize = 240;
/// Samples over which one source of sound replaces another (10 ms).
pub(crate) const CROSSFADE: usize = 480;

type Stereo = [f32; CHANNELS];

/// Samples by their place in contribution time.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    samples: VecDeque<Stereo>,
    start: i64,
}

impl Ring {
    /// Appends interleaved samples that begin at `at`; joins on to what is there if it fits within 20 ms.
    pub(crate) fn write(&mut self, at: i64, interleaved: &[f32]) {
        let (pairs, _) = interleaved.as_chunks::<CHANNELS>();
        let apart = at - self.end();
        let room = i64::try_from(RING_SAMPLES).unwrap_or(i64::MAX);
        let mut skip = 0;
        if self.samples.is_empty() || apart.abs() > room {
            self.samples.clear();
            self.start = at;
        } else if apart > JOIN_SAMPLES {
            self.samples.extend((0..apart).map(|_| Stereo::default()));
        } else if apart < -JOIN_SAMPLES {
            skip = usize::try_from(-apart).unwrap_or(0);
        }
        self.samples.extend(pairs.iter().skip(skip));
        let over = self.samples.len().saturating_sub(RING_SAMPLES);
        self.samples.drain(..over);
        self.start += i64::try_from(over).unwrap_or(0);
    }

    fn end(&self) -> i64 {
        self.start + i64::try_from(self.samples.len()).unwrap_or(0)
    }

    fn get(&self, at: i64) -> Option<Stereo> {
        self.samples.get(usize::try_from(at - self.start).ok()?).copied()
    }
}

/// Where the sound that was last handed on stood.
#[derive(Debug, Clone, Copy)]
struct Place {
    whole: i64,
    /// Kept when slewing ends: rounding it away is audible.
    fraction: f64,
}

impl Place {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "sample numbers are far below 2^53"
    )]
    fn at(samples: f64) -> Self {
        Self {
            whole: samples.floor() as i64,
            fraction: 0.0,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "sample numbers are far below 2^53")]
    fn samples(self) -> f64 {
        self.whole as f64 + self.fraction
    }

    #[expect(clippy::cast_possible_truncation, reason = "a sum of two numbers under two")]
    fn step(&mut self, by: f64) {
        let sum = self.fraction + by;
        self.whole += sum.floor() as i64;
        self.fraction = sum - sum.floor();
    }

    fn value(self, ring: &Ring) -> Option<Stereo> {
        let here = ring.get(self.whole)?;
        if self.fraction == 0.0 {
            return Some(here);
        }
        let (after, last) = (ring.get(self.whole + 1)?, ring.get(self.whole + 2)?);
        let before = ring.get(self.whole - 1).unwrap_or(here);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a fraction needs no more than 24 bits"
        )]
        let t = self.fraction as f32;
        let mut out = Stereo::default();
        for ((((out, a), b), c), d) in out.iter_mut().zip(before).zip(here).zip(after).zip(last) {
            // Catmull-Rom through b and c.
            let (e, f) = (c - a, d - b);
            *out =
                b + t * (0.5 * e + t * (3.0 * (c - b) - e - 0.5 * f + t * (2.0 * (b - c) + 0.5 * (e + f))));
        }
        Some(out)
    }
}

/// Reads a ring at the stream's pace.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    place: Option<Place>,
    slewing: bool,
    /// Whether silence went before.
    warm: bool,
}

impl Reader {
    /// Appends `count` samples from about `target` on, in samples of contribution time; gives how many were
    /// missing and are silence.
    pub(crate) fn read(&mut self, ring: &Ring, target: f64, count: usize, out: &mut Vec<f32>) -> usize {
        let place = self
            .place
            .map_or(Place::at(target), |place| self.resumed(place, target));
        let error = target - place.samples();
        let jump = error.abs() > JUMP_FROM || place.whole < ring.start;
        let mut now = if jump { Place::at(target) } else { place };
        let speed = if jump { 1.0 } else { self.speed(error) };
        self.slewing &= !jump;
        let mut block = Vec::with_capacity(count * CHANNELS);
        let got = play(ring, &mut now, speed, count, &mut block);
        if !self.warm {
            fade(&mut block, true);
        } else if jump {
            let (mut old, mut tail) = (place, Vec::new());
            play(ring, &mut old, 1.0, CROSSFADE.min(count), &mut tail);
            crossfade(&tail, &mut block);
        }
        if got < count {
            fade(&mut block, false);
            block.resize(count * CHANNELS, 0.0);
        }
        out.extend(block);
        self.warm = got == count;
        self.place = Some(now);
        count - got
    }

    /// After silence there is nothing to stay in line with: sound goes on where it stopped only if that is near,
    /// and not ahead of the picture, where it would starve again.
    fn resumed(&self, place: Place, target: f64) -> Place {
        let error = target - place.samples();
        match self.warm || (-SLEW_FROM..=RESUME_WITHIN).contains(&error) {
            true => place,
            false => Place::at(target - error.clamp(0.0, RESUME_WITHIN)),
        }
    }

    /// How far the reader is ahead of `target`, milliseconds.
    #[cfg(test)]
    pub(crate) fn ahead_ms(&self, target: f64) -> f64 {
        let place = self.place.map_or(target, Place::samples);
        (place - target) / 48.0
    }

    fn speed(&mut self, error: f64) -> f64 {
        let off = error.abs();
        self.slewing = off > SLEW_FROM || (self.slewing && off > SLEW_UNTIL);
        let by = if off > FAST_FROM { FAST } else { SLOW };
        if self.slewing {
            1.0 + by.copysign(error)
        } else {
            1.0
        }
    }
}

/// Appends up to `count` samples; fewer where the ring ends. The place stays there, so that nothing is lost.
fn play(ring: &Ring, place: &mut Place, speed: f64, count: usize, out: &mut Vec<f32>) -> usize {
    for n in 0..count {
        let Some(value) = place.value(ring) else {
            return n;
        };
        out.extend(value);
        place.step(speed);
    }
    count
}

/// A ramp over the first samples up, or over the last ones down.
fn fade(interleaved: &mut [f32], up: bool) {
    let length = FADE.min(interleaved.len() / CHANNELS);
    let ramp = |n: usize| (n as f32 + 0.5) / length.max(1) as f32;
    let (pairs, _) = interleaved.as_chunks_mut::<CHANNELS>();
    let scale = |(n, pair): (usize, &mut Stereo)| pair.iter_mut().for_each(|s| *s *= ramp(n));
    if up {
        pairs.iter_mut().take(length).enumerate().for_each(scale);
    } else {
        pairs.iter_mut().rev().take(length).enumerate().for_each(scale);
    }
}

/// Replaces `old` by what is in `new`, over the length of `old`.
pub(crate) fn crossfade(old: &[f32], new: &mut [f32]) {
    let length = old.len().max(1) as f32;
    for (n, (old, new)) in old.iter().zip(new).enumerate() {
        let t = n as f32 / length;
        *new = *old * (1.0 - t) + *new * t;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tone(at: i64) -> f32 {
        ((at % 48_000) as f32 / 48_000.0 * 440.0 * std::f32::consts::TAU).sin() * 0.25
    }

    fn write(ring: &mut Ring, at: i64, count: i64) {
        let block: Vec<f32> = (at..at + count).flat_map(|n| [tone(n); 2]).collect();
        ring.write(at, &block);
    }

    fn steepest(out: &[f32]) -> f32 {
        out.chunks(2)
            .zip(out.chunks(2).skip(1))
            .map(|(a, b)| (a[0] - b[0]).abs())
            .fold(0.0, f32::max)
    }

    #[test]
    fn in_step_it_copies_bit_by_bit() {
        let mut ring = Ring::default();
        write(&mut ring, 0, 48_000);
        let (mut reader, mut out) = (Reader::default(), Vec::new());
        for n in 0..20 {
            // An error of up to 3 ms is left alone.
            let missing = reader.read(&ring, f64::from(n * 1_600 + 500 + n % 3 * 48), 1_600, &mut out);
            assert_eq!(missing, 0);
        }
        for (n, pair) in out.chunks(2).enumerate().skip(FADE) {
            assert_eq!(pair[0], tone(500 + n as i64));
        }
    }

    #[test]
    fn an_error_is_slewed_away_without_a_click() {
        for error in [-40.0, -10.0, 6.0, 25.0, 90.0] {
            let (mut ring, mut reader, mut out) = (Ring::default(), Reader::default(), Vec::new());
            let mut target = 10_000.0;
            for n in 0..2_000_i64 {
                write(&mut ring, n * 1_600, 1_600);
                if n < 10 {
                    continue;
                }
                if n == 12 {
                    target += error * 48.0;
                }
                assert_eq!(reader.read(&ring, target, 1_600, &mut out), 0, "{error} ms");
                target += 1_600.0;
            }
            let left = target - reader.place.unwrap().samples();
            assert!(left.abs() <= SLEW_FROM, "{error} ms: {left} samples left");
            assert!(steepest(&out) < 0.0147, "{error} ms: {}", steepest(&out));
        }
    }

    #[test]
    fn a_jump_is_crossfaded_and_a_hole_faded() {
        let (mut ring, mut reader, mut out) = (Ring::default(), Reader::default(), Vec::new());
        // It ends at the crest of a wave.
        write(&mut ring, 0, 90_027);
        reader.read(&ring, 1_000.0, 1_600, &mut out);
        reader.read(&ring, 50_000.0, 1_600, &mut out);
        assert!(steepest(&out) < 0.03, "{}", steepest(&out));
        let missing = reader.read(&ring, 51_600.0, 48_000, &mut out);
        assert_eq!(missing, 48_000 - (90_027 - 51_600));
        assert!(steepest(&out) < 0.03, "{}", steepest(&out));
        write(&mut ring, 90_027, 4_000);
        assert_eq!(reader.read(&ring, 90_127.0, 1_600, &mut out), 0);
        assert!(steepest(&out) < 0.03, "sound comes back softly");
        assert_eq!(out.len(), (3 * 1_600 + 48_000) * 2);
    }

    #[test]
    fn after_a_stall_sound_trails_the_picture_by_40_ms_at_most() {
        let (mut ring, mut reader, mut out) = (Ring::default(), Reader::default(), Vec::new());
        write(&mut ring, 0, 10_000);
        reader.read(&ring, 5_000.0, 9_000, &mut out);
        write(&mut ring, 10_000, 30_000);
        assert_eq!(reader.read(&ring, 14_000.0, 1_600, &mut out), 0);
        let left = 15_600.0 - reader.place.unwrap().samples();
        assert!((1_900.0..=1_920.0).contains(&left), "{left} samples behind");
    }

    proptest! {
        #[test]
        fn it_always_gives_what_was_asked_for(
            blocks in prop::collection::vec((-200_000_i64..200_000, 0_i64..3_000, 0_i64..200_000), 1..60),
        ) {
            let (mut ring, mut reader) = (Ring::default(), Reader::default());
            for (at, count, target) in blocks {
                write(&mut ring, at.rem_euclid(180_000), count);
                let mut out = Vec::new();
                let missing = reader.read(&ring, target as f64, 1_601, &mut out);
                prop_assert_eq!(out.len(), 3_202);
                prop_assert!(missing <= 1_601);
                prop_assert!(ring.samples.len() <= RING_SAMPLES);
                prop_assert!(out.iter().all(|s| s.abs() <= 0.5));
            }
        }
    }
}
