//! The live window: what exists right now, as bytes that every answer shares.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use dashmap::DashMap;
use feed::{Codec, Hello, Shape, Unit};
use hls::id::{Cell, Epoch, Msn, StreamId, TrackId};
use hls::path::{Hash, Object};
use hls::playlist::{Audio, Multivariant, Variant};
use hls::reload::Position;
use hls::timeline::{Config, Error, Progress, Timeline};
use tokio::sync::watch;

use crate::assemble::{Assembler, Finished, Taken, init};
use crate::metrics::Meter;

/// All streams this packager holds.
#[derive(Default)]
pub(crate) struct Streams(DashMap<StreamId, Arc<Stream>>);

/// Why a feed is refused; said to the ingest in these words.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("epoch {got} is older than {known}: another ladder feeds this stream")]
    Epoch { got: Epoch, known: Epoch },
    #[error("this packager holds {0} streams already")]
    Full(usize),
    #[error("track {0} cannot be packaged: {1}")]
    Track(TrackId, cmaf::Error),
    #[error("the stream's shape differs from the one it has in epoch {0}")]
    Shape(Epoch),
}

impl Streams {
    pub(crate) fn get(&self, id: &StreamId) -> Option<Arc<Stream>> {
        self.0.get(id).map(|stream| Arc::clone(&stream))
    }

    /// The stream a feed may write to, and where it should go on.
    pub(crate) fn open(&self, hello: &Hello, window: Duration, max: usize) -> Result<Ticket, Refusal> {
        let known = self.get(&hello.stream);
        if known.is_none() && self.0.len() >= max {
            return Err(Refusal::Full(max));
        }
        let stream = known.unwrap_or_else(|| Arc::new(Stream::new()));
        let ticket = stream.open(hello, window)?;
        self.0.insert(hello.stream.clone(), stream);
        Ok(ticket)
    }
}

/// A feed's right to write to a stream until a newer feed takes over.
pub(crate) struct Ticket {
    pub(crate) stream: Arc<Stream>,
    pub(crate) generation: u64,
    pub(crate) resume: Cell,
}

/// One stream's window.
pub(crate) struct Stream {
    /// Guards what feeds write; never held while anyone is woken or awaited.
    machine: Mutex<Option<Machine>>,
    /// Bytes by cell, one place per track. Written on publication, read for every part that is served.
    cells: RwLock<BTreeMap<Cell, Published>>,
    view: watch::Sender<Arc<View>>,
    meter: Meter,
}

struct Published {
    available_us: u64,
    parts: Vec<Option<Bytes>>,
}

/// A stream as it was after a publication. Never changes, so it is shared.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// Where the playlists end; `None` before the first publication.
    pub(crate) position: Option<Position>,
    pub(crate) newest: Cell,
    /// When the newest cell was published, microseconds of Unix time.
    pub(crate) available_us: u64,
    pub(crate) multivariant: Bytes,
    pub(crate) tracks: Vec<Track>,
}

/// One track in a [`View`].
#[derive(Debug, Clone)]
pub(crate) struct Track {
    pub(crate) id: TrackId,
    pub(crate) video: bool,
    pub(crate) init: (Hash, Bytes),
    pub(crate) playlist: Bytes,
}

impl View {
    pub(crate) fn track(&self, id: &TrackId) -> Option<(usize, &Track)> {
        self.tracks.iter().enumerate().find(|(_, track)| track.id == *id)
    }
}

/// What only feeds touch.
struct Machine {
    epoch: Epoch,
    generation: u64,
    shape: Shape,
    timeline: Timeline,
    assemblers: Vec<Assembler>,
    /// Bytes of cells that other tracks have yet to deliver.
    staged: BTreeMap<Cell, Vec<Option<Bytes>>>,
    multivariant: Bytes,
    tracks: Vec<Track>,
    /// When the last cell was completed.
    completed: Instant,
}

