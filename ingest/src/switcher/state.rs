//! What operators ask of a stream, and what they are told of it.

use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;

use crate::onair::{Choice, Shown};
use crate::report::Output;

/// A larger thumbnail is not kept.
const THUMBNAIL_BYTES_MAX: usize = 256 << 10;

/// What operators ask for, and what they are told; no tick waits for it.
#[derive(Debug, Default)]
pub(crate) struct State {
    shown: Mutex<(Choice, Option<Shown>)>,
    output: Mutex<Output>,
    thumbnail: Mutex<Option<Bytes>>,
}

impl State {
    pub(crate) fn choose(&self, choice: Choice) {
        self.lock().0 = choice;
    }

    pub(crate) fn choice(&self) -> Choice {
        self.lock().0
    }

    /// None before the first tick.
    pub(crate) fn shown(&self) -> Option<Shown> {
        self.lock().1
    }

    /// As of some frames ago.
    pub(crate) fn output(&self) -> Output {
        *self
            .output
            .lock()
            .expect("nothing panics while it holds some numbers")
    }

    /// The latest picture as JPEG.
    pub(crate) fn thumbnail(&self) -> Option<Bytes> {
        self.thumbnails().clone()
    }

    pub(crate) fn keep_thumbnail(&self, jpeg: Bytes) {
        if jpeg.len() <= THUMBNAIL_BYTES_MAX {
            *self.thumbnails() = Some(jpeg);
        } else {
            tracing::warn!(bytes = jpeg.len(), "thumbnail too large, the one before is kept");
        }
    }

    fn thumbnails(&self) -> MutexGuard<'_, Option<Bytes>> {
        self.thumbnail
            .lock()
            .expect("nothing panics while it holds a thumbnail")
    }

    pub(crate) fn report(&self, output: Output) {
        *self
            .output
            .lock()
            .expect("nothing panics while it holds some numbers") = output;
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, (Choice, Option<Shown>)> {
        self.shown
            .lock()
            .expect("nothing panics while it holds two small values")
    }
}
