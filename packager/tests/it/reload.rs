//! Playlist requests: each rule on what the origin did, and on the same with one thing wrong.

use std::time::Duration;

use hls::check::answer::{self, Exchange, Release, check};
use hls::playlist::parse;
use hls::time::{FrameRate, Grid};
use tokio::time::{Instant, timeout};

use crate::stage::{PATIENCE, Stage, TRACKS, clean, only};

/// What happens while a request waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    GoesOn,
    Ends,
    Stalls,
}

const TRACK: &str = "360p";

/// Sends a request, and sees what releases it.
async fn exchange(stage: &mut Stage, query: &str, then: Then) -> Exchange {
    exchange_with(stage, TRACK, query, then).await
}

async fn exchange_with(stage: &mut Stage, track: &str, query: &str, then: Then) -> Exchange {
    let before = stage.reader.playlist(track).await;
    let sent = Instant::now();
    let request = stage.ask(&format!("{track}/media.m3u8?{query}"));
    let mut release = Release::AtOnce;
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
            Then::Ends => stage.end().await,
            Then::Stalls => {}
        }
    }
    let answer = timeout(PATIENCE, request).await.expect("every request is answered").unwrap();
    if then == Then::Stalls && release == Release::Publication {
        release = Release::Expired(sent.elapsed());
    }
    Exchange { query: query.to_owned(), before, release, status: answer.status, body: answer.text() }
}

/// Last whole segment, and the last part with its segment.
fn position(text: &str) -> (u64, (u64, u64)) {
    let parsed = parse(text).unwrap();
    let (msn, part) = parsed.last().unwrap();
    (parsed.last_whole().unwrap().0, (msn.0, part.unwrap().0))
}

fn query(msn: u64, part: u64) -> String {
    format!("_HLS_msn={msn}&_HLS_part={part}")
}

/// The exchange follows every rule; with `change` it breaks `rule` alone.
fn judge(rule: u8, exchange: &Exchange, change: impl FnOnce(&mut Exchange)) {
    clean(&check(exchange));
    let mut mutant = exchange.clone();
    change(&mut mutant);
    only(rule, &check(&mutant));
}

fn refuse(exchange: &mut Exchange) {
    (exchange.status, exchange.release, exchange.body) = (400, Release::AtOnce, String::new());
}

fn give(exchange: &mut Exchange) {
    (exchange.status, exchange.release, exchange.body) = (200, Release::AtOnce, exchange.before.clone());
}

