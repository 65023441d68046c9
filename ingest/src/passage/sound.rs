//! One audio track of an encoder: whether it goes on without a hole, and where in program time it is.

use std::collections::VecDeque;

use bytes::Bytes;
use hls::time::{AUDIO_FRAME_SAMPLES, Grid};

use super::Passed;
use super::fault::Fault;
use crate::media::AudioCodec;

/// Units kept so that sound sent ahead of its picture is there when the picture comes: four seconds.
const RECENT_MAX: usize = 192;
/// Time stamps and counted samples may differ by this, nanoseconds.
const STRAY_MAX: i64 = 30_000_000;

/// A track and its latest units.
#[derive(Debug)]
pub(super) struct Sound {
    pub(super) track: u8,
    /// AudioSpecificConfig.
    pub(super) config: Bytes,
    is_fit: bool,
    /// Time stamp of the first unit, and units since.
    counted: Option<(i64, i64)>,
    recent: VecDeque<(i64, Bytes)>,
    /// Program samples of the unit that is due and of the first that is wanted, once it is passed on.
    next: Option<(u64, u64)>,
}

impl Sound {
    pub(super) fn new(track: u8, codec: AudioCodec, config: Bytes) -> Self {
        // ISO/IEC 14496-3 §1.6.2.1: five bits of object type 2, four of rate 3, four of two channels.
        let is_fit =
            codec == AudioCodec::Aac && matches!(*config, [0x11, channels, ..] if channels & 0xf8 == 0x90);
        Self {
            track,
            config,
            is_fit,
            counted: None,
            recent: VecDeque::new(),
            next: None,
        }
    }

    /// Forgets what was measured.
    pub(super) fn reset(&mut self) {
        (self.counted, self.next) = (None, None);
        self.recent.clear();
    }

    /// Whether its format is the stream's.
    pub(super) fn is_fit(&self) -> bool {
        self.is_fit
    }

    /// Whether it goes on at `now` on the encoder's clock.
    pub(super) fn is_there(&self, now: i64, patience: i64) -> bool {
        self.newest().is_some_and(|newest| now - newest <= patience)
    }

    fn newest(&self) -> Option<i64> {
        self.counted.map(|(base, units)| base + time_of(units))
    }

    /// Takes the next unit, stamped `at`.
    pub(super) fn take(&mut self, at: i64, data: Bytes) -> Result<Option<(u64, Bytes)>, Fault> {
        let (base, units) = self.counted.unwrap_or((at, 0));
        if (base + time_of(units) - at).abs() > STRAY_MAX {
            return Err(Fault::SoundHole { track: self.track });
        }
        self.counted = Some((base, units + 1));
        if let Some((next, start)) = self.next {
            self.next = Some((next + u64::from(AUDIO_FRAME_SAMPLES), start));
            return Ok((next >= start).then_some((next, data)));
        }
        // Counted and not stamped: stamps are rounded.
        self.recent.push_back((base + time_of(units), data));
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
        Ok(None)
    }

    /// From now on it is passed on. `key_at` on the encoder's clock is `first_frame` of the programme. Gives the units
    /// that came before their picture.
    pub(super) fn begin(
        &mut self,
        grid: &Grid,
        key_at: i64,
        first_frame: u64,
    ) -> Result<Vec<(u64, Bytes)>, Fault> {
        let step = u64::from(AUDIO_FRAME_SAMPLES);
        let start = grid.first_sample(first_frame);
        let place = |at: i64| {
            let samples = i128::from(at - key_at) * i128::from(grid.audio_rate());
            let samples = (samples + 500_000_000).div_euclid(1_000_000_000);
            u64::try_from(i128::from(start) + samples).ok()
        };
        let hole = Fault::SoundHole { track: self.track };
        let mut recent = std::mem::take(&mut self.recent);
        // The unit after the newest one tells the count also where none has come ahead.
        let due = self.newest().and_then(place).ok_or_else(|| hole.clone())?;
        let ahead = due.saturating_sub(start) / step;
        let ahead = usize::try_from(ahead).unwrap_or(usize::MAX);
        if ahead > recent.len() || due < start && start - due > u64::from(grid.audio_rate()) {
            return Err(hole);
        }
        let first = due - ahead as u64 * step;
        self.next = Some((due, start));
        let kept = recent.split_off(recent.len() - ahead);
        let times = (0..).map(|n| first + n * step);
        Ok(times.zip(kept.into_iter().map(|(_, data)| data)).collect())
    }
}

impl Sound {
    /// A unit of it for the feed.
    pub(super) fn passed(&self, index: usize, time: u64, data: Bytes) -> Passed {
        Passed {
            index,
            time,
            key: true,
            data,
            config: self.config.clone(),
        }
    }
}

/// How long so many units are, nanoseconds.
fn time_of(units: i64) -> i64 {
    units * i64::from(AUDIO_FRAME_SAMPLES) * 1_000_000_000 / 48_000
}
