//! Metrics of listeners. Label `listener` is one of the names services give to [`crate::bind`].
#![expect(
    clippy::disallowed_macros,
    reason = "this is where the crate's metrics are declared"
)]

use std::sync::OnceLock;

use metrics::{Counter, counter, describe_counter};

/// Handles of one listener.
#[derive(Clone)]
pub(crate) struct Meter {
    pub(crate) opened: Counter,
    pub(crate) closed: Counter,
    pub(crate) full: Counter,
    pub(crate) cut: Counter,
    pub(crate) handshake_failed: Counter,
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
        Self {
            opened: counter!("ringside_listen_connections_opened_total", "listener" => listener),
            closed: counter!("ringside_listen_connections_closed_total", "listener" => listener),
            full: counter!("ringside_listen_full_total", "listener" => listener),
            cut: counter!("ringside_listen_cut_total", "listener" => listener),
            handshake_failed: counter!("ringside_listen_handshakes_failed_total", "listener" => listener),
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
