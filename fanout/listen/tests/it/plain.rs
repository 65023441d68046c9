//! HTTP/1.1 without TLS: what players ask, and what is handed on to hyper.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use listen::answer::{Found, success};
use listen::{Body, File, Incoming, Limits, bind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Larger than a socket takes at once.
const LARGE: usize = 9 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

fn large() -> Bytes {
    (0..=250).cycle().take(LARGE).collect::<Vec<u8>>().into()
}

/// `/file` and `/chunks` are the same bytes; `/wait` never ends; what is posted comes back.
async fn answer(request: Request<Incoming>, bytes: Bytes, file: Option<File>) -> Response<Body> {
    let found = |body| Found::media(body, true, 3, Duration::from_secs(2));
    match request.uri().path() {
        "/file" => success(found(Body::from(bytes).also_in(file)), &request),
        "/chunks" => {
            let halves = [bytes.slice(..LARGE / 3), bytes.slice(LARGE / 3..)];
            success(found(halves.into_iter().collect()), &request)
        }
        "/wait" => std::future::pending().await,
        "/back" => Response::new(request.into_body().collect().await.unwrap().to_bytes().into()),
        _ => {
            let mut response = Response::new(Body::from("none\n"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}

async fn served(set: impl FnOnce(&mut Limits)) -> (SocketAddr, CancellationToken, DropGuard) {
    let listener = bind("test", "test", (Ipv4Addr::LOCALHOST, 0).into())
        .await
        .unwrap();
    let (address, shutdown) = (listener.address(), CancellationToken::new());
    let mut limits = Limits::default();
    set(&mut limits);
    let bytes = large();
    let file = File::of(&bytes);
    assert!(file.is_some(), "the system has files in memory");
    let service = move |request| answer(request, bytes.clone(), file.clone());
    let ended = shutdown.clone();
    TaskTracker::new().spawn(async move { listener.serve(None, limits, ended, service).await });
    (address, shutdown.clone(), shutdown.drop_guard())
}

/// Head and body of one answer; `bodiless` answers say a length all the same.
async fn read(stream: &mut TcpStream, bodiless: bool) -> (String, Vec<u8>) {
    let reading = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.split("\r\ncontent-length: ").nth(1);
        let length = length.map_or(0, |rest| rest.split('\r').next().unwrap().parse().unwrap());
        let mut body = vec![0; if bodiless { 0 } else { length }];
        stream.read_exact(&mut body).await.unwrap();
        (head, body)
    };
    timeout(PATIENCE, reading).await.expect("an answer comes")
}

async fn ask(stream: &mut TcpStream, request: &str) -> (String, Vec<u8>) {
    stream.write_all(request.as_bytes()).await.unwrap();
    read(stream, request.starts_with("HEAD")).await
}

fn get(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n")
}

#[tokio::test]
async fn large_bodies_arrive_whole_out_of_files_and_out_of_chunks() {
    let (address, _, _ends) = served(|_| ()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    for path in ["/file", "/chunks", "/file"] {
        let (head, body) = ask(&mut stream, &get(path, "")).await;
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("\r\ndate: "),
            "{head}"
        );
        assert!(body == large(), "{path}");
    }
}

#[tokio::test]
async fn ranges_heads_and_refusals_are_as_hyper_would_say_them() {
    let (address, _, _ends) = served(|_| ()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let all = large();
    for path in ["/file", "/chunks"] {
        for (range, wanted) in [
            ("0-0", 0..1),
            ("3145720-3145735", 3_145_720..3_145_736),
            ("-5", LARGE - 5..LARGE),
        ] {
            let (head, body) = ask(&mut stream, &get(path, &format!("Range: bytes={range}\r\n"))).await;
            assert!(head.starts_with("HTTP/1.1 206 "), "{head}");
            assert_eq!(body, all[wanted], "{path} {range}");
        }
        let (head, _) = ask(&mut stream, &get(path, "Range: bytes=99999999-\r\n")).await;
        assert!(
            head.starts_with("HTTP/1.1 416 ") && head.contains("content-length: 0"),
            "{head}"
        );
        let (head, _) = ask(&mut stream, &format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert!(head.contains(&format!("content-length: {LARGE}\r\n")), "{head}");
        let etag = head
            .split("etag: ")
            .nth(1)
            .unwrap()
            .split('\r')
            .next()
            .unwrap()
            .to_owned();
        let (head, body) = ask(&mut stream, &get(path, &format!("If-None-Match: {etag}\r\n"))).await;
        assert!(head.starts_with("HTTP/1.1 304 ") && body.is_empty(), "{head}");
    }
    let (head, body) = ask(&mut stream, &get("/none", "")).await;
    assert!(
        head.starts_with("HTTP/1.1 404 Not Found\r\n") && body == b"none\n",
        "{head}"
    );
}

#[tokio::test]
async fn requests_behind_one_another_are_answered_in_order() {
    let (address, _, _ends) = served(|_| ()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let three = [
        get("/none", ""),
        get("/file", "Range: bytes=7-9\r\n"),
        get("/none", ""),
    ]
    .concat();
    stream.write_all(three.as_bytes()).await.unwrap();
    assert!(read(&mut stream, false).await.0.contains(" 404 "));
    assert_eq!(read(&mut stream, false).await.1, [7, 8, 9]);
    assert!(read(&mut stream, false).await.0.contains(" 404 "));
}

#[tokio::test]
async fn what_has_a_body_goes_on_with_hyper_on_the_same_connection() {
    let (address, _, _ends) = served(|_| ()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert!(ask(&mut stream, &get("/none", "")).await.0.contains(" 404 "));
    // In pieces, so that some of it is read before it is known to be hyper's.
    stream.write_all(b"POST /back HTTP/1.1\r\nHo").await.unwrap();
    sleep(Duration::from_millis(50)).await;
    let (head, body) = ask(&mut stream, "st: x\r\nContent-Length: 5\r\n\r\nhello").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body == b"hello", "{head}");
    assert!(ask(&mut stream, &get("/file", "Range: bytes=1-2\r\n")).await.1 == [1, 2]);
    let (head, _) = ask(&mut stream, &get("/none", "Connection: close\r\n")).await;
    assert!(head.contains("connection: close"), "{head}");
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

/// Its buffers are full within a few answers, and then it takes nothing.
#[tokio::test]
async fn a_reader_that_stops_is_cut_and_one_that_is_slow_is_not() {
    let (address, _, _ends) = served(|limits| limits.stall = Duration::from_millis(600)).await;
    let connect = async || {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
        socket.connect(address).await.unwrap()
    };
    let (mut stopped, mut slow) = (connect().await, connect().await);
    for stream in [&mut stopped, &mut slow] {
        stream.write_all(get("/file", "").as_bytes()).await.unwrap();
    }
    let (mut got, until) = (0, Instant::now() + Duration::from_secs(2));
    while Instant::now() < until {
        let mut some = [0; 8 << 10];
        got += slow.read(&mut some).await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    assert!(got > 0 && got < LARGE, "slow, and going on: {got}");
    let rest = async {
        let mut all = Vec::new();
        let _reset = stopped.read_to_end(&mut all).await;
        all.len()
    };
    let rest = timeout(PATIENCE, rest).await.expect("it was cut");
    assert!(rest < LARGE / 2, "{rest}");
}

#[tokio::test]
async fn idle_connections_end_at_their_time_and_at_shutdown() {
    let (address, shutdown, _ends) = served(|limits| {
        (limits.idle, limits.head) = (Duration::from_millis(900), Duration::from_millis(200))
    })
    .await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..3 {
        sleep(Duration::from_millis(200)).await;
        assert!(ask(&mut stream, &get("/none", "")).await.0.contains(" 404 "));
    }
    // Half a head is not a request.
    stream.write_all(b"GET / HT").await.unwrap();
    let mut said = String::new();
    let ended = timeout(PATIENCE, stream.read_to_string(&mut said)).await;
    assert!(
        ended.expect("it is not kept").is_ok() && said.starts_with("HTTP/1.1 408 "),
        "{said}"
    );

    let mut idle = TcpStream::connect(address).await.unwrap();
    assert!(ask(&mut idle, &get("/none", "")).await.0.contains(" 404 "));
    shutdown.cancel();
    let ended = timeout(PATIENCE, idle.read(&mut [0]))
        .await
        .expect("nothing is under way");
    assert_eq!(ended.unwrap(), 0);
}
