//! Pictures in I420 scaled by FFmpeg's libswscale, bicubic: at less than half the cost of GStreamer's own scaler, whose
//! horizontal pass is plain C. GStreamer's decoders bring the library along; only its linker name is needed to build.
//!
//! # Code map
//! | module | question it answers |
//! |---|---|
//! | [`plane`] | which bytes are a picture |
//! | `ffi` | libswscale; the only `unsafe` |
//!
//! # Invariants
//! - Nothing outside the planes is read or written: their lengths are checked against the sizes at every call. What
//!   lies between two lines of a plane may be overwritten; what lies behind its last one is not.
//! - Neither levels nor colours change: both sides are I420 of one range and matrix.
//!
//! # Deliberately absent
//! Other formats, conversion, threads: the caller has a thread for each rung.

mod ffi;
pub mod plane;

use plane::{Picture, PictureMut, Size};

/// From one size to another.
#[derive(Debug)]
pub struct Scaler {
    context: ffi::Context,
    from: Size,
    to: Size,
}

/// Why a picture is not scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// I420 has even sizes, from 16 pixels on here.
    #[error("no scaler from {}x{} to {}x{}", .0.width, .0.height, .1.width, .1.height)]
    Size(Size, Size),
    /// A plane is shorter than its size says, or its lines overlap.
    #[error("a plane does not hold its picture")]
    Plane,
    /// libswscale did not fill the picture.
    #[error("libswscale gave {0} lines")]
    Lines(i32),
}

impl Scaler {
    /// Smallest side; libswscale's filters need some pixels to work on.
    pub const SIDE_MIN: u32 = 16;
    /// Largest side.
    pub const SIDE_MAX: u32 = 16_384;

    /// Prepares the filters.
    pub fn new(from: Size, to: Size) -> Result<Self, Error> {
        let sides = [from.width, from.height, to.width, to.height];
        let good = sides
            .iter()
            .all(|side| (Self::SIDE_MIN..=Self::SIDE_MAX).contains(side) && side.is_multiple_of(2));
        let context = if good { ffi::Context::new(from, to) } else { None };
        let context = context.ok_or(Error::Size(from, to))?;
        Ok(Self { context, from, to })
    }

    /// Scales one picture.
    pub fn scale(&mut self, from: &Picture<'_>, to: &mut PictureMut<'_>) -> Result<(), Error> {
        if !from.holds(self.from) || !to.holds(self.to) {
            return Err(Error::Plane);
        }
        let lines = self.context.scale(from, self.from, to);
        if u32::try_from(lines) == Ok(self.to.height) {
            Ok(())
        } else {
            Err(Error::Lines(lines))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::plane::{Plane, PlaneMut};
    use super::*;
    use proptest::prelude::*;

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    /// Planes of a size, each line `slack` bytes longer than it must be.
    fn planes(size: Size, slack: usize, value: impl Fn(usize, usize, usize) -> u8) -> [(Vec<u8>, usize); 3] {
        [0, 1, 2].map(|plane| {
            let (width, height) = size.plane(plane);
            let stride = width + slack;
            let byte = |at: usize| value(plane, at % stride, at / stride);
            ((0..stride * height).map(byte).collect(), stride)
        })
    }

    fn scaled(from: Size, to: Size, slack: usize, value: impl Fn(usize, usize, usize) -> u8) -> [Vec<u8>; 3] {
        let source = planes(from, slack, value);
        let mut target = planes(to, slack, |_, _, _| 77);
        let read = source.each_ref().map(|(bytes, stride)| Plane {
            bytes,
            stride: *stride,
        });
        let write = target.each_mut().map(|(bytes, stride)| PlaneMut {
            bytes,
            stride: *stride,
        });
        let mut scaler = Scaler::new(from, to).unwrap();
        scaler.scale(&Picture(read), &mut PictureMut(write)).unwrap();
        target.map(|(bytes, _)| bytes)
    }

    #[test]
    fn a_ramp_stays_a_ramp() {
        let (from, to) = (size(1280, 720), size(854, 480));
        let level = |_, x: usize, _| u8::try_from(16 + x / 8).unwrap();
        let [luma, ..] = scaled(from, to, 0, level);
        for (at, found) in luma.iter().enumerate() {
            let expected = 16.0 + (at % 854) as f64 * 1280.0 / 854.0 / 8.0;
            assert!(
                (f64::from(*found) - expected).abs() < 2.0,
                "{found} at {at}, not {expected}"
            );
        }
    }

    #[test]
    fn sizes_and_planes_that_do_not_fit_are_refused() {
        let even = size(64, 64);
        for odd in [size(63, 64), size(64, 8), size(0, 64), size(64, 20_000)] {
            assert_eq!(Scaler::new(even, odd).unwrap_err(), Error::Size(even, odd));
            assert_eq!(Scaler::new(odd, even).unwrap_err(), Error::Size(odd, even));
        }
        let mut scaler = Scaler::new(even, size(32, 32)).unwrap();
        let full = vec![0; 64 * 64];
        let mut out = [vec![0; 32 * 32], vec![0; 16 * 16], vec![0; 16 * 16]];
        let mut run = |luma: usize, stride: usize, written: usize| {
            let plane = |bytes, stride| Plane { bytes, stride };
            let from = [
                plane(&full[..luma], stride),
                plane(&full[..1_024], 32),
                plane(&full[..1_024], 32),
            ];
            let [y, u, v] = &mut out;
            let to = [(&mut y[..written], 32), (&mut u[..], 16), (&mut v[..], 16)];
            let to = to.map(|(bytes, stride)| PlaneMut { bytes, stride });
            scaler.scale(&Picture(from), &mut PictureMut(to))
        };
        assert_eq!(run(64 * 64, 64, 32 * 32), Ok(()));
        assert_eq!(
            run(64 * 64 - 1, 64, 32 * 32),
            Err(Error::Plane),
            "a byte is missing"
        );
        assert_eq!(run(64 * 64, 63, 32 * 32), Err(Error::Plane), "lines overlap");
        assert_eq!(
            run(64 * 64, usize::MAX, 32 * 32),
            Err(Error::Plane),
            "lines out of reach"
        );
        assert_eq!(run(64 * 64, 64, 32 * 32 - 1), Err(Error::Plane), "no room");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn one_level_stays_one_level_and_nothing_behind_the_planes_is_written(
            from in (8u32..200, 8u32..200), to in (8u32..200, 8u32..200), level: u8, slack in 0usize..70,
        ) {
            let [from, to] = [from, to].map(|(width, height)| size(width * 2, height * 2));
            for (plane, bytes) in scaled(from, to, slack, |_, _, _| level).iter().enumerate() {
                let (width, _) = to.plane(plane);
                for line in bytes.chunks(width + slack) {
                    prop_assert!(line[..width].iter().all(|found| found.abs_diff(level) <= 2));
                }
                let behind = &bytes[bytes.len() - slack..];
                prop_assert!(behind.iter().all(|found| *found == 77));
            }
        }
    }
}
