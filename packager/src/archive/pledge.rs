//! Between the spool and the archive: which segments must stay on disk because the store does not have them yet.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hls::id::Msn;
use tokio::sync::watch;

use crate::spool::Shelf;

/// What the spool keeps for the archive, by an event's directory.
#[derive(Debug, Default)]
pub(crate) struct Pledges {
    events: Mutex<BTreeMap<PathBuf, Pledge>>,
    changed: watch::Sender<()>,
}

/// One event that is not wholly in the store.
#[derive(Debug, Clone)]
pub(crate) struct Pledge {
    /// The event where it is held in memory; one of an earlier process is read when its turn comes.
    pub(crate) shelf: Option<Arc<Shelf>>,
    /// First segment that the store does not have.
    pub(crate) from: Msn,
    /// Nothing will be added to it.
    pub(crate) is_past: bool,
}

impl Pledges {
    /// An event whose segments are all to be kept; one that is known stays as it is.
    pub(crate) fn open(&self, dir: &Path, shelf: Option<&Arc<Shelf>>) {
        let mut events = self.lock();
        let pledge = events.entry(dir.to_owned()).or_insert(Pledge {
            shelf: None,
            from: Msn(0),
            is_past: shelf.is_none(),
        });
        if let Some(shelf) = shelf {
            pledge.shelf = Some(Arc::clone(shelf));
            pledge.is_past = false;
        }
        drop(events);
        self.changed.send_replace(());
    }

    /// First segment of the event that has to stay; none where all may go.
    pub(crate) fn from(&self, dir: &Path) -> Option<Msn> {
        self.lock().get(dir).map(|pledge| pledge.from)
    }

    /// The store has everything before `next`.
    pub(crate) fn advance(&self, dir: &Path, next: Msn) {
        if let Some(pledge) = self.lock().get_mut(dir) {
            pledge.from = pledge.from.max(next);
        }
    }

    /// Nothing is added to the event any more.
    pub(crate) fn close(&self, dir: &Path) {
        if let Some(pledge) = self.lock().get_mut(dir) {
            pledge.is_past = true;
        }
        self.changed.send_replace(());
    }

    /// Nothing of it has to stay.
    pub(crate) fn settle(&self, dir: &Path) {
        self.lock().remove(dir);
    }

    pub(crate) fn is_past(&self, dir: &Path) -> bool {
        self.lock().get(dir).is_none_or(|pledge| pledge.is_past)
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<(PathBuf, Pledge)> {
        let events = self.lock();
        let all = events.iter();
        all.map(|(dir, pledge)| (dir.clone(), pledge.clone())).collect()
    }

    /// There is something new on disk.
    pub(crate) fn tell(&self) {
        self.changed.send_replace(());
    }

    /// Changes whenever there is.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Pledge>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
