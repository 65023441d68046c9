//! Encoders that speak SRT, real ones, against the whole ingest.

use std::time::Duration;

use ingest::config::Ladder;

use crate::encoder::{BEEP, Encoder, FLASH, GREY, WHITE};
use crate::stage::{KEY, Stage, frames_more};
use crate::viewer::{Shown, assert_shown, scenes, story};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flash_and_its_beep_stay_together_over_srt() {
    for video in [["-c:v", "libx264"], ["-c:v", "libx265"]] {
        let stage = Stage::set(Ladder::default()).await;
        let encoder = Encoder::srt(stage.ingest.ports().srt, KEY, FLASH, Some(BEEP), &video);
        stage.packager.wait_for_frames(330).await;
        drop(encoder);
        let (packager, _) = stage.strike().await;
        packager.look(|seen| assert_shown(seen, 200, video));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_ids_are_read_as_encoders_write_them_and_wrong_ones_refused() {
    let stage = Stage::set(Ladder::default()).await;
    let addr = stage.ingest.ports().srt;
    for wrong in [
        "wrong-key",
        "#!::m=publish,s=wrong",
        "#!::m=request,r=main,s=right-key",
    ] {
        let encoder = Encoder::srt(addr, wrong, WHITE, None, &["-t", "8"]);
        let (content, said) = encoder.ended(Duration::from_secs(10)).await;
        assert!(!content, "{wrong}: {said}");
    }
    let id = format!("#!::m=publish,r=main,u=obs,s={KEY}");
    let first = Encoder::srt(addr, &id, WHITE, None, &[]);
    frames_more(&stage.packager, 120).await;
    // The newest takes over, whatever it speaks.
    let second = Encoder::publish(stage.ingest.ports().rtmp, KEY, GREY, None, &[]);
    let (_, _) = first.ended(Duration::from_secs(8)).await;
    frames_more(&stage.packager, 60).await;
    drop(second);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        let story = story(seen);
        let scenes = scenes(&story);
        assert_eq!(&scenes[..2], [Shown::Test, Shown::White], "{story:?}");
        assert_eq!(scenes.last(), Some(&Shown::Grey), "{story:?}");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_stream_wants_its_passphrase() {
    let stage = Stage::set_with(Ladder::default(), |config| {
        config.srt.passphrase = Some("correct-horse".to_owned());
    })
    .await;
    let addr = stage.ingest.ports().srt;
    for wrong in ["", "&passphrase=battery-staple"] {
        let encoder = Encoder::srt_with(addr, KEY, wrong, WHITE, None, &["-t", "8"]);
        let (content, said) = encoder.ended(Duration::from_secs(10)).await;
        assert!(!content, "{wrong}: {said}");
    }
    let secret = "&passphrase=correct-horse";
    let encoder = Encoder::srt_with(addr, KEY, secret, WHITE, None, &[]);
    frames_more(&stage.packager, 120).await;
    drop(encoder);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        assert!(scenes(&story(seen)).contains(&Shown::White));
    });
}
