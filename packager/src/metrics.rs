//! Metrics of the packager.
#![expect(
    clippy::disallowed_macros,
    reason = "this is where the crate's metrics are declared"
)]

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

/// Handles of the packager, made once.
#[derive(Clone)]
pub(crate) struct Meter {
    /// Parts published, all tracks.
    pub(crate) parts: Counter,
    /// Parts published as GAP.
    pub(crate) gaps: Counter,
    /// Ladders that went on where another one had ended: discontinuities.
    pub(crate) takeovers: Counter,
    /// Units that came for a closed cell or out of order.
    pub(crate) dropped: Counter,
    /// Cues that changed a date range.
    pub(crate) cues: Counter,
    /// Cues over the bound, ends of breaks that are not known, and cancellations of what has begun.
    pub(crate) cues_refused: Counter,
    /// Pictures of segments taken.
    pub(crate) thumbnails: Counter,
    /// Pictures of no segment of the live window, or of one that is encrypted.
    pub(crate) thumbnails_refused: Counter,
    /// Feeds refused, for any reason.
    pub(crate) refused: Counter,
    /// Bytes of parts held in live windows.
    pub(crate) window_bytes: Gauge,
    /// From the feed's last byte of a cell to the wake-up of those who wait for it.
    pub(crate) publish: Histogram,
}

impl Meter {
    pub(crate) fn new() -> Self {
        describe_counter!("ringside_packager_parts_total", "Parts published, all tracks.");
        describe_counter!("ringside_packager_gaps_total", "Parts published as GAP.");
        describe_counter!(
            "ringside_packager_takeovers_total",
            "Ladders that took over from another one: discontinuities."
        );
        describe_counter!(
            "ringside_packager_units_dropped_total",
            "Access units late or out of order."
        );
        describe_counter!("ringside_packager_cues_total", "Cues that changed a date range.");
        describe_counter!(
            "ringside_packager_cues_refused_total",
            "Cues over the bound of date ranges, ends of breaks that are not known, and cancellations that came too late."
        );
        describe_counter!(
            "ringside_packager_thumbnails_total",
            "Pictures of segments taken."
        );
        describe_counter!(
            "ringside_packager_thumbnails_refused_total",
            "Pictures of no segment of the live window, or of one that is encrypted."
        );
        describe_counter!(
            "ringside_packager_feeds_refused_total",
            "Feeds refused, for any reason."
        );
        describe_gauge!(
            "ringside_packager_window_bytes",
            "Bytes of parts held in live windows."
        );
        describe_histogram!(
            "ringside_packager_publish_seconds",
            "From a cell's completion to the wake-up of those who wait for it."
        );
        Self {
            parts: counter!("ringside_packager_parts_total"),
            gaps: counter!("ringside_packager_gaps_total"),
            takeovers: counter!("ringside_packager_takeovers_total"),
            dropped: counter!("ringside_packager_units_dropped_total"),
            cues: counter!("ringside_packager_cues_total"),
            cues_refused: counter!("ringside_packager_cues_refused_total"),
            thumbnails: counter!("ringside_packager_thumbnails_total"),
            thumbnails_refused: counter!("ringside_packager_thumbnails_refused_total"),
            refused: counter!("ringside_packager_feeds_refused_total"),
            window_bytes: gauge!("ringside_packager_window_bytes"),
            publish: histogram!("ringside_packager_publish_seconds"),
        }
    }
}

/// Handles of subtitle tracks.
#[derive(Clone)]
pub(crate) struct SubtitlesMeter {
    /// Cues taken.
    pub(crate) cues: Counter,
    /// Requests refused: mistakes, too late, or too many ahead.
    pub(crate) refused: Counter,
    /// Requests whose cues the disk did not take.
    pub(crate) unkept: Counter,
}

