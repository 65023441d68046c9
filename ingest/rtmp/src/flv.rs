//! Bodies of audio and video messages, and the tags inside an aggregate.

use bytes::{Buf, Bytes};

use crate::codec::{AudioCodec, VideoCodec};
use crate::{ertmp, record};

/// What one track of a message carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Track of its medium; 0 where the message does not number them.
    pub track: u8,
    /// Nanoseconds to add to the message's timestamp, at most [`ertmp::NANOS_MAX`].
    pub nanos: u32,
    /// Content.
    pub body: Body,
}

/// The content of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Decoder configuration.
    VideoConfig {
        /// Whose.
        codec: VideoCodec,
        /// Record of [`record::video_is_sound`].
        config: Bytes,
    },
    /// One access unit, frame or temporal unit.
    Video {
        /// Of what.
        codec: VideoCodec,
        /// Presentation minus decoding time.
        composition_ms: i32,
        /// The encoder marked it as a key frame.
        key: bool,
        /// H.264 and HEVC: NAL units with the length fields their configuration states. AV1: OBUs. VP9: a frame.
        data: Bytes,
    },
    /// Decoder configuration.
    AudioConfig {
        /// Whose.
        codec: AudioCodec,
        /// Record of [`record::audio_is_sound`].
        config: Bytes,
    },
    /// One frame: AAC without ADTS header, or an Opus packet.
    Audio {
        /// Of what.
        codec: AudioCodec,
        /// Frame.
        data: Bytes,
    },
    /// Nothing to decode: end of sequence, command frames, colour and channel descriptions, empty bodies.
    Empty,
    /// Another codec, or another form of one: its name.
    Ignored(String),
}

/// Why a tag is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A tag ends inside its header, or before the last of its tracks.
    #[error("{0} tag is cut short")]
    Short(&'static str),
    /// A configuration record a decoder could not begin with.
    #[error("malformed {0} decoder configuration record")]
    Config(&'static str),
    /// A packet type flv §E.4 does not define.
    #[error("{codec} packet type {packet} is not defined")]
    Packet {
        /// Codec of the tag.
        codec: &'static str,
        /// The packet type.
        packet: u8,
    },
    /// More than [`ertmp::MODIFIERS_MAX`].
    #[error("more than {} modifiers in one tag", ertmp::MODIFIERS_MAX)]
    Modifiers,
    /// Tracks, or modifiers, inside the tracks of a message.
    #[error("enhanced {0} tag with tracks inside tracks")]
    Nested(&'static str),
}

impl Tag {
    pub(crate) fn plain(body: Body) -> Self {
        Self {
            track: 0,
            nanos: 0,
            body,
        }
    }
}

impl Body {
    pub(crate) fn video_config(codec: VideoCodec, config: Bytes) -> Result<Self, Error> {
        if !record::video_is_sound(codec, &config) {
            return Err(Error::Config(codec.fourcc()));
        }
        Ok(Self::VideoConfig { codec, config })
    }

    pub(crate) fn audio_config(codec: AudioCodec, config: Bytes) -> Result<Self, Error> {
        if !record::audio_is_sound(codec, &config) {
            return Err(Error::Config(codec.fourcc()));
        }
        Ok(Self::AudioConfig { codec, config })
    }
}

/// The tags of one message, in its order; ends at the first error.
#[derive(Debug)]
pub struct Tags(Content);

#[derive(Debug)]
enum Content {
    One(Option<Result<Tag, Error>>),
    Tracks(ertmp::Tracks),
}

impl Tags {
    fn one(body: Result<Body, Error>) -> Self {
        Self(Content::One(Some(body.map(Tag::plain))))
    }

    fn tracks(tracks: Result<ertmp::Tracks, Error>) -> Self {
        Self(tracks.map_or_else(|error| Content::One(Some(Err(error))), Content::Tracks))
    }
}

impl Iterator for Tags {
    type Item = Result<Tag, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Content::One(tag) => tag.take(),
            Content::Tracks(tracks) => tracks.next(),
        }
    }
}

/// flv §E.4.3, and ertmp: the body of a video message.
pub fn video(body: Bytes) -> Tags {
    match body.first() {
        None => Tags::one(Ok(Body::Empty)),
        // ertmp, ExVideoTagHeader: the top bit announces a FourCC in place of a codec id.
        Some(first) if first & 0x80 != 0 => Tags::tracks(ertmp::video(body)),
        Some(&first) => Tags::one(avc(first, body)),
    }
}

