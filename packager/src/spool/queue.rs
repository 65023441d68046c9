//! From the live path to the spool's thread: a queue with a bound on cells and bytes, whose writers never wait.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use feed::Cue;
use hls::id::{Cell, Msn, StreamId};
use hls::timeline::Share;

use super::entry::Life;
use super::shelf::Shelf;
use crate::encryption::Rule;
use crate::encryption::guard::Seal;
use crate::metrics::SpoolMeter;

/// Most cells that wait for the disk: at two a second and stream, 64 streams have 16 s.
const CELLS_MAX: usize = 2_048;

/// A disk that comes and goes must not fill the log.
const WARNING_PAUSE: Duration = Duration::from_secs(10);

/// When something was last said.
#[derive(Debug, Default)]
pub(super) struct Warnings(Option<Instant>);

impl Warnings {
    /// Whether it may be said again.
    pub(super) fn may(&mut self, now: Instant) -> bool {
        let may = self
            .0
            .is_none_or(|said| now.duration_since(said) >= WARNING_PAUSE);
        if may {
            self.0 = Some(now);
        }
        may
    }
}

/// A published cell on its way to disk.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) life: Arc<Life>,
    /// What happened in the programme since the cell before.
    pub(crate) cues: Vec<Cue>,
    /// Pictures that came since the cell before; they go with it where it is left out.
    pub(crate) pictures: Vec<(Msn, Bytes)>,
    pub(crate) cell: Cell,
    /// The key its bytes are under; none where they are clear.
    pub(crate) seal: Option<Seal>,
    pub(crate) available_us: u64,
    pub(crate) parts: Vec<(Share, Option<Bytes>)>,
}

impl Job {
    fn bytes(&self) -> usize {
        let parts = self.parts.iter().filter_map(|(_, bytes)| bytes.as_ref());
        let pictures = self.pictures.iter().map(|(_, jpeg)| jpeg);
        parts.chain(pictures).map(Bytes::len).sum()
    }
}

/// What the spool's thread is told.
pub(super) enum Order {
    Keep(Box<Job>),
    /// An event is over: look.
    Look,
    Stop,
}

