//! Program time and the grid: every boundary is a whole number of video frames since the epoch.

use std::time::Duration;

use crate::id::{Cell, Msn, PartIndex};

/// Samples in one AAC frame; the unit in which audio can be cut.
pub const AUDIO_FRAME_SAMPLES: u32 = 1024;

/// Unix time of the program epoch, 2024-01-01T00:00:00Z, seconds.
pub const PROGRAM_EPOCH_UNIX: u64 = 1_704_067_200;

/// Frames per second as an exact fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRate {
    num: u32,
    den: u32,
}

/// Why a frame rate or grid cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GridError {
    /// Not between 1 and 240 frames per second.
    #[error("frame rate {0}/{1} is not between 1 and 240 per second")]
    FrameRate(u32, u32),
    /// An audio rate that no AAC encoder offers.
    #[error("audio rate {0} Hz is not between 8000 and 96000")]
    AudioRate(u32),
    /// A count that is zero or absurdly large.
    #[error("part, GOP and segment lengths must be 1 to 10000")]
    Length,
    /// Inner parts would be shorter than players accept.
    #[error("inner parts are under 0.86 of PART-TARGET with {0} frames to a part")]
    Ragged(u32),
}

impl FrameRate {
    /// `num/den` frames per second.
    pub fn new(num: u32, den: u32) -> Result<Self, GridError> {
        if den == 0 || num < den || num / den > 240 || num > 1_000_000 {
            return Err(GridError::FrameRate(num, den));
        }
        Ok(Self { num, den })
    }

    /// Numerator.
    pub fn num(self) -> u32 {
        self.num
    }

    /// Denominator.
    pub fn den(self) -> u32 {
        self.den
    }

    /// Frames per second, for display and rounding only.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

/// Latency profiles: how long a part, a GOP and a segment are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Parts of 0.5 s, GOP 1 s, segment 2 s.
    #[default]
    Low,
    /// Parts of about 0.2 s, GOP about 1 s, segment about 2 s.
    Ultra,
    /// Parts of 1 s, GOP 2 s, segment 6 s: Apple's recommendation for the open internet.
    Wide,
}

/// The cutting rule of a stream, fixed for its life. Cell, part number and MSN are functions of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    rate: FrameRate,
    audio_rate: u32,
    part_frames: u32,
    gop_parts: u32,
    segment_gops: u32,
}

impl Grid {
    /// A grid from its numbers; refuses one whose inner parts players would reject.
    pub fn new(
        rate: FrameRate,
        audio_rate: u32,
        part_frames: u32,
        gop_parts: u32,
        segment_gops: u32,
    ) -> Result<Self, GridError> {
        if !(8_000..=96_000).contains(&audio_rate) {
            return Err(GridError::AudioRate(audio_rate));
        }
        if [part_frames, gop_parts, segment_gops]
            .iter()
            .any(|n| !(1..=10_000).contains(n))
        {
            return Err(GridError::Length);
        }
        let grid = Self {
            rate,
            audio_rate,
            part_frames,
            gop_parts,
            segment_gops,
        };
        // Players ask for 0.85 (rfc8216bis §4.4.4.9); a hundredth more absorbs rounding to milliseconds.
        if grid.shortest_inner_part() < grid.part_target().mul_f64(0.86) {
            return Err(GridError::Ragged(part_frames));
        }
        Ok(grid)
    }

    /// The grid of a profile at an output rate; takes the next frame count while inner parts are too short.
    pub fn of(profile: Profile, rate: FrameRate, audio_rate: u32) -> Result<Self, GridError> {
        let (part, gop, segment) = match profile {
            Profile::Low => (0.5, 1.0, 2.0),
            Profile::Ultra => (0.2, 1.0, 2.0),
            Profile::Wide => (1.0, 2.0, 6.0),
        };
        let count = |of: f64, unit: f64| bounded_round(of / unit);
        let first = count(part * rate.as_f64(), 1.0);
        let mut refused = GridError::Length;
        for part_frames in first..first.saturating_mul(2).saturating_add(1) {
            let part = f64::from(part_frames) / rate.as_f64();
            let gop_parts = count(gop, part);
            let segment_gops = count(segment, part * f64::from(gop_parts));
            match Self::new(rate, audio_rate, part_frames, gop_parts, segment_gops) {
                Ok(grid) => return Ok(grid),
                Err(GridError::Ragged(n)) => refused = GridError::Ragged(n),
                Err(other) => return Err(other),
            }
        }
        Err(refused)
    }

