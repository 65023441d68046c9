//! libsrt behind safe functions: every `unsafe` of this crate is here.
//!
//! A [`Socket`] is libsrt's number for one, not a pointer: a number whose socket is gone makes a call fail, so the
//! type is freely copied. Numbers come from a counter of 2^30 and are not used again while their socket exists.

#![expect(unsafe_code, reason = "libsrt is a C library")]

mod address;
mod hooks;
mod sys;

use std::ffi::{CStr, c_int};
use std::net::SocketAddr;

pub(crate) use hooks::{Hook, HookToken, at_exit, exit_now, log_through_us};
pub(crate) use sys::Flag;

/// Longest message of live mode, `SRT_LIVE_MAX_PLSIZE`.
pub(crate) const PAYLOAD_MAX: usize = 1456;

/// libsrt's words for what it could not do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("libsrt: {0}")]
pub struct Failure(String);

/// A libsrt socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Socket(c_int);

/// What a read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// One message of so many bytes.
    Message(usize),
    /// None is due yet.
    Nothing,
    /// The connection is over; what was received before may become due yet.
    Lost,
    /// libsrt refuses to read.
    Failed,
}

/// What one connection has counted since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// Smoothed round trip, in milliseconds.
    pub rtt_ms: f64,
    /// libsrt's estimate of what the path could carry, in Mb/s; rough.
    pub bandwidth_mbps: f64,
    /// Data packets that arrived, repeated ones included.
    pub packets_received: u64,
    /// Their bytes, with headers.
    pub bytes_received: u64,
    /// Packets found missing in the sequence.
    pub packets_lost: u64,
    /// Packets that arrived as repetitions.
    pub packets_retransmitted: u64,
    /// Packets given up because their time to be played had come.
    pub packets_dropped: u64,
    /// Packets that arrived after they were given up.
    pub packets_belated: u64,
    /// Packets that could not be decrypted.
    pub packets_undecrypted: u64,
    /// Span of the packets held in libsrt's receive buffer, in milliseconds.
    pub buffer_ms: u64,
    /// Their bytes.
    pub buffer_bytes: u64,
    /// Latency both ends agreed on, in milliseconds.
    pub latency_ms: u64,
}

/// What a socket can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// A message is due, a caller waits, or the end.
    Read,
    /// The end only.
    End,
}

impl Interest {
    fn mask(self) -> c_int {
        match self {
            Self::Read => sys::SRT_EPOLL_IN | sys::SRT_EPOLL_ERR,
            Self::End => sys::SRT_EPOLL_ERR,
        }
    }
}

/// The version of the loaded library: 0xMMmmpp.
pub(crate) fn version() -> u32 {
    sys::srt_getversion()
}

/// Starts libsrt; each start wants one [`cleanup`].
pub(crate) fn startup() -> Result<(), Failure> {
    check(sys::srt_startup()).map(drop)
}

/// Ends libsrt's threads and frees its ports; waits for them (about a millisecond per closed socket, at most a second).
pub(crate) fn cleanup() {
    sys::srt_cleanup();
}

impl Socket {
    pub(crate) fn create() -> Result<Self, Failure> {
        check(sys::srt_create_socket()).map(Self)
    }

    pub(crate) fn set(self, flag: Flag, value: i32) -> Result<(), Failure> {
        self.set_bytes(flag, &value.to_ne_bytes())
    }

    pub(crate) fn set_bytes(self, flag: Flag, value: &[u8]) -> Result<(), Failure> {
        let length = c_int::try_from(value.len()).map_err(|_| Failure("option too long".into()))?;
        // SAFETY: `value` is readable for `length` bytes and libsrt copies it before it returns.
        check(unsafe { sys::srt_setsockflag(self.0, flag as c_int, value.as_ptr().cast(), length) }).map(drop)
    }

    pub(crate) fn get(self, flag: Flag) -> Option<i32> {
        let mut value: c_int = 0;
        let mut length = c_int::try_from(size_of::<c_int>()).expect("4 fits");
        // SAFETY: libsrt writes at most `length` bytes, the size of `value`; the flags of `Flag` are of that size.
        let result =
            unsafe { sys::srt_getsockflag(self.0, flag as c_int, (&raw mut value).cast(), &raw mut length) };
        (result == 0).then_some(value)
    }

    pub(crate) fn bind(self, address: SocketAddr) -> Result<(), Failure> {
        let (raw, length) = address::to_raw(address);
        // SAFETY: `raw` is a sockaddr of its family, `length` bytes long.
        check(unsafe { sys::srt_bind(self.0, (&raw const raw).cast(), length) }).map(drop)
    }

    /// Asks `hook` about every caller from now on. To be called before [`Self::listen`].
    pub(crate) fn ask(self, hook: &HookToken) -> Result<(), Failure> {
        // SAFETY: `on_caller` has the signature of `srt_listen_callback_fn`; the opaque value is a number that it only
        // looks up, so that it may come at any time, also after the hook has gone.
        check(unsafe { sys::srt_listen_callback(self.0, hooks::on_caller, hook.opaque()) }).map(drop)
    }

    pub(crate) fn listen(self, backlog: u32) -> Result<(), Failure> {
        check(sys::srt_listen(
            self.0,
            c_int::try_from(backlog).unwrap_or(c_int::MAX),
        ))
        .map(drop)
    }