impl SubtitlesMeter {
    pub(crate) fn new() -> Self {
        describe_counter!("ringside_packager_subtitle_cues_total", "Subtitle cues taken.");
        describe_counter!(
            "ringside_packager_subtitle_requests_refused_total",
            "Requests with subtitle cues refused: mistakes, too late, or too many ahead."
        );
        describe_counter!(
            "ringside_packager_subtitle_requests_unkept_total",
            "Requests with subtitle cues that are shown, but would be lost by a restart."
        );
        Self {
            cues: counter!("ringside_packager_subtitle_cues_total"),
            refused: counter!("ringside_packager_subtitle_requests_refused_total"),
            unkept: counter!("ringside_packager_subtitle_requests_unkept_total"),
        }
    }
}

/// Handles of CMAF from other encoders.
#[derive(Clone)]
pub(crate) struct CmafMeter {
    /// Requests, all kinds and outcomes.
    pub(crate) requests: Counter,
    /// Requests refused, for any reason.
    pub(crate) refused: Counter,
    /// Bytes of bodies.
    pub(crate) bytes: Counter,
    /// Access units that found their place.
    pub(crate) units: Counter,
    /// Access units that another request had brought.
    pub(crate) duplicates: Counter,
    /// Access units too late, not decodable, or over what is kept before a stream begins.
    pub(crate) dropped: Counter,
    /// Times a stream began, or went on behind a discontinuity.
    pub(crate) lives: Counter,
    /// Bodies ended because newer ones of the same track came.
    pub(crate) replaced: Counter,
}

impl CmafMeter {
    pub(crate) fn new() -> Self {
        describe_counter!("ringside_packager_cmaf_requests_total", "Requests of encoders.");
        describe_counter!(
            "ringside_packager_cmaf_refused_total",
            "Requests of encoders refused, for any reason."
        );
        describe_counter!("ringside_packager_cmaf_bytes_total", "Bytes encoders have sent.");
        describe_counter!(
            "ringside_packager_cmaf_units_total",
            "Access units that found their place."
        );
        describe_counter!(
            "ringside_packager_cmaf_duplicates_total",
            "Access units that came again, as of redundant encoders."
        );
        describe_counter!(
            "ringside_packager_cmaf_dropped_total",
            "Access units too late, not decodable, or over what is kept before a stream begins."
        );
        describe_counter!(
            "ringside_packager_cmaf_lives_total",
            "Times a stream began, or went on behind a discontinuity."
        );
        describe_counter!(
            "ringside_packager_cmaf_replaced_total",
            "Bodies ended because newer ones of the same track came."
        );
        Self {
            requests: counter!("ringside_packager_cmaf_requests_total"),
            refused: counter!("ringside_packager_cmaf_refused_total"),
            bytes: counter!("ringside_packager_cmaf_bytes_total"),
            units: counter!("ringside_packager_cmaf_units_total"),
            duplicates: counter!("ringside_packager_cmaf_duplicates_total"),
            dropped: counter!("ringside_packager_cmaf_dropped_total"),
            lives: counter!("ringside_packager_cmaf_lives_total"),
            replaced: counter!("ringside_packager_cmaf_replaced_total"),
        }
    }
}

/// Handles of the origin.
#[derive(Clone)]
pub(crate) struct OriginMeter {
    /// Requests of children, all kinds and outcomes.
    pub(crate) requests: Counter,
    /// Different versions and objects given to children.
    pub(crate) objects: Counter,
    /// Times a child was given again what it had been given.
    pub(crate) repeats: Counter,
    /// Requests of children that got no object: refused or timed out.
    pub(crate) refusals: Counter,
    /// Requests waiting now: started.
    pub(crate) parked: Counter,
    /// Requests waiting now: ended.
    pub(crate) unparked: Counter,
}

