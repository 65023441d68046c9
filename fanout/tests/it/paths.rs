//! What reaches a parent, and what is kept of what it says.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::delivery::{Asked, between, caught_up, edge};
use crate::stage::{PATIENCE, Stage};

/// The answer to this head, with nothing in between that would tidy it.
async fn raw(address: SocketAddr, target: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
    read.expect("it is answered").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_object_has_one_path_and_other_spellings_ask_nobody() {
    let stage = Stage::running(21).await;
    let asked = Asked::default();
    let parent = between(stage.reader.origin, asked.clone(), |_, text| text).await;
    let (reader, _running) = edge(&stage, parent).await;
    caught_up(&stage, &reader).await;
    for target in [
        "/live/main/%69ndex.m3u8",
        "/live/m%61in/index.m3u8",
        "/live/main%2Findex.m3u8",
        "/live/main%252Findex.m3u8",
        "/live/%2e%2e/main/index.m3u8",
        "/live/../main/index.m3u8",
        "/live/main/../main/index.m3u8",
        "/live/main/./index.m3u8",
        "/live//main/index.m3u8",
        "//live/main/index.m3u8",
        "/live/main/index.m3u8/",
        "/live/main/index.m3u8;x",
        "/live/main/index.m3u8%00",
        "/live/main/index.m3u8%3F_HLS_msn=1",
        "/live/main\\index.m3u8",
        "/LIVE/main/index.m3u8",
        "/live/main/360p/seg-00.m4s",
        "/live/main/360p/%2e%2e/index.m3u8",
        "/watch/..%2f..%2fetc%2fpasswd",
        "/assets/../watch.html",
        "/assets/%2e%2e/csp.txt",
        "*",
        "live/main/index.m3u8",
    ] {
        let answer = raw(reader.origin, target).await;
        let status = answer.get(..12).unwrap_or_default();
        assert!(
            ["HTTP/1.1 404", "HTTP/1.1 400"].contains(&status),
            "{target}: {answer}"
        );
    }
    // RFC 9112 §3.2.2: the absolute form has to be understood, and names no other parent.
    for target in [
        "http://elsewhere/live/main/index.m3u8",
        "http://elsewhere:1/live/main/index.m3u8?x=1",
        "/live/main/index.m3u8?",
        "/live/main/index.m3u8?a=b&c=%2e%2e&CMCD=bl%3D1&_HLS_other=1",
    ] {
        let answer = raw(reader.origin, target).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{target}: {answer}");
    }
    assert_eq!(
        asked.paths("index.m3u8"),
        1,
        "one spelling, one object, one fetch"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_argument_of_a_viewer_reaches_the_parent() {
    let stage = Stage::running(21).await;
    let asked = Asked::default();
    let parent = between(stage.reader.origin, asked.clone(), |_, text| text).await;
    let (reader, _running) = edge(&stage, parent).await;
    caught_up(&stage, &reader).await;
    for name in ["media.m3u8", "seg-1.m4s", "part-8.m4s", "dvr.m3u8"] {
        for query in [
            "secret=1",
            "_HLS_msn=1&secret=1",
            "_HLS_other=secret",
            "CMCD=sid%3D%22secret%22",
        ] {
            let answer = raw(reader.origin, &format!("/live/main/360p/{name}?{query}")).await;
            assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        }
    }
    assert_eq!(asked.queries("secret"), 0);
}

/// What may come from something that stands between an edge and its parent.
fn odd(kind: usize) -> http::Response<Full<bytes::Bytes>> {
    let body = |text: &'static str| http::Response::builder().body(Full::from(text));
    let status = |status| http::Response::builder().status(status);
    let playlist = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\npoison/media.m3u8\n";
    match kind {
        0 => body("<html>please log in</html>"),
        1 => body(""),
        2 => status(206).body(Full::from(playlist)),
        3 => status(203).body(Full::from(playlist)),
        4 => status(204).body(Full::default()),
        5 => status(302)
            .header("location", "http://elsewhere/")
            .body(Full::from(playlist)),
        6 => status(304).body(Full::default()),
        7 => status(403).body(Full::from(playlist)),
        8 => status(429).body(Full::from(playlist)),
        9 => status(500).body(Full::from(playlist)),
        _ => body("#EXTM3 not quite"),
    }
    .unwrap()
}

/// A parent before the origin that is odd until `is_well`.
async fn odd_parent(origin: SocketAddr, kind: usize, is_well: Arc<AtomicBool>) -> SocketAddr {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
    TaskTracker::new().spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let (client, is_well) = (client.clone(), Arc::clone(&is_well));
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let (client, is_well) = (client.clone(), Arc::clone(&is_well));
                async move {
                    if !is_well.load(Ordering::Relaxed) {
                        return Ok(odd(kind));
                    }
                    let uri = format!("http://{origin}{}", request.uri().path());
                    let answer = client.get(uri.parse().unwrap()).await.unwrap();
                    let (parts, body) = answer.into_parts();
                    let bytes = body.collect().await.unwrap().to_bytes();
                    let mut response = http::Response::new(Full::new(bytes));
                    *response.status_mut() = parts.status;
                    Ok::<_, Infallible>(response)
                }
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            TaskTracker::new().spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parents_odd_answers_are_no_objects_and_are_forgotten() {
    let stage = Stage::running(21).await;
    let wanted = stage.reader.get("index.m3u8").await.text();
    for kind in 0..11 {
        let is_well = Arc::new(AtomicBool::new(false));
        let parent = odd_parent(stage.reader.origin, kind, Arc::clone(&is_well)).await;
        let (reader, _running) = edge(&stage, parent).await;
        for _ in 0..2 {
            let answer = reader.get("index.m3u8").await;
            assert_eq!(answer.status, 503, "{kind}: {answer:?}");
            assert!(!answer.text().contains("poison"));
        }
        is_well.store(true, Ordering::Relaxed);
        let right = async {
            while reader.get("index.m3u8").await.status != 200 {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, right).await.expect("it is asked for again");
        assert_eq!(reader.get("index.m3u8").await.text(), wanted, "{kind}");
    }
}
