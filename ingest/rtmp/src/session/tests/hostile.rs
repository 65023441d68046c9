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

fn within_limits(session: &Session) -> bool {
    let (events, event_bytes) = session.events.held();
    let limits = &session.limits;
    // An output may pass its limit by the one answer that ends the session, and the acknowledgement.
    let output_max = limits.output_bytes_max + 1024;
    events <= EVENTS_MAX
        && event_bytes <= limits.message_bytes_max
        && session.reader.partial_bytes() <= limits.message_bytes_max
        && session.output.len() <= output_max
}

#[test]
fn chunk_sizes_zero_and_huge_end_the_session() {
    for size in [0, 0x7FFF_FFFF, 0x8000_0080] {
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
    assert!(within_limits(&in_many_reads));

    let mut in_one_read = session(true);
    assert_eq!(
        in_one_read.handle(base(), &ping.repeat(1000)),
        Err(Error::OutputFull)
    );
    assert!(within_limits(&in_one_read));
}

#[test]
fn events_nobody_polls_fill_their_queue() {
    let mut by_bytes = session(true);
    let body = [&[0x27, 1, 0, 0, 0][..], &[1; 995]].concat();
    let result = (0..9).try_for_each(|_| by_bytes.handle(base(), &Publisher::obs().video(&body)));
    assert_eq!(result, Err(Error::EventBytesFull));
    assert!(within_limits(&by_bytes));

    let mut by_count = Session::new(base(), [9; RANDOM_BYTES], Limits::default());
    by_count
        .handle(base(), &Publisher::obs().up_to_publish())
        .unwrap();
    by_count.accept(base());
    let frames = Publisher::obs().video(&[0x27, 1, 0, 0, 0, 1]).repeat(EVENTS_MAX);
    assert_eq!(by_count.handle(base(), &frames), Err(Error::EventsFull));
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
fn metadata_that_cannot_be_read_is_passed_over() {
    let mut session = session(true);
    while session.poll_event().is_some() {}
    session
        .handle(
            base(),
            &Publisher::obs().control(kind::DATA, &[3, 0, 1, b'a'].repeat(50)),
        )
        .unwrap();
    let what = "metadata: amf0 values nest deeper than 16".to_owned();
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
            prop_assert!(within_limits(&session));
            if failed {
                break;
            }
        }
    }

    #[test]
    fn garbage_before_the_handshake_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut session = Session::new(base(), [9; RANDOM_BYTES], small());
        let _either = session.handle(base(), &bytes);
        prop_assert!(within_limits(&session));
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
        prop_assert!(within_limits(&session));
    }
}
