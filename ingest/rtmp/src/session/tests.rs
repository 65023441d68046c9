mod extensions;
mod hostile;
mod publisher;

use std::time::Duration;

use publisher::{Publisher, base, onwards, status};

use super::control::OUTPUT_CHUNK_BYTES;
use super::*;
use crate::amf::{self, Value};
use crate::{AudioCodec, VideoCodec, handshake};

const SECOND: Duration = Duration::from_secs(1);

/// Feeds the bytes before and after the server's answer in pieces of the given sizes, and collects what comes out.
/// No piece reaches across that point: a publisher waits for the answer.
fn run(
    halves: [&[u8]; 2],
    sizes: impl Iterator<Item = usize>,
) -> (Session, Vec<Event>, Vec<u8>, Result<(), Error>) {
    let now = base();
    let mut session = Session::new(now, [9; RANDOM_BYTES], Limits::default());
    let (mut events, mut output, mut result) = (Vec::new(), Vec::new(), Ok(()));
    let mut sizes = sizes.chain(std::iter::repeat(usize::MAX));
    for mut rest in halves {
        while !rest.is_empty() && result.is_ok() {
            let size = sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len());
            result = session.handle(now, handshake::take(&mut rest, size));
            events.extend(std::iter::from_fn(|| session.poll_event()));
            output.extend(session.poll_output().into_iter().flatten());
        }
        session.accept(now);
    }
    output.extend(session.poll_output().into_iter().flatten());
    (session, events, output, result)
}

fn run_whole(publisher: &Publisher, sizes: impl Iterator<Item = usize>) -> (Session, Vec<Event>, Vec<u8>) {
    let (before, after) = publisher.halves();
    let (session, events, output, result) = run([&before, &after], sizes);
    assert_eq!(result, Ok(()));
    (session, events, output)
}

fn published(now: Instant) -> Session {
    let mut session = Session::new(now, [9; RANDOM_BYTES], Limits::default());
    session.handle(now, &Publisher::obs().up_to_publish()).unwrap();
    session
}

fn accepted(now: Instant) -> Session {
    let mut session = published(now);
    session.accept(now);
    while session.poll_event().is_some() {}
    while session.poll_output().is_some() {}
    session
}

#[test]
fn a_whole_publish_gives_its_events() {
    let (session, events, output) = run_whole(&Publisher::obs(), std::iter::empty());
    let Event::Publish { app, key, peer } = &events[0] else {
        panic!("{events:?}")
    };
    assert_eq!((app.as_str(), key.expose()), ("live", "secret?bitrate=1"));
    assert_eq!(peer.tc_url.as_deref(), Some("rtmp://127.0.0.1:1935/live"));
    assert_eq!(peer.encoder.as_deref(), Some("FMLE/3.0 (compatible; FMSc/1.0)"));
    assert_eq!(peer.capabilities, crate::Capabilities::default());
    let Event::Metadata(metadata) = &events[1] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (metadata.width, metadata.encoder.as_deref()),
        (Some(640), Some("obs-output module (libobs)"))
    );
    assert_eq!(events[2..], publisher::media_events());
    assert!(session.is_closed());
    let answers: Vec<_> = onwards(&output).into_iter().map(|m| (m.kind, m.stream)).collect();
    assert_eq!(
        answers[..4],
        [(5, 0), (6, 0), (1, 0), (20, 0)],
        "window, bandwidth, chunk size, _result"
    );
    let codes: Vec<_> = onwards(&output)
        .iter()
        .filter_map(status)
        .map(|(_, code, _)| code)
        .collect();
    assert_eq!(
        codes,
        [
            "NetConnection.Connect.Success",
            "NetStream.Publish.Start",
            "NetStream.Publish.Start",
            "NetStream.Unpublish.Success",
            "NetStream.Unpublish.Success",
        ]
    );
    let names: Vec<_> = onwards(&output)
        .iter()
        .filter(|message| message.kind == kind::COMMAND)
        .filter_map(|message| amf::decode(&message.payload).ok())
        .filter_map(|values| Some((values[0].as_str()?.to_owned(), values[1].as_number()?)))
        .collect();
    let expected = [
        ("_result", 1.0),
        ("_result", 2.0),
        ("_result", 3.0),
        ("_result", 4.0),
        ("onFCPublish", 0.0),
        ("onStatus", 0.0),
        ("_result", 6.0),
        ("onFCUnpublish", 0.0),
        ("onStatus", 0.0),
        ("_result", 7.0),
    ];
    assert_eq!(
        names,
        expected.map(|(name, transaction)| (name.to_owned(), transaction)),
        "connect, releaseStream, FCPublish, createStream; _checkbw wants no answer; publish; FCUnpublish, deleteStream"
    );
}

#[test]
fn create_stream_returns_the_stream_id() {
    let (_, _, output) = run_whole(&Publisher::obs(), std::iter::empty());
    let results: Vec<_> = onwards(&output)
        .iter()
        .filter(|message| message.kind == kind::COMMAND)
        .filter_map(|message| amf::decode(&message.payload).ok())
        .filter(|values| values[1] == Value::Number(4.0))
        .collect();
    let expected = [
        Value::string("_result"),
        Value::Number(4.0),
        Value::Null,
        Value::Number(1.0),
    ];
    assert_eq!(results, [expected]);
}

