//! What OBS is told, for what it asks with.

use hls::id::StreamId;
use hls::time::Profile;
use serde_json::{Value, json};

use super::{Asked, Doors, configure};
use crate::config::{Ladder, Rate};
use crate::ladder::Plan;

fn answer(preferences: Value, rate: &str) -> Value {
    let ladder = Ladder {
        passthrough: vec![StreamId::new("main").unwrap()],
        frame_rate: serde_json::from_value::<Rate>(json!(rate)).unwrap(),
        ..Ladder::default()
    };
    let plan = Plan::new(&ladder, Profile::Low, 2).unwrap();
    let asked = json!({
        "service": "IVS", "schema_version": "2024-06-04", "authentication": "key",
        "client": {"name": "obs-studio", "version": "31.0.0", "supported_codecs": ["h264"]},
        "preferences": preferences,
    });
    let asked: Asked = serde_json::from_value(asked).unwrap();
    let doors = Doors {
        host: "live.example".to_owned(),
        rtmp: 1935,
        rtmps: Some(1936),
    };
    serde_json::to_value(configure(&asked, &plan, "obs_x264", &doors)).unwrap()
}

fn preferences(fps: (u32, u32), canvas: (u32, u32)) -> Value {
    json!({
        "maximum_aggregate_bitrate": null, "maximum_video_tracks": null, "vod_track_audio": false,
        "width": canvas.0, "height": canvas.1, "canvas_width": canvas.0, "canvas_height": canvas.1,
        "framerate": {"numerator": fps.0, "denominator": fps.1},
    })
}

#[test]
fn every_rung_is_an_encoder_that_keeps_to_the_grid() {
    let told = answer(preferences((60, 1), (1920, 1080)), "30");
    assert_eq!(told["status"], json!({"result": "success"}));
    assert_eq!(told["meta"]["schema_version"], "2024-06-04");
    let endpoints = &told["ingest_endpoints"];
    assert_eq!(endpoints[0]["protocol"], "RTMP");
    assert_eq!(
        endpoints[1]["url_template"],
        "rtmps://live.example:1936/live/{stream_key}"
    );
    let encoders = told["encoder_configurations"].as_array().unwrap();
    let sizes: Vec<_> = encoders
        .iter()
        .map(|e| (&e["width"], &e["height"], &e["settings"]["bitrate"]))
        .collect();
    assert_eq!(
        sizes,
        [
            (&json!(640), &json!(360), &json!(800)),
            (&json!(426), &json!(240), &json!(350))
        ]
    );
    assert_eq!(encoders[0]["type"], "obs_x264");
    assert_eq!(encoders[0]["settings"]["keyint_sec"], 2);
    assert_eq!(
        encoders[1]["settings"]["x264opts"],
        "keyint=60 min-keyint=60 bframes=0 scenecut=0"
    );
    assert_eq!(
        encoders[1]["framerate"],
        json!({"numerator": 30, "denominator": 1})
    );
    let sound = json!([{"codec": "ffmpeg_aac", "track_id": 1, "channels": 2, "settings": {"bitrate": 128}}]);
    assert_eq!(told["audio_configurations"]["live"], sound);
}

#[test]
fn what_stands_in_the_way_is_said_with_what_to_set() {
    let hd = (1920, 1080);
    let with = |key: &str, value: u32| {
        let mut preferences = preferences((30, 1), hd);
        preferences[key] = json!(value);
        preferences
    };
    let cases = [
        (preferences((25, 1), hd), "30", "30 frames a second"),
        (preferences((30, 1), hd), "30000/1001", "29.97 frames a second"),
        (preferences((30, 0), hd), "30", "30 frames a second"),
        (preferences((30, 1), (480, 270)), "30", "640x360"),
        (with("maximum_video_tracks", 1), "30", "2 video tracks"),
        (with("maximum_aggregate_bitrate", 1_000), "30", "1150 kb/s"),
    ];
    for (preferences, rate, words) in cases {
        let told = answer(preferences, rate);
        assert_eq!(told["status"]["result"], "error", "{words}");
        let said = told["status"]["html_en_us"].as_str().unwrap();
        assert!(
            said.contains(words) && said.contains("Settings"),
            "`{said}` does not say `{words}`"
        );
        assert_eq!(told["encoder_configurations"], json!([]));
    }
}