impl OriginMeter {
    pub(crate) fn new() -> Self {
        describe_counter!(
            "ringside_origin_requests_total",
            "Requests, all kinds and outcomes."
        );
        describe_counter!(
            "ringside_origin_objects_total",
            "Different versions and objects given to children."
        );
        describe_counter!(
            "ringside_origin_repeats_total",
            "Times a child was given the same again."
        );
        describe_counter!("ringside_origin_refusals_total", "Requests that got no object.");
        describe_counter!("ringside_origin_parked_total", "Requests that had to wait.");
        describe_counter!(
            "ringside_origin_unparked_total",
            "Waiting requests that ended, for any reason."
        );
        Self {
            requests: counter!("ringside_origin_requests_total"),
            objects: counter!("ringside_origin_objects_total"),
            repeats: counter!("ringside_origin_repeats_total"),
            refusals: counter!("ringside_origin_refusals_total"),
            parked: counter!("ringside_origin_parked_total"),
            unparked: counter!("ringside_origin_unparked_total"),
        }
    }
}

/// Handles of what is kept on disk.
#[derive(Clone)]
pub(crate) struct SpoolMeter {
    /// Cells on disk.
    pub(crate) kept: Counter,
    /// Cells left out because the queue was full.
    pub(crate) left_out_queue: Counter,
    /// Cells left out because the disk refused them.
    pub(crate) left_out_io: Counter,
    /// Bytes that wait for the disk.
    pub(crate) queue_bytes: Gauge,
    /// Bytes on disk.
    pub(crate) bytes: Gauge,
    /// Times something went before its time for `packager.dvr.bytes_max`.
    pub(crate) shortened: Counter,
    /// Events that could not be read at start.
    pub(crate) unreadable: Counter,
    /// Bytes of journals that are no records.
    pub(crate) spoilt_bytes: Counter,
    /// Parts that were not on disk as they were written.
    pub(crate) lost_parts: Counter,
    /// Cells on disk that are under other keys than those of now.
    pub(crate) strange_cells: Counter,
    /// Bytes that stay on disk for the archive alone.
    pub(crate) backlog_bytes: Gauge,
    /// Times the oldest of that was given up.
    pub(crate) given_up: Counter,
}

impl std::fmt::Debug for SpoolMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SpoolMeter")
    }
}

impl SpoolMeter {
    pub(crate) fn new() -> Self {
        describe_counter!("ringside_packager_spool_cells_total", "Cells written to disk.");
        describe_counter!(
            "ringside_packager_spool_left_out_total",
            "Cells left out of what is kept on disk: holes when rewinding."
        );
        describe_gauge!(
            "ringside_packager_spool_queue_bytes",
            "Bytes of parts that wait for the disk."
        );
        describe_gauge!("ringside_packager_spool_bytes", "Bytes kept on disk.");
        describe_counter!(
            "ringside_packager_spool_shortened_total",
            "Times the oldest was removed before its time: packager.dvr.bytes_max."
        );
        describe_counter!(
            "ringside_packager_spool_unreadable_total",
            "Events that could not be read at start."
        );
        describe_counter!(
            "ringside_packager_spool_spoilt_bytes_total",
            "Bytes of journals that are no records."
        );
        describe_counter!(
            "ringside_packager_spool_lost_parts_total",
            "Parts that were not on disk as they were written."
        );
        describe_counter!(
            "ringside_packager_spool_strange_cells_total",
            "Cells on disk under other keys than packager.encryption gives."
        );
        describe_gauge!(
            "ringside_packager_archive_backlog_bytes",
            "Bytes that stay on disk beyond their time because the archive does not have them yet."
        );
        describe_counter!(
            "ringside_packager_archive_given_up_total",
            "Times the oldest that waited for the archive was removed: packager.archive.backlog_bytes."
        );
        Self {
            kept: counter!("ringside_packager_spool_cells_total"),
            left_out_queue: counter!("ringside_packager_spool_left_out_total", "cause" => "queue"),
            left_out_io: counter!("ringside_packager_spool_left_out_total", "cause" => "disk"),
            queue_bytes: gauge!("ringside_packager_spool_queue_bytes"),
            bytes: gauge!("ringside_packager_spool_bytes"),
            shortened: counter!("ringside_packager_spool_shortened_total"),
            unreadable: counter!("ringside_packager_spool_unreadable_total"),
            spoilt_bytes: counter!("ringside_packager_spool_spoilt_bytes_total"),
            lost_parts: counter!("ringside_packager_spool_lost_parts_total"),
            strange_cells: counter!("ringside_packager_spool_strange_cells_total"),
            backlog_bytes: gauge!("ringside_packager_archive_backlog_bytes"),
            given_up: counter!("ringside_packager_archive_given_up_total"),
        }
    }
}

