//! One SRT publisher: bytes from libsrt's thread to a task that takes them apart and hands them on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::srt::{Connection, End, Flow, Sink, Stats};
use ::ts::{Demux, Limits};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::Server;
use super::units::Units;
use crate::desk::Role;
use crate::doctor::Line;
use crate::door::{Asked, Seat};
use crate::media::Clock;
use crate::metrics::Protocol;

/// Reads that may wait for the task, at most 64 KiB each; then libsrt buffers, and drops what comes too late.
const READS_QUEUED: usize = 64;

/// How often the line's counters are looked at, at most.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// What the task is told.
enum Told {
    Bytes(Bytes),
    End(End),
}

/// Why a publisher has to go.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("no media in time")]
    Silent,
    #[error("a newer encoder has its place, or its key was revoked")]
    Replaced,
    #[error("shutting down")]
    Stopped,
    #[error("{0:?}")]
    Ended(End),
}

/// The task's side.
pub(super) struct Publisher {
    server: Arc<Server>,
    connection: Connection,
    key: String,
    role: Option<Role>,
    told: mpsc::Receiver<Told>,
    closed: CancellationToken,
}

/// libsrt's side.
struct Queue(mpsc::Sender<Told>);

impl Sink for Queue {
    fn data(&mut self, bytes: Bytes) -> Flow {
        match self.0.try_send(Told::Bytes(bytes)) {
            Ok(()) => Flow::Taken,
            Err(mpsc::error::TrySendError::Full(Told::Bytes(bytes))) => Flow::Full(bytes),
            Err(_) => Flow::Close,
        }
    }

    fn end(&mut self, end: End) {
        // A task that is gone, or so far behind, learns it from the channel's end.
        drop(self.0.try_send(Told::End(end)));
    }
}

impl Publisher {
    pub(super) fn new(
        server: Arc<Server>,
        connection: Connection,
        key: String,
        role: Option<Role>,
    ) -> (Self, Box<dyn Sink>) {
        let (sender, told) = mpsc::channel(READS_QUEUED);
        let publisher = Self {
            closed: server.stop.child_token(),
            server,
            connection,
            key,
            role,
            told,
        };
        (publisher, Box::new(Queue(sender)))
    }

    /// To the publisher's end.
    pub(super) async fn run(mut self) {
        let server = self.server.clone();
        server.metrics.connections.increment(1.0);
        let peer = self.connection.peer();
        let asked = Asked {
            protocol: Protocol::Srt,
            clock: Clock::MPEG,
            peer,
            key: &self.key,
            role: self.role,
        };
        let entered = server
            .door
            .enter(&asked, self.closed.clone(), &server.metrics)
            .await;
        if let Ok(mut seat) = entered {
            let lost = self.publish(&mut seat).await;
            let line = self.connection.stats();
            tracing::info!(protocol = "srt", %peer, why = %lost, ?line, "encoder left");
        }
        self.closed.cancel();
        self.connection.close();
        server.metrics.connections.decrement(1.0);
    }

    async fn publish(&mut self, seat: &mut Seat) -> Lost {
        let within = Duration::from_millis(self.server.config.media_idle_ms_max);
        let mut demux = Demux::new(Limits::default());
        let mut units = Units::default();
        let mut counted = Instant::now();
        loop {
            let told = tokio::select! {
                () = self.closed.cancelled() => {
                    return if self.server.stop.is_cancelled() { Lost::Stopped } else { Lost::Replaced };
                }
                () = sleep_until((seat.last_media + within).into()) => return Lost::Silent,
                told = self.told.recv() => told,
            };
            match told {
                Some(Told::Bytes(bytes)) => demux.handle(&bytes),
                Some(Told::End(end)) => {
                    demux.finish();
                    units.give_all(&mut demux, seat, self.connection.peer()).await;
                    return Lost::Ended(end);
                }
                None => return Lost::Ended(End::Stalled),
            }
            units.give_all(&mut demux, seat, self.connection.peer()).await;
            if counted.elapsed() >= COUNT_EVERY {
                counted = Instant::now();
                seat.count(line(self.connection.stats()));
            }
        }
    }
}

fn line(stats: Stats) -> Line {
    Line {
        rtt_ms: stats.rtt_ms,
        packets_received: stats.packets_received,
        packets_lost: stats.packets_lost,
        packets_retransmitted: stats.packets_retransmitted,
        packets_dropped: stats.packets_dropped,
        latency_ms: stats.latency_ms,
    }
}
