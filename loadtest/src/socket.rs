//! One HTTP/1.1 connection of a viewer: a request out, an answer in, no buffer of its own between answers.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Type};
use viewer::habit::{Failure, Patience};
use viewer::player::Slot;

use crate::http::Head;

/// Largest body that is kept; a larger one is unreadable.
const BODY_BYTES_MAX: usize = 64 << 20;

/// A connection.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    /// Has answered before: may be closed by its server at any moment.
    used: bool,
    exchange: Option<Box<Exchange>>,
}

/// A request under way.
#[derive(Debug)]
struct Exchange {
    request: Request,
    out: Vec<u8>,
    sent: usize,
    head: Option<Head>,
    /// The head, until it is whole; then the body, where somebody reads it.
    kept: Vec<u8>,
    keep: bool,
    got: u64,
    asked: Duration,
    first: Option<Duration>,
    /// Reading goes on then, where the network is slow.
    paused: Option<Duration>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) request: Request,
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) bytes: u64,
    pub(crate) asked: Duration,
    pub(crate) first: Duration,
}

/// What became of reading or writing.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Nothing yet.
    Waiting,
    /// The answer is here; whether the connection can be used again.
    Done(Box<Answer>, bool),
    /// It failed; whether the connection was an old one that had said nothing, so that another may be tried.
    Failed(Failure, bool),
}

/// What a request needs.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) slot: Slot,
    pub(crate) path: String,
    pub(crate) patience: Patience,
    pub(crate) keep: bool,
    /// The edge it was sent to.
    pub(crate) target: usize,
    /// Edges that could not be reached before this one.
    pub(crate) others: u32,
}

/// Viewers of one source address: it has 28,000 ports towards one server, and a viewer takes four.
const VIEWERS_PER_SOURCE: u32 = 1_000;

/// 127.0.1.1 and on, towards this machine.
fn source(to: IpAddr, viewer: u32) -> Option<Ipv4Addr> {
    let number = viewer / VIEWERS_PER_SOURCE;
    let [third, fourth] = [1 + number / 250, 1 + number % 250].map(|n| u8::try_from(n).unwrap_or(u8::MAX));
    matches!(to, IpAddr::V4(to) if to.is_loopback()).then(|| Ipv4Addr::new(127, 0, third, fourth))
}

