//! What is kept between runs, in `data.dir`: readable by its owner alone, written whole or not at all.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// File of the key that `up` makes for itself.
pub(crate) const STREAM_KEY: &str = "stream-key";

/// Locked while something is made that is made once.
const LOCK: &str = ".lock";

/// How long another command may hold the lock of a file before this one gives up.
#[cfg(any(feature = "ingest", feature = "edge"))]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// The directory.
#[derive(Debug, Clone)]
pub(crate) struct Data(PathBuf);

impl Data {
    /// Opens the directory, made on first use.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.with_context(|| format!("data.dir {} cannot be made", dir.display()))?;
        let dir = dir
            .canonicalize()
            .with_context(|| format!("data.dir {}", dir.display()))?;
        Ok(Self(dir))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }

    /// The stream key of `up`: made on the first run, the same ever after.
    pub(crate) fn stream_key(&self) -> anyhow::Result<String> {
        let _made_by_one = self.lock()?;
        let path = self.0.join(STREAM_KEY);
        match fs::read_to_string(&path) {
            Ok(key) if !key.trim().is_empty() => Ok(key.trim().to_owned()),
            Ok(_) => anyhow::bail!("{} is empty; delete it to get a new key", path.display()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = secret(12)?;
                self.write(STREAM_KEY, &format!("{key}\n"))?;
                Ok(key)
            }
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Held by whoever makes what is made once: roles that start together may share this directory.
    pub(crate) fn lock(&self) -> anyhow::Result<fs::File> {
        let path = self.0.join(LOCK);
        let held = || {
            let mut options = fs::OpenOptions::new();
            let file = options
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)?;
            same_owner(&path)?;
            file.lock()?;
            Ok::<_, std::io::Error>(file)
        };
        held().with_context(|| format!("{} cannot be locked", path.display()))
    }

    /// Writes a file of this directory by rename.
    pub(crate) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        write(&self.0.join(name), text)
    }

    /// Removes a file of this directory, if it is there.
    pub(crate) fn remove(&self, name: &str) {
        match fs::remove_file(self.0.join(name)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(name, %error, "not removed"),
        }
    }
}

/// Writes a file by rename. Two at once need a lock.
pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".draft");
    let draft = PathBuf::from(draft);
    let write = || -> std::io::Result<()> {
        // One that was left by a crash may belong to somebody else, and so be open to them.
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&draft)?;
        same_owner(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

/// Gives a file of root's to the owner of its directory: an administrator writes what a service has to read.
pub(crate) fn same_owner(path: &Path) -> std::io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let (dir, file) = (fs::metadata(dir.unwrap_or(Path::new(".")))?, fs::metadata(path)?);
    if file.uid() != 0 || dir.uid() == 0 {
        return Ok(());
    }
    std::os::unix::fs::chown(path, Some(dir.uid()), Some(dir.gid()))
}

/// Waits for the lock of a file that a command is about to change, whose directory is made; `command` is who else may
/// hold it.
#[cfg(any(feature = "ingest", feature = "edge"))]
pub(crate) fn lock_beside(path: &Path, command: &str) -> anyhow::Result<fs::File> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or(Path::new("."));
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("{} cannot be made", dir.display()))?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options
        .open(&beside)
        .with_context(|| beside.display().to_string())?;
    same_owner(&beside)?;
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) if std::time::Instant::now() < deadline => {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            Err(fs::TryLockError::WouldBlock) => {
                anyhow::bail!(
                    "another `{command}` holds {} since {} s",
                    beside.display(),
                    PATIENCE.as_secs()
                )
            }
            Err(fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| beside.display().to_string());
            }
        }
    }
}

/// Random bytes as lower-case hexadecimal: easy to read out, and the same in every URL and shell.
pub(crate) fn secret(bytes: usize) -> anyhow::Result<String> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).context("the system has no randomness")?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_key_is_made_once_and_kept_from_others() {
        let dir = tempfile::tempdir().unwrap();
        let data = Data::open(&dir.path().join("a/b")).unwrap();
        let key = data.stream_key().unwrap();
        assert_eq!((key.len(), &key), (24, &data.stream_key().unwrap()));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&data.dir().join("stream-key")), mode(data.dir())),
            (0o600, 0o700)
        );
    }

    #[test]
    fn roles_that_start_together_have_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let data = Data::open(dir.path()).unwrap();
        let start = std::sync::Barrier::new(8);
        let keys: Vec<String> = std::thread::scope(|scope| {
            let made = || {
                start.wait();
                data.stream_key().unwrap()
            };
            let all: Vec<_> = (0..8).map(|_| scope.spawn(made)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    }

    #[test]
    fn a_file_where_the_directory_should_be_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Data::open(file.path()).unwrap_err();
        assert!(format!("{error:#}").contains("data.dir"), "{error:#}");
    }
}