/// Handles of rewinding.
#[derive(Clone)]
pub(crate) struct DvrMeter {
    /// Segments read from disk.
    pub(crate) reads: Counter,
    /// Segments refused because too many waited.
    pub(crate) refused: Counter,
    /// Segments whose file was gone or not what was written.
    pub(crate) lost: Counter,
}

impl DvrMeter {
    pub(crate) fn new() -> Self {
        describe_counter!("ringside_packager_dvr_reads_total", "Segments read from disk.");
        describe_counter!(
            "ringside_packager_dvr_refused_total",
            "Old segments refused because too many requests waited for the disk."
        );
        describe_counter!(
            "ringside_packager_dvr_lost_total",
            "Old segments whose file was gone or not what was written."
        );
        Self {
            reads: counter!("ringside_packager_dvr_reads_total"),
            refused: counter!("ringside_packager_dvr_refused_total"),
            lost: counter!("ringside_packager_dvr_lost_total"),
        }
    }
}

/// Handles of the archive.
#[derive(Clone)]
pub(crate) struct ArchiveMeter {
    /// Objects stored.
    pub(crate) stored: Counter,
    /// Bytes of them.
    pub(crate) stored_bytes: Counter,
    /// Attempts that failed or took too long.
    pub(crate) failures: Counter,
    /// Segments of a track that are gaps in the archive although they were published.
    pub(crate) lost: Counter,
    /// Objects read back from the store.
    pub(crate) reads: Counter,
    /// Requests answered from the cache of what was read back.
    pub(crate) hits: Counter,
    /// Requests refused because too many waited, or the store does not answer.
    pub(crate) refused: Counter,
    /// Events removed because their time was over.
    pub(crate) expired: Counter,
    /// Whether the store answers: 1 or 0.
    pub(crate) up: Gauge,
}

impl std::fmt::Debug for ArchiveMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ArchiveMeter")
    }
}

impl ArchiveMeter {
    pub(crate) fn new() -> Self {
        describe_counter!("ringside_packager_archive_objects_total", "Objects stored.");
        describe_counter!("ringside_packager_archive_bytes_total", "Bytes stored.");
        describe_counter!(
            "ringside_packager_archive_failures_total",
            "Attempts at the store that failed or took too long."
        );
        describe_counter!(
            "ringside_packager_archive_lost_total",
            "Segments of a track that were published and are gaps in the archive."
        );
        describe_counter!(
            "ringside_packager_archive_reads_total",
            "Objects read back from the store."
        );
        describe_counter!(
            "ringside_packager_archive_hits_total",
            "Requests answered from what had been read back."
        );
        describe_counter!(
            "ringside_packager_archive_refused_total",
            "Requests refused: too many waited, or the store does not answer."
        );
        describe_counter!(
            "ringside_packager_archive_expired_total",
            "Events removed from the store: packager.archive.keep_days and keep_bytes."
        );
        describe_gauge!("ringside_packager_archive_up", "Whether the store answers.");
        Self {
            stored: counter!("ringside_packager_archive_objects_total"),
            stored_bytes: counter!("ringside_packager_archive_bytes_total"),
            failures: counter!("ringside_packager_archive_failures_total"),
            lost: counter!("ringside_packager_archive_lost_total"),
            reads: counter!("ringside_packager_archive_reads_total"),
            hits: counter!("ringside_packager_archive_hits_total"),
            refused: counter!("ringside_packager_archive_refused_total"),
            expired: counter!("ringside_packager_archive_expired_total"),
            up: gauge!("ringside_packager_archive_up"),
        }
    }
}
