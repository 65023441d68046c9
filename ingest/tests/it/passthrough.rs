//! Encoders whose own pictures are the rungs.

use std::time::Duration;

use feed::{Codec, Hello, Unit};
use hls::id::{Cell, StreamId, TrackId};
use ingest::config::{Ladder, Rung};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::encoder::{BEEP, Encoder, FLASH};
use crate::picture::pictures;
use crate::stage::{KEY, Stage, frames_more};

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

/// Posts what OBS posts; gives what OBS would read.
async fn ask(stage: &Stage, key: &str) -> Value {
    let to = stage
        .ingest
        .ports()
        .multitrack
        .expect("a stream is passed through");
    let asked = json!({
        "service": "IVS", "schema_version": "2024-06-04", "authentication": key,
        "client": {"name": "obs-studio", "version": "31.0.0", "supported_codecs": ["h264"]},
        "capabilities": {"cpu": {"physical_cores": 2, "logical_cores": 2}, "memory": {"total": 1, "free": 1}},
        "preferences": {
            "maximum_aggregate_bitrate": null, "maximum_video_tracks": null, "vod_track_audio": false,
            "width": 640, "height": 360, "canvas_width": 640, "canvas_height": 360,
            "framerate": {"numerator": 30, "denominator": 1},
        },
    });
    let body = asked.to_string();
    let mut socket = TcpStream::connect(to).await.unwrap();
    let head = format!(
        "POST /multitrack HTTP/1.1\r\nhost: 127.0.0.1:1\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket
        .write_all(format!("{head}{body}").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    serde_json::from_str(body).unwrap()
}

/// Does with ffmpeg what OBS does with the answer.
fn publish_as_told(told: &Value) -> Encoder {
    let mut options: Vec<String> = Vec::new();
    let encoders = told["encoder_configurations"].as_array().unwrap();
    for (track, encoder) in encoders.iter().enumerate() {
        let settings = &encoder["settings"];
        options.extend(["-map", "0:v"].map(str::to_owned));
        for (option, value) in [
            (
                format!("-s:v:{track}"),
                format!("{}x{}", encoder["width"], encoder["height"]),
            ),
            (format!("-b:v:{track}"), format!("{}k", settings["bitrate"])),
            (
                format!("-x264opts:v:{track}"),
                settings["x264opts"].as_str().unwrap().replace(' ', ":"),
            ),
        ] {
            options.extend([option, value]);
        }
    }
    options.extend(["-map", "1:a", "-ar", "48000", "-ac", "2"].map(str::to_owned));
    let endpoint = &told["ingest_endpoints"][0];
    let url = endpoint["url_template"].as_str().unwrap();
    let (scheme, rest) = url.split_once("://").unwrap();
    assert_eq!((scheme, endpoint["protocol"].as_str()), ("rtmp", Some("RTMP")));
    let (to, path) = rest.split_once('/').unwrap();
    assert_eq!(path, "live/{stream_key}");
    // OBS adds the name of the configuration to the key.
    let key = format!(
        "{KEY}?clientConfigId={}",
        told["meta"]["config_id"].as_str().unwrap()
    );
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    Encoder::enhanced(to.parse().unwrap(), &key, &[FLASH, BEEP], &options)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encoder_that_asks_for_the_ladder_and_sends_it_is_passed_on() {
    let stage = Stage::set(ladder()).await;
    let refused = ask(&stage, "wrong").await;
    assert_eq!(refused["status"]["result"], "error");
    assert!(
        refused["status"]["html_en_us"]
            .as_str()
            .unwrap()
            .contains("stream key"),
        "{refused}"
    );
    let told = ask(&stage, KEY).await;
    assert_eq!(told["status"]["result"], "success");
    let encoder = publish_as_told(&told);
    let within = Duration::from_secs(20);
    stage
        .packager
        .wait_for("passing on", within, |seen| seen.hellos.len() == 2)
        .await;
    frames_more(&stage.packager, 60).await;
    let report = stage.ingest.control().streams().await.remove(0);
    assert_eq!(report.contributions[0].passage.as_deref(), Some("passed through"));
    drop(encoder);
    stage.strike().await;
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
async fn one_picture_over_srt_is_passed_on_as_well() {
    let ladder = Ladder {
        rungs: Some(vec![rung("180p", 320, 180)]),
        ..ladder()
    };
    let stage = Stage::set(ladder).await;
    let options = [
        "-s",
        "320x180",
        "-g",
        "60",
        "-sc_threshold",
        "0",
        "-ar",
        "48000",
        "-ac",
        "2",
    ];
    let encoder = Encoder::srt(stage.ingest.ports().srt, KEY, FLASH, Some(BEEP), &options);
    let within = Duration::from_secs(20);
    stage
        .packager
        .wait_for("passing on", within, |seen| seen.hellos.len() == 2)
        .await;
    frames_more(&stage.packager, 90).await;
    drop(encoder);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        let units: Vec<Unit> = seen.units.iter().map(|(_, unit)| unit.clone()).collect();
        let passed: Vec<Unit> = of_life(&units, &seen.hellos, 1, 0).into_iter().cloned().collect();
        assert!(passed.len() >= 60 && passed[0].key);
        let shown = pictures(&seen.hellos[1].shape.tracks[0], &passed[..60]);
        assert_eq!(shown.len(), 60, "all of it is decoded");
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
