//! RTMP and RTMPS listeners: sockets around the session machine.

mod connection;
mod units;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Rtmp;
use crate::door::Door;
use crate::error::Error;
use crate::gate::Addresses;
use crate::metrics::{Listener, Protocol};

/// Connections the kernel may hold ready.
const BACKLOG: u32 = 128;
/// After a failed accept (usually no file descriptor left).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// An encoder's side of the TLS handshake may take this long.
const TLS_MAX: Duration = Duration::from_secs(5);
/// When the kernel begins to ask whether a silent encoder is still there, how often and how many times.
const PROBE_AFTER: Duration = Duration::from_secs(5);
const PROBE_EVERY: Duration = Duration::from_secs(2);
const PROBES: u32 = 3;
/// Bytes, probes included, may be unacknowledged for this long.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(15);

/// What every connection of one listener needs.
pub(crate) struct Server {
    pub(crate) config: Rtmp,
    pub(crate) protocol: Protocol,
    /// With TLS where there is one.
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) door: Arc<Door>,
    pub(crate) addresses: Addresses,
    pub(crate) metrics: Listener,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

/// Opens the port; `key` is its name in the config.
pub(crate) fn listen(addr: SocketAddr, key: &'static str) -> Result<TcpListener, Error> {
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
    open().map_err(|source| Error::Listen { key, addr, source })
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
            let (Ok(slot), Some(share)) = (slots.clone().try_acquire_owned(), self.addresses.take(peer.ip()))
            else {
                self.metrics.refused_full.increment(1);
                continue;
            };
            let server = self.clone();
            self.tasks.spawn(async move {
                server.metrics.connections.increment(1.0);
                server.serve(socket, peer).await;
                server.metrics.connections.decrement(1.0);
                drop((slot, share));
            });
        }
    }

    async fn serve(&self, socket: TcpStream, peer: SocketAddr) {
        if tune(&socket).is_err() {
            return;
        }
        let Some(tls) = &self.tls else {
            return connection::serve(self, socket, peer).await;
        };
        let greeted = tokio::select! {
            () = self.stop.cancelled() => return,
            greeted = tokio::time::timeout(TLS_MAX, tls.accept(socket)) => greeted,
        };
        match greeted {
            Ok(Ok(socket)) => connection::serve(self, socket, peer).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
            Err(_) => tracing::debug!(%peer, "no TLS in time"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_vanished_encoder_is_found_out_by_the_kernel() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)), "ingest.rtmp.listen").unwrap();
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
