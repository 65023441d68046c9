//! RTMP listener: sockets around the session machine, keys checked, one publisher at a time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::rtmp::handshake::RANDOM_BYTES;
use ::rtmp::{Event, Limits, Session};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Rtmp;
use crate::contribution::{Contribution, Decoders};
use crate::desk::Desk;
use crate::error::Error;
use crate::keys::Keys;
use crate::metrics::Metrics;

/// Connections the kernel may hold ready.
const BACKLOG: u32 = 128;
/// Units on their way from the socket to the decoders; a full queue slows the encoder down by TCP's own means.
const UNITS_QUEUED: usize = 256;
/// After a failed accept (usually no file descriptor left).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// When the kernel begins to ask whether a silent encoder is still there, how often and how many times.
const PROBE_AFTER: Duration = Duration::from_secs(5);
const PROBE_EVERY: Duration = Duration::from_secs(2);
const PROBES: u32 = 3;
/// Bytes, probes included, may be unacknowledged for this long.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(15);

/// What every connection needs.
pub(crate) struct Server {
    pub(crate) config: Rtmp,
    pub(crate) keys: Keys,
    pub(crate) desk: Desk,
    /// Zero of the switcher's clock.
    pub(crate) origin: Instant,
    pub(crate) canvas: (u32, u32),
    pub(crate) metrics: Metrics,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

/// Why one connection ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("socket")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Session(#[from] ::rtmp::Error),
    #[error("write took too long")]
    Write(#[from] tokio::time::error::Elapsed),
    #[error("no media in time")]
    Silent,
    #[error("a newer encoder came with the same key")]
    Replaced,
    #[error("shutting down")]
    Stopped,
}

/// Opens the port.
pub(crate) fn listen(addr: SocketAddr) -> Result<TcpListener, Error> {
    let open = || {
        let socket = if addr.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|source| Error::Listen { addr, source })
}

impl Server {
    /// Accepts until the ingest stops.
    pub(crate) async fn run(self: Arc<Self>, listener: TcpListener) {
        let slots = Arc::new(Semaphore::new(self.config.connections_max));
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (socket, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let Ok(slot) = slots.clone().try_acquire_owned() else {
                self.metrics.refused_full.increment(1);
                continue;
            };
            let server = self.clone();
            self.tasks.spawn(async move {
                server.metrics.rtmp_connections.increment(1.0);
                server.serve(socket, peer).await;
                server.metrics.rtmp_connections.decrement(1.0);
                drop(slot);
            });
        }
    }

    async fn serve(&self, socket: TcpStream, peer: SocketAddr) {
        let mut random = [0; RANDOM_BYTES];
        if getrandom::fill(&mut random).is_err() || tune(&socket).is_err() {
            return;
        }
        let limits = Limits {
            idle: Duration::from_millis(self.config.idle_ms_max),
            ..Limits::default()
        };
        let mut connection = Connection {
            server: self,
            peer,
            session: Session::new(Instant::now(), random, limits),
            closed: self.stop.child_token(),
            publisher: None,
        };
        let ended = connection.run(socket).await;
        connection.closed.cancel();
        connection.leave();
        let published = connection.publisher.is_some();
        // Ports on the internet are knocked at all day; only publishers are worth a line.
        match ended {
            Err(error) if published => tracing::warn!(%peer, %error, "encoder lost"),
            Ok(()) if published => tracing::info!(%peer, "encoder left"),
            Err(error) => tracing::debug!(%peer, %error, "connection ended"),
            Ok(()) => tracing::debug!(%peer, "connection ended"),
        }
    }
}

/// One socket with its session.
struct Connection<'a> {
    server: &'a Server,
    peer: SocketAddr,
    session: Session,
    /// Cancelled by whoever takes over, and when this connection ends.
    closed: CancellationToken,
    publisher: Option<Publisher>,
}

/// An accepted encoder: what the switcher sees, and the way to its decoders.
struct Publisher {
    contribution: Arc<Contribution>,
    units: mpsc::Sender<(Instant, Event)>,
    /// When it was accepted, or its last frame came.
    last_media: Instant,
}

