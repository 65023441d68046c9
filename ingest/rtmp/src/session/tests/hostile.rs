//! Bytes no encoder sends.

use proptest::prelude::*;

use super::*;

fn small() -> Limits {
    Limits {
        message_bytes_max: 4000,
        chunk_streams_max: 4,
        output_bytes_max: 6000,
        ..Limits::default()
    }
}

/// A session of small limits, past the handshake or accepted.
fn session(accepted: bool) -> Session {
    let now = base();
    let mut session = Session::new(now, [9; RANDOM_BYTES], small());
    let bytes = if accepted {
        Publisher::obs().up_to_publish()
    } else {
        publisher::handshake()
    };
    session.handle(now, &bytes).unwrap();
    session.accept(now);
    session
}

#[test]
fn chunk_sizes_zero_and_negative_end_the_session() {
    for size in [0, 0x8000_0080] {
        let mut session = session(false);
        let bytes = Publisher::obs().control(kind::SET_CHUNK_SIZE, &u32::to_be_bytes(size));
        assert_eq!(
            session.handle(base(), &bytes),
            Err(Error::Chunk(chunk::Error::Size(size)))
        );
    }
}

#[test]
fn a_command_of_16_mb_ends_the_session_at_its_header() {
    let mut session = Session::new(base(), [9; RANDOM_BYTES], Limits::default());
    session.handle(base(), &publisher::handshake()).unwrap();
    let header = [3, 0, 0, 0, 0xFF, 0xFF, 0xFF, kind::COMMAND, 0, 0, 0, 0];
    let error = Error::Chunk(chunk::Error::MessageTooLong(0x00FF_FFFF));
    assert_eq!(session.handle(base(), &header), Err(error));
}

#[test]
fn a_peer_that_never_reads_fills_the_output() {
    let ping = Publisher::obs().ping();
    let mut in_many_reads = session(true);
    let result = (0..1000).try_for_each(|_| in_many_reads.handle(base(), &ping));
    assert_eq!(result, Err(Error::OutputFull));
    assert!(in_many_reads.is_within_limits());

    let mut in_one_read = session(true);
    assert_eq!(
        in_one_read.handle(base(), &ping.repeat(1000)),
        Err(Error::OutputFull)
    );
    assert!(in_one_read.is_within_limits());
}

#[test]
fn events_nobody_polls_fill_their_queue() {
    let mut by_bytes = session(true);
    let body = [&[0x27, 1, 0, 0, 0][..], &[1; 995]].concat();
    let result = (0..9).try_for_each(|_| by_bytes.handle(base(), &Publisher::obs().video(&body)));
    assert_eq!(result, Err(Error::EventBytesFull));
    assert!(by_bytes.is_within_limits());

    let mut by_count = Session::new(base(), [9; RANDOM_BYTES], Limits::default());
    by_count
        .handle(base(), &Publisher::obs().up_to_publish())
        .unwrap();
    by_count.accept(base());
    let frames = Publisher::obs().video(&[0x27, 1, 0, 0, 0, 1]).repeat(8192);
    assert_eq!(by_count.handle(base(), &frames), Err(Error::EventsFull(8192)));
}

#[test]
fn the_largest_chunk_size_is_taken() {
    let mut session = session(true);
    while session.poll_event().is_some() {}
    let bytes = Publisher::obs().control(kind::SET_CHUNK_SIZE, &u32::to_be_bytes(0x7FFF_FFFF));
    session.handle(base(), &bytes).unwrap();
    // One chunk of 3 kB, more than the sizes used so far.
    let header = [4, 0, 0, 0, 0, 0x0B, 0xB8 + 2, kind::AUDIO, 1, 0, 0, 0, 0xAF, 1];
    session.handle(base(), &header).unwrap();
    session.handle(base(), &[0xC4; 3000]).unwrap();
    let Some(Event::Audio { data, .. }) = session.poll_event() else {
        panic!("no audio")
    };
    assert_eq!(data, vec![0xC4; 3000]);
}

#[test]
fn a_few_bytes_do_not_keep_a_large_message_alive() {
    let mut session = Session::new(base(), [9; RANDOM_BYTES], Limits::default());
    session.handle(base(), &Publisher::obs().up_to_publish()).unwrap();
    session.accept(base());
    while session.poll_event().is_some() {}
    // A modifier nobody knows, of 60,000 bytes, before one byte of AV1.
    let mut body = vec![0x97, 0xFF];
    body.extend(59_999_u16.to_be_bytes());
    body.extend([0; 60_000]);
    body.extend([0x11]);
    body.extend(b"av01!");
    session.handle(base(), &Publisher::obs().video(&body)).unwrap();
    let Some(Event::Video { data, .. }) = session.poll_event() else {
        panic!("no video")
    };
    assert_eq!(data, "!");
    // Bytes of its own can be taken back as they are; a slice of a larger message cannot.
    assert_eq!(data.try_into_mut().map(|own| own.capacity()), Ok(1));
}

