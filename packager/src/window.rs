//! The live window: what exists right now, as bytes that every answer shares.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use dashmap::DashMap;
use feed::{Cue, Hello, Unit};
use hls::id::{Cell, Epoch, Msn, StreamId, TrackId};
use hls::path::{Hash, KeyId};
use hls::reload::Position;
use hls::timeline::{Marked, Progress, Share};
use listen::playlist::{Form, Forms};
use tokio::sync::watch;

use crate::assemble::Taken;
use crate::cmafin::claims::Claims;
use crate::encryption::Rule;
use crate::machine::Machine;
use crate::metrics::Meter;
use crate::spool::{Job, Loaded, Shelf, Spool};
use crate::subtitles::{self, Library};
use crate::thumbnails::Taken as Pictured;

/// All streams this packager holds.
pub(crate) struct Streams {
    map: DashMap<StreamId, Arc<Stream>>,
    /// Where they are kept; none where nothing is.
    spool: Option<Arc<Spool>>,
    /// How all of them are encrypted.
    rule: Arc<Rule>,
    /// Subtitle tracks of all of them.
    library: Arc<Library>,
    /// Who sends them at the moment.
    pub(crate) claims: Arc<Claims>,
}

/// Why a feed is refused; said to the ingest in these words.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("epoch {got} is older than {known}: another ladder feeds this stream")]
    Epoch { got: Epoch, known: Epoch },
    #[error("this packager holds {0} streams already")]
    Full(usize),
    #[error("track {0} cannot be packaged: {1}")]
    Track(TrackId, cmaf::Error),
    #[error("AAC and Opus in one stream: its audio renditions have to be of one codec")]
    Sound,
    #[error("the stream's shape differs from the one it has in epoch {0}")]
    Shape(Epoch),
}

impl Streams {
    /// Streams of which nothing is kept.
    pub(crate) fn passing(rule: Arc<Rule>, library: Arc<Library>) -> Self {
        Self {
            map: DashMap::new(),
            spool: None,
            rule,
            library,
            claims: Arc::default(),
        }
    }

    /// Streams that are kept, and those that an earlier process has left.
    pub(crate) fn kept(
        spool: Arc<Spool>,
        loaded: Vec<Loaded>,
        window: Duration,
        (rule, library): (Arc<Rule>, Arc<Library>),
    ) -> Self {
        let map = DashMap::new();
        for loaded in loaded {
            let id = loaded.shelf.stream.clone();
            let subtitles = library.of(&id);
            let stream = Stream::new(id, Some(Arc::clone(&spool)), subtitles);
            if stream.restore(loaded, window, &rule).is_some() {
                map.insert(stream.id.clone(), Arc::new(stream));
            }
        }
        Self {
            map,
            spool: Some(spool),
            rule,
            library,
            claims: Arc::default(),
        }
    }

    /// Has what is published until now written. Blocks on the disk.
    pub(crate) fn stop(&self) {
        if let Some(spool) = &self.spool {
            spool.stop();
        }
    }

    pub(crate) fn get(&self, id: &StreamId) -> Option<Arc<Stream>> {
        self.map.get(id).map(|stream| Arc::clone(&stream))
    }

    /// A stream that will come: whoever asks for it waits, and is not told that there is none.
    pub(crate) fn expect(&self, id: &StreamId) {
        self.map
            .entry(id.clone())
            .or_insert_with(|| Arc::new(self.begin(id)));
    }

    /// The stream a feed may write to, and where it should go on.
    pub(crate) fn open(&self, hello: &Hello, window: Duration, max: usize) -> Result<Ticket, Refusal> {
        let known = self.get(&hello.stream);
        if known.is_none() && self.map.len() >= max {
            return Err(Refusal::Full(max));
        }
        let stream = known.unwrap_or_else(|| Arc::new(self.begin(&hello.stream)));
        let ticket = stream.open(hello, window, &self.rule)?;
        self.map.insert(hello.stream.clone(), stream);
        Ok(ticket)
    }

    fn begin(&self, id: &StreamId) -> Stream {
        Stream::new(id.clone(), self.spool.clone(), self.library.of(id))
    }
}

/// A feed's right to write to a stream until a newer feed takes over.
pub(crate) struct Ticket {
    pub(crate) stream: Arc<Stream>,
    pub(crate) generation: u64,
    pub(crate) resume: Cell,
}

/// How far a stream has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Last {
    pub(crate) epoch: Epoch,
    /// None before anything was published.
    pub(crate) newest: Option<Cell>,
    pub(crate) discontinuity: u64,
}

