//! What a stream keeps while ladders come and go: its publishers, and what is shown of them.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use feed::Cue;
use hls::time::Grid;

use super::captions::Captions;
use super::state::State;
use crate::contribution::Contribution;
use crate::cues::Book;
use crate::desk::Role;
use crate::ladder::CHANNELS;
use crate::metrics::{Metrics, Source};
use crate::onair::{OnAir, Seen, Shown};
use crate::passage::Said;
use crate::sound;

/// What a stream keeps while ladders come and go: its publishers and what is shown of them.
#[derive(Debug)]
pub(crate) struct Mixer {
    /// Publishers that were let in; the newest of a role replaces the one before once it has a picture.
    pub(crate) newcomers: Receiver<(Role, Arc<Contribution>)>,
    pub(crate) on_air: OnAir,
    pub(crate) state: Arc<State>,
    /// Zero of the publishers' clock.
    pub(crate) origin: Instant,
    pub(super) inputs: [Input; 2],
    pub(super) shown: Option<Shown>,
    /// What encoders have said of breaks.
    pub(super) book: Book,
    /// What the one on air shows in writing.
    pub(super) captions: Captions,
}

/// One role's publisher.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) current: Option<Playing>,
    pub(super) next: Option<Arc<Contribution>>,
}

/// A publisher with a picture or a sound to give.
#[derive(Debug)]
pub(super) struct Playing {
    pub(super) contribution: Arc<Contribution>,
    /// One for each audio rendition.
    pub(super) readers: Vec<sound::Reader>,
    pub(super) shown: Option<gst::Buffer>,
}

impl Input {
    /// A newcomer with something to give: a picture, or sound where there is nobody else.
    pub(super) fn newcomer(&mut self, due: i64, sounds: usize) -> Option<Playing> {
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
    pub(super) fn tick(&mut self, due: i64, newcomer: Option<Playing>) -> Seen {
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
    pub(super) fn rewind(&mut self) {
        let readers = self.current.iter_mut().flat_map(|playing| &mut playing.readers);
        readers.for_each(|reader| *reader = sound::Reader::default());
    }

    pub(super) fn forget_if_gone(&mut self) {
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
            captions: Captions::default(),
        }
    }

    pub(super) fn admit(&mut self) {
        while let Ok((role, newcomer)) = self.newcomers.try_recv() {
            self.input(role).next = Some(newcomer);
        }
    }

    pub(super) fn input(&mut self, role: Role) -> &mut Input {
        role.of_mut(&mut self.inputs)
    }

    /// An instant on the publishers' clock, the only one that goes on over all ladders.
    pub(super) fn since_origin(&self, due: Instant) -> Duration {
        due.saturating_duration_since(self.origin)
    }

    /// The same in nanoseconds.
    pub(crate) fn on_clock(&self, due: Instant) -> i64 {
        nanos(self.since_origin(due))
    }

    /// What is news of what an encoder said that is passed on, and of breaks that end by themselves at frame `now`; and
    /// what operators ordered.
    pub(crate) fn book_in(&mut self, grid: &Grid, said: Vec<Said>, now: u64) -> Vec<Cue> {
        let book = |said: Said| self.book.take(grid, said.now, said.at, said.what);
        let mut told: Vec<Cue> = said.into_iter().flat_map(book).collect();
        told.extend(self.book.tick(now));
        told.extend(self.state.take_orders(grid, now));
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
    pub(super) fn on_air(&self) -> Option<&Arc<Contribution>> {
        let is_picture = |shown: &Shown| matches!(shown.source, Source::Contribution | Source::Hold);
        self.playing(self.shown.filter(is_picture)?.role)
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

pub(super) fn nanos(since: Duration) -> i64 {
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
