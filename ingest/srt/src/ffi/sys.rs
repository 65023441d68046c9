//! What `srt.h` of libsrt 1.5 declares, as far as it is used.

use std::ffi::{c_char, c_int, c_void};

use super::Stats;

pub(super) const SRT_EPOLL_IN: c_int = 0x1;
pub(super) const SRT_EPOLL_ERR: c_int = 0x8;
/// `SRT_SOCKSTATUS`: this and all above are ends.
pub(super) const SRTS_BROKEN: c_int = 6;
pub(super) const SRT_ECONNLOST: c_int = 2001;
pub(super) const SRT_ENOCONN: c_int = 2002;
pub(super) const SRT_EINVSOCK: c_int = 5004;
pub(super) const SRT_EASYNCRCV: c_int = 6002;
/// Time, thread name, severity and end of line are not wanted in a log message.
pub(super) const SRT_LOGF_BARE: c_int = 1 | 2 | 4 | 8;

/// `SRT_SOCKOPT`: options of the size of an int, and the passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Flag {
    SendBlocking = 1,
    ReceiveBlocking = 2,
    FlightPackets = 4,
    ReceiveBuffer = 6,
    UdpReceiveBuffer = 9,
    ReceivedPackets = 20,
    TimestampedDelivery = 22,
    Passphrase = 26,
    DropLate = 31,
    NakReports = 33,
    ReceiveLatency = 43,
    PeerLatency = 44,
    VersionMin = 45,
    MessageApi = 48,
    PayloadSize = 49,
    TransmissionType = 50,
    EncryptionEnforced = 53,
    Ipv6Only = 54,
    PeerIdleMs = 55,
}

/// `SRT_EPOLL_EVENT`
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Event {
    pub(super) socket: c_int,
    pub(super) events: c_int,
}

/// `CBytePerfMon` as 64-bit words, and room for what later releases append.
#[repr(C)]
pub(super) struct PerfMon([u64; WORDS + 64]);

/// The struct of 1.5.0 is 496 bytes.
const WORDS: usize = 62;

impl Default for PerfMon {
    fn default() -> Self {
        Self([0; WORDS + 64])
    }
}

impl PerfMon {
    /// Byte offsets as `offsetof` gives them on x86_64 and aarch64.
    pub(super) fn read(&self) -> Stats {
        Stats {
            rtt_ms: f64::from_bits(self.word(328)),
            bandwidth_mbps: f64::from_bits(self.word(336)),
            packets_received: self.word(16),
            bytes_received: self.word(88),
            packets_lost: self.int(28),
            packets_retransmitted: self.int(164),
            packets_dropped: self.int(68),
            packets_belated: self.word(224),
            packets_undecrypted: self.int(72),
            buffer_ms: self.int(388),
            buffer_bytes: self.int(384),
            latency_ms: self.int(392),
        }
    }

    fn word(&self, offset: usize) -> u64 {
        self.0.get(offset / 8).copied().unwrap_or_default()
    }

    /// An int in its half of a word; libsrt's counters are signed, and never negative in what is read here.
    fn int(&self, offset: usize) -> u64 {
        let word = self.word(offset).to_ne_bytes();
        let half = word.get(offset % 8..offset % 8 + 4).unwrap_or_default();
        let value = half.try_into().map(i32::from_ne_bytes).unwrap_or_default();
        u64::try_from(value).unwrap_or_default()
    }
}

/// `srt_listen_callback_fn`
pub(super) type ListenHook =
    unsafe extern "C" fn(*mut c_void, c_int, c_int, *const c_void, *const c_char) -> c_int;
/// `SRT_LOG_HANDLER_FN`
pub(super) type LogHandler =
    unsafe extern "C" fn(*mut c_void, c_int, *const c_char, c_int, *const c_char, *const c_char);

// FFmpeg's libavformat, which GStreamer's decoders load into the same process, is linked with Debian's GnuTLS flavour.
// A second libsrt beside it shares its static objects by symbol interposition, and both destroy them at exit.
#[link(name = "srt-gnutls")]
unsafe extern "C" {
    // Numbers only: libsrt looks a socket up under its own lock and fails for one it does not know.
    pub(super) safe fn srt_startup() -> c_int;
    pub(super) safe fn srt_cleanup() -> c_int;
    pub(super) safe fn srt_getversion() -> u32;
    pub(super) safe fn srt_create_socket() -> c_int;
    pub(super) safe fn srt_listen(socket: c_int, backlog: c_int) -> c_int;
    pub(super) safe fn srt_close(socket: c_int) -> c_int;
    pub(super) safe fn srt_getsockstate(socket: c_int) -> c_int;
    pub(super) safe fn srt_setrejectreason(socket: c_int, reason: c_int) -> c_int;
    pub(super) safe fn srt_epoll_create() -> c_int;
    pub(super) safe fn srt_epoll_remove_usock(epoll: c_int, socket: c_int) -> c_int;
    pub(super) safe fn srt_epoll_release(epoll: c_int) -> c_int;
    pub(super) safe fn srt_setloglevel(level: c_int);
    pub(super) safe fn srt_setlogflags(flags: c_int);

    pub(super) fn srt_bind(socket: c_int, address: *const c_void, length: c_int) -> c_int;
    pub(super) fn srt_accept(socket: c_int, address: *mut c_void, length: *mut c_int) -> c_int;
    pub(super) fn srt_listen_callback(socket: c_int, hook: ListenHook, opaque: *mut c_void) -> c_int;
    pub(super) fn srt_getsockname(socket: c_int, address: *mut c_void, length: *mut c_int) -> c_int;
    pub(super) fn srt_getsockflag(
        socket: c_int,
        flag: c_int,
        value: *mut c_void,
        length: *mut c_int,
    ) -> c_int;
    pub(super) fn srt_setsockflag(socket: c_int, flag: c_int, value: *const c_void, length: c_int) -> c_int;
    pub(super) fn srt_recvmsg(socket: c_int, buffer: *mut c_char, length: c_int) -> c_int;
    pub(super) fn srt_bstats(socket: c_int, stats: *mut PerfMon, clear: c_int) -> c_int;
    pub(super) fn srt_getlasterror(errno: *mut c_int) -> c_int;
    pub(super) fn srt_getlasterror_str() -> *const c_char;
    pub(super) fn srt_epoll_add_usock(epoll: c_int, socket: c_int, events: *const c_int) -> c_int;
    pub(super) fn srt_epoll_update_usock(epoll: c_int, socket: c_int, events: *const c_int) -> c_int;
    pub(super) fn srt_epoll_uwait(epoll: c_int, events: *mut Event, length: c_int, wait_ms: i64) -> c_int;
    pub(super) fn srt_setloghandler(opaque: *mut c_void, handler: LogHandler);
}

/// `on_exit(3)`'s handler: exit status and its argument.
pub(super) type ExitHandler = unsafe extern "C" fn(c_int, *mut c_void);

unsafe extern "C" {
    pub(super) fn on_exit(handler: ExitHandler, argument: *mut c_void) -> c_int;
    pub(super) safe fn _exit(status: c_int) -> !;
}
