//! One publisher: its units retimed and decoded, its frames and sound kept ready for the switcher.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use ::rtmp::Event;
use bytes::Bytes;

use crate::ladder::AUDIO_RATE;
use crate::metrics::Metrics;
use crate::pipeline::decode::{Branch, Coded, UNITS_MAX};
use crate::playout::{Anchor, STALE, advance};
use crate::retime::{Retime, aac_rate};
use crate::sound;

/// Decoded frames kept for the switcher; the oldest go first.
const FRAMES_MAX: usize = 30;
/// Pictures that wait for their decoder when a key frame arrives are thrown away if they begin this long before it,
/// nanoseconds: after a stall none of them would be shown in time.
const BEHIND_MAX: i64 = 2_000_000_000;
/// A decoder that failed is made anew after this.
const REBUILD_AFTER: Duration = Duration::from_secs(1);

/// What the switcher sees of a publisher.
#[derive(Debug)]
pub(crate) struct Contribution {
    ready: Mutex<Ready>,
    left: AtomicBool,
    origin: Instant,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Ready {
    anchor: Anchor,
    frames: VecDeque<(i64, gst::Buffer)>,
    sound: sound::Ring,
    has_sound: bool,
}

impl Contribution {
    /// `origin` is the zero of the switcher's clock.
    pub(crate) fn new(origin: Instant, metrics: Metrics) -> Self {
        Self {
            ready: Mutex::default(),
            left: AtomicBool::new(false),
            origin,
            metrics,
        }
    }

    /// The newest frame due at `due`, nanoseconds since the origin; none to repeat what is shown.
    pub(crate) fn frame(&self, due: i64) -> Option<gst::Buffer> {
        let mut ready = self.ready();
        let playout = ready.anchor.playout(due)?;
        let taken = advance(playout, ready.frames.iter().map(|(pts, _)| *pts));
        let (pts, frame) = ready.frames.drain(..taken).next_back()?;
        drop(ready);
        let fresh = playout - pts < STALE;
        self.metrics
            .frames_dropped
            .increment(taken as u64 - u64::from(fresh));
        fresh.then_some(frame)
    }

    /// Appends `count` samples of sound for the tick at `due`, with silence where there is none.
    pub(crate) fn sound(&self, reader: &mut sound::Reader, due: i64, count: usize, out: &mut Vec<f32>) {
        let mut ready = self.ready();
        let half_tick = i64::try_from(count).unwrap_or(0) * 1_000_000_000 / i64::from(AUDIO_RATE) / 2;
        let Some(playout) = ready.anchor.playout(due).filter(|_| ready.has_sound) else {
            out.resize(out.len() + count * 2, 0.0);
            return;
        };
        let target = samples(playout - half_tick);
        let missing = reader.read(&ready.sound, target, count, out);
        drop(ready);
        self.metrics.audio_missing.increment(missing as u64);
    }

    /// Its encoder said goodbye or its connection ended.
    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    fn take_frame(&self, pts: i64, frame: gst::Buffer) {
        let now = self.now();
        let mut ready = self.ready();
        ready.anchor.observe(now, pts);
        ready.frames.push_back((pts, frame));
        if ready.frames.len() > FRAMES_MAX {
            ready.frames.pop_front();
            self.metrics.frames_dropped.increment(1);
        }
    }

    fn take_sound(&self, pts: i64, block: &gst::Buffer) {
        let Ok(map) = block.map_readable() else {
            return;
        };
        let (words, _) = map.as_slice().as_chunks::<4>();
        let interleaved: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        let at = (i128::from(pts) * i128::from(AUDIO_RATE) + 500_000_000) / 1_000_000_000;
        let now = self.now();
        let mut ready = self.ready();
        ready.has_sound = true;
        ready.anchor.observe_sound(now, pts);
        ready.sound.write(i64::try_from(at).unwrap_or(0), &interleaved);
    }

    /// Nanoseconds on the switcher's clock.
    fn now(&self) -> i64 {
        i64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }

    fn ready(&self) -> MutexGuard<'_, Ready> {
        self.ready
            .lock()
            .expect("nothing panics while it holds a contribution")
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "contribution time stays far below 2^53 ns for years"
)]
fn samples(ns: i64) -> f64 {
    ns as f64 * f64::from(AUDIO_RATE) / 1e9
}

/// Feeds a publisher's units to its decoders, on a thread that may block.
#[derive(Debug)]
pub(crate) struct Decoders {
    contribution: Arc<Contribution>,
    canvas: (u32, u32),
    retime: Retime,
    video: Track,
    audio: Track,
    rate: u32,
    metrics: Metrics,
}

