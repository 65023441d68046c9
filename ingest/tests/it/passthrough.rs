//! Encoders whose own pictures are the rungs.

use std::time::Duration;

use feed::{Codec, Hello, Unit};
use hls::id::{Cell, StreamId, TrackId};
use ingest::config::{Ladder, Rung};

use crate::encoder::{BEEP, Encoder, FLASH};
use crate::picture::pictures;
use crate::stage::{KEY, Stage};

fn rung(name: &str, width: u32, height: u32) -> Rung {
    let text = format!("name = \"{name}\"\nwidth = {width}\nheight = {height}\nbitrate_kbps = 300");
    let mut rung: Rung = toml::from_str(&text).unwrap();
    rung.name = TrackId::new(name).unwrap();
    rung
}

fn ladder() -> Ladder {
    Ladder {
        rungs: Some(vec![rung("180p", 320, 180), rung("90p", 160, 90)]),
        passthrough: vec![StreamId::new("main").unwrap()],
        ..Ladder::default()
    }
}

/// Two pictures of the ladder's sizes and their sound.
fn publish(stage: &Stage, gop: &str) -> Encoder {
    let options = [
        "-map",
        "0:v",
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-s:v:0",
        "320x180",
        "-s:v:1",
        "160x90",
        "-g",
        gop,
        "-sc_threshold",
        "0",
        "-ar",
        "48000",
        "-ac",
        "2",
    ];
    Encoder::enhanced(stage.ingest.ports().rtmp, KEY, &[FLASH, BEEP], &options)
}

/// The units of each hello, by the epochs.
fn of_life<'a>(units: &'a [Unit], hellos: &[Hello], life: usize, track: u16) -> Vec<&'a Unit> {
    let grid = &hellos[0].shape.grid;
    let start = |hello: &Hello| grid.first_frame(Cell(hello.epoch.0));
    let from = start(&hellos[life]);
    let until = hellos.get(life + 1).map_or(u64::MAX, start);
    let units = units.iter().filter(|unit| unit.track == track);
    units.filter(|unit| (from..until).contains(&unit.time)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encoder_that_sends_the_ladder_is_passed_on_and_replaced_once_it_fails() {
    let stage = Stage::set(ladder()).await;
    let encoder = publish(&stage, "60");
    let within = Duration::from_secs(20);
    let lives = |lives: usize| move |seen: &crate::packager::Seen| seen.hellos.len() >= lives;
    stage.packager.wait_for("passing on", within, lives(2)).await;
    let second = stage.packager.look(|seen| seen.hellos[1].clone());
    let start = second.shape.grid.first_frame(Cell(second.epoch.0));
    let passed =
        move |seen: &crate::packager::Seen| seen.times(1).last().is_some_and(|time| *time > start + 150);
    stage
        .packager
        .wait_for("five seconds of it", within, passed)
        .await;
    let report = stage.ingest.control().streams().await.remove(0);
    assert_eq!(report.contributions[0].passage.as_deref(), Some("passed through"));
    drop(encoder);
    stage
        .packager
        .wait_for("the ladder again", within, lives(3))
        .await;
    let third = stage.packager.look(|seen| seen.hellos[2].clone());
    let start = third.shape.grid.first_frame(Cell(third.epoch.0));
    let slate =
        move |seen: &crate::packager::Seen| seen.times(1).last().is_some_and(|time| *time > start + 15);
    stage.packager.wait_for("the slate", within, slate).await;
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        let units: Vec<Unit> = seen.units.iter().map(|(_, unit)| unit.clone()).collect();
        assert_eq!(seen.gaps, [], "nothing is declared missing");
        let ordinals: Vec<u64> = seen.hellos.iter().map(|hello| hello.discontinuity).collect();
        assert_eq!(ordinals, [0, 1, 2]);
        let grid = seen.hellos[0].shape.grid;
        for track in 0..2 {
            let before = of_life(&units, &seen.hellos, 0, track);
            let passed = of_life(&units, &seen.hellos, 1, track);
            // No frame is missing where one takes the other's place, and the first is a key frame.
            assert_eq!(before.last().unwrap().time + 1, passed[0].time);
            assert_eq!(grid.part_index(grid.cell_of_frame(passed[0].time)).0, 0);
            for (n, unit) in passed.iter().enumerate() {
                assert_eq!(unit.time, passed[0].time + n as u64);
                assert_eq!(unit.key, n % 60 == 0, "frame {n}");
            }
            let Codec::H264 { width, .. } = seen.hellos[1].shape.tracks[usize::from(track)].codec else {
                panic!("H.264 is passed on as H.264");
            };
            assert_eq!(width, [320, 160][usize::from(track)]);
            let whole: Vec<Unit> = passed.into_iter().cloned().collect();
            let shown = pictures(&seen.hellos[1].shape.tracks[usize::from(track)], &whole[..120]);
            assert_eq!(shown.len(), 120, "all of it is decoded");
        }
        let sound = |life: usize| {
            let from = grid.first_sample(grid.first_frame(Cell(seen.hellos[life].epoch.0)));
            move |unit: &&Unit| unit.track == 2 && unit.time >= from
        };
        let first = units.iter().find(sound(1)).unwrap();
        let last = units
            .iter()
            .rev()
            .find(|unit| unit.track == 2 && unit.time < first.time)
            .unwrap();
        assert!(
            first.time - last.time <= 2 * 1_024,
            "{} and {}",
            last.time,
            first.time
        );
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_key_frames_do_not_fit_is_transcoded_and_told_why() {
    let stage = Stage::set(ladder()).await;
    let encoder = publish(&stage, "50");
    stage.packager.wait_for_frames(300).await;
    let report = stage.ingest.control().streams().await.remove(0);
    let said = report.contributions[0].passage.clone().unwrap();
    assert_eq!(
        said,
        "transcoded: video track 0 has a key frame every 50 frames; a segment of 60 needs one at its start"
    );
    drop(encoder);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        assert_eq!(seen.hellos.len(), 1);
        seen.assert_unbroken();
    });
}
