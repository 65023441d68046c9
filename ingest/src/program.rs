//! Program time: where a ladder starts, and what a restart must not fall behind.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use hls::id::{Cell, Epoch, StreamId};
use hls::time::{AUDIO_FRAME_SAMPLES, Grid, PROGRAM_EPOCH_UNIX};

/// One ladder's clock: frame `n` of the ladder is due at `t0 + n / rate` and is program frame `first_frame + n`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program {
    pub(crate) grid: Grid,
    pub(crate) epoch: Epoch,
    pub(crate) first_frame: u64,
    first_sample: u64,
    t0: Instant,
}

impl Program {
    /// Starts at the first cell that begins at or after both wall time and the end of what was published, and
    /// waits (a cell at most) until wall time gets there, so that program dates are true.
    pub(crate) fn start(grid: Grid, published: Duration, wall: Duration, now: Instant) -> Self {
        let frame = grid.frame_at(wall.max(published));
        let inside = grid.cell_of_frame(frame);
        let cell = if grid.first_frame(inside) == frame {
            inside
        } else {
            inside.next()
        };
        let first_frame = grid.first_frame(cell);
        let ahead = grid
            .frame_time(first_frame)
            .saturating_sub(wall)
            .min(grid.cell_duration());
        Self {
            grid,
            epoch: Epoch(cell.0),
            first_frame,
            first_sample: grid.first_sample(first_frame),
            t0: now + ahead,
        }
    }

    /// Starts at `cell`, now.
    pub(crate) fn at(grid: Grid, cell: Cell, now: Instant) -> Self {
        let first_frame = grid.first_frame(cell);
        Self {
            grid,
            epoch: Epoch(cell.0),
            first_frame,
            first_sample: grid.first_sample(first_frame),
            t0: now,
        }
    }

    /// The program frame that is handed on next after `now`.
    pub(crate) fn frame_on_its_way(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.t0);
        self.first_frame.saturating_add(self.grid.frame_at(since))
    }

    /// When frame `n` of the ladder is handed on.
    pub(crate) fn due(&self, n: u64) -> Instant {
        self.t0 + self.grid.frame_time(n)
    }

    /// Program samples that belong to frame `n`: as many as exactly fit, the fraction carried on.
    pub(crate) fn samples(&self, n: u64) -> std::ops::Range<u64> {
        let frame = self.first_frame.saturating_add(n);
        self.grid.first_sample(frame)..self.grid.first_sample(frame.saturating_add(1))
    }

    /// Time of a program sample on the ladder's own running time, nanoseconds.
    pub(crate) fn sample_running_ns(&self, sample: u64) -> u64 {
        let samples = u128::from(sample.saturating_sub(self.first_sample));
        let ns = samples * 1_000_000_000 / u128::from(self.grid.audio_rate());
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    /// Frame of the ladder at a running time; encoders may have rounded it by some nanoseconds.
    pub(crate) fn frame_of_running(&self, ns: u64) -> u64 {
        let rate = self.grid.rate();
        let unit = u128::from(rate.den()) * 1_000_000_000;
        let n = (u128::from(ns) * u128::from(rate.num()) + unit / 2) / unit;
        u64::try_from(n).unwrap_or(u64::MAX)
    }

    /// Program sample at which an AAC access unit begins; none for the priming unit.
    pub(crate) fn sample_of_aac_running(&self, ns: u64) -> Option<u64> {
        let unit = u128::from(AUDIO_FRAME_SAMPLES) * 1_000_000_000;
        let k = (u128::from(ns) * u128::from(self.grid.audio_rate()) + unit / 2) / unit;
        // avenc_aac stamps its first unit 0 but delays sound by one unit: unit k holds what began at k - 1.
        let k = u64::try_from(k).unwrap_or(u64::MAX).checked_sub(1)?;
        Some(
            self.first_sample
                .saturating_add(k.saturating_mul(u64::from(AUDIO_FRAME_SAMPLES))),
        )
    }
}

/// Wall time since the program epoch; zero before it.
pub(crate) fn wall() -> Duration {
    let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(PROGRAM_EPOCH_UNIX);
    SystemTime::now().duration_since(epoch).unwrap_or_default()
}

