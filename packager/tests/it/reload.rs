//! Playlist requests: each rule on what the origin did, and on the same with one thing wrong.

use std::time::Duration;

use hls::check::answer::{Exchange, Release, check};
use hls::playlist::parse;
use hls::time::{FrameRate, Grid};
use tokio::time::{Instant, timeout};

use crate::stage::{PATIENCE, Stage, clean, only};

/// What happens while a request waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    GoesOn,
    Ends,
    Stalls,
}

pub(crate) const TRACK: &str = "360p";

/// Sends a request, and sees what releases it.
pub(crate) async fn exchange(stage: &mut Stage, query: &str, then: Then) -> Exchange {
    exchange_with(stage, TRACK, query, then).await
}

pub(crate) async fn exchange_with(stage: &mut Stage, track: &str, query: &str, then: Then) -> Exchange {
    let before = stage.reader.playlist(track).await;
    let sent = Instant::now();
    let request = stage.ask(&format!("{track}/media.m3u8?{query}"));
    let (mut release, mut ended) = (Release::AtOnce, false);
    if !stage.answered(&request).await {
        release = Release::Publication;
        match then {
            Then::GoesOn => {
                for _ in 0..20 {
                    stage.feed(1).await;
                    if stage.answered(&request).await {
                        break;
                    }
                }
            }
            Then::Ends => {
                stage.end().await;
                ended = true;
            }
            Then::Stalls => {}
        }
    }
    let answer = timeout(PATIENCE, request)
        .await
        .expect("every request is answered")
        .unwrap();
    if then == Then::Stalls && release == Release::Publication {
        release = Release::Expired(sent.elapsed());
    }
    Exchange {
        query: query.to_owned(),
        before,
        release,
        ended,
        status: answer.status,
        body: answer.text(),
    }
}

/// Last whole segment, and the last part with its segment.
pub(crate) fn position(text: &str) -> (u64, (u64, u64)) {
    let parsed = parse(text).unwrap();
    let (msn, part) = parsed.last().unwrap();
    (parsed.last_whole().unwrap().0, (msn.0, part.unwrap().0))
}

pub(crate) fn query(msn: u64, part: u64) -> String {
    format!("_HLS_msn={msn}&_HLS_part={part}")
}

/// The exchange follows every rule; with `change` it breaks `rule` alone.
pub(crate) fn judge(rule: u8, exchange: &Exchange, change: impl FnOnce(&mut Exchange)) {
    clean(&check(exchange));
    let mut mutant = exchange.clone();
    change(&mut mutant);
    only(rule, &check(&mutant));
}

pub(crate) fn refuse(exchange: &mut Exchange) {
    (exchange.status, exchange.release, exchange.body) = (400, Release::AtOnce, String::new());
}

pub(crate) fn give(exchange: &mut Exchange) {
    (exchange.status, exchange.release, exchange.body) = (200, Release::AtOnce, exchange.before.clone());
}

pub(crate) fn expire(exchange: &mut Exchange) {
    (exchange.status, exchange.release, exchange.body) =
        (503, Release::Expired(Duration::from_secs(6)), String::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_30_an_msn_waits_for_the_whole_segment() {
    for ahead in 1..=2 {
        let mut stage = Stage::running(1).await;
        let whole = position(&stage.reader.playlist(TRACK).await).0;
        let exchange = exchange(&mut stage, &format!("_HLS_msn={}", whole + ahead), Then::GoesOn).await;
        assert_eq!(
            position(&exchange.body).0,
            whole + ahead,
            "answered by that segment, not later"
        );
        judge(30, &exchange, give);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_31_a_part_waits_for_that_part() {
    for (cells, part, expected) in [
        (1, 1, (40_000_010, 1)),
        (1, 3, (40_000_010, 3)),
        (2, 5, (40_000_011, 0)),
    ] {
        let mut stage = Stage::running(cells).await;
        let exchange = exchange(&mut stage, &query(40_000_010, part), Then::GoesOn).await;
        assert_eq!(position(&exchange.body).1, expected);
        judge(31, &exchange, give);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_32_a_part_beyond_a_finished_segment_is_the_next_ones_first() {
    for part in [4, 9, 10, 1_000] {
        let mut stage = Stage::running(0).await;
        let exchange = exchange(&mut stage, &query(40_000_009, part), Then::GoesOn).await;
        assert_eq!(position(&exchange.body).1, (40_000_010, 0));
        judge(32, &exchange, refuse);
        judge(32, &exchange, give);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_36_a_wait_ends_after_three_target_durations() {
    let short = Grid::new(FrameRate::new(30, 1).unwrap(), 48_000, 15, 1, 2).unwrap();
    let mut stage = Stage::start(short).await;
    stage.feed(20).await;
    let (_, (msn, part)) = position(&stage.reader.playlist(TRACK).await);
    let exchange = exchange(&mut stage, &query(msn, part + 1), Then::Stalls).await;
    judge(36, &exchange, |mutant| {
        mutant.release = Release::Expired(Duration::from_secs(2))
    });
    judge(36, &exchange, |mutant| {
        mutant.release = Release::Expired(Duration::from_secs(20))
    });
    judge(36, &exchange, |mutant| mutant.status = 504);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_37_an_old_number_is_answered_at_once() {
    let mut stage = Stage::running(160).await;
    let (whole, (msn, part)) = position(&stage.reader.playlist(TRACK).await);
    assert!(
        parse(&stage.reader.playlist(TRACK).await)
            .unwrap()
            .media_sequence
            .0
            > 40_000_000
    );
    let mut queries: Vec<String> = [0, 1, 40_000_000, whole - 1, whole]
        .map(|msn| format!("_HLS_msn={msn}"))
        .to_vec();
    queries.extend([
        query(0, 900),
        query(msn - 1, 900),
        query(msn, part),
        query(msn, 0),
    ]);
    for query in queries {
        let exchange = exchange(&mut stage, &query, Then::Stalls).await;
        judge(37, &exchange, refuse);
        judge(37, &exchange, |mutant| mutant.release = Release::Publication);
        judge(37, &exchange, |mutant| mutant.body.truncate(200));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_38_directives_are_ignored_after_the_end() {
    let mut stage = Stage::running(1).await;
    stage.end().await;
    for query in [
        "_HLS_msn=40000010",
        "_HLS_msn=40000011&_HLS_part=0",
        "_HLS_msn=90000000",
        "_HLS_skip=YES",
    ] {
        let exchange = exchange(&mut stage, query, Then::Stalls).await;
        assert!(exchange.body.ends_with("#EXT-X-ENDLIST\n"));
        clean(&check(&exchange));
        let mut mutant = exchange;
        mutant.release = Release::Publication;
        only(38, &check(&mutant));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_39_the_end_answers_everyone_who_waits() {
    for query in [
        "_HLS_msn=40000010",
        "_HLS_msn=40000011",
        "_HLS_msn=40000010&_HLS_part=1",
        "_HLS_msn=40000010&_HLS_part=6",
    ] {
        let mut stage = Stage::running(1).await;
        let exchange = exchange(&mut stage, query, Then::Ends).await;
        assert!(exchange.release == Release::Publication && exchange.body.ends_with("#EXT-X-ENDLIST\n"));
        judge(39, &exchange, |mutant| mutant.status = 500);
        judge(39, &exchange, |mutant| mutant.body = mutant.before.clone());
        judge(39, &exchange, expire);
    }
}
