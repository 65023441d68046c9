//! What ingest and packager say to each other.

use bytes::Bytes;
use hls::id::{Cell, Epoch, StreamId, TrackId};
use hls::time::Grid;

use crate::cue::Cue;

/// Version of this protocol; a peer with another one is refused.
pub const PROTOCOL: u16 = 5;

/// Longest language tag of a track, bytes (RFC 5646 §4.4.1: no registered tag needs more).
pub const LANGUAGE_BYTES_MAX: usize = 35;

/// Longest title of a track, bytes of UTF-8.
pub const TITLE_BYTES_MAX: usize = 400;

/// How a track is coded, with the decoder configuration as the box of its sample entry holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Codec {
    /// H.264 with length-prefixed NAL units, parameter sets in `config` alone.
    H264 {
        /// AVCDecoderConfigurationRecord, ISO/IEC 14496-15 §5.3.3.1.
        config: Bytes,
        /// Coded width, pixels.
        width: u32,
        /// Coded height, pixels.
        height: u32,
    },
    /// HEVC with length-prefixed NAL units, parameter sets in `config` alone.
    Hevc {
        /// HEVCDecoderConfigurationRecord, ISO/IEC 14496-15 §8.3.3.1.
        config: Bytes,
        /// Coded width, pixels.
        width: u32,
        /// Coded height, pixels.
        height: u32,
    },
    /// AV1 in temporal units without delimiters; each key frame comes with its sequence header.
    Av1 {
        /// AV1CodecConfigurationRecord, AV1-ISOBMFF §2.3.
        config: Bytes,
        /// Coded width, pixels.
        width: u32,
        /// Coded height, pixels.
        height: u32,
    },
    /// AAC-LC without ADTS.
    Aac {
        /// AudioSpecificConfig, ISO/IEC 14496-3 §1.6.2.1.
        config: Bytes,
        /// Channels.
        channels: u32,
    },
    /// Opus packets of at most 20 ms at 48 kHz.
    Opus {
        /// OpusSpecificBox without its header (Opus in ISOBMFF §4.3.2): an `OpusHead` without its magic, version 0,
        /// numbers big-endian.
        config: Bytes,
        /// Channels.
        channels: u32,
    },
}

impl Codec {
    /// Width and height of its pictures, pixels; none of sound.
    pub fn picture(&self) -> Option<(u32, u32)> {
        match self {
            Self::H264 { width, height, .. }
            | Self::Hevc { width, height, .. }
            | Self::Av1 { width, height, .. } => Some((*width, *height)),
            Self::Aac { .. } | Self::Opus { .. } => None,
        }
    }

    /// Channels of its sound; none of pictures.
    pub fn channels(&self) -> Option<u32> {
        match self {
            Self::Aac { channels, .. } | Self::Opus { channels, .. } => Some(*channels),
            Self::H264 { .. } | Self::Hevc { .. } | Self::Av1 { .. } => None,
        }
    }
}

/// One track of the stream, in the order in which units name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Name in URLs.
    pub id: TrackId,
    /// Format and decoder configuration.
    pub codec: Codec,
    /// Average bit rate the encoder aims at, bits per second.
    pub average_bps: u64,
    /// Highest rate a whole segment can have, bits per second.
    pub peak_bps: u64,
    /// RFC 5646 tag of what is spoken; at most [`LANGUAGE_BYTES_MAX`].
    pub language: Option<String>,
    /// What players list it as; at most [`TITLE_BYTES_MAX`], without quotes and control characters.
    pub title: Option<String>,
}

impl Track {
    /// Whether this is a video track.
    pub fn is_video(&self) -> bool {
        self.codec.picture().is_some()
    }
}

/// Whether a text has the form of an RFC 5646 tag.
pub fn is_language(text: &str) -> bool {
    let subtag =
        |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text.len() <= LANGUAGE_BYTES_MAX && text.split('-').all(subtag)
}

