//! Which bytes of a track are here: the released version, live parts, and who is watching.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use hls::id::{Cell, Msn, StreamId, TrackId};
use hls::path::{Object as Name, Resource};
use hls::playlist::delta::History;
use listen::File;
use listen::playlist::Forms;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::follow::Version;
use crate::upstream::Object;

/// Live parts held for one track, whatever its playlist says.
const PARTS_MAX: usize = 2_048;
/// Parts that are files in memory, too: the newest, which everybody asks for. Each takes a descriptor.
const FILES_MAX: usize = 6;

/// One mirrored track.
pub(crate) struct Track {
    pub(crate) stream: StreamId,
    pub(crate) id: TrackId,
    pub(crate) video: bool,
    /// RFC 9218 urgency of its media.
    pub(crate) urgency: u8,
    /// Date ranges of the versions so far; only its mirror writes.
    pub(crate) dates: Mutex<History>,
    /// The newest version viewers may see.
    pub(crate) version: watch::Sender<Option<Arc<Released>>>,
    /// What the parent lists, which viewers may not see yet; moves before parts are asked for.
    pub(crate) listing: watch::Sender<Listing>,
    /// Newest part held; moves before the version that lists it.
    pub(crate) held: watch::Sender<Cell>,
    /// Never held across an await; readers copy a reference and leave.
    live: RwLock<Live>,
    started: Instant,
    /// Last request of a viewer, milliseconds after `started`.
    used_ms: AtomicU64,
}

/// A version with the time it came.
#[derive(Debug)]
pub(crate) struct Released {
    pub(crate) version: Version,
    /// Its text, also as delta update and compressed.
    pub(crate) forms: Forms,
    pub(crate) available_us: Option<u64>,
    pub(crate) received: Instant,
}

/// What the parent lists.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Listing {
    /// Oldest and newest part.
    pub(crate) parts: Option<(Cell, Cell)>,
    pub(crate) part_target: Duration,
    /// Three target durations.
    pub(crate) longest_wait: Duration,
}

/// How a parent stands to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// It is about to come.
    Hinted,
    /// It is there.
    Listed,
    /// It may have gone.
    Gone,
}

impl Listing {
    pub(crate) fn promise(&self, cell: Cell) -> Promise {
        match self.parts {
            Some((oldest, newest)) if (oldest..=newest).contains(&cell) => Promise::Listed,
            Some((oldest, _)) if cell < oldest => Promise::Gone,
            Some(_) | None => Promise::Hinted,
        }
    }
}

#[derive(Default)]
struct Live {
    parts: BTreeMap<Cell, Object>,
    segments: BTreeMap<Msn, Vec<Cell>>,
    files: VecDeque<(Cell, File)>,
}

impl Track {
    pub(crate) fn new(stream: StreamId, id: TrackId, video: bool, urgency: u8) -> Self {
        Self {
            stream,
            id,
            video,
            urgency,
            dates: Mutex::default(),
            version: watch::Sender::default(),
            listing: watch::Sender::default(),
            held: watch::Sender::default(),
            live: RwLock::default(),
            started: Instant::now(),
            used_ms: AtomicU64::new(0),
        }
    }

    /// A viewer asked for something of this track.
    pub(crate) fn touch(&self) {
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.used_ms.store(ms, Ordering::Relaxed);
    }

    /// A version's text with what of it is new, for delta updates.
    pub(crate) fn forms(&self, version: &Version) -> Forms {
        let until = version.skip_until.unwrap_or_default();
        let lists = version.parsed.dates.iter().map(String::as_str);
        let mut dates = self.dates.lock().unwrap_or_else(PoisonError::into_inner);
        Forms::new(
            version.body.clone(),
            dates.note(self.started.elapsed(), until, lists),
        )
    }

    /// Time since a viewer last asked.
    pub(crate) fn unused(&self) -> Duration {
        self.started
            .elapsed()
            .saturating_sub(Duration::from_millis(self.used_ms.load(Ordering::Relaxed)))
    }

    /// Whether the newest version says that no more comes.
    pub(crate) fn has_ended(&self) -> bool {
        let version = self.version.borrow();
        version.as_ref().is_some_and(|now| now.version.position.ended)
    }

    /// Whether a segment is in the live window, or was lately.
    pub(crate) fn may_have_segment(&self, msn: Msn) -> bool {
        let version = self.version.borrow();
        version
            .as_ref()
            .is_some_and(|now| now.version.may_have_segment(msn))
    }

    pub(crate) fn object(&self, name: Name) -> Resource {
        Resource::Object(self.stream.clone(), self.id.clone(), name)
    }

    pub(crate) fn part(&self, cell: Cell) -> Option<Object> {
        self.live
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .parts
            .get(&cell)
            .cloned()
    }

    /// A part as a file, if it is one.
    pub(crate) fn file(&self, cell: Cell) -> Option<File> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let found = live.files.iter().rev().find(|(held, _)| *held == cell);
        found.map(|(_, file)| file.clone())
    }

    /// A finished segment's parts, if all of them are here.
    pub(crate) fn segment(&self, msn: Msn) -> Option<Vec<Object>> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let cells = live.segments.get(&msn)?;
        cells.iter().map(|cell| live.parts.get(cell).cloned()).collect()
    }

    /// Takes a part in, and lets those go on who wait for it.
    pub(crate) fn hold(&self, cell: Cell, object: Object) {
        let file = File::of(&object.bytes);
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        live.parts.insert(cell, object);
        live.files.extend(file.map(|file| (cell, file)));
        while live.files.len() > FILES_MAX {
            live.files.pop_front();
        }
        while live.parts.len() > PARTS_MAX {
            live.parts.pop_first();
        }
        drop(live);
        self.held.send_if_modified(|newest| {
            let newer = cell > *newest;
            *newest = cell.max(*newest);
            newer
        });
    }

    /// Shows a version to viewers, and lets go of what is two windows old.
    pub(crate) fn release(&self, released: Released) {
        let version = &released.version;
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        live.segments.extend(version.segments());
        let listed = version.parsed.segments.len() as u64;
        let oldest = Msn(version.parsed.media_sequence.0.saturating_sub(listed));
        live.segments = live.segments.split_off(&oldest);
        let kept = live.segments.values().flatten().min().copied();
        let kept = version.keeps_from().or(kept);
        if let Some(kept) = kept {
            live.parts = live.parts.split_off(&kept);
        }
        drop(live);
        self.version.send_replace(Some(Arc::new(released)));
    }

    /// Forgets everything: the parent started anew.
    pub(crate) fn forget(&self) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Live::default();
        *self.dates.lock().unwrap_or_else(PoisonError::into_inner) = History::default();
        self.listing.send_replace(Listing::default());
        self.held.send_replace(Cell::default());
    }
}
