//! PURE. What feeds change: access units and watermarks in, published cells and their playlists out.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use feed::{Cue, Hello, Shape, Unit};
use hls::delivery;
use hls::id::{Cell, Epoch, Msn};
use hls::path::{Hash, Object};
use hls::playlist::delta::{self, History, Recent};
use hls::playlist::{self, Multivariant, Report, Subtitles};
use hls::timeline::{Config, Error, Life, Marked, Progress, Share, Timeline};
use listen::playlist::{Form, Forms};

use crate::assemble::{Assembler, Finished, Pace, Taken, init};
use crate::encryption::Rule;
use crate::encryption::guard::{Guard, Joiner, Seal};
use crate::multivariant::{has_one_kind_of_sound, multivariant};
use crate::spool::{self, Loaded};
use crate::thumbnails::{Album, Taken as Pictured};
use crate::window::{Last, Refusal, Text, Track, View};

/// A stream as its ladders feed it, one after the other, as this packager knows it.
pub(crate) struct Machine {
    epoch: Epoch,
    /// Feeds that have held the stream; only the newest may change it.
    pub(crate) generation: u64,
    shape: Shape,
    timeline: Timeline,
    /// First cell that was published at all.
    opening: Cell,
    /// First cell of the ladder's that is wanted.
    wanted: Cell,
    assemblers: Vec<Assembler>,
    /// Shares of cells that other tracks have yet to deliver, and their bytes.
    staged: BTreeMap<Cell, Vec<(Share, Option<Bytes>)>>,
    announced: Multivariant,
    multivariant: Form,
    tracks: Vec<Track>,
    guard: Guard,
    /// Date ranges of all tracks, which have the same.
    dates: History,
    /// The ladder whose first unit has yet to say from where on it is here.
    coming: Option<Coming>,
    /// The ladder that is here, as a restart has to know it.
    life: Option<Arc<spool::Life>>,
    /// Cues since the last publication, for the spool.
    cues: Vec<Cue>,
    album: Album,
}

/// A ladder before its first unit.
struct Coming {
    life: Life,
    /// All of it but what only the first unit says.
    kept: spool::Life,
}

/// What a feed's first words say of its tracks.
pub(crate) struct Described {
    tracks: Vec<Track>,
    pub(crate) announced: Multivariant,
    life: Life,
    inits: Vec<(Hash, Bytes)>,
}

/// Most cues kept for a spool that does not keep up; further ones are only in the live window.
const CUES_MAX: usize = 64;

impl Described {
    pub(crate) fn of(hello: &Hello) -> Result<Self, Refusal> {
        let grid = hello.shape.grid;
        if !has_one_kind_of_sound(&hello.shape) {
            return Err(Refusal::Sound);
        }
        let mut tracks = Vec::with_capacity(hello.shape.tracks.len());
        let (mut codecs, mut maps) = (Vec::new(), Vec::new());
        for track in &hello.shape.tracks {
            let refused = |error| Refusal::Track(track.id.clone(), error);
            let (codec, init) = init(track, &grid).map_err(refused)?;
            codecs.push(codec.name().map_err(refused)?);
            maps.push(init.uri());
            tracks.push(Track {
                id: track.id.clone(),
                video: track.is_video(),
                inits: vec![(init.hash, init.bytes)],
                urgency: 0,
                playlist: Forms::default(),
            });
        }
        let announced = multivariant(&hello.shape, &codecs);
        let text = announced.render();
        for track in &mut tracks {
            track.urgency = delivery::urgency(&text, &track.id);
        }
        Ok(Self {
            inits: tracks.iter().flat_map(|track| track.inits.clone()).collect(),
            announced,
            life: Life {
                first: Cell(hello.epoch.0),
                discontinuity: hello.discontinuity,
                maps,
            },
            tracks,
        })
    }
}

impl Machine {
    pub(crate) fn new(
        hello: &Hello,
        window: Duration,
        generation: u64,
        rule: Arc<Rule>,
    ) -> Result<Self, Refusal> {
        let Described {
            tracks,
            announced,
            life,
            inits,
        } = Described::of(hello)?;
        let config = Config {
            grid: hello.shape.grid,
            tracks: tracks.iter().map(|track| track.id.clone()).collect(),
            window,
        };
        Ok(Self {
            epoch: hello.epoch,
            generation,
            multivariant: Form::new(announced.render()),
            announced,
            shape: hello.shape.clone(),
            opening: life.first,
            wanted: life.first,
            assemblers: assemblers(&hello.shape, life.first),
            timeline: Timeline::new(config, life.clone()),
            staged: BTreeMap::new(),
            tracks,
            guard: Guard::new(rule, hello)?,
            dates: History::default(),
            coming: Some(Coming {
                kept: kept(hello, inits),
                life,
            }),
            life: None,
            cues: Vec::new(),
            album: Album::default(),
        })
    }

