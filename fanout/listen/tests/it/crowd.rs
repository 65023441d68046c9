//! More connections than there is room for.

use std::time::Duration;

use listen::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stand::{ONCE, Stand, read_all, tell};

async fn greeted(stand: &Stand) -> TcpStream {
    let mut socket = stand.connect().await;
    socket
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        answer.push(socket.read_u8().await.unwrap());
    }
    socket
}

#[tokio::test]
async fn newcomers_take_the_places_of_the_longest_idle_and_never_of_the_busy() {
    let limits = Limits {
        connections: 3,
        ..Limits::default()
    };
    let stand = Stand::new(limits, None).await;
    let mut busy = stand.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut silent = stand.connect().await;
    let mut idle = greeted(&stand).await;
    for _ in 0..2 {
        assert!(tell(&stand, ONCE).await.ends_with("hello"));
    }
    let _held = [greeted(&stand).await, greeted(&stand).await];
    assert_eq!(read_all(&mut silent).await, "");
    assert_eq!(read_all(&mut idle).await, "");
    assert_eq!(stand.ended("room"), 2);
    let mut byte = [0];
    let still = tokio::time::timeout(Duration::from_millis(100), busy.read(&mut byte)).await;
    assert!(still.is_err(), "who waits for an answer stays");
}

#[tokio::test]
async fn an_address_has_its_share_and_those_that_are_exempt_have_none() {
    let limits = Limits {
        per_address: 2,
        ..Limits::default()
    };
    let stand = Stand::new(limits, None).await;
    let held = [greeted(&stand).await, greeted(&stand).await];
    assert_eq!(tell(&stand, ONCE).await, "");
    assert_eq!(stand.ended("address"), 1);
    drop(held);
    stand.until("they are gone", |stand| stand.open.now() == 0).await;
    assert!(tell(&stand, ONCE).await.ends_with("hello"));
    let stand = Stand::with(limits, None, true).await;
    let _held = [
        greeted(&stand).await,
        greeted(&stand).await,
        greeted(&stand).await,
    ];
}