/// One stream's window.
pub(crate) struct Stream {
    /// Guards what feeds write; never held while anyone is woken or awaited.
    machine: Mutex<Option<Machine>>,
    /// Bytes by cell, one place per track. Written on publication, read for every part that is served.
    cells: RwLock<BTreeMap<Cell, Published>>,
    view: watch::Sender<Arc<View>>,
    /// What date ranges are dated by, for delta updates.
    started: Instant,
    meter: Meter,
    id: StreamId,
    spool: Option<Arc<Spool>>,
    /// The event that is kept now.
    shelf: RwLock<Option<Arc<Shelf>>>,
    pub(crate) subtitles: Vec<subtitles::Track>,
}

/// What each track has of a cell.
type Shares = Vec<(Share, Option<Bytes>)>;

struct Published {
    available_us: u64,
    parts: Vec<Option<Bytes>>,
}

/// A stream as it was after a publication. Never changes, so it is shared.
#[derive(Default)]
pub(crate) struct View {
    /// Where the playlists end; `None` before the first publication.
    pub(crate) position: Option<Position>,
    pub(crate) newest: Cell,
    /// When the newest cell was published, microseconds of Unix time.
    pub(crate) available_us: u64,
    pub(crate) multivariant: Form,
    pub(crate) tracks: Vec<Track>,
    pub(crate) subtitles: Vec<Text>,
    /// Content keys of all tracks, where they are served.
    pub(crate) keys: Vec<(KeyId, Bytes)>,
}

/// One track in a [`View`].
#[derive(Debug, Clone)]
pub(crate) struct Track {
    pub(crate) id: TrackId,
    pub(crate) video: bool,
    /// Init segments of all ladders whose parts are still served.
    pub(crate) inits: Vec<(Hash, Bytes)>,
    /// RFC 9218 urgency of its media.
    pub(crate) urgency: u8,
    pub(crate) playlist: Forms,
}

/// A subtitle track in a [`View`]; its segments are made when they are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) id: TrackId,
    pub(crate) playlist: Forms,
}

impl Track {
    pub(crate) fn init(&self, hash: Hash) -> Option<&Bytes> {
        let (_, bytes) = self.inits.iter().find(|(known, _)| *known == hash)?;
        Some(bytes)
    }
}

impl View {
    pub(crate) fn track(&self, id: &TrackId) -> Option<(usize, &Track)> {
        self.tracks.iter().enumerate().find(|(_, track)| track.id == *id)
    }

    /// A track's playlist, where it ends, and a number that tells its version from others.
    pub(crate) fn listed(&self, id: &TrackId) -> Option<(Position, &Forms, Cell)> {
        let position = self.position?;
        if let Some((_, track)) = self.track(id) {
            return Some((position, &track.playlist, self.newest));
        }
        let text = self.subtitles.iter().find(|text| text.id == *id)?;
        let position = position.without_parts();
        // A stream that ends may have no newer segment to show for it.
        let version = position.last.0 * 2 + u64::from(position.ended);
        Some((position, &text.playlist, Cell(version)))
    }
}

impl Stream {
    fn new(id: StreamId, spool: Option<Arc<Spool>>, subtitles: Vec<subtitles::Track>) -> Self {
        Self {
            machine: Mutex::default(),
            cells: RwLock::default(),
            view: watch::Sender::default(),
            started: Instant::now(),
            meter: Meter::new(),
            id,
            spool,
            shelf: RwLock::default(),
            subtitles,
        }
    }

    /// Goes on where an earlier process ended: served from now on, and fed from the next cell.
    fn restore(&self, loaded: Loaded, window: Duration, rule: &Arc<Rule>) -> Option<()> {
        let machine = Machine::restored(&loaded, window, Arc::clone(rule))?;
        let mut machine = self.subtitled(machine);
        let newest = machine.newest()?;
        let mut available = 0;
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        for (cell, (available_us, parts)) in loaded.parts {
            available = available_us;
            if cell >= machine.retained() {
                cells.insert(cell, Published { available_us, parts });
            }
        }
        drop(cells);
        let at = self.started.elapsed();
        self.show(machine.view(newest, available, at), &machine);
        *self.shelf.write().unwrap_or_else(PoisonError::into_inner) = Some(loaded.shelf);
        *self.lock() = Some(machine);
        Some(())
    }

    /// A published segment of a subtitle track, while its media may still be fetched.
    pub(crate) fn text(&self, id: &TrackId, msn: Msn) -> Option<String> {
        let track = self.subtitle(id)?;
        let is_held = {
            let machine = self.lock();
            let machine = machine.as_ref()?;
            machine.shape().grid.msn(machine.retained()) <= msn
        };
        let is_kept = || self.shelf().is_some_and(|shelf| shelf.has_any(msn));
        (is_held || is_kept()).then(|| track.segment(msn))?
    }

