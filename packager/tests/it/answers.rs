//! Answers compared with one another, with the publication, and with what was reported.

use std::time::Duration;

use hls::check::answer::{self, Exchange, Release, check};
use hls::playlist::parse;
use tokio::time::{Instant, timeout};

use crate::reload::{TRACK, Then, exchange_with, position, query};
use crate::stage::{PATIENCE, Stage, TRACKS, UNSHOWN, clean, only};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_41_the_same_request_has_the_same_answer() {
    let stage = Stage::running(1).await;
    let mut answers = Vec::new();
    for query in [
        "_HLS_msn=40000010&_HLS_part=0",
        "_HLS_part=0&_HLS_msn=40000010",
        "CMCD=x&_HLS_msn=40000010&_HLS_part=0",
        "_HLS_msn=40000010&_HLS_part=0",
        "_HLS_part=0&CMCD=y&_HLS_msn=40000010",
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
        assert_eq!(
            position(&answer.text()).1,
            (msn, part),
            "the publication it waited for, not a later one"
        );
        trips.push(overtaken);
    }
    let judged = answer::rule_43_answers_are_caused_by_the_publication(&trips);
    assert_eq!(
        judged,
        [],
        "the slowest of 50 answers left {slowest:?} after the watermark"
    );
    let polled: Vec<u32> = (0..50).map(|n| n * 7 % 300).collect();
    only(
        43,
        &answer::rule_43_answers_are_caused_by_the_publication(&polled),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_44_no_live_playlist_is_short() {
    let mut stage = Stage::usual().await;
    let request = stage.ask(&format!("{TRACK}/media.m3u8"));
    assert!(
        !stage.answered(&request).await,
        "a stream that has not begun is waited for"
    );
    stage.feed_unshown().await;
    assert!(
        !stage.answered(&request).await,
        "nobody can start within PART-HOLD-BACK of the end yet"
    );
    for cell in UNSHOWN..16 {
        stage.feed(1).await;
        for track in TRACKS {
            let answer = stage.reader.get(&format!("{track}/media.m3u8")).await;
            clean(&answer::rule_44_no_live_playlist_is_short(
                answer.status,
                &answer.text(),
            ));
            if cell < 8 {
                let text = answer.text();
                let begun = text
                    .find("part-")
                    .and_then(|at| text[..at].rfind("#EXT-X-PROGRAM"))
                    .unwrap();
                let head = text.find("#EXT-X-PROGRAM").unwrap();
                let unpadded = format!("{}{}", &text[..head], &text[begun..]);
                only(44, &answer::rule_44_no_live_playlist_is_short(200, &unpadded));
            }
        }
    }
    let first = timeout(PATIENCE, request).await.unwrap().unwrap();
    clean(&answer::rule_44_no_live_playlist_is_short(
        first.status,
        &first.text(),
    ));
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
                let other = report
                    .uri
                    .trim_start_matches("../")
                    .trim_end_matches("/media.m3u8");
                let query = query(report.last_msn.0, report.last_part.unwrap().0);
                let exchange = exchange_with(&mut stage, other, &query, Then::Stalls).await;
                clean(&check(&exchange));
                clean(&answer::rule_66_what_is_reported_is_there(&exchange));
                let waited = Exchange {
                    release: Release::Publication,
                    ..exchange
                };
                only(66, &answer::rule_66_what_is_reported_is_there(&waited));
            }
        }
        stage.feed(1).await;
    }
}
