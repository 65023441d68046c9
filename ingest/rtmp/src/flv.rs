//! Bodies of audio and video messages, and the tags inside an aggregate.

use bytes::{Buf, Bytes};

/// What a tag carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tag {
    /// AVCDecoderConfigurationRecord.
    VideoConfig(Bytes),
    /// One H.264 access unit, NAL units with the length fields its configuration states.
    Video {
        /// Presentation minus decoding time.
        composition_ms: i32,
        /// The encoder marked it as a key frame.
        key: bool,
        /// Access unit.
        data: Bytes,
    },
    /// AudioSpecificConfig.
    AudioConfig(Bytes),
    /// One AAC frame without ADTS header.
    Audio(Bytes),
    /// Nothing to decode: end of sequence, command frames, empty bodies.
    Empty,
    /// Another codec, or an enhanced tag: its name.
    Ignored(String),
}

/// Why a tag is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A tag ends inside its header.
    #[error("{0} tag is cut short")]
    Short(&'static str),
    /// An AVCDecoderConfigurationRecord whose version, length size or parameter sets are wrong.
    #[error("malformed avc decoder configuration record")]
    AvcConfig,
    /// An AudioSpecificConfig shorter than two bytes.
    #[error("malformed audio specific config")]
    AudioConfig,
    /// A packet type flv §E.4 does not define.
    #[error("{codec} packet type {packet} is not defined")]
    Packet {
        /// Codec of the tag.
        codec: &'static str,
        /// The packet type.
        packet: u8,
    },
}

/// flv §E.4.3: the body of a video message.
pub fn video(mut body: Bytes) -> Result<Tag, Error> {
    let Some(&first) = body.first() else {
        return Ok(Tag::Empty);
    };
    // ertmp, ExVideoTagHeader: the top bit announces a FourCC in place of a codec id.
    if first & 0x80 != 0 {
        return Ok(Tag::Ignored(enhanced("video", first & 0x0F, 6, &body)));
    }
    let (frame, codec) = (first >> 4, first & 0x0F);
    if codec != 7 {
        return Ok(Tag::Ignored(format!("video {}", video_codec(codec))));
    }
    // flv §E.4.3.1: frame type 5 is a command or info frame.
    if frame == 5 {
        return Ok(Tag::Empty);
    }
    let Some(&[_, packet, c0, c1, c2]) = body.first_chunk() else {
        return Err(Error::Short("video"));
    };
    body.advance(5);
    match packet {
        0 if avc_config_is_sound(&body) => Ok(Tag::VideoConfig(body)),
        0 => Err(Error::AvcConfig),
        1 if body.is_empty() => Ok(Tag::Empty),
        // flv §E.4.3.2: CompositionTime is a signed 24-bit number.
        1 => Ok(Tag::Video {
            composition_ms: i32::from_be_bytes([c0, c1, c2, 0]) >> 8,
            key: frame == 1,
            data: body,
        }),
        2 => Ok(Tag::Empty),
        packet => Err(Error::Packet { codec: "avc", packet }),
    }
}

/// flv §E.4.2: the body of an audio message.
pub fn audio(mut body: Bytes) -> Result<Tag, Error> {
    let Some(&first) = body.first() else {
        return Ok(Tag::Empty);
    };
    match first >> 4 {
        10 => {}
        // ertmp, ExAudioTagHeader: sound format 9 announces a FourCC.
        9 => return Ok(Tag::Ignored(enhanced("audio", first & 0x0F, 5, &body))),
        format => return Ok(Tag::Ignored(format!("audio {}", audio_codec(format)))),
    }
    let Some(&[_, packet]) = body.first_chunk() else {
        return Err(Error::Short("audio"));
    };
    body.advance(2);
    match packet {
        0 if body.len() >= 2 => Ok(Tag::AudioConfig(body)),
        0 => Err(Error::AudioConfig),
        1 if body.is_empty() => Ok(Tag::Empty),
        1 => Ok(Tag::Audio(body)),
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

/// iso14496-15 §5.2.4.1.1: version 1, a length size of 1, 2 or 4, all parameter sets present.
fn avc_config_is_sound(record: &[u8]) -> bool {
    let Some((&[1, _, _, _, length_size, sps_count], mut rest)) = record.split_first_chunk() else {
        return false;
    };
    if length_size & 3 == 2 || sps_count & 0x1F == 0 {
        return false;
    }
    if !skip_parameter_sets(&mut rest, sps_count & 0x1F) {
        return false;
    }
    let Some((&pps_count, after)) = rest.split_first() else {
        return false;
    };
    rest = after;
    pps_count > 0 && skip_parameter_sets(&mut rest, pps_count)
}

fn skip_parameter_sets(rest: &mut &[u8], count: u8) -> bool {
    for _ in 0..count {
        let Some((length, after)) = rest.split_first_chunk() else {
            return false;
        };
        let length = usize::from(u16::from_be_bytes(*length));
        let Some(after) = after.get(length..) else {
            return false;
        };
        *rest = after;
    }
    true
}

/// Names an enhanced tag by its FourCC, where its packet type leaves that in the usual place.
fn enhanced(medium: &str, packet: u8, multitrack: u8, body: &[u8]) -> String {
    const MOD_EX: u8 = 7;
    let (skip, note) = match packet {
        MOD_EX => return format!("enhanced {medium} with modifiers"),
        // One more byte before the FourCC: kind of multitrack, packet type.
        packet if packet == multitrack => (2, " multitrack"),
        _ => (1, ""),
    };
    let Some(code) = body.get(skip..skip + 4) else {
        return format!("enhanced {medium}{note}");
    };
    let code: String = code
        .iter()
        .map(|&byte| {
            if byte.is_ascii_graphic() {
                char::from(byte)
            } else {
                '?'
            }
        })
        .collect();
    format!("enhanced {medium} {code}{note}")
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
