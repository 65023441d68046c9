//! Playback tokens at a real edge.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use fanout::Config;
use gate::token::{Claims, Entry, File, Matches, Signer};
use http_body_util::Empty;
use tokio::time::{sleep, timeout};

use crate::delivery::{Asked, between, edge_of};
use crate::stage::{Exact, PATIENCE, Reader, Stage};

fn key(id: &str) -> Entry {
    Entry::hs256(id, &[7; 32], 0)
}

/// As an operator's command writes it: whole or not at all.
fn write(path: &Path, keys: &[Entry]) {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, toml::to_string(&File { key: keys.to_vec() }).unwrap()).unwrap();
    std::fs::rename(&draft, path).unwrap();
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs()
}

fn token(key: &Entry, set: impl FnOnce(&mut Claims)) -> String {
    let mut claims = Claims {
        expires: Some(now() + 600),
        path: vec![Matches::Prefix("/live/main/".to_owned())],
        ..Claims::default()
    };
    set(&mut claims);
    Signer::new(key).unwrap().sign(&claims).unwrap()
}

/// Asks for a whole path, on a connection that `reader` keeps.
async fn get(reader: &Reader, path: &str) -> Exact {
    let uri = format!("http://{}{path}", reader.origin);
    let request = http::Request::get(uri).body(Empty::new()).unwrap();
    reader.send(request).await
}

async fn status(reader: &Reader, path: &str) -> u16 {
    get(reader, path).await.status.as_u16()
}

/// The same edge, from another address.
fn elsewhere(reader: &Reader) -> Reader {
    let executor = hyper_util::rt::TokioExecutor::new();
    let mut connector = hyper_util::client::legacy::connect::HttpConnector::new();
    connector.set_local_address(Some([127, 0, 0, 2].into()));
    let client =
        hyper_util::client::legacy::Client::builder(executor).build::<_, Empty<bytes::Bytes>>(connector);
    Reader {
        client,
        ..reader.clone()
    }
}

