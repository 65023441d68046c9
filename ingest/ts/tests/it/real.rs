//! Streams of ffmpeg's and GStreamer's muxers: same count, times, sizes and key flags as ffprobe reads.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use ts::{AudioCodec, Codec, Counters, Event, Medium, VideoCodec};

use crate::oracle::{command, compare, demux, tracks};

const ADTS: usize = 7;
const PICTURE: &str = "-f lavfi -i testsrc2=s=320x180:r=30:d=3";
const SOUND: &str = "-f lavfi -i sine=r=48000:d=3";
const X264: &str = "-c:v libx264 -preset veryfast -g 30";
const AAC: &str = "-c:a aac";

/// Encodes a file; the folder goes with the first value.
fn encode(arguments: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    command(dir.path(), &format!("ffmpeg -v error -y {arguments} out.ts"));
    let file = dir.path().join("out.ts");
    (dir, file)
}

/// Compares with ffprobe and wants no error of any kind.
fn clean(file: &Path, header: usize, slack: u64) -> (Vec<Event>, Counters) {
    let (events, counters) = compare(file, header, slack);
    let expected = Counters {
        packets: counters.packets,
        pcr: counters.pcr,
        pcr_jumps: counters.pcr_jumps,
        streams_ignored: counters.streams_ignored,
        ..Counters::default()
    };
    assert_eq!(counters, expected);
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, Event::Discontinuity { .. }))
    );
    (events, counters)
}

fn configs(events: &[Event]) -> Vec<(usize, &[u8])> {
    let mut units = 0;
    let mut configs = Vec::new();
    for event in events {
        match event {
            Event::VideoConfig { config, .. } => configs.push((units, &config[..])),
            Event::Video { .. } => units += 1,
            Event::Tracks(_)
            | Event::AudioConfig { .. }
            | Event::Audio { .. }
            | Event::Cue { .. }
            | Event::Discontinuity { .. } => {}
        }
    }
    configs
}

#[test]
fn h264_with_b_frames_and_aac() {
    let (_dir, file) = encode(&format!("{PICTURE} {SOUND} {X264} -bf 3 {AAC}"));
    let (events, counters) = clean(&file, ADTS, 0);
    assert_eq!(
        events
            .iter()
            .filter(|event| matches!(event, Event::Video { key: true, .. }))
            .count(),
        3
    );
    assert_eq!(configs(&events).len(), 1);
    assert_eq!(configs(&events)[0].0, 0);
    let config = events.iter().find_map(|event| {
        if let Event::AudioConfig { config, .. } = event {
            Some(&config[..])
        } else {
            None
        }
    });
    assert_eq!(config, Some(&[0x11, 0x88][..]), "AAC LC, 48 kHz, mono");
    assert_eq!(counters.pcr_jumps, 0);
}

#[test]
fn hevc_with_open_gops() {
    let (_dir, file) = encode(&format!(
        "{PICTURE} {SOUND} -c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=30:open-gop=1:bframes=3 {AAC}"
    ));
    let (events, _) = clean(&file, ADTS, 0);
    assert!(
        tracks(&events)
            .iter()
            .any(|track| track.codec == Codec::Video(VideoCodec::Hevc))
    );
    assert!(
        events
            .iter()
            .filter(|event| matches!(event, Event::Video { key: true, .. }))
            .count()
            >= 3
    );
}

#[test]
fn h264_with_open_gops() {
    let (_dir, file) = encode(&format!(
        "{PICTURE} {X264} -bf 3 -x264-params open-gop=1:keyint=30:min-keyint=30"
    ));
    clean(&file, ADTS, 0);
}

#[test]
fn several_slices_without_delimiters() {
    let (_dir, file) = encode(&format!(
        "{PICTURE} {X264} -x264-params aud=0:slices=4 -tune zerolatency"
    ));
    clean(&file, ADTS, 0);
}

#[test]
fn interlaced() {
    let (_dir, file) = encode(&format!("{PICTURE} {X264} -flags +ilme+ildct"));
    clean(&file, ADTS, 0);
}

