//! A feed with one video track at its own pace, of bytes that cost nobody anything to make.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use feed::message::PROTOCOL;
use feed::{Codec, Decoder, Hello, Message, Shape, Track, Unit, auth, encode};
use hls::id::{Cell, Epoch, StreamId, TrackId};
use hls::time::{FrameRate, Grid, Profile};

const FIRST: Cell = Cell(160_000_000);
/// A live window's worth is there at once.
const AHEAD: u64 = 64;

/// A real AVCDecoderConfigurationRecord of x264 (baseline, 64x64).
const AVCC: &[u8] = &[
    1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 0x17, 0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x04, 0x26, 0xc0, 0x44, 0, 0, 3,
    0, 4, 0, 0, 3, 0, 0xf0, 0x3c, 0x48, 0x99, 0x20, 1, 0, 5, 0x68, 0xcb, 0x83, 0xcb, 0x20,
];

/// Plays until the packager leaves.
pub(crate) fn play(packager: &str, secret: &[u8], profile: &str, part_kb: usize) {
    let profile = match profile {
        "low" => Profile::Low,
        "ultra" => Profile::Ultra,
        "wide" => Profile::Wide,
        other => panic!("no profile {other}"),
    };
    let grid = Grid::of(profile, FrameRate::new(30, 1).unwrap(), 48_000).unwrap();
    let mut feed = connect(packager, secret, grid);
    let payload = payload(part_kb * 1_000 / grid.part_frames() as usize);
    let begun = Instant::now();
    let mut cell = FIRST;
    loop {
        let played = u32::try_from((cell.0 - FIRST.0).saturating_sub(AHEAD)).unwrap();
        let due: Duration = grid.cell_duration() * played;
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        if feed.write_all(&of(grid, cell, &payload)).is_err() {
            return;
        }
        cell = cell.next();
    }
}

/// One coded slice that fills this many bytes with its length.
fn payload(bytes: usize) -> Bytes {
    let inner = bytes.saturating_sub(4).max(1);
    let mut all = u32::try_from(inner).unwrap().to_be_bytes().to_vec();
    all.push(0x65);
    // Nothing compresses it on the way.
    let mut state = 1_u32;
    all.extend((1..inner).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    }));
    all.into()
}

/// A cell and its watermark, as bytes.
fn of(grid: Grid, cell: Cell, payload: &Bytes) -> BytesMut {
    let mut out = BytesMut::new();
    let first = grid.first_frame(cell);
    for frame in first..grid.first_frame(cell.next()) {
        let unit = Unit {
            track: 0,
            time: frame,
            key: frame == first && (grid.starts_gop(cell) || cell == FIRST),
            data: payload.clone(),
        };
        encode(&Message::Unit(unit), &mut out);
    }
    encode(&Message::Watermark { track: 0, cell }, &mut out);
    out
}

fn connect(packager: &str, secret: &[u8], grid: Grid) -> TcpStream {
    let mut feed = TcpStream::connect(packager).expect("the packager listens");
    feed.set_nodelay(true).unwrap();
    let mut decoder = Decoder::default();
    let Message::Challenge(challenge) = receive(&mut feed, &mut decoder) else {
        panic!("no challenge")
    };
    let stream = StreamId::new("main").unwrap();
    let video = Track {
        id: TrackId::new("360p").unwrap(),
        codec: Codec::H264 {
            config: AVCC.into(),
            width: 64,
            height: 64,
        },
        average_bps: 2_400_000,
        peak_bps: 2_500_000,
        language: None,
        title: None,
    };
    let hello = Hello {
        protocol: PROTOCOL,
        mac: auth::mac(secret, &challenge, &stream),
        stream,
        epoch: Epoch(FIRST.0),
        discontinuity: 0,
        shape: Shape {
            grid,
            tracks: vec![video],
            captions: Vec::new(),
        },
    };
    let mut out = BytesMut::new();
    encode(&Message::Hello(Box::new(hello)), &mut out);
    feed.write_all(&out).unwrap();
    let wish = receive(&mut feed, &mut decoder);
    assert!(matches!(wish, Message::Resume(_)), "refused: {wish:?}");
    feed
}

fn receive(feed: &mut TcpStream, decoder: &mut Decoder) -> Message {
    loop {
        if let Some(message) = decoder.next().unwrap() {
            return message;
        }
        let mut buffer = [0; 1_024];
        let read = feed.read(&mut buffer).unwrap();
        assert!(read > 0, "the packager closed the feed");
        decoder.push(&buffer[..read]);
    }
}