/// Waits until a path is answered so: a change of keys is in force within two seconds.
async fn becomes(reader: &Reader, path: &str, wanted: u16) {
    let change = async {
        while status(reader, path).await != wanted {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, change).await.expect("keys are read again");
}

/// URIs of a playlist, against the path it came from.
fn listed(path: &str, text: &str) -> Vec<String> {
    let folder = path.rsplit_once('/').unwrap().0;
    let quoted = text
        .lines()
        .filter_map(|line| line.split_once("URI=\"")?.1.split_once('"'));
    let plain = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let all = quoted.map(|(uri, _)| uri).chain(plain);
    let above = folder.rsplit_once('/').unwrap().0;
    let resolved = |uri: &str| match uri.strip_prefix("../") {
        Some(uri) => format!("{above}/{uri}"),
        None => format!("{folder}/{uri}"),
    };
    all.map(resolved).collect()
}

async fn guarded(
    stage: &Stage,
    keys: &[Entry],
    set: impl FnOnce(&mut Config),
) -> (Reader, tempfile::TempDir, tokio_util::sync::DropGuard) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.toml");
    if !keys.is_empty() {
        write(&file, keys);
    }
    let guard = |config: &mut Config| {
        config.tokens.keys = Some(file);
        config.tokens.grace_s = 0;
        set(config);
    };
    let (reader, running) = edge_of(stage, stage.reader.origin, guard).await;
    (reader, dir, running)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_player_with_a_token_finds_everything_below_its_prefix() {
    let stage = Stage::running(21).await;
    let (reader, _dir, _running) = guarded(&stage, &[key("a")], |_| {}).await;
    let prefix = format!("/t/{}", token(&key("a"), |_| {}));
    let start = format!("{prefix}/live/main/index.m3u8");
    let master = get(&reader, &start).await;
    assert_eq!(master.status, 200);
    let playlists = listed(&start, std::str::from_utf8(&master.body).unwrap());
    assert!(playlists.len() >= 3, "{playlists:?}");
    let mut found = 0;
    for path in &playlists {
        let playlist = get(&reader, path).await;
        assert_eq!(playlist.status, 200, "{path}");
        let objects = listed(path, std::str::from_utf8(&playlist.body).unwrap());
        // All but the hint, which is not there yet.
        for object in objects
            .iter()
            .filter(|object| !object.ends_with(&format!("part-{}.m4s", stage.next)))
        {
            assert!(object.starts_with(&prefix));
            match status(&reader, object).await {
                200 => found += 1,
                // What was before the stream's first cell is a gap.
                other => assert_eq!(other, 404, "{object}"),
            }
            let bare = object.strip_prefix(&prefix).unwrap();
            let refused = get(&reader, bare).await;
            assert_eq!(refused.status, 403, "{bare}");
            assert_eq!(refused.headers["cache-control"], "no-store");
        }
        assert_eq!(status(&reader, path.strip_prefix(&prefix).unwrap()).await, 403);
    }
    assert!(found > 20, "{found}");
    assert_eq!(status(&reader, &format!("{prefix}/watch/main")).await, 200);
    let other = format!(
        "/t/{}/live/main/index.m3u8",
        token(&key("a"), |claims| claims.path =
            vec![Matches::Prefix("/live/other/".to_owned())])
    );
    let refused = get(&reader, &other).await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.body, "the playback token is not for this stream\n");
    let near = |network: &str| {
        token(&key("a"), |claims| {
            claims.networks = Some(vec![network.parse().unwrap()])
        })
    };
    assert_eq!(
        status(
            &reader,
            &format!("/t/{}/live/main/index.m3u8", near("127.0.0.0/8"))
        )
        .await,
        200
    );
    assert_eq!(
        status(
            &reader,
            &format!("/t/{}/live/main/index.m3u8", near("192.0.2.0/24"))
        )
        .await,
        403
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_expires_in_mid_event_stops_nobody_who_plays() {
    let mut stage = Stage::running(21).await;
    let (reader, _dir, _running) = guarded(&stage, &[key("a")], |_| {}).await;
    let prefix = format!(
        "/t/{}/live/main",
        token(&key("a"), |claims| claims.expires = Some(now() + 2))
    );
    let (master, media) = (
        format!("{prefix}/index.m3u8"),
        format!("{prefix}/360p/media.m3u8"),
    );
    assert_eq!(status(&reader, &master).await, 200);
    assert_eq!(status(&reader, &media).await, 200);
    becomes(&reader, &master, 403).await;
    assert_eq!(
        get(&reader, &master).await.body,
        "the playback token has expired\n"
    );
    // Where it plays it goes on; elsewhere with what players ask for in mid-play.
    assert_eq!(status(&reader, &media).await, 200);
    let moved = elsewhere(&reader);
    assert_eq!(status(&moved, &media).await, 403, "nobody begins with it");
    let newest = stage.next.0 - 1;
    assert_eq!(
        status(&moved, &format!("{prefix}/360p/part-{newest}.m4s")).await,
        200
    );
    let msn = newest / 4;
    stage.feed(4).await;
    assert_eq!(
        status(&moved, &format!("{media}?_HLS_msn={msn}&_HLS_part=0")).await,
        200
    );
    let dead = format!(
        "/t/{}/live/main/360p/part-{newest}.m4s",
        token(&key("a"), |claims| claims.expires = Some(now() - 86_500))
    );
    assert_eq!(status(&moved, &dead).await, 403, "nobody goes on for ever");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_rotated_and_revoked_while_viewers_play() {
    let stage = Stage::running(21).await;
    let (reader, dir, _running) = guarded(&stage, &[], |_| {}).await;
    let file = dir.path().join("keys.toml");
    let part = format!("/live/main/360p/part-{}.m4s", stage.next.0 - 1);
    let (old, new) = (Entry::es256("old", 0).unwrap(), key("new"));
    let with = |entry: &Entry| format!("/t/{}{part}", token(entry, |_| {}));
    let (with_old, with_new) = (with(&old), with(&new));
    assert_eq!(status(&reader, &part).await, 200, "no key, no tokens");
    write(&file, std::slice::from_ref(&old));
    becomes(&reader, &part, 403).await;
    assert_eq!(status(&reader, &with_old).await, 200);
    assert_eq!(status(&reader, &with_new).await, 403);
    write(&file, &[old.clone(), new.clone()]);
    becomes(&reader, &with_new, 200).await;
    assert_eq!(status(&reader, &with_old).await, 200);
    let revoked = Entry {
        revoked: Some(now()),
        ..old
    };
    write(&file, &[revoked, new]);
    becomes(&reader, &with_old, 403).await;
    assert_eq!(
        get(&reader, &with_old).await.body,
        "the playback token was revoked\n"
    );
    assert_eq!(status(&reader, &with_new).await, 200);
    // A file that is damaged or gone neither locks viewers out nor lets everybody in.
    std::fs::write(&file, "[[key]]\nid = 5").unwrap();
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(
        (status(&reader, &with_new).await, status(&reader, &part).await),
        (200, 403)
    );
    std::fs::remove_file(&file).unwrap();
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(
        (status(&reader, &with_new).await, status(&reader, &part).await),
        (200, 403)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_of_an_edge_says_the_tiers_secret_and_viewers_need_tokens_at_both() {
    let stage = Stage::running(21).await;
    let secret = "0123456789abcdef";
    let share = |config: &mut Config| config.tokens.tier_secret = Some(secret.to_owned());
    let (parent, _dir, _running) = guarded(&stage, &[key("a")], share).await;
    let asked = Asked::default();
    let child = |parent: SocketAddr, secret: Option<&str>| {
        let secret = secret.map(str::to_owned);
        edge_of(&stage, parent, |config| config.tokens.tier_secret = secret)
    };
    let (open, _open) = child(parent.origin, Some(secret)).await;
    assert_eq!(status(&open, "/live/main/360p/media.m3u8").await, 200);
    let (wrong, _wrong) = child(parent.origin, Some("fedcba9876543210")).await;
    assert_ne!(status(&wrong, "/live/main/index.m3u8").await, 200);
    let (none, _none) = child(parent.origin, None).await;
    assert_ne!(status(&none, "/live/main/index.m3u8").await, 200);
    // The token goes no further than the edge it is shown to.
    let before = between(stage.reader.origin, asked.clone(), |_, text| text).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.toml");
    write(&file, &[key("a")]);
    let (last, _last) = edge_of(&stage, before, |config| config.tokens.keys = Some(file)).await;
    let path = format!("/t/{}/live/main/index.m3u8", token(&key("a"), |_| {}));
    assert_eq!(status(&last, &path).await, 200);
    assert_eq!(asked.paths("/live/main/index.m3u8"), 1);
    assert_eq!(asked.paths(&path), 0);
    let (trusting, _dir, _trusting) = guarded(&stage, &[key("a")], |config| {
        config.tokens.trusted = vec!["127.0.0.1".to_owned()]
    })
    .await;
    assert_eq!(status(&trusting, "/live/main/index.m3u8").await, 200);
}
