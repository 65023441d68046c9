use proptest::prelude::*;

use super::*;

/// Bytes that are small numbers more often than not, as those of headers and lengths are.
fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![2 => 0..18u8, 1 => any::<u8>()], 0..most)
}

#[expect(
    clippy::disallowed_methods,
    reason = "an instant cannot be written literally; sessions here stay at this one"
)]
fn now() -> Instant {
    Instant::now()
}

/// Tags of every kind that is taken: kind of message, body.
fn tags() -> Vec<(u8, Vec<u8>)> {
    let many = |head: &[u8], tracks: &[&[u8]]| {
        let tracks = tracks.iter().enumerate().flat_map(|(track, body)| {
            let (id, size) = (u8::try_from(track).unwrap(), u8::try_from(body.len()).unwrap());
            [&[id, 0, 0, size], *body].concat()
        });
        [head, &tracks.collect::<Vec<_>>()].concat()
    };
    let opus = b"\x90OpusOpusHead\x01\x02\x38\x01\x80\xBB\0\0\0\0\0".to_vec();
    let avcc = b"\x17\0\0\0\0\x01\x64\0\x1F\xFF\xE1\0\x02\x67\x64\x01\0\x01\x68".to_vec();
    let aggregate =
        b"\x09\0\0\x06\0\0\0\0\0\0\0\x27\x01\0\0\0u\0\0\0\x11\x08\0\0\x03\0\0\x05\0\0\0\0\xAF\x01f\0\0\0\x0E";
    let cue = b"\x02\0\x0AonCuePoint\x03\0\x04name\x02\0\x01x\0\x04time\0\x40\0\0\0\0\0\0\0\0\0\x09";
    vec![
        (9, avcc),
        (9, b"\x27\x01\0\0\x50unit".to_vec()),
        (8, b"\xAF\0\x11\x90".to_vec()),
        (8, b"\xAF\x01frame".to_vec()),
        (22, aggregate.to_vec()),
        (18, cue.to_vec()),
        (9, b"\x90av01\x81\x05\x0C\x00".to_vec()),
        (9, b"\x91hvc1\0\0\x50unit".to_vec()),
        (9, b"\x93avc1unit".to_vec()),
        (9, b"\xA1vp09frame".to_vec()),
        (9, b"\x94hvc1\x02\0\x09colorInfo\x06".to_vec()),
        (9, b"\x97\x02\x0F\x42\x3F\x01av01unit".to_vec()),
        (9, b"\x97\xFF\0\x01ab\x17\x02\0\0\x05\x03hvc1unit".to_vec()),
        (9, b"\x96\x01avc1\x01\0\0\x50unit".to_vec()),
        (9, many(b"\x96\x13hvc1", &[b"unit", b"other unit"])),
        (9, b"\x96\x21av01\0\0\0\x02abvp09\x01\0\0\x01c".to_vec()),
        (8, opus),
        (8, b"\x91mp4aframe".to_vec()),
        (8, b"\x94Opus\x01\x02\0\0\0\x03".to_vec()),
        (8, many(b"\x95\x10mp4a", &[&[0x11, 0x90], &[0x12, 0x10]])),
        (8, b"\x95\x21Opus\0\0\0\x01ampfa\x01\0\0\0".to_vec()),
    ]
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).unwrap();
    [&[4, 0, 0, 0, 0, 0, length, kind, 1, 0, 0, 0], body].concat()
}

#[test]
fn tags_cut_anywhere_never_panic() {
    for (kind, body) in tags() {
        for end in 0..=body.len() {
            flv(&body[..end]);
            amf0(&body[..end]);
            let bytes = [&[3, 5], message(kind, &body[..end]).as_slice()].concat();
            session(now(), &bytes);
        }
    }
}

#[test]
fn tags_of_every_kind_give_an_event() {
    for (kind, body) in tags() {
        let (events, error) = run(now(), 3, usize::MAX, &message(kind, &body));
        assert_eq!(error, None, "{body:02x?}");
        // Colour, channel maps and silence are what has nothing to tell.
        let is_silent = matches!(body[..], [0x94, ..]);
        assert_eq!(events.len() > 1, !is_silent, "{body:02x?}: {events:?}");
    }
}

#[test]
fn tags_with_any_one_byte_changed_never_panic() {
    for (_, body) in tags() {
        for at in 0..body.len() {
            for value in [
                0,
                1,
                0x7F,
                0x80,
                0xFE,
                0xFF,
                body[at] ^ 1,
                body[at].wrapping_add(1),
            ] {
                let mut body = body.clone();
                body[at] = value;
                flv(&body);
                ertmp(&body);
                amf0(&body);
            }
        }
    }
}

proptest! {
    #[test]
    fn handshake_holds(bytes in prop::collection::vec(any::<u8>(), 0..4000), version in prop_oneof![Just(3), any::<u8>()]) {
        handshake(&[&[version], bytes.as_slice()].concat());
    }

    #[test]
    fn chunks_hold(bytes in bytes(400)) {
        chunks(&bytes);
    }

    #[test]
    fn amf0_holds(bytes in bytes(200)) {
        amf0(&bytes);
    }

    #[test]
    fn flv_holds(bytes in bytes(100)) {
        flv(&bytes);
    }

    #[test]
    fn ertmp_holds(
        seed in prop::sample::select(tags()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        tail in bytes(20),
    ) {
        let mut bytes = seed.1;
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.extend(tail);
        ertmp(&bytes);
    }

    #[test]
    fn session_holds(
        stage: u8,
        piece in 1..60u8,
        messages in prop::collection::vec(
            prop_oneof![
                2 => prop::sample::select(tags()).prop_map(|(kind, body)| message(kind, &body)),
                2 => (prop_oneof![1..7u8, Just(8), Just(9), Just(17), Just(18), Just(20), Just(22)], bytes(100))
                    .prop_map(|(kind, body)| message(kind, &body)),
                1 => bytes(60),
            ],
            0..12,
        ),
    ) {
        session(now(), &[&[stage, piece], messages.concat().as_slice()].concat());
    }
}
