//! Bytes of the feed: `u32 length, u8 kind, fields`, everything big-endian.

mod codec;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use hls::id::{Cell, Epoch, StreamId, TrackId};
use hls::time::{FrameRate, Grid};

use crate::cue;
use crate::message::{
    CAPTIONS_MAX, Captions, Hello, Message, Shape, Track, Unit, is_channel, is_jpeg, is_language, is_title,
};

/// Longest message, bytes: a key frame of a 100 Mb/s stream fits many times.
pub const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// Most tracks in one stream.
pub const TRACKS_MAX: usize = 64;

/// Why bytes are not a feed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The length field exceeds the bound.
    #[error("feed message of {0} bytes (at most {MESSAGE_BYTES_MAX})")]
    TooLong(usize),
    /// The fields do not fill the message, or overrun it.
    #[error("feed message of kind {0} is malformed")]
    Malformed(u8),
    /// A kind this version does not know.
    #[error("feed message of unknown kind {0}")]
    Kind(u8),
}

const CHALLENGE: u8 = 1;
const HELLO: u8 = 2;
const RESUME: u8 = 3;
const REFUSE: u8 = 4;
const UNIT: u8 = 5;
const WATERMARK: u8 = 6;
const GAP: u8 = 7;
const END: u8 = 8;
const CUE: u8 = 9;
const THUMBNAIL: u8 = 10;

/// Appends one message. A unit larger than [`MESSAGE_BYTES_MAX`] is refused by the peer's decoder.
pub fn encode(message: &Message, out: &mut BytesMut) {
    let start = out.len();
    out.put_u32(0);
    match message {
        Message::Challenge(nonce) => {
            out.put_u8(CHALLENGE);
            out.put_slice(nonce);
        }
        Message::Hello(hello) => {
            out.put_u8(HELLO);
            put_hello(hello, out);
        }
        Message::Resume(cell) => {
            out.put_u8(RESUME);
            out.put_u64(cell.0);
        }
        Message::Refuse(reason) => {
            out.put_u8(REFUSE);
            put_bytes(reason.as_bytes(), out);
        }
        Message::Unit(unit) => {
            out.put_u8(UNIT);
            out.put_u16(unit.track);
            out.put_u64(unit.time);
            out.put_u8(u8::from(unit.key));
            out.put_slice(&unit.data);
        }
        Message::Watermark { track, cell } => put_mark(WATERMARK, *track, *cell, out),
        Message::Gap { track, cell } => put_mark(GAP, *track, *cell, out),
        Message::End => out.put_u8(END),
        Message::Cue(cue) => {
            out.put_u8(CUE);
            cue::put(cue, out);
        }
        Message::Thumbnail { cell, jpeg } => {
            out.put_u8(THUMBNAIL);
            out.put_u64(cell.0);
            out.put_slice(jpeg);
        }
    }
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    if let Some(field) = out.get_mut(start..start + 4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

fn put_mark(kind: u8, track: u16, cell: Cell, out: &mut BytesMut) {
    out.put_u8(kind);
    out.put_u16(track);
    out.put_u64(cell.0);
}

pub(crate) fn put_bytes(bytes: &[u8], out: &mut BytesMut) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.put_u32(length);
    out.put_slice(bytes);
}

fn put_hello(hello: &Hello, out: &mut BytesMut) {
    out.put_u16(hello.protocol);
    put_bytes(hello.stream.as_str().as_bytes(), out);
    out.put_u64(hello.epoch.0);
    out.put_u64(hello.discontinuity);
    out.put_slice(&hello.mac);
    let grid = &hello.shape.grid;
    for n in [
        grid.rate().num(),
        grid.rate().den(),
        grid.audio_rate(),
        grid.part_frames(),
        grid.gop_parts(),
        grid.segment_gops(),
    ] {
        out.put_u32(n);
    }
    out.put_u16(u16::try_from(hello.shape.tracks.len()).unwrap_or(u16::MAX));
    for track in &hello.shape.tracks {
        put_bytes(track.id.as_str().as_bytes(), out);
        out.put_u64(track.average_bps);
        out.put_u64(track.peak_bps);
        codec::put(&track.codec, out);
        put_said(track.language.as_deref(), out);
        put_said(track.title.as_deref(), out);
    }
    out.put_u16(u16::try_from(hello.shape.captions.len()).unwrap_or(u16::MAX));
    for captions in &hello.shape.captions {
        put_bytes(captions.channel.as_bytes(), out);
        put_said(captions.language.as_deref(), out);
        put_said(captions.title.as_deref(), out);
    }
}

/// A text that may be absent.
pub(crate) fn put_said(text: Option<&str>, out: &mut BytesMut) {
    out.put_u8(u8::from(text.is_some()));
    if let Some(text) = text {
        put_bytes(text.as_bytes(), out);
    }
}

/// Turns bytes, in any portions, into messages.
#[derive(Debug, Default)]
pub struct Decoder {
    held: BytesMut,
}

impl Decoder {
    /// Takes what the socket gave. At most one message beyond what [`Decoder::next`] drains is held.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next whole message, if its bytes are here. After an error the connection is to be closed.
    #[expect(
        clippy::should_implement_trait,
        reason = "it fails, and an end of bytes is not an end of messages"
    )]
    pub fn next(&mut self) -> Result<Option<Message>, Error> {
        let Some(length) = self.held.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > MESSAGE_BYTES_MAX {
            return Err(Error::TooLong(length));
        }
        if self.held.len() < 4 + length {
            return Ok(None);
        }
        self.held.advance(4);
        let mut body = self.held.split_to(length).freeze();
        let kind = body.try_get_u8().map_err(|_| Error::Malformed(0))?;
        let message = read(kind, &mut body)?.ok_or(Error::Malformed(kind))?;
        if body.is_empty() {
            Ok(Some(message))
        } else {
            Err(Error::Malformed(kind))
        }
    }
}

