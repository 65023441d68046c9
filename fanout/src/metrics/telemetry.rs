//! Metrics of what players report.

use gate::cmcd::Report;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

use crate::telemetry::Source;

/// Where reports come from, as a label.
const SOURCES: [&str; 3] = ["query", "header", "post"];

/// Handles, made once.
pub(crate) struct Meter {
    reports: [Counter; SOURCES.len()],
    /// Reports that were too long, too slow, or of too many streams.
    pub(crate) dropped: Counter,
    stalls: Counter,
    buffer: Histogram,
    latency: Histogram,
    startup: Histogram,
    throughput: Histogram,
    viewers: Gauge,
}

impl Meter {
    pub(crate) fn new() -> Self {
        describe_counter!(
            "ringside_edge_player_reports_total",
            "Reports of players (CMCD) by source."
        );
        describe_counter!(
            "ringside_edge_player_reports_dropped_total",
            "Reports that were too long, too slow, or of too many streams."
        );
        describe_counter!(
            "ringside_edge_player_stalls_total",
            "Reports of players that ran dry."
        );
        describe_histogram!("ringside_edge_player_buffer_seconds", "What players had in hand.");
        describe_histogram!(
            "ringside_edge_player_latency_seconds",
            "How far players were behind the live edge."
        );
        describe_histogram!(
            "ringside_edge_player_startup_seconds",
            "From the wish to play to the first picture."
        );
        describe_histogram!(
            "ringside_edge_player_throughput_bits_per_second",
            "Throughput that players measured."
        );
        describe_gauge!(
            "ringside_edge_viewers",
            "Different sessions that reported within a minute, about."
        );
        Self {
            reports: SOURCES.map(|source| counter!("ringside_edge_player_reports_total", "source" => source)),
            dropped: counter!("ringside_edge_player_reports_dropped_total"),
            stalls: counter!("ringside_edge_player_stalls_total"),
            buffer: histogram!("ringside_edge_player_buffer_seconds"),
            latency: histogram!("ringside_edge_player_latency_seconds"),
            startup: histogram!("ringside_edge_player_startup_seconds"),
            throughput: histogram!("ringside_edge_player_throughput_bits_per_second"),
            viewers: gauge!("ringside_edge_viewers"),
        }
    }

    pub(crate) fn report(&self, report: &Report, source: Source) {
        if let Some(counter) = self.reports.get(source as usize) {
            counter.increment(1);
        }
        self.stalls.increment(report.has_stalled.into());
        let seconds = [
            (&self.buffer, report.buffer_ms),
            (&self.latency, report.latency_ms),
            (&self.startup, report.startup_ms),
        ];
        for (histogram, ms) in seconds {
            if let Some(ms) = ms {
                histogram.record(std::time::Duration::from_millis(ms).as_secs_f64());
            }
        }
        if let Some(kbps) = report.throughput_kbps.and_then(|kbps| u32::try_from(kbps).ok()) {
            self.throughput.record(f64::from(kbps) * 1_000.0);
        }
    }

    pub(crate) fn viewers(&self, viewers: u64) {
        // More than four thousand million viewers are as many.
        self.viewers
            .set(f64::from(u32::try_from(viewers).unwrap_or(u32::MAX)));
    }
}
