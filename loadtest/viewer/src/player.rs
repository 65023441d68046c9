//! One viewer: what it asks for, when, and what its picture does.

#[cfg(test)]
mod tests;
mod track;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::abr::{self, Estimator};
use crate::habit::{Habit, Kind, Patience, Verdict};
use crate::ladder::{ENTRIES_MAX, Ladder};
use crate::listing::{Listing, Micros, length};
use crate::playout::{Playout, State};
use crate::random::Random;

pub use crate::habit::Failure;
use track::{Choice, Track};

/// Most media loaded ahead of the picture: `maxBufferLength` of hls.js.
const AHEAD_MAX: Duration = Duration::from_secs(30);

/// What kind of viewer it is.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Path of the multivariant playlist.
    pub path: Arc<str>,
    /// How it asks and retries.
    pub habit: Habit,
    /// Whether it plays sound that is apart from the video.
    pub audio: bool,
    /// Rungs of a higher BANDWIDTH are not used.
    pub bandwidth_max: Option<u64>,
    /// Fastest rate at which it catches up; 1 is the default of hls.js.
    pub rate_max: f64,
    /// How long it waits for a picture before it leaves.
    pub patience: Duration,
    /// When it leaves in any case, since the beginning of the drill.
    pub leaves: Option<Duration>,
    /// How far behind the live edge it begins; none at the edge.
    pub rewind: Option<Duration>,
}

/// Video or sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The rung.
    Video,
    /// The audio rendition.
    Audio,
}

/// One request at a time in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The multivariant playlist.
    Ladder,
    /// A media playlist.
    Playlist(Lane),
    /// An init segment, segment or part.
    Media(Lane),
}

impl Slot {
    /// Every one, in the order of [`Slot::index`].
    pub const ALL: [Self; 5] = [
        Self::Ladder,
        Self::Playlist(Lane::Video),
        Self::Media(Lane::Video),
        Self::Playlist(Lane::Audio),
        Self::Media(Lane::Audio),
    ];

    /// Its place in [`Slot::ALL`].
    pub fn index(self) -> usize {
        match self {
            Self::Ladder => 0,
            Self::Playlist(Lane::Video) => 1,
            Self::Media(Lane::Video) => 2,
            Self::Playlist(Lane::Audio) => 3,
            Self::Media(Lane::Audio) => 4,
        }
    }

    /// What it carries.
    pub fn kind(self) -> Kind {
        match self {
            Self::Ladder => Kind::Ladder,
            Self::Playlist(_) => Kind::Playlist,
            Self::Media(_) => Kind::Media,
        }
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Where its answer goes.
    pub slot: Slot,
    /// Path and query.
    pub path: String,
    /// When it counts as failed.
    pub patience: Patience,
}

/// What a player wants or says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this request.
    Ask(Ask),
    /// Nobody waits for this slot's answer any more.
    Cancel(Slot),
    /// The picture began, after so long.
    Started(Duration),
    /// The picture froze.
    Stalled,
    /// The picture goes on.
    Resumed,
    /// Another rung is loaded from here on.
    Switched,
    /// The picture jumped over media that is no longer there.
    Skipped,
    /// The session is over.
    Left(End),
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// It stayed as long as it wanted.
    Satisfied,
    /// No picture came in time.
    Impatient,
    /// The stream ended.
    Over,
    /// What it needed failed, and there was nothing else to try.
    Failed(Kind, Failure),
}

/// What a session was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Score {
    /// From joining to the first picture.
    pub start: Option<Duration>,
    /// How long the picture moved.
    pub played: Duration,
    /// How long it was frozen after it began.
    pub stalled: Duration,
    /// How often.
    pub stalls: u32,
    /// Changes of rung.
    pub switches: u32,
    /// Jumps over media that was gone.
    pub skips: u32,
    /// Pieces that the playlist said never came.
    pub gaps: u32,
    /// Bytes of media.
    pub bytes: u64,
    /// Media loaded of the video, whatever rung.
    pub loaded: Duration,
    /// Sum over its pieces of BANDWIDTH times length: with `loaded`, the mean rung.
    pub bits: u64,
}

/// One viewer.
#[derive(Debug)]
pub struct Player {
    setup: Setup,
    random: Random,
    joined: Duration,
    ladder: Option<Arc<Ladder>>,
    ladder_tries: u32,
    ladder_retry: Option<Duration>,
    video: Track,
    audio: Option<Track>,
    rung: usize,
    /// Rungs that failed, a bit each.
    failed: u32,
    playout: Option<Playout>,
    estimator: Estimator,
    steady: Option<Duration>,
    score: Score,
    end: Option<End>,
    out: VecDeque<Output>,
}

