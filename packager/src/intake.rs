//! Feeds in: one connection per ingest and stream, authenticated, bounded, replaceable.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use feed::message::PROTOCOL;
use feed::{Decoder, Hello, Message, auth, encode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cmafin::claims::{Claim, Source};
use crate::config::Feed;
use crate::metrics::Meter;
use crate::window::{Streams, Ticket};

/// Opens the feed port.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, listen::Error> {
    TcpListener::bind(address)
        .await
        .map_err(|source| listen::Error::Bind {
            name: "feed",
            address,
            key: "packager.feed.listen",
            source,
        })
}

/// Accepts feeds.
pub(crate) struct Intake {
    config: Feed,
    secret: Vec<u8>,
    streams: Arc<Streams>,
    meter: Meter,
}

/// Why a feed's connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("connection")]
    Io(#[from] std::io::Error),
    #[error("protocol")]
    Wire(#[from] feed::Error),
    #[error("silent for {0} s")]
    Silent(u64),
    #[error("refused: {0}")]
    Refused(String),
    #[error("a newer feed took over")]
    Replaced,
    #[error("message out of place")]
    OutOfPlace,
    #[error("closed by the ingest")]
    Closed,
}

impl Intake {
    pub(crate) fn new(config: Feed, secret: Vec<u8>, streams: Arc<Streams>) -> Self {
        Self {
            config,
            secret,
            streams,
            meter: Meter::new(),
        }
    }

    /// Accepts until `shutdown`; then ends all feeds.
    pub(crate) async fn run(self, listener: TcpListener, shutdown: CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.config.connections_max));
        let tasks = TaskTracker::new();
        let shared = Arc::new(self);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.cancelled() => break,
            };
            let Ok((stream, peer)) = accepted else {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            };
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                shared.meter.refused.increment(1);
                tracing::warn!(%peer, "feed refused: packager.feed.connections_max reached");
                continue;
            };
            let (shared, shutdown) = (Arc::clone(&shared), shutdown.clone());
            tasks.spawn(async move {
                let ended = tokio::select! {
                    ended = shared.feed(stream) => ended,
                    () = shutdown.cancelled() => return,
                };
                if let Err(error) = ended {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(%peer, error, "feed ended");
                }
                drop(slot);
            });
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn feed(&self, mut stream: TcpStream) -> Result<(), Ended> {
        stream.set_nodelay(true)?;
        let mut challenge = [0; 32];
        getrandom::fill(&mut challenge).map_err(std::io::Error::from)?;
        send(&mut stream, &Message::Challenge(challenge)).await?;
        let mut reader = Reader {
            decoder: Decoder::default(),
            buffer: BytesMut::with_capacity(64 << 10),
        };
        let Message::Hello(hello) = self.next(&mut reader, &mut stream).await? else {
            return Err(Ended::OutOfPlace);
        };
        let (ticket, _claim) = match self.admit(&hello, &challenge) {
            Ok(admitted) => admitted,
            Err(reason) => {
                self.meter.refused.increment(1);
                send(&mut stream, &Message::Refuse(reason.clone())).await?;
                return Err(Ended::Refused(reason));
            }
        };
        send(&mut stream, &Message::Resume(ticket.resume)).await?;
        tracing::info!(stream = %hello.stream, epoch = %hello.epoch, resume = %ticket.resume, "feed accepted");
        loop {
            let message = self.next(&mut reader, &mut stream).await?;
            if !take(&ticket, message)? {
                return Err(Ended::Replaced);
            }
        }
    }

    fn admit(&self, hello: &Hello, challenge: &[u8; 32]) -> Result<(Ticket, Claim), String> {
        if hello.protocol != PROTOCOL {
            return Err(format!("feed protocol {} (want {PROTOCOL})", hello.protocol));
        }
        if !auth::verify(&self.secret, challenge, &hello.stream, &hello.mac) {
            return Err("wrong feed.secret".to_owned());
        }
        let claim = self.streams.claims.claim(&hello.stream, Source::Feed);
        let claim = claim.map_err(|taken| taken.to_string())?;
        let opened = self
            .streams
            .open(hello, self.config.window(), self.config.streams_max);
        let ticket = opened.map_err(|refusal| refusal.to_string())?;
        Ok((ticket, claim))
    }

    async fn next(&self, reader: &mut Reader, stream: &mut TcpStream) -> Result<Message, Ended> {
        loop {
            if let Some(message) = reader.decoder.next()? {
                return Ok(message);
            }
            reader.buffer.clear();
            let read = timeout(self.config.idle(), stream.read_buf(&mut reader.buffer));
            match read.await.map_err(|_| Ended::Silent(self.config.idle_s))?? {
                0 => return Err(Ended::Closed),
                _ => reader.decoder.push(&reader.buffer),
            }
        }
    }
}

struct Reader {
    decoder: Decoder,
    buffer: BytesMut,
}

async fn send(stream: &mut TcpStream, message: &Message) -> Result<(), std::io::Error> {
    let mut bytes = BytesMut::new();
    encode(message, &mut bytes);
    stream.write_all(&bytes).await
}

/// False once a newer feed has the stream.
fn take(ticket: &Ticket, message: Message) -> Result<bool, Ended> {
    let (stream, generation) = (&ticket.stream, ticket.generation);
    match message {
        Message::Unit(unit) => Ok(stream.unit(generation, unit)),
        Message::Watermark { track, cell } => Ok(stream.watermark(generation, track, cell)),
        Message::Gap { track, cell } => Ok(stream.gap(generation, track, cell)),
        Message::Cue(cue) => Ok(stream.cue(generation, &cue)),
        Message::Thumbnail { cell, jpeg } => Ok(stream.thumbnail(generation, cell, jpeg)),
        Message::End => Ok(stream.end(generation)),
        Message::Challenge(_) | Message::Hello(_) | Message::Resume(_) | Message::Refuse(_) => {
            Err(Ended::OutOfPlace)
        }
    }
}
