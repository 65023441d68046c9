//! Who may come in.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::counters::{Tally, add};
use crate::ffi::{Flag, Socket};
use crate::options::Options;
use crate::process::{self, Inside};
use crate::streamid::{self, StreamId};

/// A caller, before anything of it is accepted.
#[derive(Debug)]
pub struct Request {
    /// Where it calls from. Not yet proven by media, but it answered a cookie.
    pub peer: SocketAddr,
    /// Which stream it wants to publish.
    pub stream_id: Result<StreamId, streamid::Error>,
    /// Version of the handshake: 5 for every SRT since 1.3.
    pub handshake_version: i32,
}

/// What becomes of a caller.
pub enum Verdict<T> {
    /// It may publish, if its passphrase is this one, or if it does not encrypt and this is `None`.
    Accept {
        /// The passphrase of the stream.
        passphrase: Option<Passphrase>,
        /// Given back with the connection; dropped if there will be none (a wrong passphrase, for example).
        tag: T,
    },
    /// It may not, and is told this.
    Refuse(Refusal),
}

/// Answers callers. Runs on libsrt's receive thread, which reads the UDP socket for **every** connection: it must not
/// block, so no I/O, no lock that is held for long, and no call that exits the process.
pub type Authorize<T> = Arc<dyn Fn(&Request) -> Verdict<T> + Send + Sync>;

/// Codes of libsrt's `access_control.h`, as a caller sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Refusal {
    /// The stream id cannot be read.
    BadRequest = 1400,
    /// The key is not known.
    Unauthorized = 1401,
    /// Too many connections.
    Overload = 1402,
    /// The key is known, and may not do this.
    Forbidden = 1403,
    /// No such stream.
    NotFound = 1404,
    /// The caller wants to receive.
    BadMode = 1405,
    /// Somebody else publishes to it.
    Conflict = 1409,
    /// Not a media stream.
    UnsupportedMedia = 1415,
    /// Our fault.
    Internal = 1500,
    /// Not now.
    Unavailable = 1503,
}

impl From<streamid::Error> for Refusal {
    fn from(error: streamid::Error) -> Self {
        use streamid::Error;
        match error {
            Error::Play | Error::Mode => Self::BadMode,
            Error::Type => Self::UnsupportedMedia,
            Error::Empty | Error::NoKey => Self::Unauthorized,
            Error::TooLong | Error::NotUtf8 | Error::Control | Error::Syntax => Self::BadRequest,
        }
    }
}

/// The shared secret of an encrypted stream: 10 to 79 bytes. `Debug` prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(String);

