//! One stream that an encoder sends: its machine, the right to the stream, and the window it writes to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cmaf::push::{Event, Movie};
use feed::message::PROTOCOL;
use feed::{Hello, Message, Shape};
use hls::id::{Cell, Epoch, TrackId};
use hls::time::{Grid, GridError, PROGRAM_EPOCH_UNIX};
use tokio_util::sync::CancellationToken;

use super::claims::{Claim, Source};
use super::config::{KeyHash, Stream};
use super::machine::{Machine, Output, Sender, Taken};
use super::refusal::Refusal;
use crate::config::{Cmaf, Feed};
use crate::metrics::CmafMeter;
use crate::window::{Streams, Ticket, unix_us};

/// Bodies of one track at once: two encoders that send the same. A further one ends the oldest, which nobody may be at
/// any more.
const BODIES_MAX: usize = 2;

/// A stream that may be sent.
pub(super) struct Session {
    pub(super) config: Stream,
    limits: Limits,
    streams: Arc<Streams>,
    meter: CmafMeter,
    /// Never held while anyone is woken or awaited.
    inner: Mutex<Inner>,
}

struct Limits {
    idle: Duration,
    window: Duration,
    streams_max: usize,
}

struct Inner {
    machine: Machine,
    ticket: Option<Ticket>,
    /// Held from the first body on, until none has been here for [`Limits::idle`].
    claim: Option<Claim>,
    quiet_since: Option<Instant>,
    requests: u64,
    /// Bodies under way, oldest first, one list per track.
    bodies: Vec<VecDeque<(u64, CancellationToken)>>,
}

/// One body under way.
pub(super) struct Sending {
    session: Arc<Session>,
    track: usize,
    sender: Sender,
    movie: Option<Arc<Movie>>,
    /// Cancelled when newer ones take its place.
    pub(super) replaced: CancellationToken,
}

impl Session {
    pub(super) fn new(
        config: Stream,
        cmaf: &Cmaf,
        feed: &Feed,
        streams: Arc<Streams>,
        meter: CmafMeter,
    ) -> Result<Self, GridError> {
        let inner = Inner {
            machine: Machine::new(&config, cmaf.late())?,
            ticket: None,
            claim: None,
            quiet_since: None,
            requests: 0,
            bodies: vec![VecDeque::new(); config.tracks.len()],
        };
        let limits = Limits {
            idle: cmaf.idle(),
            window: feed.window(),
            streams_max: feed.streams_max,
        };
        Ok(Self {
            config,
            limits,
            streams,
            meter,
            inner: Mutex::new(inner),
        })
    }

    pub(super) fn keys(&self) -> &[KeyHash] {
        &self.config.keys_sha256
    }

    /// A track's place.
    pub(super) fn track(&self, id: &TrackId) -> Option<usize> {
        self.config.tracks.iter().position(|track| track.id == *id)
    }

    /// A body begins.
    pub(super) fn open(self: &Arc<Self>, track: usize) -> Result<Sending, Refusal> {
        let mut guard = self.lock();
        let inner = &mut *guard;
        if inner.claim.is_none() {
            let claim = self.streams.claims.claim(&self.config.id, Source::Cmaf);
            inner.claim = Some(claim.map_err(|taken| Refusal::Conflict(taken.to_string()))?);
        }
        inner.quiet_since = None;
        inner.requests += 1;
        let (request, replaced) = (inner.requests, CancellationToken::new());
        if let Some(bodies) = inner.bodies.get_mut(track) {
            bodies.push_back((request, replaced.clone()));
            if bodies.len() > BODIES_MAX
                && let Some((_, oldest)) = bodies.pop_front()
            {
                self.meter.replaced.increment(1);
                oldest.cancel();
            }
        }
        Ok(Sending {
            session: Arc::clone(self),
            track,
            sender: Sender { request, life: None },
            movie: inner.machine.movie(track),
            replaced,
        })
    }

