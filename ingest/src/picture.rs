//! The pictures and sounds ringside makes itself: the test picture with its clock, and the slate.

use std::f64::consts::TAU;
use std::ops::Range;

use gst_video::{VideoFormat, VideoInfo};

use crate::error::Error;
use crate::ladder::{AUDIO_RATE, CHANNELS};
use crate::pipeline::{build_error, card};

/// Bits of Unix milliseconds in the test clock.
const CLOCK_CELLS: usize = 20;
/// The clock takes the top twelfth of the picture.
const CLOCK_SHARE: usize = 12;
const WHITE: u8 = 235;
const BLACK: u8 = 16;
const NEUTRAL: u8 = 128;

/// Y, U, V of the eight bars of a 75 % colour bar in BT.709.
const BARS: [(u8, u8, u8); 8] = [
    (180, 128, 128),
    (168, 44, 136),
    (145, 147, 44),
    (133, 63, 52),
    (63, 193, 204),
    (51, 109, 212),
    (28, 212, 120),
    (16, 128, 128),
];

/// The built-in test picture: its still part drawn once, clock and movement drawn into a copy per frame.
#[derive(Debug)]
pub(crate) struct TestPicture {
    info: VideoInfo,
    still: Vec<u8>,
    tone: Vec<f32>,
}

impl TestPicture {
    /// Draws the still part; needs a moment for the text.
    pub(crate) fn new(size: (u32, u32)) -> Result<Self, Error> {
        let info = info(size)?;
        let mut still = vec![0; info.size()];
        paint_bars(&info, &mut still);
        let still = card::write(still, size, "ringside · test picture")?;
        Ok(Self {
            info,
            still,
            tone: tone(),
        })
    }

    /// The picture of program frame `frame`, captured at `unix_ms`.
    pub(crate) fn draw(&self, frame: u64, unix_ms: u64) -> Vec<u8> {
        let mut pixels = self.still.clone();
        self.paint_movement(&mut pixels, frame);
        self.paint_clock(&mut pixels, unix_ms);
        pixels
    }

    /// One sample of the tone: 440 Hz at -30 dBFS, and a beep at the start of each program second.
    pub(crate) fn sound(&self, samples: Range<u64>, out: &mut Vec<f32>) {
        let second = u64::from(AUDIO_RATE);
        for sample in samples {
            let at = usize::try_from(sample % second).unwrap_or(0);
            let value = self.tone.get(at).copied().unwrap_or(0.0);
            out.extend([value; CHANNELS]);
        }
    }

    /// A light bar that crosses the lower quarter every four seconds, as a stutter is best seen on it.
    fn paint_movement(&self, pixels: &mut [u8], frame: u64) {
        let (width, height) = size(&self.info);
        let bar = width / 16;
        let steps = 120;
        let at = usize::try_from(frame % steps).unwrap_or(0) * (width - bar) / 119;
        let rows = height * 13 / 16..height * 15 / 16;
        fill(&self.info, pixels, at..at + bar, rows, (WHITE, NEUTRAL, NEUTRAL));
    }

    fn paint_clock(&self, pixels: &mut [u8], unix_ms: u64) {
        let (width, height) = size(&self.info);
        for cell in 0..CLOCK_CELLS {
            let luma = if unix_ms >> cell & 1 == 1 { WHITE } else { BLACK };
            let columns = cell * width / CLOCK_CELLS..(cell + 1) * width / CLOCK_CELLS;
            fill(
                &self.info,
                pixels,
                columns,
                0..height / CLOCK_SHARE,
                (luma, NEUTRAL, NEUTRAL),
            );
        }
    }
}

/// The slate: a dark card with a few words.
pub(crate) fn slate(canvas: (u32, u32), text: &str) -> Result<Vec<u8>, Error> {
    let info = info(canvas)?;
    let mut card = vec![0; info.size()];
    let (width, height) = size(&info);
    for row in (0..height).step_by(2) {
        let luma = u8::try_from(24 + row * 24 / height).unwrap_or(BLACK);
        fill(&info, &mut card, 0..width, row..row + 2, (luma, 134, 124));
    }
    card::write(card, canvas, text)
}

pub(crate) fn info((width, height): (u32, u32)) -> Result<VideoInfo, Error> {
    VideoInfo::builder(VideoFormat::I420, width, height)
        .build()
        .map_err(|e| build_error("picture", &e))
}

fn size(info: &VideoInfo) -> (usize, usize) {
    (info.width() as usize, info.height() as usize)
}

