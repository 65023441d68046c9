//! What this machine can carry, asked before it has to: GStreamer's elements, and the speed of the real ladder.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gst_video::{VideoFormat, VideoInfo};
use hls::time::Profile;

use crate::config::Ladder as LadderConfig;
use crate::error::Error;
use crate::ladder::{AUDIO_RATE, CHANNELS, Plan};
use crate::pipeline::{self, encoder, ladder::Ladder};

/// Encoders, queues and caches are filled before anything is counted, for so long at most.
const WARM_UP: Duration = Duration::from_millis(500);
/// Raw frames that wait; enough to keep every encoder busy.
const DEPTH: u64 = 16;
/// Pixels by which the picture moves from one frame to the next.
const PAN: usize = 4;
/// Pictures after which the grain repeats.
const GRAINS: usize = 4;

/// Every GStreamer element that ringside uses: its name, the Debian package that brings it, whether it is here.
pub fn elements() -> Result<Vec<(&'static str, &'static str, bool)>, Error> {
    gst::init().map_err(Error::Gstreamer)?;
    let present = |element| gst::ElementFactory::find(element).is_some();
    let elements = pipeline::ELEMENTS.iter();
    Ok(elements
        .map(|(element, package)| (*element, *package, present(element)))
        .collect())
}

/// How fast a ladder was encoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Speed {
    /// Output frames per second that are wanted.
    pub frames_per_s: f64,
    /// Every rung.
    pub rungs: Vec<Rung>,
}

/// One rung of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    /// Track id.
    pub name: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames that came out, per thousand seconds.
    pub millihertz: u64,
}

impl Speed {
    /// Multiple of real time, by the slowest rung.
    pub fn real_time(&self) -> f64 {
        let slowest = self.rungs.iter().map(|rung| rung.millihertz).min().unwrap_or(0);
        slowest as f64 / 1_000.0 / self.frames_per_s.max(1.0)
    }
}

/// Encodes moving pictures and sound as fast as the configured ladder takes them, for `length`. Blocks.
pub fn ladder(config: &LadderConfig, profile: Profile, length: Duration) -> Result<Speed, Error> {
    pipeline::init()?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let plan = Plan::new(config, profile, cores)
        .map_err(|e| Error::Config(vec![format!("ladder.frame_rate: {e}")]))?;
    measure(&plan, length)
}

/// The same of a ladder that is decided already.
pub(crate) fn measure(plan: &Plan, length: Duration) -> Result<Speed, Error> {
    let encoders = encoder::choose(plan, &BTreeSet::new())?;
    let ladder = Ladder::new(plan, &encoders)?;
    let counts: Vec<Arc<AtomicU64>> = plan.rungs.iter().map(|_| Arc::default()).collect();
    for (index, count) in counts.iter().cloned().enumerate() {
        ladder.on_coded(index, move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        })?;
    }
    for sound in plan.rungs.len()..plan.tracks() {
        ladder.on_coded(sound, drop)?;
    }
    let (told, failed) = std::sync::mpsc::sync_channel(1);
    // One failure is enough to know.
    ladder.play(move |error| drop(told.try_send(error)))?;
    let mut source = Source::new(plan)?;
    source.run(&ladder, length.min(WARM_UP));
    let read = || counts.iter().map(|count| count.load(Ordering::Relaxed));
    let (before, since): (Vec<u64>, Instant) = (read().collect(), Instant::now());
    source.run(&ladder, length);
    let took = u64::try_from(since.elapsed().as_micros())
        .unwrap_or(u64::MAX)
        .max(1);
    let frames = read().zip(before).map(|(now, before)| now - before);
    let rungs = plan.rungs.iter().zip(frames).map(|(rung, frames)| Rung {
        name: rung.name.to_string(),
        width: rung.width,
        height: rung.height,
        millihertz: frames.saturating_mul(1_000_000_000) / took,
    });
    let speed = Speed {
        frames_per_s: plan.grid.rate().as_f64(),
        rungs: rungs.collect(),
    };
    ladder.stop();
    failed.try_recv().map_or(Ok(speed), Err)
}

/// Pictures and sound without end.
struct Source {
    texture: Texture,
    rate: (u64, u64),
    gop: u64,
    renditions: usize,
    frame: u64,
    sample: u64,
}

impl Source {
    fn new(plan: &Plan) -> Result<Self, Error> {
        let rate = plan.grid.rate();
        Ok(Self {
            texture: Texture::new(plan.canvas())?,
            rate: (u64::from(rate.num()), u64::from(rate.den())),
            gop: u64::from(rate.num() / rate.den()).max(1),
            renditions: plan.sounds.len(),
            frame: 0,
            sample: 0,
        })
    }

