//! Who may be on air: hands publishers to the switcher, the newest in place of the one before.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use crate::contribution::Contribution;

/// Publishers that may wait for the switcher's next tick; it drains them all at each.
const WAITING_MAX: usize = 16;

/// The connections' side.
#[derive(Debug)]
pub(crate) struct Desk {
    to_switcher: SyncSender<Arc<Contribution>>,
    holder: Mutex<Option<CancellationToken>>,
}

impl Desk {
    /// The desk, and where the switcher finds newcomers.
    pub(crate) fn new() -> (Self, Receiver<Arc<Contribution>>) {
        let (to_switcher, newcomers) = sync_channel(WAITING_MAX);
        (
            Self {
                to_switcher,
                holder: Mutex::default(),
            },
            newcomers,
        )
    }

    /// Lets a publisher in and closes the one before, whose `closed` is cancelled. Gives whether there was one;
    /// none when the switcher takes no more.
    pub(crate) fn enter(&self, contribution: Arc<Contribution>, closed: CancellationToken) -> Option<bool> {
        self.to_switcher.try_send(contribution).ok()?;
        let mut holder = self
            .holder
            .lock()
            .expect("nothing panics while it holds the desk");
        let before = holder.replace(closed).filter(|before| !before.is_cancelled());
        drop(holder);
        if let Some(before) = &before {
            before.cancel();
        }
        Some(before.is_some())
    }
}
