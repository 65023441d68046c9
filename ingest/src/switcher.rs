//! The vision mixer: one thread that hands the ladder a frame and its sound at every tick, whatever happens.

mod captions;
mod cues;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use feed::Cue;
use hls::time::Grid;
use tokio_util::sync::CancellationToken;

use crate::boarding::{Boarding, Gangway, Step};
use crate::captions::Board;
use crate::contribution::Contribution;
use crate::cues::Book;
use crate::desk::Role;
use crate::error::Error;
use crate::ladder::CHANNELS;
use crate::metrics::{Metrics, Source};
use crate::onair::{Choice, OnAir, Seen, Shown};
use crate::overload::Overload;
use crate::passage::Said;
use crate::picture::TestPicture;
use crate::pipeline::ladder::{FRAMES_MAX, Ladder};
use crate::pipeline::slate::Slate;
use crate::program::Program;
use crate::push::replay::Replay;
use crate::report::Output;
use crate::sound::{self, CROSSFADE, crossfade};
use crate::watcher::Watcher;

/// A ladder that makes no room for so long has stopped.
const STUCK_MAX: Duration = Duration::from_secs(10);
/// One this far behind, after the machine stood still, would not be live again for minutes.
const BEHIND_MAX: Duration = Duration::from_secs(120);
/// How often a full ladder is looked at again.
const FULL_POLL: Duration = Duration::from_millis(5);

/// What a stream keeps while ladders come and go: its publishers and what is shown of them.
#[derive(Debug)]
pub(crate) struct Mixer {
    /// Publishers that were let in; the newest of a role replaces the one before once it has a picture.
    pub(crate) newcomers: Receiver<(Role, Arc<Contribution>)>,
    pub(crate) on_air: OnAir,
    pub(crate) state: Arc<State>,
    /// Zero of the publishers' clock.
    pub(crate) origin: Instant,
    inputs: [Input; 2],
    shown: Option<Shown>,
    /// What encoders have said of breaks.
    book: Book,
    /// What the one on air shows in writing.
    captions: captions::Captions,
}

/// What operators ask for, and what they are told; no tick waits for it.
#[derive(Debug, Default)]
pub(crate) struct State {
    shown: Mutex<(Choice, Option<Shown>)>,
    output: Mutex<Output>,
    thumbnail: Mutex<Option<Bytes>>,
}

/// A larger thumbnail is not kept.
const THUMBNAIL_BYTES_MAX: usize = 256 << 10;

impl State {
    pub(crate) fn choose(&self, choice: Choice) {
        self.lock().0 = choice;
    }

    pub(crate) fn choice(&self) -> Choice {
        self.lock().0
    }

    /// None before the first tick.
    pub(crate) fn shown(&self) -> Option<Shown> {
        self.lock().1
    }

    /// As of some frames ago.
    pub(crate) fn output(&self) -> Output {
        *self
            .output
            .lock()
            .expect("nothing panics while it holds some numbers")
    }

    /// The latest picture as JPEG.
    pub(crate) fn thumbnail(&self) -> Option<Bytes> {
        self.thumbnails().clone()
    }

    pub(crate) fn keep_thumbnail(&self, jpeg: Bytes) {
        if jpeg.len() <= THUMBNAIL_BYTES_MAX {
            *self.thumbnails() = Some(jpeg);
        } else {
            tracing::warn!(bytes = jpeg.len(), "thumbnail too large, the one before is kept");
        }
    }

    fn thumbnails(&self) -> MutexGuard<'_, Option<Bytes>> {
        self.thumbnail
            .lock()
            .expect("nothing panics while it holds a thumbnail")
    }

    pub(crate) fn report(&self, output: Output) {
        *self
            .output
            .lock()
            .expect("nothing panics while it holds some numbers") = output;
    }

    fn lock(&self) -> MutexGuard<'_, (Choice, Option<Shown>)> {
        self.shown
            .lock()
            .expect("nothing panics while it holds two small values")
    }
}

/// One role's publisher.
#[derive(Debug, Default)]
struct Input {
    current: Option<Playing>,
    next: Option<Arc<Contribution>>,
}

/// A publisher with a picture or a sound to give.
#[derive(Debug)]
struct Playing {
    contribution: Arc<Contribution>,
    /// One for each audio rendition.
    readers: Vec<sound::Reader>,
    shown: Option<gst::Buffer>,
}

impl Input {
    /// A newcomer with something to give: a picture, or sound where there is nobody else.
    fn newcomer(&mut self, due: i64, sounds: usize) -> Option<Playing> {
        let next = self.next.as_ref()?;
        let shown = next.frame(due);
        if shown.is_none() && (self.current.is_some() || !next.is_sounding(due)) {
            return None;
        }
        let contribution = self.next.take()?;
        let readers = (0..sounds).map(|_| sound::Reader::default()).collect();
        Some(Playing {
            contribution,
            readers,
            shown,
        })
    }

