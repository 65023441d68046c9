//! PURE. One track as its encoder sends it: what is judged without knowing the other tracks.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use cmaf::Codec;
use cmaf::push::{Movie, Unit};
use feed::Track as Described;
use hls::id::{Cell, TrackId};
use hls::time::{AUDIO_FRAME_SAMPLES, Grid};

use super::line::Moment;
use super::refusal::{Refusal, gop_ns};

/// How long a track is kept while others have yet to come, nanoseconds of media; beyond it the oldest is dropped.
pub(super) const HELD_NS: i64 = 8_000_000_000;
/// The same in bytes.
const HELD_BYTES: usize = 64 << 20;
/// How long a second key frame is waited for, to say in a refusal how far apart they are.
const OVERDUE_NS: i64 = 10_000_000_000;
/// Frames of another length in a row before they are a frame rate; the last of a fragment may be a guess.
const ODD_MAX: u8 = 3;

/// A unit that waits for the other tracks, or for its place.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) at: Moment,
    pub(super) duration: u32,
    pub(super) key: bool,
    pub(super) data: Bytes,
}

impl Held {
    pub(super) fn end(&self) -> Moment {
        self.at.after(i64::from(self.duration))
    }
}

/// The machine of one track.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) id: TrackId,
    declared_bps: Option<u64>,
    pub(super) movie: Option<Arc<Movie>>,
    pub(super) held: VecDeque<Held>,
    held_bytes: usize,
    /// Just after the last unit that was taken.
    pub(super) end: Option<Moment>,
    /// Frame or sample that is due, of program time.
    pub(super) next: Option<u64>,
    /// First cell that is not closed.
    pub(super) open: Cell,
    /// Nothing can be decoded before a key frame.
    pub(super) lost: bool,
    /// The request that sends it now.
    pub(super) sender: Option<u64>,
    /// Its last segment has begun.
    pub(super) last: bool,
    /// What was found wrong when another track's unit moved this one on.
    pub(super) refused: Option<Refusal>,
    composition: Option<i64>,
    odd: u8,
    key: Option<Moment>,
    interval_ns: Option<i64>,
    overdue: bool,
}

impl Track {
    pub(super) fn new(id: TrackId, declared_bps: Option<u64>) -> Self {
        Self {
            id,
            declared_bps,
            movie: None,
            held: VecDeque::new(),
            held_bytes: 0,
            end: None,
            next: None,
            open: Cell::default(),
            lost: true,
            sender: None,
            last: false,
            refused: None,
            composition: None,
            odd: 0,
            key: None,
            interval_ns: None,
            overdue: false,
        }
    }

    pub(super) fn is_video(&self) -> bool {
        self.movie.as_ref().is_some_and(|movie| is_video(&movie.codec))
    }

    /// All of it begins anew, but for what it is.
    pub(super) fn reset(&mut self) {
        let bps = self.declared_bps;
        let movie = self.movie.take();
        *self = Self {
            movie,
            ..Self::new(self.id.clone(), bps)
        };
    }

    /// What is wrong with a unit by itself.
    pub(super) fn vet(&mut self, unit: &Unit, scale: u32, grid: &Grid) -> Result<(), Refusal> {
        let composition = unit.time.saturating_sub(unit.decode);
        let duration = i128::from(unit.duration);
        if !self.is_video() {
            let samples = duration * i128::from(grid.audio_rate()) / i128::from(scale.max(1));
            if samples > i128::from(AUDIO_FRAME_SAMPLES) + 1 {
                return Err(Refusal::AudioFrame(i64::try_from(samples).unwrap_or(i64::MAX)));
            }
            return Ok(());
        }
        if *self.composition.get_or_insert(composition) != composition {
            self.composition = None;
            return Err(Refusal::Reordered);
        }
        let (num, den) = (i128::from(grid.rate().num()), i128::from(grid.rate().den()));
        let frame = i128::from(scale) * den;
        // Three tenths of a frame: more than any timescale rounds.
        let odd = (duration * num - frame).abs() * 10 > frame * 3;
        self.odd = if odd { self.odd + 1 } else { 0 };
        if self.odd >= ODD_MAX {
            self.odd = 0;
            return Err(Refusal::FrameRate {
                got: f64::from(scale) / f64::from(unit.duration.max(1)),
                want: grid.rate().as_f64(),
            });
        }
        Ok(())
    }

