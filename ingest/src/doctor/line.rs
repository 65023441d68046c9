//! What SRT counted, over the last ten seconds.

use std::collections::VecDeque;

use super::report::Srt;
use super::{WINDOW, rounded};

/// Samples that are kept; they come about once a second.
const SAMPLES_MAX: usize = 32;
/// A longer round trip is a counter that went wrong, milliseconds.
const RTT_MAX_MS: f64 = 60_000.0;

/// A transport's counters since its connection began.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Line {
    /// Smoothed round trip, milliseconds.
    pub(crate) rtt_ms: f64,
    /// Data packets that came, repeated ones included.
    pub(crate) packets_received: u64,
    /// Packets found missing.
    pub(crate) packets_lost: u64,
    /// Packets that came as repetitions.
    pub(crate) packets_retransmitted: u64,
    /// Packets given up, as they would have come too late.
    pub(crate) packets_dropped: u64,
    /// Agreed time for a packet to arrive, milliseconds.
    pub(crate) latency_ms: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    samples: VecDeque<(i64, Line)>,
}

impl Counters {
    pub(super) fn take(&mut self, now: i64, mut line: Line) {
        if !(0.0..=RTT_MAX_MS).contains(&line.rtt_ms) {
            line.rtt_ms = 0.0;
        }
        self.samples.push_back((now, line));
        let old = |samples: &VecDeque<(i64, Line)>| {
            let second = samples.get(1);
            second.is_some_and(|(at, _)| now - at >= WINDOW) || samples.len() > SAMPLES_MAX
        };
        while old(&self.samples) {
            self.samples.pop_front();
        }
    }

    /// None for a protocol that does not count.
    pub(super) fn report(&self, now: i64) -> Option<Srt> {
        let (_, newest) = self.samples.back()?;
        let oldest = self
            .samples
            .iter()
            .find(|(at, _)| now - at <= WINDOW + WINDOW / 5);
        let oldest = oldest.map_or(*newest, |(_, line)| *line);
        let lost = newest.packets_lost.saturating_sub(oldest.packets_lost);
        let retransmitted = newest
            .packets_retransmitted
            .saturating_sub(oldest.packets_retransmitted);
        let received = newest.packets_received.saturating_sub(oldest.packets_received);
        let sent = (received.saturating_sub(retransmitted) + lost).max(1);
        Some(Srt {
            rtt_ms: rounded(newest.rtt_ms, 1),
            latency_ms: newest.latency_ms,
            packets_received: newest.packets_received,
            packets_lost: newest.packets_lost,
            packets_retransmitted: newest.packets_retransmitted,
            packets_dropped: newest.packets_dropped,
            recent_loss_percent: rounded(lost as f64 * 100.0 / sent as f64, 1),
            recent_dropped: newest.packets_dropped.saturating_sub(oldest.packets_dropped),
        })
    }
}