fn paint_bars(info: &VideoInfo, pixels: &mut [u8]) {
    let (width, height) = size(info);
    for (bar, colour) in BARS.into_iter().enumerate() {
        let columns = bar * width / BARS.len()..(bar + 1) * width / BARS.len();
        fill(info, pixels, columns, 0..height * 3 / 4, colour);
    }
    // A ramp shows banding and clipped range.
    let steps = width / 4;
    for step in 0..steps {
        let luma = u8::try_from(16 + step * 219 / steps).unwrap_or(WHITE);
        fill(
            info,
            pixels,
            step * 4..step * 4 + 4,
            height * 3 / 4..height,
            (luma, NEUTRAL, NEUTRAL),
        );
    }
}

/// Paints a rectangle; columns and rows are luma pixels.
fn fill(
    info: &VideoInfo,
    pixels: &mut [u8],
    columns: Range<usize>,
    rows: Range<usize>,
    (y, u, v): (u8, u8, u8),
) {
    for (plane, (value, half)) in [(y, false), (u, true), (v, true)].into_iter().enumerate() {
        let (Some(&offset), Some(&stride)) = (info.offset().get(plane), info.stride().get(plane)) else {
            continue;
        };
        let Ok(stride) = usize::try_from(stride) else {
            continue;
        };
        let scale = |range: &Range<usize>| {
            if half {
                range.start / 2..range.end.div_ceil(2)
            } else {
                range.clone()
            }
        };
        let (columns, rows) = (scale(&columns), scale(&rows));
        let lines = pixels.get_mut(offset..).unwrap_or_default().chunks_mut(stride);
        for line in lines.skip(rows.start).take(rows.len()) {
            if let Some(run) = line.get_mut(columns.clone()) {
                run.fill(value);
            }
        }
    }
}

/// One second of the tone. 440 and 1000 are whole numbers, so it repeats without a click.
fn tone() -> Vec<f32> {
    let level = |db: f64| 10_f64.powf(db / 20.0);
    let rate = f64::from(AUDIO_RATE);
    (0..AUDIO_RATE)
        .map(|sample| {
            let t = f64::from(sample) / rate;
            // 80 ms of beep with 5 ms ramps.
            let ramp = (t.min(0.08 - t) / 0.005).clamp(0.0, 1.0);
            let value =
                level(-30.0) * (TAU * 440.0 * t).sin() + ramp * level(-20.0) * (TAU * 1_000.0 * t).sin();
            #[expect(
                clippy::cast_possible_truncation,
                reason = "sound has no use for more than 24 bits"
            )]
            let value = value as f32;
            value
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(size: (u32, u32)) -> TestPicture {
        gst::init().unwrap();
        TestPicture::new(size).unwrap()
    }

    #[test]
    fn the_clock_is_readable_in_every_size() {
        for size in [(640, 360), (1280, 720), (426, 240), (854, 480), (270, 480)] {
            let picture = picture(size);
            let pixels = picture.draw(7, 0b1010_0000_0000_0000_0101);
            let (width, height) = (size.0 as usize, size.1 as usize);
            let line = height / 24 * usize::try_from(picture.info.stride()[0]).unwrap();
            let bits: Vec<usize> = (0..20)
                .filter(|cell| pixels[line + (2 * cell + 1) * width / 40] == WHITE)
                .collect();
            assert_eq!(bits, [0, 2, 17, 19], "{size:?}");
        }
    }

    #[test]
    fn frames_differ_and_the_text_is_there() {
        let picture = picture((426, 240));
        assert_ne!(picture.draw(1, 0), picture.draw(2, 0));
        let mut bare = vec![0; picture.info.size()];
        paint_bars(&picture.info, &mut bare);
        assert_ne!(picture.still, bare);
        assert_ne!(
            slate((426, 240), "a").unwrap(),
            slate((426, 240), "b & <c>").unwrap()
        );
    }

    #[test]
    fn the_tone_goes_on_across_seconds() {
        let picture = picture((64, 64));
        let (mut whole, mut halves) = (Vec::new(), Vec::new());
        picture.sound(95_000..97_000, &mut whole);
        picture.sound(95_000..96_123, &mut halves);
        picture.sound(96_123..97_000, &mut halves);
        assert_eq!(whole, halves);
        assert_eq!(whole.len(), 4_000);
        let step = whole
            .chunks(2)
            .zip(whole.chunks(2).skip(1))
            .map(|(a, b)| (a[0] - b[0]).abs());
        assert!(step.fold(0.0, f32::max) < 0.02, "no click");
    }
}
