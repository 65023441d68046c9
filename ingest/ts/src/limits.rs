//! Every bound of the machine.

/// What one contribution may make the machine hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one access unit being collected, per track. Default 8 MiB, above a 100 Mb/s intra frame.
    /// At the limit the unit is dropped and counted in [`units_oversize`](crate::Counters::units_oversize).
    pub unit_bytes_max: usize,
    /// Elementary streams of a programme that are followed. Default 16.
    /// Later ones are not followed and counted in [`streams_ignored`](crate::Counters::streams_ignored).
    pub pids_max: usize,
    /// Bytes of one PSI or SCTE-35 section. Default 4096, the most that iso13818-1 §2.4.4.11 allows.
    /// A longer one is dropped and counted in [`sections_oversize`](crate::Counters::sections_oversize).
    pub section_bytes_max: usize,
    /// Events waiting for [`poll`](crate::Demux::poll). Default 4096, many times what 64 KiB of a real stream make.
    /// At the limit all waiting media units are dropped and counted in
    /// [`events_dropped`](crate::Counters::events_dropped); each track that lost some says
    /// [`Discontinuity`](crate::Event::Discontinuity).
    pub events_max: usize,
    /// Bytes of the events waiting for [`poll`](crate::Demux::poll). Default 32 MiB. At the limit as above.
    pub event_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unit_bytes_max: 8 << 20,
            pids_max: 16,
            section_bytes_max: 4096,
            events_max: 4096,
            event_bytes_max: 32 << 20,
        }
    }
}
