//! Requests for parts and segments: each rule on what the origin did, and on the same with one thing wrong.

use hls::check::answer::Release;
use hls::check::fetch::{Fetch, Place, check};
use hls::id::Cell;
use hls::path::Object;
use hls::playlist::parse;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::stage::{Answer, FIRST, PATIENCE, Stage, TRACKS, clean, only};

fn part(track: &str, cell: Cell) -> String {
    format!("{track}/{}", Object::Part(cell).uri())
}

/// What became of a request; where it got bytes, they are those of a later request.
async fn fetched(
    stage: &Stage,
    path: &str,
    place: Place,
    release: Release,
    request: JoinHandle<Answer>,
) -> Fetch {
    let answer = timeout(PATIENCE, request)
        .await
        .expect("every request is answered")
        .unwrap();
    let again = if answer.status == 200 {
        Some(stage.reader.get(path).await)
    } else {
        None
    };
    let complete = answer.length == Some(answer.body.len()) && again.is_none_or(|again| again == answer);
    Fetch {
        place,
        release,
        status: answer.status,
        complete,
        target_duration: stage.grid.target_duration(),
        advance_part_limit: 6,
    }
}

/// A request that is answered without anything happening.
async fn at_once(stage: &Stage, path: &str, place: Place) -> Fetch {
    let request = stage.ask(path);
    fetched(stage, path, place, Release::AtOnce, request).await
}

fn judge(rule: u8, fetch: &Fetch, change: impl FnOnce(&mut Fetch)) {
    clean(&check(fetch));
    let mut mutant = fetch.clone();
    change(&mut mutant);
    only(rule, &check(&mutant));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_13_a_part_stays_for_three_target_durations_after_its_tag() {
    let stage = Stage::running(90).await;
    let grid = stage.grid;
    let limit = grid.target_duration() * 3;
    // A tag goes when its segment is the fourth from the end, the one that comes next included.
    let gone = grid.cell_duration() * grid.segment_parts() * 2;
    let edge = grid.first_frame(stage.next);
    let mut seen = 0;
    for track in TRACKS {
        let text = stage.reader.playlist(track).await;
        for cell in (FIRST.0..stage.next.0).map(Cell) {
            let segment_end = grid.first_frame(grid.first_cell(grid.msn(cell).next()));
            let from_end = grid.frame_time(edge.saturating_sub(segment_end));
            let listed = text.contains(&format!("\"{}\"", Object::Part(cell).uri()));
            assert_eq!(listed, from_end < gone, "{cell} is {from_end:?} from the end");
            if listed || from_end > gone + limit {
                continue;
            }
            let fetch = at_once(&stage, &part(track, cell), Place::Removed(from_end - gone)).await;
            judge(13, &fetch, |mutant| mutant.status = 404);
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen} removed parts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_16_what_is_listed_is_given_at_once() {
    let mut stage = Stage::running(1).await;
    stage.feed_with_gaps(&[0, 2]).await;
    stage.feed(4).await;
    for track in TRACKS {
        let listed = parse(&stage.reader.playlist(track).await).unwrap();
        let parts = listed
            .parts()
            .filter(|part| !part.gap)
            .map(|part| part.uri.clone());
        let segments = listed
            .segments
            .iter()
            .filter(|segment| !segment.gap)
            .filter_map(|segment| segment.uri.clone());
        let uris: Vec<String> = parts.chain(segments).collect();
        assert!(uris.len() > 15, "{}", uris.len());
        for uri in uris {
            let fetch = at_once(&stage, &format!("{track}/{uri}"), Place::Listed).await;
            judge(16, &fetch, |mutant| mutant.status = 404);
            judge(16, &fetch, |mutant| mutant.release = Release::Publication);
            judge(16, &fetch, |mutant| mutant.complete = false);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_58_a_hinted_part_waits_and_comes_whole() {
    let mut stage = Stage::running(0).await;
    for _ in 0..5 {
        for track in TRACKS {
            let hint = parse(&stage.reader.playlist(track).await)
                .unwrap()
                .hints
                .remove(0);
            let path = format!("{track}/{hint}");
            let request = stage.ask(&path);
            assert!(
                !stage.answered(&request).await,
                "nothing is sent before the part is there"
            );
            stage.feed(1).await;
            let fetch = fetched(&stage, &path, Place::Hinted, Release::Publication, request).await;
            judge(58, &fetch, |mutant| mutant.complete = false);
            judge(58, &fetch, |mutant| mutant.release = Release::AtOnce);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_59_a_near_part_waits_and_a_far_one_is_unknown() {
    let mut stage = Stage::running(2).await;
    for track in TRACKS {
        for ahead in [7, 8, 1_000_000] {
            let fetch = at_once(
                &stage,
                &part(track, Cell(stage.next.0 - 1 + ahead)),
                Place::Ahead(ahead),
            )
            .await;
            judge(59, &fetch, |mutant| mutant.status = 200);
        }
        let newest = stage.next.0 - 1;
        let asked: Vec<_> = (2..=6)
            .map(|ahead| (ahead, part(track, Cell(newest + ahead))))
            .collect();
        let asked: Vec<_> = asked
            .into_iter()
            .map(|(ahead, path)| (ahead, stage.ask(&path), path))
            .collect();
        for (_, request, _) in &asked {
            assert!(!stage.answered(request).await, "a near part is waited for");
        }
        stage.feed(6).await;
        for (ahead, request, path) in asked {
            let fetch = fetched(&stage, &path, Place::Ahead(ahead), Release::Publication, request).await;
            judge(59, &fetch, |mutant| {
                (mutant.status, mutant.release) = (404, Release::AtOnce)
            });
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_60_a_part_that_will_not_come_is_unknown_at_once() {
    let mut stage = Stage::running(2).await;
    for ends in [false, true] {
        let path = part("240p", stage.next);
        let request = stage.ask(&path);
        assert!(!stage.answered(&request).await);
        if ends {
            stage.end().await;
        } else {
            stage.feed_with_gaps(&[1]).await;
        }
        assert!(stage.answered(&request).await, "nothing is left to wait for");
        let fetch = fetched(&stage, &path, Place::Dropped, Release::Publication, request).await;
        judge(60, &fetch, |mutant| mutant.release = Release::Expired(PATIENCE));
        judge(60, &fetch, |mutant| mutant.status = 503);
    }
}
