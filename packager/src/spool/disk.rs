//! Files of the spool: readable by their owner alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hls::id::{Cell, Msn};

/// Version of what is on disk; an event of another one is not gone on with.
pub(crate) const VERSION: u32 = 3;

pub(crate) const HEADER: &str = "event.json";
const LOCK: &str = ".lock";
/// Stands in an event's directory once all of it is in the archive.
const ARCHIVED: &str = "archived";

/// How long the spool of a packager that is just ending is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// What stands in `event.json`.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) stream: String,
    /// Its first cell.
    pub(crate) event: u64,
    /// Length of a cell, seconds.
    pub(crate) cell_s: f64,
    /// Length of a segment, seconds.
    pub(crate) segment_s: f64,
    /// Its tracks, as URLs name them.
    pub(crate) tracks: Vec<String>,
    /// The feed has said so.
    pub(crate) ended: bool,
}

pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// The right to write below `root`; an error while another process has it.
pub(crate) fn lock(root: &Path) -> io::Result<File> {
    let since = Instant::now();
    loop {
        match try_lock(root)? {
            Some(lock) => return Ok(lock),
            None if since.elapsed() < LOCK_WAIT => std::thread::sleep(Duration::from_millis(20)),
            None => return Err(io::Error::other("another packager writes there")),
        }
    }
}

/// The same at once; none while another process has it.
pub(crate) fn try_lock(root: &Path) -> io::Result<Option<File>> {
    make_dir(root)?;
    let file = options().open(root.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// A file to append to, and its length.
pub(crate) fn append(path: &Path) -> io::Result<(File, u64)> {
    let file = options().append(true).open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

pub(crate) fn write_header(dir: &Path, header: &Header) -> io::Result<()> {
    let draft = dir.join(".event.draft");
    let mut file = options().truncate(true).open(&draft)?;
    file.write_all(&serde_json::to_vec_pretty(header)?)?;
    fs::rename(&draft, dir.join(HEADER))
}

pub(crate) fn read_header(dir: &Path) -> io::Result<Header> {
    let bytes = fs::read(dir.join(HEADER))?;
    let header: Header = serde_json::from_slice(&bytes)?;
    if header.version == VERSION {
        Ok(header)
    } else {
        Err(io::Error::other(format!(
            "version {} (want {VERSION})",
            header.version
        )))
    }
}

/// Whether all of an event is in the archive.
pub(crate) fn is_archived(dir: &Path) -> bool {
    dir.join(ARCHIVED).exists()
}

pub(crate) fn set_archived(dir: &Path) -> io::Result<()> {
    options().open(dir.join(ARCHIVED)).map(drop)
}

pub(crate) fn segment(dir: &Path, msn: Msn) -> PathBuf {
    dir.join(format!("seg-{msn}"))
}

pub(crate) fn picture(dir: &Path, msn: Msn) -> PathBuf {
    dir.join(format!("thumb-{msn}"))
}

/// A picture is on disk as a whole or not at all.
pub(crate) fn write_picture(dir: &Path, msn: Msn, jpeg: &[u8]) -> io::Result<()> {
    let draft = dir.join(".thumb.draft");
    let mut file = options().truncate(true).open(&draft)?;
    file.write_all(jpeg)?;
    fs::rename(&draft, picture(dir, msn))
}

/// Named so that their order by name is their order in time.
pub(crate) fn journal(dir: &Path, first: Cell) -> PathBuf {
    dir.join(format!("journal-{:020}", first.0))
}

/// What a file of an event is.
pub(crate) enum Named {
    Segment(Msn),
    Journal(Cell),
    Picture(Msn),
    Other,
}

pub(crate) fn named(name: &str) -> Named {
    let number = |prefix| name.strip_prefix(prefix)?.parse::<u64>().ok();
    match (number("seg-"), number("journal-"), number("thumb-")) {
        (Some(msn), _, _) => Named::Segment(Msn(msn)),
        (_, Some(cell), _) => Named::Journal(Cell(cell)),
        (_, _, Some(msn)) => Named::Picture(Msn(msn)),
        (None, None, None) => Named::Other,
    }
}

/// Names and lengths of a directory's files.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.metadata()?.len()));
        }
    }
    Ok(found)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}
