use super::*;
use crate::flv;

const AVCC: &[u8] = &[1, 0x64, 0, 0x1F, 0xFF, 0xE1, 0, 2, 0x67, 0x64, 1, 0, 1, 0x68];
const AV1C: &[u8] = &[0x81, 0x05, 0x0C, 0x00];
const OPUS_HEAD: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xBB\0\0\0\0\0";

fn hvcc() -> Vec<u8> {
    let mut record = vec![1; 23];
    record[21] = 0x0F;
    record[22] = 0;
    record
}

fn video_tags(parts: &[&[u8]]) -> Result<Vec<Tag>, Error> {
    flv::video(parts.concat().into()).collect()
}

fn audio_tags(parts: &[&[u8]]) -> Result<Vec<Tag>, Error> {
    flv::audio(parts.concat().into()).collect()
}

fn plain(body: Body) -> Result<Vec<Tag>, Error> {
    Ok(vec![Tag::plain(body)])
}

fn unit(codec: VideoCodec, composition_ms: i32, key: bool, data: &[u8]) -> Body {
    Body::Video {
        codec,
        composition_ms,
        key,
        data: Bytes::copy_from_slice(data),
    }
}

fn frame(codec: AudioCodec, data: &[u8]) -> Body {
    Body::Audio {
        codec,
        data: Bytes::copy_from_slice(data),
    }
}

fn track(track: u8, body: Body) -> Tag {
    Tag {
        track,
        nanos: 0,
        body,
    }
}

#[test]
fn video_sequence_start() {
    let cases: [(&[u8], VideoCodec, &[u8]); 4] = [
        (b"\x90avc1", VideoCodec::H264, AVCC),
        (b"\x90hvc1", VideoCodec::Hevc, &hvcc()),
        (b"\x90av01", VideoCodec::Av1, AV1C),
        (b"\x90vp09", VideoCodec::Vp9, &[1, 0, 0, 0, 0, 31, 0x80]),
    ];
    for (head, codec, record) in cases {
        let config = Bytes::copy_from_slice(record);
        assert_eq!(
            video_tags(&[head, record]),
            plain(Body::VideoConfig { codec, config })
        );
        if codec != VideoCodec::Vp9 {
            let cut = video_tags(&[head, &record[..3]]);
            assert_eq!(cut, Err(Error::Config(codec.fourcc())));
        }
    }
    assert_eq!(video_tags(&[b"\x90vp09"]), plain(Body::Empty));
}

#[test]
fn composition_time_is_only_in_coded_frames_of_avc_and_hevc() {
    let cases: [(&[u8], VideoCodec, i32, &[u8]); 8] = [
        (b"\x91avc1\0\0\x50", VideoCodec::H264, 80, b"unit"),
        (b"\x91hvc1\xFF\xFF\xDF", VideoCodec::Hevc, -33, b"unit"),
        (b"\x93avc1", VideoCodec::H264, 0, b"unit"),
        (b"\x93hvc1", VideoCodec::Hevc, 0, b"unit"),
        (b"\x91av01", VideoCodec::Av1, 0, b"unit"),
        (b"\x91vp09", VideoCodec::Vp9, 0, b"unit"),
        (b"\x93av01", VideoCodec::Av1, 0, b"unit"),
        (b"\x93vp09", VideoCodec::Vp9, 0, b"unit"),
    ];
    for (head, codec, composition_ms, data) in cases {
        let expected = plain(unit(codec, composition_ms, true, data));
        assert_eq!(video_tags(&[head, data]), expected);
        let inter = [&[head[0] ^ 0x30], &head[1..]].concat();
        let expected = plain(unit(codec, composition_ms, false, data));
        assert_eq!(video_tags(&[&inter, data]), expected);
        assert_eq!(video_tags(&[head]), plain(Body::Empty), "no unit");
    }
    assert_eq!(video_tags(&[b"\x91avc1\0\0"]), Err(Error::Short("video")));
}

#[test]
fn video_without_media() {
    for body in [
        &b"\x92av01"[..],
        b"\x92xxxx",
        b"\x94hvc1\x02\0\x09colorInfo\x06",
        b"\xD4hvc1\x02\0\x09colorInfo\x06",
    ] {
        assert_eq!(video_tags(&[body]), plain(Body::Empty));
    }
    // A seek command has no FourCC behind it.
    assert_eq!(video_tags(&[b"\xD1\0"]), Ok(vec![]));
    assert_eq!(video_tags(&[b"\xD7\0\0\x11\0"]), Ok(vec![]));
}