#[test]
fn two_languages() {
    let (_dir, file) = encode(&format!(
        "{PICTURE} {SOUND} -f lavfi -i sine=r=44100:f=200:d=3 -map 0 -map 1 -map 2 {X264} {AAC} \
         -metadata:s:a:0 language=fra -metadata:s:a:1 language=deu"
    ));
    let (events, _) = clean(&file, ADTS, 1);
    let seen: Vec<_> = tracks(&events)
        .iter()
        .map(|track| {
            (
                track.medium,
                track.track,
                track.language.map(|language| language.as_str().to_owned()),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (Medium::Video, 0, None),
            (Medium::Audio, 0, Some("fra".to_owned())),
            (Medium::Audio, 1, Some("deu".to_owned())),
        ]
    );
}

#[test]
fn constant_rate_with_stuffing_and_repeated_tables() {
    let (_dir, file) = encode(&format!(
        "{PICTURE} {SOUND} {X264} {AAC} -muxrate 3M -mpegts_flags resend_headers -pat_period 0.05"
    ));
    let (events, _) = clean(&file, ADTS, 0);
    assert_eq!(
        events
            .iter()
            .filter(|event| matches!(event, Event::Tracks(_)))
            .count(),
        1
    );
}

#[test]
fn lengths_in_video_pes_packets_and_many_frames_in_audio_ones() {
    let (_dir, file) = encode(&format!(
        "{PICTURE} {SOUND} {X264} -bf 2 {AAC} -omit_video_pes_length 0 -pes_payload_size 16000 \
         -mpegts_flags pat_pmt_at_frames+initial_discontinuity -muxdelay 0"
    ));
    clean(&file, ADTS, 0);
}

#[test]
fn times_wrap() {
    let (_dir, file) = encode(&format!(
        "{PICTURE} {SOUND} {X264} -bf 2 {AAC} -output_ts_offset 95441"
    ));
    let (events, _) = clean(&file, ADTS, 0);
    let times: Vec<_> = events
        .iter()
        .filter_map(|event| {
            if let Event::Video { pts, .. } = event {
                Some(*pts)
            } else {
                None
            }
        })
        .collect();
    assert!(
        times[0] > 1 << 32 && times[times.len() - 1] < 1 << 20,
        "the wrap is within"
    );
}

#[test]
fn a_change_of_size_is_told_before_its_picture() {
    let (dir, _) = encode(&format!("{PICTURE} {SOUND} {X264} {AAC} one.ts"));
    let small = PICTURE.replace("320x180", "256x144");
    command(
        dir.path(),
        &format!("ffmpeg -v error -y {small} {SOUND} {X264} {AAC} two.ts"),
    );
    std::fs::write(dir.path().join("list"), "file one.ts\nfile two.ts\n").unwrap();
    command(dir.path(), "ffmpeg -v error -y -f concat -i list -c copy out.ts");
    let (events, _) = clean(&dir.path().join("out.ts"), ADTS, 0);
    let configs = configs(&events);
    assert_eq!(configs.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 90]);
    assert_ne!(configs[0].1, configs[1].1);
}

#[test]
fn opus() {
    let (_dir, file) = encode(&format!("{SOUND} -c:a libopus -b:a 96k"));
    let (events, _) = clean(&file, 0, 0);
    assert_eq!(tracks(&events)[0].codec, Codec::Audio(AudioCodec::Opus));
    assert!(
        matches!(&events[1], Event::AudioConfig { config, .. } if config.starts_with(b"OpusHead\x01\x01"))
    );
}

#[test]
fn other_codecs_are_named() {
    for (codec, name) in [
        ("-c:a ac3", "AC-3"),
        ("-c:a eac3", "E-AC-3"),
        ("-c:a mp2", "MPEG audio (MP2)"),
        ("-c:a aac -mpegts_flags latm", "AAC LATM"),
    ] {
        let (_dir, file) = encode(&format!("{SOUND} {codec}"));
        let (events, _) = demux(&std::fs::read(file).unwrap());
        assert_eq!(tracks(&events)[0].codec, Codec::Unsupported(name));
        assert_eq!(events.len(), 1);
    }
}

#[test]
fn gstreamers_muxer() {
    for (video, audio) in [
        (
            "x264enc key-int-max=30 bframes=2 b-adapt=false ! h264parse config-interval=-1",
            "voaacenc ! aacparse",
        ),
        (
            "x264enc key-int-max=30 tune=zerolatency sliced-threads=true ! video/x-h264,alignment=au",
            "avenc_aac ! aacparse",
        ),
        (
            "x265enc key-int-max=30 speed-preset=ultrafast log-level=0 ! h265parse config-interval=-1",
            "opusenc",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        command(
            dir.path(),
            &format!(
                "gst-launch-1.0 -q mpegtsmux name=m ! filesink location=out.ts \
                 videotestsrc num-buffers=90 ! video/x-raw,width=320,height=180,framerate=30/1 ! {video} ! queue ! m. \
                 audiotestsrc num-buffers=140 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=2 ! {audio} ! queue ! m."
            ),
        );
        let header = if audio == "opusenc" { 0 } else { ADTS };
        clean(&dir.path().join("out.ts"), header, 0);
    }
}
