//! The vision mixer: one thread that hands the ladder a frame and its sound at every tick, whatever happens.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tokio_util::sync::CancellationToken;

use crate::contribution::Contribution;
use crate::error::Error;
use crate::ladder::CHANNELS;
use crate::metrics::{Metrics, Source};
use crate::onair::OnAir;
use crate::picture::TestPicture;
use crate::pipeline::ladder::{FRAMES_MAX, Ladder};
use crate::program::Program;
use crate::sound::{self, CROSSFADE, crossfade};

/// A ladder that makes no room for so long has stopped.
const STUCK_MAX: Duration = Duration::from_secs(10);
/// One this far behind, after the machine stood still, would not be live again for minutes.
const BEHIND_MAX: Duration = Duration::from_secs(120);
/// How often a full ladder is looked at again.
const FULL_POLL: Duration = Duration::from_millis(5);

/// Everything a tick needs.
pub(crate) struct Switcher {
    pub(crate) program: Program,
    pub(crate) ladder: Arc<Ladder>,
    pub(crate) test: TestPicture,
    pub(crate) slate: gst::Buffer,
    pub(crate) on_air: OnAir,
    /// Publishers that were let in; the newest replaces the others once it has a picture.
    pub(crate) newcomers: Receiver<Arc<Contribution>>,
    pub(crate) metrics: Metrics,
    pub(crate) stop: CancellationToken,
}

/// What is selected, from tick to tick.
#[derive(Default)]
struct Mixer {
    current: Option<Input>,
    next: Option<Arc<Contribution>>,
    source: Option<Source>,
}

/// The contribution on air.
struct Input {
    contribution: Arc<Contribution>,
    reader: sound::Reader,
    shown: gst::Buffer,
}

impl Input {
    /// A newcomer that has a picture to show.
    fn ready(contribution: &Arc<Contribution>, due: i64) -> Option<Self> {
        let shown = contribution.frame(due)?;
        Some(Self {
            contribution: contribution.clone(),
            reader: sound::Reader::default(),
            shown,
        })
    }
}

impl Switcher {
    /// Ticks on a thread of its own until `stop`; `failed` hears why it ended otherwise.
    pub(crate) fn spawn(self, failed: impl Fn(Error) + Send + 'static) -> Result<JoinHandle<()>, Error> {
        let run = move || {
            // Nobody sees a thread end: a panic must be as loud as an error.
            let ended = catch_unwind(AssertUnwindSafe(|| self.run()));
            let panicked = |_| Err(Error::System("the switcher panicked".to_owned()));
            if let Err(error) = ended.unwrap_or_else(panicked) {
                failed(error);
            }
        };
        std::thread::Builder::new()
            .name("switcher".to_owned())
            .spawn(run)
            .map_err(|e| Error::System(e.to_string()))
    }

    fn run(mut self) -> Result<(), Error> {
        let half = self.program.grid.frame_time(1) / 2;
        let mut mixer = Mixer::default();
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
            let (picture, sound) = self.tick(&mut mixer, n);
            if !self.hand_on(n, picture, &sound) {
                break;
            }
        }
        Ok(())
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

    /// Chooses, and gives the picture and the sound of tick `n`.
    fn tick(&mut self, mixer: &mut Mixer, n: u64) -> (gst::Buffer, Vec<f32>) {
        let now = self.program.grid.frame_time(n);
        let due = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        mixer.next = self.newcomers.try_iter().last().or(mixer.next.take());
        let newcomer = mixer.next.as_ref().and_then(|next| Input::ready(next, due));
        let cut = newcomer.is_some();
        let old = cut.then(|| self.sound(mixer, mixer.source, n));
        let mut fresh = cut;
        if let Some(input) = newcomer {
            mixer.current = Some(input);
            mixer.next = None;
        } else if let Some(input) = &mut mixer.current
            && let Some(frame) = input.contribution.frame(due)
        {
            input.shown = frame;
            fresh = true;
        }
        let left = mixer
            .current
            .as_ref()
            .is_some_and(|input| input.contribution.has_left());
        let source = self.on_air.tick(now, fresh, left);
        let changed = mixer.source.is_some_and(|before| voice(before) != voice(source));
        let old = old.or_else(|| changed.then(|| self.sound(mixer, mixer.source, n)));
        let mut sound = self.sound(mixer, Some(source), n);
        if let Some(old) = &old {
            crossfade(old.get(..CROSSFADE * CHANNELS).unwrap_or(old), &mut sound);
        }
        self.note(mixer, source, fresh);
        (self.picture(mixer, source, n), sound)
    }

    fn picture(&self, mixer: &Mixer, source: Source, n: u64) -> gst::Buffer {
        match (source, &mixer.current) {
            (Source::Contribution | Source::Hold, Some(input)) => input.shown.clone(),
            (Source::Test, _) => {
                let frame = self.program.first_frame + n;
                gst::Buffer::from_mut_slice(self.test.draw(frame, unix_ms()))
            }
            (Source::Slate | Source::Contribution | Source::Hold, _) => self.slate.clone(),
        }
    }

    fn sound(&self, mixer: &mut Mixer, source: Option<Source>, n: u64) -> Vec<f32> {
        let samples = self.program.samples(n);
        let count = usize::try_from(samples.end - samples.start).unwrap_or(0);
        let mut out = Vec::with_capacity(count * CHANNELS);
        match (source, &mut mixer.current) {
            (Some(Source::Contribution | Source::Hold), Some(input)) => {
                let due = i64::try_from(self.program.grid.frame_time(n).as_nanos()).unwrap_or(i64::MAX);
                input.contribution.sound(&mut input.reader, due, count, &mut out);
            }
            (Some(Source::Test), _) => self.test.sound(samples, &mut out),
            (None | Some(Source::Slate | Source::Contribution | Source::Hold), _) => {
                out.resize(count * CHANNELS, 0.0);
            }
        }
        out
    }

    fn note(&self, mixer: &mut Mixer, source: Source, fresh: bool) {
        let is_input = matches!(source, Source::Contribution | Source::Hold);
        self.metrics
            .frames_repeated
            .increment(u64::from(is_input && !fresh));
        if mixer.source != Some(source) {
            tracing::info!(?source, "on air");
            self.metrics.show(source);
            mixer.source = Some(source);
        }
        let gone = |input: &mut Input| source == Source::Slate && input.contribution.has_left();
        drop(mixer.current.take_if(gone));
    }

    fn hand_on(&self, n: u64, picture: gst::Buffer, sound: &[f32]) -> bool {
        let grid = &self.program.grid;
        let frame = self.program.first_frame + n;
        let cell = grid.cell_of_frame(frame);
        if n == 0 || (grid.starts_gop(cell) && grid.first_frame(cell) == frame) {
            self.ladder.force_key();
        }
        let at = |n: u64| u64::try_from(grid.frame_time(n).as_nanos()).unwrap_or(u64::MAX);
        let samples = self.program.samples(n);
        let sound_at = |sample| self.program.sample_running_ns(sample);
        let bytes: Vec<u8> = sound.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let sound = gst::Buffer::from_mut_slice(bytes);
        self.ladder.push_frame(stamped(picture, at(n), at(n + 1)))
            && self
                .ladder
                .push_sound(stamped(sound, sound_at(samples.start), sound_at(samples.end)))
    }
}

/// Which of three voices belongs to a source: tone, encoder or silence.
fn voice(source: Source) -> u8 {
    match source {
        Source::Test => 0,
        Source::Contribution | Source::Hold => 1,
        Source::Slate => 2,
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
