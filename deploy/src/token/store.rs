//! The file of token keys under its lock: read, changed, written whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use gate::token::{Entry, File, Keys};

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
        let lock = data::lock_beside(path, "ringside token key")?;
        Ok(Self {
            file: Self::read(path)?,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Reads without the lock: what stands there is whole at any time.
    pub(super) fn read(path: &Path) -> Result<File, Failure> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(File::default()),
            Err(error) => {
                return Err(anyhow::Error::from(error)
                    .context(path.display().to_string())
                    .into());
            }
        };
        let file = File::parse(&text).and_then(|file| Keys::new(&file).map(|_| file));
        file.map_err(|error| {
            let path = path.display();
            Failure::Usage(format!(
                "ringside: the token keys cannot be used\n  {path}: {error}"
            ))
        })
    }

    pub(super) fn keys(&mut self) -> &mut Vec<Entry> {
        &mut self.file.key
    }

    pub(super) fn write(self) -> anyhow::Result<()> {
        data::write(&self.path, &toml::to_string(&self.file)?)
    }
}
