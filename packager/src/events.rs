//! Events on disk, for those who look after them: listed and deleted, whether a packager runs or not.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use hls::id::{Cell, StreamId};
use hls::time::date_time;
use serde::{Deserialize, Serialize};

use crate::spool::disk::{self, Named};

/// One event as it is on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The stream.
    pub stream: String,
    /// Its name: its first cell.
    pub event: u64,
    /// Program time at which it began, RFC 3339.
    pub started: String,
    /// How much of it is on disk, seconds.
    pub length_s: f64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Segments on disk.
    pub segments: u64,
    /// Its tracks, as URLs name them.
    pub tracks: Vec<String>,
    /// Whether its feed has said that it is over.
    pub ended: bool,
    /// Whether it is its stream's newest.
    pub newest: bool,
    /// Media sequence numbers of the segments on disk.
    #[serde(skip_serializing, default)]
    numbers: Vec<u64>,
}

impl Event {
    /// Segments on disk from a media sequence number on.
    pub fn segments_from(&self, msn: u64) -> u64 {
        self.numbers.iter().filter(|number| **number >= msn).count() as u64
    }
}

/// Why an event is not deleted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such event.
    #[error("no event {1} of stream {0}")]
    Unknown(StreamId, u64),
    /// A packager runs and may be writing it.
    #[error("event {1} of stream {0} is its newest, and a packager runs on this data.dir")]
    InUse(StreamId, u64),
    /// The disk.
    #[error("events cannot be read or deleted")]
    Io(#[from] io::Error),
}

/// All events below `data.dir`, by stream and age. What cannot be read is left out.
pub fn list(data_dir: &Path) -> io::Result<Vec<Event>> {
    let root = data_dir.join("events");
    let streams = match disk::list(&root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        listed => listed?,
    };
    let mut found = Vec::new();
    for stream in streams.iter().filter_map(|(name, _)| StreamId::new(name).ok()) {
        let dir = root.join(stream.as_str());
        let names = disk::list(&dir)?;
        let events: Vec<u64> = names.iter().filter_map(|(name, _)| name.parse().ok()).collect();
        let newest = events.iter().max().copied();
        let read = events.into_iter().filter_map(|event| {
            let read = event_of(&dir.join(event.to_string())).ok()?;
            Some(Event {
                newest: newest == Some(event),
                ..read
            })
        });
        found.extend(read);
    }
    found.sort_by(|a, b| (&a.stream, a.event).cmp(&(&b.stream, b.event)));
    Ok(found)
}

/// Deletes an event. The newest of a stream only where no packager runs.
pub fn delete(data_dir: &Path, stream: &StreamId, event: u64) -> Result<(), Error> {
    let unknown = || Error::Unknown(stream.clone(), event);
    let name = stream.as_str();
    let found = list(data_dir)?
        .into_iter()
        .find(|found| found.stream == name && found.event == event);
    let root = data_dir.join("events");
    // Held while it is deleted, so that no packager starts on it.
    let lock = disk::try_lock(&root)?;
    if found.ok_or_else(unknown)?.newest && lock.is_none() {
        return Err(Error::InUse(stream.clone(), event));
    }
    fs::remove_dir_all(root.join(name).join(event.to_string()))?;
    Ok(())
}

fn event_of(dir: &Path) -> io::Result<Event> {
    let header = disk::read_header(dir)?;
    let files = disk::list(dir)?;
    let number = |name: &str| match disk::named(name) {
        Named::Segment(msn) => Some(msn.0),
        Named::Journal(_) | Named::Picture(_) | Named::Other => None,
    };
    let numbers: Vec<u64> = files.iter().filter_map(|(name, _)| number(name)).collect();
    let segments = numbers.len() as u64;
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    let (start_s, length_s) = (
        Cell(header.event).0 as f64 * header.cell_s,
        segments as f64 * header.segment_s,
    );
    Ok(Event {
        stream: header.stream,
        event: header.event,
        started: date_time(Duration::try_from_secs_f64(start_s).map_err(io::Error::other)?),
        length_s,
        bytes: files.iter().map(|(_, length)| length).sum(),
        segments,
        tracks: header.tracks,
        ended: header.ended,
        newest: false,
        numbers,
    })
}