#[test]
fn amf3_commands_are_amf0_after_a_zero() {
    let mut publisher = Publisher::obs();
    publisher.amf3 = true;
    let (_, events, _) = run_whole(&publisher, std::iter::empty());
    assert_eq!(events[2..], publisher::media_events());
}

#[test]
fn a_wrong_key_is_refused_in_words() {
    let now = base();
    let mut session = published(now);
    session.poll_output();
    session.refuse(now, "bad stream key");
    assert!(!session.is_closed(), "the words are still to be sent");
    let output = session.poll_output().unwrap();
    assert!(session.is_closed());
    let mut reader = chunk::Reader::new(1 << 20, 64);
    reader.set_chunk_size(OUTPUT_CHUNK_BYTES.into()).unwrap();
    let message = reader.read(&mut &output[..]).unwrap().unwrap();
    assert_eq!((message.kind, message.stream), (kind::COMMAND, 1));
    let (level, code, description) = status(&message).unwrap();
    assert_eq!(
        (level.as_str(), code.as_str()),
        ("error", "NetStream.Publish.Denied")
    );
    assert_eq!(description, "bad stream key");
    assert_eq!(session.handle(now, b"whatever comes after"), Ok(()));
    assert_eq!(session.poll_output(), None);
}

#[test]
fn answers_without_a_question_do_nothing() {
    let now = base();
    let mut session = Session::new(now, [9; RANDOM_BYTES], Limits::default());
    session.accept(now);
    session.refuse(now, "no");
    assert_eq!((session.poll_output(), session.is_closed()), (None, false));
    assert_eq!(session.deadline(), Some(now + 5 * SECOND));
}

/// What a command out of place is answered with: its error, and the code in the words.
fn out_of_place(session: &mut Session, bytes: &[u8]) -> (Result<(), Error>, String) {
    session.poll_output();
    let result = session.handle(base(), bytes);
    let output = session.poll_output().unwrap_or_default();
    let mut reader = chunk::Reader::new(1 << 20, 64);
    let last = reader.read(&mut &output[..]).unwrap();
    (
        result,
        last.and_then(|message| status(&message))
            .map(|(_, code, _)| code)
            .unwrap_or_default(),
    )
}

#[test]
fn commands_out_of_place_are_refused_in_words() {
    let now = base();
    let publisher = Publisher::obs();
    let handshaken = || {
        let mut session = Session::new(now, [9; RANDOM_BYTES], Limits::default());
        session.handle(now, &publisher::handshake()).unwrap();
        session
    };
    let refused = |what| Err(Error::Refused(what));
    let play = publisher.play();
    let cases = [
        (
            accepted(now),
            publisher.connect(),
            "connected before",
            "NetConnection.Connect.Rejected",
        ),
        (
            accepted(now),
            publisher.publish(),
            "one publish per connection",
            "NetStream.Publish.Denied",
        ),
        (
            published(now),
            publisher.publish(),
            "one publish per connection",
            "NetStream.Publish.Denied",
        ),
        (
            published(now),
            publisher.frame(),
            "media before publish was accepted",
            "NetStream.Failed",
        ),
        (
            handshaken(),
            publisher.video(&[0x27, 1, 0, 0, 0, 1]),
            "media before publish was accepted",
            "NetStream.Failed",
        ),
        (
            handshaken(),
            publisher.publish(),
            "publish before createStream",
            "NetStream.Publish.Denied",
        ),
        (
            handshaken(),
            publisher.create_stream(),
            "createStream before connect",
            "NetConnection.Call.Failed",
        ),
        (
            handshaken(),
            play,
            "this server takes publishers only",
            "NetStream.Play.Failed",
        ),
    ];
    for (mut session, bytes, what, code) in cases {
        assert_eq!(
            out_of_place(&mut session, &bytes),
            (refused(what), code.to_owned())
        );
        assert!(session.is_closed());
    }
}

#[test]
fn each_state_has_its_deadline() {
    let now = base();
    let expired = |mut session: Session, after: Duration, waiting: Waiting| {
        assert_eq!(session.deadline(), Some(now + after), "{waiting}");
        assert_eq!(session.handle_timeout(now + after - SECOND / 1000), Ok(()));
        assert_eq!(session.handle_timeout(now + after), Err(Error::Timeout(waiting)));
        assert!(session.is_closed());
        assert_eq!(session.deadline(), None);
    };
    let new = || Session::new(now, [9; RANDOM_BYTES], Limits::default());

    let mut half_open = new();
    half_open
        .handle(now + SECOND, &publisher::handshake()[..2000])
        .unwrap();
    expired(half_open, 5 * SECOND, Waiting::Handshake);

    let mut chatting = new();
    chatting.handle(now + SECOND, &publisher::handshake()).unwrap();
    for at in 2..9 {
        chatting
            .handle(now + at * SECOND, &Publisher::obs().ping())
            .unwrap();
    }
    expired(chatting, 10 * SECOND, Waiting::Publish);

    let mut asked = new();
    asked
        .handle(now + 3 * SECOND, &Publisher::obs().up_to_publish())
        .unwrap();
    expired(asked, 13 * SECOND, Waiting::Answer);

    let mut publishing = accepted(now);
    publishing
        .handle(now + 4 * SECOND, &Publisher::obs().frame())
        .unwrap();
    expired(publishing, 14 * SECOND, Waiting::Media);

    let mut refused = published(now);
    refused.refuse(now + SECOND, "no");
    expired(refused, 11 * SECOND, Waiting::Close);
}