    /// Whether a picture comes in a GOP of the right length; false where it is only looked at until the next key
    /// frame says how far apart they are.
    pub(super) fn keys(&mut self, at: Moment, key: bool, grid: &Grid) -> Result<bool, Refusal> {
        let since = self.key.map(|last| at.ns_since(last));
        if key {
            self.key = Some(at);
            if std::mem::take(&mut self.overdue) {
                return Err(Refusal::key_frames(since, grid));
            }
            self.interval_ns = since;
            return Ok(true);
        }
        let Some(since) = since else {
            return Ok(true);
        };
        // Half a frame is more than timescales round.
        let frame_ns = gop_ns(grid) / i64::from(grid.part_frames().saturating_mul(grid.gop_parts())).max(1);
        self.overdue |= since >= gop_ns(grid) - frame_ns / 2;
        if self.overdue && since > OVERDUE_NS {
            self.forget_keys();
            return Err(Refusal::key_frames(None, grid));
        }
        Ok(!self.overdue)
    }

    /// Key frames as last seen, for a refusal.
    pub(super) fn interval_ns(&self) -> Option<i64> {
        self.interval_ns
    }

    /// Something is missing, perhaps a key frame.
    pub(super) fn forget_keys(&mut self) {
        (self.key, self.interval_ns, self.overdue) = (None, None, false);
    }

    /// Keeps a unit until the stream begins; how many had to go for it.
    pub(super) fn hold(&mut self, held: Held) -> u64 {
        if self.held.is_empty() && self.is_video() && !held.key {
            return 1;
        }
        self.held_bytes += held.data.len();
        self.end = Some(held.end());
        let end = held.end();
        self.held.push_back(held);
        let before = self.held.len();
        while self
            .held
            .front()
            .is_some_and(|first| end.ns_since(first.at) > HELD_NS || self.held_bytes > HELD_BYTES)
        {
            self.drop_first();
            while self.is_video() && self.held.front().is_some_and(|first| !first.key) {
                self.drop_first();
            }
        }
        (before - self.held.len()) as u64
    }

    fn drop_first(&mut self) {
        if let Some(first) = self.held.pop_front() {
            self.held_bytes -= first.data.len();
        }
    }

    /// All that is kept.
    pub(super) fn take_held(&mut self) -> VecDeque<Held> {
        self.held_bytes = 0;
        self.end = None;
        self.forget_keys();
        std::mem::take(&mut self.held)
    }

    /// How the feed describes it.
    pub(super) fn described(&self) -> Result<Described, Refusal> {
        let movie = self.movie.as_ref().ok_or(Refusal::BitRate)?;
        let said = movie.average_bps.map(u64::from);
        let average_bps = self.declared_bps.or(said).ok_or(Refusal::BitRate)?;
        // Encoders hold their rate only on average: half more covers a buffer of a second, a quarter what AAC swings,
        // and the rest is for boxes.
        let swing = if is_video(&movie.codec) {
            average_bps / 2
        } else {
            average_bps / 4
        };
        Ok(Described {
            id: self.id.clone(),
            codec: codec(&movie.codec),
            average_bps,
            peak_bps: average_bps + swing + 16_000,
            language: movie.language.clone(),
            title: None,
        })
    }
}

pub(super) fn is_video(codec: &Codec) -> bool {
    match codec {
        Codec::H264 { .. } | Codec::Hevc { .. } | Codec::Av1 { .. } => true,
        Codec::Aac { .. } | Codec::Opus { .. } => false,
    }
}

/// Samples in a second; none of pictures.
pub(super) fn audio_rate(codec: &Codec) -> Option<u32> {
    match codec {
        Codec::Aac { rate, .. } => Some(*rate),
        Codec::Opus { .. } => Some(48_000),
        Codec::H264 { .. } | Codec::Hevc { .. } | Codec::Av1 { .. } => None,
    }
}

/// An access unit as a sample of ours.
pub(super) fn sample(codec: &Codec, data: Bytes) -> Bytes {
    match codec {
        Codec::H264 { .. } => cmaf::sample::avc1(data),
        Codec::Hevc { .. } => cmaf::sample::hvc1(data),
        Codec::Av1 { .. } => cmaf::av1::av01(data),
        Codec::Aac { .. } | Codec::Opus { .. } => data,
    }
}

pub(super) fn codec(codec: &Codec) -> feed::Codec {
    match codec.clone() {
        Codec::H264 {
            config,
            width,
            height,
        } => feed::Codec::H264 {
            config,
            width: width.into(),
            height: height.into(),
        },
        Codec::Hevc {
            config,
            width,
            height,
        } => feed::Codec::Hevc {
            config,
            width: width.into(),
            height: height.into(),
        },
        Codec::Av1 {
            config,
            width,
            height,
        } => feed::Codec::Av1 {
            config,
            width: width.into(),
            height: height.into(),
        },
        Codec::Aac { config, channels, .. } => feed::Codec::Aac {
            config,
            channels: channels.into(),
        },
        Codec::Opus { config, channels } => feed::Codec::Opus {
            config,
            channels: channels.into(),
        },
    }
}
