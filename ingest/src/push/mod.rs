//! Feed client: one connection to every packager, made anew whenever it ends.

pub(crate) mod replay;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use feed::message::PROTOCOL;
use feed::{Decoder, Hello, Message, Shape};
use hls::id::{Cell, Epoch, StreamId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use replay::{Picture, Replay};

const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(3);

/// What all connections share.
pub(crate) struct Push {
    pub(crate) stream: StreamId,
    pub(crate) epoch: Epoch,
    pub(crate) discontinuity: u64,
    pub(crate) secret: Vec<u8>,
    pub(crate) replay: Arc<Replay>,
    pub(crate) hello_max: Duration,
    pub(crate) write_max: Duration,
    pub(crate) metrics: Metrics,
    /// Once cancelled, a feed ends when everything was sent.
    pub(crate) closing: CancellationToken,
}

/// Why one connection ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("socket")]
    Io(#[from] std::io::Error),
    #[error("malformed answer")]
    Feed(#[from] feed::Error),
    #[error("no answer in time")]
    Timeout(#[from] tokio::time::error::Elapsed),
    #[error("refused: {0}")]
    Refused(String),
    #[error("unexpected message")]
    Unexpected,
    #[error("closed by the packager")]
    Closed,
}

impl Push {
    /// Feeds one packager until `stop`.
    pub(crate) async fn run(self: Arc<Self>, peer: SocketAddr, stop: CancellationToken) {
        let mut backoff = BACKOFF_FIRST;
        while !stop.is_cancelled() && !self.closing.is_cancelled() {
            let mut fed = false;
            let lost = tokio::select! {
                () = stop.cancelled() => Ok(()),
                lost = self.feed(peer, &mut fed) => lost,
            };
            if fed {
                self.metrics.feed_connections.decrement(1.0);
            }
            if lost.is_ok() && self.replay.is_over() {
                return;
            }
            if fed {
                self.metrics.feed_lost.increment(1);
                backoff = BACKOFF_FIRST;
            }
            if let Err(error) = lost {
                // A packager that is not up yet is no news; the first failure after a good feed is.
                if fed || matches!(error, Lost::Refused(_)) {
                    tracing::warn!(stream = %self.stream, %peer, %error, "feed ended");
                } else {
                    tracing::debug!(stream = %self.stream, %peer, %error, "feed not made");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.closing.cancelled() => return,
                () = tokio::time::sleep(jittered(backoff)) => {}
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    async fn feed(&self, peer: SocketAddr, fed: &mut bool) -> Result<(), Lost> {
        let mut shapes = self.replay.shape();
        let Ok(shape) = shapes.wait_for(Option::is_some).await.map(|shape| shape.clone()) else {
            return Err(Lost::Closed);
        };
        let shape = shape.ok_or(Lost::Unexpected)?;
        let mut answers = Answers::default();
        let (mut socket, from) = timeout(self.hello_max, self.greet(peer, &shape, &mut answers)).await??;
        *fed = true;
        self.metrics.feed_connections.increment(1.0);
        tracing::info!(stream = %self.stream, %peer, cell = %from, "feeding");
        self.send_all(&mut socket, from).await
    }

    /// Challenge, hello, resume.
    async fn greet(
        &self,
        peer: SocketAddr,
        shape: &Arc<Shape>,
        answers: &mut Answers,
    ) -> Result<(TcpStream, Cell), Lost> {
        let mut socket = TcpStream::connect(peer).await?;
        socket.set_nodelay(true)?;
        let Message::Challenge(challenge) = answers.next(&mut socket).await? else {
            return Err(Lost::Unexpected);
        };
        let hello = Hello {
            protocol: PROTOCOL,
            stream: self.stream.clone(),
            epoch: self.epoch,
            discontinuity: self.discontinuity,
            shape: shape.as_ref().clone(),
            mac: feed::auth::mac(&self.secret, &challenge, &self.stream),
        };
        let mut bytes = BytesMut::new();
        feed::encode(&Message::Hello(Box::new(hello)), &mut bytes);
        socket.write_all(&bytes).await?;
        match answers.next(&mut socket).await? {
            Message::Resume(cell) => Ok((socket, cell)),
            Message::Refuse(reason) => Err(Lost::Refused(reason)),
            Message::Challenge(_)
            | Message::Hello(_)
            | Message::Unit(_)
            | Message::Watermark { .. }
            | Message::Gap { .. }
            | Message::Cue(_)
            | Message::Thumbnail { .. }
            | Message::End => Err(Lost::Unexpected),
        }
    }

    async fn send_all(&self, socket: &mut TcpStream, from: Cell) -> Result<(), Lost> {
        let mut cursor = self.replay.resume(from);
        let mut written = self.replay.written();
        let (mut pictures, mut shown) = (self.replay.pictures(), None);
        let (mut reader, mut writer) = socket.split();
        let (mut bytes, mut nothing) = (BytesMut::new(), [0; 64]);
        loop {
            written.borrow_and_update();
            bytes.clear();
            self.replay
                .read(&mut cursor)
                .iter()
                .for_each(|message| feed::encode(message, &mut bytes));
            if !bytes.is_empty() {
                timeout(self.write_max, writer.write_all(&bytes)).await??;
                continue;
            }
            // Media first: while any waits, newer pictures take the place of this one.
            if let Some(message) = self.picture(&mut pictures, &mut shown) {
                feed::encode(&message, &mut bytes);
                timeout(self.write_max, writer.write_all(&bytes)).await??;
                continue;
            }
            if self.replay.is_over() {
                feed::encode(&Message::End, &mut bytes);
                timeout(self.write_max, writer.write_all(&bytes)).await??;
                return Ok(writer.shutdown().await?);
            }
            if self.closing.is_cancelled() {
                return Ok(());
            }
            tokio::select! {
                () = self.closing.cancelled() => {}
                changed = written.changed() => changed.map_err(|_| Lost::Closed)?,
                changed = pictures.changed() => changed.map_err(|_| Lost::Closed)?,
                // After its wish a packager has nothing to say; an end of file is how a dead one shows.
                read = reader.read(&mut nothing) => {
                    return Err(if read? == 0 { Lost::Closed } else { Lost::Unexpected });
                }
            }
        }
    }
}

impl Push {
    /// The newest picture if it is newer than the one `shown` last; those in between are counted.
    fn picture(
        &self,
        pictures: &mut watch::Receiver<Option<Picture>>,
        shown: &mut Option<u64>,
    ) -> Option<Message> {
        let newest = pictures.borrow_and_update();
        let Picture { number, cell, jpeg } = newest.as_ref()?;
        let new = shown.map_or(1, |shown| number - shown);
        *shown = Some(*number);
        self.metrics.thumbnails_dropped.increment(new.saturating_sub(1));
        self.metrics.thumbnails_sent.increment(new.min(1));
        (new > 0).then(|| Message::Thumbnail {
            cell: *cell,
            jpeg: jpeg.clone(),
        })
    }
}

/// Messages from the packager, framed.
#[derive(Default)]
struct Answers {
    decoder: Decoder,
}

impl Answers {
    async fn next(&mut self, socket: &mut TcpStream) -> Result<Message, Lost> {
        let mut bytes = [0; 1_024];
        loop {
            if let Some(message) = self.decoder.next()? {
                return Ok(message);
            }
            let length = socket.read(&mut bytes).await?;
            if length == 0 {
                return Err(Lost::Closed);
            }
            self.decoder.push(bytes.get(..length).unwrap_or_default());
        }
    }
}

/// Between half of it and all of it, so that many feeds do not knock together.
fn jittered(backoff: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    backoff.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}
