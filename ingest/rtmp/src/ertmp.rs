//! Extended headers of audio and video messages: modifiers, FourCC codes, several tracks in one message.

use bytes::{Buf, Bytes};

use crate::codec::{AudioCodec, VideoCodec, printable};
use crate::flv::{Body, Error, Tag};

/// Most modifiers before one packet.
pub const MODIFIERS_MAX: usize = 8;
/// Largest nanosecond offset; a larger one is read as this.
pub const NANOS_MAX: u32 = 999_999;

/// ertmp, VideoPacketType and AudioPacketType.
mod packet {
    pub(super) const SEQUENCE_START: u8 = 0;
    pub(super) const CODED_FRAMES: u8 = 1;
    pub(super) const SEQUENCE_END: u8 = 2;
    pub(super) const CODED_FRAMES_X: u8 = 3;
    pub(super) const VIDEO_METADATA: u8 = 4;
    pub(super) const VIDEO_MPEG2TS_START: u8 = 5;
    pub(super) const VIDEO_MULTITRACK: u8 = 6;
    pub(super) const AUDIO_MULTICHANNEL: u8 = 4;
    pub(super) const AUDIO_MULTITRACK: u8 = 5;
    pub(super) const MOD_EX: u8 = 7;
}

/// ertmp, VideoFrameType.
const KEY_FRAME: u8 = 1;
const COMMAND: u8 = 5;
/// ertmp, VideoPacketModExType and AudioPacketModExType.
const TIMESTAMP_OFFSET_NANO: u8 = 0;

/// What the tags of one extended message share, and where its tracks are read from.
#[derive(Debug)]
pub(crate) struct Tracks {
    medium: Medium,
    packet: u8,
    nanos: u32,
    layout: Layout,
    /// `None` where each track names its own.
    code: Option<[u8; 4]>,
    rest: Bytes,
    ended: bool,
}

#[derive(Debug, Clone, Copy)]
enum Medium {
    Video { key: bool },
    Audio,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// No track id: track 0.
    Plain,
    /// A track id, and the rest of the message is that track's.
    One,
    /// Each track has an id and a size.
    Many,
    /// A kind of multitrack without a meaning yet.
    Reserved(u8),
}

/// ertmp, ExVideoTagHeader: `body` begins with a byte whose top bit is set.
pub(crate) fn video(body: Bytes) -> Result<Tracks, Error> {
    let frame = body.first().map_or(0, |first| first >> 4 & 7);
    let key = frame == KEY_FRAME;
    open(Medium::Video { key }, body, frame == COMMAND)
}

/// ertmp, ExAudioTagHeader: `body` begins with a byte of sound format 9.
pub(crate) fn audio(body: Bytes) -> Result<Tracks, Error> {
    open(Medium::Audio, body, false)
}

fn open(medium: Medium, mut rest: Bytes, command: bool) -> Result<Tracks, Error> {
    let [first] = medium.array(&mut rest)?;
    let (mut packet, mut nanos) = (first & 0x0F, 0);
    for modifiers in 0.. {
        if packet != packet::MOD_EX {
            break;
        }
        if modifiers == MODIFIERS_MAX {
            return Err(Error::Modifiers);
        }
        packet = medium.modifier(&mut rest, &mut nanos)?;
    }
    let mut tracks = Tracks {
        medium,
        packet,
        nanos,
        layout: Layout::Plain,
        code: None,
        rest,
        ended: false,
    };
    if command && packet != packet::VIDEO_METADATA {
        // A seek command of players follows, and no media.
        tracks.rest.clear();
        tracks.ended = true;
    } else if packet == medium.multitrack() {
        tracks.multitrack()?;
    } else {
        tracks.code = Some(medium.array(&mut tracks.rest)?);
    }
    Ok(tracks)
}

impl Medium {
    fn name(self) -> &'static str {
        match self {
            Self::Video { .. } => "video",
            Self::Audio => "audio",
        }
    }

    fn multitrack(self) -> u8 {
        match self {
            Self::Video { .. } => packet::VIDEO_MULTITRACK,
            Self::Audio => packet::AUDIO_MULTITRACK,
        }
    }

    fn array<const N: usize>(self, rest: &mut Bytes) -> Result<[u8; N], Error> {
        let array = *rest.first_chunk().ok_or(Error::Short(self.name()))?;
        rest.advance(N);
        Ok(array)
    }

    fn split(self, rest: &mut Bytes, length: usize) -> Result<Bytes, Error> {
        if rest.len() < length {
            return Err(Error::Short(self.name()));
        }
        Ok(rest.split_to(length))
    }

    /// Reads one modifier and returns the packet type behind it. Modifiers not known here are passed over.
    fn modifier(self, rest: &mut Bytes, nanos: &mut u32) -> Result<u8, Error> {
        let [size] = self.array(rest)?;
        // A byte says 1 to 255; its largest value announces two bytes in its place.
        let size = if size == u8::MAX {
            usize::from(u16::from_be_bytes(self.array(rest)?)) + 1
        } else {
            usize::from(size) + 1
        };
        let data = self.split(rest, size)?;
        let [next] = self.array(rest)?;
        if next >> 4 == TIMESTAMP_OFFSET_NANO {
            let &[n0, n1, n2] = data.first_chunk().ok_or(Error::Short(self.name()))?;
            *nanos = u32::from_be_bytes([0, n0, n1, n2]).min(NANOS_MAX);
        }
        Ok(next & 0x0F)
    }
}