fn expire(exchange: &mut Exchange) {
    (exchange.status, exchange.release, exchange.body) = (503, Release::Expired(Duration::from_secs(6)), String::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_30_an_msn_waits_for_the_whole_segment() {
    for ahead in 1..=2 {
        let mut stage = Stage::running(1).await;
        let whole = position(&stage.reader.playlist(TRACK).await).0;
        let exchange = exchange(&mut stage, &format!("_HLS_msn={}", whole + ahead), Then::GoesOn).await;
        assert_eq!(position(&exchange.body).0, whole + ahead, "answered by that segment, not later");
        judge(30, &exchange, give);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_31_a_part_waits_for_that_part() {
    for (cells, part, expected) in [(1, 1, (40_000_010, 1)), (1, 3, (40_000_010, 3)), (2, 5, (40_000_011, 0))] {
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
async fn rule_33_a_part_without_msn_is_refused() {
    let mut stage = Stage::running(1).await;
    for query in ["_HLS_part=0", "_HLS_part=3&CMCD=x"] {
        judge(33, &exchange(&mut stage, query, Then::Stalls).await, give);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_34_an_msn_too_far_ahead_is_refused() {
    let mut stage = Stage::running(1).await;
    for msn in [40_000_013, 40_000_500, u64::MAX] {
        judge(34, &exchange(&mut stage, &format!("_HLS_msn={msn}"), Then::Stalls).await, expire);
        judge(34, &exchange(&mut stage, &query(msn, 0), Then::Stalls).await, expire);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_35_a_part_too_far_ahead_is_refused() {
    let mut stage = Stage::running(1).await;
    for part in [7, 8, 1_000, u64::MAX] {
        judge(35, &exchange(&mut stage, &query(40_000_010, part), Then::Stalls).await, expire);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_36_a_wait_ends_after_three_target_durations() {
    let short = Grid::new(FrameRate::new(30, 1).unwrap(), 48_000, 15, 1, 2).unwrap();
    let mut stage = Stage::start(short).await;
    stage.feed(20).await;
    let (_, (msn, part)) = position(&stage.reader.playlist(TRACK).await);
    let exchange = exchange(&mut stage, &query(msn, part + 1), Then::Stalls).await;
    judge(36, &exchange, |mutant| mutant.release = Release::Expired(Duration::from_secs(2)));
    judge(36, &exchange, |mutant| mutant.release = Release::Expired(Duration::from_secs(20)));
    judge(36, &exchange, |mutant| mutant.status = 504);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_37_an_old_number_is_answered_at_once() {
    let mut stage = Stage::running(160).await;
    let (whole, (msn, part)) = position(&stage.reader.playlist(TRACK).await);
    assert!(parse(&stage.reader.playlist(TRACK).await).unwrap().media_sequence.0 > 40_000_000);
    let mut queries: Vec<String> = [0, 1, 40_000_000, whole - 1, whole].map(|msn| format!("_HLS_msn={msn}")).to_vec();
    queries.extend([query(0, 900), query(msn - 1, 900), query(msn, part), query(msn, 0)]);
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
    for query in ["_HLS_msn=40000010", "_HLS_msn=40000011&_HLS_part=0", "_HLS_msn=90000000", "_HLS_skip=YES"] {
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
    for query in ["_HLS_msn=40000010", "_HLS_msn=40000011", "_HLS_msn=40000010&_HLS_part=1", "_HLS_msn=40000010&_HLS_part=6"] {
        let mut stage = Stage::running(1).await;
        let exchange = exchange(&mut stage, query, Then::Ends).await;
        assert!(exchange.release == Release::Publication && exchange.body.ends_with("#EXT-X-ENDLIST\n"));
        judge(39, &exchange, |mutant| mutant.status = 500);
        judge(39, &exchange, |mutant| mutant.status = 404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_40_directives_are_numbers_and_unknown_ones_are_ignored() {
    let mut stage = Stage::running(1).await;
    for query in ["_HLS_msn=-1", "_HLS_msn=1.5", "_HLS_msn=", "_HLS_msn=x&_HLS_part=1", "_HLS_msn=1&_HLS_part=-1", "_HLS_part=x"] {
        judge(40, &exchange(&mut stage, query, Then::Stalls).await, give);
    }
    for query in ["", "_HLS_new=1", "_HLS_new", "CMCD=a%3D1&x", "_HLS_skip=YES"] {
        judge(40, &exchange(&mut stage, query, Then::Stalls).await, refuse);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_41_the_same_request_has_the_same_answer() {
    let stage = Stage::running(1).await;
    let mut answers = Vec::new();
    for query in [
        "_HLS_msn=40000010&_HLS_part=0", "_HLS_part=0&_HLS_msn=40000010", "CMCD=x&_HLS_msn=40000010&_HLS_part=0",
        "_HLS_msn=40000010&_HLS_part=0", "_HLS_part=0&CMCD=y&_HLS_msn=40000010",
    ] {
        answers.push(stage.reader.get(&format!("{TRACK}/media.m3u8?{query}")).await);
    }
    assert!(answers.iter().all(|answer| answer.status == 200));
    let mut bodies: Vec<&[u8]> = answers.iter().map(|answer| &answer.body[..]).collect();
    clean(&answer::rule_41_the_same_request_has_the_same_answer(&bodies));
    bodies[3] = &bodies[3][1..];
    only(41, &answer::rule_41_the_same_request_has_the_same_answer(&bodies));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_43_an_answer_leaves_because_of_the_publication() {
    let mut stage = Stage::running(0).await;
    let (mut trips, mut slowest) = (Vec::new(), Duration::ZERO);
    for _ in 0..50 {
        let (cell, hint) = (stage.next, format!("\"part-{}.m4s\"", stage.next.next()));
        let (msn, part) = (stage.grid.msn(cell).0, stage.grid.part_index(cell).0);
        let request = stage.ask(&format!("{TRACK}/media.m3u8?{}", query(msn, part)));
        assert!(!stage.answered(&request).await, "nothing is published yet");
        stage.push(&[]).await;
        let sent = Instant::now();
        while !stage.reader.playlist(TRACK).await.contains(&hint) {
            assert!(sent.elapsed() < PATIENCE, "cell {cell} is published");
        }
        let mut overtaken = 0;
        while !request.is_finished() && overtaken < 1_000 {
            stage.reader.get("index.m3u8").await;
            overtaken += 1;
        }
        slowest = slowest.max(sent.elapsed());
        let answer = timeout(PATIENCE, request).await.unwrap().unwrap();
        assert_eq!(position(&answer.text()).1, (msn, part), "the publication it waited for, not a later one");
        trips.push(overtaken);
    }
    let judged = answer::rule_43_answers_are_caused_by_the_publication(&trips);
    assert_eq!(judged, [], "the slowest of 50 answers left {slowest:?} after the watermark");
    let polled: Vec<u32> = (0..50).map(|n| n * 7 % 300).collect();
    only(43, &answer::rule_43_answers_are_caused_by_the_publication(&polled));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_44_no_live_playlist_is_short() {
    let mut stage = Stage::usual().await;
    let request = stage.ask(&format!("{TRACK}/media.m3u8"));
    assert!(!stage.answered(&request).await, "a stream that has not begun is waited for");
    for cell in 0..16 {
        stage.feed(1).await;
        for track in TRACKS {
            let answer = stage.reader.get(&format!("{track}/media.m3u8")).await;
            clean(&answer::rule_44_no_live_playlist_is_short(answer.status, &answer.text()));
            if cell < 8 {
                let text = answer.text();
                let begun = text.find("part-").and_then(|at| text[..at].rfind("#EXT-X-PROGRAM")).unwrap();
                let head = text.find("#EXT-X-PROGRAM").unwrap();
                let unpadded = format!("{}{}", &text[..head], &text[begun..]);
                only(44, &answer::rule_44_no_live_playlist_is_short(200, &unpadded));
            }
        }
    }
    let first = timeout(PATIENCE, request).await.unwrap().unwrap();
    clean(&answer::rule_44_no_live_playlist_is_short(first.status, &first.text()));
    only(44, &answer::rule_44_no_live_playlist_is_short(500, ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_66_what_a_report_names_is_there_at_once() {
    let mut stage = Stage::running(0).await;
    for _ in 0..5 {
        for track in TRACKS {
            let reports = parse(&stage.reader.playlist(track).await).unwrap().reports;
            assert_eq!(reports.len(), 2);
            for report in reports {
                let other = report.uri.trim_start_matches("../").trim_end_matches("/media.m3u8");
                let query = query(report.last_msn.0, report.last_part.0);
                let exchange = exchange_with(&mut stage, other, &query, Then::Stalls).await;
                clean(&check(&exchange));
                clean(&answer::rule_66_what_is_reported_is_there(&exchange));
                let waited = Exchange { release: Release::Publication, ..exchange };
                only(66, &answer::rule_66_what_is_reported_is_there(&waited));
            }
        }
        stage.feed(1).await;
    }
}
