//! What of an event is in the store, on disk beside the event: a line for each segment, in order.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hls::id::Msn;
use serde::{Deserialize, Serialize};

use crate::spool::disk;

/// Its file in the event's directory.
const FILE: &str = "archive.jsonl";

/// A segment that the store has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) msn: u64,
    /// EXT-X-DISCONTINUITY-SEQUENCE of a playlist that begins with it.
    pub(super) sequence: u64,
    /// By track.
    pub(super) tracks: Vec<Written>,
    /// Bytes of all tracks.
    pub(super) bytes: u64,
    /// Objects of all tracks.
    pub(super) objects: u64,
    /// Date ranges that are new or have changed: id and EXT-X-DATERANGE line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) dates: Vec<(String, String)>,
}

/// What it adds to a track's playlist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Written {
    start_ns: u64,
    end_ns: u64,
    pub(super) text: String,
}

impl Written {
    pub(super) fn new(start: Duration, end: Duration, text: &str) -> Self {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            start_ns: nanos(start),
            end_ns: nanos(end),
            text: text.to_owned(),
        }
    }

    pub(super) fn start(&self) -> Duration {
        Duration::from_nanos(self.start_ns)
    }

    pub(super) fn end(&self) -> Duration {
        Duration::from_nanos(self.end_ns)
    }
}

impl Line {
    pub(super) fn msn(&self) -> Msn {
        Msn(self.msn)
    }

    /// Tracks that have no media in it.
    pub(super) fn gaps(&self) -> u64 {
        let gaps = self
            .tracks
            .iter()
            .filter(|written| written.text.contains("#EXT-X-GAP\n"));
        gaps.count() as u64
    }
}

/// The file, open to be added to.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: Option<File>,
}

impl Journal {
    /// What an earlier process has written; a line that breaks off is cut off. Blocks on the disk.
    pub(super) fn open(dir: &Path) -> io::Result<(Self, Vec<Line>)> {
        let path = dir.join(FILE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let (mut lines, mut sound) = (Vec::new(), 0_u64);
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let Some(read) = line
                .strip_suffix(b"\n")
                .and_then(|line| serde_json::from_slice(line).ok())
            else {
                break;
            };
            lines.push(read);
            sound += line.len() as u64;
        }
        let (file, length) = disk::append(&path)?;
        if length > sound {
            file.set_len(sound)?;
        }
        let file = Some(file);
        Ok((Self { path, file }, lines))
    }

    /// Adds a line. Blocks on the disk.
    pub(super) fn add(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        let mut file = match self.file.take() {
            Some(file) => file,
            None => disk::append(&self.path)?.0,
        };
        let length = file.metadata()?.len();
        if let Err(error) = file.write_all(&text) {
            // Half a line would hide those behind it.
            file.set_len(length)?;
            return Err(error);
        }
        self.file = Some(file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(msn: u64) -> Line {
        let written = Written::new(
            Duration::from_secs(msn),
            Duration::from_secs(msn + 2),
            "#EXTINF:2,\nx\n",
        );
        Line {
            msn,
            sequence: 0,
            tracks: vec![written],
            bytes: 7,
            objects: 1,
            dates: vec![("a".to_owned(), "#EXT-X-DATERANGE:ID=\"a\"\n".to_owned())],
        }
    }

    #[test]
    fn what_is_written_is_read_and_a_torn_line_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, lines) = Journal::open(dir.path()).unwrap();
        assert_eq!(lines, []);
        (1..4).for_each(|msn| journal.add(&line(msn)).unwrap());
        drop(journal);
        let path = dir.path().join(FILE);
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 9]).unwrap();
        let (mut journal, lines) = Journal::open(dir.path()).unwrap();
        assert_eq!(lines, [line(1), line(2)]);
        journal.add(&line(3)).unwrap();
        assert_eq!(Journal::open(dir.path()).unwrap().1, [line(1), line(2), line(3)]);
    }
}
