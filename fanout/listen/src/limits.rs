//! Bounds of a listener.

use std::time::Duration;

/// Bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; at the limit the longest idle ones are closed for newcomers, and accepting waits for that.
    pub connections: usize,
    /// Connections at once from one address (IPv6: one /64) that [`crate::Listener::exempt`] does not name; further ones are
    /// closed as they are accepted. 0 is no limit.
    pub per_address: usize,
    /// From connection to the end of the TLS handshake; then it is closed.
    pub handshake: Duration,
    /// Between requests; then the connection is closed.
    pub idle: Duration,
    /// For the rest of a request's head once its first byte is here; then it is answered 408 where that can still be said.
    pub head: Duration,
    /// Size of a request's head, bytes; a longer one is answered 431, as one of more than 100 headers is.
    pub head_bytes: usize,
    /// Length of path and query, bytes; a longer one is answered 414.
    pub target_bytes: usize,
    /// Whether requests may bring bodies in any framing. Where not, a GET with one, and any request in chunks, is answered 400.
    pub uploads: bool,
    /// Requests under way on one HTTP/2 connection; more are refused by the protocol.
    pub streams: u32,
    /// Streams of one HTTP/2 connection that were reset before they were looked at; more end the connection.
    pub resets: usize,
    /// HTTP/2 flow control of what a request brings, bytes of one stream; a connection has four times as much.
    pub window: u32,
    /// How long sent bytes may stay unacknowledged before the peer counts as dead.
    pub unacknowledged: Duration,
    /// How long an answer may not move at all, and the span over which `rate` is taken; then the connection is cut.
    pub stall: Duration,
    /// Bytes a second that a connection with something to take must take; one that takes less is cut. 0 is no limit.
    pub rate: u64,
    /// Bytes the kernel holds for a connection beyond what is on its way; the rest of an answer stays shared.
    pub send_buffer: u32,
    /// How long requests under way may take after shutdown began.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            per_address: 0,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            head: Duration::from_secs(10),
            head_bytes: 16 << 10,
            target_bytes: 8 << 10,
            uploads: true,
            streams: 256,
            resets: 20,
            window: 1 << 20,
            unacknowledged: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            rate: 4_000,
            send_buffer: 128 << 10,
            drain: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// Bytes that a connection must take within one [`Limits::stall`]. What the kernel takes at once is no progress yet.
    pub(crate) fn least(&self) -> u64 {
        let wanted = u64::try_from(self.stall.as_millis())
            .unwrap_or(u64::MAX)
            .saturating_mul(self.rate)
            / 1_000;
        wanted.saturating_sub(self.send_buffer.into()).max(1)
    }

    /// How often deadlines are looked at.
    pub(crate) fn tick(&self) -> Duration {
        let shortest = self.stall.min(self.head).min(self.idle);
        (shortest / 4).clamp(Duration::from_millis(20), Duration::from_secs(1))
    }
}
