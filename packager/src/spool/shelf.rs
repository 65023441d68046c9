//! One event for those who rewind: rendered once per version, read from disk on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use feed::message::is_jpeg;
use hls::id::{Cell, Msn, StreamId, TrackId};
use hls::path::{Hash, KeyId};
use hls::playlist::{self, DateRange, Multivariant, Subtitles};
use listen::playlist::{Form, Forms};

use super::disk;
use super::entry::{Extent, Life};
use super::recording::{Due, Recording, render};
use crate::encryption::Rule;
use crate::encryption::guard::Guard;
use crate::machine::Described;

/// An event and its directory.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) stream: StreamId,
    /// Its first cell.
    pub(crate) event: Cell,
    pub(crate) dir: PathBuf,
    rule: Arc<Rule>,
    /// Written by the spool's thread; held for no more than a copy.
    recording: RwLock<Option<Recording>>,
    /// Pictures on disk, and their lengths. Written by the spool's thread; held for no more than a copy.
    album: RwLock<BTreeMap<Msn, u64>>,
    /// The newest text of each track, and its version. Held while it is rendered, so that it is rendered once.
    rendered: Mutex<BTreeMap<(usize, List), (u64, Forms)>>,
    /// The newest multivariant playlist for rewinding, and that of the whole event.
    announced: [Mutex<Option<Announced>>; 2],
    /// When the feed has said that the event is over.
    over: OnceLock<Instant>,
    /// Whether what is kept also goes to the archive.
    pub(super) is_archived: bool,
}

/// What a track's playlist lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum List {
    Segments,
    /// Key frames.
    Frames,
    /// Segments as subtitle tracks have them.
    Subtitles,
}

/// Why a segment is not given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error("not in the recording")]
    Unknown,
    #[error("its file cannot be read")]
    Io(#[from] io::Error),
    #[error("its bytes are not those that were written")]
    Sum,
    #[error("its bytes are not under the key that they should be")]
    Key,
}

/// A multivariant playlist, and what it was made of.
#[derive(Debug)]
struct Announced {
    version: u64,
    subtitles: Vec<Subtitles>,
    form: Form,
}

impl Shelf {
    pub(crate) fn new(root: &Path, stream: StreamId, event: Cell, rule: Arc<Rule>) -> Self {
        Self {
            dir: root.join(stream.as_str()).join(event.to_string()),
            stream,
            event,
            rule,
            recording: RwLock::default(),
            album: RwLock::default(),
            rendered: Mutex::default(),
            announced: <[_; 2]>::default(),
            over: OnceLock::new(),
            is_archived: false,
        }
    }

    /// The same for an event that is archived.
    pub(super) fn archived(self, is_archived: bool) -> Self {
        Self { is_archived, ..self }
    }

    /// A recording that begins; none where its tracks cannot be under the keys that are configured.
    pub(super) fn recording(&self, life: &Arc<Life>, from: Cell) -> Option<Recording> {
        let guard = Guard::new(Arc::clone(&self.rule), &life.hello).ok()?;
        let recording = Recording::new(Arc::clone(life), from, guard);
        Some(if self.is_archived {
            recording.archived()
        } else {
            recording
        })
    }

    /// What is on disk changes.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Option<Recording>) -> T) -> T {
        change(&mut self.recording.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn look<T>(&self, look: impl FnOnce(&Recording) -> Option<T>) -> Option<T> {
        let recording = self.recording.read().unwrap_or_else(PoisonError::into_inner);
        look(recording.as_ref()?)
    }

    /// The event is over; its recording shows that once all of it is on disk.
    pub(crate) fn end(&self) {
        self.over.get_or_init(Instant::now);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.get().is_some()
    }

    /// Whether all there will be of the event is on disk.
    pub(crate) fn is_ended(&self) -> bool {
        self.look(|recording| Some(recording.is_ended())).unwrap_or(false)
    }

    /// Whether that is so although its feed has not said that it is over.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.look(|recording| Some(recording.is_cut_off()))
            .unwrap_or(false)
    }

    /// Whether a segment is the event's, and older than what is listed.
    pub(crate) fn is_before(&self, msn: Msn) -> bool {
        let first = self.look(|recording| Some((recording.first()?, recording.shape().grid.msn(self.event))));
        first.is_some_and(|(listed, first)| (first..listed).contains(&msn))
    }