#[test]
fn audio_packets() {
    let asc = Bytes::from_static(&[0x11, 0x90]);
    let head = Bytes::from_static(OPUS_HEAD);
    let aac = AudioCodec::Aac;
    let opus = AudioCodec::Opus;
    let cases: [(&[&[u8]], Body); 9] = [
        (
            &[b"\x90mp4a", &asc],
            Body::AudioConfig {
                codec: aac,
                config: asc.clone(),
            },
        ),
        (
            &[b"\x90Opus", &head],
            Body::AudioConfig {
                codec: opus,
                config: head.clone(),
            },
        ),
        (&[b"\x90Opus"], Body::Empty),
        (&[b"\x91mp4aframe"], frame(aac, b"frame")),
        (&[b"\x91Opusframe"], frame(opus, b"frame")),
        (&[b"\x91Opus"], Body::Empty),
        (&[b"\x92Opus"], Body::Empty),
        (&[b"\x94Opus\x01\x02\0\0\0\x03"], Body::Empty),
        (&[b"\x92xxxx"], Body::Empty),
    ];
    for (parts, body) in cases {
        assert_eq!(audio_tags(parts), plain(body), "{parts:02x?}");
    }
    assert_eq!(audio_tags(&[b"\x90mp4a\x11"]), Err(Error::Config("mp4a")));
    assert_eq!(audio_tags(&[b"\x90mp4a"]), Err(Error::Config("mp4a")));
    assert_eq!(audio_tags(&[b"\x90OpusOpusTags"]), Err(Error::Config("Opus")));
}

#[test]
fn what_is_not_taken_is_named() {
    let cases: [(&[u8], &str); 11] = [
        (b"\x90vp08", "enhanced video vp08"),
        (b"\x91vvc1", "enhanced video vvc1"),
        (b"\x90h\nc1", "enhanced video h?c1"),
        (b"\x95av01\x80", "enhanced video av01 in MPEG-2 TS form"),
        (b"\x98av01", "enhanced video packet type 8"),
        (b"\x96\x31av01\x01", "enhanced video multitrack type 3"),
        (b"\x96\x01vp08\x01", "enhanced video vp08"),
        (b"\x90ac-3", "enhanced audio ac-3"),
        (b"\x91.mp3", "enhanced audio .mp3"),
        (b"\x93Opus", "enhanced audio packet type 3"),
        (b"\x95\xF1Opus\x01", "enhanced audio multitrack type 15"),
    ];
    for (body, name) in cases {
        let tags = if name.contains("video") {
            video_tags(&[body])
        } else {
            audio_tags(&[body])
        };
        let bodies: Vec<_> = tags.unwrap().into_iter().map(|tag| tag.body).collect();
        assert_eq!(bodies, [Body::Ignored(name.to_owned())]);
    }
}

#[test]
fn one_track_takes_the_rest() {
    let expected = vec![track(1, unit(VideoCodec::H264, 80, true, b"unit"))];
    assert_eq!(video_tags(&[b"\x96\x01avc1\x01\0\0\x50unit"]), Ok(expected));
    let expected = vec![track(255, frame(AudioCodec::Opus, b"frame"))];
    assert_eq!(audio_tags(&[b"\x95\x01Opus\xFFframe"]), Ok(expected));
}

#[test]
fn many_tracks_of_one_codec() {
    let expected = vec![
        track(0, unit(VideoCodec::Hevc, 1, false, b"ab")),
        track(2, Body::Empty),
        track(1, unit(VideoCodec::Hevc, -1, false, b"c")),
    ];
    let body = b"\xA6\x11hvc1\x00\0\0\x05\0\0\x01ab\x02\0\0\x03\0\0\0\x01\0\0\x04\xFF\xFF\xFFc";
    assert_eq!(video_tags(&[body]), Ok(expected));
    let expected = vec![
        track(0, frame(AudioCodec::Aac, b"ab")),
        track(1, frame(AudioCodec::Aac, b"c")),
    ];
    assert_eq!(
        audio_tags(&[b"\x95\x11mp4a\x00\0\0\x02ab\x01\0\0\x01c"]),
        Ok(expected)
    );
}

#[test]
fn many_tracks_of_their_own_codecs() {
    let expected = vec![
        track(0, unit(VideoCodec::H264, 5, true, b"a")),
        track(3, Body::Ignored("enhanced video vp08".into())),
        track(1, unit(VideoCodec::Av1, 0, true, b"bc")),
    ];
    let body = b"\x96\x21avc1\x00\0\0\x04\0\0\x05avp08\x03\0\0\x01xav01\x01\0\0\x02bc";
    assert_eq!(video_tags(&[body]), Ok(expected));
    let config = Bytes::from_static(&[0x11, 0x90]);
    let expected = vec![
        track(
            0,
            Body::AudioConfig {
                codec: AudioCodec::Aac,
                config,
            },
        ),
        track(1, Body::Empty),
    ];
    assert_eq!(
        audio_tags(&[b"\x95\x20mp4a\x00\0\0\x02\x11\x90Opus\x01\0\0\0"]),
        Ok(expected)
    );
}