impl Stream {
    fn new() -> Self {
        Self {
            machine: Mutex::default(),
            cells: RwLock::default(),
            view: watch::Sender::default(),
            meter: Meter::new(),
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
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
        let range = {
            let machine = self.lock();
            let timeline = &machine.as_ref()?.timeline;
            let whole = timeline.position()?.whole?;
            (msn <= whole).then(|| timeline.segment_cells(msn))?
        };
        let parts: Option<Vec<_>> = range.map(|cell| self.part(track, Cell(cell))).collect();
        let parts = parts.filter(|parts| !parts.is_empty())?;
        let available = parts.iter().map(|(_, at)| *at).max()?;
        Some((parts.into_iter().map(|(bytes, _)| bytes).collect(), available))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Machine>> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(self: &Arc<Self>, hello: &Hello, window: Duration) -> Result<Ticket, Refusal> {
        let mut machine = self.lock();
        let generation = machine.as_ref().map_or(0, |machine| machine.generation + 1);
        match machine.as_mut() {
            Some(known) if hello.epoch < known.epoch => {
                return Err(Refusal::Epoch { got: hello.epoch, known: known.epoch });
            }
            Some(known) if hello.epoch == known.epoch => {
                if known.shape != hello.shape {
                    return Err(Refusal::Shape(known.epoch));
                }
                known.generation = generation;
            }
            Some(_) | None => *machine = Some(Machine::new(hello, window, generation)?),
        }
        let resume = machine.as_mut().map_or(Cell(hello.epoch.0), Machine::resume);
        Ok(Ticket { stream: Arc::clone(self), generation, resume })
    }

    /// Runs `change` for the feed that holds the stream; false once a newer feed has taken over.
    fn change(&self, generation: u64, change: impl FnOnce(&mut Machine) -> Progress) -> bool {
        let mut machine = self.lock();
        let Some(machine) = machine.as_mut().filter(|machine| machine.generation == generation) else {
            return false;
        };
        if let Progress::Published { first, last } = change(machine) {
            self.publish(machine, first, last);
        }
        true
    }

    pub(crate) fn unit(&self, generation: u64, unit: Unit) -> bool {
        self.change(generation, |machine| {
            let taken = machine.assemblers.get_mut(usize::from(unit.track)).map(|track| track.unit(unit));
            if taken != Some(Taken::Held) {
                self.meter.dropped.increment(1);
            }
            Progress::Waiting
        })
    }

    pub(crate) fn watermark(&self, generation: u64, track: u16, cell: Cell) -> bool {
        self.change(generation, |machine| machine.close(track, |assembler| assembler.watermark(cell)))
    }

    pub(crate) fn gap(&self, generation: u64, track: u16, cell: Cell) -> bool {
        self.change(generation, |machine| machine.close(track, |assembler| assembler.gap(cell)))
    }

    /// The event is over.
    pub(crate) fn end(&self, generation: u64) -> bool {
        self.change(generation, |machine| {
            machine.timeline.end();
            match machine.timeline.newest() {
                Some(cell) => Progress::Published { first: cell, last: cell },
                None => Progress::Waiting,
            }
        })
    }

    fn publish(&self, machine: &mut Machine, first: Cell, last: Cell) {
        let available_us = unix_us();
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        for cell in (first.0..=last.0).map(Cell) {
            if let Some(parts) = machine.staged.remove(&cell) {
                let gaps = parts.iter().filter(|part| part.is_none()).count() as u64;
                self.meter.parts.increment(parts.len() as u64 - gaps);
                self.meter.gaps.increment(gaps);
                cells.insert(cell, Published { available_us, parts });
            }
        }
        let keep = machine.retained();
        *cells = cells.split_off(&keep);
        let held: usize = cells.values().flat_map(|cell| &cell.parts).flatten().map(Bytes::len).sum();
        drop(cells);
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        self.meter.window_bytes.set(held as f64);
        self.view.send_replace(Arc::new(machine.view(last, available_us)));
        self.meter.publish.record(machine.completed.elapsed());
    }
}

impl Machine {
    fn new(hello: &Hello, window: Duration, generation: u64) -> Result<Self, Refusal> {
        let grid = hello.shape.grid;
        let first = Cell(hello.epoch.0);
        let mut tracks = Vec::with_capacity(hello.shape.tracks.len());
        let mut codecs = Vec::with_capacity(hello.shape.tracks.len());
        for track in &hello.shape.tracks {
            let refused = |error| Refusal::Track(track.id.clone(), error);
            let (codec, init) = init(track, &grid).map_err(refused)?;
            codecs.push(codec.name().map_err(refused)?);
            let init = (init.hash, init.bytes);
            tracks.push(Track { id: track.id.clone(), video: track.is_video(), init, playlist: Bytes::new() });
        }
        let timeline = Timeline::new(Config {
            grid,
            tracks: tracks.iter().map(|track| (track.id.clone(), Object::Init(track.init.0).uri())).collect(),
            first,
            discontinuity_sequence: hello.discontinuity,
            window,
        });
        let assemblers = tracks.iter().map(|track| Assembler::new(grid, track.video, first)).collect();
        Ok(Self {
            epoch: hello.epoch,
            generation,
            multivariant: multivariant(&hello.shape, &codecs).render().into(),
            shape: hello.shape.clone(),
            timeline,
            assemblers,
            staged: BTreeMap::new(),
            tracks,
            completed: Instant::now(),
        })
    }

    /// Drops what is incomplete and names the cell from which the feed should come again.
    fn resume(&mut self) -> Cell {
        self.assemblers.iter_mut().map(Assembler::reopen).min().unwrap_or_default()
    }

    fn close(&mut self, track: u16, close: impl FnOnce(&mut Assembler) -> Vec<Finished>) -> Progress {
        let track = usize::from(track);
        let Some(assembler) = self.assemblers.get_mut(track) else { return Progress::Waiting };
        let mut published: Option<(Cell, Cell)> = None;
        self.completed = Instant::now();
        for finished in close(assembler) {
            match self.finish(track, finished) {
                Ok(Progress::Waiting) => {}
                Ok(Progress::Published { first, last }) => {
                    published = Some((published.map_or(first, |(first, _)| first), last));
                }
                Err(error) => tracing::warn!(track, %error, "part refused"),
            }
        }
        published.map_or(Progress::Waiting, |(first, last)| Progress::Published { first, last })
    }

    fn finish(&mut self, track: usize, finished: Finished) -> Result<Progress, Error> {
        let Finished { cell, share, bytes } = finished;
        let tracks = self.tracks.len();
        let parts = self.staged.entry(cell).or_insert_with(|| vec![None; tracks]);
        if let Some(place) = parts.get_mut(track) {
            *place = bytes;
        }
        self.timeline.share(track, cell, share)
    }

    /// Oldest cell still served: rfc8216bis §6.2.2 wants removed segments fetchable for as long again as the
    /// longest playlist that held them.
    fn retained(&self) -> Cell {
        let grid = &self.shape.grid;
        let oldest = grid.first_cell(self.timeline.oldest());
        let listed = self.timeline.newest().map_or(0, |newest| newest.0.saturating_sub(oldest.0));
        Cell(oldest.0.saturating_sub(listed))
    }

    fn view(&self, newest: Cell, available_us: u64) -> View {
        let mut tracks = self.tracks.clone();
        for (i, track) in tracks.iter_mut().enumerate() {
            track.playlist = self.timeline.playlist(i).map(|media| media.render().into()).unwrap_or_default();
        }
        let position = self.timeline.position();
        View { position, newest, available_us, multivariant: self.multivariant.clone(), tracks }
    }
}

fn multivariant(shape: &Shape, codecs: &[String]) -> Multivariant {
    let tracks = || shape.tracks.iter().zip(codecs);
    let audio: Vec<_> = tracks().filter(|(track, _)| !track.is_video()).collect();
    let peak = audio.iter().map(|(track, _)| track.peak_bps).max().unwrap_or(0);
    let average = audio.iter().map(|(track, _)| track.average_bps).max().unwrap_or(0);
    let variant = |(track, codec): (&feed::Track, &String)| match &track.codec {
        Codec::Aac { .. } => None,
        Codec::H264 { width, height, .. } => Some(Variant {
            track: track.id.clone(),
            bandwidth: track.peak_bps + peak,
            average_bandwidth: track.average_bps + average,
            codecs: std::iter::once(codec.clone()).chain(audio.iter().map(|(_, codec)| (*codec).clone())).collect(),
            resolution: (*width, *height),
            frame_rate: shape.grid.rate().as_f64(),
        }),
    };
    let mut variants: Vec<_> = tracks().filter_map(variant).collect();
    variants.sort_by_key(|variant| std::cmp::Reverse(variant.bandwidth));
    let rendition = |(track, _): &(&feed::Track, &String)| match &track.codec {
        Codec::H264 { .. } => None,
        Codec::Aac { channels, .. } => {
            Some(Audio { track: track.id.clone(), name: track.id.to_string(), channels: *channels })
        }
    };
    Multivariant { variants, audio: audio.iter().filter_map(rendition).collect() }
}

fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
