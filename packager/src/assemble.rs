//! PURE. Access units of one track in, parts out. Which unit belongs to which cell is the grid's word alone.

use bytes::Bytes;
use cmaf::{Init, Sample};
use feed::{Codec, Track, Unit};
use hls::id::Cell;
use hls::time::{AUDIO_FRAME_SAMPLES, Grid};
use hls::timeline::Share;
use std::time::Duration;

/// Most bytes one part may have; beyond it the cell becomes a gap. A 100 Mb/s rung has 12 MB in a second.
pub(crate) const PART_BYTES_MAX: usize = 32 << 20;

/// A track's share of a cell, with its bytes unless it is a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) cell: Cell,
    pub(crate) share: Share,
    pub(crate) bytes: Option<Bytes>,
}

/// What became of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It waits for its cell to be complete.
    Held,
    /// Its cell is closed already, or further ahead than the open one: dropped.
    OutOfPlace,
    /// Its cell is in a segment that the ladder before has begun: nobody's fault that it is dropped.
    Superfluous,
}

/// What a track counts in, and how far each unit goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// A frame to a unit.
    Video,
    /// 1024 samples to a unit.
    Aac,
    /// Samples as each packet says.
    Opus,
}

impl Pace {
    pub(crate) fn of(codec: &Codec) -> Self {
        match codec {
            Codec::H264 { .. } | Codec::Hevc { .. } | Codec::Av1 { .. } => Self::Video,
            Codec::Aac { .. } => Self::Aac,
            Codec::Opus { .. } => Self::Opus,
        }
    }

    /// Frames or samples of a unit; none where it does not fit the stream. PART-TARGET has room for a cell and one
    /// frame of AAC, so that longer packets of Opus (20 ms are 960 samples) are out of the question.
    pub(crate) fn step(self, data: &[u8]) -> Option<u32> {
        match self {
            Self::Video => Some(1),
            Self::Aac => Some(AUDIO_FRAME_SAMPLES),
            Self::Opus => cmaf::opus::samples(data).filter(|samples| *samples <= AUDIO_FRAME_SAMPLES),
        }
    }
}

/// The machine of one track.
#[derive(Debug)]
pub(crate) struct Assembler {
    grid: Grid,
    pace: Pace,
    /// The cell being filled.
    cell: Cell,
    /// Time of its first unit, time just after its last one, and its units in order.
    first: u64,
    end: u64,
    samples: Vec<Sample>,
    bytes: usize,
    /// The open cell cannot become a part any more.
    spoilt: bool,
}

impl Assembler {
    pub(crate) fn new(grid: Grid, pace: Pace, first: Cell) -> Self {
        Self {
            grid,
            pace,
            cell: first,
            first: 0,
            end: 0,
            samples: Vec::new(),
            bytes: 0,
            spoilt: false,
        }
    }

    /// Takes one unit, in the order of time.
    pub(crate) fn unit(&mut self, unit: Unit) -> Taken {
        if self.cell_of(unit.time) != self.cell {
            return Taken::OutOfPlace;
        }
        if !self.samples.is_empty() && unit.time != self.end {
            self.spoilt = true;
            return Taken::OutOfPlace;
        }
        self.bytes += unit.data.len();
        let step = self
            .pace
            .step(&unit.data)
            .filter(|_| self.bytes <= PART_BYTES_MAX);
        let Some(step) = step else {
            self.spoilt = true;
            return Taken::OutOfPlace;
        };
        if self.samples.is_empty() {
            self.first = unit.time;
        }
        self.end = unit.time.saturating_add(u64::from(step));
        self.samples.push(Sample {
            duration: step.saturating_mul(self.ticks()),
            key: unit.key || !self.is_video(),
            composition: 0,
            data: unit.data,
        });
        Taken::Held
    }

    /// Everything up to and with `cell` has been sent: closes those cells, oldest first.
    pub(crate) fn watermark(&mut self, cell: Cell) -> Vec<Finished> {
        let due = cell.0.saturating_add(1).saturating_sub(self.cell.0);
        // A watermark far ahead is a feed gone wrong; the timeline refuses more than this anyway.
        let due = due.min(hls::timeline::AHEAD_CELLS_MAX);
        (0..due).map(|_| self.close()).collect()
    }

    /// `cell` will never be complete.
    pub(crate) fn gap(&mut self, cell: Cell) -> Vec<Finished> {
        if cell < self.cell {
            return Vec::new();
        }
        let mut finished = if cell.0 > self.cell.0 {
            self.watermark(Cell(cell.0 - 1))
        } else {
            Vec::new()
        };
        if self.cell == cell {
            self.spoilt = true;
            finished.push(self.close());
        }
        finished
    }

    /// Forgets the open cell's units, and goes on with `cell`.
    pub(crate) fn reopen(&mut self, cell: Cell) {
        self.samples.clear();
        self.bytes = 0;
        self.spoilt = false;
        self.cell = cell;
    }