impl Tracks {
    /// ertmp, AvMultitrackType: one track, many of one codec, many of their own codecs.
    fn multitrack(&mut self) -> Result<(), Error> {
        let [byte] = self.medium.array(&mut self.rest)?;
        self.packet = byte & 0x0F;
        if self.packet == self.medium.multitrack() || self.packet == packet::MOD_EX {
            return Err(Error::Nested(self.medium.name()));
        }
        (self.layout, self.code) = match byte >> 4 {
            0 => (Layout::One, Some(self.medium.array(&mut self.rest)?)),
            1 => (Layout::Many, Some(self.medium.array(&mut self.rest)?)),
            2 => (Layout::Many, None),
            kind => (Layout::Reserved(kind), None),
        };
        Ok(())
    }

    fn track(&mut self) -> Result<Tag, Error> {
        let medium = self.medium;
        if let Layout::Reserved(kind) = self.layout {
            self.rest.clear();
            let what = format!("enhanced {} multitrack type {kind}", medium.name());
            return Ok(Tag::plain(Body::Ignored(what)));
        }
        let code = match self.code {
            Some(code) => code,
            None => medium.array(&mut self.rest)?,
        };
        let track = match self.layout {
            Layout::Plain | Layout::Reserved(_) => 0,
            Layout::One | Layout::Many => {
                let [track] = medium.array(&mut self.rest)?;
                track
            }
        };
        let data = match self.layout {
            Layout::Plain | Layout::One | Layout::Reserved(_) => std::mem::take(&mut self.rest),
            Layout::Many => {
                let [s0, s1, s2] = medium.array(&mut self.rest)?;
                let size = usize::from(s0) << 16 | usize::from(s1) << 8 | usize::from(s2);
                medium.split(&mut self.rest, size)?
            }
        };
        let body = match medium {
            Medium::Video { key } => video_body(self.packet, code, key, data)?,
            Medium::Audio => audio_body(self.packet, code, data)?,
        };
        Ok(Tag {
            track,
            nanos: self.nanos,
            body,
        })
    }
}

impl Iterator for Tracks {
    type Item = Result<Tag, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let track = self.track();
        self.ended = track.is_err() || self.rest.is_empty();
        Some(track)
    }
}

/// ertmp, ExVideoTagBody.
fn video_body(packet: u8, code: [u8; 4], key: bool, mut data: Bytes) -> Result<Body, Error> {
    // Colour comes with the bitstream too, and from there decoders take it.
    if matches!(packet, packet::VIDEO_METADATA | packet::SEQUENCE_END) {
        return Ok(Body::Empty);
    }
    let Some(codec) = VideoCodec::from_fourcc(code) else {
        return Ok(Body::Ignored(format!("enhanced video {}", printable(code))));
    };
    let composed = matches!(codec, VideoCodec::H264 | VideoCodec::Hevc);
    let composition_ms = match packet {
        packet::SEQUENCE_START if codec == VideoCodec::Vp9 && data.is_empty() => return Ok(Body::Empty),
        packet::SEQUENCE_START => return Body::video_config(codec, data),
        packet::CODED_FRAMES if composed => {
            let &[c0, c1, c2] = data.first_chunk().ok_or(Error::Short("video"))?;
            data.advance(3);
            i32::from_be_bytes([c0, c1, c2, 0]) >> 8
        }
        packet::CODED_FRAMES | packet::CODED_FRAMES_X => 0,
        packet::VIDEO_MPEG2TS_START => {
            let what = format!("enhanced video {} in MPEG-2 TS form", codec.fourcc());
            return Ok(Body::Ignored(what));
        }
        other => return Ok(Body::Ignored(format!("enhanced video packet type {other}"))),
    };
    Ok(if data.is_empty() {
        Body::Empty
    } else {
        Body::Video {
            codec,
            composition_ms,
            key,
            data,
        }
    })
}

/// ertmp, ExAudioTagBody.
fn audio_body(packet: u8, code: [u8; 4], data: Bytes) -> Result<Body, Error> {
    // Opus says in its own header where its channels go, and so does AAC.
    if matches!(packet, packet::AUDIO_MULTICHANNEL | packet::SEQUENCE_END) {
        return Ok(Body::Empty);
    }
    let Some(codec) = AudioCodec::from_fourcc(code) else {
        return Ok(Body::Ignored(format!("enhanced audio {}", printable(code))));
    };
    match packet {
        // Opus of one or two channels may begin without its header.
        packet::SEQUENCE_START if codec == AudioCodec::Opus && data.is_empty() => Ok(Body::Empty),
        packet::SEQUENCE_START => Body::audio_config(codec, data),
        packet::CODED_FRAMES if data.is_empty() => Ok(Body::Empty),
        packet::CODED_FRAMES => Ok(Body::Audio { codec, data }),
        other => Ok(Body::Ignored(format!("enhanced audio packet type {other}"))),
    }
}

#[cfg(test)]
mod tests;
