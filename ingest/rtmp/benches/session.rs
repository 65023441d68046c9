//! What a publisher costs: a second of 4 Mb/s through an accepted session, as the reads of a socket give it.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use rtmp::amf::{self, Value};
use rtmp::chunk::{Message, Writer, kind};
use rtmp::handshake::{PACKET_BYTES, RANDOM_BYTES};
use rtmp::{Event, Limits, Session};

/// What OBS sets.
const CHUNK_BYTES: u16 = 4_096;
const VIDEO_FRAMES: u32 = 30;
const VIDEO_BYTES: usize = 16_000;
/// 48 kHz in frames of 1024 samples, at 128 kb/s.
const AUDIO_FRAMES: u32 = 47;
const AUDIO_BYTES: usize = 341;

fn main() {
    divan::main();
}

/// The session is fed on and on. Events go as they come, so that it is measured and not the heap that keeps them.
#[divan::bench(args = [4 << 10, 64 << 10])]
fn publish(bencher: Bencher, piece: usize) {
    let now = now();
    let (mut session, mut writer) = accepted(now);
    let second = second(&mut writer);
    let media = feed(&mut session, now, &second, piece);
    assert_eq!(media, (VIDEO_FRAMES + AUDIO_FRAMES) as usize);
    bencher
        .counter(BytesCount::new(second.len()))
        .bench_local(|| feed(&mut session, now, black_box(&second), piece));
}

/// How many events the bytes gave.
fn feed(session: &mut Session, now: Instant, bytes: &[u8], piece: usize) -> usize {
    let mut events = 0;
    for read in bytes.chunks(piece) {
        session.handle(now, read).expect("the bytes are a sound publish");
        events += std::iter::from_fn(|| session.poll_event()).map(black_box).count();
        session.poll_output();
    }
    events
}

/// A session whose publish was accepted, and the publisher's side of it.
fn accepted(now: Instant) -> (Session, Writer) {
    let (mut bytes, mut writer) = (BytesMut::new(), Writer::default());
    bytes.extend_from_slice(&[3]);
    bytes.extend_from_slice(&[0; 2 * PACKET_BYTES]);
    writer.set_chunk_size(CHUNK_BYTES, &mut bytes);
    let window = Bytes::copy_from_slice(&2_500_000_u32.to_be_bytes());
    writer.write(2, &message(kind::WINDOW_ACK_SIZE, 0, 0, window), &mut bytes);
    let app = Value::object([("app", Value::string("live"))]);
    let name = Value::string;
    let calls = [
        (0, vec![name("connect"), Value::Number(1.0), app]),
        (0, vec![name("createStream"), Value::Number(2.0), Value::Null]),
        (
            1,
            vec![name("publish"), Value::Number(3.0), Value::Null, name("key")],
        ),
    ];
    for (stream, values) in calls {
        let mut payload = BytesMut::new();
        amf::encode(&values, &mut payload);
        let call = message(kind::COMMAND, 0, stream, payload.freeze());
        writer.write(3, &call, &mut bytes);
    }
    let mut session = Session::new(now, [9; RANDOM_BYTES], Limits::default());
    session
        .handle(now, &bytes)
        .expect("the commands are in their order");
    assert!(matches!(session.poll_event(), Some(Event::Publish { .. })));
    session.accept(now);
    session.poll_output();
    (session, writer)
}

/// Video and audio in the order of their time.
fn second(writer: &mut Writer) -> BytesMut {
    let video = Bytes::from([&[0x27, 1, 0, 0, 0][..], &[0xAB; VIDEO_BYTES]].concat());
    let audio = Bytes::from([&[0xAF, 1][..], &[0xCD; AUDIO_BYTES]].concat());
    let at = |index: u32, frames: u32| index * 1_000 / frames;
    let videos = (0..VIDEO_FRAMES).map(|n| message(kind::VIDEO, at(n, VIDEO_FRAMES), 1, video.clone()));
    let audios = (0..AUDIO_FRAMES).map(|n| message(kind::AUDIO, at(n, AUDIO_FRAMES), 1, audio.clone()));
    let mut messages: Vec<Message> = videos.chain(audios).collect();
    messages.sort_by_key(|message| message.timestamp_ms);
    let mut bytes = BytesMut::new();
    messages
        .iter()
        .for_each(|message| writer.write(4, message, &mut bytes));
    bytes
}

fn message(kind: u8, timestamp_ms: u32, stream: u32, payload: Bytes) -> Message {
    Message {
        timestamp_ms,
        kind,
        stream,
        payload,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an Instant can only be had from the clock; benches stay at this one"
)]
fn now() -> Instant {
    Instant::now()
}