    /// Output frame rate.
    pub fn rate(&self) -> FrameRate {
        self.rate
    }

    /// Audio sample rate, Hz.
    pub fn audio_rate(&self) -> u32 {
        self.audio_rate
    }

    /// Video frames in a part.
    pub fn part_frames(&self) -> u32 {
        self.part_frames
    }

    /// Parts in a GOP.
    pub fn gop_parts(&self) -> u32 {
        self.gop_parts
    }

    /// GOPs in a segment.
    pub fn segment_gops(&self) -> u32 {
        self.segment_gops
    }

    /// Parts in a whole segment.
    pub fn segment_parts(&self) -> u32 {
        self.gop_parts.saturating_mul(self.segment_gops)
    }

    /// Timescale of video tracks: a frame is a whole number of ticks.
    pub fn video_timescale(&self) -> u32 {
        self.rate.num.saturating_mul(self.ticks())
    }

    /// Ticks of the video timescale in one frame.
    pub fn frame_ticks(&self) -> u32 {
        self.rate.den.saturating_mul(self.ticks())
    }

    /// Rates written as whole numbers get a finer timescale, as muxers and players are used to.
    fn ticks(&self) -> u32 {
        if self.rate.num < 1_000 { 1_000 } else { 1 }
    }

    /// First video frame of a cell.
    pub fn first_frame(&self, cell: Cell) -> u64 {
        cell.0.saturating_mul(u64::from(self.part_frames))
    }

    /// The cell a video frame belongs to.
    pub fn cell_of_frame(&self, frame: u64) -> Cell {
        Cell(frame / u64::from(self.part_frames))
    }

    /// The cell an audio sample belongs to: the one that holds its time.
    pub fn cell_of_sample(&self, sample: u64) -> Cell {
        let frames = u128::from(sample) * u128::from(self.rate.num)
            / (u128::from(self.rate.den) * u128::from(self.audio_rate));
        self.cell_of_frame(saturate(frames))
    }

    /// First audio sample at or after the start of a video frame.
    pub fn first_sample(&self, frame: u64) -> u64 {
        let exact = u128::from(frame) * u128::from(self.rate.den) * u128::from(self.audio_rate);
        saturate(exact.div_ceil(u128::from(self.rate.num)))
    }

    /// Segment of a cell.
    pub fn msn(&self, cell: Cell) -> Msn {
        Msn(cell.0 / u64::from(self.segment_parts()))
    }

    /// Place of a cell among the cells of a whole segment.
    pub fn part_index(&self, cell: Cell) -> PartIndex {
        PartIndex(cell.0 % u64::from(self.segment_parts()))
    }

    /// First cell of a segment.
    pub fn first_cell(&self, msn: Msn) -> Cell {
        Cell(msn.0.saturating_mul(u64::from(self.segment_parts())))
    }

    /// Whether a key frame is due at the start of a cell.
    pub fn starts_gop(&self, cell: Cell) -> bool {
        cell.0.is_multiple_of(u64::from(self.gop_parts))
    }

    /// Time of a frame since the program epoch, rounded down to nanoseconds.
    pub fn frame_time(&self, frame: u64) -> Duration {
        nanos(u128::from(frame) * u128::from(self.rate.den) * 1_000_000_000 / u128::from(self.rate.num))
    }

    /// Frame whose time is the first at or after `time` since the program epoch.
    pub fn frame_at(&self, time: Duration) -> u64 {
        let exact = time.as_nanos() * u128::from(self.rate.num);
        saturate(exact.div_ceil(u128::from(self.rate.den) * 1_000_000_000))
    }

    /// Duration of a whole cell.
    pub fn cell_duration(&self) -> Duration {
        self.frame_time(u64::from(self.part_frames))
    }

