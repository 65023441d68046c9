//! From coded frames to the feed: program time, watermarks and the stream's shape.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use feed::Unit;
use hls::id::Cell;
use hls::time::AUDIO_FRAME_SAMPLES;

use crate::branch::Branch;
use crate::captions::{Board, with_sei};
use crate::metrics::Rung;
use crate::passage::Passed;
use crate::pipeline::ladder::Coded;
use crate::program::Program;
use crate::push::replay::Replay;

/// Everything about one track between its encoder and the replay ring.
pub(crate) struct Outlet {
    pub(crate) index: usize,
    pub(crate) is_video: bool,
    /// Captions are written into H.264 alone.
    pub(crate) is_h264: bool,
    pub(crate) program: Program,
    pub(crate) replay: Arc<Replay>,
    /// Captions by frame.
    pub(crate) board: Arc<Board>,
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
            config: Some(unit.config),
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
        if let Some(config) = coded.config {
            self.replay.describe(self.index, config);
        }
        let track = u16::try_from(self.index).unwrap_or(u16::MAX);
        let data = match self.board.of(time).filter(|_| self.is_h264) {
            Some(sei) => with_sei(coded.data, &sei),
            None => coded.data,
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
