//! Rungs of three codecs: on one grid, and made of parts that other people's software reads.

use std::path::Path;
use std::process::Command;

use feed::{Codec, Track, Unit};
use hls::id::TrackId;
use ingest::config::{self, Ladder, Preset, Rung};

use crate::packager::Seen;
use crate::stage::Stage;

fn rung(name: &str, codec: config::Codec) -> Rung {
    Rung {
        name: TrackId::new(name).unwrap(),
        width: 320,
        height: 180,
        bitrate_kbps: 200,
        codec,
        preset: Some(Preset::Ultrafast),
        encoder: None,
    }
}

/// A track's units as ISO files have them: an init segment, and a part for each GOP.
fn file(seen: &Seen, index: u16, track: &Track) -> Vec<u8> {
    let narrow = |(width, height)| (u16::try_from(width).unwrap(), u16::try_from(height).unwrap());
    let (width, height) = track.codec.picture().map(narrow).expect("a picture");
    let codec = match track.codec.clone() {
        Codec::H264 { config, .. } => cmaf::Codec::H264 {
            config,
            width,
            height,
        },
        Codec::Hevc { config, .. } => cmaf::Codec::Hevc {
            config,
            width,
            height,
        },
        Codec::Av1 { config, .. } => cmaf::Codec::Av1 {
            config,
            width,
            height,
        },
        Codec::Aac { .. } | Codec::Opus { .. } => panic!("no picture"),
    };
    let mut bytes = cmaf::Init::new(&codec, 30_000, None).unwrap().bytes.to_vec();
    let units: Vec<&Unit> = seen.of(index).collect();
    for gop in units.chunk_by(|_, next| !next.key) {
        let sample = |unit: &&Unit| cmaf::Sample {
            duration: 1_000,
            key: unit.key,
            composition: 0,
            data: unit.data.clone(),
        };
        let samples: Vec<cmaf::Sample> = gop.iter().map(sample).collect();
        bytes.extend_from_slice(&cmaf::part(1, (gop[0].time - units[0].time) * 1_000, &samples).unwrap());
    }
    bytes
}

fn said(program: &str, args: &[&str], file: &Path) -> String {
    let output = Command::new(program)
        .args(["-v", "error"])
        .args(args)
        .arg(file)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "",
        "{program} of {}",
        file.display()
    );
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rungs_of_three_codecs_are_aligned_and_decode() {
    use config::Codec::{Av1, H264, Hevc};
    let ladder = Ladder {
        rungs: Some(vec![rung("avc", H264), rung("hevc", Hevc), rung("av1", Av1)]),
        ..Ladder::default()
    };
    let stage = Stage::set(ladder).await;
    let all = |seen: &Seen| (0..3).all(|track| seen.times(track).len() >= 130);
    stage
        .packager
        .wait_for("130 frames of each", std::time::Duration::from_secs(30), all)
        .await;
    let (packager, data_dir) = stage.strike().await;
    packager.look(|seen| {
        // Every frame there is, key frames where GOPs start and nowhere else, watermarks for all cells.
        seen.assert_unbroken();
        let tracks = &seen.hellos[0].shape.tracks;
        let keys = |track| -> Vec<u64> {
            seen.of(track)
                .filter(|unit| unit.key)
                .map(|unit| unit.time)
                .collect()
        };
        assert!(keys(0).len() >= 5, "{:?}", keys(0));
        for (index, (track, format)) in (0..).zip(tracks.iter().zip(["h264", "hevc", "av1"])) {
            let (keys, common) = (keys(index), keys(0));
            assert!(
                keys.iter().zip(&common).all(|(a, b)| a == b),
                "{format}: {keys:?}, not {common:?}"
            );
            let path = data_dir.path().join(format!("{format}.mp4"));
            std::fs::write(&path, file(seen, index, track)).unwrap();
            let fields = [
                "-count_frames",
                "-show_entries",
                "stream=codec_name,width,height,nb_read_frames",
                "-of",
                "csv=p=0",
            ];
            let count = seen.times(index).len();
            assert_eq!(
                said("ffprobe", &fields, &path).trim(),
                format!("{format},320,180,{count}")
            );
            // The units' sizes hold the bit rate, within what the ladder says of peaks.
            let bits: usize = seen.of(index).map(|unit| unit.data.len() * 8).sum();
            let bps = bits as u64 * 30 / count as u64;
            assert!(bps < track.peak_bps, "{format}: {bps} b/s");
        }
    });
}