    /// A stream as an earlier process has left it.
    pub(crate) fn restored(loaded: &Loaded, window: Duration, rule: Arc<Rule>) -> Option<Self> {
        let mut timeline = loaded.play(window)?;
        if loaded.ended {
            timeline.end();
        }
        let lives = loaded.lives();
        let life = lives.last()?;
        let hello = &life.hello;
        let Described {
            mut tracks,
            announced,
            ..
        } = Described::of(hello).ok()?;
        for life in &lives {
            for (track, init) in tracks.iter_mut().zip(&life.inits) {
                if track.init(init.0).is_none() {
                    track.inits.push(init.clone());
                }
            }
        }
        let next = timeline.newest()?.next();
        let mut machine = Self {
            epoch: hello.epoch,
            generation: 0,
            shape: hello.shape.clone(),
            timeline,
            opening: loaded.shelf.event,
            wanted: next,
            assemblers: assemblers(&hello.shape, next),
            staged: BTreeMap::new(),
            multivariant: Form::new(announced.render()),
            announced,
            tracks,
            guard: Guard::new(rule, hello).ok()?,
            dates: History::default(),
            coming: None,
            life: Some(Arc::clone(life)),
            cues: Vec::new(),
            album: Album::default(),
        };
        machine.retain();
        Some(machine)
    }

    /// The same with subtitle tracks.
    pub(crate) fn subtitled(mut self, subtitles: Vec<Subtitles>) -> Self {
        if !subtitles.is_empty() {
            self.announced.subtitles = subtitles;
            self.multivariant = Form::new(self.announced.render());
        }
        self
    }

    /// Whether a later ladder can go on where this one ended: the same tracks on the same grid, in a stream that is
    /// shown and not over. Any other one begins the stream anew.
    pub(crate) fn goes_on_with(&self, hello: &Hello) -> bool {
        let tracks = |shape: &Shape| -> Vec<_> {
            let kind = |track: &feed::Track| (track.id.clone(), track.is_video());
            shape.tracks.iter().map(kind).collect()
        };
        let same = hello.shape.grid == self.shape.grid && tracks(&hello.shape) == tracks(&self.shape);
        same && self.is_startable() && !self.timeline.is_ended()
    }

