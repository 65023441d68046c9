//! What answers say beside their bytes, at the origin and, by the edge's own tests, at an edge: each rule on what is
//! answered, and on the same with one thing wrong.

use std::io::Read as _;

use hls::check::delivery::{
    Answered, Kind, check, rule_97_a_higher_bit_rate_is_never_more_urgent, rule_107_head_says_what_get_does,
};
use hls::id::Cell;
use hls::path::Object;
use http::{Method, StatusCode};
use tokio_util::task::TaskTracker;

use crate::stage::{Exact, FIRST, Reader, Stage, TRACKS, clean, only};

const GZIP: &[(&str, &str)] = &[("accept-encoding", "br, gzip;q=0.8")];

/// A stream whose window is full of segments that are far enough from the end to be skipped.
pub(crate) async fn stage() -> Stage {
    Stage::running(21).await
}

pub(crate) fn paths() -> Vec<(String, Kind)> {
    let mut paths = vec![("index.m3u8".to_owned(), Kind::Plain)];
    for track in TRACKS {
        let media = |query: &str| format!("{track}/media.m3u8{query}");
        paths.extend([
            (media(""), Kind::Plain),
            (media("?_HLS_skip=YES"), Kind::Plain),
            (media("?_HLS_skip=v2"), Kind::Plain),
            (media("?_HLS_msn=40000010&_HLS_part=0"), Kind::Directed),
            (media("?_HLS_msn=40000010&_HLS_skip=v2"), Kind::Directed),
            (
                format!("{track}/{}", Object::Part(Cell(FIRST.0 + 60)).uri()),
                Kind::Media,
            ),
            (format!("{track}/seg-40000010.m4s"), Kind::Media),
        ]);
    }
    paths
}

fn answered(exact: &Exact, kind: Kind, cached: bool, accepts_gzip: bool) -> Answered {
    let headers = exact.headers.iter();
    Answered {
        kind,
        accepts_gzip,
        cached,
        status: exact.status.as_u16(),
        headers: headers
            .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
            .collect(),
        target_duration: std::time::Duration::from_secs(2),
    }
}

fn mutant(rule: u8, good: &Answered, name: &str, value: Option<&str>) {
    let mut mutant = good.clone();
    mutant.headers.retain(|(known, _)| known != name);
    mutant
        .headers
        .extend(value.map(|value| (name.to_owned(), value.to_owned())));
    only(rule, &check(&mutant));
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes)
        .read_to_end(&mut plain)
        .unwrap();
    plain
}

/// Rules about headers of any server.
pub(crate) const RULES: [u8; 7] = [95, 97, 98, 101, 102, 103, 104];

/// Every answer by every rule, and every mutant of one rule; `cached` where the server has a parent.
pub(crate) async fn headers_are_right(wanted: u8, reader: &Reader, cached: bool) {
    let mut missed = 0;
    let mut mutant = |rule: u8, good: &Answered, name: &str, value: Option<&str>| {
        if rule == wanted {
            mutant(rule, good, name, value);
            missed += 1;
        }
    };
    for (path, kind) in paths() {
        let plain = reader.exact(Method::GET, &path, &[]).await;
        let gzip = reader.exact(Method::GET, &path, GZIP).await;
        let (said, packed) = (
            answered(&plain, kind, cached, false),
            answered(&gzip, kind, cached, true),
        );
        clean(&check(&said));
        clean(&check(&packed));
        assert_eq!(
            said.header("content-length"),
            Some(&*plain.body.len().to_string()),
            "{path}"
        );
        assert_eq!(
            packed.header("content-length"),
            Some(&*gzip.body.len().to_string()),
            "{path}"
        );
        if kind == Kind::Media {
            assert_eq!(plain.body, gzip.body, "{path}");
            mutant(95, &packed, "content-encoding", Some("gzip"));
            mutant(104, &said, "cache-control", None);
        } else {
            assert_eq!(unpacked(&gzip.body), plain.body[..], "{path}");
            mutant(95, &packed, "content-encoding", None);
            mutant(95, &said, "vary", None);
            mutant(98, &said, "cache-control", Some("max-age=60"));
        }
        mutant(97, &said, "priority", None);
        mutant(101, &said, "access-control-allow-origin", None);
        mutant(103, &said, "content-type", Some("text/html"));
        if cached {
            mutant(99, &said, "age", None);
        }
        mutant(102, &Answered { status: 307, ..said }, "location", Some("/"));
    }
    let refused = reader
        .exact(Method::GET, "360p/media.m3u8?_HLS_part=1", &[])
        .await;
    let refused = answered(&refused, Kind::Directed, cached, false);
    assert_eq!(refused.status, 400);
    mutant(98, &refused, "cache-control", Some("max-age=8"));
    assert!(missed > 5, "rule {wanted} was broken {missed} times");
}

