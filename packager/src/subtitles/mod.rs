//! Subtitles: tracks that this packager owns, on every stream or on one, filled with cues from outside.
//!
//! A segment is what the cues known by then say of its time when its media is whole; later cues are in later segments. So it
//! never changes, and no bytes of it need to be kept: the same cues give the same text, after a restart too.

mod book;
pub mod config;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hls::id::{Msn, StreamId, TrackId};
use hls::playlist;
use hls::time::Grid;
use hls::vtt::Cue;

use crate::metrics::SubtitlesMeter;
use crate::window::Streams;
pub use book::{AHEAD_CUES_MAX, CUES_MAX, REQUEST_CUES_MAX};
use book::{Book, Kept};
use store::Store;

/// The tracks of all streams, and what an earlier process has left.
pub(crate) struct Library {
    config: Vec<config::Track>,
    dir: Option<PathBuf>,
    left: Mutex<BTreeMap<String, Vec<Kept>>>,
    meter: SubtitlesMeter,
}

/// A subtitle track of one stream.
pub(crate) struct Track {
    name: String,
    pub(crate) rendition: playlist::Subtitles,
    /// Held for no more than a look at the cues of one segment, or to put some in.
    book: Mutex<Book>,
    /// None where nothing is kept.
    store: Option<Mutex<Store>>,
    meter: SubtitlesMeter,
}

/// Where cues come in.
#[derive(Clone)]
pub struct Subtitles(pub(crate) Arc<Streams>);

/// Why cues are not taken; none of the request's are.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// No such stream here.
    #[error("no stream `{0}` is packaged here")]
    Stream(StreamId),
    /// No such track.
    #[error("no subtitle track `{0}` is configured for it")]
    Track(String),
    /// What is wrong, by cue.
    #[error("{}", .0.join("; "))]
    Wrong(Vec<String>),
    /// Cues, by place in the request, whose time is in published segments altogether.
    #[error("too late, published already: cue {}", list(.0))]
    Late(Vec<usize>),
    /// Too many wait for their segments.
    #[error("{AHEAD_CUES_MAX} cues wait for their segments already")]
    Full,
}

fn list(places: &[usize]) -> String {
    let places: Vec<String> = places.iter().map(usize::to_string).collect();
    places.join(", ")
}

impl Library {
    /// Reads what an earlier process has left. Blocks on the disk; what cannot be read is said and left out.
    pub(crate) fn open(config: Vec<config::Track>, data_dir: Option<PathBuf>) -> Self {
        let dir = data_dir
            .map(|dir| dir.join("subtitles"))
            .filter(|_| !config.is_empty());
        let left = dir.as_deref().map(store::read_all).unwrap_or_default();
        Self {
            config,
            dir,
            left: Mutex::new(left),
            meter: SubtitlesMeter::new(),
        }
    }

    /// The tracks of a stream that begins. Touches no disk.
    pub(crate) fn of(&self, stream: &StreamId) -> Vec<Track> {
        let own = self.config.iter().filter(|track| track.is_of(stream));
        let track = |config: &config::Track| {
            let file = store::name(stream, &config.name);
            let left = lock(&self.left).remove(&file).unwrap_or_default();
            let store = self
                .dir
                .as_ref()
                .map(|dir| Mutex::new(Store::new(dir.join(file))));
            Track {
                name: config.name.clone(),
                rendition: config.rendition(),
                book: Mutex::new(Book::new(left)),
                store,
                meter: self.meter.clone(),
            }
        };
        own.map(track).collect()
    }
}

impl Track {
    /// Segments up to this one are published: what they say stays.
    pub(crate) fn publish(&self, whole: Msn, grid: &Grid) {
        lock(&self.book).publish(whole, grid);
    }

    /// A published segment's text.
    pub(crate) fn segment(&self, msn: Msn) -> Option<String> {
        lock(&self.book).segment(msn)
    }

    /// Takes all of them or none. Those that it has are no news.
    fn add(&self, cues: Vec<Cue>) -> Result<usize, Unfit> {
        // First the file, then the book, here as everywhere: what is written is in order.
        let mut store = self.store.as_ref().map(lock);
        let new = lock(&self.book).add(cues)?;
        self.meter.cues.increment(new.len() as u64);
        if let Some(store) = &mut store
            && let Err(error) = store.append(&new, || lock(&self.book).kept().to_vec())
        {
            self.meter.unkept.increment(1);
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                track = self.name,
                error,
                "cues are shown, but not kept for a restart"
            );
        }
        Ok(new.len())
    }
}

impl Subtitles {
    /// Takes cues for a track; returns how many of them are new. Blocks on the disk where a restart is to know them.
    pub fn add(&self, stream: &StreamId, name: &str, cues: Vec<Cue>) -> Result<usize, Unfit> {
        let found = self.0.get(stream).ok_or_else(|| Unfit::Stream(stream.clone()))?;
        let mut tracks = found.subtitles.iter();
        let track = tracks.find(|track| track.name == name);
        let track = track.ok_or_else(|| Unfit::Track(name.to_owned()))?;
        let wrong = book::mistakes(&cues);
        let added = if wrong.is_empty() {
            track.add(cues)
        } else {
            Err(Unfit::Wrong(wrong))
        };
        if added.is_err() {
            track.meter.refused.increment(1);
        }
        added
    }
}

/// Those of a stream's that no track of its feed is called like.
pub(crate) fn announced<'a>(
    tracks: &[Track],
    fed: impl Iterator<Item = &'a TrackId> + Clone,
) -> Vec<playlist::Subtitles> {
    let free = |track: &&Track| fed.clone().all(|id| *id != track.rendition.track);
    let own = tracks.iter().filter(free);
    own.map(|track| track.rendition.clone()).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
