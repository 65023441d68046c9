//! PURE. What feeds change: access units and watermarks in, published cells and their playlists out.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use feed::{Codec, Hello, Shape, Unit};
use hls::id::{Cell, Epoch, Msn};
use hls::path::Object;
use hls::playlist::{Audio, Multivariant, Variant};
use hls::timeline::{Config, Error, Progress, Timeline};

use crate::assemble::{Assembler, Finished, Taken, init};
use crate::window::{Refusal, Track, View};

/// One life of a stream's ladder, as this packager knows it.
pub(crate) struct Machine {
    epoch: Epoch,
    /// Feeds that have held the stream; only the newest may change it.
    pub(crate) generation: u64,
    shape: Shape,
    config: Config,
    timeline: Timeline,
    assemblers: Vec<Assembler>,
    /// Bytes of cells that other tracks have yet to deliver.
    staged: BTreeMap<Cell, Vec<Option<Bytes>>>,
    multivariant: Bytes,
    tracks: Vec<Track>,
    /// Whether a first unit has said where the stream begins here.
    begun: bool,
}

impl Machine {
    pub(crate) fn new(hello: &Hello, window: Duration, generation: u64) -> Result<Self, Refusal> {
        let grid = hello.shape.grid;
        let first = Cell(hello.epoch.0);
        let mut tracks = Vec::with_capacity(hello.shape.tracks.len());
        let mut codecs = Vec::with_capacity(hello.shape.tracks.len());
        for track in &hello.shape.tracks {
            let refused = |error| Refusal::Track(track.id.clone(), error);
            let (codec, init) = init(track, &grid).map_err(refused)?;
            codecs.push(codec.name().map_err(refused)?);
            let init = (init.hash, init.bytes);
            tracks.push(Track {
                id: track.id.clone(),
                video: track.is_video(),
                init,
                playlist: Bytes::new(),
            });
        }
        let config = Config {
            grid,
            tracks: tracks
                .iter()
                .map(|track| (track.id.clone(), Object::Init(track.init.0).uri()))
                .collect(),
            first,
            discontinuity_sequence: hello.discontinuity,
            window,
        };
        Ok(Self {
            epoch: hello.epoch,
            generation,
            multivariant: multivariant(&hello.shape, &codecs).render().into(),
            shape: hello.shape.clone(),
            timeline: Timeline::new(config.clone()),
            assemblers: assemblers(&tracks, &config),
            config,
            staged: BTreeMap::new(),
            tracks,
            begun: false,
        })
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Cells of a whole segment.
    pub(crate) fn segment(&self, msn: Msn) -> Option<Range<u64>> {
        let whole = self.timeline.position()?.whole?;
        (msn <= whole).then(|| self.timeline.segment_cells(msn))
    }

    /// Bytes of a cell that has just been published.
    pub(crate) fn staged(&mut self, cell: Cell) -> Option<Vec<Option<Bytes>>> {
        self.staged.remove(&cell)
    }

    pub(crate) fn unit(&mut self, unit: Unit) -> Taken {
        let track = usize::from(unit.track);
        if !self.begun {
            self.begin(track, unit.time);
        }
        self.assemblers
            .get_mut(track)
            .map_or(Taken::OutOfPlace, |track| track.unit(unit))
    }

    /// The first unit says where the stream begins for a packager that was not there when the ladder started.
    fn begin(&mut self, track: usize, time: u64) {
        let Some(video) = self.tracks.get(track).map(|track| track.video) else {
            return;
        };
        let grid = &self.config.grid;
        let cell = if video {
            grid.cell_of_frame(time)
        } else {
            grid.cell_of_sample(time)
        };
        self.begun = true;
        if cell > self.config.first {
            self.config.first = cell;
            self.timeline = Timeline::new(self.config.clone());
            self.assemblers = assemblers(&self.tracks, &self.config);
        }
    }

    pub(crate) fn end(&mut self) -> Progress {
        self.timeline.end();
        match self.timeline.newest() {
            Some(cell) => Progress::Published {
                first: cell,
                last: cell,
            },
            None => Progress::Waiting,
        }
    }

    /// Drops what is incomplete and names the cell from which the feed should come again; the first cell of all
    /// stands for the oldest that the ingest has kept.
    pub(crate) fn resume(&mut self) -> Cell {
        if !self.begun {
            return Cell::default();
        }
        (0..self.assemblers.len())
            .filter_map(|track| self.reopen(track))
            .min()
            .unwrap_or_default()
    }

    pub(crate) fn close(
        &mut self,
        track: u16,
        close: impl FnOnce(&mut Assembler) -> Vec<Finished>,
    ) -> Progress {
        self.begun = true;
        let track = usize::from(track);
        let Some(assembler) = self.assemblers.get_mut(track) else {
            return Progress::Waiting;
        };
        let mut published: Option<(Cell, Cell)> = None;
        for finished in close(assembler) {
            match self.finish(track, finished) {
                Ok(Progress::Waiting) => {}
                Ok(Progress::Published { first, last }) => {
                    published = Some((published.map_or(first, |(first, _)| first), last));
                }
                Err(error) => {
                    tracing::warn!(track, %error, "part refused");
                    self.reopen(track);
                    break;
                }
            }
        }
        published.map_or(Progress::Waiting, |(first, last)| Progress::Published {
            first,
            last,
        })
    }

    /// Takes an assembler back to the cell the timeline wants of its track.
    fn reopen(&mut self, track: usize) -> Option<Cell> {
        let due = self.timeline.due(track).ok()?;
        self.assemblers.get_mut(track)?.reopen(due);
        Some(due)
    }

    /// Hands a share to the timeline; only what that takes is staged.
    fn finish(&mut self, track: usize, finished: Finished) -> Result<Progress, Error> {
        let Finished { cell, share, bytes } = finished;
        let progress = self.timeline.share(track, cell, share)?;
        let tracks = self.tracks.len();
        let parts = self.staged.entry(cell).or_insert_with(|| vec![None; tracks]);
        if let Some(place) = parts.get_mut(track) {
            *place = bytes;
        }
        Ok(progress)
    }

    /// Oldest cell still served: rfc8216bis §6.2.2 wants removed segments fetchable for as long again as the
    /// longest playlist that held them.
    pub(crate) fn retained(&self) -> Cell {
        let grid = &self.shape.grid;
        let oldest = grid.first_cell(self.timeline.oldest());
        let listed = self
            .timeline
            .newest()
            .map_or(0, |newest| newest.0.saturating_sub(oldest.0));
        Cell(oldest.0.saturating_sub(listed))
    }

    /// Whether players have somewhere to start: PART-HOLD-BACK from the end is media by now, and not the GAP that
    /// a stream begins behind, in which hls.js would wait for ever.
    fn is_startable(&self) -> bool {
        let grid = &self.config.grid;
        let time = |cell| grid.frame_time(grid.first_frame(cell));
        let end = self.timeline.newest().map(|newest| time(newest.next()));
        end.is_some_and(|end| end.saturating_sub(time(self.config.first)) >= grid.part_hold_back())
    }

    pub(crate) fn view(&self, newest: Cell, available_us: u64) -> View {
        let mut tracks = self.tracks.clone();
        for (i, track) in tracks.iter_mut().enumerate() {
            track.playlist = self
                .timeline
                .playlist(i)
                .map(|media| media.render().into())
                .unwrap_or_default();
        }
        let position = self
            .timeline
            .position()
            .filter(|at| at.ended || self.is_startable());
        View {
            position,
            newest,
            available_us,
            multivariant: self.multivariant.clone(),
            tracks,
        }
    }
}

fn assemblers(tracks: &[Track], config: &Config) -> Vec<Assembler> {
    tracks
        .iter()
        .map(|track| Assembler::new(config.grid, track.video, config.first))
        .collect()
}

fn multivariant(shape: &Shape, codecs: &[String]) -> Multivariant {
    let tracks = || shape.tracks.iter().zip(codecs);
    let audio: Vec<_> = tracks().filter(|(track, _)| !track.is_video()).collect();
    let peak = audio.iter().map(|(track, _)| track.peak_bps).max().unwrap_or(0);
    let average = audio
        .iter()
        .map(|(track, _)| track.average_bps)
        .max()
        .unwrap_or(0);
    let variant = |(track, codec): (&feed::Track, &String)| match &track.codec {
        Codec::Aac { .. } => None,
        Codec::H264 { width, height, .. } => Some(Variant {
            track: track.id.clone(),
            bandwidth: track.peak_bps + peak,
            average_bandwidth: track.average_bps + average,
            codecs: std::iter::once(codec.clone())
                .chain(audio.iter().map(|(_, codec)| (*codec).clone()))
                .collect(),
            resolution: (*width, *height),
            frame_rate: shape.grid.rate().as_f64(),
        }),
    };
    let mut variants: Vec<_> = tracks().filter_map(variant).collect();
    variants.sort_by_key(|variant| std::cmp::Reverse(variant.bandwidth));
    let rendition = |(track, _): &(&feed::Track, &String)| match &track.codec {
        Codec::H264 { .. } => None,
        Codec::Aac { channels, .. } => Some(Audio {
            track: track.id.clone(),
            name: track.id.to_string(),
            channels: *channels,
        }),
    };
    Multivariant {
        variants,
        audio: audio.iter().filter_map(rendition).collect(),
    }
}