/// The rungs of the stage are of one bit rate, so the mutant says of one that it is lower.
pub(crate) async fn urgency_follows_the_bit_rate(reader: &Reader, cached: bool) {
    let mut said = Vec::new();
    for track in ["audio", "360p", "240p"] {
        let path = format!("{track}/seg-40000010.m4s");
        let exact = reader.exact(Method::GET, &path, &[]).await;
        said.push(answered(&exact, Kind::Media, cached, false));
    }
    let rates = |audio| [(audio, &said[0]), (200_000, &said[1]), (200_000, &said[2])];
    clean(&rule_97_a_higher_bit_rate_is_never_more_urgent(&rates(100_000)));
    only(
        97,
        &rule_97_a_higher_bit_rate_is_never_more_urgent(&rates(300_000)),
    );
}

/// HEAD, OPTIONS, conditions and ranges.
pub(crate) async fn methods_and_conditions_are_right(reader: &Reader, cached: bool) {
    for (path, kind) in paths() {
        for accept in [&[][..], GZIP] {
            let get = reader.exact(Method::GET, &path, accept).await;
            let head = reader.exact(Method::HEAD, &path, accept).await;
            assert!(head.body.is_empty() && !get.body.is_empty());
            let said = |exact| answered(exact, kind, cached, !accept.is_empty());
            clean(&rule_107_head_says_what_get_does(&said(&get), &said(&head)));
            let mut mutant = said(&head);
            mutant.headers.retain(|(name, _)| name != "content-length");
            only(107, &rule_107_head_says_what_get_does(&said(&get), &mutant));

            let etag = get.headers["etag"].to_str().unwrap().to_owned();
            assert!(etag.starts_with('"'), "a strong one: {etag}");
            let mut asked = accept.to_vec();
            asked.push(("if-none-match", &etag));
            let known = reader.exact(Method::GET, &path, &asked).await;
            assert_eq!(
                (known.status, known.body.len()),
                (StatusCode::NOT_MODIFIED, 0),
                "{path}"
            );
            assert_eq!(
                (&known.headers["etag"], known.headers.get("vary")),
                (&get.headers["etag"], get.headers.get("vary"))
            );
            asked.pop();
            asked.push(("if-none-match", "\"other\""));
            assert_eq!(reader.exact(Method::GET, &path, &asked).await.body, get.body);
        }
        let preflight = reader.exact(Method::OPTIONS, &path, &[]).await;
        assert_eq!(preflight.status, StatusCode::NO_CONTENT);
        assert_eq!(
            preflight.headers["access-control-allow-methods"],
            "GET, HEAD, OPTIONS"
        );
        assert!(
            preflight.headers["access-control-allow-headers"]
                .to_str()
                .unwrap()
                .contains("range")
        );
    }
    ranges(reader).await;
}

async fn ranges(reader: &Reader) {
    let path = "360p/seg-40000010.m4s";
    let whole = reader.exact(Method::GET, path, &[]).await;
    let length = whole.body.len();
    assert_eq!(whole.headers["accept-ranges"], "bytes");
    // A segment is several parts: a range crosses their borders.
    for (first, last) in [
        (0, 0),
        (1, length - 2),
        (length / 4 - 3, length / 2 + 3),
        (0, length - 1),
    ] {
        let part = reader
            .exact(Method::GET, path, &[("range", &format!("bytes={first}-{last}"))])
            .await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(
            part.headers["content-range"],
            format!("bytes {first}-{last}/{length}")
        );
        assert_eq!(part.body, whole.body.slice(first..=last));
    }
    let beyond = reader
        .exact(Method::GET, path, &[("range", &format!("bytes={length}-"))])
        .await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.headers["content-range"], format!("bytes */{length}"));
    assert_eq!(beyond.headers["cache-control"], "public, max-age=1");
    let head = reader.exact(Method::HEAD, path, &[("range", "bytes=0-1")]).await;
    assert_eq!(head.status, StatusCode::OK);
    let playlist = reader
        .exact(Method::GET, "360p/media.m3u8", &[("range", "bytes=0-1")])
        .await;
    assert_eq!(playlist.status, StatusCode::OK);
}

/// A condition is about the answer, not about when it comes.
pub(crate) async fn a_condition_waits_like_any_request(stage: &mut Stage, reader: &Reader) {
    let now = reader.exact(Method::GET, "360p/media.m3u8", &[]).await;
    let etag = now.headers["etag"].to_str().unwrap().to_owned();
    let (msn, part) = (stage.grid.msn(stage.next).0, stage.grid.part_index(stage.next).0);
    let (asking, path) = (
        reader.clone(),
        format!("360p/media.m3u8?_HLS_msn={msn}&_HLS_part={part}"),
    );
    let waiting = TaskTracker::new().spawn(async move {
        asking
            .exact(Method::GET, &path, &[("if-none-match", &etag)])
            .await
    });
    for _ in 0..6 {
        reader.exact(Method::GET, "none", &[]).await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(!waiting.is_finished(), "what is asked for is not there yet");
    stage.feed(1).await;
    let came = waiting.await.unwrap();
    assert_eq!(came.status, StatusCode::OK);
    assert!(came.body.len() > 500 && came.body != now.body);
}