/// flv §E.4.2, and ertmp: the body of an audio message.
pub fn audio(body: Bytes) -> Tags {
    match body.first() {
        None => Tags::one(Ok(Body::Empty)),
        // ertmp, ExAudioTagHeader: sound format 9 announces a FourCC.
        Some(first) if first >> 4 == 9 => Tags::tracks(ertmp::audio(body)),
        Some(&first) => Tags::one(aac(first, body)),
    }
}

fn avc(first: u8, mut body: Bytes) -> Result<Body, Error> {
    let (frame, codec) = (first >> 4, first & 0x0F);
    if codec != 7 {
        return Ok(Body::Ignored(format!("video {}", video_codec(codec))));
    }
    // flv §E.4.3.1: frame type 5 is a command or info frame.
    if frame == 5 {
        return Ok(Body::Empty);
    }
    let Some(&[_, packet, c0, c1, c2]) = body.first_chunk() else {
        return Err(Error::Short("video"));
    };
    body.advance(5);
    match packet {
        0 => Body::video_config(VideoCodec::H264, body),
        1 if body.is_empty() => Ok(Body::Empty),
        // flv §E.4.3.2: CompositionTime is a signed 24-bit number.
        1 => Ok(Body::Video {
            codec: VideoCodec::H264,
            composition_ms: i32::from_be_bytes([c0, c1, c2, 0]) >> 8,
            key: frame == 1,
            data: body,
        }),
        2 => Ok(Body::Empty),
        packet => Err(Error::Packet { codec: "avc", packet }),
    }
}

fn aac(first: u8, mut body: Bytes) -> Result<Body, Error> {
    if first >> 4 != 10 {
        return Ok(Body::Ignored(format!("audio {}", audio_codec(first >> 4))));
    }
    let Some(&[_, packet]) = body.first_chunk() else {
        return Err(Error::Short("audio"));
    };
    body.advance(2);
    match packet {
        0 => Body::audio_config(AudioCodec::Aac, body),
        1 if body.is_empty() => Ok(Body::Empty),
        1 => Ok(Body::Audio {
            codec: AudioCodec::Aac,
            data: body,
        }),
        packet => Err(Error::Packet { codec: "aac", packet }),
    }
}

/// One tag of an aggregate message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Message type.
    pub kind: u8,
    /// Milliseconds after the first tag of the aggregate.
    pub offset_ms: u32,
    /// Body.
    pub body: Bytes,
}

/// rtmp §7.1.6: the tags of an aggregate message, each followed by a back pointer.
pub fn parts(aggregate: Bytes) -> impl Iterator<Item = Result<Part, Error>> {
    let mut rest = aggregate;
    let mut first_ms = None;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let part = part(&mut rest, &mut first_ms);
        if part.is_err() {
            rest.clear();
        }
        Some(part)
    })
}

fn part(rest: &mut Bytes, first_ms: &mut Option<u32>) -> Result<Part, Error> {
    let short = Error::Short("aggregate");
    // flv §E.4.1: type, size, timestamp with its top byte last, stream id.
    let Some(&[kind, l0, l1, l2, t0, t1, t2, t3, _, _, _]) = rest.first_chunk() else {
        return Err(short);
    };
    rest.advance(11);
    let length = usize::from(l0) << 16 | usize::from(l1) << 8 | usize::from(l2);
    if rest.len() < length + 4 {
        return Err(short);
    }
    let timestamp_ms = u32::from_be_bytes([t3, t0, t1, t2]);
    let offset_ms = timestamp_ms.wrapping_sub(*first_ms.get_or_insert(timestamp_ms));
    let body = rest.split_to(length);
    rest.advance(4);
    Ok(Part {
        kind: kind & 0x1F,
        offset_ms,
        body,
    })
}

/// flv §E.4.3.1, and ids in use without a place in it.
fn video_codec(id: u8) -> String {
    let name = match id {
        2 => "H.263",
        3 => "Screen",
        4 => "VP6",
        5 => "VP6 with alpha",
        6 => "Screen 2",
        12 => "HEVC by codec id 12",
        13 => "AV1 by codec id 13",
        _ => return format!("codec id {id}"),
    };
    name.to_owned()
}

/// flv §E.4.2.1
fn audio_codec(format: u8) -> String {
    let name = match format {
        0 | 3 => "PCM",
        1 => "ADPCM",
        2 | 14 => "MP3",
        4..=6 => "Nellymoser",
        7 => "A-law",
        8 => "mu-law",
        11 => "Speex",
        _ => return format!("sound format {format}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests;
