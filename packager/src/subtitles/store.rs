//! Cues on disk, one JSON object a line, so that a restart gives the same segments.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hls::id::{Msn, StreamId};
use hls::vtt::Cue;
use serde::{Deserialize, Serialize};

use super::book::Kept;

/// What a file may grow to before it is written anew with what is still known, bytes. What is read of it at most.
const FILE_BYTES_MAX: u64 = 64 << 20;
const SUFFIX: &str = ".jsonl";

/// One track's file.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    file: Option<(File, u64)>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    start_ms: u64,
    end_ms: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    settings: String,
    text: String,
    from: u64,
}

/// A track's file; ids have no dots.
pub(super) fn name(stream: &StreamId, track: &str) -> String {
    format!("{stream}.{track}{SUFFIX}")
}

/// What all files have, by their names.
pub(super) fn read_all(dir: &Path) -> BTreeMap<String, Vec<Kept>> {
    let Ok(entries) = fs::read_dir(dir) else {
        return BTreeMap::new();
    };
    let mut found = BTreeMap::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with(SUFFIX) {
            continue;
        }
        match read(&entry.path()) {
            Ok(kept) => drop(found.insert(name, kept)),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    file = name,
                    error,
                    "subtitles of an earlier process cannot be read"
                );
            }
        }
    }
    found
}

/// Lines that are whole; the last one may have been cut.
fn read(path: &Path) -> io::Result<Vec<Kept>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(FILE_BYTES_MAX)))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    let lines = bytes.split(|byte| *byte == b'\n');
    let lines = lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok());
    let kept = lines.map(|line| Kept {
        cue: Cue {
            start: Duration::from_millis(line.start_ms),
            end: Duration::from_millis(line.end_ms),
            settings: line.settings,
            text: line.text,
        },
        from: Msn(line.from),
    });
    Ok(kept.filter(|kept| kept.cue.mistakes().is_empty()).collect())
}

fn text(kept: &[Kept]) -> io::Result<String> {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let mut out = String::new();
    for Kept { cue, from } in kept {
        let line = Line {
            start_ms: ms(cue.start),
            end_ms: ms(cue.end),
            settings: cue.settings.clone(),
            text: cue.text.clone(),
            from: from.0,
        };
        out += &serde_json::to_string(&line)?;
        out.push('\n');
    }
    Ok(out)
}

impl Store {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// Adds cues, or writes `all` that are known anew.
    pub(super) fn append(&mut self, new: &[Kept], all: impl FnOnce() -> Vec<Kept>) -> io::Result<()> {
        if new.is_empty() {
            return Ok(());
        }
        let (mut file, length) = match self.file.take() {
            Some(open) => open,
            None => open(&self.path)?,
        };
        if length > FILE_BYTES_MAX {
            let fresh = self.path.with_extension("new");
            fs::write(&fresh, text(&all())?)?;
            fs::rename(&fresh, &self.path)?;
            return Ok(());
        }
        let text = text(new)?;
        file.write_all(text.as_bytes())?;
        self.file = Some((file, length + text.len() as u64));
        Ok(())
    }
}

/// A line that was cut by a crash must not swallow the next one.
fn open(path: &Path) -> io::Result<(File, u64)> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let length = file.metadata()?.len();
    if length > 0 {
        file.write_all(b"\n")?;
    }
    Ok((file, length))
}
