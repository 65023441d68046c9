//! One audio track over the last ten seconds.

use std::collections::VecDeque;

use super::config::{self, AudioShape};
use super::report::Audio;
use super::{WINDOW, rounded, seconds};
use crate::media::AudioCodec;

/// Units that are kept: ten seconds of AAC at 96 kHz. Opus may send more; its window is shorter then.
const UNITS_MAX: usize = 1_024;
/// No rate is stated from less than this, nanoseconds.
const ENOUGH: i64 = 1_000_000_000;

#[derive(Debug, Default)]
pub(super) struct Sounds {
    codec: Option<AudioCodec>,
    shape: AudioShape,
    /// Arrival, time stamp, bytes.
    window: VecDeque<(i64, i64, u64)>,
    newest: Option<(i64, i64)>,
}

impl Sounds {
    pub(super) fn describe(&mut self, codec: AudioCodec, config: &[u8]) {
        self.codec = Some(codec);
        self.shape = config::audio(codec, config);
    }

    pub(super) fn take(&mut self, arrival: i64, pts: i64, bytes: u64) {
        self.newest = Some((arrival, pts));
        self.window.push_back((arrival, pts, bytes));
        let old = |window: &VecDeque<(i64, i64, u64)>| {
            let oldest = window.front();
            window.len() > UNITS_MAX || oldest.is_some_and(|(at, ..)| arrival - at > WINDOW)
        };
        while old(&self.window) {
            self.window.pop_front();
        }
    }

    /// What comes has another clock than what came.
    pub(super) fn begin_anew(&mut self) {
        self.window.clear();
    }

    /// Arrival and time stamp of the newest unit.
    pub(super) fn newest(&self) -> Option<(i64, i64)> {
        self.newest
    }

    pub(super) fn report(&self, track: u8, now: i64) -> Audio {
        Audio {
            track,
            codec: match self.codec {
                Some(AudioCodec::Aac) => "AAC",
                Some(AudioCodec::Opus) => "Opus",
                None => "unknown",
            },
            sample_rate_hz: self.shape.rate,
            channels: self.shape.channels,
            kbps: self.kbps(now),
            silent_s: self.newest.map(|(arrival, _)| seconds(now - arrival, 1)),
        }
    }

    fn kbps(&self, now: i64) -> Option<f64> {
        let recent = self.window.iter().filter(|(at, ..)| now - at <= WINDOW);
        let (_, first, first_bytes) = recent.clone().next()?;
        let (_, last, _) = recent.clone().next_back()?;
        let span = last.saturating_sub(*first);
        let bytes: u64 = recent.map(|(_, _, bytes)| bytes).sum::<u64>() - first_bytes;
        (span >= ENOUGH).then(|| rounded(bytes as f64 * 8e6 / span as f64, 0))
    }
}
