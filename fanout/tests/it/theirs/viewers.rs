//! What viewers of it see.

use std::time::Duration;

use fanout::{Config, Edge};
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::stage::{PATIENCE, Reader};

/// An edge whose only parent is this origin; `main` is what it calls it.
async fn edge_of(playlist: String) -> (Reader, DropGuard) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config: Config = toml::from_str(&format!(
        "[[sources]]\nstream = \"main\"\nplaylist = \"{playlist}\"\n"
    ))
    .unwrap();
    (config.http.listen, config.https.listen) = (any, any);
    assert_eq!(config.mistakes(), Vec::<String>::new());
    let edge = Edge::bind(config, None).await.unwrap();
    let reader = Reader {
        client: Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>(),
        origin: edge.http_address(),
    };
    let shutdown = CancellationToken::new();
    TaskTracker::new().spawn(edge.run(shutdown.clone()));
    (reader, shutdown.drop_guard())
}

/// The renditions: picture, sound.
async fn tracks(reader: &Reader) -> [String; 2] {
    let index = reader.get("index.m3u8").await;
    assert_eq!(index.status, 200, "{index:?}");
    let text = index.text();
    assert!(text.contains("#EXT-X-VENDOR:MASTER=1\n"), "{text}");
    let video = text.lines().last().unwrap();
    let audio = text.split("URI=\"").nth(1).unwrap().split('"').next().unwrap();
    [video, audio].map(|uri| uri.strip_suffix("/media.m3u8").unwrap().to_owned())
}

/// A line in two: what is a URI, and all else.
fn split(line: &str) -> (String, Option<&str>) {
    if let Some((before, rest)) = line.split_once("URI=\"") {
        let (uri, after) = rest.split_once('"').unwrap();
        return (format!("{before}URI={after}"), Some(uri));
    }
    if line.starts_with('#') {
        (line.to_owned(), None)
    } else {
        (String::new(), Some(line))
    }
}

/// Everything that a playlist lists is what the origin has under its own name; the hint excepted.
async fn all_is_the_same(reader: &Reader, origin: &Origin, track: &str, ours: &str, theirs: &str) {
    assert_eq!(ours.lines().count(), theirs.lines().count(), "{ours}\n{theirs}");
    for (ours, theirs) in ours.lines().zip(theirs.lines()) {
        let ((ours, name), (theirs, other)) = (split(ours), split(theirs));
        assert_eq!(ours, theirs);
        if let (Some(name), Some(other), false) = (name, other, ours.contains("HINT")) {
            let answer = reader.get(&format!("{track}/{name}")).await;
            let wanted = origin.find(other).await.unwrap();
            assert!(
                answer.status == 200 && answer.body == wanted,
                "{name} {}",
                answer.status
            );
        }
    }
}