/// The live path's end of the queue.
pub(crate) struct Spool {
    root: PathBuf,
    rule: Arc<Rule>,
    sender: SyncSender<Order>,
    depth: Arc<Depth>,
    bytes_max: usize,
    is_archived: bool,
    /// Cells are being left out now; said once, and no more often than the pause between warnings allows.
    full: AtomicBool,
    warnings: Mutex<Warnings>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What waits in the queue.
#[derive(Debug)]
pub(super) struct Depth {
    bytes: AtomicUsize,
    meter: SpoolMeter,
}

impl Depth {
    fn change(&self, change: impl FnOnce(&AtomicUsize) -> usize) {
        let bytes = change(&self.bytes);
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        self.meter.queue_bytes.set(bytes as f64);
    }
}

/// The thread's end of the queue.
pub(super) struct Orders {
    receiver: Receiver<Order>,
    depth: Arc<Depth>,
}

impl Orders {
    /// The next order; [`Order::Look`] after `patience`, and [`Order::Stop`] once nobody is left to give any.
    pub(super) fn next(&self, patience: Duration) -> Order {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        match self.receiver.recv_timeout(patience) {
            Ok(Order::Keep(job)) => {
                let bytes = job.bytes();
                self.depth
                    .change(|all| all.fetch_sub(bytes, Ordering::AcqRel).saturating_sub(bytes));
                Order::Keep(job)
            }
            Ok(order) => order,
            Err(Timeout) => Order::Look,
            Err(Disconnected) => Order::Stop,
        }
    }
}

impl Spool {
    /// A queue of at most `bytes_max` whose other end `work` reads, on a thread of its own.
    pub(super) fn start(
        (root, rule): (PathBuf, Arc<Rule>),
        bytes_max: usize,
        meter: SpoolMeter,
        work: impl FnOnce(Orders) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(CELLS_MAX);
        let depth = Arc::new(Depth {
            bytes: AtomicUsize::new(0),
            meter,
        });
        let orders = Orders {
            receiver,
            depth: Arc::clone(&depth),
        };
        let thread = std::thread::Builder::new().name("spool".to_owned());
        let thread = thread.spawn(move || work(orders))?;
        Ok(Self {
            root,
            rule,
            sender,
            depth,
            bytes_max,
            is_archived: false,
            full: AtomicBool::new(false),
            warnings: Mutex::default(),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The same for events that are archived.
    pub(super) fn archived(self, is_archived: bool) -> Self {
        Self { is_archived, ..self }
    }

    /// The place of a new event.
    pub(crate) fn shelf(&self, stream: &StreamId, event: Cell) -> Arc<Shelf> {
        let rule = Arc::clone(&self.rule);
        let shelf = Shelf::new(&self.root, stream.clone(), event, rule);
        Arc::new(shelf.archived(self.is_archived))
    }

    /// Hands a cell over; gives its cues back where the queue is full, and the spool goes without the cell.
    pub(crate) fn keep(&self, job: Job) -> Result<(), Vec<Cue>> {
        let bytes = job.bytes();
        let held = self.depth.bytes.load(Ordering::Acquire);
        if held > 0 && held.saturating_add(bytes) > self.bytes_max {
            return Err(self.refuse(job));
        }
        self.depth
            .change(|all| all.fetch_add(bytes, Ordering::AcqRel) + bytes);
        match self.sender.try_send(Order::Keep(Box::new(job))) {
            Ok(()) => {
                self.full.store(false, Ordering::Release);
                Ok(())
            }
            Err(TrySendError::Full(order) | TrySendError::Disconnected(order)) => {
                self.depth
                    .change(|all| all.fetch_sub(bytes, Ordering::AcqRel).saturating_sub(bytes));
                Err(match order {
                    Order::Keep(job) => self.refuse(*job),
                    Order::Look | Order::Stop => Vec::new(),
                })
            }
        }
    }

    fn refuse(&self, job: Job) -> Vec<Cue> {
        self.depth.meter.left_out_queue.increment(1);
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.full.swap(true, Ordering::AcqRel) && warnings.may(Instant::now()) {
            tracing::warn!(stream = %job.shelf.stream, cell = %job.cell, "the disk is too slow: cells are left out of the spool");
        }
        job.cues
    }

    /// Has the thread look after an event that is over; it does so by itself within a second.
    pub(crate) fn look(&self) {
        // With the queue full it comes to it a little later.
        let _later_is_fine = self.sender.try_send(Order::Look);
    }

    /// Writes what is in the queue and ends. Blocks on the disk.
    pub(crate) fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        if self.sender.send(Order::Stop).is_err() || thread.join().is_err() {
            tracing::error!("the spool's thread ended by itself");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::samples::{cue, life};

    fn nowhere() -> (PathBuf, Arc<Rule>) {
        (PathBuf::new(), Arc::default())
    }

    fn job(spool: &Spool, cell: u64, bytes: usize) -> Job {
        let share = Share::Media {
            duration: Duration::from_millis(500),
            independent: true,
            offset: Duration::ZERO,
        };
        Job {
            shelf: spool.shelf(&StreamId::new("main").unwrap(), Cell(1)),
            life: Arc::new(life(Cell(1))),
            cues: vec![cue("spot")],
            pictures: Vec::new(),
            cell: Cell(cell),
            seal: None,
            available_us: 0,
            parts: vec![(share, Some(vec![0; bytes].into()))],
        }
    }

    #[test]
    fn a_disk_that_hangs_costs_a_bounded_queue_and_no_time() {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (say, done) = std::sync::mpsc::channel();
        let work = move |orders: Orders| {
            wait.recv().unwrap();
            while let Order::Keep(job) = orders.next(Duration::from_millis(50)) {
                say.send(job.cell.0).unwrap();
            }
        };
        let spool = Spool::start(nowhere(), 1_000, SpoolMeter::new(), work).unwrap();
        let kept: Vec<u64> = (0..5)
            .filter(|cell| spool.keep(job(&spool, *cell, 300)).is_ok())
            .collect();
        assert_eq!(kept, [0, 1, 2], "1000 bytes and no more");
        let back = spool.keep(job(&spool, 5, 300)).unwrap_err();
        assert_eq!(
            back,
            [cue("spot")],
            "what it says of the programme comes with a later cell"
        );
        assert!(spool.full.load(Ordering::Acquire));
        go.send(()).unwrap();
        assert_eq!(done.iter().collect::<Vec<_>>(), kept);
        assert_eq!(spool.depth.bytes.load(Ordering::Acquire), 0);
        spool.stop();
    }

    #[test]
    fn a_cell_larger_than_the_queue_is_kept_where_nothing_waits() {
        let work = |orders: Orders| while let Order::Keep(_) = orders.next(Duration::from_secs(1)) {};
        let spool = Spool::start(nowhere(), 100, SpoolMeter::new(), work).unwrap();
        assert!(spool.keep(job(&spool, 0, 300)).is_ok());
        spool.stop();
    }

    #[test]
    fn a_disk_that_comes_and_goes_is_warned_of_now_and_then() {
        let (mut warnings, now) = (Warnings::default(), Instant::now());
        let said: Vec<u64> = (0..25)
            .filter(|s| warnings.may(now + Duration::from_secs(*s)))
            .collect();
        assert_eq!(said, [0, 10, 20]);
    }

    #[test]
    fn cells_have_a_bound_too() {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let work = move |_: Orders| wait.recv().unwrap();
        let spool = Spool::start(nowhere(), usize::MAX, SpoolMeter::new(), work).unwrap();
        let one = || spool.keep(job(&spool, 0, 0)).is_ok();
        assert_eq!((0..CELLS_MAX + 9).filter(|_| one()).count(), CELLS_MAX);
        go.send(()).unwrap();
    }
}