/// `Ok(None)` where the fields end early or hold what no field may.
fn read(kind: u8, body: &mut Bytes) -> Result<Option<Message>, Error> {
    Ok(match kind {
        CHALLENGE => get_array(body).map(Message::Challenge),
        HELLO => get_hello(body).map(|hello| Message::Hello(Box::new(hello))),
        RESUME => body.try_get_u64().ok().map(|cell| Message::Resume(Cell(cell))),
        REFUSE => get_text(body).map(Message::Refuse),
        UNIT => get_unit(body).map(Message::Unit),
        WATERMARK => get_mark(body).map(|(track, cell)| Message::Watermark { track, cell }),
        GAP => get_mark(body).map(|(track, cell)| Message::Gap { track, cell }),
        END => Some(Message::End),
        CUE => cue::get(body).map(|cue| Message::Cue(Box::new(cue))),
        THUMBNAIL => get_thumbnail(body),
        other => return Err(Error::Kind(other)),
    })
}

fn get_array(body: &mut Bytes) -> Option<[u8; 32]> {
    let array = *body.first_chunk::<32>()?;
    body.advance(32);
    Some(array)
}

pub(crate) fn get_bytes(body: &mut Bytes) -> Option<Bytes> {
    let length = body.try_get_u32().ok()? as usize;
    (length <= body.len()).then(|| body.split_to(length))
}

pub(crate) fn get_text(body: &mut Bytes) -> Option<String> {
    String::from_utf8(get_bytes(body)?.to_vec()).ok()
}