    /// The address a listener was bound to.
    pub(crate) fn local(self) -> Option<SocketAddr> {
        let mut raw = address::Raw::default();
        let mut length = address::length();
        // SAFETY: libsrt writes at most `length` bytes, the size of `raw`, and the size it wrote.
        let result = unsafe { sys::srt_getsockname(self.0, (&raw mut raw).cast(), &raw mut length) };
        (result == 0).then(|| address::from_raw(&raw)).flatten()
    }

    /// A caller whose handshake is complete.
    pub(crate) fn accept(self) -> Option<Self> {
        // SAFETY: libsrt allows null for an address that is not wanted.
        let socket = unsafe { sys::srt_accept(self.0, std::ptr::null_mut(), std::ptr::null_mut()) };
        (socket >= 0).then_some(Self(socket))
    }

    /// Sets the code a caller is refused with; only inside a hook.
    pub(crate) fn refuse(self, code: i32) {
        sys::srt_setrejectreason(self.0, code);
    }

    /// Reads one message; `into` should hold [`PAYLOAD_MAX`], what does not fit is lost.
    pub(crate) fn receive(self, into: &mut [u8]) -> Received {
        let room = c_int::try_from(into.len()).unwrap_or(c_int::MAX);
        // SAFETY: `into` is writable for `room` bytes, and libsrt keeps no pointer to it.
        let result = unsafe { sys::srt_recvmsg(self.0, into.as_mut_ptr().cast(), room) };
        match usize::try_from(result) {
            Ok(0) => Received::Nothing,
            Ok(length) => Received::Message(length.min(into.len())),
            Err(_) => match last_error() {
                sys::SRT_EASYNCRCV => Received::Nothing,
                sys::SRT_ECONNLOST | sys::SRT_ENOCONN | sys::SRT_EINVSOCK => Received::Lost,
                _ => Received::Failed,
            },
        }
    }

    /// The counters; `None` once the connection is over.
    pub(crate) fn stats(self) -> Option<Stats> {
        let mut raw = sys::PerfMon::default();
        // SAFETY: `raw` begins as `CBytePerfMon` of 1.5 does and has room behind it for fields of later releases.
        let result = unsafe { sys::srt_bstats(self.0, &raw mut raw, 0) };
        (result == 0).then(|| raw.read())
    }

    /// Whether a socket given to a hook is still on its way, or connected.
    pub(crate) fn is_alive(self) -> bool {
        sys::srt_getsockstate(self.0) < sys::SRTS_BROKEN
    }

    /// Ends it. For a listener: after this returns no hook of it runs, and none will.
    pub(crate) fn close(self) {
        sys::srt_close(self.0);
    }
}

/// Waits for many sockets.
pub(crate) struct Epoll(c_int);

impl Epoll {
    pub(crate) fn create() -> Result<Self, Failure> {
        check(sys::srt_epoll_create()).map(Self)
    }

    pub(crate) fn add(&self, socket: Socket, interest: Interest) -> Result<(), Failure> {
        let mask = interest.mask();
        // SAFETY: libsrt reads one int from the pointer before it returns.
        check(unsafe { sys::srt_epoll_add_usock(self.0, socket.0, &raw const mask) }).map(drop)
    }

    pub(crate) fn change(&self, socket: Socket, interest: Interest) -> Result<(), Failure> {
        let mask = interest.mask();
        // SAFETY: libsrt reads one int from the pointer before it returns.
        check(unsafe { sys::srt_epoll_update_usock(self.0, socket.0, &raw const mask) }).map(drop)
    }

    pub(crate) fn remove(&self, socket: Socket) {
        sys::srt_epoll_remove_usock(self.0, socket.0);
    }

    /// Puts the sockets that have something into `ready`, at most [`Self::READY_MAX`]; waits `wait_ms` for the first.
    /// libsrt polls itself every 10 ms.
    pub(crate) fn wait(&self, ready: &mut Vec<Socket>, wait_ms: i64) {
        ready.clear();
        let mut events = [sys::Event::default(); Self::READY_MAX];
        let room = c_int::try_from(events.len()).expect("READY_MAX is small");
        // SAFETY: libsrt writes at most `room` events, the length of the array.
        let count = unsafe { sys::srt_epoll_uwait(self.0, events.as_mut_ptr(), room, wait_ms) };
        // With more than `room` ready it returns `room + 1`.
        let count = usize::try_from(count).unwrap_or(0).min(events.len());
        ready.extend(events.iter().take(count).map(|event| Socket(event.socket)));
    }

    /// Most sockets one [`Self::wait`] names.
    pub(crate) const READY_MAX: usize = 256;
}

impl Drop for Epoll {
    fn drop(&mut self) {
        sys::srt_epoll_release(self.0);
    }
}

fn check(result: c_int) -> Result<c_int, Failure> {
    if result < 0 {
        Err(last_failure())
    } else {
        Ok(result)
    }
}

fn last_error() -> c_int {
    // SAFETY: libsrt allows null for an errno that is not wanted.
    unsafe { sys::srt_getlasterror(std::ptr::null_mut()) }
}

fn last_failure() -> Failure {
    // SAFETY: the pointer is to a NUL-terminated text of this thread, which stays until its next libsrt call.
    let text = unsafe { CStr::from_ptr(sys::srt_getlasterror_str()) };
    Failure(text.to_string_lossy().into_owned())
}