    /// What is due by now.
    pub(super) fn tick(&self, now: Instant) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        if inner.machine.deadline().is_some_and(|deadline| deadline <= now) {
            inner.machine.tick(now);
            if let Err(refused) = self.drain(inner, now) {
                tracing::warn!(stream = %self.config.id, error = %refused, "CMAF stream lost");
            }
        }
        let quiet = |since: &Instant| now.saturating_duration_since(*since) >= self.limits.idle;
        if inner.quiet_since.as_ref().is_some_and(quiet) {
            (inner.claim, inner.quiet_since) = (None, None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what the machine has asked for.
    fn drain(&self, inner: &mut Inner, now: Instant) -> Result<(), Refusal> {
        while let Some(output) = inner.machine.poll() {
            match output {
                Output::Begin(shape) => match self.begin(*shape) {
                    Ok((ticket, first)) => {
                        self.meter.lives.increment(1);
                        tracing::info!(stream = %self.config.id, cell = %first, "CMAF stream begins");
                        inner.ticket = Some(ticket);
                        inner.machine.begun(now, first);
                    }
                    Err(refused) => {
                        inner.machine.refused();
                        return Err(refused);
                    }
                },
                Output::Message(message) => {
                    let taken = inner.ticket.as_ref().is_some_and(|ticket| give(ticket, message));
                    if !taken {
                        inner.machine.refused();
                        return Err(Refusal::Conflict("this stream was taken over".to_owned()));
                    }
                }
            }
        }
        Ok(())
    }

    /// Opens the stream for another life, as late as everything that is published already.
    fn begin(&self, shape: Shape) -> Result<(Ticket, Cell), Refusal> {
        let known = self.streams.get(&self.config.id).and_then(|stream| stream.last());
        let grid = &shape.grid;
        let wall = Duration::from_micros(unix_us()).saturating_sub(Duration::from_secs(PROGRAM_EPOCH_UNIX));
        let mut first = grid.cell_of_frame(grid.frame_at(wall)).next();
        let mut discontinuity = 0;
        if let Some(last) = known {
            first = first.max(Cell(last.epoch.0).next());
            if let Some(newest) = last.newest {
                first = first.max(grid.first_cell(grid.msn(newest).next()));
            }
            discontinuity = last.discontinuity.saturating_add(1);
        }
        let first = gop_from(grid, first);
        let hello = Hello {
            protocol: PROTOCOL,
            stream: self.config.id.clone(),
            epoch: Epoch(first.0),
            discontinuity,
            shape,
            mac: [0; 32],
        };
        let opened = self
            .streams
            .open(&hello, self.limits.window, self.limits.streams_max);
        let ticket = opened.map_err(|refusal| Refusal::Conflict(refusal.to_string()))?;
        Ok((ticket, first))
    }
}

/// The first cell from this one on in which a key frame is due.
fn gop_from(grid: &Grid, cell: Cell) -> Cell {
    Cell(cell.0.next_multiple_of(u64::from(grid.gop_parts())))
}

/// The same as a feed's message; false once somebody else has the stream.
fn give(ticket: &Ticket, message: Message) -> bool {
    let (stream, generation) = (&ticket.stream, ticket.generation);
    match message {
        Message::Unit(unit) => stream.unit(generation, unit),
        Message::Watermark { track, cell } => stream.watermark(generation, track, cell),
        Message::Gap { track, cell } => stream.gap(generation, track, cell),
        Message::Cue(cue) => stream.cue(generation, &cue),
        Message::End => stream.end(generation),
        Message::Thumbnail { cell, jpeg } => stream.thumbnail(generation, cell, jpeg),
        Message::Challenge(_) | Message::Hello(_) | Message::Resume(_) | Message::Refuse(_) => true,
    }
}

impl Sending {
    /// The init segment that came before this body.
    pub(super) fn movie(&self) -> Option<Arc<Movie>> {
        self.movie.clone()
    }

    /// What the body held.
    pub(super) fn event(&mut self, now: Instant, event: Event) -> Result<(), Refusal> {
        let session = Arc::clone(&self.session);
        let mut guard = session.lock();
        let inner = &mut *guard;
        match event {
            Event::Init(movie) => {
                let feed = super::track::codec(&movie.codec);
                check(&session.config, self.track, &movie)?;
                tracing::debug!(stream = %session.config.id, track = self.track, ?feed, "init segment");
                inner.machine.init(now, self.track, &movie)?;
                self.movie = Some(movie);
            }
            Event::Unit(unit) => {
                let scale = self.movie.as_ref().map_or(1, |movie| movie.timescale);
                let taken = inner
                    .machine
                    .unit(now, self.track, &mut self.sender, scale, unit)?;
                session.meter.took(taken);
            }
            Event::Last => inner.machine.last(self.track),
        }
        session.drain(inner, now)
    }

    /// The body is over.
    pub(super) fn finish(&self, now: Instant) -> Result<(), Refusal> {
        let mut guard = self.session.lock();
        guard.machine.over(self.track);
        self.session.drain(&mut guard, now)
    }
}

/// Whether a track can be packaged at all, by what packages it.
fn check(config: &Stream, track: usize, movie: &Movie) -> Result<(), Refusal> {
    let name = || config.tracks.get(track).map(|track| track.id.clone());
    let made = movie
        .codec
        .name()
        .and_then(|_| cmaf::Init::new(&movie.codec, movie_scale(movie), None));
    match (made, name()) {
        (Err(error), Some(id)) => Err(Refusal::Track(id, error.to_string())),
        (Ok(_) | Err(_), _) => Ok(()),
    }
}

/// The timescale that our own init segment would have, as far as a track alone can tell.
fn movie_scale(movie: &Movie) -> u32 {
    super::track::audio_rate(&movie.codec).unwrap_or(movie.timescale)
}

impl Drop for Sending {
    fn drop(&mut self) {
        let mut inner = self.session.lock();
        if let Some(bodies) = inner.bodies.get_mut(self.track) {
            bodies.retain(|(request, _)| *request != self.sender.request);
        }
        if inner.bodies.iter().all(VecDeque::is_empty) {
            inner.quiet_since = Some(Instant::now());
        }
    }
}

impl CmafMeter {
    fn took(&self, taken: Taken) {
        match taken {
            Taken::Used => self.units.increment(1),
            Taken::Duplicate => self.duplicates.increment(1),
            Taken::Dropped => self.dropped.increment(1),
        }
    }
}