/// Follows a rendition part by part, as the origin brings them out, and looks at all of it.
async fn watches(reader: Reader, origin: Origin, track: String, kind: &'static str, until: usize) {
    let mut next = *origin.out.borrow();
    while next <= until {
        let at = format!(
            "{track}/media.m3u8?_HLS_msn={}&_HLS_part={}",
            FIRST + next / PARTS,
            next % PARTS
        );
        let hinted = reader.get(&at).await;
        assert_eq!(hinted.status, 200, "{at} {hinted:?}");
        let text = hinted.text();
        let hint = text.lines().last().unwrap();
        let (_, Some(name)) = split(hint) else {
            panic!("{text}")
        };
        let part = reader.get(&format!("{track}/{name}")).await;
        // The hint is of what comes after the version, and was given as soon as it was there.
        next = *origin.out.borrow();
        assert_eq!(part.status, 200, "{name}");
        let (_, media) = media().iter().find(|(name, _)| *name == kind).unwrap();
        assert!(media.parts.iter().take(next).any(|known| *known == part.body));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_viewers_see_what_an_origin_with_other_names_has_and_it_is_asked_once() {
    let origin = Origin::new(GOOD).await;
    let (reader, _running) = edge_of(origin.master()).await;
    let [video, audio] = tracks(&reader).await;
    for track in [&video, &audio] {
        reader.playlist(track).await;
    }
    let until = 30;
    let viewers: Vec<_> = [(&video, "v"), (&audio, "a"), (&video, "v"), (&audio, "a")]
        .map(|(track, kind)| {
            TaskTracker::new().spawn(watches(
                reader.clone(),
                origin.clone(),
                track.clone(),
                kind,
                until,
            ))
        })
        .into();
    for _ in 0..until - 10 + 2 {
        sleep(Duration::from_millis(60)).await;
        origin.out.send_modify(|out| *out += 1);
    }
    for viewer in viewers {
        timeout(PATIENCE, viewer).await.unwrap().unwrap();
    }
    for (track, kind) in [(&video, "v"), (&audio, "a")] {
        let theirs = origin.playlist(kind);
        let caught_up = async {
            while reader.playlist(track).await.lines().count() != theirs.lines().count() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, caught_up).await.unwrap();
        let ours = reader.playlist(track).await;
        tokio::join!(
            all_is_the_same(&reader, &origin, track, &ours, &theirs),
            all_is_the_same(&reader, &origin, track, &ours, &theirs)
        );
    }
    let counts = origin.counts();
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert!(counts.keys().filter(|target| target.contains("chunk@")).count() > 40);
    let before = counts.len();
    for made_up in [
        "part-4611686018429435911.m4s",
        "part-7.m4s",
        "seg-2.m4s",
        "init-0000000000000001.mp4",
    ] {
        assert_eq!(
            reader.get(&format!("{video}/{made_up}")).await.status,
            404,
            "{made_up}"
        );
    }
    assert_eq!(reader.get(&format!("{video}/dvr.m3u8")).await.status, 404);
    assert_eq!(
        origin.counts().len(),
        before,
        "names nobody listed are asked of nobody"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_holds_nothing_back_is_looked_at() {
    let origin = Origin::new(Habits {
        blocks: false,
        ..GOOD
    })
    .await;
    let (reader, _running) = edge_of(origin.master()).await;
    let [video, _] = tracks(&reader).await;
    reader.playlist(&video).await;
    for _ in 0..6 {
        let next = *origin.out.borrow();
        let at = format!(
            "{video}/media.m3u8?_HLS_msn={}&_HLS_part={}",
            FIRST + next / PARTS,
            next % PARTS
        );
        origin.out.send_modify(|out| *out += 1);
        let answer = reader.get(&at).await;
        assert_eq!(answer.status, 200, "{at}");
        all_is_the_same(&reader, &origin, &video, &answer.text(), &origin.playlist("v")).await;
    }
    let counts = origin.counts();
    let media = counts.iter().filter(|(target, _)| target.starts_with("/store"));
    assert!(
        media.clone().count() > 10 && media.clone().all(|(_, count)| *count == 1),
        "{counts:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_media_playlist_plays() {
    let origin = Origin::new(GOOD).await;
    let url = format!("http://{}/event/7/pic/v.m3u8?sid=1", origin.address);
    let (reader, _running) = edge_of(url).await;
    let index = reader.get("index.m3u8").await.text();
    let track = index.lines().last().unwrap().strip_suffix("/media.m3u8").unwrap();
    let ours = reader.playlist(track).await;
    all_is_the_same(&reader, &origin, track, &ours, &origin.playlist("v")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_carried_is_refused_with_words_and_at_once() {
    for edit in [
        (|text| text.replace("#EXT-X-VERSION:9", "#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b\"")) as Edit,
        |text| text.replace("URI=\"/store", "URI=\"http://cdn.example/store"),
        |text| text.replace(",URI=\"/store/v/chunk", ",BYTERANGE=\"9@0\",URI=\"/store/v/chunk"),
        |text| text.replace("#EXT-X-MAP", "#EXT-X-NO-MAP"),
    ] {
        let origin = Origin::new(Habits { edit, ..GOOD }).await;
        let (reader, _running) = edge_of(origin.master()).await;
        let index = reader.get("index.m3u8").await;
        let answer = if index.status == 200 {
            let [video, _] = tracks(&reader).await;
            timeout(Duration::from_secs(3), reader.get(&format!("{video}/media.m3u8")))
                .await
                .unwrap()
        } else {
            index
        };
        assert_eq!(answer.status, 502, "{answer:?}");
        assert!(answer.text().contains("does not carry"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_that_is_compressed_unasked_is_not_kept_as_media() {
    let gzip = Habits {
        encoding: Some("gzip"),
        ..GOOD
    };
    let origin = Origin::new(gzip).await;
    let (reader, _running) = edge_of(origin.master()).await;
    let [video, _] = tracks(&reader).await;
    let ours = reader.playlist(&video).await;
    let init = ours
        .split("MAP:URI=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert_eq!(reader.get(&format!("{video}/{init}")).await.status, 503);
    assert_eq!(reader.get(&format!("{video}/seg-1000.m4s")).await.status, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_begins_anew_is_not_answered_for_with_what_it_had() {
    let origin = Origin::new(GOOD).await;
    origin.out.send_replace(18);
    let (reader, _running) = edge_of(origin.master()).await;
    let [video, _] = tracks(&reader).await;
    let before = reader.playlist(&video).await;
    all_is_the_same(&reader, &origin, &video, &before, &origin.playlist("v")).await;
    origin.life.store(1, Ordering::Relaxed);
    origin.out.send_replace(6);
    let believed = async {
        while reader.playlist(&video).await.contains("seg-1002") {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, believed)
        .await
        .expect("it is believed after three target durations");
    let after = reader.playlist(&video).await;
    all_is_the_same(&reader, &origin, &video, &after, &origin.playlist("v")).await;
}
