//! Two encoders for one stream: the backup is cut in when the primary falters, and nobody sees it in the playlists.

use std::time::Duration;

use ingest::config::Ladder;
use ingest::{Choice, Role};

use crate::encoder::{BEEP, Encoder, GREY, WHITE};
use crate::stage::{KEY, Stage, frames_more};
use crate::viewer::{Shown, scenes, story};

/// Waits until an encoder of `role` is on air.
async fn on_air(stage: &Stage, role: Role) {
    let until = tokio::time::Instant::now() + Duration::from_secs(15);
    while stage.ingest.control().streams().await[0].role != Some(role) {
        assert!(tokio::time::Instant::now() < until, "{role:?} never came on air");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_over_rtmp_is_relieved_by_a_backup_over_srt_and_takes_its_place_again() {
    let stage = Stage::set_with(Ladder::default(), |config| config.return_ms = 1_000).await;
    let ports = stage.ingest.ports();
    let primary = Encoder::publish(ports.rtmp, KEY, WHITE, Some(BEEP), &[]);
    on_air(&stage, Role::Primary).await;
    let id = format!("#!::m=publish,s={KEY},role=backup");
    let backup = Encoder::srt(ports.srt, &id, GREY, Some(BEEP), &["-c:v", "libx265"]);
    // Both are decoded; only one is seen.
    frames_more(&stage.packager, 120).await;
    primary.signal("-STOP");
    on_air(&stage, Role::Backup).await;
    frames_more(&stage.packager, 30).await;
    primary.signal("-CONT");
    on_air(&stage, Role::Primary).await;
    frames_more(&stage.packager, 30).await;
    let (control, main) = (stage.ingest.control(), hls::id::StreamId::new("main").unwrap());
    assert!(control.choose(&main, Choice::Backup).await);
    on_air(&stage, Role::Backup).await;
    frames_more(&stage.packager, 30).await;
    drop(backup);
    frames_more(&stage.packager, 90).await;
    assert!(control.choose(&main, Choice::Auto).await);
    on_air(&stage, Role::Primary).await;
    frames_more(&stage.packager, 60).await;
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        let story = story(seen);
        let shown = scenes(&story);
        let (white, grey) = (Shown::White, Shown::Grey);
        assert_eq!(
            shown,
            [Shown::Test, white, grey, white, grey, Shown::Slate, white],
            "{story:?}"
        );
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_over_rtmp_says_so_behind_its_key() {
    let stage = Stage::set(Ladder::default()).await;
    let rtmp = stage.ingest.ports().rtmp;
    let _primary = Encoder::publish(rtmp, KEY, WHITE, None, &[]);
    on_air(&stage, Role::Primary).await;
    let _backup = Encoder::publish(rtmp, &format!("{KEY}?role=backup"), GREY, None, &[]);
    frames_more(&stage.packager, 90).await;
    let report = stage.ingest.control().streams().await.remove(0);
    let roles: Vec<Role> = report.contributions.iter().map(|one| one.role).collect();
    assert_eq!(
        (roles, report.role),
        (vec![Role::Primary, Role::Backup], Some(Role::Primary))
    );
    stage.strike().await;
}