#[test]
fn sizes_of_tracks_are_checked() {
    for body in [
        &b"\x96\x13hvc1\x00\0\0\x03ab"[..],
        b"\x96\x13hvc1\x00\xFF\xFF\xFFab",
        b"\x96\x13hvc1\x00\0\0",
        b"\x96\x13hvc1",
        b"\x96\x03hvc1",
        b"\x96\x03hvc",
        b"\x96",
        b"\x90",
        b"\x90hvc",
    ] {
        assert_eq!(video_tags(&[body]), Err(Error::Short("video")), "{body:02x?}");
    }
    let mut tags = flv::video(Bytes::from_static(b"\x96\x13hvc1\x00\0\0\x01a\x01\0\0\x09b"));
    let first = track(0, unit(VideoCodec::Hevc, 0, true, b"a"));
    assert_eq!(tags.next(), Some(Ok(first)), "tracks before the wrong one go on");
    assert_eq!(tags.next(), Some(Err(Error::Short("video"))));
    assert_eq!(tags.next(), None);
}

#[test]
fn tracks_inside_tracks_are_refused() {
    for body in [b"\x96\x06avc1\x01", b"\x96\x17avc1\x01", b"\x96\x26avc1\x01"] {
        assert_eq!(video_tags(&[body]), Err(Error::Nested("video")));
    }
    for body in [b"\x95\x05Opus\x01", b"\x95\x07Opus\x01"] {
        assert_eq!(audio_tags(&[body]), Err(Error::Nested("audio")));
    }
}

#[test]
fn modifiers() {
    let nanos = |parts: &[&[u8]]| {
        let tags = video_tags(parts).unwrap();
        assert_eq!(tags.len(), 1);
        assert_eq!(tags[0].body, unit(VideoCodec::Av1, 0, true, b"unit"));
        tags[0].nanos
    };
    assert_eq!(nanos(&[b"\x97\x02\x0F\x42\x3F\x01av01unit"]), 999_999);
    assert_eq!(
        nanos(&[b"\x97\x02\x0F\x42\x40\x01av01unit"]),
        999_999,
        "a whole millisecond"
    );
    assert_eq!(
        nanos(&[b"\x97\x03\0\0\x07\xFF\x01av01unit"]),
        7,
        "the first three bytes"
    );
    assert_eq!(nanos(&[b"\x97\x00x\x11av01unit"]), 0, "of another type");
    assert_eq!(
        nanos(&[b"\x97\x00x\x17\x02\0\0\x09\x07\x00y\xF1av01unit"]),
        9,
        "in a chain"
    );
    let long = [0; 256];
    assert_eq!(nanos(&[b"\x97\xFF\x00\xFF", &long, b"\x01av01unit"]), 0);
    let longest = [0; 65_536];
    assert_eq!(nanos(&[b"\x97\xFF\xFF\xFF", &longest, b"\x01av01unit"]), 0);

    let tags = audio_tags(&[b"\x97\x02\0\0\x05\x05\x11Opus\x00\0\0\x01a\x01\0\0\x01b"]).unwrap();
    let seen: Vec<_> = tags.iter().map(|tag| (tag.track, tag.nanos)).collect();
    assert_eq!(seen, [(0, 5), (1, 5)], "a modifier holds for all tracks");
}

#[test]
fn malformed_modifiers_are_refused() {
    for body in [
        &b"\x97"[..],
        b"\x97\x02",
        b"\x97\x02\0\0",
        b"\x97\x02\0\0\x01",
        b"\x97\xFF\0",
        b"\x97\xFF\xFF\xFF",
        b"\x97\x01\0\0\x01av01unit",
    ] {
        assert_eq!(video_tags(&[body]), Err(Error::Short("video")), "{body:02x?}");
    }
    let chain = |count: usize| {
        let modifiers = [b"\x00x\x17".repeat(count - 1), b"\x00x\x11".to_vec()].concat();
        video_tags(&[b"\x97", &modifiers, b"av01unit"])
    };
    assert!(chain(MODIFIERS_MAX).is_ok());
    assert_eq!(chain(MODIFIERS_MAX + 1), Err(Error::Modifiers));
}
