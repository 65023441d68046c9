//! What playlists say: the model, its text ([`Media::render`]), and the text read back ([`parse()`]).

pub mod cut;
mod date;
pub mod delta;
mod dvr;
mod frames;
mod parse;
mod render;
mod steering;
mod subtitles;

use std::time::Duration;

use crate::id::{Msn, PartIndex, TrackId};
use crate::path::KeyId;

pub use date::{DateRange, Place, Splice, Trigger, Value};
pub use dvr::{Dvr, Kind, SEGMENTS_PER_CHUNK};
pub use frames::{Frame, Range};
pub(crate) use parse::attributes;
pub use parse::{
    Error, NUMBER_MAX, PLAYLIST_BYTES_MAX, Parsed, SECONDS_MAX, Segment as ParsedSegment, attribute, parse,
};
pub use steering::Steering;
pub use subtitles::subtitles;

/// A live media playlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// EXT-X-TARGETDURATION, whole seconds.
    pub target_duration: Duration,
    /// PART-TARGET.
    pub part_target: Duration,
    /// PART-HOLD-BACK.
    pub part_hold_back: Duration,
    /// EXT-X-MEDIA-SEQUENCE: MSN of the first segment listed.
    pub media_sequence: Msn,
    /// EXT-X-DISCONTINUITY-SEQUENCE.
    pub discontinuity_sequence: u64,
    /// EXT-X-DATERANGEs, in the order in which they were said.
    pub dates: Vec<DateRange>,
    /// Oldest first; only the last may be open.
    pub segments: Vec<Segment>,
    /// URI of the part that comes next; none once the stream has ended.
    pub hint: Option<String>,
    /// Where the other tracks' playlists end.
    pub reports: Vec<Report>,
    /// EXT-X-ENDLIST.
    pub ended: bool,
}

/// A segment of a media playlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// URI and EXTINF; `None` while parts of it are still to come.
    pub whole: Option<Whole>,
    /// URI of its init segment, which is clear.
    pub map: String,
    /// EXT-X-KEY of its media; none where it is clear.
    pub key: Option<Key>,
    /// EXT-X-DISCONTINUITY tags before it; several where ladders came and went without a segment.
    pub discontinuities: u64,
    /// EXT-X-PROGRAM-DATE-TIME: program time of its start.
    pub start: Duration,
    /// EXT-X-GAP: its media never came.
    pub gap: bool,
    /// Parts still listed; none for segments further than three target durations from the end.
    pub parts: Vec<Part>,
}

/// EXT-X-KEY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// METHOD.
    pub method: Method,
    /// URI.
    pub uri: String,
    /// IV.
    pub iv: [u8; 16],
    /// KEYFORMAT, and the key's id for formats whose players ask by that; `identity` where there is none.
    pub format: Option<(String, KeyId)>,
}

/// METHOD of an EXT-X-KEY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// AES-128: whole parts and segments.
    Aes128,
    /// SAMPLE-AES: samples.
    SampleAes,
}

/// What only a finished segment has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Relative URI.
    pub uri: String,
    /// EXTINF.
    pub duration: Duration,
}

/// EXT-X-PART.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Relative URI.
    pub uri: String,
    /// DURATION.
    pub duration: Duration,
    /// INDEPENDENT=YES: decoding can start here.
    pub independent: bool,
    /// GAP=YES: its media never came.
    pub gap: bool,
}

/// EXT-X-RENDITION-REPORT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Relative URI of the other playlist.
    pub uri: String,
    /// LAST-MSN: segment of its last part, or its last segment where it has no parts.
    pub last_msn: Msn,
    /// LAST-PART: that part.
    pub last_part: Option<PartIndex>,
}

/// A multivariant playlist of demuxed video rungs and audio renditions.
#[derive(Debug, Clone, PartialEq)]
pub struct Multivariant {
    /// Rungs, best first.
    pub variants: Vec<Variant>,
    /// Audio renditions, all in one group; the first is the default.
    pub audio: Vec<Audio>,
    /// Captions in every variant's picture, all in one group; the first is the default.
    pub captions: Vec<Captions>,
    /// Subtitles for every variant, all in one group.
    pub subtitles: Vec<Subtitles>,
}

/// EXT-X-MEDIA of TYPE=SUBTITLES.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subtitles {
    /// The rendition's track.
    pub track: TrackId,
    /// NAME: unlike every other in the group, without quotes and control characters.
    pub name: String,
    /// LANGUAGE, an RFC 5646 tag.
    pub language: Option<String>,
    /// DEFAULT: shown to those who have not chosen; at most one in the group.
    pub default: bool,
    /// FORCED: shown even to those who want none.
    pub forced: bool,
}

/// EXT-X-MEDIA of TYPE=CLOSED-CAPTIONS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captions {
    /// INSTREAM-ID.
    pub channel: String,
    /// NAME: unlike every other in the group, without quotes and control characters.
    pub name: String,
    /// LANGUAGE, an RFC 5646 tag.
    pub language: Option<String>,
}

/// EXT-X-STREAM-INF.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// The rung's track.
    pub track: TrackId,
    /// BANDWIDTH: highest segment rate of this rung with the most demanding audio, bits per second.
    pub bandwidth: u64,
    /// AVERAGE-BANDWIDTH, bits per second.
    pub average_bandwidth: u64,
    /// CODECS of video and audio.
    pub codecs: Vec<String>,
    /// RESOLUTION, pixels.
    pub resolution: (u32, u32),
    /// FRAME-RATE, frames per second.
    pub frame_rate: f64,
}

/// EXT-X-MEDIA of TYPE=AUDIO.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// The rendition's track.
    pub track: TrackId,
    /// NAME: unlike every other in the group, without quotes and control characters.
    pub name: String,
    /// LANGUAGE, an RFC 5646 tag.
    pub language: Option<String>,
    /// CHANNELS.
    pub channels: u32,
}
