//! From coded frames to the feed: program time, watermarks and the stream's shape.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use feed::Unit;
use hls::id::Cell;
use hls::time::AUDIO_FRAME_SAMPLES;

use crate::branch::Branch;
use crate::metrics::Rung;
use crate::passage::Passed;
use crate::pipeline::ladder::Coded;
use crate::program::Program;
use crate::push::replay::Replay;

/// Everything about one track between its encoder and the replay ring.
pub(crate) struct Outlet {
    pub(crate) index: usize,
    pub(crate) is_video: bool,
    pub(crate) program: Program,
    pub(crate) replay: Arc<Replay>,
    pub(crate) metrics: Rung,
    /// None for sound, which is never shed.
    pub(crate) branch: Option<Arc<Branch>>,
    /// Time the next unit must have; none before the first.
    pub(crate) expected: Option<u64>,
}

impl Outlet {
    /// Takes one coded frame, on the encoder's thread.
    pub(crate) fn take(&mut self, coded: Coded) {
        if let Some(time) = self.time(coded.running_ns) {
            self.timed(time, coded);
        }
    }

    /// Takes one unit of an encoder that is passed on.
    pub(crate) fn pass(&mut self, unit: Passed) {
        let coded = Coded {
            running_ns: 0,
            key: unit.key,
            data: unit.data,
            config: unit.config,
        };
        self.timed(unit.time, coded);
    }

    fn timed(&mut self, time: u64, coded: Coded) {
        let branch = self.branch.clone();
        let closed = self.closed_by(time);
        match branch {
            Some(branch) => {
                let key = coded.key;
                let publish = || self.publish(time, coded, closed.clone());
                if !branch.publish(time, key, &closed, publish) {
                    // Frames are missing on purpose, and declared.
                    self.expected = None;
                }
            }
            None => self.publish(time, coded, closed),
        }
    }

    fn publish(&mut self, time: u64, coded: Coded, closed: Range<u64>) {
        if self.expected.is_some_and(|expected| expected != time) {
            self.metrics.units_missing.increment(1);
            tracing::warn!(
                track = self.index,
                time,
                expected = self.expected,
                "ladder lost its count"
            );
        }
        self.metrics.units.increment(1);
        self.expected = Some(time + self.step());
        if self.branch.is_some() {
            let frame = time.saturating_sub(self.program.first_frame);
            self.metrics
                .encode
                .record(Instant::now().saturating_duration_since(self.program.due(frame)));
        }
        self.replay.describe(self.index, coded.config);
        let track = u16::try_from(self.index).unwrap_or(u16::MAX);
        let data = if self.is_video {
            without_parameters(coded.data)
        } else {
            coded.data
        };
        let unit = Unit {
            track,
            time,
            key: coded.key || !self.is_video,
            data,
        };
        self.replay.push(self.cell(time), unit, closed);
    }

    fn time(&self, running_ns: u64) -> Option<u64> {
        if self.is_video {
            Some(
                self.program
                    .first_frame
                    .saturating_add(self.program.frame_of_running(running_ns)),
            )
        } else {
            self.program.sample_of_aac_running(running_ns)
        }
    }

    fn step(&self) -> u64 {
        if self.is_video {
            1
        } else {
            u64::from(AUDIO_FRAME_SAMPLES)
        }
    }

    fn cell(&self, time: u64) -> Cell {
        let grid = &self.program.grid;
        if self.is_video {
            grid.cell_of_frame(time)
        } else {
            grid.cell_of_sample(time)
        }
    }

    /// Cells that nothing of this track can come for any more, once the unit at `time` is out.
    fn closed_by(&self, time: u64) -> Range<u64> {
        self.cell(time).0..self.cell(time + self.step()).0
    }
}

/// A track of type `avc1` has its parameter sets in the sample entry alone (ISO/IEC 14496-15); x264 repeats them,
/// and an access unit delimiter, in the stream.
pub(crate) fn without_parameters(unit: Bytes) -> Bytes {
    let (mut rest, mut kept) = (unit.clone(), BytesMut::with_capacity(unit.len()));
    while let Some(nal) = next_nal(&mut rest) {
        let kind = nal.first().map_or(0, |header| header & 0x1f);
        if !matches!(kind, SPS | PPS | DELIMITER) {
            kept.put_u32(u32::try_from(nal.len()).unwrap_or(u32::MAX));
            kept.put_slice(&nal);
        }
    }
    // What cannot be walked is handed on as it came.
    if rest.is_empty() { kept.freeze() } else { unit }
}

const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;

fn next_nal(rest: &mut Bytes) -> Option<Bytes> {
    let mut after = rest.clone();
    let length = usize::try_from(after.try_get_u32().ok()?).ok()?;
    if length > after.len() {
        return None;
    }
    *rest = after.split_off(length);
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_delimiters_leave_the_stream() {
        let nal =
            |kind: u8, length: u32| [&(length).to_be_bytes()[..], &vec![kind; length as usize]].concat();
        let all = [nal(9, 2), nal(7, 27), nal(8, 4), nal(6, 9), nal(5, 100)].concat();
        let kept = [nal(6, 9), nal(5, 100)].concat();
        assert_eq!(without_parameters(all.clone().into()), kept);
        assert_eq!(without_parameters(kept.clone().into()), kept);
        let torn = Bytes::from(all).slice(..60);
        assert_eq!(without_parameters(torn.clone()), torn);
    }
}
