//! One publisher as its owner sees it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;

use crate::ffi::{Socket, Stats};

/// Where the bytes of one connection go. Called on the reader thread of the listener, which serves every connection:
/// it must not block.
pub trait Sink: Send {
    /// Takes bytes, in order: whole messages of the caller, as many as were due, at most 64 KiB.
    fn data(&mut self, bytes: Bytes) -> Flow;

    /// Nothing will follow. Called once, and last.
    fn end(&mut self, end: End);
}

/// What a sink did with the bytes.
#[derive(Debug)]
pub enum Flow {
    /// Took them.
    Taken,
    /// Has no room. They are offered again, first after 10 ms; meanwhile libsrt buffers what arrives.
    Full(Bytes),
    /// Wants no more; the connection is closed.
    Close,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The caller closed it. (A caller so much out of step that libsrt gives it up looks the same.)
    Caller,
    /// No data arrived during the idle timeout before the end: it died, or its path did.
    Idle,
    /// libsrt would not read on.
    Broken,
    /// The owner closed it, or its sink panicked.
    Owner,
    /// The sink was full for too long.
    Stalled,
    /// The listener was closed.
    Listener,
}

/// A handle to an accepted connection; clones are the same connection. Dropping it closes nothing.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    socket: Socket,
    peer: SocketAddr,
    /// False as soon as the listener lets go of libsrt. Held for reading during each call into it.
    open: Arc<RwLock<bool>>,
    closing: AtomicBool,
    seen: Mutex<Stats>,
}

impl Connection {
    pub(crate) fn new(socket: Socket, peer: SocketAddr, open: Arc<RwLock<bool>>) -> Self {
        Self(Arc::new(Inner {
            socket,
            peer,
            open,
            closing: AtomicBool::new(false),
            seen: Mutex::default(),
        }))
    }

    /// Address of the caller.
    pub fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// Counters as of now; after the end, as of at most 250 ms before it.
    pub fn stats(&self) -> Stats {
        let open = self.0.open.read().unwrap_or_else(PoisonError::into_inner);
        let fresh = open.then(|| self.0.socket.stats()).flatten();
        drop(open);
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fresh) = fresh {
            *seen = fresh;
        }
        *seen
    }

    /// Asks the reader to close it, which it does within some 20 ms; the sink hears [`End::Owner`].
    pub fn close(&self) {
        self.0.closing.store(true, Ordering::Relaxed);
    }

    pub(crate) fn socket(&self) -> Socket {
        self.0.socket
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.0.closing.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Connection({})", self.0.peer)
    }
}
