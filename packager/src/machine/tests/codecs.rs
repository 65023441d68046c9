//! Real HEVC, AV1 and Opus through the machine: what is published is read by FFmpeg without an error.

use super::*;
use std::path::Path;
use std::process::Command;

/// Cells of every track, and the units they have.
const CELLS: u64 = 6;
const FRAMES: u64 = 15 * CELLS;

pub(super) struct Coded {
    /// Body of the box that configures a decoder.
    pub(super) config: Bytes,
    pub(super) units: Vec<Bytes>,
}

/// Four seconds of an encoder's, from FFmpeg's own fragments.
pub(super) fn coded(folder: &Path, source: &str, encoder: &[&str], name: &str) -> Coded {
    let path = folder.join(format!("{name}-in.mp4"));
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-y", "-f", "lavfi", "-i", source, "-t", "4"]);
    ffmpeg
        .args(encoder)
        .args(["-movflags", "delay_moov+default_base_moof+frag_keyframe"]);
    assert!(ffmpeg.arg(&path).status().unwrap().success());
    let bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|four| four == name.as_bytes()).unwrap();
    let length = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()) as usize;
    let parts = cmaf::read::parts(&bytes).unwrap();
    Coded {
        config: Bytes::copy_from_slice(&bytes[at + 4..at - 4 + length]),
        units: parts
            .into_iter()
            .flat_map(|part| part.samples)
            .map(|sample| sample.data)
            .collect(),
    }
}

pub(super) fn said(program: &str, before: &[&str], args: &[&str], path: &Path) -> String {
    let mut command = Command::new(program);
    let output = command
        .args(["-v", "error"])
        .args(before)
        .arg("-i")
        .arg(path)
        .args(args)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "",
        "{program} of {}",
        path.display()
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_published_of_every_codec_decodes() {
    let folder = tempfile::tempdir().unwrap();
    let picture = "testsrc=s=320x180:r=30,format=yuv420p";
    let x265 = "keyint=30:min-keyint=30:scenecut=0:open-gop=0:bframes=0:log-level=none";
    let x265 = [
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-tag:v",
        "hvc1",
        "-x265-params",
        x265,
    ];
    let aom = "-c:v libaom-av1 -usage realtime -cpu-used 8 -lag-in-frames 0 -g 30 -keyint_min 30";
    let aom: Vec<&str> = aom.split(' ').collect();
    let opus = ["-c:a", "libopus", "-frame_duration", "20"];
    let of = |source, encoder: &[&str], name| coded(folder.path(), source, encoder, name);
    let (hevc, av1) = (of(picture, &x265, "hvcC"), of(picture, &aom, "av1C"));
    let opus = of("sine=r=48000", &opus, "dOps");

    let mut hello = hello(0, FIRST, 0x0a);
    let (width, height) = (320, 180);
    let codecs = [
        (
            "hevc",
            Codec::Hevc {
                config: hevc.config.clone(),
                width,
                height,
            },
        ),
        (
            "av1",
            Codec::Av1 {
                config: av1.config.clone(),
                width,
                height,
            },
        ),
        (
            "opus",
            Codec::Opus {
                config: opus.config.clone(),
                channels: 1,
            },
        ),
    ];
    let like = hello.shape.tracks.remove(0);
    let track = |(id, codec): (&str, Codec)| feed::Track {
        id: TrackId::new(id).unwrap(),
        codec,
        ..like.clone()
    };
    hello.shape.tracks = codecs.into_iter().map(track).collect();
    let mut machine = Machine::new(&hello, WINDOW, 0, Arc::default()).unwrap();
    let inits = machine
        .view(Cell(FIRST), 0, Duration::ZERO)
        .tracks
        .into_iter()
        .map(|track| track.inits[0].1.to_vec());
    let mut files: Vec<Vec<u8>> = inits.collect();

    let (first, sample) = (
        grid().first_frame(Cell(FIRST)),
        grid().first_sample(grid().first_frame(Cell(FIRST))),
    );
    for cell in FIRST..FIRST + CELLS {
        for (track, coded, start, step) in
            [(0, &hevc, first, 1), (1, &av1, first, 1), (2, &opus, sample, 960)]
        {
            for (n, data) in (0..).zip(&coded.units) {
                let (time, key) = (start + n * step, n.is_multiple_of(30));
                let of = if step == 1 {
                    grid().cell_of_frame(time)
                } else {
                    grid().cell_of_sample(time)
                };
                if of == Cell(cell) {
                    let unit = Unit {
                        track,
                        time,
                        key,
                        data: data.clone(),
                    };
                    assert_eq!(machine.unit(unit), Taken::Held, "{track} {n}");
                }
            }
            machine.close(track, |assembler| assembler.watermark(Cell(cell)));
        }
        for (file, part) in files.iter_mut().zip(machine.staged(Cell(cell)).unwrap()) {
            file.extend_from_slice(&part.1.expect("no track has a gap"));
        }
    }

    let packets = (48_000 * 3_u64).div_ceil(960);
    let probe = [
        "-count_frames",
        "-show_entries",
        "stream=codec_name,codec_tag_string,nb_read_frames",
        "-of",
        "csv=p=0",
    ];
    for (file, expected) in files.iter().zip([
        format!("hevc,hvc1,{FRAMES}"),
        format!("av1,av01,{FRAMES}"),
        format!("opus,Opus,{packets}"),
    ]) {
        let path = folder.path().join("out.mp4");
        std::fs::write(&path, file).unwrap();
        assert_eq!(said("ffprobe", &[], &probe, &path).trim(), expected);
        said("ffmpeg", &[], &["-xerror", "-f", "null", "-"], &path);
    }
}

#[test]
fn aac_and_opus_in_one_stream_are_refused() {
    let mut hello = hello(0, FIRST, 0x0a);
    let aac = hello.shape.tracks[1].clone();
    hello.shape.tracks.push(feed::Track {
        id: TrackId::new("opus").unwrap(),
        codec: Codec::Opus {
            config: Bytes::from_static(&[0, 2, 1, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0]),
            channels: 2,
        },
        ..aac
    });
    assert!(matches!(
        Machine::new(&hello, WINDOW, 0, Arc::default()),
        Err(Refusal::Sound)
    ));
    hello.shape.tracks.remove(1);
    assert!(Machine::new(&hello, WINDOW, 0, Arc::default()).is_ok());
}
