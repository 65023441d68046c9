//! Enhanced RTMP, as a current FFmpeg speaks it.

use hls::id::TrackId;
use ingest::config::{Audio, Ladder};

use crate::encoder::{BEEP, Encoder, FLASH};
use crate::stage::{KEY, Stage, frames_more};
use crate::viewer::{assert_shown, heard_on, waves};

const HEVC: &[&str] = &[
    "-c:v",
    "libx265",
    "-x265-params",
    "keyint=30:log-level=error:rc-lookahead=5:bframes=2",
];
const AV1_OPUS: &[&str] = &["-c:v", "libsvtav1", "-preset", "12", "-c:a", "libopus"];
const VP9_OPUS: &[&str] = &[
    "-c:v",
    "libvpx-vp9",
    "-deadline",
    "realtime",
    "-cpu-used",
    "8",
    "-tune",
    "0",
    "-c:a",
    "libopus",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hevc_av1_and_vp9_with_aac_and_opus_are_shown_in_step() {
    for codecs in [HEVC, AV1_OPUS, VP9_OPUS] {
        let stage = Stage::set(Ladder::default()).await;
        let encoder = Encoder::enhanced(stage.ingest.ports().rtmp, KEY, &[FLASH, BEEP], codecs);
        stage.packager.wait_for_frames(300).await;
        drop(encoder);
        let (packager, _) = stage.strike().await;
        packager.look(|seen| assert_shown(seen, 180, codecs));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_audio_track_becomes_a_rendition_of_its_own() {
    let rendition = |name: &str, language: &str| Audio {
        name: TrackId::new(name).unwrap(),
        language: Some(language.to_owned()),
        title: None,
    };
    let ladder = Ladder {
        audio: Some(vec![rendition("audio", "en"), rendition("comments", "de")]),
        ..Ladder::default()
    };
    let stage = Stage::set(ladder).await;
    let inputs = [FLASH, BEEP, "sine=frequency=440:sample_rate=48000"];
    let maps = [
        "-map", "0:v", "-map", "0:v", "-map", "1:a", "-map", "2:a", "-c:a:1", "libopus",
    ];
    let encoder = Encoder::enhanced(stage.ingest.ports().rtmp, KEY, &inputs, &maps);
    stage.packager.wait_for_frames(240).await;
    frames_more(&stage.packager, 30).await;
    drop(encoder);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        // Before it stopped: beeps of a tenth of a second on one, a steady tone on the other.
        let crossings = |id: &str| {
            let (_, samples) = heard_on(seen, id);
            let window: Vec<f32> = samples.iter().rev().skip(24_000).take(48_000).copied().collect();
            let loud = window.iter().filter(|sample| sample.abs() > 0.02).count();
            (loud, waves(&window))
        };
        let ((beeping, _), (steady, rises)) = (crossings("audio"), crossings("comments"));
        assert!(beeping < 8_000, "{beeping} loud samples of the first");
        assert!(steady > 30_000, "{steady} loud samples of the second");
        assert!((430..=450).contains(&rises), "440 Hz is {rises}");
    });
}