    /// A later ladder takes over. Nothing that is published changes, and nothing is shown before it has published.
    pub(crate) fn take_over(&mut self, hello: &Hello, generation: u64) -> Result<(), Refusal> {
        let described = Described::of(hello)?;
        self.guard.follow(hello)?;
        for (track, new) in self.tracks.iter_mut().zip(described.tracks) {
            track.urgency = new.urgency;
            for init in new.inits {
                if track.init(init.0).is_none() {
                    track.inits.push(init);
                }
            }
        }
        (self.epoch, self.generation) = (hello.epoch, generation);
        self.shape = hello.shape.clone();
        self.announced = Multivariant {
            subtitles: std::mem::take(&mut self.announced.subtitles),
            ..described.announced
        };
        self.multivariant = Form::new(self.announced.render());
        self.staged.clear();
        self.coming = Some(Coming {
            kept: kept(hello, described.inits),
            life: described.life,
        });
        Ok(())
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn last(&self) -> Last {
        Last {
            epoch: self.epoch,
            newest: self.timeline.newest(),
            discontinuity: self.timeline.discontinuity(),
        }
    }

    /// Last whole segment.
    pub(crate) fn whole(&self) -> Option<Msn> {
        self.timeline.position()?.whole
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Cells of a whole segment.
    pub(crate) fn segment(&self, msn: Msn) -> Option<Range<u64>> {
        let whole = self.whole()?;
        (msn <= whole).then(|| self.timeline.segment_cells(msn))
    }

    /// What makes a segment of its parts.
    pub(crate) fn joiner(&self, msn: Msn) -> Joiner {
        self.guard.joiner(msn)
    }

    /// What tells the key of a cell from any other.
    pub(crate) fn seal(&self, cell: Cell) -> Option<Seal> {
        self.guard.seal(self.shape.grid.msn(cell))
    }

    /// Shares of a cell that has just been published.
    pub(crate) fn staged(&mut self, cell: Cell) -> Option<Vec<(Share, Option<Bytes>)>> {
        self.staged.remove(&cell)
    }

    /// First cell that was published at all: the event's name.
    pub(crate) fn opening(&self) -> Cell {
        self.opening
    }

    /// The ladder that is here; none before it has said from where on.
    pub(crate) fn life(&self) -> Option<&Arc<spool::Life>> {
        self.life.as_ref()
    }

    /// Cues since they were last taken.
    pub(crate) fn take_cues(&mut self) -> Vec<Cue> {
        std::mem::take(&mut self.cues)
    }

    /// Cues that the spool did not take.
    pub(crate) fn give_back(&mut self, mut cues: Vec<Cue>) {
        cues.append(&mut self.cues);
        self.cues = cues;
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.timeline.is_ended()
    }

    /// Oldest cell that may still be fetched.
    pub(crate) fn retained(&self) -> Cell {
        self.timeline.retained()
    }

    /// Last published cell.
    pub(crate) fn newest(&self) -> Option<Cell> {
        self.timeline.newest()
    }

    pub(crate) fn unit(&mut self, unit: Unit) -> Taken {
        let track = usize::from(unit.track);
        let Some(video) = self.tracks.get(track).map(|track| track.video) else {
            return Taken::OutOfPlace;
        };
        let grid = &self.shape.grid;
        let cell = if video {
            grid.cell_of_frame(unit.time)
        } else {
            grid.cell_of_sample(unit.time)
        };
        self.begin(cell);
        if cell < self.wanted {
            return Taken::Superfluous;
        }
        self.assemblers
            .get_mut(track)
            .map_or(Taken::OutOfPlace, |track| track.unit(unit))
    }

    /// The first unit says where a ladder begins for a packager that was not there when it started.
    fn begin(&mut self, cell: Cell) {
        let Some(Coming { life, kept }) = self.coming.take() else {
            return;
        };
        let first = life.first.max(cell);
        let after = self.timeline.newest().map(Cell::next);
        self.wanted = self.timeline.take_over(Life { first, ..life });
        if self.timeline.newest().is_none() {
            self.opening = self.wanted;
        }
        self.life = Some(Arc::new(spool::Life {
            first: self.wanted,
            after,
            discontinuity: self.timeline.discontinuity(),
            ..kept
        }));
        self.assemblers = assemblers(&self.shape, self.wanted);
    }

    /// What happens in the programme, in its own time; shown with the next cell.
    pub(crate) fn cue(&mut self, cue: &Cue) -> Marked {
        let marked = self.timeline.mark(spool::mark(cue, &self.shape.grid));
        if marked == Marked::Listed && self.cues.len() < CUES_MAX {
            self.cues.push(cue.clone());
        }
        marked
    }

    /// What a cell shows, small; the first picture of a segment counts.
    pub(crate) fn picture(&mut self, cell: Cell, jpeg: Bytes, is_kept: impl FnOnce(Msn) -> bool) -> Pictured {
        let grid = &self.shape.grid;
        let msn = grid.msn(cell);
        // What is encrypted is not to be seen without a key.
        if self.guard.seal(msn).is_some() {
            return Pictured::Refused;
        }
        let newest = self.timeline.newest().unwrap_or(self.wanted);
        let around = grid.msn(self.timeline.retained())..=grid.msn(newest);
        self.album.take(msn, jpeg, around, is_kept)
    }

    /// The picture of a segment that may still be fetched.
    pub(crate) fn pictured(&self, msn: Msn) -> Option<Bytes> {
        self.album.get(msn)
    }

    /// Segments of which there is a picture here.
    pub(crate) fn pictures(&self) -> impl Iterator<Item = Msn> {
        self.album.msns()
    }

    /// Pictures since they were last taken, for the spool.
    pub(crate) fn take_pictures(&mut self) -> Vec<(Msn, Bytes)> {
        self.album.unkept()
    }

    /// First segment that playlists list.
    pub(crate) fn first_listed(&self) -> Msn {
        self.timeline.oldest()
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
        if self.coming.is_some() {
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
        self.begin(Cell(self.epoch.0));
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
        let msn = self.shape.grid.msn(cell);
        let bytes = bytes.and_then(|clear| self.guard.part(track, msn, clear));
        let share = if bytes.is_some() { share } else { Share::Gap };
        let progress = self.timeline.share(track, cell, share)?;
        let tracks = self.tracks.len();
        let parts = self
            .staged
            .entry(cell)
            .or_insert_with(|| vec![(Share::Gap, None); tracks]);
        if let Some(place) = parts.get_mut(track) {
            *place = (share, bytes);
        }
        Ok(progress)
    }

    /// Oldest cell still served; what is only older is forgotten.
    pub(crate) fn retain(&mut self) -> Cell {
        for (i, track) in self.tracks.iter_mut().enumerate() {
            let coming = self.coming.iter().filter_map(|coming| coming.life.maps.get(i));
            let listed: Vec<&str> = self.timeline.maps(i).chain(coming.map(String::as_str)).collect();
            track
                .inits
                .retain(|(hash, _)| listed.contains(&Object::Init(*hash).uri().as_str()));
        }
        let oldest = self.timeline.retained();
        let msn = self.shape.grid.msn(oldest);
        self.guard.retain(msn);
        self.album.retain(msn);
        oldest
    }

    /// Whether players have somewhere to start: PART-HOLD-BACK from the end is media by now, and not the GAP that
    /// a stream begins behind, in which hls.js would wait for ever.
    fn is_startable(&self) -> bool {
        let grid = &self.shape.grid;
        let time = |cell| grid.frame_time(grid.first_frame(cell));
        let end = self.timeline.newest().map(|newest| time(newest.next()));
        end.is_some_and(|end| end.saturating_sub(time(self.opening)) >= grid.part_hold_back())
    }

    /// `at` is the moment of publication, of a clock that does not jump.
    pub(crate) fn view(&mut self, newest: Cell, available_us: u64, at: Duration) -> View {
        let mut tracks = self.tracks.clone();
        let mut texts = Vec::with_capacity(tracks.len());
        let subtitles = self.reports();
        for (index, track) in tracks.iter_mut().enumerate() {
            let Some(mut media) = self.timeline.playlist(index) else {
                continue;
            };
            media.reports.extend_from_slice(&subtitles);
            for (msn, segment) in (media.media_sequence.0..).map(Msn).zip(&mut media.segments) {
                self.guard.mark(index, msn, &track.inits, segment);
            }
            track.inits.extend(self.guard.inits(index));
            texts.push(media.render());
        }
        let first = texts.first().map_or("", String::as_str);
        let until = delta::offered(first).unwrap_or_default();
        let recent = self.dates.note(at, until, delta::dates(first));
        let subtitles = self.subtitles(&texts, newest, &subtitles);
        for (track, text) in tracks.iter_mut().zip(texts) {
            track.playlist = Forms::new(text, recent.clone());
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
            subtitles,
            keys: self.guard.served(),
        }
    }

    /// Where the playlists of subtitle tracks end.
    fn reports(&self) -> Vec<Report> {
        let Some(whole) = self.whole() else {
            return Vec::new();
        };
        let tracks = self.announced.subtitles.iter();
        tracks
            .map(|track| Report::of_whole(&track.track, whole))
            .collect()
    }

    /// The playlists of subtitle tracks: those of the first picture, in words.
    fn subtitles(&self, texts: &[String], newest: Cell, own: &[Report]) -> Vec<Text> {
        let video = self.tracks.iter().position(|track| track.video);
        let Some(media) = texts.get(video.unwrap_or(0)) else {
            return Vec::new();
        };
        let Some(at) = self.timeline.position() else {
            return Vec::new();
        };
        let end = (self.shape.grid.msn(newest), at.part.unwrap_or_default());
        let fed: Vec<Report> = self
            .tracks
            .iter()
            .map(|track| Report::of(&track.id, end))
            .collect();
        let text = |(place, track): (usize, &Subtitles)| {
            let others = own.iter().enumerate().filter(|(other, _)| *other != place);
            let reports: Vec<Report> = fed
                .iter()
                .chain(others.map(|(_, report)| report))
                .cloned()
                .collect();
            let text = playlist::subtitles(media, &reports)?;
            Some(Text {
                id: track.track.clone(),
                playlist: Forms::new(text, Recent::default()),
            })
        };
        let tracks = self.announced.subtitles.iter().enumerate();
        tracks.filter_map(text).collect()
    }
}

/// What a restart has to know of a ladder; where it begins is seen later.
fn kept(hello: &Hello, inits: Vec<(Hash, Bytes)>) -> spool::Life {
    spool::Life {
        hello: Hello {
            mac: [0; 32],
            ..hello.clone()
        },
        first: Cell(hello.epoch.0),
        after: None,
        discontinuity: hello.discontinuity,
        inits,
    }
}

fn assemblers(shape: &Shape, first: Cell) -> Vec<Assembler> {
    let of = |track: &feed::Track| Assembler::new(shape.grid, Pace::of(&track.codec), first);
    shape.tracks.iter().map(of).collect()
}
