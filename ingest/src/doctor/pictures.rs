//! The pictures of the last ten seconds: how many, how large, how far apart, in which order.

use std::collections::VecDeque;

use super::config::{self, VideoShape};
use super::report::Video;
use super::{WINDOW, rounded, seconds};
use crate::media::{VideoCodec, VideoFormat};

/// Pictures that are kept: ten seconds of 240 fps. At the bound the oldest goes, and the window is shorter.
const PICTURES_MAX: usize = 2_400;
/// Intervals between key frames that are kept.
const INTERVALS_MAX: usize = 8;
/// No rate is stated from less than this, nanoseconds.
const ENOUGH: i64 = 2_000_000_000;
/// Encoders send what they had in store when they connect; it says nothing about the line, nanoseconds.
const SETTLE: i64 = 2_000_000_000;

/// One of them. Times are nanoseconds: arrival by our clock, the others by the encoder's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picture {
    pub(super) arrival: i64,
    pub(super) dts: i64,
    pub(super) pts: i64,
    pub(super) bytes: u64,
    pub(super) key: bool,
    /// How much sound was sent ahead of it.
    pub(super) ahead: Option<i64>,
}

#[derive(Debug, Default)]
pub(super) struct Pictures {
    format: Option<VideoFormat>,
    shape: VideoShape,
    began: Option<i64>,
    last_arrival: Option<i64>,
    /// Each with whether it is shown before one that was sent earlier.
    window: VecDeque<(Picture, bool)>,
    latest_pts: Option<i64>,
    last_key: Option<i64>,
    intervals: VecDeque<i64>,
}

impl Pictures {
    pub(super) fn describe(&mut self, format: VideoFormat, config: &[u8]) {
        self.format = Some(format);
        self.shape = config::video(format, config);
    }

    pub(super) fn take(&mut self, picture: Picture) {
        self.began.get_or_insert(picture.arrival);
        self.last_arrival = Some(picture.arrival);
        let between = self.latest_pts.is_some_and(|latest| picture.pts < latest);
        self.latest_pts = self.latest_pts.max(Some(picture.pts));
        if picture.key {
            if let Some(last) = self.last_key.replace(picture.dts) {
                self.intervals.push_back(picture.dts.saturating_sub(last));
            }
            if self.intervals.len() > INTERVALS_MAX {
                self.intervals.pop_front();
            }
        }
        self.window.push_back((picture, between));
        while self.window.len() > PICTURES_MAX || self.is_old(picture.arrival) {
            self.window.pop_front();
        }
    }

    /// What comes has another clock than what came.
    pub(super) fn begin_anew(&mut self) {
        self.window.clear();
        self.latest_pts = None;
        self.last_key = None;
    }

    fn is_old(&self, now: i64) -> bool {
        let oldest = self.window.front();
        oldest.is_some_and(|(picture, _)| now - picture.arrival > WINDOW)
    }

    /// None where no picture ever came.
    pub(super) fn report(&self, now: i64) -> Option<Video> {
        let last_arrival = self.last_arrival?;
        let recent = self.window.iter();
        let recent: Vec<_> = recent
            .filter(|(picture, _)| now - picture.arrival <= WINDOW)
            .copied()
            .collect();
        let frame_ns = frame_ns(&recent);
        let newest = self.window.back().map(|(picture, _)| picture.dts);
        let since_key = self
            .last_key
            .zip(newest)
            .map(|(key, dts)| dts.saturating_sub(key));
        let interval = |ns: Option<&i64>| ns.map(|ns| seconds(*ns, 2));
        let between = longest_run(&recent);
        Some(Video {
            codec: self.format.map_or("unknown", codec),
            width: self.shape.width,
            height: self.shape.height,
            profile: self.shape.profile.clone(),
            interlaced: self.shape.interlaced,
            frames_per_s: frame_ns.map(|ns| rounded(1e9 / ns, 2)),
            kbps: frame_ns.map(|ns| kbps(&recent, ns)),
            keyframe_interval_s: interval(self.intervals.back()),
            keyframe_interval_min_s: interval(self.intervals.iter().min()),
            keyframe_interval_max_s: interval(self.intervals.iter().max()),
            keyframe_intervals: self.intervals.len() as u64,
            keyframe_since_s: since_key.map(|ns| seconds(ns, 2)),
            b_frames_max: between,
            b_frames_delay_ms: frame_ns.map(|ns| rounded(ns * between as f64 / 1e6, 0)),
            composition_max_ms: recent
                .iter()
                .map(|(p, _)| p.pts.saturating_sub(p.dts))
                .max()
                .map(millis),
            frame_step_max_ms: step_max(&recent).map(millis),
            arrival_spread_ms: self.spread(&recent).map(millis),
            sound_ahead_ms: ahead(&recent).map(millis),
            silent_s: seconds(now - last_arrival, 1),
        })
    }

    /// Between the picture that was held up least and the one held up most.
    fn spread(&self, recent: &[(Picture, bool)]) -> Option<i64> {
        let settled = self.began? + SETTLE;
        let late = recent.iter().filter(|(picture, _)| picture.arrival >= settled);
        let late = late.map(|(picture, _)| picture.arrival.saturating_sub(picture.dts));
        let (low, high) = (late.clone().min()?, late.max()?);
        Some(high.saturating_sub(low))
    }
}

/// Mean distance of the pictures, once there are enough of them.
fn frame_ns(recent: &[(Picture, bool)]) -> Option<f64> {
    let ((first, _), (last, _)) = (recent.first()?, recent.last()?);
    let span = last.dts.saturating_sub(first.dts);
    (span >= ENOUGH).then(|| span as f64 / (recent.len() - 1) as f64)
}

fn kbps(recent: &[(Picture, bool)], frame_ns: f64) -> f64 {
    let bytes: u64 = recent.iter().map(|(picture, _)| picture.bytes).sum();
    rounded(bytes as f64 * 8e6 / (frame_ns * recent.len() as f64), 0)
}

/// Most pictures in a row that are shown before one that was sent earlier: so many the encoder holds back.
fn longest_run(recent: &[(Picture, bool)]) -> u64 {
    let (mut run, mut longest) = (0, 0);
    for (_, between) in recent {
        run = if *between { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

fn step_max(recent: &[(Picture, bool)]) -> Option<i64> {
    let pairs = recent.iter().zip(recent.iter().skip(1));
    pairs
        .map(|((before, _), (after, _))| after.dts.saturating_sub(before.dts))
        .max()
}

/// The farthest, in either direction.
fn ahead(recent: &[(Picture, bool)]) -> Option<i64> {
    let known = recent.iter().filter_map(|(picture, _)| picture.ahead);
    known.max_by_key(|ahead| ahead.saturating_abs())
}

fn millis(ns: i64) -> i64 {
    ns / 1_000_000
}

fn codec(format: VideoFormat) -> &'static str {
    match format.codec {
        VideoCodec::H264 => "H.264",
        VideoCodec::Hevc => "HEVC",
        VideoCodec::Av1 => "AV1",
        VideoCodec::Vp9 => "VP9",
    }
}
