//! PURE. One stream as an encoder sends it: its tracks put on our grid, by one offset for all of them.
//!
//! It gathers until every track is here and the first rung has a key frame from which on all others have media, too.
//! That moment becomes the beginning of a GOP of ours, and a life begins. From then on a unit's place follows from its
//! time alone. A jump of the encoder's clock, or another decoder configuration, ends the life: it gathers again, and what
//! follows is a discontinuity.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cmaf::push::{Movie, Unit};
use feed::{Message, Shape};
use hls::id::Cell;
use hls::time::{AUDIO_FRAME_SAMPLES, FrameRate, Grid, GridError, Profile};

use super::config::Stream;
use super::line::{Line, Moment, ns};
use super::place::{frame, half_unit, sound};
use super::refusal::Refusal;
use super::track::{Held, Track, audio_rate, codec, is_video, sample};
use crate::assemble::Pace;

/// How far behind an encoder's usual delay a unit may be that came before: a second encoder sends the same. What is
/// later is an encoder that has begun anew.
const DUPLICATE_NS: i64 = 6_000_000_000;
/// How far ahead of real time media may be; beyond it is a file that is sent at once.
const AHEAD_NS: i64 = 10_000_000_000;
/// A hole longer than the first, whose end comes earlier than usual by the second, is no hole: another clock.
const SKIP_NS: i64 = 1_000_000_000;
const EARLY_NS: i64 = 3_000_000_000;
/// Longest hole that is shown as GAP; after a longer one the stream goes on behind a discontinuity.
const HOLE_NS: i64 = 30_000_000_000;
/// A life begins at the earliest so long after the last one: two encoders that disagree would else take turns.
const LIFE: Duration = Duration::from_secs(5);

/// What has to be done, in this order.
#[derive(Debug, PartialEq)]
pub(crate) enum Output {
    /// A life begins: call [`Machine::begun`] with its first cell.
    Begin(Box<Shape>),
    /// To be handed on like a feed's.
    Message(Message),
}

/// What became of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It has its place, or waits for it.
    Used,
    /// It was here before.
    Duplicate,
    /// Its part is published as GAP already, it cannot be decoded, or too much waits.
    Dropped,
}

/// Who sends: one request, and the life whose clock it is known to keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    pub(crate) request: u64,
    pub(crate) life: Option<u64>,
}

/// The machine.
pub(crate) struct Machine {
    profile: Profile,
    rate: FrameRate,
    grid: Grid,
    tracks: Vec<Track>,
    state: State,
    /// Lives until now.
    life: u64,
    began: Option<Instant>,
    late: Duration,
    outputs: VecDeque<Output>,
}

enum State {
    Gathering,
    /// What is shown first; its cell is asked for.
    Beginning(Moment),
    Live(Live),
}

/// A life under way.
struct Live {
    line: Line,
    /// An encoder's usual delay: at this instant this moment had come.
    usual: (Instant, Moment),
    /// Cells that some track has closed and others have not, and since when.
    waiting: VecDeque<(Cell, Instant)>,
}

impl Live {
    /// How much later than usual a moment comes, nanoseconds; negative where it is early.
    fn lag_ns(&self, now: Instant, at: Moment) -> i64 {
        let (then, moment) = self.usual;
        ns(now.saturating_duration_since(then)).saturating_sub(at.ns_since(moment))
    }
}

impl Machine {
    pub(crate) fn new(stream: &Stream, late: Duration) -> Result<Self, GridError> {
        let (profile, rate) = (stream.profile, stream.frame_rate.0);
        let track = |track: &super::config::Track| {
            let bps = track.bitrate_kbps.map(|kbps| u64::from(kbps) * 1_000);
            Track::new(track.id.clone(), bps)
        };
        Ok(Self {
            profile,
            rate,
            grid: Grid::of(profile, rate, 48_000)?,
            tracks: stream.tracks.iter().map(track).collect(),
            state: State::Gathering,
            life: 0,
            began: None,
            late,
            outputs: VecDeque::new(),
        })
    }

    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What the last init segment of a track said.
    pub(crate) fn movie(&self, track: usize) -> Option<Arc<Movie>> {
        self.tracks.get(track)?.movie.clone()
    }