    /// The next segment from `msn` on that the archive has yet to take.
    pub(crate) fn due(&self, msn: Msn) -> Option<Due> {
        self.change(|recording| recording.as_mut()?.due(msn))
    }

    /// What the event's feed has said of it last.
    pub(crate) fn life(&self) -> Option<Arc<Life>> {
        self.look(|recording| Some(Arc::clone(recording.life())))
    }

    /// Date ranges of the recording.
    pub(crate) fn dates(&self) -> Vec<DateRange> {
        self.look(|recording| Some(recording.dates().to_vec()))
            .unwrap_or_default()
    }

    /// Whether the whole event is on disk, and its end was said `ago` by now or in an earlier process.
    pub(crate) fn is_finished(&self, ago: Duration) -> bool {
        let since = self.over.get().map(Instant::elapsed);
        let is_ended = self.look(|recording| Some(recording.is_ended()));
        is_ended.unwrap_or(false) && since.is_none_or(|since| since >= ago)
    }

    /// Whether a track is in it, and as video.
    pub(crate) fn kind(&self, id: &TrackId) -> Option<bool> {
        self.look(|recording| {
            let track = recording.shape().tracks.get(recording.track(id)?)?;
            Some(track.is_video())
        })
    }

    /// Whether its key frames can be had alone.
    pub(crate) fn has_frames(&self, id: &TrackId) -> bool {
        let frames = self.look(|recording| recording.frames(recording.track(id)?).map(drop));
        frames.is_some()
    }

    pub(crate) fn target_duration(&self) -> Duration {
        let target = self.look(|recording| Some(recording.shape().grid.target_duration()));
        target.unwrap_or_default()
    }

    /// A track's playlist and its version; none while it is too short.
    pub(crate) fn playlist(&self, id: &TrackId, list: List) -> Option<(Forms, u64)> {
        let mut rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        let (track, version) = self.look(|recording| Some((recording.track(id)?, recording.version())))?;
        if let Some((_, forms)) = rendered
            .get(&(track, list))
            .filter(|(known, _)| *known == version)
        {
            return Some((forms.clone(), version));
        }
        let (dvr, dates) = self.look(|recording| match list {
            List::Segments | List::Subtitles => recording.playlist(track),
            List::Frames => Some((recording.frames(track)?, Vec::new())),
        })?;
        let text = render(&dvr, &dates)?;
        let text = match list {
            List::Segments | List::Frames => text,
            List::Subtitles => playlist::subtitles(&text, &[])?,
        };
        let forms = Forms::of_recording(text);
        rendered.insert((track, list), (version, forms.clone()));
        Some((forms, version))
    }

    /// The multivariant playlist for rewinding; none while a track's playlist is too short.
    pub(crate) fn multivariant(&self, subtitles: Vec<Subtitles>) -> Option<Form> {
        let [rewind, _] = &self.announced;
        self.announced(rewind, subtitles, Multivariant::render_dvr)
    }

    /// The same under the names of the live playlists, once the event is over.
    pub(crate) fn whole(&self, subtitles: Vec<Subtitles>) -> Option<Form> {
        let [_, whole] = &self.announced;
        self.announced(whole, subtitles, Multivariant::render_recording)
    }

    /// Rendered once for each version of the recording.
    fn announced(
        &self,
        known: &Mutex<Option<Announced>>,
        subtitles: Vec<Subtitles>,
        render: fn(&Multivariant, bool) -> String,
    ) -> Option<Form> {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let version = self.look(|recording| Some(recording.version()))?;
        let is_same = |before: &&Announced| before.version == version && before.subtitles == subtitles;
        if let Some(same) = known.as_ref().filter(is_same) {
            return Some(same.form.clone());
        }
        let hello = self.look(|recording| Some(recording.life().hello.clone()))?;
        self.playlist(&hello.shape.tracks.first()?.id, List::Segments)?;
        let frames = self.look(|recording| Some(recording.has_frames()))?;
        let announced = Multivariant {
            subtitles: subtitles.clone(),
            ..Described::of(&hello).ok()?.announced
        };
        let form = Form::new(render(&announced, frames));
        *known = Some(Announced {
            version,
            subtitles,
            form: form.clone(),
        });
        Some(form)
    }

