//! Encoders that misbehave as ffmpeg does not: they hang without closing, their clocks jump, their sound is late.

use std::time::Duration;

use ingest::config::Ladder;

use crate::encoder::{BEEP, Encoder, FLASH, GREY, WHITE};
use crate::raw::{Raw, record};
use crate::stage::{KEY, Stage, frames_more};
use crate::viewer::{Shown, assert_together, heard, on_air, scenes, story, watched};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encoder_that_hangs_in_mid_frame_loses_its_place_and_another_takes_over() {
    let idle = Duration::from_millis(3_500);
    let stage = Stage::set_with(Ladder::default(), |config| {
        // One that hangs, and one more: were the first never closed, the last could not come in.
        config.rtmp.connections_max = 2;
        config.rtmp.media_idle_ms_max = 3_500;
    })
    .await;
    let addr = stage.ingest.ports().rtmp;
    let tags = record(WHITE, BEEP, 2);
    let mut first = Raw::publish(addr, KEY).await;
    first.play(&tags).await;
    first.begin_a_frame(2_000).await;
    let held = first.hang(&[0]).await;
    assert!(
        held > idle.mul_f32(0.8) && held < idle + Duration::from_secs(2),
        "closed after {held:?}"
    );

    let mut second = Raw::publish(addr, KEY).await;
    second.play(&tags).await;
    let ping = second.ping();
    let hanging = async {
        let held = second.hang(&ping).await;
        assert!(held < idle.mul_f32(0.8), "taken over, not timed out: {held:?}");
    };
    let third = Encoder::publish(addr, KEY, GREY, None, &[]);
    tokio::join!(hanging, frames_more(&stage.packager, 90));
    drop(third);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        let story = story(seen);
        let expected = [Shown::Test, Shown::White, Shown::Slate, Shown::White, Shown::Grey];
        assert_eq!(scenes(&story)[..5], expected, "{story:?}");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_by_an_hour_and_back_to_zero_is_not_seen() {
    let stage = Stage::set(Ladder::default()).await;
    // The lower third changes with every frame, so that a picture which stands still is told from one that moves.
    let moving = format!("{FLASH},drawbox=y=ih*2/3:color=gray:t=fill:enable='mod(n,2)'");
    let mut tags = record(&moving, BEEP, 9);
    let mut encoder = Raw::publish(stage.ingest.ports().rtmp, KEY).await;
    for tag in &mut tags {
        match tag.due_ms {
            0..3_020 => {}
            3_020..6_040 => tag.timestamp_ms += 3_600_000,
            _ => tag.timestamp_ms -= 6_040,
        }
    }
    encoder.play(&tags).await;
    drop(encoder);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        let pictures = watched(seen);
        let pictures = on_air(&pictures);
        assert!(pictures.len() > 240, "{} frames on air", pictures.len());
        let changes: Vec<u64> = pictures
            .windows(2)
            .filter(|pair| pair[0].1.low().abs_diff(pair[1].1.low()) > 40)
            .map(|pair| pair[1].0)
            .collect();
        let still = changes.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(still < Some(15), "it stood still for {still:?} frames");
        assert!(
            changes.len() * 10 > pictures.len() * 8,
            "{} changes",
            changes.len()
        );
        assert_together(seen, pictures, 6);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_sent_later_than_its_picture_is_whole_and_in_its_place() {
    const VIDEO: u8 = rtmp::chunk::kind::VIDEO;
    let stage = Stage::set(Ladder::default()).await;
    // A quiet tone between the beeps, so that silence is told from starving.
    let toned = BEEP.replace("0):s", "0)+0.05*sin(2*PI*440*t):s");
    let mut tags = record(FLASH, &toned, 9);
    for tag in tags.iter_mut().filter(|tag| tag.kind != VIDEO) {
        tag.due_ms += 120;
    }
    tags.sort_by_key(|tag| tag.due_ms);
    let mut encoder = Raw::publish(stage.ingest.ports().rtmp, KEY).await;
    encoder.play(&tags).await;
    drop(encoder);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        let pictures = watched(seen);
        let pictures = on_air(&pictures);
        assert_together(seen, pictures, 4);
        let (start, samples) = heard(seen);
        let from = usize::try_from((pictures[0].0 + 90) * 1_600 - start).unwrap();
        let blocks = samples[from..]
            .chunks(240)
            .map(|block| block.iter().fold(0.0_f32, |m, s| m.max(s.abs())));
        let levels: Vec<f32> = blocks.take(800).collect();
        let silent = levels.iter().filter(|level| **level < 0.02).count();
        assert!(
            levels.len() >= 700 && silent <= 35,
            "{silent} of {} blocks are silent",
            levels.len()
        );
    });
}
