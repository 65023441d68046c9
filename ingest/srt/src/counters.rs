//! What a listener has counted since it was bound.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::connection::End;

/// Totals of one listener.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections handed to the owner.
    pub accepted: u64,
    /// Callers the owner's verdict refused.
    pub refused_by_verdict: u64,
    /// Callers above `connections_max`.
    pub refused_connections_max: u64,
    /// Callers above `connections_per_ip_max`.
    pub refused_per_ip_max: u64,
    /// Callers closed because they asked for more than `latency_ms_max`.
    pub refused_latency: u64,
    /// Callers the verdict accepted with a passphrase whose handshake then failed: theirs was wrong or absent.
    pub failed_with_passphrase: u64,
    /// Callers the verdict accepted without one whose handshake then failed: they encrypted, or left.
    pub failed_without_passphrase: u64,
    /// Ends by the caller.
    pub ended_caller: u64,
    /// Ends after `idle_timeout_ms` of silence.
    pub ended_idle: u64,
    /// Ends because libsrt would not go on.
    pub ended_broken: u64,
    /// Ends by the owner.
    pub ended_owner: u64,
    /// Ends because a sink was full for `stall_ms_max`.
    pub ended_stalled: u64,
    /// Ends with the listener.
    pub ended_listener: u64,
    /// Times a sink was full.
    pub held_up: u64,
    /// Bytes that a sink was too full for when its connection ended.
    pub bytes_undelivered: u64,
    /// Panics in the owner's functions.
    pub panics: u64,
}

/// The same, being counted.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) accepted: AtomicU64,
    pub(crate) refused_by_verdict: AtomicU64,
    pub(crate) refused_connections_max: AtomicU64,
    pub(crate) refused_per_ip_max: AtomicU64,
    pub(crate) refused_latency: AtomicU64,
    pub(crate) failed_with_passphrase: AtomicU64,
    pub(crate) failed_without_passphrase: AtomicU64,
    ended_caller: AtomicU64,
    ended_idle: AtomicU64,
    ended_broken: AtomicU64,
    ended_owner: AtomicU64,
    ended_stalled: AtomicU64,
    ended_listener: AtomicU64,
    pub(crate) held_up: AtomicU64,
    pub(crate) bytes_undelivered: AtomicU64,
    pub(crate) panics: AtomicU64,
}

pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

impl Tally {
    pub(crate) fn ended(&self, end: End) {
        let counter = match end {
            End::Caller => &self.ended_caller,
            End::Idle => &self.ended_idle,
            End::Broken => &self.ended_broken,
            End::Owner => &self.ended_owner,
            End::Stalled => &self.ended_stalled,
            End::Listener => &self.ended_listener,
        };
        add(counter, 1);
    }

    pub(crate) fn read(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            accepted: read(&self.accepted),
            refused_by_verdict: read(&self.refused_by_verdict),
            refused_connections_max: read(&self.refused_connections_max),
            refused_per_ip_max: read(&self.refused_per_ip_max),
            refused_latency: read(&self.refused_latency),
            failed_with_passphrase: read(&self.failed_with_passphrase),
            failed_without_passphrase: read(&self.failed_without_passphrase),
            ended_caller: read(&self.ended_caller),
            ended_idle: read(&self.ended_idle),
            ended_broken: read(&self.ended_broken),
            ended_owner: read(&self.ended_owner),
            ended_stalled: read(&self.ended_stalled),
            ended_listener: read(&self.ended_listener),
            held_up: read(&self.held_up),
            bytes_undelivered: read(&self.bytes_undelivered),
            panics: read(&self.panics),
        }
    }
}
