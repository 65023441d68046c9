//! What libsrt and libc call: the listen hook, the log handler, the end of the process.
//!
//! Nothing may unwind into C, so each catches panics.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::{Socket, address, sys};

/// Answers a caller: `Err` is the code it is refused with. Gets the socket to be, the address of the caller, the
/// version of its handshake, and its stream id.
pub(crate) type Hook = dyn Fn(Socket, Option<SocketAddr>, i32, &[u8]) -> Result<(), i32> + Send + Sync;

/// libsrt is given a number instead of a pointer: a hook that runs late finds nothing instead of freed memory.
static HOOKS: RwLock<Option<HashMap<usize, Arc<Hook>>>> = RwLock::new(None);
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// A hook that can be found; dropping it forgets the hook.
pub(crate) struct HookToken(usize);

impl HookToken {
    pub(crate) fn new(hook: Arc<Hook>) -> Self {
        let token = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut hooks = HOOKS.write().unwrap_or_else(PoisonError::into_inner);
        hooks.get_or_insert_default().insert(token, hook);
        Self(token)
    }

    pub(super) fn opaque(&self) -> *mut c_void {
        std::ptr::without_provenance_mut(self.0)
    }
}

impl Drop for HookToken {
    fn drop(&mut self) {
        let mut hooks = HOOKS.write().unwrap_or_else(PoisonError::into_inner);
        let forgotten = hooks.as_mut().and_then(|hooks| hooks.remove(&self.0));
        // What the hook owns may do anything when dropped: not under the lock.
        drop(hooks);
        drop(forgotten);
    }
}

/// `SRT_REJX_ISE`
const INTERNAL: i32 = 1500;

/// `srt_listen_callback_fn`: 0 goes on with the handshake, -1 refuses.
pub(super) unsafe extern "C" fn on_caller(
    opaque: *mut c_void,
    socket: c_int,
    version: c_int,
    peer: *const c_void,
    stream_id: *const c_char,
) -> c_int {
    let socket = Socket(socket);
    let answer = catch_unwind(AssertUnwindSafe(|| {
        let hook = HOOKS
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .and_then(|hooks| hooks.get(&opaque.addr()).cloned());
        // SAFETY: libsrt passes the sockaddr the handshake came from, whole for its family, for the time of this call.
        let peer = unsafe { address::read(peer) };
        // SAFETY: libsrt passes null or a buffer of 513 zeroed bytes that it wrote at most 512 bytes into.
        let stream_id = (!stream_id.is_null()).then(|| unsafe { CStr::from_ptr(stream_id) });
        let stream_id = stream_id.map(CStr::to_bytes).unwrap_or_default();
        hook.map_or(Err(INTERNAL), |hook| hook(socket, peer, version, stream_id))
    }));
    match answer.unwrap_or(Err(INTERNAL)) {
        Ok(()) => 0,
        Err(code) => {
            socket.refuse(code);
            -1
        }
    }
}

/// Sends libsrt's log lines up to `level` (a syslog level) to [`crate::log`] instead of standard error.
pub(crate) fn log_through_us(level: i32) {
    sys::srt_setloglevel(level);
    sys::srt_setlogflags(sys::SRT_LOGF_BARE);
    // SAFETY: `on_log` has the signature of `SRT_LOG_HANDLER_FN`, lives for ever and ignores the opaque pointer.
    unsafe { sys::srt_setloghandler(std::ptr::null_mut(), on_log) };
}

unsafe extern "C" fn on_log(
    _: *mut c_void,
    level: c_int,
    _: *const c_char,
    _: c_int,
    area: *const c_char,
    message: *const c_char,
) {
    if area.is_null() || message.is_null() {
        return;
    }
    // SAFETY: libsrt passes NUL-terminated texts that live for the time of this call.
    let (area, message) = unsafe { (CStr::from_ptr(area), CStr::from_ptr(message)) };
    // A panic in somebody's log function is not libsrt's, and there is nowhere left to tell it.
    drop(catch_unwind(|| {
        crate::log::line(level, &area.to_string_lossy(), message.to_string_lossy().trim());
    }));
}

/// Runs [`crate::process::before_exit`] when the process ends by `exit` or by returning from `main`, before libsrt's
/// own static destructors, because those were registered first.
pub(crate) fn at_exit() {
    // SAFETY: `on_end` has the signature of an on_exit(3) handler and lives for ever.
    unsafe { sys::on_exit(on_end, std::ptr::null_mut()) };
}

unsafe extern "C" fn on_end(status: c_int, _: *mut c_void) {
    if catch_unwind(|| crate::process::before_exit(status)).is_err() {
        exit_now(status);
    }
}

/// Ends the process at once, without any destructor.
pub(crate) fn exit_now(status: i32) -> ! {
    sys::_exit(status)
}
