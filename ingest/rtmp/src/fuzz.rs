//! What every input must satisfy, one function for each reader of foreign bytes. Property tests run them here, and
//! `fuzz/` runs them under libFuzzer. They panic where it does not hold.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::amf::{self, Value};
use crate::chunk::{Message, Reader, Writer, kind};
use crate::command::{self, Command, Verb};
use crate::data::{self, Data};
use crate::flv::{self, Body, Tags};
use crate::handshake::{Handshake, PACKET_BYTES, RANDOM_BYTES};
use crate::{Error, Event, Limits, Session, cue, ertmp, metadata, peer, record};

/// Bounds small enough to be met.
const LIMITS_BYTES_MAX: usize = 4000;

/// A handshake takes its bytes once, answers once, and takes nothing after its end.
pub fn handshake(bytes: &[u8]) {
    let (mut handshake, mut output, mut input) = (Handshake::new([7; RANDOM_BYTES]), BytesMut::new(), bytes);
    let result = handshake.read(&mut input, &mut output);
    let taken = bytes.len() - input.len();
    assert!(taken <= 1 + 2 * PACKET_BYTES);
    assert!(output.is_empty() || output.len() == 1 + 2 * PACKET_BYTES);
    assert_eq!(result == Ok(true), taken == 1 + 2 * PACKET_BYTES);
}

/// Messages are the same however their bytes were split, and partial ones stay within the limit.
pub fn chunks(bytes: &[u8]) {
    let Some((&piece, bytes)) = bytes.split_first() else {
        return;
    };
    let read = |piece: usize| {
        let mut reader = Reader::new(LIMITS_BYTES_MAX, 4);
        let mut messages = Vec::new();
        for mut input in bytes.chunks(piece.max(1)) {
            loop {
                match reader.read(&mut input) {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(error) => return (messages, Some(error)),
                }
                assert!(reader.partial_bytes() <= LIMITS_BYTES_MAX);
            }
        }
        (messages, None)
    };
    let whole = read(bytes.len());
    assert_eq!(whole, read(piece.into()));
    assert!(
        whole
            .0
            .iter()
            .all(|message| message.payload.len() <= LIMITS_BYTES_MAX)
    );
}

/// What was read can be written, and reads back as the same; commands and data made of it stay within their bounds.
pub fn amf0(bytes: &[u8]) {
    let Ok(values) = amf::decode(bytes) else { return };
    messages(bytes);
    let mut written = BytesMut::new();
    amf::encode(&values, &mut written);
    // Text that was not UTF-8 grows by its replacement characters.
    if written.len() > amf::BYTES_MAX {
        return;
    }
    let again = amf::decode(&written).expect("what was written can be read");
    let mut rewritten = BytesMut::new();
    amf::encode(&again, &mut rewritten);
    assert_eq!(written, rewritten);
}

fn messages(bytes: &[u8]) {
    if let Ok(Command {
        verb: Verb::Connect { app, peer },
        ..
    }) = command::parse(bytes)
    {
        assert!(app.len() + peer.bytes() <= 2 * command::TEXT_BYTES_MAX + 128);
        assert!(peer.capabilities.codecs.len() <= peer::CODECS_MAX);
    }
    match data::parse(bytes) {
        Ok(Data::Metadata(metadata)) => {
            assert!(metadata.video_tracks.len() <= metadata::TRACKS_MAX);
            assert!(metadata.audio_tracks.len() <= metadata::TRACKS_MAX);
        }
        Ok(Data::Cue(cue)) => {
            assert!(cue.bytes() <= 3 * cue::TEXT_BYTES_MAX + cue::SECTION_BYTES_MAX);
        }
        Ok(Data::Other) | Err(_) => {}
    }
}

/// Tags, and the parts of an aggregate, hold no more than came.
pub fn flv(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    tags(flv::video(bytes.clone()), bytes.len());
    tags(flv::audio(bytes.clone()), bytes.len());
    let parts: usize = flv::parts(bytes.clone())
        .flatten()
        .map(|part| part.body.len() + 15)
        .sum();
    assert!(parts <= bytes.len());
}