impl Passphrase {
    /// `None` when libsrt could not use it.
    pub fn new(secret: &str) -> Option<Self> {
        let usable = (10..=79).contains(&secret.len()) && !secret.contains('\0');
        usable.then(|| Self(secret.to_owned()))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Counts who is in, and keeps the tags of those who are between verdict and connection.
pub(crate) struct Gate<T> {
    authorize: Authorize<T>,
    connections_max: u32,
    connections_per_ip_max: u32,
    tally: Arc<Tally>,
    state: Mutex<State<T>>,
    /// Told when a caller comes in.
    knock: Condvar,
}

struct State<T> {
    /// At most `connections_max`, as they are counted in `total`.
    waiting: HashMap<Socket, Waiting<T>>,
    per_ip: HashMap<IpAddr, u32>,
    total: u32,
}

struct Waiting<T> {
    peer: SocketAddr,
    tag: T,
    encrypted: bool,
}

impl<T: Send> Gate<T> {
    pub(crate) fn new(options: &Options, authorize: Authorize<T>, tally: Arc<Tally>) -> Self {
        Self {
            authorize,
            connections_max: options.connections_max,
            connections_per_ip_max: options.connections_per_ip_max,
            tally,
            state: Mutex::new(State {
                waiting: HashMap::new(),
                per_ip: HashMap::new(),
                total: 0,
            }),
            knock: Condvar::new(),
        }
    }

    /// The listen hook: libsrt goes on with the handshake after `Ok`.
    pub(crate) fn answer(
        &self,
        socket: Socket,
        peer: Option<SocketAddr>,
        handshake_version: i32,
        stream_id: &[u8],
    ) -> Result<(), i32> {
        process::enter(Inside::Hook);
        let peer = peer.ok_or(Refusal::BadRequest as i32)?;
        self.enter(peer).map_err(|refusal| refusal as i32)?;
        let request = Request {
            peer,
            stream_id: streamid::parse(stream_id),
            handshake_version,
        };
        self.judge(socket, &request).map_err(|refusal| {
            self.leave(peer);
            refusal as i32
        })
    }

    fn judge(&self, socket: Socket, request: &Request) -> Result<(), Refusal> {
        let Ok(verdict) = catch_unwind(AssertUnwindSafe(|| (self.authorize)(request))) else {
            add(&self.tally.panics, 1);
            return Err(Refusal::Internal);
        };
        let (passphrase, tag) = match verdict {
            Verdict::Accept { passphrase, tag } => (passphrase, tag),
            Verdict::Refuse(refusal) => {
                add(&self.tally.refused_by_verdict, 1);
                return Err(refusal);
            }
        };
        if let Some(Passphrase(secret)) = &passphrase {
            socket
                .set_bytes(Flag::Passphrase, secret.as_bytes())
                .map_err(|_| Refusal::Internal)?;
        }
        let waiting = Waiting {
            peer: request.peer,
            tag,
            encrypted: passphrase.is_some(),
        };
        self.lock().waiting.insert(socket, waiting);
        Ok(())
    }

    fn enter(&self, peer: SocketAddr) -> Result<(), Refusal> {
        let mut state = self.lock();
        if state.total >= self.connections_max {
            add(&self.tally.refused_connections_max, 1);
            return Err(Refusal::Overload);
        }
        let here = state.per_ip.entry(network(peer.ip())).or_default();
        if *here >= self.connections_per_ip_max {
            add(&self.tally.refused_per_ip_max, 1);
            return Err(Refusal::Overload);
        }
        *here += 1;
        state.total += 1;
        self.knock.notify_one();
        Ok(())
    }

    /// Waits until somebody is in, at most so long, and tells whether that is so: libsrt's own wait would look every
    /// 10 ms, which is half a percent of a core for nobody.
    pub(crate) fn wait(&self, most: Duration) -> bool {
        let nobody = |state: &mut State<T>| state.total == 0;
        let waited = self.knock.wait_timeout_while(self.lock(), most, nobody);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.total > 0
    }

    /// Takes an ended connection, or one that never came to be, out of the counts.
    pub(crate) fn leave(&self, peer: SocketAddr) {
        let mut state = self.lock();
        let network = network(peer.ip());
        if let Some(here) = state.per_ip.get_mut(&network) {
            *here -= 1;
            if *here == 0 {
                state.per_ip.remove(&network);
            }
        }
        state.total -= 1;
    }

    /// Address and tag of a caller whose handshake is complete.
    pub(crate) fn claim(&self, socket: Socket) -> Option<(SocketAddr, T)> {
        let waiting = self.lock().waiting.remove(&socket)?;
        Some((waiting.peer, waiting.tag))
    }

    /// Forgets callers whose handshake failed after the verdict; libsrt tells nobody of those.
    pub(crate) fn sweep(&self) {
        let waiting: Vec<Socket> = self.lock().waiting.keys().copied().collect();
        for socket in waiting.into_iter().filter(|socket| !socket.is_alive()) {
            let Some(failed) = self.lock().waiting.remove(&socket) else {
                continue;
            };
            let counter = if failed.encrypted {
                &self.tally.failed_with_passphrase
            } else {
                &self.tally.failed_without_passphrase
            };
            add(counter, 1);
            self.leave(failed.peer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one subscriber gets of the IPv6 space counts as one address.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_has_libsrts_bounds_and_is_not_printed() {
        assert_eq!(Passphrase::new("123456789"), None);
        assert_eq!(Passphrase::new(&"x".repeat(80)), None);
        assert_eq!(Passphrase::new("0123456\0x789"), None);
        assert!(Passphrase::new(&"x".repeat(79)).is_some());
        let secret = Passphrase::new("0123456789").unwrap();
        assert_eq!(format!("{secret:?}"), "***");
    }

    #[test]
    fn a_subscriber_is_one_address() {
        let is = |one: &str, other: &str| network(one.parse().unwrap()) == network(other.parse().unwrap());
        assert!(is("10.0.0.1", "::ffff:10.0.0.1"));
        assert!(is("2001:db8::1", "2001:db8::2:1"));
        assert!(!is("2001:db8::1", "2001:db8:0:1::1"));
        assert!(!is("10.0.0.1", "10.0.0.2"));
    }
}
