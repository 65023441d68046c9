//! Media under AES-128, from a packager through an edge.

use bytes::Bytes;
use cmaf::protect::Key;
use hls::check;
use hls::path::KeyId;
use hls::playlist::{ParsedSegment, parse};
use hls::time::Profile;
use http::Method;
use packager::config;

use crate::delivery::{Asked, between, caught_up, edge};
use crate::stage::{Reader, Stage, grid};

async fn stage(method: config::Method) -> Stage {
    let encryption = config::Encryption {
        method,
        rotate_segments: 3,
        master_secret: Some("0123456789abcdef0123456789abcdef".to_owned()),
        serve_keys: true,
        ..config::Encryption::default()
    };
    let set = |config: &mut packager::Config| config.encryption = encryption;
    let mut stage = Stage::set(grid(Profile::Low, 30, 1, 48_000), set).await;
    stage.feed(47).await;
    stage
}

/// The key of a segment, from where its playlist says.
async fn key(reader: &Reader, segment: &ParsedSegment) -> (String, Key) {
    let list = segment.key.as_deref().unwrap();
    let uri = list.split("URI=\"../").nth(1).unwrap().split('"').next().unwrap();
    let answer = reader.exact(Method::GET, uri, &[]).await;
    assert_eq!(answer.status, 200, "{uri}");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["content-type"], "application/octet-stream");
    let iv = list.split("IV=0x").nth(1).unwrap().get(..32).unwrap();
    let key = Key {
        kid: KeyId::parse(uri.strip_prefix("key-").unwrap()).unwrap().0,
        key: answer.body.as_ref().try_into().unwrap(),
        iv: u128::from_str_radix(iv, 16).unwrap().to_be_bytes(),
    };
    (uri.to_owned(), key)
}

async fn bytes(reader: &Reader, uri: &str) -> Bytes {
    let answer = reader.get(&format!("360p/{uri}")).await;
    assert_eq!(answer.status, 200, "{uri}");
    answer.body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_90_parts_and_segments_open_with_keys_that_an_edge_fetches_once() {
    let mut stage = stage(config::Method::Aes128).await;
    let clear = Stage::running(15).await;
    let asked = Asked::default();
    let parent = between(stage.reader.origin, asked.clone(), |_, text| text).await;
    let (reader, _running) = edge(&stage, parent).await;
    caught_up(&stage, &reader).await;
    // Two segments whose parts the edge gets one by one, and could join.
    for _ in 0..8 {
        stage.feed(1).await;
        caught_up(&stage, &reader).await;
    }
    let text = reader.playlist("360p").await;
    assert_eq!(check::playlist(&text), []);
    assert_eq!(check::features(&text), []);
    let segments = parse(&text).unwrap().segments;
    let whole = segments
        .iter()
        .filter(|segment| segment.uri.is_some() && !segment.gap);
    let (mut uris, mut with_parts) = (std::collections::BTreeSet::new(), 0);
    for segment in whole {
        let (uri, key) = key(&reader, segment).await;
        uris.insert(uri);
        let uri = segment.uri.as_deref().unwrap();
        let sealed = bytes(&reader, uri).await;
        assert_eq!(
            sealed,
            bytes(&stage.reader, uri).await,
            "an edge does not make a segment of parts"
        );
        let wanted = bytes(&clear.reader, uri).await;
        assert_eq!(key.open(&sealed).unwrap(), wanted);
        let mut joined = Vec::new();
        for part in &segment.parts {
            joined.extend(key.open(&bytes(&reader, &part.uri).await).unwrap());
        }
        with_parts += usize::from(!segment.parts.is_empty());
        assert!(segment.parts.is_empty() || joined == wanted);
    }
    assert!(uris.len() > 2 && with_parts > 1, "{uris:?}, {with_parts}");
    for uri in &uris {
        assert_eq!(asked.paths(uri), 1, "{uri}");
    }
    let unknown = format!("key-{}", KeyId([7; 16]));
    assert_eq!(reader.get(&unknown).await.status, 404);
    assert_eq!(clear.reader.get(&unknown).await.status, 404);
}
