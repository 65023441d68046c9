//! Readers that stop or dawdle.

use std::time::{Duration, Instant};

use listen::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::stand::{ONCE, PATIENCE, Stand, read_all, tell};

const BIG: &[u8] = b"GET /big HTTP/1.1\r\nhost: a\r\n\r\n";

/// A reader with a small window, as over a narrow line.
async fn narrow(stand: &Stand) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    socket.connect(stand.address).await.unwrap()
}

fn limits() -> Limits {
    Limits {
        stall: Duration::from_millis(400),
        rate: 200_000,
        send_buffer: 32 << 10,
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_reader_that_stops_is_cut_and_its_memory_given_back() {
    let stand = Stand::new(limits(), None).await;
    let mut socket = narrow(&stand).await;
    socket.write_all(BIG).await.unwrap();
    let mut some = [0; 64];
    socket.read_exact(&mut some).await.unwrap();
    assert!(some.starts_with(b"HTTP/1.1 200"));
    let before = Instant::now();
    stand.until("it is cut", |stand| stand.open.now() == 0).await;
    assert!(before.elapsed() < Duration::from_secs(5));
    assert_eq!(stand.ended("stalled"), 1);
    let after = read_all(&mut socket).await;
    assert!(
        after.len() < 1 << 20,
        "the kernel held {} bytes for it",
        after.len()
    );
}

#[tokio::test]
async fn a_reader_that_dawdles_is_cut_and_one_that_is_merely_slow_is_not() {
    let stand = Stand::new(limits(), None).await;
    let read = async |bytes: usize, every: u64| {
        let (mut socket, mut total) = (narrow(&stand).await, 0);
        socket.write_all(BIG).await.unwrap();
        let (began, mut buffer) = (Instant::now(), vec![0; bytes]);
        while began.elapsed() < Duration::from_secs(3) {
            match timeout(PATIENCE, socket.read(&mut buffer)).await.unwrap() {
                Ok(0) | Err(_) => return (total, began.elapsed(), true),
                Ok(read) => total += read,
            }
            sleep(Duration::from_millis(every)).await;
        }
        (total, began.elapsed(), false)
    };
    let ((few, _, is_few_cut), (many, _, is_many_cut)) = tokio::join!(read(512, 50), read(32 << 10, 20));
    assert!(is_few_cut, "10 kB a second for {few} bytes");
    assert!(!is_many_cut, "about a megabyte a second for {many} bytes");
    assert_eq!(stand.ended("slow") + stand.ended("stalled"), 1);
}

#[tokio::test]
async fn two_hundred_slow_readers_delay_nobody_and_share_what_they_are_sent() {
    let limits = Limits {
        rate: 4_000,
        stall: Duration::from_secs(30),
        ..Limits::default()
    };
    let stand = Stand::new(limits, None).await;
    let readers = TaskTracker::new();
    for _ in 0..200 {
        let mut socket = narrow(&stand).await;
        readers.spawn(async move {
            socket.write_all(BIG).await.unwrap();
            let mut buffer = [0; 1_000];
            while matches!(socket.read(&mut buffer).await, Ok(1..)) {
                sleep(Duration::from_millis(100)).await;
            }
        });
    }
    stand
        .until("all are there", |stand| stand.open.now() == 200)
        .await;
    let mut spans = Vec::new();
    for _ in 0..50 {
        let began = Instant::now();
        assert!(tell(&stand, ONCE).await.ends_with("hello"));
        spans.push(began.elapsed());
        sleep(Duration::from_millis(10)).await;
    }
    spans.sort();
    assert!(spans[45] < Duration::from_millis(250), "{spans:?}");
    assert_eq!(stand.open.now(), 200, "nobody who reads is cut");
}

#[tokio::test]
async fn who_waits_for_an_answer_is_not_slow() {
    let limits = Limits {
        idle: Duration::from_millis(300),
        head: Duration::from_millis(300),
        ..limits()
    };
    let stand = Stand::new(limits, None).await;
    let mut parked = stand.connect().await;
    parked
        .write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut idle = stand.connect().await;
    assert_eq!(read_all(&mut idle).await, "", "closed without a word");
    assert_eq!(stand.ended("idle"), 1);
    sleep(Duration::from_millis(900)).await;
    assert_eq!(stand.open.now(), 1);
    drop(parked);
    stand
        .until("it is forgotten", |stand| stand.open.now() == 0)
        .await;
    assert!(stand.big.len() > 1, "it has not been asked for");
}