    /// PART-TARGET: a cell and one audio frame, rounded up to a millisecond, so that no part of any track
    /// can be longer. Fixed for the stream's life.
    pub fn part_target(&self) -> Duration {
        let longest = self.cell_duration() + self.samples_time(AUDIO_FRAME_SAMPLES);
        Duration::from_millis(saturate(longest.as_nanos().div_ceil(1_000_000)))
    }

    /// PART-HOLD-BACK: three part targets.
    pub fn part_hold_back(&self) -> Duration {
        self.part_target() * 3
    }

    /// EXT-X-TARGETDURATION in whole seconds: no segment of any track rounds to more.
    pub fn target_duration(&self) -> Duration {
        let longest = self.cell_duration() * self.segment_parts() + self.samples_time(AUDIO_FRAME_SAMPLES);
        let rounded = (longest.as_millis() + 500) / 1_000;
        Duration::from_secs(saturate(rounded).max(1))
    }

    fn samples_time(&self, samples: u32) -> Duration {
        nanos(u128::from(samples) * 1_000_000_000 / u128::from(self.audio_rate))
    }

    fn shortest_inner_part(&self) -> Duration {
        let samples = self.first_sample(u64::from(self.part_frames));
        let frames = samples / u64::from(AUDIO_FRAME_SAMPLES);
        let audio = nanos(
            u128::from(frames) * u128::from(AUDIO_FRAME_SAMPLES) * 1_000_000_000
                / u128::from(self.audio_rate),
        );
        audio.min(self.cell_duration())
    }
}

fn bounded_round(x: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 1..=10000 just before"
    )]
    let n = x.round().clamp(1.0, 10_000.0) as u32;
    n
}

fn saturate(n: u128) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn nanos(n: u128) -> Duration {
    Duration::from_nanos(saturate(n))
}

/// RFC 3339 in UTC with milliseconds of a time since the program epoch, as EXT-X-PROGRAM-DATE-TIME wants it.
pub fn date_time(since_epoch: Duration) -> String {
    let seconds = PROGRAM_EPOCH_UNIX.saturating_add(since_epoch.as_secs());
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    let (h, m, s) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    let ms = since_epoch.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
}

/// Program time of an RFC 3339 date, with any offset and any fraction; none before the program epoch.
pub fn since_epoch(text: &str) -> Option<Duration> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let (time, offset_s) = match time.strip_suffix(['Z', 'z']) {
        Some(time) => (time, 0),
        None => offset(time)?,
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let fraction = fraction.get(..fraction.len().min(9))?;
    let nanos = digits(fraction)? * 10_i64.pow(9 - u32::try_from(fraction.len()).ok()?);
    let [year, month, day] = three(date, '-')?;
    let [h, m, s] = three(time, ':')?;
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && h < 24 && m < 60 && s < 61;
    if !in_range {
        return None;
    }
    let seconds = days_before(year, month, day) * 86_400 + h * 3_600 + m * 60 + s - offset_s;
    let since = u64::try_from(seconds).ok()?.checked_sub(PROGRAM_EPOCH_UNIX)?;
    Some(Duration::from_secs(since) + Duration::from_nanos(u64::try_from(nanos).ok()?))
}

/// The time of day, and how far its offset is ahead of UTC, seconds.
fn offset(time: &str) -> Option<(&str, i64)> {
    let at = time.rfind(['+', '-'])?;
    let (time, offset) = time.split_at_checked(at)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let seconds = digits(hours)? * 3_600 + digits(minutes)? * 60;
    Some((
        time,
        if offset.starts_with('-') {
            -seconds
        } else {
            seconds
        },
    ))
}

fn three(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut fields = text.split(separator).map(digits);
    let found = [fields.next()??, fields.next()??, fields.next()??];
    fields.next().is_none().then_some(found)
}

fn digits(text: &str) -> Option<i64> {
    let plain = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Days from 1970-01-01 to a date: the inverse of [`civil`].
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, yoe) = (year.div_euclid(400), year.rem_euclid(400));
    let mp = (month + 9) % 12;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + (153 * mp + 2) / 5 + day - 1;
    era * 146_097 + doe - 719_468
}

