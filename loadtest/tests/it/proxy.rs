//! A network between two: late by a fixed time, mute after a while, or before a server with another clock.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

/// What it does to answers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Proxy {
    /// Every byte is so late.
    pub(crate) delay: Duration,
    /// Seconds added to the server's clock in `ringside-available`; HTTP/1.1 only.
    pub(crate) skew_s: i64,
    /// Words that become others of the same length.
    pub(crate) replace: Option<(&'static [u8], &'static [u8])>,
    /// Nothing passes after this.
    pub(crate) mute: Option<Instant>,
}

impl Proxy {
    /// Begins to pass on to a server; where.
    pub(crate) async fn before(self, server: SocketAddr) -> SocketAddr {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let tasks = TaskTracker::new();
        tasks.clone().spawn(async move {
            while let Ok((client, _)) = socket.accept().await {
                let server = TcpStream::connect(server).await.unwrap();
                server.set_nodelay(true).unwrap();
                client.set_nodelay(true).unwrap();
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tasks.spawn(Self::default().pass(from_client, to_server));
                tasks.spawn(self.pass(from_server, to_client));
            }
        });
        address
    }

    async fn pass(self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let (put, mut take) = mpsc::channel::<(Instant, Vec<u8>)>(10_000);
        let reads = async move {
            let mut room = vec![0; 64 << 10];
            while let Ok(n @ 1..) = from.read(&mut room).await {
                let mut bytes = room[..n].to_vec();
                self.skew(&mut bytes);
                self.replace(&mut bytes);
                if put.send((Instant::now() + self.delay, bytes)).await.is_err() {
                    break;
                }
            }
        };
        let writes = async move {
            while let Some((at, bytes)) = take.recv().await {
                sleep_until(at).await;
                if self.mute.is_some_and(|mute| mute <= Instant::now()) {
                    std::future::pending::<()>().await;
                }
                if to.write_all(&bytes).await.is_err() {
                    break;
                }
            }
        };
        tokio::join!(reads, writes);
    }

    /// Heads of these servers come in one piece.
    fn skew(self, bytes: &mut [u8]) {
        let name = b"ringside-available: ";
        let Some(at) = bytes.windows(name.len()).position(|window| window == name) else {
            return;
        };
        let digits = &mut bytes[at + name.len()..][..16];
        let value: i64 = std::str::from_utf8(digits).unwrap().parse().unwrap();
        digits.copy_from_slice((value + self.skew_s * 1_000_000).to_string().as_bytes());
    }

    fn replace(self, bytes: &mut [u8]) {
        let Some((old, new)) = self.replace else {
            return;
        };
        for at in 0..bytes.len().saturating_sub(old.len()) {
            if bytes[at..].starts_with(old) {
                bytes[at..at + new.len()].copy_from_slice(new);
            }
        }
    }
}
