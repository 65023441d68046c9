//! What viewers of an edge see of an event that changes its shape, or is over.

use std::time::Duration;

use hls::time::Profile;
use tokio::time::{sleep, timeout};

use crate::delivery::{caught_up, edge};
use crate::stage::{PATIENCE, Reader, Stage, grid};

/// Waits until the edge's playlist is as wanted.
async fn until(reader: &Reader, path: &str, wanted: impl Fn(&str) -> bool) -> String {
    let seen = async {
        loop {
            let text = reader.get(path).await.text();
            if wanted(&text) {
                return text;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, seen).await.expect(path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_over_becomes_its_recording_with_all_that_belongs_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let keep = |config: &mut packager::Config| config.data_dir = Some(dir.path().to_owned());
    let mut stage = Stage::set(grid(Profile::Low, 30, 1, 48_000), keep).await;
    stage.feed(200).await;
    let (reader, _running) = edge(&stage, stage.reader.origin).await;
    caught_up(&stage, &reader).await;
    let live = reader.get("index.m3u8").await.text();
    assert!(!live.contains("I-FRAME"));
    stage.end().await;
    let whole = until(&reader, "360p/media.m3u8", |text| {
        text.contains("#EXT-X-PLAYLIST-TYPE:VOD")
    })
    .await;
    assert!(whole.contains("\nseg-40000000.m4s\n"), "all since the start");
    until(&reader, "index.m3u8", |text| text.contains("/iframes.m3u8")).await;
    let frames = reader.get("360p/iframes.m3u8").await.text();
    assert_eq!(frames, stage.reader.get("360p/iframes.m3u8").await.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_ladder_of_another_shape_has_is_seen_by_those_who_come_later() {
    let mut stage = Stage::running(4).await;
    let (reader, _running) = edge(&stage, stage.reader.origin).await;
    caught_up(&stage, &reader).await;
    assert!(reader.get("index.m3u8").await.text().contains("CODECS=\"avc1"));
    let before = reader.get("index.m3u8").await.text();
    stage.restart(1, true).await;
    stage.feed(40).await;
    let now = stage.reader.get("index.m3u8").await.text();
    assert_ne!(before, now, "another level");
    until(&reader, "index.m3u8", |text| text == now).await;
}
