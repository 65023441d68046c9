//! What operators ask of a stream, and what they are told of it.

use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use feed::Cue;
use hls::time::Grid;

use crate::interstitials::Book;
use crate::onair::{Choice, Shown};
use crate::report::{Order, Output, Unfit};

/// Orders that may wait for a tick.
const ORDERS_MAX: usize = 16;
/// A larger thumbnail is not kept.
const THUMBNAIL_BYTES_MAX: usize = 256 << 10;

/// What operators ask for, and what they are told; no tick waits for it.
#[derive(Debug, Default)]
pub(crate) struct State {
    shown: Mutex<(Choice, Option<Shown>)>,
    output: Mutex<Output>,
    thumbnail: Mutex<Option<Bytes>>,
    orders: Mutex<Vec<Order>>,
    interstitials: Mutex<Book>,
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

    /// Keeps an order for the next tick.
    pub(crate) fn order(&self, order: Order) -> Result<(), Unfit> {
        let mut orders = self.orders();
        if orders.len() >= ORDERS_MAX {
            return Err(Unfit::Full);
        }
        orders.push(order);
        Ok(())
    }

    /// What was ordered since the last call, for a programme whose next frame is `now`.
    pub(crate) fn take_orders(&self, grid: &Grid, now: u64) -> Vec<Cue> {
        let orders = std::mem::take(&mut *self.orders());
        // They were fit when they were taken.
        let cues = orders.iter().filter_map(|order| order.cue(grid, now).ok());
        cues.chain(self.interstitials().take(now)).collect()
    }

    /// What was ordered of interstitials.
    pub(crate) fn interstitials(&self) -> MutexGuard<'_, Book> {
        self.interstitials
            .lock()
            .expect("nothing panics while it holds the book")
    }

    fn orders(&self) -> MutexGuard<'_, Vec<Order>> {
        self.orders
            .lock()
            .expect("nothing panics while it holds the orders")
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
