//! Media of real encoders, as access units.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use cmaf::read::Part;
use cmaf::{Codec, read};
use mp4_atom::{Atom as _, DecodeAtom as _, DecodeMaybe as _, Header, Moov};

/// Runs FFmpeg; what it writes, and what it says.
pub(crate) fn ffmpeg(arguments: &[&str]) -> (Vec<u8>, String) {
    reading(None, arguments)
}

/// The same, with a file to read without seeking. Of fragments that it can seek in, FFmpeg 5.1 takes the wrong ones'
/// descriptions of subsamples.
fn reading(path: Option<&Path>, arguments: &[&str]) -> (Vec<u8>, String) {
    let input = path.map_or(Stdio::null(), |path| File::open(path).unwrap().into());
    let out = Command::new("ffmpeg")
        .args(["-hide_banner", "-y"])
        .args(arguments)
        .stdin(input)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    (out.stdout, said)
}

pub(crate) const PICTURES: &str = "testsrc2=size=320x180:rate=30:duration=2";
pub(crate) const SOUND: &str = "sine=frequency=440:sample_rate=48000:duration=2";

/// What an encoder makes of a source, in fragments.
pub(crate) fn encoded(source: &str, encoder: &[&str]) -> (Codec, u32, Vec<Part>) {
    let input = ["-v", "error", "-f", "lavfi", "-i", source];
    let flags = "empty_moov+default_base_moof+frag_keyframe";
    let output = ["-frag_duration", "500000", "-movflags", flags, "-f", "mp4", "-"];
    let (bytes, _) = ffmpeg(&[&input[..], encoder, &output].concat());
    let moov = moov(&bytes);
    let media = &moov.trak[0].mdia;
    let codec = codec(&media.minf.stbl.stsd.codecs[0], media.mdhd.timescale);
    (codec, media.mdhd.timescale, read::parts(&bytes).unwrap())
}

fn moov(mut bytes: &[u8]) -> Moov {
    while let Some(header) = Header::decode_maybe(&mut bytes).unwrap() {
        if header.kind == Moov::KIND {
            return Moov::decode_atom(&header, &mut bytes).unwrap();
        }
        bytes = &bytes[header.size.unwrap()..];
    }
    panic!("no moov")
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "dozens of formats that no test makes"
)]
fn codec(entry: &mp4_atom::Codec, rate: u32) -> Codec {
    let mut config = Vec::new();
    match entry {
        mp4_atom::Codec::Avc1(entry) => {
            entry.avcc.encode_body(&mut config).unwrap();
            Codec::H264 {
                config: config.into(),
                width: 320,
                height: 180,
            }
        }
        mp4_atom::Codec::Hvc1(entry) => {
            entry.hvcc.encode_body(&mut config).unwrap();
            Codec::Hevc {
                config: config.into(),
                width: 320,
                height: 180,
            }
        }
        mp4_atom::Codec::Mp4a(entry) => {
            let specific = entry.esds.es_desc.dec_config.dec_specific.as_ref().unwrap();
            Codec::Aac {
                config: specific.raw.clone().into(),
                channels: entry.audio.channel_count,
                rate,
                bit_rate: 0,
            }
        }
        mp4_atom::Codec::Opus(entry) => {
            entry.dops.encode_body(&mut config).unwrap();
            Codec::Opus {
                config: config.into(),
                channels: entry.audio.channel_count,
            }
        }
        other => panic!("{other:?}"),
    }
}

/// A file of these bytes, one after the other.
pub(crate) fn write(path: &Path, all: &[Bytes]) {
    std::fs::write(path, all.concat()).unwrap();
}

/// Digest, times and size of each packet FFmpeg finds, and of each picture or frame it decodes.
pub(crate) fn packets(key: Option<&str>, path: &Path) -> [String; 2] {
    [digests(key, path), frames(key, path, &[])]
}

/// Those of packets alone.
pub(crate) fn digests(key: Option<&str>, path: &Path) -> String {
    frames(key, path, &["-c", "copy"])
}

fn frames(key: Option<&str>, path: &Path, copy: &[&str]) -> String {
    let key = key.map_or(Vec::new(), |key| vec!["-decryption_key", key]);
    let input = ["-v", "error", "-i", "-"];
    let arguments = [&key[..], &input, copy, &["-f", "framemd5", "-"]].concat();
    let (text, _) = reading(Some(path), &arguments);
    let text = String::from_utf8(text).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    // Behind the digest there may be side data: the `pssh` of the first packet.
    let own = lines.map(|line| line.split(',').take(6).collect::<Vec<_>>().join(","));
    own.collect::<Vec<_>>().join("\n")
}
