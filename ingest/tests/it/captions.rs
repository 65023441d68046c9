//! Captions of an encoder, pair by pair, in every rung.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use feed::Unit;
use ingest::config::{Captions, Ladder};

use crate::packager::Seen;
use crate::raw::{Raw, copied};
use crate::stage::{KEY, Stage, frames_more};
use crate::transport::{RATE, Stream};

const SECONDS: u32 = 4;
/// CEA-608 has 30 pairs a second at most; these are of every frame, or of every other one.
const PAIRS: u32 = 25;

/// What frame `n` shows: printable bytes behind their parity, and a triple of CEA-708.
fn triples(n: u32) -> [[u8; 3]; 3] {
    let odd = |byte: u32| {
        let byte = u8::try_from(byte).unwrap();
        if byte.count_ones() % 2 == 1 {
            byte
        } else {
            byte | 0x80
        }
    };
    let (high, low) = (odd(0x21 + n / 64), odd(0x21 + n % 64));
    [[0xFC, high, low], [0xFD, low, high], [0xFF, low, 0x21]]
}

/// ATSC A/53 part 4 §6.2.3.1, with start code.
fn sei(triples: [[u8; 3]; 3]) -> Vec<u8> {
    let mut nal = vec![0, 0, 0, 1, 6, 4, 20, 0xB5, 0, 0x31];
    nal.extend(b"GA94\x03\xC3\xFF");
    nal.extend(triples.concat());
    nal.extend([0xFF, 0x80]);
    nal
}

/// Captions of a unit of the feed.
fn captions(unit: &Unit) -> Vec<[u8; 3]> {
    let head = b"\xB5\x00\x31GA94\x03";
    let mut all = unit
        .data
        .windows(head.len())
        .enumerate()
        .filter(|(_, bytes)| bytes == head);
    let Some((at, _)) = all.next() else {
        return Vec::new();
    };
    assert!(all.next().is_none(), "one SEI of captions a frame");
    let rest = &unit.data[at + head.len()..];
    let (triples, _) = rest[2..].as_chunks::<3>();
    triples[..usize::from(rest[0] & 31)].to_vec()
}

/// A file of H.264 with captions.
fn captioned(name: &str, rate: u32) -> PathBuf {
    let picture = format!("color=c=gray:s=320x180:r={rate}");
    let made = Command::new("ffmpeg")
        .args([
            "-hide_banner",
            "-loglevel",
            "error",
            "-nostdin",
            "-f",
            "lavfi",
            "-i",
            &picture,
        ])
        .args([
            "-t",
            &SECONDS.to_string(),
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-tune",
            "zerolatency",
        ])
        .args([
            "-x264-params",
            "sliced-threads=0",
            "-g",
            &rate.to_string(),
            "-pix_fmt",
            "yuv420p",
        ])
        .args(["-f", "h264", "-"])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(made.status.success());
    let (mut out, mut frame, mut from) = (Vec::new(), 0, 0);
    let bytes = made.stdout;
    for at in 0..bytes.len() - 4 {
        // Slices of one thread: one to a frame.
        if bytes[at..].starts_with(&[0, 0, 1]) && matches!(bytes[at + 3] & 0x1F, 1 | 5) {
            let start = if bytes[at - 1] == 0 { at - 1 } else { at };
            out.extend(&bytes[from..start]);
            let every = rate / PAIRS;
            if frame % every == 0 {
                out.extend(sei(triples(frame / every)));
            }
            (frame, from) = (frame + 1, start);
        }
    }
    out.extend(&bytes[from..]);
    assert_eq!(frame, SECONDS * rate);
    let path = std::env::temp_dir().join(format!("ringside-captions-{}-{name}.h264", std::process::id()));
    std::fs::write(&path, out).unwrap();
    path
}

/// What ffmpeg makes of such a file, without touching a unit.
pub(crate) fn muxed(file: &Path, rate: u32, output: &[&str]) -> Vec<u8> {
    let made = Command::new("ffmpeg")
        .args([
            "-hide_banner",
            "-loglevel",
            "error",
            "-nostdin",
            "-framerate",
            &rate.to_string(),
        ])
        .args(["-i", file.to_str().unwrap(), "-c", "copy"])
        .args(output)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(made.status.success());
    made.stdout
}

fn ladder() -> Ladder {
    let english = Captions {
        channel: "CC1".to_owned(),
        language: Some("en".to_owned()),
        title: Some("English".to_owned()),
    };
    Ladder {
        captions: Some(vec![english]),
        ..Ladder::default()
    }
}

/// Each rung carries each field's pairs and the services, in order, once, and nothing else.
fn assert_captions(seen: &Seen) {
    seen.assert_unbroken();
    let shape = &seen.hellos[0].shape;
    assert_eq!(shape.captions[0].channel, "CC1");
    let rungs = shape.tracks.iter().filter(|track| track.is_video()).count();
    assert_eq!(rungs, 2);
    for rung in 0..2 {
        let got: Vec<[u8; 3]> = seen.of(rung).flat_map(captions).collect();
        for (kind, marker) in [0xFC, 0xFD, 0xFF].into_iter().enumerate() {
            let got: Vec<_> = got.iter().filter(|triple| triple[0] == marker).copied().collect();
            let sent: Vec<_> = (0..SECONDS * PAIRS).map(|n| triples(n)[kind]).collect();
            assert_eq!(got, sent, "rung {rung}, {marker:#x}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captions_of_fifty_frames_a_second_over_rtmp_are_in_every_rung() {
    let stage = Stage::set(ladder()).await;
    let file = captioned("rtmp", 50);
    let mut raw = Raw::publish(stage.ingest.ports().rtmp, KEY).await;
    raw.play(&copied(&file, 50)).await;
    frames_more(&stage.packager, 60).await;
    std::fs::remove_file(file).unwrap();
    let (packager, _) = stage.strike().await;
    packager.look(assert_captions);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captions_of_twenty_five_frames_a_second_over_srt_are_in_every_rung() {
    let stage = Stage::set(ladder()).await;
    let file = captioned("srt", 25);
    let rate = RATE.to_string();
    let stream = Stream::with_cues(muxed(&file, 25, &["-f", "mpegts", "-muxrate", &rate, "-"]));
    stream.play(stage.ingest.ports().srt, KEY).await;
    frames_more(&stage.packager, 60).await;
    std::fs::remove_file(file).unwrap();
    let (packager, _) = stage.strike().await;
    packager.look(assert_captions);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captions_that_are_not_declared_are_taken_out() {
    let stage = Stage::set(Ladder::default()).await;
    let file = captioned("none", 25);
    let mut tags = copied(&file, 25);
    tags.retain(|tag| tag.timestamp_ms < 1_500);
    let mut raw = Raw::publish(stage.ingest.ports().rtmp, KEY).await;
    raw.play(&tags).await;
    frames_more(&stage.packager, 15).await;
    std::fs::remove_file(file).unwrap();
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        assert!(
            crate::viewer::watched(seen)
                .iter()
                .any(|(_, picture)| !picture.has_clock())
        );
        assert!((0..2).all(|rung| seen.of(rung).all(|unit| captions(unit).is_empty())));
    });
}