    fn close(&mut self) -> Finished {
        let cell = self.cell;
        let samples = std::mem::take(&mut self.samples);
        let whole = !std::mem::take(&mut self.spoilt) && self.is_whole(&samples);
        self.cell = cell.next();
        self.bytes = 0;
        let bytes = if whole { self.part(cell, &samples) } else { None };
        let share = match bytes {
            None => Share::Gap,
            Some(_) => Share::Media {
                duration: self.duration(),
                independent: independent(&samples),
                offset: self.offset(cell),
            },
        };
        Finished { cell, share, bytes }
    }

    fn part(&self, cell: Cell, samples: &[Sample]) -> Option<Bytes> {
        #[expect(clippy::cast_possible_truncation, reason = "a fragment's number may wrap")]
        let sequence = cell.0 as u32;
        let time = self.first.saturating_mul(u64::from(self.ticks()));
        cmaf::part(sequence, time, samples).ok()
    }

    /// A video cell has all its frames; an audio cell covers its time up to one frame at either end.
    fn is_whole(&self, samples: &[Sample]) -> bool {
        if self.is_video() {
            samples.len() as u64 == u64::from(self.grid.part_frames())
        } else {
            let start = self.grid.first_sample(self.grid.first_frame(self.cell));
            let end = self.grid.first_sample(self.grid.first_frame(self.cell.next()));
            let late = start + u64::from(AUDIO_FRAME_SAMPLES);
            !samples.is_empty() && self.first < late && self.end >= end
        }
    }

    fn duration(&self) -> Duration {
        self.time(self.end.saturating_sub(self.first))
    }

    /// How long after the cell's beginning its first unit does.
    fn offset(&self, cell: Cell) -> Duration {
        let begins = self.grid.first_frame(cell);
        let begins = if self.is_video() {
            begins
        } else {
            self.grid.first_sample(begins)
        };
        self.time(self.first.saturating_sub(begins))
    }

