//! What is wrong with the picture and sound that go out, however well they are encoded: black, frozen, silent, loud.

use std::time::Duration;

use ebur128::{EbuR128, Mode};

use crate::error::Error;
use crate::ladder::{AUDIO_RATE, CHANNELS};
use crate::report::Output;

/// Places of a picture that are looked at, across and down.
const ACROSS: usize = 32;
const DOWN: usize = 18;
/// A black picture is darker than this everywhere; video black is 16.
const BLACK_MAX: u8 = 32;
/// Mean difference up to which a picture is the same; a coded still moves by less.
const SAME_MAX: usize = 1;
/// A sample below it is silence: -60 dBFS.
const SILENCE: f32 = 0.001;

/// Watches one stream's output, over all its ladders.
pub(crate) struct Watch {
    loudness: EbuR128,
    black: Since,
    frozen: Since,
    silent: Since,
    /// The picture that later ones are compared with.
    reference: Vec<u8>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

/// For how long something has been so.
#[derive(Debug, Default)]
struct Since(Option<Duration>, Duration);

impl Since {
    fn note(&mut self, now: Duration, is: bool) {
        self.0 = is.then(|| self.0.unwrap_or(now));
        self.1 = self.0.map_or(Duration::ZERO, |since| now.saturating_sub(since));
    }

    fn seconds(&self) -> f64 {
        self.1.as_secs_f64()
    }
}

impl Watch {
    pub(crate) fn new() -> Result<Self, Error> {
        let channels = u32::try_from(CHANNELS).unwrap_or(2);
        // A histogram, so that a week of sound takes no more memory than a minute.
        let mode = Mode::M | Mode::S | Mode::I | Mode::HISTOGRAM;
        let loudness = EbuR128::new(channels, AUDIO_RATE, mode).map_err(|e| Error::System(e.to_string()))?;
        Ok(Self {
            loudness,
            black: Since::default(),
            frozen: Since::default(),
            silent: Since::default(),
            reference: Vec::new(),
        })
    }

    /// Looks at a luma plane at `now`.
    pub(crate) fn picture(&mut self, now: Duration, luma: &[u8], stride: usize, size: (u32, u32)) {
        let (width, height) = (size.0 as usize, size.1 as usize);
        let row = |y: usize| (2 * y + 1) * height / (2 * DOWN) * stride;
        let column = |x: usize| (2 * x + 1) * width / (2 * ACROSS);
        let places = (0..DOWN).flat_map(|y| (0..ACROSS).map(move |x| row(y) + column(x)));
        let seen: Vec<u8> = places.filter_map(|at| luma.get(at).copied()).collect();
        self.black.note(now, seen.iter().all(|luma| *luma < BLACK_MAX));
        let moved: usize = seen
            .iter()
            .zip(&self.reference)
            .map(|(a, b)| usize::from(a.abs_diff(*b)))
            .sum();
        let same = seen.len() == self.reference.len() && moved <= SAME_MAX * seen.len();
        self.frozen.note(now, same);
        if !same {
            self.reference = seen;
        }
    }

    /// Hears interleaved samples at `now`.
    pub(crate) fn sound(&mut self, now: Duration, samples: &[f32]) {
        let silent = samples.iter().all(|sample| sample.abs() < SILENCE);
        self.silent.note(now, silent);
        if let Err(error) = self.loudness.add_frames_f32(samples) {
            tracing::debug!(%error, "loudness not measured");
        }
    }

    /// What was seen and heard.
    pub(crate) fn output(&self) -> Output {
        let finite = |lufs: Result<f64, ebur128::Error>| lufs.ok().filter(|lufs| lufs.is_finite());
        Output {
            momentary_lufs: finite(self.loudness.loudness_momentary()),
            short_term_lufs: finite(self.loudness.loudness_shortterm()),
            integrated_lufs: finite(self.loudness.loudness_global()),
            black_seconds: self.black.seconds(),
            freeze_seconds: self.frozen.seconds(),
            silence_seconds: self.silent.seconds(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (u32, u32) = (64, 36);

    fn plane(paint: impl Fn(usize) -> u8) -> Vec<u8> {
        (0..64 * 36).map(paint).collect()
    }

    #[test]
    fn black_and_still_pictures_are_timed() {
        let at = Duration::from_secs;
        let low = |at: usize| u8::try_from(at).unwrap();
        let black = plane(|_| 16);
        let still = plane(|at| low(at % 200));
        let coded_again = plane(|at| low(at % 200) ^ 1);
        let other = plane(|at| low(at % 100) + 40);
        let mut watch = Watch::new().unwrap();
        let cases = [
            (&black, 0.0, 0.0),
            (&black, 1.0, 0.0),
            (&black, 2.0, 1.0),
            (&still, 0.0, 0.0),
            (&coded_again, 0.0, 0.0),
            (&still, 0.0, 1.0),
            (&other, 0.0, 0.0),
        ];
        for (second, (plane, black, frozen)) in (0..).zip(cases) {
            watch.picture(at(second), plane, 64, SIZE);
            let seen = watch.output();
            assert_eq!(
                (seen.black_seconds, seen.freeze_seconds),
                (black, frozen),
                "second {second}"
            );
        }
    }

    #[test]
    fn a_sine_has_the_loudness_of_the_recommendation() {
        // ebu tech 3341, case 1: 1 kHz at -23 dBFS in both channels is -23 LUFS.
        let mut watch = Watch::new().unwrap();
        let level = 10_f64.powf(-23.0 / 20.0);
        #[expect(clippy::cast_possible_truncation, reason = "sound has 24 bits at most")]
        let sine =
            |n: u32| (level * (std::f64::consts::TAU * 1_000.0 * f64::from(n) / 48_000.0).sin()) as f32;
        for tick in 0..150_u32 {
            let block: Vec<f32> = (tick * 1_600..(tick + 1) * 1_600)
                .flat_map(|n| [sine(n); 2])
                .collect();
            watch.sound(Duration::from_millis(u64::from(tick) * 33), &block);
        }
        let heard = watch.output();
        for lufs in [heard.momentary_lufs, heard.short_term_lufs, heard.integrated_lufs] {
            assert!((lufs.unwrap() + 23.0).abs() < 0.1, "{heard:?}");
        }
        assert!(heard.silence_seconds < 0.001);
    }

    #[test]
    fn silence_is_timed_and_has_no_loudness() {
        let mut watch = Watch::new().unwrap();
        for second in 0..4 {
            watch.sound(Duration::from_secs(second), &[0.0005; 96_000]);
        }
        assert!((watch.output().silence_seconds - 3.0).abs() < 1e-9);
        watch.sound(Duration::from_secs(4), &[0.1; 3_200]);
        assert!(watch.output().silence_seconds < 1e-9);
        assert_eq!(Watch::new().unwrap().output().momentary_lufs, None);
    }
}