    fn run(&mut self, ladder: &Ladder, length: Duration) {
        let until = Instant::now() + length;
        while Instant::now() < until {
            if ladder.depth() >= DEPTH {
                thread::sleep(Duration::from_millis(1));
            } else if !self.step(ladder) {
                return;
            }
        }
    }

    fn step(&mut self, ladder: &Ladder) -> bool {
        let (num, den) = self.rate;
        if self.frame.is_multiple_of(self.gop) {
            ladder.force_key();
        }
        let picture = gst::Buffer::from_mut_slice(self.texture.frame(self.frame));
        let taken = ladder.push_frame(timed(picture, self.frame * den * 1_000_000_000 / num));
        self.frame += 1;
        let samples = self.frame * den * u64::from(AUDIO_RATE) / num;
        let count = usize::try_from(samples - self.sample).unwrap_or(0);
        let running_ns = self.sample * 1_000_000_000 / u64::from(AUDIO_RATE);
        self.sample = samples;
        let tone = (0..count * CHANNELS).flat_map(|n| (((n % 218) as f32 - 109.0) / 1_090.0).to_le_bytes());
        let tone: Vec<u8> = tone.collect();
        let mut sounds = 0..self.renditions;
        taken
            && sounds.all(|rendition| {
                let sound = gst::Buffer::from_mut_slice(tone.clone());
                ladder.push_sound(rendition, timed(sound, running_ns))
            })
    }
}

fn timed(mut buffer: gst::Buffer, running_ns: u64) -> gst::Buffer {
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(gst::ClockTime::from_nseconds(running_ns));
    }
    buffer
}

/// A grainy landscape, twice as wide as the picture that pans over it: colour bars would flatter the encoder.
struct Texture {
    width: usize,
    /// Bytes from one row of the picture to the next.
    stride: usize,
    /// Bytes of a picture.
    size: usize,
    /// Rows of twice the width, once for each grain: what does not move along costs an encoder most.
    luma: Vec<Vec<u8>>,
}

impl Texture {
    fn new(canvas: (u32, u32)) -> Result<Self, Error> {
        let info = VideoInfo::builder(VideoFormat::I420, canvas.0, canvas.1).build();
        let info = info.map_err(|e| pipeline::build_error("probe", &e))?;
        let (width, height) = (canvas.0 as usize, canvas.1 as usize);
        let mut seed = 0x2545_F491_4F6C_DD1D_u64;
        let mut grain = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed.to_le_bytes()[0] % 8
        };
        let hill = |n: usize, period: usize| {
            let at = n % period;
            u8::try_from(at.min(period - at) * 80 / period).unwrap_or(0)
        };
        let mut draw = || {
            let places = (0..height).flat_map(|row| (0..width * 2).map(move |column| (row, column)));
            let luma = places.map(|(row, column)| {
                40 + hill(column + row / 2, 160)
                    + hill(row * 2 + column / 3, 90)
                    + hill(column * 3, 64)
                    + grain()
            });
            luma.collect::<Vec<u8>>()
        };
        let stride = info.stride().first().copied().unwrap_or_default();
        Ok(Self {
            width,
            stride: usize::try_from(stride).unwrap_or(width),
            size: info.size(),
            luma: (0..GRAINS).map(|_| draw()).collect(),
        })
    }

    /// One I420 picture.
    fn frame(&self, number: u64) -> Vec<u8> {
        let number = usize::try_from(number).unwrap_or(0);
        let at = number * PAN % self.width;
        let luma = self.luma.get(number % GRAINS).map_or(&[][..], Vec::as_slice);
        let mut picture = Vec::with_capacity(self.size);
        for (row, next) in luma.chunks_exact(self.width * 2).zip(1..) {
            picture.extend_from_slice(row.get(at..at + self.width).unwrap_or_default());
            picture.resize(next * self.stride, 0);
        }
        picture.resize(self.size, 128);
        picture
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_here_and_every_rung_moves() {
        let elements = elements().unwrap();
        assert!(elements.len() > 20 && elements.iter().all(|(_, _, present)| *present));
        let config = LadderConfig::default();
        let speed = ladder(&config, Profile::Low, Duration::from_millis(700)).unwrap();
        assert!(speed.rungs.len() >= 2 && speed.real_time() > 0.0, "{speed:?}");
    }
}
