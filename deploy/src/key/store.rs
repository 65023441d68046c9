//! The keys file under its lock: read, changed, written whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ingest::keys::Unix;
use ingest::keys::file::{Entry, File, Id};

use crate::cli::Failure;
use crate::data;

/// The file, and the right to change it until dropped.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    file: File,
    _lock: fs::File,
}

impl Store {
    /// Waits for the lock and reads. A file that makes no sense is left as it is.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let lock = data::lock_beside(path, "ringside key")?;
        Ok(Self {
            file: Self::read(path)?,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Reads without the lock: what stands there is whole at any time.
    pub(super) fn read(path: &Path) -> Result<File, Failure> {
        let unusable = |error| Failure::Usage(format!("ringside: the stream keys cannot be used\n  {error}"));
        let found = File::read(path).map_err(unusable)?;
        Ok(found.map(|found| found.file).unwrap_or_default())
    }

    pub(super) fn keys(&mut self) -> &mut Vec<Entry> {
        &mut self.file.key
    }

    pub(super) fn find(&mut self, id: &Id) -> anyhow::Result<&mut Entry> {
        let path = self.path.display();
        let found = self.file.key.iter_mut().find(|entry| entry.id == *id);
        found.with_context(|| format!("no key {} in {path}; see `ringside key list`", id.as_str()))
    }

    /// Removes keys that were revoked before `before`.
    pub(super) fn forget(&mut self, before: Unix) {
        self.file
            .key
            .retain(|entry| entry.revoked.is_none_or(|at| at >= before));
    }

    pub(super) fn unused_id(&self) -> anyhow::Result<Id> {
        loop {
            let id = Id::new(&data::secret(4)?).context("four bytes are an id")?;
            if self.file.key.iter().all(|entry| entry.id != id) {
                return Ok(id);
            }
        }
    }

    pub(super) fn write(self) -> anyhow::Result<()> {
        data::write(&self.path, &self.file.render())
    }
}
