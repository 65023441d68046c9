//! Who a real edge serves when it cannot serve everybody.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};

use fanout::{Config, Control, Edge};
use http::Method;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::stage::{Exact, PATIENCE, Reader, Stage};

const WINDOW: Duration = Duration::from_millis(300);

async fn edge(stage: &Stage, set: impl FnOnce(&mut Config)) -> (Reader, Control, DropGuard) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = Config::default();
    (config.http.listen, config.https.listen) = (any, any);
    config.parents = vec![format!("http://{}", stage.reader.origin)];
    config.admission.window_ms = 300;
    set(&mut config);
    let edge = Edge::bind(config, None).await.unwrap();
    let reader = Reader {
        origin: edge.http_address(),
        ..stage.reader.clone()
    };
    let (control, shutdown) = (edge.control(), CancellationToken::new());
    TaskTracker::new().spawn(edge.run(shutdown.clone()));
    (reader, control, shutdown.drop_guard())
}

/// Somebody who was not there before, at an address of its own.
fn newcomer(reader: &Reader) -> Reader {
    static NEXT: AtomicU8 = AtomicU8::new(2);
    let mut connector = HttpConnector::new();
    connector.set_local_address(Some([127, 0, 0, NEXT.fetch_add(1, Ordering::Relaxed)].into()));
    Reader {
        client: Client::builder(TokioExecutor::new()).build::<_, Empty<bytes::Bytes>>(connector),
        ..reader.clone()
    }
}

async fn get(reader: &Reader, path: &str) -> Exact {
    reader.exact(Method::GET, path, &[]).await
}

async fn status(reader: &Reader, path: &str) -> u16 {
    get(reader, path).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panic_gives_up_recordings_then_newcomers_and_is_taken_back() {
    let mut stage = Stage::running(21).await;
    let (reader, control, _running) = edge(&stage, |_| {}).await;
    // Nothing is recorded here.
    for (path, wanted) in [
        ("index.m3u8", 200),
        ("360p/dvr.m3u8", 404),
        ("360p/media.m3u8", 200),
    ] {
        assert_eq!(status(&reader, path).await, wanted, "{path}");
    }
    assert!(control.set_panic(2));
    let began = Instant::now();
    let refused = get(&reader, "360p/dvr.m3u8").await;
    assert_eq!(refused.status, 503, "never 429: players stop at that");
    assert!(began.elapsed() < WINDOW + Duration::from_secs(5));
    let later: u32 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((2..=10).contains(&later), "{later}");
    assert_eq!(status(&newcomer(&reader), "index.m3u8").await, 200);
    assert!(control.set_panic(3));
    assert_eq!(status(&newcomer(&reader), "index.m3u8").await, 503);
    assert_eq!(status(&newcomer(&reader), "360p/media.m3u8").await, 503);
    assert_eq!(
        status(&reader, "360p/media.m3u8").await,
        200,
        "whoever watches stays"
    );
    // Who knows numbers watches, whatever the connection.
    let newest = stage.next.0 - 1;
    assert_eq!(
        status(&newcomer(&reader), &format!("360p/part-{newest}.m4s")).await,
        200
    );
    stage.feed(4).await;
    let reload = format!("360p/media.m3u8?_HLS_msn={}&_HLS_part=0", newest / 4);
    assert_eq!(status(&newcomer(&reader), &reload).await, 200);
    assert!(!control.set_panic(4));
    assert_eq!(control.report().panic, 3);
    assert!(control.set_panic(0));
    assert_eq!(status(&newcomer(&reader), "360p/dvr.m3u8").await, 404);
    assert_eq!(status(&newcomer(&reader), "index.m3u8").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_limit_of_connections_those_who_watch_are_served_and_newcomers_wait() {
    let stage = Stage::running(21).await;
    let set = |config: &mut Config| {
        config.connections_max = 20;
        config.admission.headroom_percent = 0;
    };
    let (reader, control, _running) = edge(&stage, set).await;
    assert_eq!(status(&reader, "index.m3u8").await, 200);
    assert_eq!(status(&reader, "360p/media.m3u8").await, 200);
    let mut crowd = Vec::new();
    for _ in 0..17 {
        crowd.push(TcpStream::connect(reader.origin).await.unwrap());
    }
    let load = async |wanted: fn(u32) -> bool| {
        let change = async {
            while !wanted(control.report().load_permille) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, change).await.expect("the load is measured");
    };
    load(|permille| permille >= 900).await;
    assert_eq!(status(&newcomer(&reader), "index.m3u8").await, 503);
    assert_eq!(status(&reader, "360p/media.m3u8").await, 200);
    drop(crowd);
    load(|permille| permille < 750).await;
    assert_eq!(status(&newcomer(&reader), "index.m3u8").await, 200);
}