/// Whether a text may stand in a playlist as a track's title (rfc8216bis §4.2: no quote and no line break in a
/// quoted string; §4.1: no control character anywhere).
pub fn is_title(text: &str) -> bool {
    let bad = |c: char| c.is_control() || c == '"';
    (1..=TITLE_BYTES_MAX).contains(&text.len()) && !text.chars().any(bad)
}

/// Most channels of captions in one stream.
pub const CAPTIONS_MAX: usize = 16;

/// One channel of captions inside the picture of every rung.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captions {
    /// Its INSTREAM-ID; see [`is_channel`].
    pub channel: String,
    /// RFC 5646 tag; at most [`LANGUAGE_BYTES_MAX`].
    pub language: Option<String>,
    /// What players list it as; see [`is_title`].
    pub title: Option<String>,
}

/// Whether a text names a channel of captions (rfc8216bis §4.4.6.1): CC1 to CC4, SERVICE1 to SERVICE63.
pub fn is_channel(text: &str) -> bool {
    match text.strip_prefix("SERVICE") {
        Some(number) => {
            !number.starts_with(['0', '+']) && number.parse().is_ok_and(|n: u8| (1..=63).contains(&n))
        }
        None => matches!(text, "CC1" | "CC2" | "CC3" | "CC4"),
    }
}

/// A stream's fixed shape: what it is cut on and what it consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The cutting rule.
    pub grid: Grid,
    /// Tracks; a unit's `track` is an index into this list.
    pub tracks: Vec<Track>,
    /// Captions in the picture, at most [`CAPTIONS_MAX`]; empty where there are none.
    pub captions: Vec<Captions>,
}

/// First words of an ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// [`PROTOCOL`] of the sender.
    pub protocol: u16,
    /// The stream that is fed.
    pub stream: StreamId,
    /// Life of the ladder; a packager refuses a lower one than it knows.
    pub epoch: Epoch,
    /// How many ladders came before in this stream: the discontinuity sequence number of its segments.
    pub discontinuity: u64,
    /// Grid and tracks.
    pub shape: Shape,
    /// [`crate::auth::mac`] over the challenge and the stream's id.
    pub mac: [u8; 32],
}

/// One coded frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Index into the shape's tracks.
    pub track: u16,
    /// Program time: video in frames, audio in samples, since the program epoch.
    pub time: u64,
    /// Whether decoding can start here.
    pub key: bool,
    /// The access unit.
    pub data: Bytes,
}

/// Largest picture of a cell, bytes.
pub const JPEG_BYTES_MAX: usize = 64 << 10;

/// Whether bytes may cross as a picture: a whole JPEG by its markers, of [`JPEG_BYTES_MAX`] at most.
pub fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.len() <= JPEG_BYTES_MAX && bytes.starts_with(&[0xFF, 0xD8, 0xFF]) && bytes.ends_with(&[0xFF, 0xD9])
}

/// Everything that crosses the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Packager: random bytes the ingest has to sign.
    Challenge([u8; 32]),
    /// Ingest: who I am and what I will send.
    Hello(Box<Hello>),
    /// Packager: send from this cell on, with a gap for each cell you no longer keep. Cell 0 asks for the oldest
    /// you keep, and for no gaps.
    Resume(Cell),
    /// Packager: why not; it closes afterwards.
    Refuse(String),
    /// Ingest: one coded frame.
    Unit(Unit),
    /// Ingest: all of this cell of this track has been sent.
    Watermark {
        /// Index into the shape's tracks.
        track: u16,
        /// The cell that is complete, with all before it.
        cell: Cell,
    },
    /// Ingest: this cell of this track will never come, or only in part.
    Gap {
        /// Index into the shape's tracks.
        track: u16,
        /// The missing cell.
        cell: Cell,
    },
    /// Ingest: something happens in the programme. It may come again, and before or after the units of its time.
    Cue(Box<Cue>),
    /// Ingest: what this cell shows, small; see [`is_jpeg`]. It may come before or after the units of its cell, or not at
    /// all: media goes first.
    Thumbnail {
        /// The cell in which the picture is shown.
        cell: Cell,
        /// A JPEG.
        jpeg: Bytes,
    },
    /// Ingest: the event is over; nothing follows.
    End,
}
