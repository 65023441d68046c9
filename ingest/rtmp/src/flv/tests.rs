use proptest::prelude::*;

use super::*;

const AVCC: &[u8] = &[1, 0x64, 0, 0x1F, 0xFF, 0xE1, 0, 2, 0x67, 0x64, 1, 0, 1, 0x68];

fn tag(header: &[u8], body: &[u8]) -> Bytes {
    [header, body].concat().into()
}

#[test]
fn avc_configuration() {
    let body = tag(&[0x17, 0, 0, 0, 0], AVCC);
    assert_eq!(video(body), Ok(Tag::VideoConfig(Bytes::from_static(AVCC))));
}

#[test]
fn malformed_avc_configurations_are_refused() {
    let mut cases: Vec<Vec<u8>> = (0..AVCC.len()).map(|end| AVCC[..end].to_vec()).collect();
    for (at, value) in [(0, 2), (4, 0xFE), (5, 0xE0), (7, 200), (10, 0)] {
        let mut case = AVCC.to_vec();
        case[at] = value;
        cases.push(case);
    }
    for case in cases {
        assert_eq!(
            video(tag(&[0x17, 0, 0, 0, 0], &case)),
            Err(Error::AvcConfig),
            "{case:02x?}"
        );
    }
}

#[test]
fn composition_time_is_signed() {
    for (bytes, composition_ms) in [
        ([0, 0, 66], 66),
        ([0xFF, 0xFF, 0xDF], -33),
        ([0x80, 0, 0], -8_388_608),
    ] {
        let [c0, c1, c2] = bytes;
        let expected = Tag::Video {
            composition_ms,
            key: false,
            data: Bytes::from_static(b"au"),
        };
        assert_eq!(video(tag(&[0x27, 1, c0, c1, c2], b"au")), Ok(expected));
    }
}

#[test]
fn key_frames_are_frame_type_1() {
    let Ok(Tag::Video { key, .. }) = video(tag(&[0x17, 1, 0, 0, 0], b"au")) else {
        panic!("not video")
    };
    assert!(key);
}

#[test]
fn aac() {
    assert_eq!(
        audio(tag(&[0xAF, 0], &[0x11, 0x90])),
        Ok(Tag::AudioConfig(Bytes::from_static(&[0x11, 0x90])))
    );
    assert_eq!(
        audio(tag(&[0xAF, 1], b"frame")),
        Ok(Tag::Audio(Bytes::from_static(b"frame")))
    );
    assert_eq!(audio(tag(&[0xAF, 0], &[0x11])), Err(Error::AudioConfig));
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
        assert_eq!(video(Bytes::from_static(body)), Ok(Tag::Empty));
    }
    for body in [&[][..], &[0xAF, 1]] {
        assert_eq!(audio(Bytes::from_static(body)), Ok(Tag::Empty));
    }
}

#[test]
fn other_codecs_are_named() {
    let video_name = |body: &[u8]| video(Bytes::copy_from_slice(body));
    let audio_name = |body: &[u8]| audio(Bytes::copy_from_slice(body));
    let ignored = |name: &str| Ok(Tag::Ignored(name.to_owned()));
    assert_eq!(video_name(b"\x12"), ignored("video H.263"));
    assert_eq!(video_name(b"\x1C"), ignored("video HEVC by codec id 12"));
    assert_eq!(video_name(b"\x90hvc1"), ignored("enhanced video hvc1"));
    assert_eq!(
        video_name(b"\x96\x01avc1"),
        ignored("enhanced video avc1 multitrack")
    );
    assert_eq!(video_name(b"\x97"), ignored("enhanced video with modifiers"));
    assert_eq!(video_name(b"\x90h\n"), ignored("enhanced video"));
    assert_eq!(video_name(b"\x90h\nc1"), ignored("enhanced video h?c1"));
    assert_eq!(audio_name(b"\x2F"), ignored("audio MP3"));
    assert_eq!(audio_name(b"\x90Opus"), ignored("enhanced audio Opus"));
    assert_eq!(
        audio_name(b"\x95\x01mp4a"),
        ignored("enhanced audio mp4a multitrack")
    );
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

proptest! {
    #[test]
    fn garbage_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _either = video(bytes.clone().into());
        let _either = audio(bytes.clone().into());
        prop_assert!(parts(bytes.into()).count() <= 5);
    }
}
