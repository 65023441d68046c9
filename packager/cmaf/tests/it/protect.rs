//! SAMPLE-AES and AES-128: FFmpeg has to find exactly the clear samples again.

use std::path::Path;

use bytes::Bytes;
use cmaf::protect::{Key, Layout};
use cmaf::read::Part;
use cmaf::{Codec, Init, part, read, sample};
use mp4_atom::{Atom as _, DecodeAtom as _, DecodeMaybe as _, Header, Moof};

use crate::stage::{PICTURES, SOUND, digests, encoded, ffmpeg, packets, write};

const KEY: &str = "00112233445566778899aabbccddeeff";

fn key() -> Key {
    Key {
        kid: [0xa5; 16],
        key: std::array::from_fn(|i| u8::try_from(i * 0x11).unwrap()),
        iv: *b"an IV of 16 byte",
    }
}

/// Init segment and parts, clear and under the key.
type Both = [Vec<Bytes>; 2];

fn both(codec: &Codec, timescale: u32, parts: &[Part]) -> Both {
    let clear = Init::new(codec, timescale, None).unwrap();
    let layout = Layout::of(codec).unwrap();
    let sealed = layout.init(&clear, &key()).unwrap();
    assert_ne!(clear.hash, sealed.hash);
    let mut all = [vec![clear.bytes], vec![sealed.bytes]];
    for one in parts {
        let mut samples = one.samples.clone();
        for sample in &mut samples {
            sample.data = match codec {
                Codec::H264 { .. } => sample::avc1(sample.data.clone()),
                Codec::Hevc { .. } => sample::hvc1(sample.data.clone()),
                Codec::Av1 { .. } | Codec::Aac { .. } | Codec::Opus { .. } => sample.data.clone(),
            };
        }
        let made = layout.part(&key(), one.sequence, one.decode_time, &samples);
        let made = made.unwrap();
        let again = layout.part(&key(), one.sequence, one.decode_time, &samples);
        assert_eq!(made, again.unwrap(), "the same samples give the same bytes");
        let lengths = |bytes: &[u8]| -> Vec<usize> {
            let parts = read::parts(bytes).unwrap();
            parts[0].samples.iter().map(|sample| sample.data.len()).collect()
        };
        let plain = part(one.sequence, one.decode_time, &samples).unwrap();
        assert_eq!(lengths(&plain), lengths(&made));
        all[0].push(plain);
        all[1].push(made);
    }
    all
}

/// Writes both, and compares what FFmpeg makes of them; returns the path of the clear one.
fn compare(folder: &Path, all: &Both) -> String {
    let [clear, sealed] = ["clear.mp4", "sealed.mp4"].map(|name| folder.join(name));
    write(&clear, &all[0]);
    write(&sealed, &all[1]);
    let wanted = packets(None, &clear);
    assert!(wanted[0].lines().count() > 50 && wanted[1].lines().count() > 50);
    let found = packets(Some(KEY), &sealed);
    for (found, wanted) in found.iter().zip(&wanted) {
        let differs = found.lines().zip(wanted.lines()).find(|(a, b)| a != b);
        assert_eq!((differs, found.len()), (None, wanted.len()));
    }
    // With another key, the packets are others.
    let other = KEY.replace('f', "e");
    assert_ne!(digests(Some(&other), &sealed), wanted[0]);
    clear.to_str().unwrap().to_owned()
}

/// Bytes of slice headers, NAL unit headers included, as FFmpeg's reader of bit streams counts them.
fn headers(path: &str) -> Vec<usize> {
    let (_, said) = ffmpeg(&[
        "-v",
        "trace",
        "-i",
        path,
        "-c",
        "copy",
        "-bsf:v",
        "trace_headers",
        "-f",
        "null",
        "-",
    ]);
    let (mut out, mut in_slice, mut end) = (Vec::new(), false, 0);
    for line in said.lines().filter(|line| line.starts_with("[trace_headers")) {
        let mut words = line.split_once("] ").unwrap().1.split_whitespace();
        let first = words.next().unwrap_or_default();
        if let Ok(at) = first.parse::<usize>() {
            let bits = words.nth(1).unwrap_or_default();
            // An array's name may stand in two words; bits are what stands before the sign.
            let bits = if bits.bytes().all(|b| b"01".contains(&b)) {
                bits
            } else {
                words.next().unwrap_or_default()
            };
            end = at + bits.len();
            continue;
        }
        if std::mem::take(&mut in_slice) {
            out.push(end.div_ceil(8));
        }
        in_slice = line.ends_with("Slice Header") || line.ends_with("Slice Segment Header");
    }
    if in_slice {
        out.push(end.div_ceil(8));
    }
    out
}

