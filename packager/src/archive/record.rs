//! What the store says of an event, and which events it has.

use std::time::Duration;

use hls::id::{Cell, StreamId};
use hls::path::Vod;
use serde::{Deserialize, Serialize};

use super::store::{Failure, Store};

/// Version of `event.json` in the store.
pub(super) const VERSION: u32 = 1;

/// File that tells of an event, beside its playlists.
const FILE: &str = "event.json";

/// Longest a listing waits for one event.
const WAIT: Duration = Duration::from_secs(10);

/// An event in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub(super) version: u32,
    /// The stream.
    pub stream: String,
    /// Its name: its first cell.
    pub event: u64,
    /// Program time at which what is stored begins, RFC 3339.
    pub started: String,
    /// Its tracks, as URLs name them.
    pub tracks: Vec<String>,
    /// How much of it is stored, seconds.
    pub length_s: f64,
    /// Bytes stored.
    pub bytes: u64,
    /// Segments and init segments stored, all tracks.
    pub objects: u64,
    /// Segments of a track that are gaps.
    pub gaps: u64,
    /// Segment that comes next.
    pub next: u64,
    /// Whether all of it is stored.
    pub ended: bool,
    /// Whether its feed went away without a word.
    pub cut_off: bool,
    /// When this was written, seconds of Unix time.
    pub written_s: u64,
}

/// Directory of something of a stream's.
pub(super) fn dir(stream: &StreamId, vod: &Vod) -> String {
    format!("{stream}/{}", vod.name())
}

/// Name of an event's record.
pub(super) fn name(stream: &StreamId, event: Cell) -> String {
    format!("{}/{FILE}", dir(stream, &Vod::Event(event)))
}

/// Streams that have something in the store.
pub(super) async fn streams(store: &Store) -> Result<Vec<StreamId>, Failure> {
    let names = store.dirs("").await?;
    let mut streams: Vec<_> = names.iter().filter_map(|name| StreamId::new(name).ok()).collect();
    streams.sort();
    Ok(streams)
}

/// Events of a stream, oldest first; one that was broken off while it was removed is among them.
pub(super) async fn events(store: &Store, stream: &StreamId) -> Result<Vec<Cell>, Failure> {
    let names = store.dirs(stream.as_str()).await?;
    let events = names.iter().filter_map(|name| match Vod::parse(name)? {
        Vod::Event(cell) => Some(cell),
        Vod::Clip(_) => None,
    });
    let mut events: Vec<Cell> = events.collect();
    events.sort_unstable();
    Ok(events)
}

/// What the store says of an event.
pub(super) async fn read(store: &Store, stream: &StreamId, event: Cell) -> Result<Record, Failure> {
    let bytes = store.get(&name(stream, event), WAIT).await?;
    let record: Record = serde_json::from_slice(&bytes).map_err(|_| Failure::Unreadable)?;
    if record.version == VERSION {
        Ok(record)
    } else {
        Err(Failure::Unreadable)
    }
}

/// Everything the store says of events, by stream and age. What cannot be read is left out.
pub(super) async fn all(store: &Store) -> Result<Vec<Record>, Failure> {
    let mut found = Vec::new();
    for stream in streams(store).await? {
        for event in events(store, &stream).await? {
            match read(store, &stream, event).await {
                Ok(record) => found.push(record),
                Err(Failure::Missing | Failure::Unreadable) => {}
                Err(failure) => return Err(failure),
            }
        }
    }
    Ok(found)
}

/// Removes everything below a directory: what names others first, and what tells of it all last, so that what was broken
/// off is found again.
pub(super) async fn remove(store: &Store, dir: &str) -> Result<bool, Failure> {
    let mut names: Vec<String> = store
        .all(dir)
        .await?
        .into_iter()
        .map(|object| object.name)
        .collect();
    let order = |name: &String| match name.rsplit_once('.') {
        _ if name.ends_with("index.m3u8") => 0,
        Some((_, "m3u8")) => 1,
        Some((_, "json")) => 3,
        Some(_) | None => 2,
    };
    names.sort_by_key(order);
    for name in &names {
        store.delete(name).await?;
    }
    Ok(!names.is_empty())
}
