//! HTTP/2 used as a weapon.

use std::time::Duration;

use listen::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::frames::{self, frame};
use crate::stand::{ONCE, PATIENCE, Stand, tell};

async fn connect(stand: &Stand, settings: &[u8]) -> TcpStream {
    let mut socket = stand.connect().await;
    socket.write_all(frames::PREFACE).await.unwrap();
    socket
        .write_all(&frame(frames::SETTINGS, 0, 0, settings))
        .await
        .unwrap();
    socket
}

/// Kinds and payloads of all frames until the connection is closed.
async fn all(socket: &mut TcpStream) -> Vec<(u8, Vec<u8>)> {
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, socket.read_to_end(&mut bytes)).await;
    let _closed_or_reset = read.expect("the connection is closed");
    let (mut all, mut rest) = (Vec::new(), &bytes[..]);
    while let Some((kind, payload, next)) = frames::split(rest) {
        all.push((kind, payload.to_vec()));
        rest = next;
    }
    all
}

/// The error code of the GOAWAY (RFC 9113 §7).
fn farewell(all: &[(u8, Vec<u8>)]) -> Option<u8> {
    let (_, payload) = all.iter().find(|(kind, _)| *kind == frames::GO_AWAY)?;
    payload.get(7).copied()
}

const ENHANCE_YOUR_CALM: u8 = 11;

#[tokio::test]
async fn rule_96_http2_answers_pings_also_while_a_request_waits() {
    let stand = Stand::new(Limits::default(), None).await;
    let mut socket = connect(&stand, &[]).await;
    socket.write_all(&frames::request(1, "/wait")).await.unwrap();
    let mut bytes = Vec::new();
    for round in 1..=3 {
        let asked = [round; 8];
        socket
            .write_all(&frame(frames::PING, 0, 0, &asked))
            .await
            .unwrap();
        let answered = async {
            loop {
                let mut rest = &bytes[..];
                while let Some((kind, payload, next)) = frames::split(rest) {
                    if kind == frames::PING && payload == asked {
                        return;
                    }
                    rest = next;
                }
                assert!(socket.read_buf(&mut bytes).await.unwrap() > 0, "it stays");
            }
        };
        timeout(PATIENCE, answered).await.expect("a ping is answered");
    }
}

#[tokio::test]
async fn streams_that_are_reset_as_they_are_opened_end_the_connection() {
    let stand = Stand::new(Limits::default(), None).await;
    let mut socket = connect(&stand, &[]).await;
    let mut flood = Vec::new();
    for stream in (1..4_000).step_by(2) {
        flood.extend(frames::request(stream, "/wait"));
        flood.extend(frame(frames::RESET, 0, stream, &8_u32.to_be_bytes()));
    }
    let _cut_short_or_not = socket.write_all(&flood).await;
    stand
        .until("it is counted", |stand| stand.ended("flood") == 1)
        .await;
    stand.until("it is ended", |stand| stand.open.now() == 0).await;
    assert!(tell(&stand, ONCE).await.ends_with("hello"));
}

#[tokio::test]
async fn a_head_without_end_ends_the_connection() {
    let stand = Stand::new(Limits::default(), None).await;
    for filler in [&[][..], &[0; 1], &[0x82; 16_000]] {
        let mut socket = connect(&stand, &[]).await;
        let open = frame(frames::HEADERS, frames::END_STREAM, 1, &frames::get("/"));
        socket.write_all(&open).await.unwrap();
        let more = frame(frames::CONTINUATION, 0, 1, filler);
        let mut sent = 0;
        while sent < 20_000 && socket.write_all(&more).await.is_ok() {
            sent += 1;
        }
        assert!(sent < 20_000, "{} bytes a frame", filler.len());
    }
    stand.until("all are ended", |stand| stand.open.now() == 0).await;
    assert_eq!(stand.ended("flood") + stand.ended("malformed"), 3);
}

#[tokio::test]
async fn a_window_that_stays_shut_is_cut_and_pins_nothing() {
    let limits = Limits {
        stall: Duration::from_millis(400),
        ..Limits::default()
    };
    let stand = Stand::new(limits, None).await;
    // SETTINGS_INITIAL_WINDOW_SIZE 0: the socket is never full.
    let mut socket = connect(&stand, &[0, 4, 0, 0, 0, 0]).await;
    for stream in [1, 3, 5] {
        socket.write_all(&frames::request(stream, "/big")).await.unwrap();
    }
    let seen = all(&mut socket).await;
    assert_eq!(
        seen.iter().filter(|(kind, _)| *kind == frames::HEADERS).count(),
        3
    );
    assert!(
        !seen
            .iter()
            .any(|(kind, data)| *kind == frames::DATA && !data.is_empty())
    );
    stand.until("it is gone", |stand| stand.open.now() == 0).await;
    assert_eq!(stand.ended("stalled"), 1);
}

#[tokio::test]
async fn one_connection_has_so_many_streams_and_idling_ends() {
    let limits = Limits {
        streams: 4,
        idle: Duration::from_millis(600),
        ..Limits::default()
    };
    let stand = Stand::new(limits, None).await;
    let mut socket = connect(&stand, &[]).await;
    // The server has said how many by now.
    sleep(Duration::from_millis(100)).await;
    for stream in [1, 3, 5, 7, 9] {
        socket.write_all(&frames::request(stream, "/wait")).await.unwrap();
    }
    let mut bytes = Vec::new();
    let refused = async {
        loop {
            socket.read_buf(&mut bytes).await.unwrap();
            let mut rest = &bytes[..];
            while let Some((kind, payload, next)) = frames::split(rest) {
                if kind == frames::RESET {
                    return payload.to_vec();
                }
                rest = next;
            }
        }
    };
    // RFC 9113 §5.1.2: REFUSED_STREAM, so that it may be asked again.
    assert_eq!(timeout(PATIENCE, refused).await.unwrap(), 7_u32.to_be_bytes());
    let mut idle = connect(&stand, &[]).await;
    let seen = all(&mut idle).await;
    assert_eq!(farewell(&seen), Some(0), "{seen:?}");
    assert_ne!(farewell(&seen), Some(ENHANCE_YOUR_CALM));
}
