//! Headers, conditions and delta updates of an edge.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fanout::{Config, Edge};
use hls::check;
use hls::check::delta::Update;
use hls::playlist::delta;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::headers;
use crate::stage::{PATIENCE, Reader, Stage, TRACKS, clean};

/// An edge of this parent, and who reads from it.
pub(crate) async fn edge(stage: &Stage, parent: SocketAddr) -> (Reader, DropGuard) {
    edge_of(stage, parent, |_| {}).await
}

/// The same, set otherwise.
pub(crate) async fn edge_of(
    stage: &Stage,
    parent: SocketAddr,
    set: impl FnOnce(&mut Config),
) -> (Reader, DropGuard) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = Config::default();
    (config.http.listen, config.https.listen) = (any, any);
    config.parents = vec![format!("http://{parent}")];
    set(&mut config);
    let edge = Edge::bind(config, None).await.unwrap();
    let reader = Reader {
        origin: edge.http_address(),
        ..stage.reader.clone()
    };
    let shutdown = CancellationToken::new();
    TaskTracker::new().spawn(edge.run(shutdown.clone()));
    (reader, shutdown.drop_guard())
}

/// Waits until all tracks of the edge are where the origin is.
pub(crate) async fn caught_up(stage: &Stage, reader: &Reader) {
    let hint = format!("\"part-{}.m4s\"", stage.next);
    let all = async {
        for track in TRACKS {
            while !reader.playlist(track).await.contains(&hint) {
                sleep(Duration::from_millis(1)).await;
            }
        }
    };
    timeout(PATIENCE, all).await.expect("the edge follows its parent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_99_an_edge_says_the_age_and_all_else_that_the_origin_does() {
    let mut stage = headers::stage().await;
    let (reader, _running) = edge(&stage, stage.reader.origin).await;
    caught_up(&stage, &reader).await;
    for rule in headers::RULES.into_iter().chain([99]) {
        headers::headers_are_right(rule, &reader, true).await;
    }
    headers::urgency_follows_the_bit_rate(&reader, true).await;
    headers::methods_and_conditions_are_right(&reader, true).await;
    headers::a_condition_waits_like_any_request(&mut stage, &reader).await;
}

/// What a parent that only passes on was asked for.
#[derive(Clone, Default)]
pub(crate) struct Asked(Arc<Mutex<Vec<(String, String)>>>);

impl Asked {
    /// Requests for paths that end like this.
    pub(crate) fn paths(&self, end: &str) -> usize {
        let asked = self.0.lock().unwrap();
        asked.iter().filter(|(path, _)| path.ends_with(end)).count()
    }

    /// Requests whose query has this in it.
    pub(crate) fn queries(&self, text: &str) -> usize {
        let asked = self.0.lock().unwrap();
        asked.iter().filter(|(_, query)| query.contains(text)).count()
    }

    fn of(&self, track: &str) -> Vec<String> {
        let asked = self.0.lock().unwrap();
        let own = asked
            .iter()
            .filter(|(path, _)| path.contains(&format!("/{track}/media.m3u8")));
        own.map(|(_, query)| query.clone()).collect()
    }
}

/// A parent before the origin that writes down what it is asked, and spoils the delta updates that `spoil` says.
pub(crate) async fn between(
    origin: SocketAddr,
    asked: Asked,
    spoil: fn(usize, String) -> String,
) -> SocketAddr {
    let socket = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let address = socket.local_addr().unwrap();
    let client =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
    TaskTracker::new().spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let (client, asked) = (client.clone(), asked.clone());
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let (client, asked) = (client.clone(), asked.clone());
                async move {
                    let uri = format!("http://{origin}{}", request.uri().path_and_query().unwrap());
                    let query = request.uri().query().unwrap_or_default().to_owned();
                    let number = {
                        let mut all = asked.0.lock().unwrap();
                        all.push((request.uri().path().to_owned(), query.clone()));
                        all.len()
                    };
                    let (parts, body) = client.get(uri.parse().unwrap()).await?.into_parts();
                    let bytes = body.collect().await.unwrap().to_bytes();
                    let bytes = if query.contains("_HLS_skip") && parts.status == 200 {
                        spoil(number, String::from_utf8(bytes.to_vec()).unwrap()).into()
                    } else {
                        bytes
                    };
                    let mut response = http::Response::new(Full::new(bytes));
                    *response.status_mut() = parts.status;
                    Ok::<_, hyper_util::client::legacy::Error>(response)
                }
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            TaskTracker::new().spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_asks_for_delta_updates_and_gives_the_parents_text() {
    let mut stage = Stage::running(21).await;
    let asked = Asked::default();
    let parent = between(stage.reader.origin, asked.clone(), |_, text| {
        assert!(text.contains("#EXT-X-SKIP"));
        text
    })
    .await;
    let (reader, _running) = edge(&stage, parent).await;
    caught_up(&stage, &reader).await;
    let mut before = reader.playlist("audio").await;
    for _ in 0..9 {
        stage.feed(1).await;
        caught_up(&stage, &reader).await;
        for track in TRACKS {
            let full = stage.reader.playlist(track).await;
            assert_eq!(reader.playlist(track).await, full);
            for (query, skips_dates) in [("YES", false), ("v2", true)] {
                let answer = reader.get(&format!("{track}/media.m3u8?_HLS_skip={query}")).await;
                let update = Update {
                    full: full.clone(),
                    answer: answer.text(),
                    skips_dates,
                    old: Vec::new(),
                    removed: Vec::new(),
                };
                assert!(update.answer.contains("#EXT-X-SKIP"));
                clean(&check::delta::check(&update));
                if track == "audio" {
                    assert_eq!(delta::merge(&before, &update.answer).as_ref(), Ok(&full));
                }
            }
            if track == "audio" {
                before = full;
            }
        }
    }
    for track in TRACKS {
        let (first, later) = asked
            .of(track)
            .split_first()
            .map(|(f, l)| (f.clone(), l.to_vec()))
            .unwrap();
        assert_eq!(first, "", "nothing is here that could be skipped");
        assert!(
            later.len() >= 9 && later.iter().all(|query| query.ends_with("&_HLS_skip=YES")),
            "{later:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delta_update_that_does_not_fit_is_asked_for_in_full() {
    let mut stage = Stage::running(21).await;
    let asked = Asked::default();
    let parent = between(stage.reader.origin, asked.clone(), |number, text| {
        match number % 2 {
            0 => text.replace("SKIPPED-SEGMENTS=", "SKIPPED-SEGMENTS=9"),
            _ => text,
        }
    })
    .await;
    let (reader, _running) = edge(&stage, parent).await;
    caught_up(&stage, &reader).await;
    for _ in 0..12 {
        stage.feed(1).await;
        caught_up(&stage, &reader).await;
        for track in TRACKS {
            assert_eq!(reader.playlist(track).await, stage.reader.playlist(track).await);
        }
    }
    let all: Vec<String> = TRACKS.iter().flat_map(|track| asked.of(track)).collect();
    let in_full = all
        .iter()
        .filter(|query| query.contains("_HLS_msn") && !query.contains("_HLS_skip"));
    assert!(in_full.count() >= 3, "{all:?}");
}
