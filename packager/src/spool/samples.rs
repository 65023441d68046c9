//! Lives and cues for tests.

use ::bytes::Bytes;
use feed::message::PROTOCOL;
use feed::{Codec, Cue, Hello, Shape, Track, cue::Kind};
use hls::id::{Cell, Epoch, StreamId, TrackId};
use hls::path::Hash;
use hls::time::{FrameRate, Grid, Profile};

use super::entry::Life;

/// A ladder of one rung and sound, 30 frames a second, parts of 0.5 s.
pub(crate) fn life(first: Cell) -> Life {
    let track = |id: &str, codec| Track {
        id: TrackId::new(id).unwrap(),
        codec,
        average_bps: 1_000,
        peak_bps: 2_000,
        language: None,
        title: None,
    };
    let config = Bytes::from_static(&[1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 1, 0x67, 1, 0, 1, 0x68]);
    let video = Codec::H264 {
        config,
        width: 640,
        height: 360,
    };
    let audio = Codec::Aac {
        config: Bytes::from_static(&[0x11, 0x90]),
        channels: 2,
    };
    Life {
        hello: Hello {
            protocol: PROTOCOL,
            stream: StreamId::new("main").unwrap(),
            epoch: Epoch(first.0),
            discontinuity: 0,
            shape: Shape {
                grid: Grid::of(Profile::Low, FrameRate::new(30, 1).unwrap(), 48_000).unwrap(),
                tracks: vec![track("360p", video), track("audio", audio)],
                captions: Vec::new(),
            },
            mac: [0; 32],
        },
        first,
        after: None,
        discontinuity: 0,
        inits: vec![
            (Hash(1), Bytes::from_static(b"video")),
            (Hash(2), Bytes::from_static(b"audio")),
        ],
    }
}

/// A break that begins a segment into the stream of [`life`] at 160 million.
pub(crate) fn cue(id: &str) -> Cue {
    Cue {
        id: id.to_owned(),
        class: None,
        frame: 160_000_004 * 15,
        kind: Kind::Out,
        duration: None,
        section: Bytes::new(),
        trigger: None,
        attributes: Vec::new(),
    }
}