    /// An init segment.
    pub(crate) fn init(&mut self, now: Instant, track: usize, movie: &Arc<Movie>) -> Result<(), Refusal> {
        if let Some(rate) = audio_rate(&movie.codec).filter(|rate| *rate != self.grid.audio_rate()) {
            if matches!(self.state, State::Live(_)) && self.is_young(now) {
                return Err(Refusal::Unsteady(LIFE.as_secs()));
            }
            self.tune(track, rate)?;
        }
        let young = self.is_young(now);
        let Some(known) = self.tracks.get_mut(track) else {
            return Ok(());
        };
        let before = known.movie.replace(Arc::clone(movie));
        known.last = false;
        known.refused = None;
        let Some(before) = before else {
            return Ok(());
        };
        if is_video(&before.codec) != is_video(&movie.codec) {
            known.movie = Some(before);
            return Err(Refusal::Kind);
        }
        if codec(&before.codec) == codec(&movie.codec) {
            return Ok(());
        }
        match self.state {
            State::Gathering | State::Beginning(_) => known.reset(),
            State::Live(_) => {
                if young {
                    known.movie = Some(before);
                    return Err(Refusal::Unsteady(LIFE.as_secs()));
                }
                self.gather();
            }
        }
        Ok(())
    }

    /// All sound of a stream is of one rate, on which the grid depends.
    fn tune(&mut self, track: usize, rate: u32) -> Result<(), Refusal> {
        let others = self.tracks.iter().enumerate().filter(|(at, _)| *at != track);
        let mut rates = others.filter_map(|(_, other)| audio_rate(&other.movie.as_ref()?.codec));
        if let Some(want) = rates.find(|other| *other != rate) {
            return Err(Refusal::AudioRate { got: rate, want });
        }
        // In a life another rate is another configuration, which ends it.
        let grid = Grid::of(self.profile, self.rate, rate);
        self.grid = grid.map_err(|error| Refusal::Conflict(error.to_string()))?;
        Ok(())
    }

    /// A unit in its track's order.
    pub(crate) fn unit(
        &mut self,
        now: Instant,
        track: usize,
        sender: &mut Sender,
        scale: u32,
        unit: Unit,
    ) -> Result<Taken, Refusal> {
        let grid = self.grid;
        let Some(known) = self.tracks.get_mut(track) else {
            return Ok(Taken::Dropped);
        };
        if let Some(refused) = known.refused.take() {
            return Err(refused);
        }
        known.vet(&unit, scale, &grid)?;
        let at = Moment {
            ticks: unit.time,
            scale,
        };
        let held = Held {
            at,
            duration: unit.duration,
            key: unit.key || !known.is_video(),
            data: match &known.movie {
                Some(movie) => sample(&movie.codec, unit.data),
                None => unit.data,
            },
        };
        match &self.state {
            State::Gathering | State::Beginning(_) => self.gathered(track, sender, held),
            State::Live(live) => {
                let known_end = known.end;
                let lag = live.lag_ns(now, at);
                match known_end.map(|end| at.ns_since(end)) {
                    Some(step) if step < -half_unit(&held) => {
                        if lag <= DUPLICATE_NS {
                            return Ok(Taken::Duplicate);
                        }
                        self.jump(now, track, sender, held)
                    }
                    Some(step) if step > HOLE_NS || step > SKIP_NS && -lag > EARLY_NS => {
                        self.jump(now, track, sender, held)
                    }
                    Some(_) | None if -lag > AHEAD_NS => Err(Refusal::Ahead { ns: -lag }),
                    Some(_) | None => {
                        self.join(track, sender);
                        self.place(now, track, held)
                    }
                }
            }
        }
    }

    /// A track's last segment has begun; the event is over once all tracks' last ones have.
    pub(crate) fn last(&mut self, track: usize) {
        if let Some(track) = self.tracks.get_mut(track) {
            track.last = true;
        }
    }

    /// A body that had the beginning of a track's last segment is over.
    pub(crate) fn over(&mut self, track: usize) {
        let ended = self.tracks.get(track).is_some_and(|track| track.last)
            && self.tracks.iter().all(|track| track.last)
            && matches!(self.state, State::Live(_));
        if ended {
            self.outputs.push_back(Output::Message(Message::End));
            self.gather();
        }
    }

