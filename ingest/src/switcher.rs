//! The vision mixer: one thread that hands the ladder a frame and its sound at every tick, whatever happens.

mod captions;
mod cues;
mod mixer;
mod state;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tokio_util::sync::CancellationToken;

use crate::boarding::{Boarding, Gangway, Step};
use crate::captions::Board;
use crate::desk::Role;
use crate::error::Error;
use crate::ladder::CHANNELS;
use crate::metrics::{Metrics, Source};
use crate::onair::Shown;
use crate::overload::Overload;
use crate::picture::TestPicture;
use crate::pipeline::ladder::{FRAMES_MAX, Ladder};
use crate::pipeline::slate::Slate;
use crate::program::Program;
use crate::push::replay::Replay;
use crate::sound::{CROSSFADE, crossfade};
use crate::watcher::Watcher;
pub(crate) use mixer::Mixer;
use mixer::nanos;
pub(crate) use state::State;

/// A ladder that makes no room for so long has stopped.
const STUCK_MAX: Duration = Duration::from_secs(10);
/// One this far behind, after the machine stood still, would not be live again for minutes.
const BEHIND_MAX: Duration = Duration::from_secs(120);
/// How often a full ladder is looked at again.
const FULL_POLL: Duration = Duration::from_millis(5);

/// Why a stream needs another ladder, or none for a while.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It broke.
    Failed(Error),
    /// A contribution takes its place.
    Passes(Boarding),
    /// A contribution that was passed on leaves its place.
    Encodes,
}

/// Everything a tick needs.
pub(crate) struct Switcher {
    pub(crate) mixer: Mixer,
    pub(crate) program: Program,
    pub(crate) ladder: Arc<Ladder>,
    pub(crate) test: Arc<TestPicture>,
    pub(crate) slate: Slate,
    /// Audio renditions.
    pub(crate) sounds: usize,
    pub(crate) overload: Overload,
    pub(crate) gangway: Gangway,
    pub(crate) watcher: Watcher,
    /// Where captions go.
    pub(crate) board: Arc<Board>,
    /// Where cues go.
    pub(crate) replay: Arc<Replay>,
    pub(crate) metrics: Metrics,
    pub(crate) stop: CancellationToken,
}

impl Switcher {
    /// Ticks on a thread of its own until `stop`; `ended` hears why it ended otherwise. The thread gives back the
    /// mixer, for the next ladder.
    pub(crate) fn spawn(
        mut self,
        ended: impl Fn(Ended) + Send + 'static,
    ) -> Result<JoinHandle<Mixer>, Error> {
        let run = move || {
            // Nobody sees a thread end: a panic must be as loud as an error.
            let result = catch_unwind(AssertUnwindSafe(|| self.run()));
            let panicked = |_| Err(Error::System("the switcher panicked".to_owned()));
            match result.unwrap_or_else(panicked) {
                Ok(Some(reason)) => ended(reason),
                Ok(None) => {}
                Err(error) => ended(Ended::Failed(error)),
            }
            self.mixer
        };
        std::thread::Builder::new()
            .name("switcher".to_owned())
            .spawn(run)
            .map_err(|e| Error::System(e.to_string()))
    }

    /// None where it was stopped.
    fn run(&mut self) -> Result<Option<Ended>, Error> {
        let half = self.program.grid.frame_time(1) / 2;
        // A missed tick is made up at once with its own number: the encoders never see a hole.
        for n in 0.. {
            let due = self.program.due(n);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let late = due.elapsed();
            self.metrics.tick_late.record(late);
            self.metrics.ticks_late.increment(u64::from(late > half));
            if !self.wait_for_room(due)? {
                break;
            }
            let (picture, sounds) = self.tick(n);
            self.overload.tick(n);
            self.watch(n, &picture, &sounds);
            if !self.hand_on(n, picture, &sounds) {
                break;
            }
            match self.gangway.tick(n, self.mixer.on_air()) {
                Step::On => {}
                Step::Over(boarding) => return Ok(Some(Ended::Passes(boarding))),
                Step::Missed => return Ok(Some(Ended::Encodes)),
            }
        }
        Ok(None)
    }

    fn watch(&self, n: u64, picture: &gst::Buffer, sounds: &[Vec<f32>]) {
        let sound = sounds.first().map_or(&[][..], Vec::as_slice);
        self.watcher
            .show(n, self.program.grid.frame_time(n), picture, sound);
    }

    /// False once stopped. Nothing is skipped for a slow ladder; it lags, and too far behind it is given up.
    fn wait_for_room(&self, due: Instant) -> Result<bool, Error> {
        let since = Instant::now();
        loop {
            let depth = self.ladder.depth();
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
            self.metrics.ladder_queue.set(depth as f64);
            if self.stop.is_cancelled() {
                return Ok(false);
            }
            if depth < FRAMES_MAX {
                return Ok(true);
            }
            if since.elapsed() > STUCK_MAX || due.elapsed() > BEHIND_MAX {
                let behind_ms = u64::try_from(due.elapsed().as_millis()).unwrap_or(u64::MAX);
                return Err(Error::Behind { behind_ms });
            }
            std::thread::sleep(FULL_POLL);
        }
    }

