//! Follows the keys file: once a second a look at its state, and a reading where that has changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::file::{Error, File, Found, Mark};
use super::{Holders, Keys, now};
use crate::metrics;

/// A change is in force, and its publishers closed, within twice this.
const EVERY: Duration = Duration::from_secs(1);

/// What a reading gave.
type Read = Result<Option<Found>, Error>;

/// The file and the keys that follow it.
#[derive(Debug)]
pub(crate) struct Watch {
    path: PathBuf,
    keys: Keys,
    metrics: metrics::Keys,
    /// As it was when it was last read, well or not.
    seen: Option<Mark>,
}

impl Watch {
    /// Reads the file for the first time; one that makes no sense is a mistake, one that is not there is none.
    pub(crate) fn open(path: &Path, keys: Keys) -> Result<Self, Error> {
        let mut watch = Self {
            path: path.to_owned(),
            keys,
            metrics: metrics::Keys::new(),
            seen: None,
        };
        if let Some(found) = File::read(path)? {
            watch.take(&found);
        }
        Ok(watch)
    }

    /// Follows the file until `stop`. A state that cannot be read leaves the keys as they were.
    pub(crate) async fn run(mut self, holders: Holders, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            let (path, seen) = (self.path.clone(), self.seen);
            let looked = tokio::task::spawn_blocking(move || look(&path, seen)).await;
            // A reader that panicked is as good as a file that cannot be read.
            if let Ok(Some((mark, read))) = looked {
                self.follow(mark, read);
            }
            // Asked anew each time: whoever was on the way in while the key went is found a second later.
            let dismissed = holders.dismiss(|id| self.keys.disconnects(id));
            self.metrics.disconnected.increment(dismissed);
        }
    }

    fn follow(&mut self, mark: Option<Mark>, read: Read) {
        match read {
            Ok(Some(found)) => {
                let keys = self.take(&found);
                let path = self.path.display();
                self.metrics.reloads.increment(1);
                tracing::info!(file = %path, keys, "stream keys read again");
            }
            Ok(None) => {
                self.metrics.reloads_failed.increment(1);
                let path = self.path.display();
                tracing::warn!(file = %path, "the keys file is gone; its keys stay in force until the next start");
            }
            Err(error) => {
                self.metrics.reloads_failed.increment(1);
                tracing::warn!(%error, "the keys file cannot be used; the keys before stay in force");
            }
        }
        self.seen = mark;
    }

    fn take(&mut self, found: &Found) -> usize {
        if found.open_to_others {
            let path = self.path.display();
            tracing::warn!(file = %path, "others may read the keys file; chmod 600 keeps its passphrases secret");
        }
        self.seen = Some(found.mark);
        let usable = self.keys.replace(&found.file, now());
        // Counts of keys are far below where a float loses whole numbers.
        self.metrics
            .keys
            .set(u32::try_from(usable).map_or(f64::MAX, f64::from));
        usable
    }
}

/// What has changed since `seen`: the new state, and what stands there.
fn look(path: &Path, seen: Option<Mark>) -> Option<(Option<Mark>, Read)> {
    // What cannot be asked for its state can even less be read, which says why.
    let mark = std::fs::metadata(path).ok().map(|metadata| Mark::of(&metadata));
    (mark != seen).then(|| (mark, File::read(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::file::Hash;

    #[test]
    fn a_state_that_cannot_be_read_leaves_the_keys_and_is_reported_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.toml");
        let keys = Keys::default();
        let mut watch = Watch::open(&path, keys.clone()).unwrap();
        let opens = |key| keys.grant(key, now()).is_ok();
        let mut step = || {
            let changed = look(&path, watch.seen);
            let seen = changed.is_some();
            changed
                .into_iter()
                .for_each(|(mark, read)| watch.follow(mark, read));
            seen
        };
        let entry = |secret: &str| {
            format!(
                "[[key]]\nid = \"0123abcd\"\nstream = \"main\"\nhash = \"{}\"\ncreated = {}\n",
                Hash::of(secret),
                now()
            )
        };
        assert!(!step(), "no file, no change");
        std::fs::write(&path, entry("one")).unwrap();
        assert!(step() && opens("one") && !step());
        std::fs::write(&path, "[[key]]\nhash = 1\n").unwrap();
        assert!(step() && opens("one") && !step());
        std::fs::write(&path, entry("two")).unwrap();
        assert!(step() && opens("two") && !opens("one"));
        std::fs::remove_file(&path).unwrap();
        assert!(step() && opens("two") && !step());
        std::fs::write(&path, "").unwrap();
        assert!(step() && !opens("two"));
    }

    #[test]
    fn a_file_that_makes_no_sense_is_named_at_the_start() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[[key]]\nid = 5\n").unwrap();
        let error = Watch::open(file.path(), Keys::default()).unwrap_err().to_string();
        assert!(
            error.contains(":2: id: ") && error.contains(file.path().to_str().unwrap()),
            "{error}"
        );
    }
}
