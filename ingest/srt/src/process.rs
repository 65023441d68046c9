//! What libsrt keeps once per process: its threads, and what must happen before the process may end.
//!
//! libsrt's static destructors wait for ever if one of our threads is inside it when `exit` runs them. So the readers
//! are registered here, and told to end before that.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, Once, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::{ffi, log};

/// How long the end of the process waits for the readers; then it ends without libsrt's destructors.
const EXIT_WAIT: Duration = Duration::from_millis(1500);

static STARTS: Mutex<usize> = Mutex::new(0);
static READERS: Mutex<Vec<Weak<Life>>> = Mutex::new(Vec::new());
static EXITING: AtomicBool = AtomicBool::new(false);

thread_local! {
    static INSIDE: Cell<Inside> = const { Cell::new(Inside::Nothing) };
}

/// Which of our threads this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inside {
    /// Not one of ours.
    Nothing,
    /// A reader.
    Reader,
    /// libsrt's receive thread, in a hook.
    Hook,
}

/// Says which thread this is.
pub(crate) fn enter(inside: Inside) {
    INSIDE.set(inside);
}

/// The life of one reader thread, as others see it.
#[derive(Default)]
pub(crate) struct Life {
    stop: AtomicBool,
    ended: Mutex<bool>,
    changed: Condvar,
}

impl Life {
    /// A life the end of the process knows of; `None` when it has begun to end.
    pub(crate) fn register() -> Option<Arc<Self>> {
        let mut readers = lock(&READERS);
        if EXITING.load(Ordering::SeqCst) {
            return None;
        }
        readers.retain(|reader| reader.strong_count() > 0);
        let life = Arc::new(Self::default());
        readers.push(Arc::downgrade(&life));
        Some(life)
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Said by the reader when nothing of it is inside libsrt any more.
    pub(crate) fn end(&self) {
        *lock(&self.ended) = true;
        self.changed.notify_all();
    }

    /// Whether it ended within `wait`; at once when called on a reader or in a hook, which cannot wait for themselves.
    pub(crate) fn wait(&self, wait: Duration) -> bool {
        let ended = lock(&self.ended);
        if INSIDE.get() != Inside::Nothing {
            return *ended;
        }
        let (ended, _) = self
            .changed
            .wait_timeout_while(ended, wait, |ended| !*ended)
            .unwrap_or_else(PoisonError::into_inner);
        *ended
    }
}

/// libsrt, started; the last one to go ends its threads and frees its ports.
pub(crate) struct Running(());

impl Running {
    pub(crate) fn start() -> Result<Self, ffi::Failure> {
        static AT_EXIT: Once = Once::new();
        let mut starts = lock(&STARTS);
        if *starts == 0 {
            log::take_over();
            ffi::startup()?;
            AT_EXIT.call_once(ffi::at_exit);
        }
        *starts += 1;
        Ok(Self(()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut starts = lock(&STARTS);
        *starts -= 1;
        if *starts == 0 {
            ffi::cleanup();
        }
    }
}

/// Ends every reader, and with the last one libsrt.
pub(crate) fn before_exit(status: i32) {
    EXITING.store(true, Ordering::SeqCst);
    let readers: Vec<_> = lock(&READERS).iter().filter_map(Weak::upgrade).collect();
    for reader in &readers {
        reader.stop();
    }
    let deadline = Instant::now() + EXIT_WAIT;
    let all = readers
        .iter()
        .all(|reader| reader.wait(deadline.saturating_duration_since(Instant::now())));
    if !all {
        ffi::exit_now(status);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
