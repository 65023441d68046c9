//! One RTMP connection: bytes to the session machine, its answers back, its media to the seat.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ::rtmp::handshake::RANDOM_BYTES;
use ::rtmp::{Event, Limits, Metadata, Session};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Server;
use super::units::Units;
use crate::doctor::Declared;
use crate::door::{Asked, Seat};
use crate::media::Clock;

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
    #[error("a newer encoder has its place, or its key was revoked")]
    Replaced,
    #[error("shutting down")]
    Stopped,
}

/// One socket with its session.
struct Connection<'a> {
    server: &'a Server,
    peer: SocketAddr,
    session: Session,
    /// Cancelled by whoever takes over, and when this connection ends.
    closed: CancellationToken,
    seat: Option<Seat>,
    units: Units,
}

/// Serves a connection to its end.
pub(super) async fn serve<S>(server: &Server, socket: S, peer: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut random = [0; RANDOM_BYTES];
    if getrandom::fill(&mut random).is_err() {
        return;
    }
    let limits = Limits {
        idle: Duration::from_millis(server.config.idle_ms_max),
        ..Limits::default()
    };
    let mut connection = Connection {
        server,
        peer,
        session: Session::new(Instant::now(), random, limits),
        closed: server.stop.child_token(),
        seat: None,
        units: Units::default(),
    };
    let ended = connection.run(socket).await;
    connection.closed.cancel();
    let published = connection.seat.is_some();
    let protocol = server.protocol.as_str();
    // Ports on the internet are knocked at all day; only publishers are worth a line.
    match ended {
        Err(error) if published => tracing::warn!(protocol, %peer, %error, "encoder lost"),
        Ok(()) if published => tracing::info!(protocol, %peer, "encoder left"),
        Err(error) => tracing::debug!(protocol, %peer, %error, "connection ended"),
        Ok(()) => tracing::debug!(protocol, %peer, "connection ended"),
    }
}

impl Connection<'_> {
    async fn run<S: AsyncRead + AsyncWrite + Unpin>(&mut self, mut socket: S) -> Result<(), Lost> {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let deadline = self.session.deadline();
            let handled = tokio::select! {
                () = self.closed.cancelled() => return Err(self.leave_taking(&mut socket).await),
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

    /// An encoder that understands it is asked to come again when the server goes; one that was replaced is not.
    async fn leave_taking<S: AsyncWrite + Unpin>(&mut self, socket: &mut S) -> Lost {
        if !self.server.stop.is_cancelled() {
            return Lost::Replaced;
        }
        if self.session.request_reconnect("the server restarts", None)
            && let Err(error) = self.drain_output(socket).await
        {
            return error;
        }
        Lost::Stopped
    }

    /// Pings and parts of a message that never ends keep the session's own deadline away; this one they do not.
    fn media_deadline(&self) -> Option<Instant> {
        let within = Duration::from_millis(self.server.config.media_idle_ms_max);
        self.seat.as_ref().map(|seat| seat.last_media + within)
    }

    async fn drain_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Publish { app, key, peer } => {
                    tracing::debug!(peer = %self.peer, app, encoder = ?peer, "asks to publish");
                    self.answer(key.expose()).await;
                }
                Event::Unpublish => {
                    if let Some(seat) = &self.seat {
                        seat.leave();
                    }
                }
                Event::Unsupported { what } => {
                    tracing::warn!(peer = %self.peer, what, "passed over");
                }
                Event::Metadata(metadata) => {
                    tracing::info!(peer = %self.peer, ?metadata, "encoder");
                    if let Some(seat) = &self.seat {
                        seat.declare(declared(metadata));
                    }
                }
                media @ (Event::Cue { .. }
                | Event::VideoConfig { .. }
                | Event::Video { .. }
                | Event::AudioConfig { .. }
                | Event::Audio { .. }) => {
                    let Some(seat) = &mut self.seat else { continue };
                    for media in self.units.take(media) {
                        seat.give(media).await;
                    }
                }
            }
        }
    }

    async fn drain_output<S: AsyncWrite + Unpin>(&mut self, socket: &mut S) -> Result<(), Lost> {
        let within = Duration::from_millis(self.server.config.write_ms_max);
        while let Some(output) = self.session.poll_output() {
            // TLS keeps what was written until it is flushed.
            timeout(within, async {
                socket.write_all(&output).await?;
                socket.flush().await
            })
            .await??;
        }
        Ok(())
    }

    async fn answer(&mut self, key: &str) {
        let server = self.server;
        let asked = Asked {
            protocol: server.protocol,
            clock: Clock::FLV,
            peer: self.peer,
            key,
            role: None,
        };
        let entered = server.door.enter(&asked, self.closed.clone(), &server.metrics);
        match entered.await {
            Ok(seat) => {
                self.seat = Some(seat);
                self.session.accept(Instant::now());
            }
            Err(refusal) => self.session.refuse(Instant::now(), &refusal.to_string()),
        }
    }
}

/// Encoders fill in zero for what they do not know; what no encoder can do is nothing known either.
fn declared(metadata: Metadata) -> Declared {
    let known = |value: Option<f64>| value.filter(|value| *value > 0.0 && *value < 1e7);
    Declared {
        encoder: metadata.encoder,
        width: metadata.width,
        height: metadata.height,
        frames_per_s: known(metadata.framerate),
        video_kbps: known(metadata.video_kbps),
        audio_kbps: known(metadata.audio_kbps),
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