/// What survives a restart: one small file, replaced by rename.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// End of the last published cell since the program epoch.
    pub(crate) published: Duration,
    /// Ladders this stream has had; the next one's discontinuity ordinal.
    pub(crate) ladders: u64,
}

impl Memory {
    /// The file of a stream in a data directory.
    pub(crate) fn path(data_dir: &Path, stream: &StreamId) -> PathBuf {
        data_dir
            .join("streams")
            .join(stream.as_str())
            .join("program-time")
    }

    /// Reads the file; a missing one is a stream that never ran.
    pub(crate) fn load(path: &Path) -> io::Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "want `published NS` and `ladders N`")
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(e),
        }
    }

    /// Replaces the file; a crash leaves the old or the new one.
    pub(crate) fn store(&self, path: &Path) -> io::Result<()> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let new = path.with_extension("new");
        std::fs::write(&new, self.text())?;
        std::fs::rename(&new, path)
    }

    /// With everything up to and including `cell` published.
    pub(crate) fn with_published(self, grid: &Grid, cell: Cell) -> Self {
        let end = grid.frame_time(grid.first_frame(cell.next()));
        Self {
            published: self.published.max(end),
            ..self
        }
    }

    fn text(&self) -> String {
        format!(
            "published {}\nladders {}\n",
            self.published.as_nanos(),
            self.ladders
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
        };
        Some(Self {
            published: Duration::from_nanos(field("published ")?),
            ladders: field("ladders ")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hls::time::{FrameRate, Profile};
    use proptest::prelude::*;

    fn grid(num: u32, den: u32) -> Grid {
        Grid::of(Profile::Low, FrameRate::new(num, den).unwrap(), 48_000).unwrap()
    }

    #[test]
    fn a_ladder_starts_on_a_cell_and_never_before_what_was_published() {
        let (now, wall) = (Instant::now(), Duration::from_millis(1_000_100));
        let fresh = Program::start(grid(30, 1), Duration::ZERO, wall, now);
        assert_eq!(fresh.epoch, Epoch(2_001));
        assert_eq!(
            fresh.due(0) - now,
            Duration::from_millis(400),
            "program dates are true"
        );
        let after = grid(30, 1).frame_time(grid(30, 1).first_frame(Cell(2_050)));
        let resumed = Program::start(grid(30, 1), after, wall, now);
        assert_eq!(resumed.epoch, Epoch(2_050));
        assert_eq!(
            resumed.due(0) - now,
            Duration::from_millis(500),
            "waits for a cell at most"
        );
    }

    #[test]
    fn memory_reads_back_what_it_wrote() {
        let memory = Memory {
            published: Duration::from_nanos(1_234_567_890_123),
            ladders: 7,
        };
        assert_eq!(Memory::parse(&memory.text()), Some(memory));
        assert_eq!(Memory::parse("published x"), None);
        let later = memory.with_published(&grid(30, 1), Cell(9_999));
        assert_eq!(later.published, Duration::from_secs(5_000));
    }

    proptest! {
        #[test]
        fn frames_and_units_are_found_again(
            rate in prop_oneof![Just((30, 1)), Just((25, 1)), Just((30_000, 1_001)), Just((60, 1))],
            wall in 0u64..4_000_000_000_000_000_000,
            n in 0u64..100_000_000,
        ) {
            let p = Program::start(grid(rate.0, rate.1), Duration::ZERO, Duration::from_nanos(wall), Instant::now());
            let ns = u64::try_from(p.grid.frame_time(n).as_nanos()).unwrap();
            prop_assert_eq!(p.frame_of_running(ns), n);
            prop_assert_eq!(p.frame_of_running(ns + 40), n);
            prop_assert_eq!(p.samples(n).end, p.samples(n + 1).start);
            let unit = p.samples(0).start + n * 1_024;
            prop_assert_eq!(p.sample_of_aac_running(p.sample_running_ns(unit + 1_024)), Some(unit));
            prop_assert_eq!(p.sample_of_aac_running(0), None);
        }
    }
}