pub(crate) fn get_flag(body: &mut Bytes) -> Option<bool> {
    match body.try_get_u8().ok()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn get_mark(body: &mut Bytes) -> Option<(u16, Cell)> {
    Some((body.try_get_u16().ok()?, Cell(body.try_get_u64().ok()?)))
}

fn get_unit(body: &mut Bytes) -> Option<Unit> {
    Some(Unit {
        track: body.try_get_u16().ok()?,
        time: body.try_get_u64().ok()?,
        key: get_flag(body)?,
        data: body.split_to(body.len()),
    })
}

fn get_thumbnail(body: &mut Bytes) -> Option<Message> {
    let cell = Cell(body.try_get_u64().ok()?);
    let jpeg = Some(body.split_to(body.len())).filter(|jpeg| is_jpeg(jpeg))?;
    Some(Message::Thumbnail { cell, jpeg })
}

fn get_hello(body: &mut Bytes) -> Option<Hello> {
    Some(Hello {
        protocol: body.try_get_u16().ok()?,
        stream: StreamId::new(&get_text(body)?).ok()?,
        epoch: Epoch(body.try_get_u64().ok()?),
        discontinuity: body.try_get_u64().ok()?,
        mac: get_array(body)?,
        shape: Shape {
            grid: get_grid(body)?,
            tracks: get_tracks(body)?,
            captions: get_captions(body)?,
        },
    })
}

fn get_grid(body: &mut Bytes) -> Option<Grid> {
    let mut n = || body.try_get_u32().ok();
    let rate = FrameRate::new(n()?, n()?).ok()?;
    Grid::new(rate, n()?, n()?, n()?, n()?).ok()
}

fn get_tracks(body: &mut Bytes) -> Option<Vec<Track>> {
    let count = usize::from(body.try_get_u16().ok()?);
    if count == 0 || count > TRACKS_MAX {
        return None;
    }
    (0..count).map(|_| get_track(body)).collect()
}

fn get_captions(body: &mut Bytes) -> Option<Vec<Captions>> {
    let count = usize::from(body.try_get_u16().ok()?);
    if count > CAPTIONS_MAX {
        return None;
    }
    let one = |_| {
        Some(Captions {
            channel: get_text(body).filter(|channel| is_channel(channel))?,
            language: get_said(body, is_language)?,
            title: get_said(body, is_title)?,
        })
    };
    (0..count).map(one).collect()
}

fn get_track(body: &mut Bytes) -> Option<Track> {
    let id = TrackId::new(&get_text(body)?).ok()?;
    let (average_bps, peak_bps) = (body.try_get_u64().ok()?, body.try_get_u64().ok()?);
    let codec = codec::get(body)?;
    Some(Track {
        id,
        codec,
        average_bps,
        peak_bps,
        language: get_said(body, is_language)?,
        title: get_said(body, is_title)?,
    })
}

/// A text that may be absent, but not bad. The outer `None` is a malformed message.
fn get_said(body: &mut Bytes, good: fn(&str) -> bool) -> Option<Option<String>> {
    if !get_flag(body)? {
        return Some(None);
    }
    get_text(body).filter(|text| good(text)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Codec, JPEG_BYTES_MAX};
    use hls::time::Profile;
    use proptest::prelude::*;

    fn hello() -> Message {
        let grid = Grid::of(Profile::Low, FrameRate::new(30_000, 1_001).unwrap(), 48_000).unwrap();
        let video = Codec::H264 {
            config: Bytes::from_static(&[1, 2, 3]),
            width: 640,
            height: 360,
        };
        let audio = Codec::Aac {
            config: Bytes::from_static(&[0x11, 0x90]),
            channels: 2,
        };
        let track = |id: &str, codec| Track {
            id: TrackId::new(id).unwrap(),
            codec,
            average_bps: 1_000,
            peak_bps: 2_000,
            language: None,
            title: None,
        };
        let spoken = Track {
            language: Some("pt-BR".to_owned()),
            title: Some("Coment\u{e1}rios".to_owned()),
            ..track("audio", audio)
        };
        Message::Hello(Box::new(Hello {
            protocol: crate::message::PROTOCOL,
            stream: StreamId::new("main").unwrap(),
            epoch: Epoch(7),
            discontinuity: 3,
            shape: Shape {
                grid,
                tracks: vec![track("360p", video), spoken],
                captions: vec![Captions {
                    channel: "CC1".to_owned(),
                    language: Some("en".to_owned()),
                    title: None,
                }],
            },
            mac: [9; 32],
        }))
    }

    fn messages() -> impl Strategy<Value = Message> {
        let unit = (
            any::<u16>(),
            any::<u64>(),
            any::<bool>(),
            prop::collection::vec(any::<u8>(), 0..64),
        );
        prop_oneof![
            Just(hello()),
            Just(Message::End),
            any::<[u8; 32]>().prop_map(Message::Challenge),
            any::<u64>().prop_map(|n| Message::Resume(Cell(n))),
            ".{0,20}".prop_map(Message::Refuse),
            (any::<u16>(), any::<u64>()).prop_map(|(track, n)| Message::Watermark { track, cell: Cell(n) }),
            (any::<u16>(), any::<u64>()).prop_map(|(track, n)| Message::Gap { track, cell: Cell(n) }),
            (any::<u64>(), 5usize..200).prop_map(|(n, length)| Message::Thumbnail {
                cell: Cell(n),
                jpeg: jpeg(length).into(),
            }),
            unit.prop_map(|(track, time, key, data)| {
                Message::Unit(Unit {
                    track,
                    time,
                    key,
                    data: data.into(),
                })
            }),
        ]
    }

    /// A JPEG by its markers, of this many bytes.
    fn jpeg(length: usize) -> Vec<u8> {
        let mut jpeg = vec![0; length];
        jpeg[..3].copy_from_slice(&[0xFF, 0xD8, 0xFF]);
        jpeg[length - 2..].copy_from_slice(&[0xFF, 0xD9]);
        jpeg
    }

    fn pictured(jpeg: Vec<u8>) -> (Message, Result<Option<Message>, Error>) {
        let sent = Message::Thumbnail {
            cell: Cell(7),
            jpeg: jpeg.into(),
        };
        let (mut bytes, mut decoder) = (BytesMut::new(), Decoder::default());
        encode(&sent, &mut bytes);
        decoder.push(&bytes);
        (sent, decoder.next())
    }

    #[test]
    fn a_picture_is_a_whole_jpeg_within_its_bound() {
        for length in [5, 20_000, JPEG_BYTES_MAX] {
            let (sent, got) = pictured(jpeg(length));
            assert_eq!(got, Ok(Some(sent)), "{length}");
        }
        let mut torn = jpeg(100);
        torn.pop();
        for bad in [Vec::new(), torn, vec![0; 100], jpeg(JPEG_BYTES_MAX + 1)] {
            assert_eq!(pictured(bad).1, Err(Error::Malformed(THUMBNAIL)));
        }
    }

    fn drain(decoder: &mut Decoder, into: &mut Vec<Message>) {
        while let Some(message) = decoder.next().unwrap() {
            into.push(message);
        }
    }

    #[test]
    fn an_absurd_length_is_refused_before_its_bytes_come() {
        let mut decoder = Decoder::default();
        decoder.push(&u32::MAX.to_be_bytes());
        assert_eq!(decoder.next(), Err(Error::TooLong(u32::MAX as usize)));
    }

    /// What the peer makes of a track that says this of itself.
    fn said(language: Option<&str>, title: Option<&str>) -> Result<Option<Message>, Error> {
        let Message::Hello(mut hello) = hello() else {
            unreachable!("it is a hello")
        };
        let track = hello.shape.tracks.last_mut().unwrap();
        track.language = language.map(str::to_owned);
        track.title = title.map(str::to_owned);
        let (sent, mut bytes) = (Message::Hello(hello), BytesMut::new());
        encode(&sent, &mut bytes);
        let mut decoder = Decoder::default();
        decoder.push(&bytes);
        let got = decoder.next();
        assert!(got.as_ref().is_ok_and(|got| *got == Some(sent)) || got == Err(Error::Malformed(HELLO)));
        got
    }

    #[test]
    fn what_may_not_stand_in_a_playlist_is_malformed() {
        let longest = ["a".repeat(400), "\u{e1}".repeat(200)];
        for title in ["A, B = c", longest[0].as_str(), longest[1].as_str()] {
            assert!(said(Some("zh-Hant-TW"), Some(title)).is_ok(), "{title}");
        }
        let long = "a".repeat(401);
        for title in ["", "a\"b", "a\nb", "a\u{7f}", "a\u{85}b", long.as_str()] {
            assert!(said(None, Some(title)).is_err(), "{title}");
        }
        for language in [
            "",
            "-",
            "en-",
            "e n",
            "languages-x",
            "\u{e9}n",
            "en\"",
            "aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaaaa",
        ] {
            assert!(said(Some(language), None).is_err(), "{language}");
        }
    }

    #[test]
    fn captions_name_a_channel_there_is() {
        for good in ["CC1", "CC4", "SERVICE1", "SERVICE63"] {
            assert!(is_channel(good), "{good}");
        }
        for bad in [
            "",
            "CC0",
            "CC5",
            "cc1",
            "SERVICE",
            "SERVICE0",
            "SERVICE01",
            "SERVICE+1",
            "SERVICE64",
        ] {
            assert!(!is_channel(bad), "{bad}");
            let Message::Hello(mut hello) = hello() else {
                unreachable!("it is a hello")
            };
            hello.shape.captions[0].channel = bad.to_owned();
            let (mut bytes, mut decoder) = (BytesMut::new(), Decoder::default());
            encode(&Message::Hello(hello), &mut bytes);
            decoder.push(&bytes);
            assert_eq!(decoder.next(), Err(Error::Malformed(HELLO)), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_messages(
            sent in prop::collection::vec(messages(), 1..8),
            step in 1usize..200,
        ) {
            let mut bytes = BytesMut::new();
            sent.iter().for_each(|message| encode(message, &mut bytes));
            let (mut decoder, mut got) = (Decoder::default(), Vec::new());
            for portion in bytes.chunks(step) {
                decoder.push(portion);
                drain(&mut decoder, &mut got);
            }
            prop_assert_eq!(sent, got);
        }

        #[test]
        fn garbage_is_an_error_or_nothing_but_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            for _ in 0..100 {
                if !matches!(decoder.next(), Ok(Some(_))) {
                    break;
                }
            }
        }

        #[test]
        fn a_damaged_hello_never_panics(at in 0usize..200, with in any::<u8>()) {
            let mut bytes = BytesMut::new();
            encode(&hello(), &mut bytes);
            let at = 4 + at % (bytes.len() - 4);
            bytes[at] = with;
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            let _outcome_only_must_not_panic = decoder.next();
        }
    }
}
