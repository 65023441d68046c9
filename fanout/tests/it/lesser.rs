//! Parents that can do less than ours, or do it wrong.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::delivery::{caught_up, edge_of};
use crate::parent::{Act, Parent};
use crate::stage::{PATIENCE, Reader, Stage, TRACKS};

async fn edge_before(stage: &Stage, parent: &Parent) -> (Reader, tokio_util::sync::DropGuard) {
    edge_of(stage, parent.address, |_| {}).await
}

fn without_delta(text: String) -> String {
    text.lines()
        .map(|line| match line.strip_prefix("#EXT-X-SERVER-CONTROL:") {
            Some(list) => {
                let kept = list.split(',').filter(|item| !item.starts_with("CAN-SKIP"));
                format!("#EXT-X-SERVER-CONTROL:{}\n", kept.collect::<Vec<_>>().join(","))
            }
            None => format!("{line}\n"),
        })
        .collect()
}

fn without_blocking(text: String) -> String {
    without_delta(text).replace("CAN-BLOCK-RELOAD=YES,", "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_without_delta_updates_and_headers_of_ours_is_asked_in_full() {
    let mut stage = Stage::running(21).await;
    let parent = Parent::of(stage.reader.origin).await;
    parent.rule(|_| Act::Edit(without_delta));
    let (reader, _running) = edge_before(&stage, &parent).await;
    caught_up(&stage, &reader).await;
    for _ in 0..5 {
        stage.feed(1).await;
        caught_up(&stage, &reader).await;
        for track in TRACKS {
            let text = without_delta(stage.reader.playlist(track).await);
            assert_eq!(reader.playlist(track).await, text);
        }
    }
    assert_eq!(parent.asked("_HLS_skip"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_without_blocking_reload_is_looked_at_every_half_a_part() {
    let mut stage = Stage::running(21).await;
    let parent = Parent::of(stage.reader.origin).await;
    parent.rule(|_| Act::Plain(without_blocking));
    let (reader, _running) = edge_before(&stage, &parent).await;
    caught_up(&stage, &reader).await;
    let (seen, since) = (parent.asked("360p/media.m3u8").len(), Instant::now());
    for _ in 0..4 {
        stage.feed(1).await;
        caught_up(&stage, &reader).await;
        sleep(Duration::from_millis(700)).await;
    }
    let polls = parent.asked("360p/media.m3u8").len() - seen;
    let parts = since.elapsed().as_secs_f64() / 0.522;
    assert!(
        (polls as f64) < parts * 2.0 + 2.0,
        "{polls} looks in {parts} parts"
    );
    assert!((polls as f64) > parts, "{polls} looks in {parts} parts");
    assert_eq!(parent.asked("_HLS_msn"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_is_listed_before_it_is_there_is_waited_for() {
    let mut stage = Stage::running(21).await;
    let parent = Parent::of(stage.reader.origin).await;
    let (reader, _running) = edge_before(&stage, &parent).await;
    caught_up(&stage, &reader).await;
    for _ in 0..3 {
        parent.rule(|path| match path.contains("/part-") {
            true => Act::Status(404),
            false => Act::Pass,
        });
        // The one that was hinted at before waits at the origin already.
        let part = format!("360p/part-{}.m4s", stage.next.0 + 1);
        stage.feed(2).await;
        caught_up(&stage, &reader).await;
        let waiting = stage.ask_of(&reader, &part);
        sleep(Duration::from_millis(600)).await;
        assert!(!waiting.is_finished(), "a 404 would be for ever");
        parent.rule(|_| Act::Pass);
        let answer = timeout(Duration::from_secs(1), waiting).await.unwrap().unwrap();
        assert_eq!(
            (answer.status, &answer.body),
            (200, &stage.reader.get(&part).await.body)
        );
        let times = parent.asked(&part).len();
        assert!((2..=8).contains(&times), "{times}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_go_back_are_held_off_for_three_target_durations() {
    let mut stage = Stage::running(21).await;
    let parent = Parent::of(stage.reader.origin).await;
    let (reader, _running) = edge_before(&stage, &parent).await;
    caught_up(&stage, &reader).await;
    // As if it had begun anew: eight segments have never been.
    parent.rule(|path| match path.contains("media.m3u8") {
        true => Act::Plain(|text| {
            let head = text.split("#EXT-X-MAP").next().unwrap().len();
            let end = text.find("#EXTINF").unwrap();
            let end = end + text[end..].find(".m4s\n").unwrap() + 5;
            format!("{}{}", &text[..head], &text[head..end])
        }),
        false => Act::Pass,
    });
    // What waits at the parent already is still answered.
    stage.feed(1).await;
    caught_up(&stage, &reader).await;
    let (newest, since) = (reader.playlist("360p").await, Instant::now());
    stage.feed(1).await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(reader.playlist("360p").await, newest, "it may be a mistake");
    let anew = async {
        while reader.playlist("360p").await.len() >= newest.len() / 2 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, anew).await.expect("it is no mistake");
    assert!(
        since.elapsed() >= Duration::from_millis(5_500),
        "{:?}",
        since.elapsed()
    );
    parent.rule(|_| Act::Pass);
    caught_up(&stage, &reader).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_that_talks_nonsense_or_nothing_leaves_the_window_as_it_is() {
    let mut stage = Stage::running(21).await;
    let parent = Parent::of(stage.reader.origin).await;
    let (reader, _running) = edge_before(&stage, &parent).await;
    caught_up(&stage, &reader).await;
    for act in [Act::Garbage, Act::Status(500), Act::Silence] {
        let before = reader.playlist("360p").await;
        parent.rule(move |path| match path.contains("media.m3u8") {
            true => act,
            false => Act::Pass,
        });
        // What waits at the parent already is still answered; the next one is not.
        stage.feed(1).await;
        sleep(Duration::from_millis(300)).await;
        let held = reader.playlist("360p").await;
        assert!(held.len() >= before.len() - 200, "{held}");
        let seen = parent.asked("360p/media.m3u8").len();
        stage.feed(2).await;
        sleep(Duration::from_secs(2)).await;
        assert_eq!(reader.playlist("360p").await, held);
        assert!(
            parent.asked("360p/media.m3u8").len() - seen <= 8,
            "it is not hammered"
        );
        parent.rule(|_| Act::Pass);
        caught_up(&stage, &reader).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_trickles_in_holds_no_version_back_for_long() {
    let mut stage = Stage::running(21).await;
    let parent = Parent::of(stage.reader.origin).await;
    parent.rule(|path| match path.contains("/part-") {
        true => Act::Trickle(100),
        false => Act::Pass,
    });
    let (reader, _running) = edge_before(&stage, &parent).await;
    caught_up(&stage, &reader).await;
    let part = format!("360p/part-{}.m4s", stage.next);
    let since = Instant::now();
    stage.feed(1).await;
    caught_up(&stage, &reader).await;
    let listed = since.elapsed();
    assert!(listed < Duration::from_secs(1), "{listed:?}");
    let answer = reader.get(&part).await;
    assert_eq!(
        (answer.status, &answer.body),
        (200, &stage.reader.get(&part).await.body)
    );
    assert_eq!(parent.asked(&part).len(), 1);
}