    /// Takes the frame that is due, also off air: what is not taken would be shown late.
    fn tick(&mut self, due: i64, newcomer: Option<Playing>) -> Seen {
        let cut = newcomer.as_ref().is_some_and(|newcomer| newcomer.shown.is_some());
        self.current = newcomer.or(self.current.take());
        let Some(playing) = &mut self.current else {
            return Seen {
                left: true,
                ..Seen::default()
            };
        };
        let frame = playing.contribution.frame(due);
        let fresh = cut || frame.is_some();
        playing.shown = frame.or(playing.shown.take());
        Seen {
            fresh,
            left: playing.contribution.has_left(),
            sounding: playing.contribution.is_sounding(due),
        }
    }

    /// What was not read while it was off air would begin with what is long over.
    fn rewind(&mut self) {
        let readers = self.current.iter_mut().flat_map(|playing| &mut playing.readers);
        readers.for_each(|reader| *reader = sound::Reader::default());
    }

    fn forget_if_gone(&mut self) {
        let gone = |playing: &mut Playing| playing.contribution.has_left();
        drop(self.current.take_if(gone));
    }
}

impl Mixer {
    pub(crate) fn new(
        newcomers: Receiver<(Role, Arc<Contribution>)>,
        on_air: OnAir,
        state: Arc<State>,
        origin: Instant,
    ) -> Self {
        Self {
            newcomers,
            on_air,
            state,
            origin,
            inputs: Default::default(),
            shown: None,
            book: Book::default(),
            captions: captions::Captions::default(),
        }
    }

    fn admit(&mut self) {
        while let Ok((role, newcomer)) = self.newcomers.try_recv() {
            self.input(role).next = Some(newcomer);
        }
    }

    fn input(&mut self, role: Role) -> &mut Input {
        role.of_mut(&mut self.inputs)
    }

    /// An instant on the publishers' clock, the only one that goes on over all ladders.
    fn since_origin(&self, due: Instant) -> Duration {
        due.saturating_duration_since(self.origin)
    }

    /// The same in nanoseconds.
    pub(crate) fn on_clock(&self, due: Instant) -> i64 {
        nanos(self.since_origin(due))
    }

    /// What is news of what an encoder said that is passed on, and of breaks that end by themselves at frame `now`.
    pub(crate) fn book_in(&mut self, grid: &Grid, said: Vec<Said>, now: u64) -> Vec<Cue> {
        let book = |said: Said| self.book.take(grid, said.now, said.at, said.what);
        let mut told: Vec<Cue> = said.into_iter().flat_map(book).collect();
        told.extend(self.book.tick(now));
        told
    }

    /// Chooses without handing anything on.
    pub(crate) fn look(&mut self, due: Instant, sounds: usize) -> Shown {
        let now = self.since_origin(due);
        let at = nanos(now);
        self.admit();
        let seen = self.inputs.each_mut().map(|input| {
            let newcomer = input.newcomer(at, sounds);
            input.tick(at, newcomer)
        });
        self.on_air.tick(now, seen, self.state.choice())
    }

    /// Tells operators what is on air, and forgets who has gone.
    pub(crate) fn note(&mut self, shown: Shown, metrics: &Metrics) {
        if self.shown != Some(shown) {
            tracing::info!(source = ?shown.source, role = shown.role.as_str(), "on air");
            metrics.show(shown);
            self.shown = Some(shown);
            self.state.lock().1 = Some(shown);
        }
        for role in Role::ALL {
            if shown.role != role || shown.source == Source::Slate {
                self.input(role).forget_if_gone();
            }
        }
    }

    /// The encoder whose picture is on air.
    fn on_air(&self) -> Option<&Arc<Contribution>> {
        let shown = self.shown.filter(|shown| shown.source == Source::Contribution)?;
        self.playing(shown.role)
    }

    /// Whose picture and sound a role has.
    pub(crate) fn playing(&self, role: Role) -> Option<&Arc<Contribution>> {
        let playing = role.of(&self.inputs).current.as_ref();
        playing.map(|playing| &playing.contribution)
    }

    /// A role's picture as of the last tick, and `count` samples of its first sound.
    pub(crate) fn seen_and_heard(
        &mut self,
        role: Role,
        due: Instant,
        count: usize,
    ) -> Option<(gst::Buffer, Vec<f32>)> {
        let at = nanos(self.since_origin(due));
        let playing = self.input(role).current.as_mut()?;
        let mut sound = Vec::with_capacity(count * CHANNELS);
        let reader = playing.readers.first_mut()?;
        playing.contribution.sound(0, reader, at, count, &mut sound);
        Some((playing.shown.clone()?, sound))
    }
}

fn nanos(since: Duration) -> i64 {
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

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
