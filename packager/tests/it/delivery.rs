//! Headers, conditions and delta updates of the origin.

use hls::check;
use hls::check::answer::Release;
use hls::check::delta::Update;
use hls::check::fetch::{Fetch, Place};
use hls::playlist::delta;

use crate::headers;
use crate::stage::{Stage, TRACKS, clean, only};

/// A rule about headers, on every kind of answer.
async fn judge_headers(rule: u8) {
    let stage = headers::stage().await;
    headers::headers_are_right(rule, &stage.reader, false).await;
}

#[tokio::test]
async fn rule_95_playlists_are_compressed_and_media_never_is() {
    judge_headers(95).await;
}

#[tokio::test]
async fn rule_97_urgency_follows_the_bit_rate() {
    judge_headers(97).await;
    let stage = headers::stage().await;
    headers::urgency_follows_the_bit_rate(&stage.reader, false).await;
}

#[tokio::test]
async fn rule_98_answers_are_kept_as_long_as_they_may_be() {
    judge_headers(98).await;
}

#[tokio::test]
async fn rule_101_pages_may_read_what_players_need() {
    judge_headers(101).await;
}

#[tokio::test]
async fn rule_102_nothing_is_redirected() {
    judge_headers(102).await;
}

#[tokio::test]
async fn rule_103_types_are_those_of_the_medium() {
    judge_headers(103).await;
}

#[tokio::test]
async fn rule_104_media_says_how_long_it_stays() {
    judge_headers(104).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_107_head_options_and_conditions_are_answered_and_wait() {
    let mut stage = headers::stage().await;
    let reader = stage.reader.clone();
    assert_eq!(headers::RULES.len(), 7, "each is a test here");
    headers::methods_and_conditions_are_right(&reader, false).await;
    headers::a_condition_waits_like_any_request(&mut stage, &reader).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delta_updates_of_the_origin_follow_every_rule_from_reload_to_reload() {
    let mut stage = Stage::running(21).await;
    let mut before = stage.reader.playlist("360p").await;
    for _ in 0..8 {
        stage.feed(1).await;
        for track in TRACKS {
            let full = stage.reader.playlist(track).await;
            for (query, skips_dates) in [("YES", false), ("v2", true)] {
                let answer = stage
                    .reader
                    .get(&format!("{track}/media.m3u8?_HLS_skip={query}"))
                    .await;
                let update = Update {
                    full: full.clone(),
                    answer: answer.text(),
                    skips_dates,
                    old: Vec::new(),
                    removed: Vec::new(),
                };
                assert!(update.answer.contains("#EXT-X-SKIP") && update.answer.len() < full.len());
                clean(&check::delta::check(&update));
                if track == "360p" {
                    assert_eq!(delta::merge(&before, &update.answer).as_ref(), Ok(&full));
                }
            }
            if track == "360p" {
                before = full;
            }
        }
    }
    stage.end().await;
    let ended = stage
        .reader
        .get("360p/media.m3u8?_HLS_skip=v2&_HLS_msn=1")
        .await
        .text();
    assert_eq!(ended, stage.reader.playlist("360p").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_78_a_removed_segment_stays_for_as_long_as_it_was_listed() {
    let stage = Stage::running(200).await;
    let (grid, text) = (stage.grid, stage.reader.playlist("240p").await);
    let listed = hls::playlist::parse(&text).unwrap();
    let segment = grid.cell_duration() * grid.segment_parts();
    let window = segment * u32::try_from(listed.segments.len()).unwrap();
    let mut seen = 0;
    for msn in 40_000_000..listed.media_sequence.0 {
        let left = u32::try_from(listed.media_sequence.0 - msn - 1).unwrap();
        let answer = stage.reader.get(&format!("240p/seg-{msn}.m4s")).await;
        let fetch = Fetch {
            place: Place::Left(segment * left, window - segment * 2),
            release: Release::AtOnce,
            status: answer.status,
            complete: answer.length == Some(answer.body.len()),
            target_duration: grid.target_duration(),
            advance_part_limit: 6,
        };
        clean(&check::fetch::check(&fetch));
        if segment * left < window - segment * 2 {
            only(78, &check::fetch::check(&Fetch { status: 404, ..fetch }));
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen} removed segments");
}