/// Days since 1970-01-01 to a date of the proleptic Gregorian calendar (era arithmetic in years from March).
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    (year, month, doy - (153 * mp + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rates() -> Vec<FrameRate> {
        [
            (24, 1),
            (25, 1),
            (30, 1),
            (50, 1),
            (60, 1),
            (24_000, 1_001),
            (30_000, 1_001),
            (60_000, 1_001),
        ]
        .map(|(n, d)| FrameRate::new(n, d).unwrap())
        .to_vec()
    }

    #[test]
    fn dates_of_any_offset_are_read() {
        let read = |text: &str| since_epoch(text).map(|time| time.as_millis());
        assert_eq!(read("2024-01-01T00:00:00Z"), Some(0));
        assert_eq!(read("2024-01-01T02:00:01.25+02:00"), Some(1_250));
        assert_eq!(read("2023-12-31T19:30:00.000-04:30"), Some(0));
        assert_eq!(read("2024-03-01t00:00:00z"), Some(60 * 86_400_000));
        for bad in [
            "",
            "2023-12-31T23:59:59Z",
            "2024-01-01T00:00:00",
            "2024-01-01",
            "2024-13-01T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00.\u{e9}Z",
            "2024-01-01T00:00Z",
            "now",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_date_that_is_written_is_read_back(ms in 0u64..4_000_000_000_000) {
            let time = Duration::from_millis(ms);
            prop_assert_eq!(since_epoch(&date_time(time)), Some(time));
        }
    }

    #[test]
    fn the_profiles_give_the_documented_grids() {
        let rate = FrameRate::new(30, 1).unwrap();
        let low = Grid::of(Profile::Low, rate, 48_000).unwrap();
        assert_eq!(
            (low.part_frames(), low.gop_parts(), low.segment_gops()),
            (15, 2, 2)
        );
        assert_eq!(low.part_target(), Duration::from_millis(522));
        assert_eq!(low.target_duration(), Duration::from_secs(2));
        let ultra = Grid::of(Profile::Ultra, rate, 48_000).unwrap();
        assert_eq!((ultra.part_frames(), ultra.segment_parts()), (6, 10));
        let film = Grid::of(Profile::Ultra, FrameRate::new(24, 1).unwrap(), 48_000).unwrap();
        assert_eq!(
            film.part_frames(),
            6,
            "0.2 s at 24 fps is ragged; 0.25 s is taken"
        );
        let wide = Grid::of(Profile::Wide, rate, 48_000).unwrap();
        assert_eq!((wide.part_frames(), wide.segment_parts()), (30, 6));
    }

    #[test]
    fn every_profile_has_a_grid_at_every_usual_rate() {
        for rate in rates() {
            for profile in [Profile::Low, Profile::Ultra, Profile::Wide] {
                for audio in [44_100, 48_000] {
                    Grid::of(profile, rate, audio).unwrap();
                }
            }
        }
    }

    #[test]
    fn program_dates_are_utc_with_milliseconds() {
        assert_eq!(date_time(Duration::ZERO), "2024-01-01T00:00:00.000Z");
        assert_eq!(
            date_time(Duration::from_millis(86_400_000 * 60 + 1_500)),
            "2024-03-01T00:00:01.500Z"
        );
        assert_eq!(
            date_time(Duration::from_secs(86_400 * 366)),
            "2025-01-01T00:00:00.000Z"
        );
    }

    proptest! {
        #[test]
        fn frames_and_samples_fall_into_the_cell_that_holds_them(which in 0usize..8, cell in 0u64..1_000_000_000) {
            let grid = Grid::of(Profile::Low, rates()[which], 48_000).unwrap();
            let first = grid.first_frame(Cell(cell));
            prop_assert_eq!(grid.cell_of_frame(first), Cell(cell));
            let sample = grid.first_sample(first);
            prop_assert_eq!(grid.cell_of_sample(sample), Cell(cell));
            if sample > 0 {
                prop_assert_eq!(grid.cell_of_sample(sample - 1), Cell(cell.saturating_sub(1)));
            }
        }

        #[test]
        fn a_frame_is_found_again_from_its_time(which in 0usize..8, frame in 0u64..10_000_000_000) {
            let grid = Grid::of(Profile::Low, rates()[which], 48_000).unwrap();
            prop_assert_eq!(grid.frame_at(grid.frame_time(frame)).abs_diff(frame) , 0);
        }
    }
}