impl Connection<'_> {
    async fn run(&mut self, mut socket: TcpStream) -> Result<(), Lost> {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let deadline = self.session.deadline();
            let handled = tokio::select! {
                () = self.closed.cancelled() => {
                    return Err(if self.server.stop.is_cancelled() { Lost::Stopped } else { Lost::Replaced });
                }
                () = sleep_until(self.media_deadline()) => return Err(Lost::Silent),
                () = sleep_until(deadline) => self.session.handle_timeout(Instant::now()),
                read = socket.read(&mut bytes) => match read? {
                    0 => return Ok(()),
                    length => self.session.handle(Instant::now(), bytes.get(..length).unwrap_or_default()),
                },
            };
            self.drain_events().await;
            self.drain_output(&mut socket).await?;
            handled?;
            if self.session.is_closed() {
                return Ok(());
            }
        }
    }

    /// Pings and parts of a message that never ends keep the session's own deadline away; this one they do not.
    fn media_deadline(&self) -> Option<Instant> {
        let within = Duration::from_millis(self.server.config.media_idle_ms_max);
        self.publisher
            .as_ref()
            .map(|publisher| publisher.last_media + within)
    }

    async fn drain_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Publish { app, key } => self.answer(&app, key.expose()),
                Event::Unpublish => self.leave(),
                Event::Unsupported { what } => {
                    tracing::warn!(peer = %self.peer, what, "passed over")
                }
                Event::Metadata(metadata) => {
                    tracing::info!(peer = %self.peer, ?metadata, "encoder")
                }
                media @ (Event::VideoConfig { .. }
                | Event::Video { .. }
                | Event::AudioConfig { .. }
                | Event::Audio { .. }) => {
                    if let Some(publisher) = &mut self.publisher {
                        let is_frame = matches!(media, Event::Video { .. } | Event::Audio { .. });
                        // Fails only once the decoders' thread is gone, which ends with this connection.
                        drop(publisher.units.send((Instant::now(), media)).await);
                        if is_frame {
                            publisher.last_media = Instant::now();
                        }
                    }
                }
            }
        }
    }

    async fn drain_output(&mut self, socket: &mut TcpStream) -> Result<(), Lost> {
        let within = Duration::from_millis(self.server.config.write_ms_max);
        while let Some(output) = self.session.poll_output() {
            timeout(within, socket.write_all(&output)).await??;
        }
        Ok(())
    }

    fn answer(&mut self, app: &str, key: &str) {
        let now = Instant::now();
        let server = self.server;
        let Some(stream) = server.keys.stream(key) else {
            server.metrics.refused_key.increment(1);
            tracing::warn!(peer = %self.peer, app, "unknown stream key");
            self.session.refuse(now, "unknown stream key");
            return;
        };
        let contribution = Arc::new(Contribution::new(server.origin, server.metrics.clone()));
        let Some(took_over) = server.desk.enter(contribution.clone(), self.closed.clone()) else {
            self.session.refuse(now, "the switcher is busy");
            return;
        };
        server.metrics.publishes.increment(1);
        server.metrics.takeovers.increment(u64::from(took_over));
        tracing::info!(%stream, peer = %self.peer, app, took_over, "encoder is in");
        let decoders = Decoders::new(contribution.clone(), server.canvas, server.metrics.clone());
        let (units, queue) = mpsc::channel(UNITS_QUEUED);
        server.tasks.spawn_blocking(move || decode(decoders, queue));
        self.publisher = Some(Publisher {
            contribution,
            units,
            last_media: now,
        });
        self.session.accept(now);
    }

    /// The encoder is gone, or says so; what it sent before is still shown.
    fn leave(&self) {
        if let Some(publisher) = &self.publisher {
            publisher.contribution.leave();
        }
    }
}

/// Sends small answers at once, and finds out soon that nobody is there any more.
fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let probes = TcpKeepalive::new()
        .with_time(PROBE_AFTER)
        .with_interval(PROBE_EVERY)
        .with_retries(PROBES);
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))
}

fn decode(mut decoders: Decoders, mut queue: mpsc::Receiver<(Instant, Event)>) {
    while let Some((arrival, event)) = queue.blocking_recv() {
        decoders.handle(arrival, event);
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_vanished_encoder_is_found_out_by_the_kernel() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let _encoder = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        tune(&accepted).unwrap();
        let socket = SockRef::from(&accepted);
        assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), PROBE_AFTER);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), PROBE_EVERY);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), PROBES);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED_MAX));
    }
}
