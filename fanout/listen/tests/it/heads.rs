//! Heads that never end, never come, or say what no head should.

use std::time::Duration;

use listen::Limits;
use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;

use crate::stand::{ONCE, Stand, read_all, tell};

fn limits() -> Limits {
    Limits {
        head: Duration::from_millis(400),
        uploads: false,
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_head_that_drips_is_answered_408() {
    let stand = Stand::new(limits(), None).await;
    let socket = stand.connect().await;
    let (mut read, mut write) = socket.into_split();
    let dripping = async {
        for byte in ONCE.bytes().cycle().filter(|byte| *byte != b'\n') {
            if write.write_all(&[byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = dripping => {}
        _ = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut answer) => {}
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(stand.ended("head_late"), 1);
    assert!(tell(&stand, ONCE).await.ends_with("hello"));
}

#[tokio::test]
async fn a_second_head_has_its_time_too_and_idling_between_them_has_another() {
    let stand = Stand::new(limits(), None).await;
    let mut socket = stand.connect().await;
    sleep(Duration::from_millis(700)).await;
    socket
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    sleep(Duration::from_millis(700)).await;
    socket.write_all(b"GET / HT").await.unwrap();
    let answers = read_all(&mut socket).await;
    let (first, second) = (answers.find("hello"), answers.find("HTTP/1.1 408 "));
    assert!(first.is_some() && second > first, "{answers}");
}

#[tokio::test]
async fn what_is_too_long_is_said_to_be() {
    let stand = Stand::new(limits(), None).await;
    let (long, longer) = ("x".repeat(9_000), "x".repeat(70_000));
    let many: String = (0..120).map(|at| format!("x-{at}: y\r\n")).collect();
    for (text, status, cause, count) in [
        (
            format!("GET / HTTP/1.1\r\nhost: a\r\nx: {longer}\r\n\r\n"),
            431,
            "head_too_long",
            1,
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n"),
            431,
            "head_too_long",
            2,
        ),
        (
            format!("GET /{longer} HTTP/1.1\r\nhost: a\r\n\r\n"),
            431,
            "head_too_long",
            3,
        ),
        (
            format!("GET /{long} HTTP/1.1\r\nhost: a\r\n\r\n"),
            414,
            "target_too_long",
            1,
        ),
        (
            format!("GET /?{long} HTTP/1.1\r\nhost: a\r\n\r\n"),
            414,
            "target_too_long",
            2,
        ),
    ] {
        let answer = tell(&stand, &text).await;
        let wanted = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&wanted), "{status}: {answer:.60}");
        stand.until(cause, |stand| stand.ended(cause) == count).await;
    }
}

#[tokio::test]
async fn what_others_may_frame_otherwise_ends_the_connection() {
    let stand = Stand::new(limits(), None).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let chunks = format!("0\r\n\r\n{smuggled}");
    for (head, body) in [
        (
            "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked",
            &*chunks,
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5",
            &chunks,
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked",
            &chunks,
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip",
            &chunks,
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked",
            &chunks,
        ),
        ("GET / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked", &chunks),
        ("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 37", smuggled),
        (
            "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4",
            smuggled,
        ),
        ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +3", smuggled),
        ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3, 3", smuggled),
        ("GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n folded: z", smuggled),
        ("GET / HTTP/1.1\r\nhost : a", smuggled),
        ("GET / HTTP/1.1\r\nhost: a\r\nx: a\rb", smuggled),
        ("GET / HTTP/1.1\r\nhost: a\r\nx: a\0b", smuggled),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b", smuggled),
        ("GET / HTTP/1.1", smuggled),
        ("GET / HTTP/1.1\r\nhost: a\r\n\tx: y", smuggled),
        ("GET  / HTTP/1.1\r\nhost: a", smuggled),
        ("GET /\tx HTTP/1.1\r\nhost: a", smuggled),
        ("GET / HTTP/2.0\r\nhost: a", smuggled),
        ("G\x01T / HTTP/1.1\r\nhost: a", smuggled),
    ] {
        let answer = tell(&stand, &format!("{head}\r\n\r\n{body}")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer}");
        let answers = answer.matches("HTTP/1.1 ").count();
        assert_eq!(answers, 1, "{head:?}: what follows is not looked at");
        assert!(!answer.contains("hello"), "{head:?}");
    }
    stand
        .until("all are counted", |stand| stand.ended("malformed") == 21)
        .await;
    // What is unusual and harmless.
    for head in [
        "GET http://elsewhere/ HTTP/1.1\r\nhost: a\r\nconnection: close",
        "GET / HTTP/1.0",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close",
        "GET / HTTP/1.1\nhost: a\nconnection: close",
    ] {
        let answer = tell(&stand, &format!("{head}\r\n\r\n")).await;
        assert!(answer.ends_with("hello"), "{head:?}: {answer}");
    }
}