    /// Of so many frames or samples.
    fn time(&self, count: u64) -> Duration {
        if self.is_video() {
            return self.grid.frame_time(count);
        }
        let nanos = u128::from(count) * 1_000_000_000 / u128::from(self.grid.audio_rate());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn cell_of(&self, time: u64) -> Cell {
        if self.is_video() {
            self.grid.cell_of_frame(time)
        } else {
            self.grid.cell_of_sample(time)
        }
    }

    fn is_video(&self) -> bool {
        self.pace == Pace::Video
    }

    /// Of the track's timescale in one frame or sample.
    fn ticks(&self) -> u32 {
        if self.is_video() {
            self.grid.frame_ticks()
        } else {
            1
        }
    }
}

fn independent(samples: &[Sample]) -> bool {
    samples.iter().any(|sample| sample.key)
}

/// The CMAF format of a track, and its init segment.
pub(crate) fn init(track: &Track, grid: &Grid) -> Result<(cmaf::Codec, Init), cmaf::Error> {
    let codec = format(track, grid)?;
    let timescale = if track.is_video() {
        grid.video_timescale()
    } else {
        grid.audio_rate()
    };
    let init = Init::new(&codec, timescale, track.language.as_deref())?;
    Ok((codec, init))
}

fn format(track: &Track, grid: &Grid) -> Result<cmaf::Codec, cmaf::Error> {
    let narrow = |n: &u32, what| u16::try_from(*n).map_err(|_| cmaf::Error::Config(what));
    Ok(match &track.codec {
        Codec::H264 {
            config,
            width,
            height,
        } => cmaf::Codec::H264 {
            config: config.clone(),
            width: narrow(width, "H.264")?,
            height: narrow(height, "H.264")?,
        },
        Codec::Hevc {
            config,
            width,
            height,
        } => cmaf::Codec::Hevc {
            config: config.clone(),
            width: narrow(width, "HEVC")?,
            height: narrow(height, "HEVC")?,
        },
        Codec::Av1 {
            config,
            width,
            height,
        } => cmaf::Codec::Av1 {
            config: config.clone(),
            width: narrow(width, "AV1")?,
            height: narrow(height, "AV1")?,
        },
        Codec::Aac { config, channels } => cmaf::Codec::Aac {
            config: config.clone(),
            channels: narrow(channels, "AAC")?,
            rate: grid.audio_rate(),
            bit_rate: u32::try_from(track.average_bps).unwrap_or(u32::MAX),
        },
        Codec::Opus { config, channels } => cmaf::Codec::Opus {
            config: config.clone(),
            channels: narrow(channels, "Opus")?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hls::time::{FrameRate, Profile};
    use proptest::prelude::*;

    fn grid() -> Grid {
        Grid::of(Profile::Low, FrameRate::new(30, 1).unwrap(), 48_000).unwrap()
    }

    fn unit(time: u64, key: bool) -> Unit {
        Unit {
            track: 0,
            time,
            key,
            data: Bytes::from_static(b"data"),
        }
    }

    #[test]
    fn a_whole_cell_becomes_a_part_at_its_watermark() {
        let mut video = Assembler::new(grid(), Pace::Video, Cell(10));
        for frame in 150..165 {
            assert_eq!(video.unit(unit(frame, frame == 150)), Taken::Held);
        }
        let finished = video.watermark(Cell(10));
        let [part] = finished.as_slice() else {
            panic!("one part, got {finished:?}")
        };
        let share = Share::Media {
            duration: Duration::from_millis(500),
            independent: true,
            offset: Duration::ZERO,
        };
        assert_eq!((part.cell, part.share), (Cell(10), share));
        let read = cmaf::read::parts(part.bytes.as_ref().unwrap()).unwrap();
        assert_eq!((read[0].decode_time, read[0].end()), (150_000, 165_000));
    }

    #[test]
    fn a_cell_with_a_missing_frame_is_a_gap_and_the_next_one_is_not() {
        let mut video = Assembler::new(grid(), Pace::Video, Cell(10));
        for frame in (150..165).filter(|frame| *frame != 157) {
            video.unit(unit(frame, false));
        }
        assert_eq!(video.watermark(Cell(10))[0].share, Share::Gap);
        (165..180).for_each(|frame| {
            video.unit(unit(frame, false));
        });
        assert!(video.watermark(Cell(11))[0].bytes.is_some());
        assert_eq!(
            video.unit(unit(150, true)),
            Taken::OutOfPlace,
            "a closed cell takes nothing"
        );
    }

    #[test]
    fn gaps_and_skipped_watermarks_leave_no_cell_out() {
        let mut video = Assembler::new(grid(), Pace::Video, Cell(10));
        let cells =
            |finished: Vec<Finished>| finished.iter().map(|f| (f.cell.0, f.share)).collect::<Vec<_>>();
        assert_eq!(
            cells(video.gap(Cell(12))),
            [(10, Share::Gap), (11, Share::Gap), (12, Share::Gap)]
        );
        assert!(video.gap(Cell(12)).is_empty(), "said twice is said once");
        assert_eq!(
            cells(video.watermark(Cell(14))),
            [(13, Share::Gap), (14, Share::Gap)]
        );
    }

    #[test]
    fn packets_that_do_not_fit_the_part_target_spoil_their_cell() {
        // 40 ms of SILK; a packet of no length; nothing.
        for packet in [&[0x10, 7][..], &[0x03, 0], &[]] {
            let mut audio = Assembler::new(grid(), Pace::Opus, Cell(10));
            let opus = |time, data: &[u8]| Unit {
                data: Bytes::copy_from_slice(data),
                ..unit(time, true)
            };
            assert_eq!(audio.unit(opus(240_000, &[0x08, 7])), Taken::Held);
            assert_eq!(
                audio.unit(opus(240_960, packet)),
                Taken::OutOfPlace,
                "{packet:x?}"
            );
            assert_eq!(audio.watermark(Cell(10))[0].share, Share::Gap);
        }
    }

    /// First bytes of Opus packets of 2.5, 5, 10 and 20 ms, and their samples.
    const TOCS: [(u8, u64); 4] = [(0xe0, 120), (0xe8, 240), (0xf0, 480), (0xf8, 960)];

    proptest! {
        #[test]
        fn audio_parts_join_without_a_hole(
            start in 0u64..1_000_000, cells in 1u64..20, tocs in prop::collection::vec(0usize..TOCS.len(), 0..4),
        ) {
            let grid = grid();
            let first = Cell(start);
            // AAC, or Opus in packets of every length that fits.
            let pace = if tocs.is_empty() { Pace::Aac } else { Pace::Opus };
            let mut units = tocs.iter().map(|at| TOCS[*at]).cycle();
            let mut audio = Assembler::new(grid, pace, first);
            let mut time = grid.first_sample(grid.first_frame(first));
            let (mut end, mut total) = (time, Duration::ZERO);
            for cell in (start..start + cells).map(Cell) {
                while grid.cell_of_sample(time) == cell {
                    let (toc, length) = units.next().unwrap_or((0, 1_024));
                    let data = Bytes::copy_from_slice(&[toc, 7]);
                    prop_assert_eq!(audio.unit(Unit { data, ..unit(time, true) }), Taken::Held);
                    time += length;
                }
                let finished = audio.watermark(cell).remove(0);
                let Share::Media { duration, independent, offset } = finished.share else {
                    return Err(TestCaseError::fail("gap"));
                };
                prop_assert!(independent && duration <= grid.part_target());
                let part = cmaf::read::parts(&finished.bytes.unwrap()).unwrap().remove(0);
                prop_assert_eq!(part.decode_time, end);
                let late = end - grid.first_sample(grid.first_frame(cell));
                prop_assert_eq!(offset.as_nanos(), u128::from(late) * 1_000_000_000 / u128::from(grid.audio_rate()));
                end = part.end();
                prop_assert_eq!(end, time);
                total += duration;
            }
            prop_assert!(total.abs_diff(grid.cell_duration() * u32::try_from(cells).unwrap()) < Duration::from_millis(22));
        }
    }
}