/// As `flv`, for bytes that are always taken as extended headers.
pub fn ertmp(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else {
        return;
    };
    let video = Bytes::from([&[first | 0x80], rest].concat());
    let audio = Bytes::from([&[first & 0x0F | 0x90], rest].concat());
    tags(flv::video(video), bytes.len());
    tags(flv::audio(audio), bytes.len());
}

fn tags(tags: Tags, bytes_max: usize) {
    let (mut bytes, mut failed) = (0, false);
    for tag in tags {
        assert!(!failed, "nothing comes after an error");
        let Ok(tag) = tag else {
            failed = true;
            continue;
        };
        assert!(tag.nanos <= ertmp::NANOS_MAX);
        bytes += match tag.body {
            Body::VideoConfig { codec, config } => {
                assert!(record::video_is_sound(codec, &config));
                config.len()
            }
            Body::AudioConfig { codec, config } => {
                assert!(record::audio_is_sound(codec, &config));
                config.len()
            }
            Body::Video { data, .. } | Body::Audio { data, .. } => {
                assert!(!data.is_empty());
                data.len()
            }
            Body::Empty | Body::Ignored(_) => 0,
        };
    }
    assert!(bytes <= bytes_max);
}

/// A session stays within its limits, and its events are the same however the bytes were split. Of the input, the first
/// byte says how far the session is before the rest comes, the second how the rest is split.
pub fn session(now: Instant, bytes: &[u8]) {
    let &[stage, piece, ref bytes @ ..] = bytes else {
        return;
    };
    let (whole, whole_error) = run(now, stage, bytes.len(), bytes);
    let (split, split_error) = run(now, stage, piece.into(), bytes);
    let is_full = |error: &Option<Error>| {
        matches!(
            error,
            Some(Error::EventsFull(_) | Error::EventBytesFull | Error::OutputFull)
        )
    };
    // How full the queues become depends on how often they are drained.
    if !is_full(&whole_error) && !is_full(&split_error) {
        assert_eq!((whole, whole_error), (split, split_error));
    }
}

fn run(now: Instant, stage: u8, piece: usize, bytes: &[u8]) -> (Vec<Event>, Option<Error>) {
    let limits = Limits {
        message_bytes_max: LIMITS_BYTES_MAX,
        chunk_streams_max: 4,
        output_bytes_max: 8000,
        ..Limits::default()
    };
    let mut session = Session::new(now, [9; RANDOM_BYTES], limits);
    let before = before(stage % 4);
    session
        .handle(now, &before)
        .expect("the bytes before are those of a publisher");
    session.accept(now);
    let mut events = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        let result = session.handle(now, piece);
        assert!(session.is_within_limits());
        events.extend(std::iter::from_fn(|| session.poll_event()));
        session.poll_output();
        if let Err(error) = result {
            return (events, Some(error));
        }
    }
    (events, None)
}

/// What a publisher sends up to stage 0: nothing, 1: its handshake, 2: `connect`, 3: `publish`.
fn before(stage: u8) -> BytesMut {
    let (mut output, mut writer) = (BytesMut::new(), Writer::default());
    if stage > 0 {
        output.extend_from_slice(&[3]);
        output.extend_from_slice(&[0; 2 * PACKET_BYTES]);
    }
    let string = Value::string;
    let connect = Value::object([("app", string("live")), ("capsEx", Value::Number(15.0))]);
    let number = Value::Number;
    let calls = [
        (2, vec![string("connect"), number(1.0), connect]),
        (3, vec![string("createStream"), number(2.0), Value::Null]),
        (
            3,
            vec![string("publish"), number(3.0), Value::Null, string("key")],
        ),
    ];
    for (_, values) in calls.into_iter().filter(|(from, _)| stage >= *from) {
        let mut payload = BytesMut::new();
        amf::encode(&values, &mut payload);
        let message = Message {
            timestamp_ms: 0,
            kind: kind::COMMAND,
            stream: 1,
            payload: payload.freeze(),
        };
        writer.write(3, &message, &mut output);
    }
    output
}

#[cfg(test)]
mod tests;