/// Clear bytes of each slice, without those that keep start codes out, as `senc` tells them.
fn clear_slices(all: &Both, header: usize, is_slice: fn(u8) -> bool) -> Vec<usize> {
    let mut out = Vec::new();
    for (plain, sealed) in all[0].iter().zip(&all[1]).skip(1) {
        let clear = read::parts(plain).unwrap().remove(0).samples;
        let mut bytes = sealed.as_ref();
        let head = Header::decode_maybe(&mut bytes).unwrap().unwrap();
        assert_eq!(head.kind, Moof::KIND);
        let senc = Moof::decode_atom(&head, &mut bytes)
            .unwrap()
            .traf
            .remove(0)
            .senc
            .unwrap();
        let mut data = &senc.data[4..];
        let mut take = |n: usize| {
            let (head, rest) = data.split_at(n);
            data = rest;
            head.iter().fold(0usize, |n, b| n << 8 | usize::from(*b))
        };
        for sample in clear {
            let map: Vec<_> = (0..take(2)).map(|_| (take(2), take(4))).collect();
            assert_eq!(map.iter().map(|(c, p)| c + p).sum::<usize>(), sample.data.len());
            // Where a slice begins and its protected bytes do.
            let (mut at, mut protected) = (0, 0);
            let begins = map.iter().filter(|(_, p)| *p > 0).map(|(c, p)| {
                let begin = protected + c;
                protected = begin + p;
                begin
            });
            let mut begins = begins.peekable();
            while at < sample.data.len() {
                let length = u32::from_be_bytes(sample.data[at..at + 4].try_into().unwrap()) as usize;
                let nal = &sample.data[at + 4..at + 4 + length];
                if is_slice(nal[0]) {
                    // Those without a whole block of data are clear: 0 here.
                    let begin = begins.next_if(|begin| *begin < at + 4 + length);
                    let head = begin.map_or(0, |begin| begin - at - 4);
                    let escapes = nal[..head].windows(3).filter(|three| *three == [0, 0, 3]).count();
                    assert!(head > header || head == 0);
                    out.push(head - escapes);
                }
                at += 4 + length;
            }
        }
    }
    out
}

const H264: [&[&str]; 4] = [
    &[
        "-c:v",
        "libx264",
        "-g",
        "15",
        "-bf",
        "3",
        "-x264-params",
        "weightp=2:ref=4:scenecut=0",
    ],
    &[
        "-c:v",
        "libx264",
        "-profile:v",
        "baseline",
        "-tune",
        "zerolatency",
        "-x264-params",
        "slices=3:intra-refresh=1",
    ],
    &[
        "-c:v",
        "libx264",
        "-bf",
        "2",
        "-x264-params",
        "interlaced=1:weightb=1:no-deblock=1:open-gop=1",
    ],
    &[
        "-c:v",
        "libx264",
        "-pix_fmt",
        "yuv444p",
        "-bf",
        "2",
        "-b_strategy",
        "0",
        "-x264-params",
        "cqm=jvt:b-pyramid=strict",
    ],
];

#[test]
fn ffmpeg_decrypts_h264_of_many_shapes_to_the_clear_samples() {
    for encoder in H264 {
        let folder = tempfile::tempdir().unwrap();
        let bits = ["-b:v", "2M"];
        let pixels: &[&str] = if encoder.contains(&"-pix_fmt") {
            &[]
        } else {
            &["-pix_fmt", "yuv420p"]
        };
        let (codec, timescale, parts) = encoded(PICTURES, &[encoder, pixels, &bits].concat());
        let all = both(&codec, timescale, &parts);
        let ours = clear_slices(&all, 1, |header| matches!(header & 0x1f, 1 | 5));
        let clear = compare(folder.path(), &all);
        let theirs = headers(&clear);
        same(&ours, &theirs, encoder);
    }
}