#[test]
fn texts_nobody_polls_fill_the_queue_as_media_do() {
    let cue = [
        Value::string("onSCTE35"),
        Value::String(format!("FC{}", "0".repeat(998))),
    ];
    let track = Value::object([("title", Value::String("x".repeat(100)))]);
    let tracks = Value::Object((1..9).map(|id| (id.to_string(), track.clone())).collect());
    let metadata = [
        Value::string("onMetaData"),
        Value::object([("audioTrackIdInfoMap", tracks)]),
    ];
    for message in [cue.as_slice(), &metadata] {
        let mut session = session(true);
        while session.poll_event().is_some() {}
        let bytes = Publisher::obs().data(0, message);
        assert_eq!(session.handle(base(), &bytes), Ok(()));
        let result = (0..9).try_for_each(|_| session.handle(base(), &bytes));
        assert_eq!(result, Err(Error::EventBytesFull));
        assert!(session.is_within_limits());
    }
}

#[test]
fn names_of_codecs_are_bounded() {
    let mut session = session(true);
    while session.poll_event().is_some() {}
    for code in 0..100 {
        session
            .handle(
                base(),
                &Publisher::obs().video(format!("\u{0}x{code:03}").as_bytes()),
            )
            .unwrap();
        let body = [&[0x90][..], format!("x{code:03}").as_bytes()].concat();
        session.handle(base(), &Publisher::obs().video(&body)).unwrap();
    }
    assert_eq!(std::iter::from_fn(|| session.poll_event()).count(), 16);
}

#[test]
fn data_that_cannot_be_read_is_passed_over() {
    let mut session = session(true);
    while session.poll_event().is_some() {}
    session
        .handle(
            base(),
            &Publisher::obs().control(kind::DATA, &[3, 0, 1, b'a'].repeat(50)),
        )
        .unwrap();
    let what = "data message: amf0 values nest deeper than 16".to_owned();
    assert_eq!(session.poll_event(), Some(Event::Unsupported { what }));
}

/// Garbage that is often close to a chunk stream.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let message = (
        2..7u8,
        prop_oneof![
            1..7u8,
            Just(8),
            Just(9),
            Just(15),
            Just(17),
            Just(18),
            Just(20),
            Just(22),
            any::<u8>()
        ],
        prop::collection::vec(prop_oneof![0..18u8, any::<u8>()], 0..120),
    )
        .prop_map(|(id, kind, body)| {
            let length = u8::try_from(body.len()).unwrap();
            [&[id, 0, 0, 0, 0, 0, length, kind, 1, 0, 0, 0], body.as_slice()].concat()
        });
    let noise = prop::collection::vec(any::<u8>(), 0..200);
    prop::collection::vec(prop_oneof![4 => message, 1 => noise], 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(sizes in prop::collection::vec(prop_oneof![1..40usize, 1..4000usize], 0..200)) {
        let (session, events, _) = run_whole(&Publisher::obs(), sizes.into_iter());
        prop_assert_eq!(&events[2..], publisher::media_events());
        prop_assert!(session.is_closed());
    }

    #[test]
    fn garbage_never_panics_nor_passes_the_limits(bytes in garbage(), accepted: bool, cut in 1..300usize) {
        let mut session = session(accepted);
        for piece in bytes.chunks(cut) {
            let failed = session.handle(base(), piece).is_err();
            prop_assert!(session.is_within_limits());
            if failed {
                break;
            }
        }
    }

    #[test]
    fn garbage_before_the_handshake_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut session = Session::new(base(), [9; RANDOM_BYTES], small());
        let _either = session.handle(base(), &bytes);
        prop_assert!(session.is_within_limits());
    }

    #[test]
    fn mutated_sessions_never_panic(changes in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>(), any::<u8>()), 1..12), cut in 1..5000usize) {
        let (mut before, mut after) = Publisher::obs().halves();
        let start = publisher::handshake().len();
        for (in_commands, at, value) in changes {
            let part: &mut [u8] = if in_commands { &mut before[start..] } else { &mut after[..] };
            let at = at.index(part.len());
            part[at] = value;
        }
        let (session, ..) = run([&before, &after], std::iter::repeat(cut));
        prop_assert!(session.is_within_limits());
    }
}