    pub(crate) fn init(&self, id: &TrackId, hash: Hash) -> Option<Bytes> {
        self.look(|recording| recording.init(recording.track(id)?, hash))
    }

    /// A key that segments of it are under, where keys are served.
    pub(crate) fn key(&self, kid: KeyId) -> Option<Bytes> {
        self.look(|recording| recording.key(kid))
    }

    /// Whether a segment is in the recording, without a look at the disk.
    pub(crate) fn has(&self, id: &TrackId, msn: Msn) -> bool {
        let found = self.look(|recording| recording.segment(recording.track(id)?, msn));
        found.is_some()
    }

    /// Its tracks; none before anything is on disk.
    pub(crate) fn tracks(&self) -> Vec<TrackId> {
        let all = self.look(|recording| {
            let tracks = recording.shape().tracks.iter();
            Some(tracks.map(|track| track.id.clone()).collect())
        });
        all.unwrap_or_default()
    }

    /// The track whose segments subtitles go with: the first picture.
    pub(crate) fn leading(&self) -> Option<TrackId> {
        self.look(|recording| {
            let tracks = &recording.shape().tracks;
            let first = tracks.iter().find(|track| track.is_video()).or(tracks.first())?;
            Some(first.id.clone())
        })
    }

    /// Whether some track has a segment.
    pub(crate) fn has_any(&self, msn: Msn) -> bool {
        self.tracks().iter().any(|id| self.has(id, msn))
    }

    /// First segment that is listed, and the program time at which it begins.
    pub(crate) fn start(&self) -> Option<(Msn, Duration)> {
        self.look(|recording| recording.first().zip(recording.start()))
    }

    /// Whether there is a picture of a segment.
    pub(crate) fn is_pictured(&self, msn: Msn) -> bool {
        self.album().contains_key(&msn)
    }

    /// Segments of which there is a picture.
    pub(crate) fn pictures(&self) -> BTreeSet<Msn> {
        self.album().keys().copied().collect()
    }

    /// A picture. Blocks on the disk.
    pub(crate) fn picture(&self, msn: Msn) -> Result<Bytes, Lost> {
        let jpeg = fs::read(disk::picture(&self.dir, msn))?;
        // A power failure may leave a name without its bytes.
        if is_jpeg(&jpeg) {
            Ok(jpeg.into())
        } else {
            Err(Lost::Sum)
        }
    }

    fn album(&self) -> RwLockReadGuard<'_, BTreeMap<Msn, u64>> {
        self.album.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is of pictures on disk changes.
    pub(super) fn repaste<T>(&self, change: impl FnOnce(&mut BTreeMap<Msn, u64>) -> T) -> T {
        change(&mut self.album.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Bytes of all pictures on disk.
    pub(super) fn picture_bytes(&self) -> u64 {
        self.album().values().sum()
    }

    /// A segment's bytes and when the last of them were published. Blocks on the disk.
    pub(crate) fn read(&self, id: &TrackId, msn: Msn) -> Result<(Vec<Bytes>, u64), Lost> {
        let found = self.look(|recording| recording.segment(recording.track(id)?, msn));
        let (extents, available_us) = found.ok_or(Lost::Unknown)?;
        let joiner = self
            .look(|recording| Some(recording.joiner(msn)))
            .ok_or(Lost::Unknown)?;
        let file = File::open(disk::segment(&self.dir, msn))?;
        let length = file.metadata()?.len();
        let parts = extents.iter().map(|extent| part(&file, length, extent));
        let bytes = joiner.join(parts.collect::<Result<_, _>>()?).ok_or(Lost::Key)?;
        Ok((bytes, available_us))
    }
}

/// The bytes of an extent, if they are those that were written.
pub(super) fn part(file: &File, length: u64, extent: &Extent) -> Result<Bytes, Lost> {
    if extent.offset.saturating_add(u64::from(extent.length)) > length {
        return Err(Lost::Sum);
    }
    let size = usize::try_from(extent.length).map_err(|_| Lost::Sum)?;
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, extent.offset)?;
    if crc32c::crc32c(&bytes) == extent.sum {
        Ok(bytes.into())
    } else {
        Err(Lost::Sum)
    }
}
