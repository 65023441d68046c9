//! Several parents, and one that is far.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::delivery::{caught_up, edge_of};
use crate::parent::{Act, Parent, far};
use crate::stage::{PATIENCE, Stage, TRACKS};

/// How often each path was asked for, of these parents together.
fn counts(parents: &[&Parent], what: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for path in parents.iter().flat_map(|parent| parent.asked(what)) {
        *counts.entry(path).or_default() += 1;
    }
    counts
}

fn urls(parents: &[&Parent]) -> Vec<String> {
    parents
        .iter()
        .map(|parent| format!("http://{}", parent.address))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_parent_is_replaced_at_once_and_comes_back_when_it_has_been_well_for_a_while() {
    let mut stage = Stage::running(21).await;
    let (first, second) = (
        Parent::of(stage.reader.origin).await,
        Parent::of(stage.reader.origin).await,
    );
    let parents = urls(&[&first, &second]);
    let (reader, _running) = edge_of(&stage, first.address, |config| config.parents = parents).await;
    caught_up(&stage, &reader).await;
    for _ in 0..4 {
        stage.feed(1).await;
        caught_up(&stage, &reader).await;
    }
    assert_eq!(second.asked("").len(), 0, "nobody needs it");
    first.up(false);
    let since = Instant::now();
    stage.feed(1).await;
    caught_up(&stage, &reader).await;
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    for _ in 0..4 {
        stage.feed(1).await;
        caught_up(&stage, &reader).await;
        for track in TRACKS {
            assert_eq!(reader.playlist(track).await, stage.reader.playlist(track).await);
        }
    }
    // What was under way when it was lost, and nothing else, was asked for twice: a part of each track.
    let twice = |counts: BTreeMap<String, usize>| counts.values().filter(|count| **count > 1).count();
    assert!(twice(counts(&[&first, &second], "/part-")) <= TRACKS.len());
    assert_eq!(twice(counts(&[&second], "_HLS_msn")), 0);

    let seen = first.asked("").len();
    first.up(true);
    sleep(Duration::from_secs(1)).await;
    stage.feed(1).await;
    caught_up(&stage, &reader).await;
    let versions = |parent: &Parent| parent.asked("_HLS_msn").len();
    let trusted = versions(&first);
    let back = async {
        while versions(&first) == trusted {
            sleep(Duration::from_millis(300)).await;
            stage.feed(1).await;
            caught_up(&stage, &reader).await;
        }
    };
    timeout(PATIENCE, back)
        .await
        .expect("the better parent is asked again");
    assert!(
        since.elapsed() > Duration::from_secs(3),
        "and not at its first word"
    );
    let probes = first.asked("").len() - seen;
    assert!(probes >= 3, "{probes}");
    let before = versions(&second);
    for _ in 0..3 {
        stage.feed(1).await;
        caught_up(&stage, &reader).await;
    }
    assert_eq!(versions(&second), before, "all tracks are back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_that_compresses_unasked_is_not_believed() {
    let mut stage = Stage::running(21).await;
    let (first, second) = (
        Parent::of(stage.reader.origin).await,
        Parent::of(stage.reader.origin).await,
    );
    let parents = urls(&[&first, &second]);
    let (reader, _running) = edge_of(&stage, first.address, |config| config.parents = parents).await;
    caught_up(&stage, &reader).await;
    assert_eq!(second.asked("").len(), 0, "nobody needs it");
    first.rule(|_| Act::Encoded);
    for _ in 0..3 {
        let part = format!("360p/part-{}.m4s", stage.next);
        stage.feed(1).await;
        caught_up(&stage, &reader).await;
        assert_eq!(reader.get(&part).await.body, stage.reader.get(&part).await.body);
    }
    assert!(second.asked("_HLS_msn").len() >= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listed_part_that_is_missing_is_had_from_another_parent() {
    let mut stage = Stage::running(21).await;
    let (first, second) = (
        Parent::of(stage.reader.origin).await,
        Parent::of(stage.reader.origin).await,
    );
    first.rule(|path| match path.contains("/part-") {
        true => Act::Status(404),
        false => Act::Pass,
    });
    let parents = urls(&[&first, &second]);
    let (reader, _running) = edge_of(&stage, first.address, |config| config.parents = parents).await;
    caught_up(&stage, &reader).await;
    for _ in 0..6 {
        let part = format!("360p/part-{}.m4s", stage.next);
        stage.feed(1).await;
        caught_up(&stage, &reader).await;
        let since = Instant::now();
        let answer = reader.get(&part).await;
        assert_eq!(
            (answer.status, &answer.body),
            (200, &stage.reader.get(&part).await.body)
        );
        assert!(
            since.elapsed() < Duration::from_millis(200),
            "{:?}",
            since.elapsed()
        );
    }
    assert_eq!(
        second.asked("media.m3u8").len(),
        0,
        "the first one is well otherwise"
    );
    for count in counts(&[&second], "/part-").values() {
        assert_eq!(*count, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_that_never_answers_gives_way_to_another_one() {
    let mut stage = Stage::running(21).await;
    let (first, second) = (
        Parent::of(stage.reader.origin).await,
        Parent::of(stage.reader.origin).await,
    );
    let parents = urls(&[&first, &second]);
    let (reader, _running) = edge_of(&stage, first.address, |config| config.parents = parents).await;
    caught_up(&stage, &reader).await;
    first.rule(|_| Act::Silence);
    // What waits already is answered still.
    let mut worst = Duration::ZERO;
    for turn in 0..12 {
        let since = Instant::now();
        stage.feed(1).await;
        caught_up(&stage, &reader).await;
        if turn < 4 {
            worst = worst.max(since.elapsed());
        } else {
            assert!(
                since.elapsed() < Duration::from_millis(500),
                "{:?}",
                since.elapsed()
            );
        }
    }
    assert!(worst < Duration::from_secs(3), "{worst:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_parent_that_is_lost_leaves_the_window_and_comes_back_without_a_burst() {
    let mut stage = Stage::running(21).await;
    let parent = Parent::of(stage.reader.origin).await;
    let (reader, _running) = edge_of(&stage, parent.address, |_| {}).await;
    caught_up(&stage, &reader).await;
    let before = reader.playlist("360p").await;
    let next = format!("360p/media.m3u8?_HLS_msn={}", stage.grid.msn(stage.next).0 + 1);
    parent.up(false);
    stage.feed(40).await;
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(reader.playlist("360p").await, before, "the window stays");
    let waiting = stage.ask_of(&reader, &next);
    let seen = parent.asked("").len();
    parent.up(true);
    caught_up(&stage, &reader).await;
    assert_eq!(waiting.await.unwrap().status, 200, "who waited is answered");
    let parts = parent.asked("/part-").len();
    let all = parent.asked("").len() - seen;
    // Eight parts and a hinted one for each track, playlists, and what was tried a moment before.
    assert!(all <= TRACKS.len() * 13, "{all}: {:?}", parent.asked(""));
    assert!(parts > 0);
    let more = counts(&[&parent], "/part-")
        .into_values()
        .filter(|count| *count > 1);
    assert!(more.count() <= TRACKS.len(), "only what was under way");
}

/// From a cell's end to when a viewer of an edge has its part, of a track, milliseconds; worst and mean after `skip` cells.
async fn lateness(stage: &mut Stage, reader: &crate::stage::Reader, cells: u32, skip: u32) -> (u128, u128) {
    let part = Duration::from_millis(500);
    let mut all = Vec::new();
    let start = Instant::now();
    for n in 0..cells {
        tokio::time::sleep_until(start + part * n).await;
        let cell = stage.next;
        stage.push(&[]).await;
        let reader = reader.clone();
        let since = Instant::now();
        let listed = stage.grid.msn(cell).0;
        let index = cell.0 % 4;
        all.push(tokio_util::task::TaskTracker::new().spawn(async move {
            let query = format!("360p/media.m3u8?_HLS_msn={listed}&_HLS_part={index}");
            assert_eq!(reader.get(&query).await.status, 200);
            assert_eq!(reader.get(&format!("360p/part-{cell}.m4s")).await.status, 200);
            since.elapsed().as_millis()
        }));
    }
    let mut late = Vec::new();
    for one in all.into_iter().skip(skip as usize) {
        late.push(one.await.unwrap());
    }
    let mean = late.iter().sum::<u128>() / late.len() as u128;
    (late.into_iter().max().unwrap(), mean)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_from_far_away_is_late_by_the_way_here_alone() {
    let mut stage = Stage::running(21).await;
    let parent = Parent::of(stage.reader.origin).await;
    let way = Duration::from_millis(500);
    let address = far(parent.address, way).await;
    let (reader, _running) = edge_of(&stage, address, |_| {}).await;
    caught_up(&stage, &reader).await;
    sleep(Duration::from_secs(3)).await;
    // In a stall the same is asked for again.
    let seen = ["_HLS_msn", "/part-"].map(|what| (what, parent.asked(what).len()));
    let (worst, mean) = lateness(&mut stage, &reader, 16, 4).await;
    println!("500 ms away: mean {mean} ms, worst {worst} ms late");
    assert!(mean < 600 && worst < 750, "mean {mean} ms, worst {worst} ms");
    for (what, seen) in seen {
        let mut asked = parent.asked(what).split_off(seen);
        let all = asked.len();
        asked.sort_unstable();
        asked.dedup();
        assert_eq!(asked.len(), all, "each version and part once");
    }
}
