use super::*;

const AVCC: &[u8] = &[1, 0x64, 0, 0x1F, 0xFF, 0xE1, 0, 2, 0x67, 0x64, 1, 0, 1, 0x68];

fn tag(header: &[u8], body: &[u8]) -> Bytes {
    [header, body].concat().into()
}

/// The one tag of a message without an extended header.
fn one(mut tags: Tags) -> Result<Body, Error> {
    let tag = tags.next().unwrap();
    assert_eq!(tags.next(), None);
    tag.map(|tag| {
        assert_eq!((tag.track, tag.nanos), (0, 0));
        tag.body
    })
}

fn video(body: Bytes) -> Result<Body, Error> {
    one(super::video(body))
}

fn audio(body: Bytes) -> Result<Body, Error> {
    one(super::audio(body))
}

#[test]
fn avc_configuration() {
    let body = tag(&[0x17, 0, 0, 0, 0], AVCC);
    assert_eq!(
        video(body),
        Ok(Body::VideoConfig {
            codec: VideoCodec::H264,
            config: Bytes::from_static(AVCC)
        })
    );
}

#[test]
fn malformed_configurations_are_refused() {
    let body = tag(&[0x17, 0, 0, 0, 0], &AVCC[..12]);
    assert_eq!(video(body), Err(Error::Config("avc1")));
}

#[test]
fn composition_time_is_signed() {
    for (bytes, composition_ms) in [
        ([0, 0, 66], 66),
        ([0xFF, 0xFF, 0xDF], -33),
        ([0x80, 0, 0], -8_388_608),
    ] {
        let [c0, c1, c2] = bytes;
        let expected = Body::Video {
            codec: VideoCodec::H264,
            composition_ms,
            key: false,
            data: Bytes::from_static(b"au"),
        };
        assert_eq!(video(tag(&[0x27, 1, c0, c1, c2], b"au")), Ok(expected));
    }
}

#[test]
fn key_frames_are_frame_type_1() {
    let Ok(Body::Video { key, .. }) = video(tag(&[0x17, 1, 0, 0, 0], b"au")) else {
        panic!("not video")
    };
    assert!(key);
}

#[test]
fn aac() {
    assert_eq!(
        audio(tag(&[0xAF, 0], &[0x11, 0x90])),
        Ok(Body::AudioConfig {
            codec: AudioCodec::Aac,
            config: Bytes::from_static(&[0x11, 0x90])
        })
    );
    assert_eq!(
        audio(tag(&[0xAF, 1], b"frame")),
        Ok(Body::Audio {
            codec: AudioCodec::Aac,
            data: Bytes::from_static(b"frame")
        })
    );
    assert_eq!(audio(tag(&[0xAF, 0], &[0x11])), Err(Error::Config("mp4a")));
    assert_eq!(
        audio(tag(&[0xAF, 9], &[])),
        Err(Error::Packet {
            codec: "aac",
            packet: 9
        })
    );
    assert_eq!(audio(tag(&[0xAF], &[])), Err(Error::Short("audio")));
}

#[test]
fn nothing_to_decode() {
    for body in [&[][..], &[0x17, 2, 0, 0, 0], &[0x57, 0], &[0x27, 1, 0, 0, 0]] {
        assert_eq!(video(Bytes::from_static(body)), Ok(Body::Empty));
    }
    for body in [&[][..], &[0xAF, 1]] {
        assert_eq!(audio(Bytes::from_static(body)), Ok(Body::Empty));
    }
}

#[test]
fn other_codecs_are_named() {
    let video_name = |body: &[u8]| video(Bytes::copy_from_slice(body));
    let audio_name = |body: &[u8]| audio(Bytes::copy_from_slice(body));
    let ignored = |name: &str| Ok(Body::Ignored(name.to_owned()));
    assert_eq!(video_name(b"\x12"), ignored("video H.263"));
    assert_eq!(video_name(b"\x1C"), ignored("video HEVC by codec id 12"));
    assert_eq!(audio_name(b"\x2F"), ignored("audio MP3"));
}

#[test]
fn an_aggregate_counts_time_from_its_first_tag() {
    let one = |kind: u8, t: [u8; 4], body: &[u8]| {
        let length = u8::try_from(body.len()).unwrap();
        [
            &[kind, 0, 0, length, t[0], t[1], t[2], t[3], 0, 0, 0],
            body,
            &[0, 0, 0, length + 11],
        ]
        .concat()
    };
    let bytes = [one(9, [0xFF, 0xFF, 0xFF, 0], b"v"), one(8, [0, 0, 20, 1], b"aa")].concat();
    let got: Vec<_> = parts(bytes.clone().into()).map(Result::unwrap).collect();
    let expected = [
        Part {
            kind: 9,
            offset_ms: 0,
            body: Bytes::from_static(b"v"),
        },
        Part {
            kind: 8,
            offset_ms: 21,
            body: Bytes::from_static(b"aa"),
        },
    ];
    assert_eq!(got, expected);
    let cut: Vec<_> = parts(Bytes::from(bytes).slice(..20)).collect();
    assert_eq!(cut[1..], [Err(Error::Short("aggregate"))]);
}
