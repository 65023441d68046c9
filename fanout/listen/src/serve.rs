//! The accept loop and the life of a connection.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::again::Again;
use crate::guard::{Guard, Held};
use crate::metrics::{Cause, Meter};
use crate::plain;
use crate::roster::Roster;
use crate::seat::Seat;
use crate::sent::Sent;
use crate::{Body, Incoming, Limits, Peer, failure, strict};

/// Why a listener does not open.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be had.
    #[error("{name} cannot listen on {address} (config key `{key}`)")]
    Bind {
        /// What wanted to listen.
        name: &'static str,
        /// Where.
        address: SocketAddr,
        /// The config key that says so.
        key: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// An open port that nobody is served on yet.
pub struct Listener {
    name: &'static str,
    socket: TcpListener,
    address: SocketAddr,
    open: Open,
    exempt: Exempt,
}

/// Which addresses [`Limits::per_address`] is not for.
type Exempt = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// How many connections of a listener are open.
#[derive(Debug, Clone, Default)]
pub struct Open(Arc<AtomicUsize>);

impl Open {
    /// Now.
    pub fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn adds(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn takes(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Opens a port. `name` labels metrics, `key` is the config key named when it cannot be had.
pub async fn bind(name: &'static str, key: &'static str, address: SocketAddr) -> Result<Listener, Error> {
    let failed = |source| Error::Bind {
        name,
        address,
        key,
        source,
    };
    let socket = TcpListener::bind(address).await.map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    Ok(Listener {
        name,
        socket,
        address,
        open: Open::default(),
        exempt: Arc::new(|_| false),
    })
}

/// What the protocol's code says of a connection's end.
type Failure = Box<dyn StdError + Send + Sync>;

/// How long a connection that is told to end may take to say so itself.
const PARTING: Duration = Duration::from_secs(1);
/// Looks for room this often while there is none.
const ROOM_EVERY: Duration = Duration::from_millis(250);

impl Listener {
    /// The address, with the port the system chose where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Counts its connections, now and while it serves.
    pub fn open(&self) -> Open {
        self.open.clone()
    }

    /// Any number of connections may come from these addresses: proxies, and networks behind one address.
    #[must_use]
    pub fn exempt(self, is_exempt: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self {
            exempt: Arc::new(is_exempt),
            ..self
        }
    }

    /// Answers every request with `service` until `shutdown`, then drains.
    pub async fn serve<S, F>(
        self,
        tls: Option<Arc<rustls::ServerConfig>>,
        limits: Limits,
        shutdown: CancellationToken,
        service: S,
    ) where
        S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let connections = TaskTracker::new();
        let cut = CancellationToken::new();
        let meter = Meter::new(self.name);
        let shared = Arc::new(Connection {
            tls: tls.map(TlsAcceptor::from),
            limits,
            roster: Arc::new(Roster::new(limits, meter.clone())),
            shutdown,
            cut,
            meter,
            service,
        });
        let slots = Arc::new(Semaphore::new(limits.connections));
        let accepting = async {
            while let Some((stream, address, slot)) = shared.accept(&self.socket, &slots).await {
                let Some(place) = shared.roster.enter(address, (self.exempt)(address)) else {
                    continue;
                };
                let held = Held::new(place, slot, self.open.clone(), shared.meter.clone());
                let shared = Arc::clone(&shared);
                connections.spawn(async move { shared.run(stream, address, held).await });
            }
        };
        tokio::select! {
            () = accepting => {}
            () = sweep(&shared.roster, limits.tick()) => {}
        }
        drop(self.socket);
        connections.close();
        // What is left has the drain for its deadline.
        if timeout(limits.drain, connections.wait()).await.is_err() {
            let left = connections.len() as u64;
            tracing::warn!(
                listener = self.name,
                left,
                "connections cut after the drain's grace"
            );
            shared.meter.cut.increment(left);
            shared.cut.cancel();
            connections.wait().await;
        }
    }
}

/// Ends what is overdue, for as long as it is polled.
async fn sweep(roster: &Roster, every: Duration) {
    loop {
        sleep(every).await;
        roster.sweep();
    }
}

/// EMFILE and ENFILE.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

struct Connection<S> {
    tls: Option<TlsAcceptor>,
    limits: Limits,
    roster: Arc<Roster>,
    shutdown: CancellationToken,
    cut: CancellationToken,
    meter: Meter,
    service: S,
}

impl<S, F> Connection<S>
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    /// The next connection with its slot; `None` on shutdown.
    async fn accept(
        &self,
        socket: &TcpListener,
        slots: &Arc<Semaphore>,
    ) -> Option<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
        if slots.available_permits() == 0 {
            self.meter.full.increment(1);
        }
        let slot = loop {
            if slots.available_permits() == 0 {
                self.roster.make_room();
            }
            tokio::select! {
                slot = Arc::clone(slots).acquire_owned() => break slot.ok()?,
                () = sleep(ROOM_EVERY) => {}
                () = self.shutdown.cancelled() => return None,
            }
        };
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = self.shutdown.cancelled() => return None,
            };
            match accepted {
                Ok((stream, address)) => return Some((stream, address.ip(), slot)),
                // Out of descriptors, or a peer that left at once: neither may end the loop or spin it.
                Err(error) => {
                    let made_room = is_out_of_descriptors(&error) && self.roster.make_room();
                    tracing::warn!(%error, made_room, "accept failed");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn run(self: &Arc<Self>, stream: TcpStream, address: IpAddr, held: Held) {
        if let Err(error) = self.tune(&stream) {
            tracing::debug!(%error, "connection lost before it was served");
            return;
        }
        let peer = Arc::new(Peer::new(address));
        let seat = &Arc::clone(held.seat());
        let stream = Guard::new(stream, held, self.tls.is_none());
        // Each in a box of its own, so that a task has no room for what its connection does not do.
        match &self.tls {
            None => Box::pin(self.plain(stream, peer, seat)).await,
            Some(tls) => Box::pin(self.encrypted(tls, stream, peer, seat)).await,
        }
    }

    async fn encrypted(
        self: &Arc<Self>,
        tls: &TlsAcceptor,
        stream: Guard,
        peer: Arc<Peer>,
        seat: &Arc<Seat>,
    ) {
        let shaken = tokio::select! {
            shaken = timeout(self.limits.handshake, tls.accept(stream)) => shaken,
            _ = seat.ended() => return,
        };
        match shaken {
            Ok(Ok(stream)) => {
                seat.shook_hands();
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    seat.is_http2();
                }
                Box::pin(self.http(stream, peer, seat)).await;
            }
            Ok(Err(_)) | Err(_) => self.meter.handshake_failed.increment(1),
        }
    }

    fn tune(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let socket = socket2::SockRef::from(stream);
        // Of what waits to be sent the kernel gets this much; the rest stays shared among all who are sent the same.
        socket.set_tcp_notsent_lowat(self.limits.send_buffer)?;
        socket.set_tcp_user_timeout(Some(self.limits.unacknowledged))
    }

    /// Without TLS: by ourselves as long as the peer asks as players do.
    async fn plain(self: &Arc<Self>, stream: Guard, peer: Arc<Peer>, seat: &Arc<Seat>) {
        let served = plain::serve(stream, &peer, seat, &self.limits, &self.shutdown, &self.service);
        let left = tokio::select! {
            left = served => left,
            () = self.cut.cancelled() => return,
        };
        if let Some((stream, read)) = left {
            Box::pin(self.http(Again::new(read, stream), peer, seat)).await;
        }
    }

    fn builder(&self) -> auto::Builder<TokioExecutor> {
        let limits = &self.limits;
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // Deadlines of HTTP/1 are the roster's, which keeps no timer for each connection.
        builder
            .http1()
            .header_read_timeout(None)
            .max_buf_size(limits.head_bytes.max(8 << 10));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_pending_accept_reset_streams(limits.resets)
            .max_local_error_reset_streams(usize::try_from(limits.streams).unwrap_or(usize::MAX))
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .initial_stream_window_size(limits.window)
            .initial_connection_window_size(limits.window.saturating_mul(4))
            .keep_alive_interval(limits.idle / 2)
            .keep_alive_timeout(limits.idle / 2);
        builder
    }

    async fn http<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self: &Arc<Self>,
        stream: T,
        peer: Arc<Peer>,
        seat: &Arc<Seat>,
    ) {
        let builder = self.builder();
        let (shared, asked) = (Arc::clone(self), Arc::clone(seat));
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let request = request.map(|body| Incoming::new(&peer, Some(body)));
            let ticket = asked.begins();
            let answer = match strict::refuse(&request, &shared.limits) {
                None => Ok((shared.service)(request)),
                Some((cause, response)) => {
                    shared.meter.ended(cause);
                    Err(response)
                }
            };
            async move {
                let response = match answer {
                    Ok(answer) => answer.await,
                    Err(refused) => refused,
                };
                ticket.answers();
                Ok::<_, Infallible>(response.map(|body| Sent { body, ticket }))
            }
        });
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let may_end = tokio::select! {
            ended = connection.as_mut() => Err(ended),
            cause = seat.ended() => Ok(matches!(cause, Cause::Idle | Cause::Room)),
            () = self.shutdown.cancelled() => Ok(true),
        };
        let ended = match may_end {
            Err(ended) => ended,
            Ok(false) => return,
            Ok(true) => {
                connection.as_mut().graceful_shutdown();
                self.close(connection, seat).await
            }
        };
        if let Err(error) = ended {
            // Whatever a peer sends or stops sending ends its own connection only.
            tracing::debug!(%error, "connection ended early");
            if let Some(cause) = failure::cause(error.as_ref()) {
                self.meter.ended(cause);
            }
        }
    }

    /// Lets requests under way end on a connection that takes no more of them.
    async fn close<C>(&self, mut connection: Pin<&mut C>, seat: &Seat) -> Result<(), Failure>
    where
        C: Future<Output = Result<(), Failure>>,
    {
        let began = Instant::now();
        loop {
            tokio::select! {
                ended = connection.as_mut() => return ended,
                () = self.cut.cancelled() => return Ok(()),
                () = sleep(PARTING) => {}
            }
            // A head in part, or a peer that does not answer, keeps nothing open; the end of an answer does for a while.
            let is_over = began.elapsed() > self.limits.stall;
            if seat.is_idle() && (is_over || !seat.has_unsent()) {
                return Ok(());
            }
        }
    }
}
