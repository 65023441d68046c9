//! One video track of an encoder: whether it keeps the grid's rate and puts key frames where segments start.

use std::collections::VecDeque;

use bytes::Bytes;
use hls::time::Grid;

use super::fault::Fault;
use crate::media::Framing;

/// Key frames remembered; three segments of any grid have fewer, unless every frame is one.
const KEYS_MAX: usize = 256;
/// Time stamps of a steady track stray by less, nanoseconds: they are rounded to milliseconds at worst.
const STRAY_MAX: i64 = 2_500_000;

/// A track and what was seen of it since its first key frame.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) track: u8,
    pub(super) framing: Framing,
    /// AVCDecoderConfigurationRecord.
    pub(super) record: Bytes,
    /// Pixels.
    pub(super) size: (u32, u32),
    /// Index of the frame that is due; none before the first key frame.
    pub(super) next: Option<u64>,
    keys: VecDeque<u64>,
    composition: Option<i64>,
    /// Least and most by which time stamps strayed from the grid, nanoseconds.
    stray: Option<(i64, i64)>,
    frames: u64,
    bytes: u64,
}

/// One of its frames.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Since the first key frame of all tracks, nanoseconds.
    pub(super) at: i64,
    pub(super) composition: i64,
    pub(super) key: bool,
    pub(super) bytes: usize,
}

impl Picture {
    pub(super) fn new(track: u8, framing: Framing, record: Bytes, size: (u32, u32)) -> Self {
        Self {
            track,
            framing,
            record,
            size,
            next: None,
            keys: VecDeque::new(),
            composition: None,
            stray: None,
            frames: 0,
            bytes: 0,
        }
    }

    /// Forgets what was measured.
    pub(super) fn reset(&mut self) {
        let (framing, record) = (self.framing, self.record.clone());
        *self = Self::new(self.track, framing, record, self.size);
    }

    /// Its index, if it is the one that is due; none before the first key frame.
    pub(super) fn take(&mut self, grid: &Grid, frame: Frame) -> Result<Option<u64>, Fault> {
        if self.next.is_none() && !frame.key {
            return Ok(None);
        }
        let track = self.track;
        let composition = *self.composition.get_or_insert(frame.composition);
        if (composition - frame.composition).abs() > STRAY_MAX {
            return Err(Fault::Reordered { track });
        }
        let index = nearest(grid, frame.at).ok_or_else(|| self.uneven(grid))?;
        let stray = frame.at - nanos(grid, index);
        let (least, most) = self.stray.unwrap_or((stray, stray));
        let (least, most) = (least.min(stray), most.max(stray));
        if self.next.is_some_and(|next| next != index) || most - least > nanos(grid, 1) / 4 {
            return Err(self.uneven(grid));
        }
        self.stray = Some((least, most));
        self.next = Some(index + 1);
        self.frames += 1;
        self.bytes += frame.bytes as u64;
        if frame.key {
            self.keys.push_back(index);
            if self.keys.len() > KEYS_MAX {
                self.keys.pop_front();
            }
        }
        Ok(Some(index))
    }

    /// What is wrong where its frames are not on the grid.
    pub(super) fn uneven(&self, grid: &Grid) -> Fault {
        Fault::Rate {
            track: self.track,
            rate: format!("{:.3}", grid.rate().as_f64()),
        }
    }

    /// Key frames that were the third in a row a segment apart, newest first.
    pub(super) fn steady_keys(&self, segment: u64) -> impl Iterator<Item = u64> {
        let is_key = |index: Option<u64>| index.is_some_and(|index| self.keys.contains(&index));
        let keys = self.keys.iter().rev().copied();
        keys.filter(move |key| is_key(key.checked_sub(segment)) && is_key(key.checked_sub(2 * segment)))
    }

    /// Whether its time stamps are those of the rate, and not of one near it.
    pub(super) fn is_exact(&self) -> bool {
        self.stray.is_some_and(|(least, most)| most - least <= STRAY_MAX)
    }

    /// Frames since its first key frame.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Frames between its last two key frames.
    pub(super) fn spacing(&self) -> Option<u64> {
        let mut newest = self.keys.iter().rev();
        Some(newest.next()?.saturating_sub(*newest.next()?))
    }

    /// Bits a second, since the first key frame.
    pub(super) fn bit_rate(&self, grid: &Grid) -> u64 {
        let ns = u128::from(nanos(grid, self.frames.max(1)).unsigned_abs());
        u64::try_from(u128::from(self.bytes) * 8_000_000_000 / ns.max(1)).unwrap_or(u64::MAX)
    }
}

/// Time of a frame since the first, nanoseconds.
pub(super) fn nanos(grid: &Grid, index: u64) -> i64 {
    i64::try_from(grid.frame_time(index).as_nanos()).unwrap_or(i64::MAX)
}

/// The frame whose time is nearest; none before the first.
pub(super) fn nearest(grid: &Grid, at: i64) -> Option<u64> {
    let rate = grid.rate();
    let unit = i128::from(rate.den()) * 1_000_000_000;
    let index = (i128::from(at) * i128::from(rate.num()) + unit / 2).div_euclid(unit);
    u64::try_from(index).ok()
}
