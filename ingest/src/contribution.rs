//! One publisher: its frames and sound kept ready for the switcher.

mod decoders;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::captions::Triple;
use crate::cues::Happening;
use crate::doctor::Exam;
use crate::ladder::AUDIO_RATE;
use crate::media::Clock;
use crate::metrics::Metrics;
use crate::passage::{Form, Passage};
use crate::playout::{Anchor, HYSTERESIS, STALE, Steady, advance};
use crate::relay::Relay;
use crate::sound;

pub(crate) use decoders::Decoders;

/// Decoded frames kept for the switcher; the oldest go first.
const FRAMES_MAX: usize = 30;
/// Cues kept until they are told or over; the oldest go first.
const CUES_MAX: usize = 64;
/// Units whose captions are kept, 2 s of 60 fps; the oldest go first.
const CAPTIONS_MAX: usize = 120;
/// Sound that came within this is still going on, nanoseconds.
const SOUNDING: i64 = 1_000_000_000;

/// What the switcher sees of a publisher.
#[derive(Debug)]
pub(crate) struct Contribution {
    ready: Mutex<Ready>,
    /// Held for as long as it takes to note one unit, or to make one report.
    exam: Mutex<Exam>,
    /// None where the stream is always transcoded.
    relay: Option<Relay>,
    left: AtomicBool,
    /// When its last unit came, nanoseconds since the origin.
    last_unit: AtomicI64,
    origin: Instant,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Ready {
    anchor: Anchor,
    steady: Steady,
    frames: VecDeque<(i64, gst::Buffer)>,
    /// By presentation time: they come in decoding order.
    captions: BTreeMap<i64, Vec<Triple>>,
    /// What it said, with its times.
    cues: VecDeque<(i64, Happening)>,
    /// As many as the stream has audio renditions.
    sounds: Vec<Sound>,
}

/// One audio track.
#[derive(Debug, Default)]
struct Sound {
    ring: sound::Ring,
    /// When its last block came.
    heard: Option<i64>,
}

impl Contribution {
    /// `origin` is the zero of the switcher's clock, `sounds` the audio tracks that are kept, `clock` the protocol's.
    /// `form` is what it has to consist of to be passed on as it is.
    pub(crate) fn new(
        origin: Instant,
        sounds: usize,
        clock: Clock,
        form: Option<Form>,
        metrics: Metrics,
    ) -> Self {
        let ready = Ready {
            sounds: (0..sounds).map(|_| Sound::default()).collect(),
            ..Ready::default()
        };
        Self {
            ready: Mutex::new(ready),
            exam: Mutex::new(Exam::new(nanos(origin.elapsed()), clock)),
            relay: form.map(|form| Relay::new(Passage::new(form, clock))),
            left: AtomicBool::new(false),
            last_unit: AtomicI64::new(nanos(origin.elapsed())),
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

    /// Appends `count` samples of audio track `track` for the tick at `due`. A track that never came is given the
    /// first one's sound, and where there is none silence.
    pub(crate) fn sound(
        &self,
        track: usize,
        reader: &mut sound::Reader,
        due: i64,
        count: usize,
        out: &mut Vec<f32>,
    ) {
        let mut ready = self.ready();
        let half_tick = i64::try_from(count).unwrap_or(0) * 1_000_000_000 / i64::from(AUDIO_RATE) / 2;
        let playout = ready.anchor.playout(due);
        let heard = |sound: &&Sound| sound.heard.is_some();
        let sound = ready.sounds.get(track).filter(heard);
        let sound = sound.or_else(|| ready.sounds.first().filter(heard));
        let (Some(playout), Some(sound)) = (playout, sound) else {
            out.resize(out.len() + count * 2, 0.0);
            return;
        };
        let target = samples(playout - half_tick);
        let missing = reader.read(&sound.ring, target, count, out);
        drop(ready);
        self.metrics.audio_missing.increment(missing as u64);
    }

    /// Captions of all frames that are due at `due` and were not taken before, shown or not.
    pub(crate) fn captions(&self, due: i64) -> Vec<Triple> {
        let mut ready = self.ready();
        if ready.captions.is_empty() {
            return Vec::new();
        }
        let Some(playout) = ready.anchor.playout(due) else {
            return Vec::new();
        };
        let later = ready.captions.split_off(&(playout + HYSTERESIS + 1));
        let due = std::mem::replace(&mut ready.captions, later);
        drop(ready);
        let is_stale = |pts: &i64| playout - pts >= STALE;
        let stale: usize = due
            .range(..=playout - STALE)
            .map(|(_, triples)| triples.len())
            .sum();
        self.metrics.captions_lost.increment(stale as u64);
        due.into_iter()
            .filter(|(pts, _)| !is_stale(pts))
            .flat_map(|(_, triples)| triples)
            .collect()
    }

    /// What it has said since the last call, and how long after the frame of the tick at `due` that is, nanoseconds.
    /// What lies ahead waits until the clock is steady: what is said of it cannot be taken back.
    pub(crate) fn cues(&self, due: i64) -> Vec<(i64, Happening)> {
        let mut ready = self.ready();
        let Some(playout) = ready.anchor.playout(due) else {
            return Vec::new();
        };
        let is_steady = ready.steady.observe(due, playout);
        // A frame is shown up to so much before its time.
        let ahead = |(at, said): (i64, Happening)| (at - HYSTERESIS - playout, said);
        let is_due = |(at, _): &(i64, Happening)| is_steady || *at <= playout + HYSTERESIS;
        let (now, later): (VecDeque<_>, _) = std::mem::take(&mut ready.cues).into_iter().partition(is_due);
        ready.cues = later;
        now.into_iter().map(ahead).collect()
    }

    /// Forgets what it said of times that are over at `due`; gives how much that was.
    pub(crate) fn forget_cues(&self, due: i64) -> u64 {
        let mut ready = self.ready();
        let before = ready.cues.len();
        if let Some(playout) = ready.anchor.playout(due) {
            ready.steady.observe(due, playout);
            ready.cues.retain(|(at, _)| *at > playout);
        }
        (before - ready.cues.len()) as u64
    }

    /// Whether sound is coming at `now`, nanoseconds since the origin.
    pub(crate) fn is_sounding(&self, now: i64) -> bool {
        let ready = self.ready();
        let recent = |sound: &Sound| sound.heard.is_some_and(|heard| now - heard <= SOUNDING);
        ready.sounds.iter().any(recent)
    }

    /// Where it is passed on, if it may be.
    pub(crate) fn relay(&self) -> Option<&Relay> {
        self.relay.as_ref()
    }

    /// A frame of it came from the line, decodable or not.
    pub(crate) fn heard_from(&self, now: Instant) {
        let at = nanos(now.saturating_duration_since(self.origin));
        self.last_unit.store(at, Ordering::Relaxed);
    }

    /// How long nothing came from the line.
    pub(crate) fn silent_for(&self, now: Instant) -> Duration {
        let now = nanos(now.saturating_duration_since(self.origin));
        let since = now - self.last_unit.load(Ordering::Relaxed);
        Duration::from_nanos(u64::try_from(since).unwrap_or(0))
    }

    /// Lets `with` at its examination; both are told the same instant in nanoseconds since the origin.
    pub(crate) fn examine<T>(&self, at: Instant, with: impl FnOnce(&mut Exam, i64) -> T) -> T {
        let at = nanos(at.saturating_duration_since(self.origin));
        let mut exam = self.exam.lock().expect("nothing panics while it examines");
        with(&mut exam, at)
    }

    /// Its encoder said goodbye or its connection ended.
    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    /// Keeps a decoded frame; called on its decoder's thread.
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

    /// Keeps what the picture of a time shows in writing.
    fn take_captions(&self, pts: i64, triples: Vec<Triple>) {
        let mut ready = self.ready();
        ready.captions.entry(pts).or_default().extend(triples);
        if ready.captions.len() > CAPTIONS_MAX
            && let Some((_, lost)) = ready.captions.pop_first()
        {
            self.metrics.captions_lost.increment(lost.len() as u64);
        }
    }

    /// Keeps what its encoder says of a time.
    fn take_cues(&self, at: i64, said: Vec<Happening>) {
        let mut ready = self.ready();
        for said in said {
            if ready.cues.len() >= CUES_MAX {
                ready.cues.pop_front();
                self.metrics.cues_lost.increment(1);
            }
            ready.cues.push_back((at, said));
        }
    }

    /// Keeps a block of decoded sound; called on its decoder's thread.
    fn take_sound(&self, track: usize, pts: i64, block: &gst::Buffer) {
        let Ok(map) = block.map_readable() else {
            return;
        };
        let (words, _) = map.as_slice().as_chunks::<4>();
        let interleaved: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        let at = (i128::from(pts) * i128::from(AUDIO_RATE) + 500_000_000) / 1_000_000_000;
        let now = self.now();
        let mut ready = self.ready();
        if track == 0 {
            ready.anchor.observe_sound(now, pts);
        }
        let Some(sound) = ready.sounds.get_mut(track) else {
            return;
        };
        sound.heard = Some(now);
        sound.ring.write(i64::try_from(at).unwrap_or(0), &interleaved);
    }

    /// Nanoseconds on the switcher's clock.
    fn now(&self) -> i64 {
        nanos(self.origin.elapsed())
    }

    fn ready(&self) -> MutexGuard<'_, Ready> {
        self.ready
            .lock()
            .expect("nothing panics while it holds a contribution")
    }
}

fn nanos(since: Duration) -> i64 {
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "contribution time stays far below 2^53 ns for years"
)]
fn samples(ns: i64) -> f64 {
    ns as f64 * f64::from(AUDIO_RATE) / 1e9
}
