//! Ladders that end, and others that take over, through the feed port and over HTTP.

use std::collections::BTreeSet;

use ::bytes::Bytes;
use cmaf::read;
use hls::check::{self, Sibling};
use hls::id::{Cell, Msn};
use hls::path::Object;
use hls::playlist::{Parsed, parse};
use tokio::time::timeout;

use crate::stage::{Answer, FIRST, PATIENCE, Stage, TRACKS, clean};

async fn texts(stage: &Stage) -> Vec<String> {
    let mut texts = Vec::new();
    for track in TRACKS {
        texts.push(stage.reader.playlist(track).await);
    }
    texts
}

/// Playlists that follow these by the rules.
async fn following(stage: &Stage, last: &[String]) -> Vec<String> {
    let now = texts(stage).await;
    let uris = TRACKS.map(|track| format!("{track}/media.m3u8"));
    let all: Vec<_> = uris
        .iter()
        .zip(&now)
        .map(|(uri, text)| Sibling { uri, text })
        .collect();
    clean(&check::siblings(&all));
    now.iter().for_each(|text| clean(&check::playlist(text)));
    let pairs = last.iter().zip(&now);
    pairs.for_each(|(before, after)| clean(&check::successive(before, after)));
    now
}

async fn get(stage: &Stage, track: &str, object: Object) -> Answer {
    stage.reader.get(&format!("{track}/{}", object.uri())).await
}

async fn bytes(stage: &Stage, track: &str, object: Object) -> Bytes {
    let answer = get(stage, track, object.clone()).await;
    assert_eq!(answer.status, 200, "{track} {object:?}");
    answer.body
}

fn maps(parsed: &Parsed) -> BTreeSet<String> {
    parsed
        .segments
        .iter()
        .filter_map(|segment| segment.map.clone())
        .collect()
}

fn tags(parsed: &Parsed) -> u64 {
    parsed
        .segments
        .iter()
        .map(|segment| segment.discontinuities)
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_stays_and_the_new_ladder_follows_it() {
    let mut stage = Stage::running(1).await;
    let before = texts(&stage).await;
    let reload = stage.ask("360p/media.m3u8?_HLS_msn=40000010&_HLS_part=1");
    let hinted = stage.ask("360p/part-160000041.m4s");
    stage.restart(2, true).await;
    stage.push(&[]).await;
    assert!(
        !stage.answered(&reload).await && !stage.answered(&hinted).await,
        "nothing of the new ladder is wanted yet"
    );
    assert_eq!(texts(&stage).await, before);
    stage.push(&[]).await;
    stage.published().await;
    let answer = timeout(PATIENCE, reload).await.unwrap().unwrap();
    assert_eq!(
        (answer.status, answer.text()),
        (200, stage.reader.playlist("360p").await)
    );
    assert_eq!(
        timeout(PATIENCE, hinted).await.unwrap().unwrap().status,
        404,
        "it never came"
    );
    let mut last = following(&stage, &before).await;
    for track in TRACKS {
        let (old, cut) = (Object::Part(Cell(160_000_040)), Object::Segment(Msn(40_000_010)));
        assert_eq!(bytes(&stage, track, cut).await, bytes(&stage, track, old).await);
        for gone in [41, 42, 43] {
            let gone = Object::Part(Cell(FIRST.0 + gone));
            assert_eq!(get(&stage, track, gone).await.status, 404);
        }
        let parsed = parse(&stage.reader.playlist(track).await).unwrap();
        let maps = maps(&parsed);
        assert_eq!(
            (tags(&parsed), maps.len()),
            (1, if track == "audio" { 1 } else { 2 })
        );
        for map in maps {
            assert!(read::init(&bytes(&stage, track, Object::parse(&map).unwrap()).await).is_ok());
        }
        let mut end = 0;
        for cell in (0..=40).chain([44]) {
            let part = Object::Part(Cell(FIRST.0 + cell));
            let read = read::parts(&bytes(&stage, track, part).await).unwrap();
            assert!(read[0].decode_time >= end, "{track} {cell}");
            end = read[0].end();
        }
    }
    for _ in 0..12 {
        stage.feed(1).await;
        last = following(&stage, &last).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_ladder_follows_too_and_old_ones_leave_with_their_segments() {
    let mut stage = Stage::running(0).await;
    let mut last = texts(&stage).await;
    stage.restart(5, true).await;
    stage.feed(9).await;
    last = following(&stage, &last).await;
    stage.restart(6, false).await;
    stage.feed(5).await;
    last = following(&stage, &last).await;
    let parsed = parse(&last[0]).unwrap();
    assert_eq!(
        (tags(&parsed), maps(&parsed).len()),
        (2, 2),
        "the same bytes, the same URI"
    );
    let first = maps(&parse(&last[0]).unwrap());
    let sequence = |text: &str| parse(text).unwrap().discontinuity_sequence;
    assert_eq!(sequence(&last[0]), Some(0));
    stage.feed(280).await;
    let now = texts(&stage).await;
    assert_eq!((sequence(&now[0]), tags(&parse(&now[0]).unwrap())), (Some(2), 0));
    let current = maps(&parse(&now[0]).unwrap());
    for map in first.difference(&current) {
        assert_eq!(get(&stage, "360p", Object::parse(map).unwrap()).await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_made_anew_goes_on_within_its_life() {
    let mut stage = Stage::running(2).await;
    let before = texts(&stage).await;
    stage.reconnect(stage.next).await;
    stage.feed(1).await;
    let before = following(&stage, &before).await;
    stage.restart(3, true).await;
    stage.reconnect(Cell(0)).await;
    stage.feed(2).await;
    let before = following(&stage, &before).await;
    stage.reconnect(stage.next).await;
    stage.feed(2).await;
    let last = following(&stage, &before).await;
    assert_eq!(
        tags(&parse(&last[0]).unwrap()),
        1,
        "a connection is no discontinuity"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ladder_with_other_tracks_begins_the_stream_anew() {
    let mut stage = Stage::running(2).await;
    stage.restart_with_tracks(2).await;
    stage.feed(4).await;
    let text = stage.reader.playlist("360p").await;
    clean(&check::playlist(&text));
    assert!(!text.contains("part-1600000041") && !text.contains("audio"));
    assert_eq!(stage.reader.get("audio/media.m3u8").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_multivariant_playlist_follows_every_rule() {
    let stage = Stage::running(0).await;
    clean(&check::multivariant(&stage.reader.get("index.m3u8").await.text()));
}
