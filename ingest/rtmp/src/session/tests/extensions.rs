//! What encoders do beyond one plain publish: extra calls and streams, extended tags, cues, reconnecting.

use super::*;

/// The commands a session wrote since the last look, as names with their values.
fn answers(session: &mut Session) -> Vec<Vec<Value>> {
    let output = session.poll_output().unwrap_or_default();
    let mut reader = chunk::Reader::new(1 << 20, 64);
    reader.set_chunk_size(OUTPUT_CHUNK_BYTES.into()).unwrap();
    let mut rest = &output[..];
    std::iter::from_fn(|| reader.read(&mut rest).unwrap())
        .map(|message| amf::decode(&message.payload).unwrap())
        .collect()
}

#[test]
fn streams_created_while_publishing_change_nothing() {
    let now = base();
    let mut session = accepted(now);
    let publisher = Publisher::obs();
    for id in 2..=8 {
        session.handle(now, &publisher.create_stream()).unwrap();
        let granted = [
            Value::string("_result"),
            Value::Number(4.0),
            Value::Null,
            Value::Number(id.into()),
        ];
        assert_eq!(answers(&mut session), [granted]);
    }
    session.handle(now, &publisher.create_stream()).unwrap();
    let denied = answers(&mut session);
    assert_eq!(denied[0][0], Value::string("_error"));
    session.handle(now, &publisher.delete_stream(2.0)).unwrap();
    assert_eq!(answers(&mut session)[0][0], Value::string("_result"));
    session.handle(now, &publisher.frame()).unwrap();
    assert!(matches!(session.poll_event(), Some(Event::Video { .. })));
    session.handle(now, &publisher.delete_stream(1.0)).unwrap();
    assert_eq!(session.poll_event(), Some(Event::Unpublish));
}

#[test]
fn check_bandwidth_is_answered_when_an_answer_is_wanted() {
    let mut session = accepted(base());
    session
        .handle(base(), &Publisher::obs().named("_checkbw", 9.0))
        .unwrap();
    let expected = [
        Value::string("_result"),
        Value::Number(9.0),
        Value::Null,
        Value::Undefined,
    ];
    assert_eq!(answers(&mut session), [expected]);
}

#[test]
fn only_peers_that_can_are_asked_to_reconnect() {
    let now = base();
    let mut legacy = accepted(now);
    assert!(!legacy.request_reconnect("updates", None));
    assert_eq!(legacy.poll_output(), None);

    let publisher = Publisher {
        caps_ex: Some(1.0),
        ..Publisher::obs()
    };
    let mut session = Session::new(now, [9; RANDOM_BYTES], Limits::default());
    assert!(!session.request_reconnect("not connected", None));
    session.handle(now, &publisher.up_to_publish()).unwrap();
    session.accept(now);
    session.poll_output();
    assert!(session.request_reconnect("updates", Some("rtmp://other/live")));
    let sent = answers(&mut session);
    assert_eq!(
        sent[0][3].get("code"),
        Some(&Value::string("NetConnection.Connect.ReconnectRequest"))
    );
    assert_eq!(sent[0][3].get("tcUrl"), Some(&Value::string("rtmp://other/live")));
    assert!(!session.request_reconnect("too long", Some(&"x".repeat(513))));
    let sent = (0..1000)
        .take_while(|_| session.request_reconnect("nobody reads", None))
        .count();
    assert!((1..1000).contains(&sent), "{sent}: the output is bounded");
    session.poll_output();
    while session.poll_event().is_some() {}
    session.handle(now, &publisher.frame()).unwrap();
    assert!(
        matches!(session.poll_event(), Some(Event::Video { .. })),
        "it goes on until it leaves"
    );
    session.handle(now, &publisher.delete_stream(1.0)).unwrap();
    assert!(!session.request_reconnect("it left", None));
}

#[test]
fn extended_tags_carry_their_track_codec_and_time() {
    let mut session = accepted(base());
    let publisher = Publisher::obs();
    for body in [
        &b"\x90av01\x81\x05\x0C\x00"[..],
        b"\x97\x02\0\0\x07\x06\x01avc1\x03\0\0\x05unit",
    ] {
        session.handle(base(), &publisher.video(body)).unwrap();
    }
    let events: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
    let expected = [
        Event::VideoConfig {
            track: 0,
            timestamp_ms: 40,
            codec: VideoCodec::Av1,
            config: Bytes::from_static(b"\x81\x05\x0C\x00"),
        },
        Event::Video {
            track: 3,
            timestamp_ms: 40,
            nanos: 7,
            composition_ms: 5,
            codec: VideoCodec::H264,
            key: true,
            data: Bytes::from_static(b"unit"),
        },
    ];
    assert_eq!(events, expected);
    assert_eq!(
        session.handle(base(), &publisher.video(b"\x90hvc1\x01")),
        Err(Error::Flv(crate::flv::Error::Config("hvc1")))
    );
}

#[test]
fn cues_carry_the_time_of_their_message() {
    let mut session = accepted(base());
    let cue = [
        Value::string("onCuePoint"),
        Value::object([("name", Value::string("break"))]),
    ];
    let publisher = Publisher::obs();
    session.handle(base(), &publisher.data(1234, &cue)).unwrap();
    let Some(Event::Cue { timestamp_ms, cue }) = session.poll_event() else {
        panic!("no cue")
    };
    assert_eq!(
        (timestamp_ms, cue.message, cue.name.as_deref()),
        (1234, "onCuePoint", Some("break"))
    );
    let nothing = [Value::string("onAdCue")];
    session.handle(base(), &publisher.data(0, &nothing)).unwrap();
    let what = "cue: onAdCue without an object".to_owned();
    assert_eq!(session.poll_event(), Some(Event::Unsupported { what }));
}