impl Socket {
    /// Begins to connect, from an address of this viewer's where the server is this machine.
    pub(crate) fn open(
        registry: &Registry,
        to: SocketAddr,
        token: Token,
        viewer: u32,
        slow: bool,
    ) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        // A drill that ends leaves no sockets in TIME_WAIT.
        socket.set_linger(Some(Duration::ZERO))?;
        if slow {
            socket.set_recv_buffer_size(16 << 10)?;
        }
        if let Some(from) = source(to.ip(), viewer) {
            // Else the kernel looks for a port that is free towards everybody: 20 times the time, once most are taken.
            setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
            socket.bind(&SocketAddr::from((from, 0)).into())?;
        }
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(nix::libc::EINPROGRESS) => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            used: false,
            exchange: None,
        })
    }

    /// Sends a request on a connection that has none.
    pub(crate) fn ask(&mut self, now: Duration, request: Request, host: &str) -> Progress {
        let out = format!(
            "GET {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ringside-drill\r\n\r\n",
            request.path
        );
        self.exchange = Some(Box::new(Exchange {
            out: out.into_bytes(),
            sent: 0,
            head: None,
            kept: Vec::new(),
            keep: request.keep,
            got: 0,
            asked: now,
            first: None,
            request,
            paused: None,
        }));
        self.write()
    }

    /// Nothing has ever come over it.
    pub(crate) fn is_unreached(&self) -> bool {
        let began = self
            .exchange
            .as_ref()
            .is_some_and(|exchange| exchange.first.is_some());
        !self.used && !began
    }

    /// When to look at it again, if nothing else happens.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let exchange = self.exchange.as_ref()?;
        Some(exchange.paused.unwrap_or(Duration::MAX).min(exchange.expires()))
    }

    /// The request that is under way is over its time.
    pub(crate) fn is_expired(&self, now: Duration) -> bool {
        self.exchange
            .as_ref()
            .is_some_and(|exchange| exchange.expires() <= now)
    }

    /// Takes back the request that is under way.
    pub(crate) fn take(&mut self) -> Option<Request> {
        self.exchange.take().map(|exchange| exchange.request)
    }

    fn write(&mut self) -> Progress {
        let Some(exchange) = &mut self.exchange else {
            return Progress::Waiting;
        };
        while let Some(rest) = exchange.out.get(exchange.sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(n) => exchange.sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Waiting,
                // Not connected yet: the event that says so comes.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Progress::Waiting,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Progress::Failed(Failure::Connection, self.used),
            }
        }
        exchange.out = Vec::new();
        exchange.sent = 0;
        Progress::Waiting
    }

    /// Writes and reads what can be. `scratch` is shared by all; `kbps` is how fast this network is, where it is slow.
    pub(crate) fn drive(&mut self, now: Duration, scratch: &mut [u8], kbps: Option<f64>) -> Progress {
        if let failed @ Progress::Failed(..) = self.write() {
            return failed;
        }
        loop {
            let mut space = scratch.len();
            if let (Some(kbps), Some(exchange)) = (kbps, &mut self.exchange) {
                let Some(allowed) = exchange.allowance(now, kbps) else {
                    return Progress::Waiting;
                };
                space = space.min(allowed);
            }
            let Some(room) = scratch.get_mut(..space) else {
                return Progress::Waiting;
            };
            match self.stream.read(room) {
                Ok(0) => return self.closed(),
                Ok(n) => {
                    let fresh = scratch.get(..n).unwrap_or_default();
                    let Some(exchange) = &mut self.exchange else {
                        // Bytes that nobody asked for.
                        return Progress::Failed(Failure::Unreadable, false);
                    };
                    match exchange.take(now, fresh) {
                        Ok(false) => {}
                        Ok(true) => return self.done(true),
                        Err(failure) => return Progress::Failed(failure, false),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Waiting,
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Progress::Waiting,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Progress::Failed(Failure::Connection, self.is_stale()),
            }
        }
    }

    fn is_stale(&self) -> bool {
        self.used
            && self
                .exchange
                .as_ref()
                .is_none_or(|exchange| exchange.first.is_none())
    }

    fn closed(&mut self) -> Progress {
        let until_close =
            |exchange: &Exchange| exchange.head.as_ref().is_some_and(|head| head.length.is_none());
        if self.exchange.as_deref().is_some_and(until_close) {
            return self.done(false);
        }
        Progress::Failed(Failure::Connection, self.is_stale())
    }

    fn done(&mut self, reusable: bool) -> Progress {
        self.used = true;
        let Some(exchange) = self.exchange.take() else {
            return Progress::Waiting;
        };
        let Exchange {
            request,
            head,
            kept,
            got,
            asked,
            first,
            ..
        } = *exchange;
        let head = head.unwrap_or_default();
        let reusable = reusable && !head.close;
        let answer = Answer {
            request,
            body: kept,
            bytes: got,
            asked,
            first: first.unwrap_or(asked),
            head,
        };
        Progress::Done(Box::new(answer), reusable)
    }
}

impl Exchange {
    fn expires(&self) -> Duration {
        match self.first {
            None => self.asked + self.request.patience.first_byte,
            Some(_) => self.asked + self.request.patience.whole,
        }
    }

    /// Bytes that a slow network has let through by now and that were not read; none says when more have.
    fn allowance(&mut self, now: Duration, kbps: f64) -> Option<usize> {
        let from = self.first.unwrap_or(now);
        // A network carries a little at once.
        let carried = viewer::listing::micros(now.saturating_sub(from)) as f64 * kbps / 8_000.0 + 4_096.0;
        let allowed = carried - self.got as f64;
        if allowed < 1.0 {
            self.paused = Some(now + Duration::from_millis(20));
            return None;
        }
        self.paused = None;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "1 to 64 Ki, checked"
        )]
        let bytes = allowed.min(65_536.0) as usize;
        Some(bytes)
    }

    /// Bytes came. Whether the answer is whole.
    fn take(&mut self, now: Duration, bytes: &[u8]) -> Result<bool, Failure> {
        self.first.get_or_insert(now);
        if self.head.is_some() {
            self.got += bytes.len() as u64;
            if self.keep {
                self.kept.extend_from_slice(bytes);
            }
        } else {
            self.kept.extend_from_slice(bytes);
            let Some((head, length)) = Head::read(&self.kept).map_err(|_| Failure::Unreadable)? else {
                return Ok(false);
            };
            self.keep &= head.status == 200;
            self.head = Some(head);
            self.kept.drain(..length);
            self.got = self.kept.len() as u64;
            if !self.keep {
                self.kept = Vec::new();
            }
        }
        if self.kept.len() > BODY_BYTES_MAX {
            return Err(Failure::Unreadable);
        }
        match self.head.as_ref().and_then(|head| head.length) {
            // More than was announced: what follows cannot be told apart.
            Some(length) if self.got > length => Err(Failure::Unreadable),
            Some(length) => Ok(self.got == length),
            None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_of_this_machine_are_spread_over_addresses() {
        let from = |viewer| source(IpAddr::from([127, 0, 0, 1]), viewer).map(|from| from.octets());
        assert_eq!(from(0), Some([127, 0, 1, 1]));
        assert_eq!(from(999), Some([127, 0, 1, 1]));
        assert_eq!(from(1_000), Some([127, 0, 1, 2]));
        assert_eq!(from(999_999), Some([127, 0, 4, 250]));
        assert_eq!(source(IpAddr::from([192, 0, 2, 1]), 5), None);
    }
}