    pub(crate) fn subtitle(&self, id: &TrackId) -> Option<&subtitles::Track> {
        self.subtitles.iter().find(|track| track.rendition.track == *id)
    }

    /// The same machine with the stream's subtitle tracks.
    fn subtitled(&self, machine: Machine) -> Machine {
        let fed = machine.shape().tracks.iter().map(|track| &track.id);
        let announced = subtitles::announced(&self.subtitles, fed);
        if announced.len() < self.subtitles.len() {
            tracing::warn!(stream = %self.id, "a track of the feed is called like a subtitle track, which is left out");
        }
        machine.subtitled(announced)
    }

    /// What subtitles say of a segment is settled before anybody can know of it.
    fn show(&self, view: View, machine: &Machine) {
        if let Some(whole) = machine.whole() {
            let grid = machine.shape().grid;
            self.subtitles
                .iter()
                .for_each(|track| track.publish(whole, &grid));
        }
        self.view.send_replace(Arc::new(view));
    }

    /// The event as it is on disk; none where nothing is kept.
    pub(crate) fn shelf(&self) -> Option<Arc<Shelf>> {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same, if it is of the stream as it is now and not as it was before it began anew.
    fn shelf_of(&self, machine: &Machine) -> Option<Arc<Shelf>> {
        self.shelf().filter(|shelf| shelf.event == machine.opening())
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    /// How far it has come, for a life that follows.
    pub(crate) fn last(&self) -> Option<Last> {
        let machine = self.lock();
        machine.as_ref().map(Machine::last)
    }

    /// A part's bytes and when it was published.
    pub(crate) fn part(&self, track: usize, cell: Cell) -> Option<(Bytes, u64)> {
        let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
        let published = cells.get(&cell)?;
        let bytes = published.parts.get(track)?.clone()?;
        Some((bytes, published.available_us))
    }

    /// A segment's parts in order; `None` unless all of them are held and it is whole.
    pub(crate) fn segment(&self, track: usize, msn: Msn) -> Option<(Vec<Bytes>, u64)> {
        let (range, joiner) = {
            let machine = self.lock();
            let machine = machine.as_ref()?;
            (machine.segment(msn)?, machine.joiner(msn))
        };
        let parts: Option<Vec<_>> = range.map(|cell| self.part(track, Cell(cell))).collect();
        let parts = parts.filter(|parts| !parts.is_empty())?;
        let available = parts.iter().map(|(_, at)| *at).max()?;
        let parts = joiner.join(parts.into_iter().map(|(bytes, _)| bytes).collect())?;
        Some((parts, available))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Machine>> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(self: &Arc<Self>, hello: &Hello, window: Duration, rule: &Arc<Rule>) -> Result<Ticket, Refusal> {
        let mut machine = self.lock();
        let generation = machine.as_ref().map_or(0, |machine| machine.generation + 1);
        match machine.as_mut() {
            Some(known) if hello.epoch < known.epoch() => {
                return Err(Refusal::Epoch {
                    got: hello.epoch,
                    known: known.epoch(),
                });
            }
            Some(known) if hello.epoch == known.epoch() => {
                if *known.shape() != hello.shape {
                    return Err(Refusal::Shape(known.epoch()));
                }
                known.generation = generation;
            }
            Some(known) if known.goes_on_with(hello) => {
                known.take_over(hello, generation)?;
                self.meter.takeovers.increment(1);
            }
            Some(_) | None => {
                let new = Machine::new(hello, window, generation, Arc::clone(rule))?;
                *machine = Some(self.subtitled(new));
            }
        }
        let resume = machine.as_mut().map(Machine::resume).unwrap_or_default();
        Ok(Ticket {
            stream: Arc::clone(self),
            generation,
            resume,
        })
    }

    /// Runs `change` for the feed that holds the stream; false once a newer feed has taken over.
    fn change(&self, generation: u64, change: impl FnOnce(&mut Machine) -> Progress) -> bool {
        let since = Instant::now();
        let mut machine = self.lock();
        let Some(machine) = machine
            .as_mut()
            .filter(|machine| machine.generation == generation)
        else {
            return false;
        };
        if let Progress::Published { first, last } = change(machine) {
            self.publish(machine, first, last);
            self.meter.publish.record(since.elapsed());
        }
        true
    }

    pub(crate) fn unit(&self, generation: u64, unit: Unit) -> bool {
        self.change(generation, |machine| {
            if machine.unit(unit) == Taken::OutOfPlace {
                self.meter.dropped.increment(1);
            }
            Progress::Waiting
        })
    }

    pub(crate) fn watermark(&self, generation: u64, track: u16, cell: Cell) -> bool {
        self.change(generation, |machine| {
            machine.close(track, |assembler| assembler.watermark(cell))
        })
    }

    pub(crate) fn gap(&self, generation: u64, track: u16, cell: Cell) -> bool {
        self.change(generation, |machine| {
            machine.close(track, |assembler| assembler.gap(cell))
        })
    }

    /// What happens in the programme.
    pub(crate) fn cue(&self, generation: u64, cue: &Cue) -> bool {
        self.change(generation, |machine| {
            match machine.cue(cue) {
                Marked::Listed => self.meter.cues.increment(1),
                Marked::Refused => {
                    self.meter.cues_refused.increment(1);
                    tracing::warn!(
                        id = cue.id,
                        "cue refused: no break of its id, too late to cancel, or too many date ranges"
                    );
                }
                Marked::Known => {}
            }
            Progress::Waiting
        })
    }

    /// What a cell shows, small.
    pub(crate) fn thumbnail(&self, generation: u64, cell: Cell, jpeg: Bytes) -> bool {
        self.change(generation, |machine| {
            let shelf = self.shelf_of(machine);
            let is_kept = |msn| shelf.is_some_and(|shelf| shelf.is_pictured(msn));
            match machine.picture(cell, jpeg, is_kept) {
                Pictured::Shown => self.meter.thumbnails.increment(1),
                Pictured::Superfluous => {}
                Pictured::Refused => self.meter.thumbnails_refused.increment(1),
            }
            Progress::Waiting
        })
    }

    /// The thumbnail track of what can be rewound to: of the recording where one `is_offered`, else of the live window.
    pub(crate) fn thumbnails(&self, is_offered: bool) -> Option<String> {
        let machine = self.lock();
        let machine = machine.as_ref()?;
        let shelf = self.shelf_of(machine).filter(|_| is_offered);
        let grid = machine.shape().grid;
        let (first, zero) = shelf.as_ref().and_then(|shelf| shelf.start()).unwrap_or_else(|| {
            let first = machine.first_listed();
            (first, hls::thumbnails::begin(&grid, first))
        });
        let listed = first..=machine.whole()?;
        let mut msns = shelf.map(|shelf| shelf.pictures()).unwrap_or_default();
        msns.extend(machine.pictures());
        let msns = msns.into_iter().filter(|msn| listed.contains(msn));
        Some(hls::thumbnails::track(&grid, zero, msns))
    }

    /// A picture that is not only on disk.
    pub(crate) fn picture(&self, msn: Msn) -> Option<Bytes> {
        self.lock().as_ref()?.pictured(msn)
    }

    /// The event is over.
    pub(crate) fn end(&self, generation: u64) -> bool {
        self.change(generation, Machine::end)
    }

    fn publish(&self, machine: &mut Machine, first: Cell, last: Cell) {
        let available_us = unix_us();
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        let mut published = Vec::new();
        for cell in (first.0..=last.0).map(Cell) {
            if let Some(shares) = machine.staged(cell) {
                let parts: Vec<_> = shares.iter().map(|(_, bytes)| bytes.clone()).collect();
                let gaps = parts.iter().filter(|part| part.is_none()).count() as u64;
                self.meter.parts.increment(parts.len() as u64 - gaps);
                self.meter.gaps.increment(gaps);
                cells.insert(cell, Published { available_us, parts });
                published.push((cell, shares));
            }
        }
        let keep = machine.retain();
        *cells = cells.split_off(&keep);
        let held: usize = cells
            .values()
            .flat_map(|cell| &cell.parts)
            .flatten()
            .map(Bytes::len)
            .sum();
        drop(cells);
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        self.meter.window_bytes.set(held as f64);
        let at = self.started.elapsed();
        self.show(machine.view(last, available_us, at), machine);
        self.keep(machine, published, available_us);
    }

    /// Hands what is published to the spool, which may leave it out.
    fn keep(&self, machine: &mut Machine, published: Vec<(Cell, Shares)>, available_us: u64) {
        let (Some(spool), Some(life)) = (&self.spool, machine.life().cloned()) else {
            return;
        };
        let shelf = self.shelf_of(machine).unwrap_or_else(|| {
            let shelf = spool.shelf(&self.id, machine.opening());
            *self.shelf.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&shelf));
            shelf
        });
        for (cell, parts) in published {
            let job = Job {
                shelf: Arc::clone(&shelf),
                life: Arc::clone(&life),
                seal: machine.seal(cell),
                cues: machine.take_cues(),
                pictures: machine.take_pictures(),
                cell,
                available_us,
                parts,
            };
            if let Err(cues) = spool.keep(job) {
                machine.give_back(cues);
            }
        }
        if machine.is_ended() {
            shelf.end();
            spool.look();
        }
    }
}

pub(crate) fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