    /// Chooses, and gives the picture of tick `n` and its sound in every rendition.
    fn tick(&mut self, n: u64) -> (gst::Buffer, Vec<Vec<f32>>) {
        let due = self.due(n);
        self.mixer.admit();
        let before = self.mixer.shown;
        let newcomers = self.mixer.inputs.each_mut();
        let newcomers = newcomers.map(|input| input.newcomer(due, self.sounds));
        let is_cut = |shown: Shown| shown.role.of(&newcomers).is_some();
        // The old one's sound is faded out before it is replaced.
        let mut old = before.is_some_and(is_cut).then(|| self.sounds(before, n));
        let (inputs, mut newcomers) = (self.mixer.inputs.each_mut(), newcomers.into_iter());
        let seen = inputs.map(|input| input.tick(due, newcomers.next().flatten()));
        let now = self.mixer.since_origin(self.program.due(n));
        let shown = self.mixer.on_air.tick(now, seen, self.mixer.state.choice());
        if old.is_none() && before.is_some_and(|before| voice(before) != voice(shown)) {
            old = Some(self.sounds(before, n));
        }
        if before.is_some_and(|before| before.role != shown.role) {
            self.mixer.input(shown.role).rewind();
        }
        let mut sounds = self.sounds(Some(shown), n);
        for (old, sound) in old.iter().flatten().zip(&mut sounds) {
            crossfade(old.get(..CROSSFADE * CHANNELS).unwrap_or(old), sound);
        }
        self.cue(shown, n);
        self.caption(shown, n);
        self.note(shown, shown.role.of(&seen).fresh);
        (self.picture(shown, n), sounds)
    }

    /// When tick `n` is due on the publishers' clock, nanoseconds.
    fn due(&self, n: u64) -> i64 {
        nanos(self.mixer.since_origin(self.program.due(n)))
    }

    fn picture(&mut self, shown: Shown, n: u64) -> gst::Buffer {
        let of_encoder = match shown.source {
            Source::Contribution | Source::Hold => {
                let playing = self.mixer.input(shown.role).current.as_ref();
                playing.and_then(|playing| playing.shown.clone())
            }
            Source::Test => {
                let frame = self.program.first_frame + n;
                Some(gst::Buffer::from_mut_slice(self.test.draw(frame, unix_ms())))
            }
            Source::Slate | Source::Voice => None,
        };
        of_encoder.unwrap_or_else(|| self.slate.picture(self.program.first_frame + n))
    }

    fn sounds(&mut self, shown: Option<Shown>, n: u64) -> Vec<Vec<f32>> {
        let due = self.due(n);
        let samples = self.program.samples(n);
        let count = usize::try_from(samples.end - samples.start).unwrap_or(0);
        let silence = || vec![0.0; count * CHANNELS];
        let is_encoder = shown.is_some_and(|shown| shown.source.is_encoder());
        let playing = shown
            .filter(|_| is_encoder)
            .and_then(|shown| self.mixer.input(shown.role).current.as_mut());
        match (shown.map(|shown| shown.source), playing) {
            (_, Some(playing)) => {
                let (contribution, readers) = (&playing.contribution, &mut playing.readers);
                let read = |(track, reader)| {
                    let mut out = Vec::with_capacity(count * CHANNELS);
                    contribution.sound(track, reader, due, count, &mut out);
                    out
                };
                readers.iter_mut().enumerate().map(read).collect()
            }
            (Some(Source::Test), None) => {
                let mut tone = Vec::with_capacity(count * CHANNELS);
                self.test.sound(samples, &mut tone);
                vec![tone; self.sounds]
            }
            (Some(Source::Slate), None) => {
                let frame = self.program.first_frame + n;
                let sound = self.slate.sound(frame, &self.program.grid, count);
                vec![sound; self.sounds]
            }
            (_, None) => (0..self.sounds).map(|_| silence()).collect(),
        }
    }

    fn note(&mut self, shown: Shown, fresh: bool) {
        let is_picture = matches!(shown.source, Source::Contribution | Source::Hold);
        self.metrics
            .frames_repeated
            .increment(u64::from(is_picture && !fresh));
        self.mixer.note(shown, &self.metrics);
    }

    fn hand_on(&self, n: u64, picture: gst::Buffer, sounds: &[Vec<f32>]) -> bool {
        let grid = &self.program.grid;
        let frame = self.program.first_frame + n;
        let cell = grid.cell_of_frame(frame);
        if n == 0 || (grid.starts_gop(cell) && grid.first_frame(cell) == frame) {
            self.ladder.force_key();
        }
        let at = |n: u64| u64::try_from(grid.frame_time(n).as_nanos()).unwrap_or(u64::MAX);
        let samples = self.program.samples(n);
        let sound_at = |sample| self.program.sample_running_ns(sample);
        let (from, until) = (sound_at(samples.start), sound_at(samples.end));
        self.ladder.push_frame(stamped(picture, at(n), at(n + 1)))
            && sounds.iter().enumerate().all(|(track, sound)| {
                let bytes: Vec<u8> = sound.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                let sound = gst::Buffer::from_mut_slice(bytes);
                self.ladder.push_sound(track, stamped(sound, from, until))
            })
    }
}

/// Whose sound goes out: the tone, silence, or one of two encoders.
fn voice(shown: Shown) -> (u8, Role) {
    match shown.source {
        Source::Test => (0, Role::Primary),
        Source::Slate => (1, Role::Primary),
        Source::Contribution | Source::Hold | Source::Voice => (2, shown.role),
    }
}

/// The ladder's own time on it and none of its source's marks; pixels stay shared.
fn stamped(mut buffer: gst::Buffer, from_ns: u64, until_ns: u64) -> gst::Buffer {
    let inner = buffer.make_mut();
    inner.set_pts(gst::ClockTime::from_nseconds(from_ns));
    inner.set_dts(gst::ClockTime::NONE);
    inner.set_duration(gst::ClockTime::from_nseconds(until_ns - from_ns));
    inner.set_offset(u64::MAX);
    inner.set_offset_end(u64::MAX);
    inner.unset_flags(
        gst::BufferFlags::DISCONT
            | gst::BufferFlags::GAP
            | gst::BufferFlags::RESYNC
            | gst::BufferFlags::CORRUPTED,
    );
    buffer
}

fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
