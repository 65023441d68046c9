//! What an encoder is told that cannot be taken.

use std::process::Command;

use ::bytes::Bytes;

use crate::cmafin::{Intake, KEY};
use crate::stage::Stage;

/// A track by FFmpeg, whole, of so many seconds.
fn encoded(rate: u32, seconds: u32, options: &str) -> Bytes {
    let source = format!("testsrc2=size=160x90:rate={rate}:duration={seconds}");
    let output = Command::new("ffmpeg")
        .args([
            "-hide_banner",
            "-nostdin",
            "-loglevel",
            "error",
            "-f",
            "lavfi",
            "-i",
            &source,
        ])
        .args([
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p",
            "-b:v",
            "100k",
        ])
        .args(options.split_whitespace())
        .args(["-movflags", "+frag_keyframe+empty_moov+default_base_moof+cmaf"])
        .args(["-frag_duration", "250000", "-f", "mp4", "-"])
        .output()
        .expect("ffmpeg is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout.into()
}

const GOOD: &str = "-g 30 -keyint_min 30 -sc_threshold 0 -bf 0";

fn says(answer: &(u16, String), status: u16, reason: &str) {
    assert!(answer.0 == status && answer.1.contains(reason), "{answer:?}");
    assert_eq!(answer.1.lines().count(), 1, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_wanted_and_has_to_be_right() {
    let intake = Intake::start(&["720p"]).await;
    says(
        &intake.send("POST", "main/720p.cmfv", "").await,
        401,
        "a key is wanted",
    );
    says(
        &intake.send("POST", "main/720p.cmfv?key=wrong", "").await,
        403,
        "wrong key",
    );
    says(
        &intake
            .send("POST", &format!("other/720p.cmfv?key={KEY}"), "")
            .await,
        403,
        "wrong key",
    );
    assert_eq!(
        intake.post("main/720p.cmfv", "").await,
        (200, String::new()),
        "a probe"
    );
    says(&intake.post("main/1080p.cmfv", "").await, 404, "no such track");
    says(
        &intake.post("main/720p.txt", "").await,
        404,
        "want /STREAM/TRACK.cmfv",
    );
    let (key, gone) = (format!("?key={KEY}"), (204, String::new()));
    assert_eq!(
        intake.send("DELETE", &format!("main/720p/1.m4s{key}"), "").await,
        gone
    );
    says(
        &intake.send("GET", &format!("main/720p.cmfv{key}"), "").await,
        405,
        "want POST",
    );
    assert_eq!(intake.post("main/live.mpd", "<MPD/>").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_media_are_refused() {
    let intake = Intake::start(&["720p"]).await;
    says(
        &intake.post("main/720p.cmfv", "#EXTM3U\nand so on").await,
        415,
        "not fragmented MP4",
    );
    let good = encoded(30, 2, GOOD);
    let moof = good.windows(4).position(|four| four == b"moof").unwrap() - 4;
    says(
        &intake.post("main/720p/1.m4s", good.slice(moof..)).await,
        412,
        "send the init segment first",
    );
    says(
        &intake.post("main/720p.cmfv", good.slice(..good.len() - 9)).await,
        400,
        "ends inside a box",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_that_does_not_fit_the_grid_is_told_what_to_set() {
    for (rate, seconds, options, status, reason) in [
        (
            30,
            5,
            "-g 96 -keyint_min 96 -sc_threshold 0 -bf 0",
            415,
            "key frames every 3.200 s; this stream needs one every 1.000 s: set -g 30 -keyint_min 30 -sc_threshold 0",
        ),
        (
            30,
            5,
            "-g 25 -keyint_min 25 -sc_threshold 0 -bf 0",
            415,
            "key frames every 0.833 s; this stream needs one every 1.000 s",
        ),
        (30, 5, "-g 600 -sc_threshold 0 -bf 0", 200, ""),
        (
            25,
            3,
            "-g 25 -keyint_min 25 -sc_threshold 0 -bf 0",
            415,
            "frame rate 25.000; this stream has 30.000",
        ),
        (
            60,
            3,
            "-g 60 -keyint_min 60 -sc_threshold 0 -bf 0",
            415,
            "frame rate 60.000; this stream has 30.000",
        ),
        (
            15,
            3,
            "-g 15 -keyint_min 15 -sc_threshold 0 -bf 0",
            415,
            "frame rate 15.000; this stream has 30.000",
        ),
        (
            30,
            3,
            "-g 30 -keyint_min 30 -sc_threshold 0 -bf 2 -preset veryfast",
            415,
            "set -bf 0",
        ),
        (
            30,
            20,
            GOOD,
            400,
            "ahead of real time: send it as it happens (-re)",
        ),
        (
            30,
            20,
            "-g 600 -sc_threshold 0 -bf 0",
            415,
            "key frames are missing",
        ),
    ] {
        let intake = Intake::start(&["720p"]).await;
        let answer = intake
            .post("main/720p.cmfv", encoded(rate, seconds, options))
            .await;
        if status == 200 {
            assert_eq!(answer.0, 200, "too short to say: {answer:?}");
        } else {
            says(&answer, status, reason);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_an_ingest_feeds_is_not_taken() {
    let intake = Intake::start(&["720p"]).await;
    let _fed = Stage::of((intake.feed, intake.reader.origin)).await;
    says(
        &intake.post("main/720p.cmfv", encoded(30, 1, GOOD)).await,
        409,
        "stream main comes from an ingest now",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_again_is_passed_over() {
    let intake = Intake::start(&["720p"]).await;
    let good = encoded(30, 5, GOOD);
    assert_eq!(intake.post("main/720p.cmfv", good.clone()).await.0, 200);
    let before = intake.reader.playlist("720p").await;
    assert_eq!(
        intake.post("main/720p.cmfv", good).await.0,
        200,
        "a redundant encoder"
    );
    assert_eq!(intake.reader.playlist("720p").await, before);
}