const _: () = assert!(ENTRIES_MAX <= 32, "a bit of `failed` for each rung");

impl Player {
    /// Joins: asks for the multivariant playlist.
    pub fn join(setup: Setup, random: Random, now: Duration) -> Self {
        let mut player = Self {
            random,
            joined: now,
            ladder: None,
            ladder_tries: 0,
            ladder_retry: None,
            video: Track::new(Lane::Video),
            audio: None,
            rung: 0,
            failed: 0,
            playout: None,
            estimator: Estimator::default(),
            steady: None,
            score: Score::default(),
            end: None,
            out: VecDeque::new(),
            setup,
        };
        player.ask_ladder();
        player
    }

    /// What it wants or says next. To be drained after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        let next = self.out.pop_front();
        if next.is_none() {
            self.out = VecDeque::new();
        }
        next
    }

    /// When to call [`Player::tick`], if nothing else happens.
    pub fn deadline(&self) -> Option<Duration> {
        if self.end.is_some() {
            return None;
        }
        let impatient = self
            .score
            .start
            .is_none()
            .then(|| self.joined + self.setup.patience);
        let runs_out = self
            .playout
            .and_then(|playout| playout.runs_out(self.loaded_until()));
        let audio = self.audio.as_ref().and_then(Track::deadline);
        [
            impatient,
            self.setup.leaves,
            self.ladder_retry,
            runs_out,
            self.video.deadline(),
            audio,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) {
        if self.end.is_some() {
            return;
        }
        if self.setup.leaves.is_some_and(|at| at <= now) {
            return self.leave(now, End::Satisfied);
        }
        if self.score.start.is_none() && self.joined + self.setup.patience <= now {
            return self.leave(now, End::Impatient);
        }
        if self.ladder_retry.is_some_and(|at| at <= now) {
            self.ladder_retry = None;
            self.ask_ladder();
        }
        let habit = self.setup.habit;
        self.video.tick(now, habit, &mut self.out);
        if let Some(audio) = &mut self.audio {
            audio.tick(now, habit, &mut self.out);
        }
        self.settle(now);
    }

    /// The multivariant playlist came.
    pub fn ladder(&mut self, now: Duration, ladder: Arc<Ladder>) {
        if self.end.is_some() || self.ladder.is_some() {
            return;
        }
        let usable = ladder.under(self.setup.bandwidth_max);
        let rungs = ladder.rungs.get(..usable).unwrap_or_default();
        self.rung = abr::choose(rungs, self.estimator.bps(), None, Duration::ZERO, Duration::ZERO);
        let habit = self.setup.habit;
        if let Some(path) = ladder.paths.get(self.rung) {
            self.video.open(now, path.clone(), None, habit, &mut self.out);
        }
        if let Some(path) = ladder.audio.clone().filter(|_| self.setup.audio) {
            let mut audio = Track::new(Lane::Audio);
            audio.open(now, path, None, habit, &mut self.out);
            self.audio = Some(audio);
        }
        self.ladder = Some(ladder);
    }

    /// A media playlist came, whose answer said that it was so old (`Age`).
    pub fn listing(&mut self, now: Duration, lane: Lane, listing: Arc<Listing>, age: Duration) {
        if self.end.is_some() {
            return;
        }
        let habit = self.setup.habit;
        let Some(track) = track_of(lane, &mut self.video, &mut self.audio) else {
            return;
        };
        track.listed(now, listing, age, habit, &mut self.out);
        self.settle(now);
    }

    /// A delta update came that does not fit; the whole playlist is asked for (rfc8216bis §6.3.7).
    pub fn unmergeable(&mut self, now: Duration, lane: Lane) {
        if self.end.is_none()
            && let Some(track) = track_of(lane, &mut self.video, &mut self.audio)
        {
            track.ask_whole(now, self.setup.habit, &mut self.out);
        }
    }

    /// Media came: bytes, and how long the first and the last one took.
    pub fn media(&mut self, now: Duration, lane: Lane, bytes: u64, first_byte: Duration, whole: Duration) {
        if self.end.is_some() {
            return;
        }
        let Some(track) = track_of(lane, &mut self.video, &mut self.audio) else {
            return;
        };
        self.score.bytes += bytes;
        let piece = track.loaded();
        // hls.js samples what it calls the main playlist: neither sound that is apart, nor init segments.
        if lane == Lane::Video && !piece.is_zero() {
            self.estimator.sample(bytes, first_byte, whole);
            self.score.loaded += piece;
            self.score.bits += self.bits_of(piece);
            self.adapt(now, piece);
        }
        self.settle(now);
    }

    /// A request failed.
    pub fn fail(&mut self, now: Duration, slot: Slot, failure: Failure) {
        if self.end.is_some() {
            return;
        }
        let (kind, habit) = (slot.kind(), self.setup.habit);
        let (tries, lane) = match slot {
            Slot::Ladder => (&mut self.ladder_tries, None),
            Slot::Playlist(lane) | Slot::Media(lane) => {
                let Some(track) = track_of(lane, &mut self.video, &mut self.audio) else {
                    return;
                };
                (track.tries(kind), Some(lane))
            }
        };
        let verdict = habit.verdict(kind, failure, *tries, &mut self.random);
        *tries = tries.saturating_add(1);
        match (verdict, lane) {
            (Verdict::After(delay), None) => self.ladder_retry = Some(now + delay),
            (Verdict::After(delay), Some(lane)) => {
                if let Some(track) = track_of(lane, &mut self.video, &mut self.audio) {
                    track.retry(kind, now + delay);
                }
            }
            (Verdict::Elsewhere, Some(Lane::Video)) => self.elsewhere(now, kind, failure),
            (Verdict::Elsewhere, _) => self.leave(now, End::Failed(kind, failure)),
        }
        if self.deadline().is_some_and(|at| at <= now) {
            self.tick(now);
        }
    }

    /// Ends the session from outside.
    pub fn leave(&mut self, now: Duration, end: End) {
        if self.end.is_some() {
            return;
        }
        self.score = self.score(now);
        self.end = Some(end);
        self.out.push_back(Output::Left(end));
    }

    /// How it ended, once it has.
    pub fn ended(&self) -> Option<End> {
        self.end
    }

    /// What the picture does.
    pub fn state(&self) -> State {
        self.playout.map_or(State::Waiting, |playout| playout.state())
    }

    /// Media time on the screen, once there is a picture.
    pub fn position(&self, now: Duration) -> Option<Micros> {
        self.score.start?;
        self.playout.map(|playout| playout.position(now))
    }

    /// Since when everything that was listed has been here: media that became available later, and came late, came late
    /// to a viewer that was waiting for it.
    pub fn steady(&self) -> Option<Duration> {
        self.steady
    }

    /// The playlist that a delta update of this lane is merged into.
    pub fn previous(&self, lane: Lane) -> Option<&Arc<Listing>> {
        self.track(lane)?.previous()
    }

    /// Path of this lane's playlist.
    pub fn playlist(&self, lane: Lane) -> Option<&Arc<str>> {
        Some(self.track(lane)?.path())
    }

    /// What the session has been like.
    pub fn score(&self, now: Duration) -> Score {
        let Some(playout) = self.playout.filter(|_| self.end.is_none()) else {
            return self.score;
        };
        let (played, stalled) = (playout.played(now), playout.stalled(now));
        let gaps = self.video.gaps() + self.audio.as_ref().map_or(0, Track::gaps);
        Score {
            played,
            stalled,
            stalls: playout.stalls(),
            gaps,
            ..self.score
        }
    }

    fn track(&self, lane: Lane) -> Option<&Track> {
        match lane {
            Lane::Video => Some(&self.video),
            Lane::Audio => self.audio.as_ref(),
        }
    }

    fn ask_ladder(&mut self) {
        self.out.push_back(Output::Ask(Ask {
            slot: Slot::Ladder,
            path: self.setup.path.to_string(),
            patience: self.setup.habit.patience(Kind::Ladder),
        }));
    }

    fn bits_of(&self, piece: Duration) -> u64 {
        let rung = self
            .ladder
            .as_ref()
            .and_then(|ladder| ladder.rungs.get(self.rung));
        let millis = u64::try_from(piece.as_millis()).unwrap_or(0);
        rung.map_or(0, |rung| rung.average.saturating_mul(millis) / 1_000)
    }

    fn loaded_until(&self) -> Micros {
        let audio = self.audio.as_ref().map_or(Micros::MAX, Track::end);
        self.video.end().min(audio)
    }

    /// Another rung, where the network calls for it.
    fn adapt(&mut self, now: Duration, piece: Duration) {
        let Some(ladder) = self.ladder.clone() else {
            return;
        };
        let usable = ladder.under(self.setup.bandwidth_max);
        let rungs = ladder.rungs.get(..usable).unwrap_or_default();
        let position = self.playout.map_or(0, |playout| playout.position(now));
        let buffered = length(self.loaded_until().saturating_sub(position));
        let chosen = abr::choose(rungs, self.estimator.bps(), Some(self.rung), buffered, piece);
        if chosen != self.rung && self.failed & (1 << chosen) == 0 {
            self.switch(now, chosen);
        }
    }

    /// The rung has failed: the best of the others, or the end.
    fn elsewhere(&mut self, now: Duration, kind: Kind, failure: Failure) {
        self.failed |= 1 << self.rung;
        let usable = self
            .ladder
            .as_ref()
            .map_or(0, |ladder| ladder.under(self.setup.bandwidth_max));
        match (0..usable).rev().find(|rung| self.failed & (1 << rung) == 0) {
            Some(rung) => self.switch(now, rung),
            None => self.leave(now, End::Failed(kind, failure)),
        }
    }

    fn switch(&mut self, now: Duration, rung: usize) {
        let Some(path) = self
            .ladder
            .as_ref()
            .and_then(|ladder| ladder.paths.get(rung))
            .cloned()
        else {
            return;
        };
        self.rung = rung;
        self.score.switches += 1;
        self.steady = None;
        self.out.push_back(Output::Switched);
        let report = self.video.report(now, &path);
        self.video
            .open(now, path, report, self.setup.habit, &mut self.out);
    }

    /// Brings picture, rate and loading to where they belong.
    fn settle(&mut self, now: Duration) {
        self.begin(now);
        let Some(mut playout) = self.playout else {
            return;
        };
        let end = self.loaded_until();
        if self.video.is_over() && playout.position(now) >= end {
            return self.leave(now, End::Over);
        }
        match playout.advance(now, end) {
            Some(State::Playing) if self.score.start.is_none() => {
                let took = now.saturating_sub(self.joined);
                self.score.start = Some(took);
                self.out.push_back(Output::Started(took));
            }
            Some(State::Playing) => self.out.push_back(Output::Resumed),
            Some(State::Stalled) => {
                self.out.push_back(Output::Stalled);
                if playout.advance(now, end) == Some(State::Playing) {
                    self.out.push_back(Output::Resumed);
                }
            }
            Some(State::Waiting) | None => {}
        }
        let live = self.setup.rewind.is_none();
        if let Some((behind, target)) = self.video.behind(now, playout.position(now), playout.stalls())
            && live
        {
            let ahead = length(end.saturating_sub(playout.position(now)));
            playout.catch_up(now, behind, ahead, target, self.setup.rate_max);
        }
        self.playout = Some(playout);
        self.feed(now, Lane::Video);
        self.feed(now, Lane::Audio);
    }

    /// Chooses where to start, once the video's playlist is there.
    fn begin(&mut self, now: Duration) {
        if self.playout.is_none()
            && let Some(position) = self.video.start(self.setup.rewind)
        {
            self.playout = Some(Playout::new(position, now));
            self.video.seek(position);
        }
        if let (Some(playout), Some(audio)) = (&self.playout, &mut self.audio)
            && !audio.is_placed()
        {
            audio.seek(playout.position(now));
        }
    }

    /// Loads what comes next in a lane.
    fn feed(&mut self, now: Duration, lane: Lane) {
        let position = self.playout.map_or(0, |playout| playout.position(now));
        let Some(track) = track_of(lane, &mut self.video, &mut self.audio) else {
            return;
        };
        if track.is_busy(now) || length(track.end().saturating_sub(position)) > AHEAD_MAX {
            return;
        }
        match track.choose(self.setup.habit.hints()) {
            Choice::Ask(path) => self.out.push_back(Output::Ask(Ask {
                slot: Slot::Media(lane),
                path,
                patience: self.setup.habit.patience(Kind::Media),
            })),
            Choice::Edge(hint) => {
                if lane == Lane::Video && self.score.start.is_some() {
                    self.steady.get_or_insert(now);
                }
                if let Some(path) = hint {
                    self.out.push_back(Output::Ask(Ask {
                        slot: Slot::Media(lane),
                        path,
                        patience: self.setup.habit.patience(Kind::Media),
                    }));
                }
            }
            Choice::Jump(to) => self.jump(now, to),
            Choice::Nothing => {}
        }
    }

    /// What comes next is no longer there: the picture goes on behind the hole.
    fn jump(&mut self, now: Duration, to: Micros) {
        if self.score.start.is_some() {
            self.score.skips += 1;
            self.steady = None;
            self.out.push_back(Output::Skipped);
        }
        if let Some(playout) = &mut self.playout {
            playout.seek(now, to);
        }
        self.video.seek(to);
        if let Some(audio) = &mut self.audio {
            audio.seek(to);
        }
        // Behind a jump there is media, or nothing at all: this ends.
        self.feed(now, Lane::Video);
        self.feed(now, Lane::Audio);
    }
}

fn track_of<'a>(lane: Lane, video: &'a mut Track, audio: &'a mut Option<Track>) -> Option<&'a mut Track> {
    match lane {
        Lane::Video => Some(video),
        Lane::Audio => audio.as_mut(),
    }
}
