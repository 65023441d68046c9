//! Playlists as a player gets them, on every grid.

use hls::check::{self, Sibling};
use hls::id::Cell;
use hls::playlist::parse;
use hls::time::{Grid, Profile};

use crate::stage::{FIRST, Stage, TRACKS, UNSHOWN, clean, grid, only};

fn grids() -> Vec<Grid> {
    let mut grids = Vec::new();
    for (num, den) in [(30_000, 1_001), (30, 1), (50, 1), (60, 1)] {
        for audio in [44_100, 48_000] {
            grids.extend([Profile::Low, Profile::Ultra].map(|profile| grid(profile, num, den, audio)));
        }
    }
    grids
}

async fn texts(stage: &Stage) -> Vec<String> {
    let mut texts = Vec::new();
    for track in TRACKS {
        texts.push(stage.reader.playlist(track).await);
    }
    texts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_02_no_part_is_longer_than_the_part_target() {
    for grid in grids() {
        let mut stage = Stage::start(grid).await;
        stage.feed(23).await;
        for text in texts(&stage).await {
            clean(&check::playlist(&text));
            let target = format!("PART-TARGET={:.3}", grid.part_target().as_secs_f64());
            let shorter = grid.cell_duration().as_secs_f64() - 0.025;
            only(
                2,
                &check::playlist(&text.replace(&target, &format!("PART-TARGET={shorter:.3}"))),
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_03_inner_parts_are_long_enough() {
    for grid in grids() {
        let mut stage = Stage::start(grid).await;
        stage.feed(23).await;
        let text = stage.reader.playlist("360p").await;
        clean(&check::playlist(&text));
        let target = |seconds: f64| format!("PART-TARGET={seconds:.3}");
        let back = |seconds: f64| format!("PART-HOLD-BACK={seconds:.3}");
        let (ours, longer) = (
            grid.part_target().as_secs_f64(),
            grid.cell_duration().as_secs_f64() / 0.84,
        );
        let back_ours = back(grid.part_hold_back().as_secs_f64());
        let mutant = text
            .replace(&target(ours), &target(longer))
            .replace(&back_ours, &back(longer * 3.1));
        only(3, &check::playlist(&mutant));
        // Audio: every part is independent, so only a mutant that says otherwise can be too short.
        let audio = stage
            .reader
            .playlist("audio")
            .await
            .replace(",INDEPENDENT=YES", "");
        clean(&check::playlist(&audio));
        let longer = longer + 0.05;
        let mutant = audio
            .replace(&target(ours), &target(longer))
            .replace(&back_ours, &back(longer * 3.1));
        only(3, &check::playlist(&mutant));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn playlists_over_http_follow_every_rule_from_reload_to_reload() {
    let mut stage = Stage::usual().await;
    let mut last: Option<Vec<String>> = None;
    stage.feed_unshown().await;
    for cell in UNSHOWN..60 {
        let gaps: &[u16] = if cell % 13 == 5 { &[1] } else { &[] };
        stage.feed_with_gaps(gaps).await;
        let now = texts(&stage).await;
        let uris = TRACKS.map(|track| format!("{track}/media.m3u8"));
        let all: Vec<_> = uris
            .iter()
            .zip(&now)
            .map(|(uri, text)| Sibling { uri, text })
            .collect();
        clean(&check::siblings(&all));
        now.iter().for_each(|text| clean(&check::playlist(text)));
        let pairs = last.iter().flatten().zip(&now);
        pairs.for_each(|(before, after)| clean(&check::successive(before, after)));
        last = Some(now);
    }
}

/// What is beyond the bound becomes a gap in the end; it may neither stop the stream nor fill memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_track_that_ran_too_far_ahead_is_taken_back() {
    let mut stage = Stage::usual().await;
    let far = FIRST.0 + hls::timeline::AHEAD_CELLS_MAX + 20;
    for cell in (FIRST.0..far).map(Cell) {
        stage.push_track(0, cell, false).await;
    }
    for cell in (FIRST.0..far).map(Cell) {
        stage.push_track(1, cell, false).await;
        stage.push_track(2, cell, false).await;
    }
    stage.next = Cell(far);
    stage.feed(30).await;
    let text = stage.reader.playlist("360p").await;
    clean(&check::playlist(&text));
    assert!(
        parse(&text).unwrap().parts().all(|part| !part.gap),
        "the gaps are behind it"
    );
}