/// One track on its way into a decoder.
#[derive(Debug, Default)]
struct Track {
    config: Bytes,
    branch: Option<Branch>,
    /// When the last decoder was made.
    made: Option<Instant>,
    /// Units are passed over until the next key frame.
    lost: bool,
}

impl Decoders {
    pub(crate) fn new(contribution: Arc<Contribution>, canvas: (u32, u32), metrics: Metrics) -> Self {
        Self {
            contribution,
            canvas,
            retime: Retime::default(),
            video: Track::default(),
            audio: Track::default(),
            rate: AUDIO_RATE,
            metrics,
        }
    }

    /// Takes what the session told at `arrival`.
    pub(crate) fn handle(&mut self, arrival: Instant, event: Event) {
        let since = arrival.saturating_duration_since(self.contribution.origin);
        let arrival_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        match event {
            Event::VideoConfig { avcc, .. } => self.video_config(avcc),
            Event::AudioConfig { asc, .. } => self.audio_config(asc),
            Event::Video {
                timestamp_ms,
                composition_ms,
                key,
                data,
            } => {
                let dts = self.retime.video(timestamp_ms, arrival_ms);
                let pts = dts + i64::from(composition_ms) * 1_000_000;
                self.video(
                    key,
                    Coded {
                        pts,
                        dts,
                        after_loss: false,
                        data,
                    },
                );
            }
            Event::Audio { timestamp_ms, data } => {
                let pts = self.retime.audio(timestamp_ms, arrival_ms, self.rate);
                self.audio(Coded {
                    pts,
                    dts: pts,
                    after_loss: false,
                    data,
                });
            }
            Event::Publish { .. } | Event::Metadata(_) | Event::Unsupported { .. } | Event::Unpublish => {}
        }
    }

    fn video_config(&mut self, avcc: Bytes) {
        if self.video.config == avcc {
            return;
        }
        if let Some(branch) = &self.video.branch {
            branch.reconfigure(&avcc);
        }
        // A changed configuration means nothing to frames before its own key frame.
        self.video.lost = true;
        self.video.config = avcc;
    }

    fn audio_config(&mut self, asc: Bytes) {
        if self.audio.config == asc {
            return;
        }
        self.rate = aac_rate(&asc).unwrap_or(AUDIO_RATE);
        // A decoder that is told of a new rate half way goes on at the old one without an error.
        self.audio = Track {
            config: asc,
            ..Track::default()
        };
    }

    fn video(&mut self, key: bool, mut unit: Coded) {
        if key {
            self.skip_stale(unit.dts);
        }
        let (contribution, canvas) = (&self.contribution, self.canvas);
        if self.video.is_to_be_made() && key {
            let take = contribution.clone();
            let branch = Branch::video(&self.video.config, canvas, move |pts, frame| {
                take.take_frame(pts, frame)
            });
            self.video.made(branch);
        }
        let Some(branch) = &mut self.video.branch else {
            return;
        };
        let depth = branch.depth();
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        self.metrics.decode_queue.set(depth as f64);
        self.video.lost |= depth >= UNITS_MAX;
        if self.video.lost && (!key || depth > UNITS_MAX / 2) {
            self.metrics.units_dropped.increment(1);
            return;
        }
        unit.after_loss = std::mem::take(&mut self.video.lost);
        branch.push(unit);
    }

    /// The key frame at `dts` gets a new decoder if the one there is has too much before it.
    fn skip_stale(&mut self, dts: i64) {
        let stale = |branch: &mut Branch| branch.behind(dts) > BEHIND_MAX;
        if let Some(branch) = self.video.branch.take_if(stale) {
            self.metrics.units_dropped.increment(branch.depth());
            self.video.made = None;
        }
    }

    fn audio(&mut self, unit: Coded) {
        if self.audio.is_to_be_made() {
            let take = self.contribution.clone();
            let branch = Branch::audio(&self.audio.config, move |pts, block| take.take_sound(pts, &block));
            self.audio.made(branch);
        }
        let Some(branch) = &mut self.audio.branch else {
            return;
        };
        if branch.depth() >= UNITS_MAX {
            self.metrics.units_dropped.increment(1);
            return;
        }
        branch.push(unit);
    }
}

impl Track {
    /// Whether a decoder is wanted and there is none that works; not more often than once in a while.
    fn is_to_be_made(&self) -> bool {
        let works = self.branch.as_ref().is_some_and(|branch| !branch.has_failed());
        let rested = self.made.is_none_or(|made| made.elapsed() >= REBUILD_AFTER);
        !works && rested && !self.config.is_empty()
    }

    fn made(&mut self, branch: Result<Branch, crate::Error>) {
        self.made = Some(Instant::now());
        self.branch = branch.map_err(|error| tracing::warn!(%error, "no decoder")).ok();
    }
}

#[cfg(test)]
mod tests;