    /// When [`Machine::tick`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let State::Live(live) = &self.state else {
            return None;
        };
        live.waiting.front().map(|(_, since)| *since + self.late)
    }

    /// Tracks that are too late are not waited for any longer.
    pub(crate) fn tick(&mut self, now: Instant) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        while let Some((cell, _)) = live
            .waiting
            .front()
            .filter(|(_, since)| *since + self.late <= now)
        {
            for (index, track) in (0_u16..).zip(&mut self.tracks) {
                for missing in (track.open.0..=cell.0).map(Cell) {
                    let gap = Message::Gap {
                        track: index,
                        cell: missing,
                    };
                    self.outputs.push_back(Output::Message(gap));
                    track.open = missing.next();
                    track.lost = true;
                    track.forget_keys();
                }
            }
            live.waiting.pop_front();
        }
    }

    /// The life that was asked for begins with this cell.
    pub(crate) fn begun(&mut self, now: Instant, first: Cell) {
        let State::Beginning(media) = self.state else {
            return;
        };
        let line = Line {
            media,
            frame: self.grid.first_frame(first),
        };
        let latest = self.tracks.iter().filter_map(|track| track.end);
        let latest = latest.max_by(|a, b| a.compare(*b)).unwrap_or(media);
        self.state = State::Live(Live {
            line,
            usual: (now, latest),
            waiting: VecDeque::new(),
        });
        self.began = Some(now);
        let kept: Vec<_> = self.tracks.iter_mut().map(Track::take_held).collect();
        for track in &mut self.tracks {
            (track.open, track.next, track.lost) = (first, None, true);
        }
        for (index, held) in kept.into_iter().enumerate() {
            for held in held {
                let soon = held.at.ns_since(media) < -half_unit(&held);
                let placed = if soon {
                    Ok(Taken::Dropped)
                } else {
                    self.place(now, index, held)
                };
                if let Err(refused) = placed {
                    if let Some(track) = self.tracks.get_mut(index) {
                        track.refused = Some(refused);
                    }
                    break;
                }
            }
        }
    }

    /// The life that was asked for cannot begin: gathers again.
    pub(crate) fn refused(&mut self) {
        self.gather();
    }

    fn is_young(&self, now: Instant) -> bool {
        self.began
            .is_some_and(|began| now.saturating_duration_since(began) < LIFE)
    }

    /// This request keeps the life's clock.
    fn join(&mut self, track: usize, sender: &mut Sender) {
        sender.life = Some(self.life);
        if let Some(track) = self.tracks.get_mut(track) {
            track.sender = Some(sender.request);
        }
    }

    fn gather(&mut self) {
        self.life += 1;
        self.state = State::Gathering;
        self.tracks.iter_mut().for_each(Track::reset);
    }

    /// A unit that cannot be of this life: the next one begins, unless it is an encoder that has been replaced.
    fn jump(
        &mut self,
        now: Instant,
        track: usize,
        sender: &mut Sender,
        held: Held,
    ) -> Result<Taken, Refusal> {
        if self.is_replaced(track, sender) {
            return Err(Refusal::Replaced);
        }
        if self.is_young(now) {
            return Err(Refusal::Unsteady(LIFE.as_secs()));
        }
        self.gather();
        self.gathered(track, sender, held)
    }

    /// Whether the track is somebody else's, who came to this life while this one was of an earlier one.
    fn is_replaced(&self, track: usize, sender: &Sender) -> bool {
        let other = self.tracks.get(track).and_then(|track| track.sender);
        other.is_some_and(|other| other != sender.request) && sender.life.is_some_and(|life| life < self.life)
    }

    fn gathered(&mut self, track: usize, sender: &mut Sender, held: Held) -> Result<Taken, Refusal> {
        let replaced = self.is_replaced(track, sender);
        let grid = self.grid;
        let Some(known) = self.tracks.get_mut(track) else {
            return Ok(Taken::Dropped);
        };
        if let (Some(end), Some(first)) = (known.end, known.held.front()) {
            let behind = held.at.ns_since(end) < -half_unit(&held);
            let jumped = held.at.ns_since(end) > AHEAD_NS || held.at.ns_since(first.at) < 0;
            if jumped && replaced {
                return Err(Refusal::Replaced);
            }
            if jumped {
                known.take_held();
            } else if behind {
                return Ok(Taken::Duplicate);
            }
        }
        if known.is_video() && !known.keys(held.at, held.key, &grid)? {
            return Ok(Taken::Dropped);
        }
        let dropped = known.hold(held);
        self.join(track, sender);
        self.begin()?;
        if dropped > 0 && matches!(self.state, State::Gathering) {
            self.not_begun(track)?;
            return Ok(Taken::Dropped);
        }
        Ok(Taken::Used)
    }

    /// Begins, if every track is here.
    fn begin(&mut self) -> Result<(), Refusal> {
        let ready = |track: &Track| track.movie.is_some() && !track.held.is_empty();
        if !matches!(self.state, State::Gathering) || !self.tracks.iter().all(ready) {
            return Ok(());
        }
        // Sound may begin a unit late: so much the first part may lack (`assemble`).
        let unit = |track: &Track| match rate_of(track) {
            Some(rate) => i64::from(AUDIO_FRAME_SAMPLES - 1) * 1_000_000_000 / i64::from(rate),
            None => 0,
        };
        let rung = self.tracks.iter().find(|track| track.is_video());
        let rung = rung.ok_or(Refusal::NoVideo)?;
        let after_all = |key: &&Held| {
            let late = |track: &Track| {
                track
                    .held
                    .front()
                    .map(|first| first.at.ns_since(key.at) - unit(track))
            };
            self.tracks.iter().filter_map(late).all(|late| late <= 0)
        };
        let Some(first) = rung.held.iter().filter(|held| held.key).find(after_all) else {
            return Ok(());
        };
        let media = first.at;
        let described = self
            .tracks
            .iter()
            .map(Track::described)
            .collect::<Result<Vec<_>, _>>();
        let tracks = match described {
            Ok(tracks) => tracks,
            Err(refused) => {
                self.gather();
                return Err(refused);
            }
        };
        self.outputs.push_back(Output::Begin(Box::new(Shape {
            grid: self.grid,
            tracks,
            captions: Vec::new(),
        })));
        self.state = State::Beginning(media);
        Ok(())
    }

    /// Every track is here, and still there is no beginning: two of them are told apart.
    fn not_begun(&mut self, track: usize) -> Result<(), Refusal> {
        let known = |track: &Track| Some((track.id.clone(), track.end?.seconds(), track.end?));
        let Some(ours) = self.tracks.get(track).and_then(known) else {
            return Ok(());
        };
        let others: Option<Vec<_>> = self.tracks.iter().map(known).collect();
        let far = |(_, _, end): &(_, f64, Moment)| ours.2.ns_since(*end).abs();
        let Some(other) = others.and_then(|others| others.into_iter().max_by_key(far)) else {
            return Ok(());
        };
        Err(Refusal::Clocks(ours.0, ours.1, other.0, other.1))
    }

    /// Puts a unit of the life that is under way where it belongs.
    fn place(&mut self, now: Instant, index: usize, held: Held) -> Result<Taken, Refusal> {
        let (State::Live(live), Some(track)) = (&mut self.state, self.tracks.get_mut(index)) else {
            return Ok(Taken::Dropped);
        };
        let grid = self.grid;
        let video = track.is_video();
        let end = track.end;
        if end.is_some_and(|end| held.at.ns_since(end) > half_unit(&held)) {
            track.lost = true;
            track.forget_keys();
        }
        if video && !track.keys(held.at, held.key, &grid)? {
            (track.end, track.lost) = (Some(held.end()), true);
            return Ok(Taken::Dropped);
        }
        let time = if video {
            frame(track, &live.line, &grid, &held)?
        } else {
            sound(track, &live.line, &grid, &held)
        };
        let Some(time) = time else {
            return Ok(Taken::Duplicate);
        };
        let pace = track.movie.as_ref().map(|movie| Pace::of(&codec(&movie.codec)));
        let step = pace.and_then(|pace| pace.step(&held.data)).unwrap_or(1);
        let next = time.saturating_add(u64::from(step));
        (track.end, track.next) = (Some(held.end()), Some(next));
        let cell_of = |time| {
            if video {
                grid.cell_of_frame(time)
            } else {
                grid.cell_of_sample(time)
            }
        };
        let cell = cell_of(time);
        if cell < track.open {
            track.lost = true;
            return Ok(Taken::Dropped);
        }
        // What follows a key frame inside a part that is incomplete could not be decoded without that part.
        if held.key && (!video || time == grid.first_frame(cell)) {
            track.lost = false;
        }
        let number = u16::try_from(index).unwrap_or(u16::MAX);
        close(track, number, cell, &mut self.outputs);
        let taken = if track.lost { Taken::Dropped } else { Taken::Used };
        if taken == Taken::Used {
            let unit = feed::Unit {
                track: number,
                time,
                key: held.key,
                data: held.data,
            };
            self.outputs.push_back(Output::Message(Message::Unit(unit)));
        }
        close(track, number, cell_of(next), &mut self.outputs);
        if let Some(closed) = track.open.0.checked_sub(1).map(Cell) {
            let known = live.waiting.back().map(|(cell, _)| *cell);
            if known.is_none_or(|known| known < closed) {
                live.waiting.push_back((closed, now));
            }
        }
        let slowest = self
            .tracks
            .iter()
            .map(|track| track.open)
            .min()
            .unwrap_or_default();
        while live.waiting.front().is_some_and(|(cell, _)| *cell < slowest) {
            live.waiting.pop_front();
        }
        Ok(taken)
    }
}

/// All cells before `until` are closed.
fn close(track: &mut Track, number: u16, until: Cell, outputs: &mut VecDeque<Output>) {
    if track.open < until {
        let last = Cell(until.0 - 1);
        outputs.push_back(Output::Message(Message::Watermark {
            track: number,
            cell: last,
        }));
        track.open = until;
    }
}

fn rate_of(track: &Track) -> Option<u32> {
    audio_rate(&track.movie.as_ref()?.codec)
}
