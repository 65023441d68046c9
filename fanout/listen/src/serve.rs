//! The accept loop and the life of a connection.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
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
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::again::Again;
use crate::metrics::Meter;
use crate::plain::{self, End};
use crate::{Body, Incoming, Peer};

/// Bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; at the limit accepting pauses.
    pub connections: usize,
    /// From connection to the end of the TLS handshake; then it is closed.
    pub handshake: Duration,
    /// For a request's head, and between requests; then the connection is closed.
    pub head: Duration,
    /// Size of a request's head, bytes; a longer one is answered 431.
    pub head_bytes: usize,
    /// Requests under way on one HTTP/2 connection; more are refused by the protocol.
    pub streams: u32,
    /// How long sent bytes may stay unacknowledged before the peer counts as dead.
    pub unacknowledged: Duration,
    /// How long requests under way may take after shutdown began.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(60),
            head_bytes: 16 << 10,
            streams: 256,
            unacknowledged: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}

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
#[derive(Debug)]
pub struct Listener {
    name: &'static str,
    socket: TcpListener,
    address: SocketAddr,
    open: Open,
}

/// How many connections of a listener are open.
#[derive(Debug, Clone, Default)]
pub struct Open(Arc<AtomicUsize>);

impl Open {
    /// Now.
    pub fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
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
    })
}

impl Listener {
    /// The address, with the port the system chose where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Counts its connections, now and while it serves.
    pub fn open(&self) -> Open {
        self.open.clone()
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
            shutdown,
            cut,
            meter,
            service,
        });
        let slots = Arc::new(Semaphore::new(limits.connections));
        while let Some((stream, slot)) = shared.accept(&self.socket, &slots).await {
            let (shared, open) = (Arc::clone(&shared), self.open.clone());
            connections.spawn(async move {
                shared.meter.opened.increment(1);
                open.0.fetch_add(1, Ordering::Relaxed);
                shared.run(stream).await;
                open.0.fetch_sub(1, Ordering::Relaxed);
                shared.meter.closed.increment(1);
                drop(slot);
            });
        }
        drop(self.socket);
        connections.close();
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

struct Connection<S> {
    tls: Option<TlsAcceptor>,
    limits: Limits,
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
    ) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        if slots.available_permits() == 0 {
            self.meter.full.increment(1);
        }
        let slot = tokio::select! {
            slot = Arc::clone(slots).acquire_owned() => slot.ok()?,
            () = self.shutdown.cancelled() => return None,
        };
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = self.shutdown.cancelled() => return None,
            };
            match accepted {
                Ok((stream, _)) => return Some((stream, slot)),
                // Out of descriptors, or a peer that left at once: neither may end the loop or spin it.
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn run(&self, stream: TcpStream) {
        if let Err(error) = self.tune(&stream) {
            tracing::debug!(%error, "connection lost before it was served");
            return;
        }
        let Ok(address) = stream.peer_addr() else {
            return;
        };
        let peer = Arc::new(Peer::new(address.ip()));
        let Some(tls) = &self.tls else {
            return self.plain(stream, peer).await;
        };
        match timeout(self.limits.handshake, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.http(stream, peer).await,
            Ok(Err(_)) | Err(_) => self.meter.handshake_failed.increment(1),
        }
    }

    fn tune(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        socket2::SockRef::from(stream).set_tcp_user_timeout(Some(self.limits.unacknowledged))
    }

    /// Without TLS: by ourselves as long as the peer asks as players do.
    async fn plain(&self, stream: TcpStream, peer: Arc<Peer>) {
        let served = plain::serve(stream, &peer, &self.limits, &self.shutdown, &self.service);
        let end = tokio::select! {
            end = served => end,
            () = self.cut.cancelled() => return,
        };
        match end {
            End::Closed => {}
            End::Other(stream, read) => self.http(Again::new(read, stream), peer).await,
        }
    }

    async fn http<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, stream: T, peer: Arc<Peer>) {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(self.limits.head_bytes.max(8 << 10));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.limits.streams)
            .max_header_list_size(u32::try_from(self.limits.head_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(self.limits.head / 2)
            .keep_alive_timeout(self.limits.head / 2);
        let service = self.service.clone();
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let mut request = request.map(Incoming::from);
            request.extensions_mut().insert(Arc::clone(&peer));
            let answer = service(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = self.cut.cancelled() => return,
                }
            }
        };
        if let Err(error) = ended {
            // Whatever a peer sends or stops sending ends its own connection only.
            tracing::debug!(%error, "connection ended early");
        }
    }
}
