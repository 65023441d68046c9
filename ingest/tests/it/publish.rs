//! Encoders come, go, stall and return; the feed goes on.

use std::time::Duration;

use ingest::config::Ladder;

use crate::encoder::{BEEP, Encoder, FLASH, GREY, WHITE};
use crate::picture::Luma;
use crate::stage::{KEY, Stage, frames_more};
use crate::viewer::{Shown, assert_shown, heard, scenes, story, watched};

const SINE: &str = "sine=frequency=440:sample_rate=44100";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flash_and_its_beep_stay_together() {
    let stage = Stage::set(Ladder::default()).await;
    let encoder = Encoder::publish(stage.ingest.ports().rtmp, KEY, FLASH, Some(BEEP), &[]);
    stage.packager.wait_for_frames(270).await;
    drop(encoder);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| assert_shown(seen, 150, "H.264"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_is_refused_in_words_and_the_stream_goes_on() {
    let stage = Stage::set(Ladder::default()).await;
    let encoder = Encoder::publish(stage.ingest.ports().rtmp, "wrong-key", WHITE, None, &["-t", "8"]);
    let (content, said) = encoder.ended(Duration::from_secs(10)).await;
    assert!(
        !content && said.contains("unknown stream key"),
        "ffmpeg said: {said}"
    );
    frames_more(&stage.packager, 5).await;
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        assert_eq!(scenes(&story(seen)), [Shown::Test]);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reordered_frames_and_no_sound() {
    let stage = Stage::set(Ladder::default()).await;
    let ramp = "color=c=black:s=320x180:r=30,geq=lum='20+mod(N,45)*4':cb=128:cr=128";
    let options = [
        "-an",
        "-tune",
        "animation",
        "-bf",
        "2",
        "-x264-params",
        "b-adapt=0:scenecut=0",
    ];
    let encoder = Encoder::publish(stage.ingest.ports().rtmp, KEY, ramp, None, &options);
    stage.packager.wait_for_frames(240).await;
    drop(encoder);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        let pictures = watched(seen);
        let lumas = pictures
            .iter()
            .filter(|(_, p)| !p.has_clock())
            .map(|(_, p)| i16::from(p.middle()));
        let lumas: Vec<i16> = lumas.skip(30).collect();
        assert!(lumas.len() > 60, "{} frames on air", lumas.len());
        let steps = || lumas.windows(2).map(|pair| pair[1] - pair[0]);
        let back = steps().filter(|step| (-100..-2).contains(step)).count();
        let even = steps().filter(|step| (1..=7).contains(step)).count();
        assert_eq!(back, 0, "frames out of order: {lumas:?}");
        assert!(
            even * 10 >= lumas.len() * 8,
            "frames repeated or dropped: {lumas:?}"
        );
        let (_, samples) = heard(seen);
        let silent = samples
            .iter()
            .rev()
            .take(48_000)
            .all(|sample| sample.abs() < 0.001);
        assert!(silent, "silence where an encoder has no sound");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encoder_dies_and_quite_another_one_comes() {
    let stage = Stage::set(Ladder::default()).await;
    let addr = stage.ingest.ports().rtmp;
    let first = Encoder::publish(addr, KEY, WHITE, Some(BEEP), &[]);
    stage.packager.wait_for_frames(150).await;
    drop(first);
    frames_more(&stage.packager, 45).await;
    let second = Encoder::publish(addr, KEY, GREY, Some(SINE), &["-ac", "1"]);
    frames_more(&stage.packager, 120).await;
    drop(second);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        let story = story(seen);
        assert_eq!(
            scenes(&story),
            [Shown::Test, Shown::White, Shown::Slate, Shown::Grey],
            "{story:?}"
        );
        let (_, samples) = heard(seen);
        let level = samples
            .iter()
            .rev()
            .skip(12_000)
            .take(4_800)
            .fold(0.0_f32, |m, s| m.max(s.abs()));
        assert!(
            (0.05..0.3).contains(&level),
            "the second encoder's tone at {level}"
        );
        let crossings = samples.iter().rev().skip(12_000).take(24_000).collect::<Vec<_>>();
        let crossings = crossings
            .windows(2)
            .filter(|pair| (*pair[0] < 0.0) != (*pair[1] < 0.0))
            .count();
        assert!(
            (430..450).contains(&crossings),
            "440 Hz has 440 crossings in half a second, not {crossings}"
        );
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_encoder_takes_over_at_once() {
    let stage = Stage::set(Ladder::default()).await;
    let addr = stage.ingest.ports().rtmp;
    let first = Encoder::publish(addr, KEY, WHITE, None, &[]);
    stage.packager.wait_for_frames(120).await;
    let _second = Encoder::publish(addr, KEY, GREY, None, &[]);
    let (content, _) = first.ended(Duration::from_secs(5)).await;
    assert!(!content, "the older one is closed");
    frames_more(&stage.packager, 60).await;
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        let story = story(seen);
        let scenes = scenes(&story);
        assert_eq!(
            (scenes[..2].to_vec(), scenes.last()),
            (vec![Shown::Test, Shown::White], Some(&Shown::Grey))
        );
        let slate: usize = story
            .iter()
            .filter(|(shown, _)| *shown == Shown::Slate)
            .map(|(_, n)| n)
            .sum();
        assert!(slate < 60, "{story:?}");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ten_second_stall_shows_the_slate_and_then_the_encoder_again() {
    let stage = Stage::set(Ladder::default()).await;
    let encoder = Encoder::publish(stage.ingest.ports().rtmp, KEY, FLASH, Some(BEEP), &[]);
    stage.packager.wait_for_frames(150).await;
    encoder.signal("-STOP");
    frames_more(&stage.packager, 300).await;
    encoder.signal("-CONT");
    frames_more(&stage.packager, 210).await;
    drop(encoder);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        let pictures = watched(seen);
        let is_flash = |p: &Luma| !p.has_clock() && p.middle() > 180;
        let flashes: Vec<usize> = (1..pictures.len())
            .filter(|n| is_flash(&pictures[*n].1) && !is_flash(&pictures[n - 1].1))
            .collect();
        let stall = flashes
            .windows(2)
            .find(|pair| pair[1] - pair[0] > 200)
            .expect("a stall was seen");
        let before: Vec<usize> = flashes.iter().copied().filter(|n| *n <= stall[0]).collect();
        let after: Vec<usize> = flashes.iter().copied().filter(|n| *n >= stall[1]).collect();
        assert!(before.len() >= 2 && after.len() >= 4, "flashes at {flashes:?}");
        let regular = after[1..]
            .windows(2)
            .all(|pair| (28..=32).contains(&(pair[1] - pair[0])));
        assert!(regular, "flashes after the stall at {after:?}");
        // Three seconds into the stall the card with its words is shown: neither black nor white.
        let card = &pictures[stall[0] + 100].1;
        assert!(
            (20.0..60.0).contains(&card.mean()) && card.spread() > 100,
            "{} {}",
            card.mean(),
            card.spread()
        );
    });
}
