//! Metrics of listeners. Label `listener` is one of the names services give to [`crate::bind`].
#![expect(
    clippy::disallowed_macros,
    reason = "this is where the crate's metrics are declared"
)]

use std::sync::OnceLock;

use metrics::{Counter, counter, describe_counter};

/// Why a connection or a request is refused or ended by us, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nothing was asked for within the idle time.
    Idle,
    /// Idle longest when there was no room for newcomers.
    Room,
    /// Too many from one address.
    Address,
    /// A head did not come within its time.
    HeadLate,
    /// A head is too long, or has too many headers.
    HeadTooLong,
    /// Path and query are too long.
    TargetTooLong,
    /// Not HTTP as it is written, or framed so that others may read it otherwise.
    Malformed,
    /// More of HTTP/2's frames than any use needs: resets, continuations, pings.
    Flood,
    /// An answer did not move.
    Stalled,
    /// An answer moved too slowly.
    Slow,
    /// The peer acknowledged nothing.
    Gone,
}

const CAUSES: [(Cause, &str); 11] = [
    (Cause::Idle, "idle"),
    (Cause::Room, "room"),
    (Cause::Address, "address"),
    (Cause::HeadLate, "head_late"),
    (Cause::HeadTooLong, "head_too_long"),
    (Cause::TargetTooLong, "target_too_long"),
    (Cause::Malformed, "malformed"),
    (Cause::Flood, "flood"),
    (Cause::Stalled, "stalled"),
    (Cause::Slow, "slow"),
    (Cause::Gone, "gone"),
];

/// Handles of one listener.
#[derive(Clone)]
pub(crate) struct Meter {
    pub(crate) opened: Counter,
    pub(crate) closed: Counter,
    pub(crate) full: Counter,
    pub(crate) cut: Counter,
    pub(crate) handshake_failed: Counter,
    ended: [(Cause, Counter); CAUSES.len()],
}

impl Meter {
    pub(crate) fn new(listener: &'static str) -> Self {
        describe_counter!(
            "ringside_listen_connections_opened_total",
            "Connections accepted."
        );
        describe_counter!(
            "ringside_listen_connections_closed_total",
            "Connections ended, for any reason."
        );
        describe_counter!(
            "ringside_listen_full_total",
            "Times accepting paused at the connection limit."
        );
        describe_counter!(
            "ringside_listen_cut_total",
            "Connections cut when the drain's grace expired."
        );
        describe_counter!(
            "ringside_listen_handshakes_failed_total",
            "TLS handshakes that failed or timed out."
        );
        describe_counter!(
            "ringside_listen_ended_total",
            "Connections closed and requests refused by the listener itself, by cause."
        );
        let ended = |(cause, label): (Cause, &'static str)| {
            let counter = counter!("ringside_listen_ended_total", "listener" => listener, "cause" => label);
            (cause, counter)
        };
        Self {
            ended: CAUSES.map(ended),
            opened: counter!("ringside_listen_connections_opened_total", "listener" => listener),
            closed: counter!("ringside_listen_connections_closed_total", "listener" => listener),
            full: counter!("ringside_listen_full_total", "listener" => listener),
            cut: counter!("ringside_listen_cut_total", "listener" => listener),
            handshake_failed: counter!("ringside_listen_handshakes_failed_total", "listener" => listener),
        }
    }

    /// Counts what the listener ends or refuses by itself.
    pub(crate) fn ended(&self, cause: Cause) {
        let counter = self.ended.iter().find(|(of, _)| *of == cause);
        if let Some((_, counter)) = counter {
            counter.increment(1);
        }
    }
}

/// A long playlist was compressed.
pub(crate) fn compressed() {
    static COMPRESSED: OnceLock<Counter> = OnceLock::new();
    let count = || {
        describe_counter!(
            "ringside_listen_compressed_total",
            "Long playlists compressed, each once."
        );
        counter!("ringside_listen_compressed_total")
    };
    COMPRESSED.get_or_init(count).increment(1);
}