const HEVC: [&[&str]; 3] = [
    &[
        "-x265-params",
        "log-level=none:keyint=15:bframes=3:weightp=1:weightb=1:ref=4",
    ],
    &[
        "-tune",
        "zerolatency",
        "-x265-params",
        "log-level=none:slices=2:wpp=1:no-deblock=1:no-sao=1",
    ],
    &[
        "-x265-params",
        "log-level=none:keyint=20:open-gop=1:b-pyramid=1:scaling-list=default:temporal-layers=2:cbqpoffs=2",
    ],
];

#[test]
fn ffmpeg_decrypts_hevc_of_many_shapes_to_the_clear_samples() {
    for encoder in HEVC {
        let folder = tempfile::tempdir().unwrap();
        let common = [
            "-c:v", "libx265", "-pix_fmt", "yuv420p", "-tag:v", "hvc1", "-b:v", "2M", "-preset", "fast",
        ];
        let (codec, timescale, parts) = encoded(PICTURES, &[&common, encoder].concat());
        let all = both(&codec, timescale, &parts);
        let ours = clear_slices(&all, 2, |header| header >> 1 & 0x3f < 32);
        let clear = compare(folder.path(), &all);
        let theirs = headers(&clear);
        same(&ours, &theirs, encoder);
    }
}

fn same(ours: &[usize], theirs: &[usize], encoder: &[&str]) {
    assert_eq!(ours.len(), theirs.len(), "{encoder:?}");
    let compared: Vec<_> = ours.iter().zip(theirs).filter(|(ours, _)| **ours > 0).collect();
    assert!(compared.len() > 20, "{encoder:?}: {}", compared.len());
    for (index, (ours, theirs)) in compared.into_iter().enumerate() {
        assert_eq!(ours, theirs, "header {index} of {encoder:?}");
    }
}

#[test]
fn ffmpeg_decrypts_sound_to_the_clear_samples() {
    for encoder in [["-c:a", "aac", "-ac", "2"], ["-c:a", "libopus", "-ac", "2"]] {
        let folder = tempfile::tempdir().unwrap();
        let (codec, timescale, parts) = encoded(SOUND, &encoder);
        compare(folder.path(), &both(&codec, timescale, &parts));
    }
}

/// Parts one after the other are no segment; each of them, and the segment, is a resource of its own.
#[test]
fn ffmpeg_plays_aes_128_from_parts_and_from_segments() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (codec, timescale, parts) =
        encoded(PICTURES, &["-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "0"]);
    let [clear, _] = both(&codec, timescale, &parts);
    write(&path("clear.mp4"), &clear);
    let wanted = packets(None, &path("clear.mp4"));
    std::fs::write(path("key"), key().key).unwrap();
    write(&path("init.mp4"), &clear[..1]);
    for (name, resources) in [
        (
            "parts",
            clear[1..].iter().map(|part| key().seal(part)).collect::<Vec<_>>(),
        ),
        ("segment", vec![key().seal(&clear[1..].concat())]),
    ] {
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"key\",IV=0x{}\n",
            key().iv.iter().map(|b| format!("{b:02x}")).collect::<String>()
        );
        for (index, bytes) in resources.iter().enumerate() {
            assert_eq!(bytes.len() % 16, 0);
            let file = format!("{name}-{index}.m4s");
            write(&path(&file), std::slice::from_ref(bytes));
            text.push_str(&format!("#EXTINF:{:.3},\n{file}\n", 2.0 / resources.len() as f64));
        }
        text.push_str("#EXT-X-ENDLIST\n");
        let playlist = path(&format!("{name}.m3u8"));
        std::fs::write(&playlist, text).unwrap();
        let list = playlist.to_str().unwrap();
        let (out, _) = ffmpeg(&[
            "-v",
            "error",
            "-allowed_extensions",
            "ALL",
            "-i",
            list,
            "-c",
            "copy",
            "-f",
            "framemd5",
            "-",
        ]);
        let digests = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            lines
                .map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
                .collect()
        };
        assert_eq!(
            digests(&String::from_utf8(out).unwrap()),
            digests(&wanted[0]),
            "{name}"
        );
    }
}
