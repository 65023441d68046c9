//! The product's number: whatever the audience, the origin gives each object to an edge once.

use std::thread;

use crate::process::{Client, Up};

const VIEWERS: usize = 50;
const PARTS: usize = 8;

/// Follows one track as a player does: a blocking reload for the next part, then the part.
fn watch(edge: &str, track: &str) {
    let base = format!("/live/main/{track}");
    let mut client = Client::new(edge);
    assert_eq!(client.get("/live/main/index.m3u8").status, 200);
    let mut playlist = client.get(&format!("{base}/media.m3u8"));
    let init = quoted(&playlist.text(), "#EXT-X-MAP:URI=\"");
    assert_eq!(client.get(&format!("{base}/{init}")).status, 200);
    for _ in 0..PARTS {
        let (msn, part) = next(&playlist.text());
        playlist = client.get(&format!("{base}/media.m3u8?_HLS_msn={msn}&_HLS_part={part}"));
        assert_eq!(playlist.status, 200, "{}", playlist.text());
        assert!(playlist.header("ringside-available").is_some());
        let newest = playlist
            .text()
            .lines()
            .rfind(|line| line.starts_with("#EXT-X-PART:"))
            .unwrap()
            .to_owned();
        let part = client.get(&format!("{base}/{}", quoted(&newest, "URI=\"")));
        assert_eq!(part.status, 200);
        assert!(part.body.windows(4).any(|kind| kind == b"mdat"));
    }
}

fn quoted(text: &str, before: &str) -> String {
    text.split(before)
        .nth(1)
        .and_then(|tail| tail.split('"').next())
        .expect(before)
        .to_owned()
}

/// MSN and part of the part that follows a playlist.
fn next(text: &str) -> (u64, u64) {
    let base = text
        .lines()
        .find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"))
        .unwrap();
    let base: u64 = base.parse().unwrap();
    let mut position = (base, 0);
    for line in text.lines() {
        if line.starts_with("#EXT-X-PART:") {
            position.1 += 1;
        } else if line.starts_with("#EXTINF") {
            position = (position.0 + 1, 0);
        }
    }
    position
}

/// rfc8216bis B.1: N requests for the same part of the playlist cost one upstream request.
#[test]
fn rule_45_fifty_viewers_cost_the_origin_one_request_for_each_object() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path(), &[]);
    let edge = up.host("watch_url");
    thread::scope(|scope| {
        for n in 0..VIEWERS {
            let edge = &edge;
            scope.spawn(move || watch(edge, ["360p", "240p", "audio"][n % 3]));
        }
    });
    let [requests, objects, repeats, refusals] = ["requests", "objects", "repeats", "refusals"]
        .map(|name| up.metric(&format!("ringside_origin_{name}_total")));
    assert!(objects > (3 * PARTS) as f64, "{objects} objects");
    assert_eq!(repeats, 0.0, "an object was given twice");
    // Each of three mirrors holds two requests that are not answered yet. Refusals are the questions for the
    // multivariant playlist before the stream began.
    let held = requests - objects - refusals;
    assert!(
        (0.0..=6.0).contains(&held),
        "{requests} requests, {objects} objects, {refusals} refusals"
    );
    let written = up.metric("ringside_edge_upstream_requests_total");
    let received = up.metric("ringside_edge_upstream_objects_total");
    assert!(
        written >= requests && received >= objects,
        "the edge counts {written} and {received}"
    );
    let parked = up.metric("ringside_edge_parked_total");
    assert!(
        parked > (VIEWERS * PARTS / 2) as f64,
        "viewers waited {parked} times"
    );
    assert!(up.stop().success());
}