#[test]
fn pings_are_answered_and_windows_acknowledged() {
    let now = base();
    let mut session = accepted(now);
    session.handle(now, &Publisher::obs().ping()).unwrap();
    let pong = session.poll_output().unwrap();
    assert_eq!(pong[12..], [0, 7, 1, 2, 3, 4]);
    let received = session.acknowledgements.total();
    let window = Publisher::obs().window(300);
    session.handle(now, &window).unwrap();
    let acknowledgement = session.poll_output().unwrap();
    assert_eq!(acknowledgement[7], kind::ACKNOWLEDGEMENT);
    assert_eq!(
        acknowledgement[12..],
        u32::try_from(received + window.len()).unwrap().to_be_bytes()
    );
    session.handle(now, &Publisher::obs().ping()).unwrap();
    assert_eq!(
        session.poll_output().unwrap().len(),
        18,
        "the pong alone: no window's worth has arrived"
    );
}

#[test]
fn unsupported_codecs_are_named_once() {
    let now = base();
    let mut session = accepted(now);
    for _ in 0..3 {
        session
            .handle(now, &Publisher::obs().video(b"\x90vp08...."))
            .unwrap();
        session.handle(now, &Publisher::obs().video(b"\x12....")).unwrap();
    }
    let named: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
    let event = |what: &str| Event::Unsupported {
        what: what.to_owned(),
    };
    assert_eq!(named, [event("enhanced video vp08"), event("video H.263")]);
}

#[test]
fn deleting_the_stream_without_announcing_it_ends_the_publish_too() {
    let now = base();
    let mut session = accepted(now);
    session.handle(now, &Publisher::obs().delete_stream(1.0)).unwrap();
    assert_eq!(session.poll_event(), Some(Event::Unpublish));
    assert!(session.poll_output().is_some());
    assert!(session.is_closed());
}

#[test]
fn after_the_end_was_announced_delete_stream_is_awaited() {
    let now = base();
    let mut session = accepted(now);
    session.handle(now, &Publisher::obs().unpublish()).unwrap();
    assert_eq!(session.poll_event(), Some(Event::Unpublish));
    session.handle(now, &Publisher::obs().frame()).unwrap();
    session.poll_output();
    assert!(!session.is_closed());
    session.handle(now, &Publisher::obs().delete_stream(1.0)).unwrap();
    assert_eq!(session.poll_event(), None);
    session.poll_output();
    assert!(session.is_closed());
}

#[test]
fn a_publish_without_a_key_is_refused_in_words() {
    let publisher = Publisher {
        key: "?only=query",
        ..Publisher::obs()
    };
    let mut session = Session::new(base(), [9; RANDOM_BYTES], Limits::default());
    assert!(matches!(
        session.handle(base(), &publisher.up_to_publish()),
        Err(Error::Command(_))
    ));
    let answers = onwards(&session.poll_output().unwrap());
    let (level, code, description) = answers.last().and_then(status).unwrap();
    assert_eq!(
        (level.as_str(), code.as_str()),
        ("error", "NetStream.Publish.Denied")
    );
    assert_eq!(description, "publish without a usable stream key");
    assert!(session.is_closed());
}

#[test]
fn nothing_prints_the_key() {
    let mut session = Session::new(base(), [9; RANDOM_BYTES], Limits::default());
    let bytes = Publisher::obs().up_to_publish();
    session.handle(base(), &bytes[..bytes.len() - 8]).unwrap();
    assert_eq!(session.poll_event(), None, "the command is held in part");
    let partial = format!("{session:?}");
    session.handle(base(), &bytes[bytes.len() - 8..]).unwrap();
    let event = format!("{:?}", session.poll_event().unwrap());
    let message = Message {
        timestamp_ms: 0,
        kind: 20,
        stream: 1,
        payload: Bytes::from_static(b"secret"),
    };
    for printed in [partial, event, format!("{message:?}")] {
        assert!(!printed.contains("secret"), "{printed}");
    }
}

#[test]
fn acknowledgements_nobody_takes_fill_the_output() {
    let limits = Limits {
        output_bytes_max: 8000,
        ..Limits::default()
    };
    let mut session = Session::new(base(), [9; RANDOM_BYTES], limits);
    session.handle(base(), &Publisher::obs().up_to_publish()).unwrap();
    session.accept(base());
    session.handle(base(), &Publisher::obs().window(1)).unwrap();
    let frame = Publisher::obs().frame();
    let result = frame[..4000]
        .iter()
        .try_for_each(|byte| session.handle(base(), &[*byte]));
    assert_eq!(result, Err(Error::OutputFull));
}
