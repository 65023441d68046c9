//! What a publisher sends, whatever protocol brings it.

use bytes::Bytes;

use crate::cues::Happening;

/// How a picture is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VideoCodec {
    H264,
    Hevc,
    Av1,
    Vp9,
}

/// How sound is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AudioCodec {
    Aac,
    Opus,
}

/// How NAL units are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Length fields; parameter sets in the configuration record (`avcC`, `hvcC`), as in FLV. For AV1 and VP9 the
    /// only one.
    Record,
    /// Start codes; parameter sets in the stream, as in MPEG-TS.
    StartCodes,
}

/// A picture's codec with its framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VideoFormat {
    pub(crate) codec: VideoCodec,
    pub(crate) framing: Framing,
}

/// A protocol's time stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Stamps wrap at two to the power of this.
    pub(crate) bits: u32,
    /// Ticks in a second.
    pub(crate) per_second: u32,
}

impl Clock {
    /// flv §E.4.1: 32 bits of milliseconds, which wrap after 49.7 days.
    pub(crate) const FLV: Self = Self {
        bits: 32,
        per_second: 1_000,
    };
    /// ISO/IEC 13818-1 §2.4.3.7: 33 bits of 90 kHz, which wrap after 26.5 hours.
    pub(crate) const MPEG: Self = Self {
        bits: 33,
        per_second: 90_000,
    };
}

/// A time stamp as it was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Ticks of the protocol's [`Clock`].
    pub(crate) ticks: u64,
    /// Added to it, nanoseconds.
    pub(crate) nanos: u32,
}

/// One thing a publisher sent, in the order in which it came.
#[derive(Debug, Clone)]
pub(crate) enum Media {
    /// The picture's format from the next key frame on; may repeat and change.
    VideoConfig {
        track: u8,
        format: VideoFormat,
        config: Bytes,
    },
    /// One access unit.
    Video {
        track: u8,
        dts: Stamp,
        /// Presentation minus decoding time, nanoseconds.
        composition_ns: i64,
        key: bool,
        data: Bytes,
    },
    /// A track's format from the next unit on: AudioSpecificConfig or OpusHead.
    AudioConfig {
        track: u8,
        codec: AudioCodec,
        config: Bytes,
    },
    /// One frame of AAC without header, or one packet of Opus.
    Audio { track: u8, pts: Stamp, data: Bytes },
    /// What happens in the programme, and when; without a time it happens here.
    Cue { at: Option<Stamp>, said: Vec<Happening> },
    /// Something of the picture was lost on the way: what comes before the next key frame may be broken.
    Lost,
}

impl Media {
    /// Picture or sound, as against what describes it.
    pub(crate) fn is_frame(&self) -> bool {
        matches!(self, Self::Video { .. } | Self::Audio { .. })
    }
}
