//! What players report, at a real edge.

use std::net::{Ipv4Addr, SocketAddr};

use fanout::{Config, Edge};
use http::{Method, Request};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::delivery::{Asked, between};
use crate::stage::{Reader, Stage};

async fn post(reader: &Reader, path: &str, body: Vec<u8>) -> u16 {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{}{path}", reader.origin))
        .header("content-type", "application/cmcd")
        .body(Full::new(bytes::Bytes::from(body)));
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request.unwrap()).await.unwrap();
    answer.status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_counted_once_wherever_they_report_and_no_report_is_part_of_a_key() {
    let stage = Stage::running(21).await;
    let asked = Asked::default();
    let parent = between(stage.reader.origin, asked.clone(), |_, text| text).await;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = Config::default();
    (config.http.listen, config.https.listen) = (any, any);
    config.parents = vec![format!("http://{parent}")];
    let edge = Edge::bind(config, None).await.unwrap();
    let (reader, control) = (
        Reader {
            origin: edge.http_address(),
            ..stage.reader.clone()
        },
        edge.control(),
    );
    let shutdown = CancellationToken::new();
    let _ends = shutdown.clone().drop_guard();
    TaskTracker::new().spawn(edge.run(shutdown));
    for viewer in 0..40 {
        let path = format!("index.m3u8?CMCD=bl%3D900%2Csid%3D%22s{viewer}%22");
        assert_eq!(reader.get(&path).await.status, 200);
    }
    assert_eq!(
        asked.paths("/live/main/index.m3u8"),
        1,
        "reports are part of no key"
    );
    assert_eq!(reader.get("360p/media.m3u8").await.status, 200);
    // The same ones again by header, others by POST, and some of a stream that nobody plays.
    for viewer in 30..50 {
        let headers = [
            ("cmcd-session", format!("sid=\"s{viewer}\"")),
            ("cmcd-object", "bs".to_owned()),
        ];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let answer = reader.exact(Method::GET, "index.m3u8", &headers).await;
        assert_eq!(answer.status, 200);
    }
    let lines: String = (45..60)
        .map(|viewer| {
            format!("cid=\"main\",sid=\"s{viewer}\",ltc=1500,e=t\ncid=\"other\",sid=\"o{viewer}\"\n")
        })
        .collect();
    assert_eq!(post(&reader, "/cmcd", lines.clone().into_bytes()).await, 204);
    assert_eq!(post(&reader, "/t/anything/cmcd", lines.into_bytes()).await, 204);
    for nonsense in [vec![0xff; 64], vec![b'a'; 1 << 20], Vec::new()] {
        assert_eq!(post(&reader, "/cmcd", nonsense).await, 204);
    }
    assert_eq!(post(&reader, "/live/main/index.m3u8", Vec::new()).await, 405);
    let viewers = control.viewers();
    let [(stream, count, sketch)] = viewers.as_slice() else {
        panic!("{} streams", viewers.len());
    };
    assert_eq!((stream.as_str(), sketch.len()), ("main", 4_096));
    assert!((58..=62).contains(count), "{count}");
}
