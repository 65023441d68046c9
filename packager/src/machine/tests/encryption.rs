//! Keys across a segment's border: what is published, FFmpeg decrypts to what a packager without keys publishes.

use super::codecs::{Coded, coded, said};
use super::*;
use crate::encryption::{Encryption, Method};
use hls::path::KeyId;

/// Four segments, of which two have the same key.
const CELLS: u64 = 16;

fn rule(method: Method) -> Arc<Rule> {
    let encryption = Encryption {
        method,
        rotate_segments: 2,
        master_secret: Some("0123456789abcdef0123456789abcdef".to_owned()),
        serve_keys: true,
        ..Encryption::default()
    };
    Arc::new(encryption.rule().unwrap())
}

/// What a machine published: of each track, init segments by URI, parts by cell, and the last playlist.
struct Published {
    view: View,
    parts: Vec<Vec<Option<Bytes>>>,
}

fn publish(hello: &Hello, rule: Arc<Rule>, media: &[&Coded]) -> Published {
    let mut machine = Machine::new(hello, WINDOW, 0, rule).unwrap();
    let frame = grid().first_frame(Cell(FIRST));
    let starts = [frame, grid().first_sample(frame)];
    let (mut parts, mut last): (Vec<_>, Option<View>) = (Vec::new(), None);
    for cell in (FIRST..FIRST + CELLS).map(Cell) {
        for (track, coded) in (0..).zip(media) {
            let step = if track == 0 { 1 } else { 1_024 };
            for (n, data) in (0..).zip(&coded.units) {
                let time = starts[usize::from(track)] + n * step;
                let of = if track == 0 {
                    grid().cell_of_frame(time)
                } else {
                    grid().cell_of_sample(time)
                };
                if of == cell {
                    let key = track == 1 || n.is_multiple_of(30);
                    let data = if track == 0 {
                        cmaf::sample::avc1(data.clone())
                    } else {
                        data.clone()
                    };
                    machine.unit(Unit {
                        track,
                        time,
                        key,
                        data,
                    });
                }
            }
            machine.close(track, |assembler| assembler.watermark(cell));
        }
        let shares = machine.staged(cell).unwrap();
        parts.push(shares.into_iter().map(|(_, bytes)| bytes).collect());
        machine.retain();
        let view = machine.view(cell, 0, Duration::ZERO);
        for (index, track) in view.tracks.iter().enumerate() {
            let said = text(track);
            assert_eq!(check::playlist(&said), [], "{said}");
            assert_eq!(check::features(&said), [], "{said}");
            if let Some(before) = &last {
                let before = text(&before.tracks[index]);
                assert_eq!(check::successive(&before, &said), []);
            }
        }
        last = Some(view);
    }
    Published {
        view: last.unwrap(),
        parts,
    }
}

fn text(track: &Track) -> String {
    String::from_utf8(track.playlist.text().to_vec()).unwrap()
}

fn media(folder: &std::path::Path) -> (Hello, [Coded; 2]) {
    let x264 = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-g",
        "30",
    ];
    let video = ["-t", "8.1", "-x264-params", "keyint=30:scenecut=0:slices=2"];
    let source = "testsrc=s=320x180:r=30,format=yuv420p";
    let video = coded(folder, source, &[&x264[..], &video].concat(), "avcC");
    let audio = coded(
        folder,
        "sine=r=48000",
        &["-t", "8.1", "-c:a", "aac", "-ac", "2"],
        "esds",
    );
    let mut hello = hello(0, FIRST, 0x0a);
    hello.shape.tracks[0].codec = Codec::H264 {
        config: video.config.clone(),
        width: 320,
        height: 180,
    };
    (hello, [video, audio])
}

/// Key id and secret of the key in force for a segment, as its playlist and the origin tell.
fn key(view: &View, attributes: &str) -> (KeyId, Bytes) {
    let kid = attributes.split("../key-").nth(1).unwrap().get(..32).unwrap();
    let kid = KeyId::parse(kid).unwrap();
    let (_, key) = view.keys.iter().find(|(known, _)| *known == kid).unwrap();
    (kid, key.clone())
}

fn digests(folder: &std::path::Path, bytes: &[&[u8]], key: Option<&Bytes>) -> Vec<String> {
    let path = folder.join("one.mp4");
    std::fs::write(&path, bytes.concat()).unwrap();
    let key = key.map_or(String::new(), |key| {
        key.iter().map(|b| format!("{b:02x}")).collect()
    });
    let before: Vec<&str> = if key.is_empty() {
        Vec::new()
    } else {
        vec!["-decryption_key", &key]
    };
    let out = said(
        "ffmpeg",
        &before,
        &["-c", "copy", "-copyinkf", "-f", "framemd5", "-"],
        &path,
    );
    let lines = out.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split(',').nth(5).unwrap().trim().to_owned())
        .collect()
}

#[test]
fn samples_under_two_keys_are_the_clear_ones_and_each_key_has_its_init_segment() {
    let folder = tempfile::tempdir().unwrap();
    let (hello, coded) = media(folder.path());
    let coded = [&coded[0], &coded[1]];
    let clear = publish(&hello, Arc::default(), &coded);
    let sealed = publish(&hello, rule(Method::SampleAes), &coded);
    let again = publish(&hello, rule(Method::SampleAes), &coded);
    assert_eq!(sealed.parts, again.parts, "packagers agree without talking");
    for track in 0..2 {
        let shown = text(&sealed.view.tracks[track]);
        assert!(!shown.contains("#EXT-X-DISCONTINUITY\n"), "{shown}");
        let parsed = parse(&shown).unwrap();
        let numbered = (parsed.media_sequence.0..).zip(&parsed.segments);
        let mut kids = std::collections::BTreeSet::new();
        for (msn, segment) in numbered.filter(|(_, segment)| !segment.gap && segment.uri.is_some()) {
            let attributes = segment.key.as_deref().unwrap();
            assert!(attributes.starts_with("METHOD=SAMPLE-AES,"));
            let (kid, secret) = key(&sealed.view, attributes);
            kids.insert(kid);
            let init = |published: &Published, uri: &str| {
                let inits = &published.view.tracks[track].inits;
                let found = inits.iter().find(|(hash, _)| Object::Init(*hash).uri() == uri);
                found.unwrap().1.clone()
            };
            let under = init(&sealed, segment.map.as_deref().unwrap());
            assert!(
                under.windows(16).any(|id| id == kid.0),
                "tenc and pssh name the key"
            );
            let plain = parse(&text(&clear.view.tracks[track])).unwrap();
            let plain = init(&clear, plain.segments.last().unwrap().map.as_deref().unwrap());
            let first = usize::try_from((msn - FIRST / 4) * 4).unwrap();
            // One part at a time: of several that it can seek in, FFmpeg 5.1 mixes up the descriptions.
            for cell in first..first + 4 {
                let part = |published: &Published| published.parts[cell][track].clone().unwrap();
                let wanted = digests(folder.path(), &[&plain, &part(&clear)], None);
                assert!(!wanted.is_empty(), "track {track}, cell {cell}");
                assert_eq!(
                    digests(folder.path(), &[&under, &part(&sealed)], Some(&secret)),
                    wanted
                );
                assert_ne!(part(&clear), part(&sealed));
            }
        }
        assert_eq!(kids.len(), 2, "{shown}");
    }
}

#[test]
fn parts_and_segments_under_aes_128_open_to_the_clear_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (hello, coded) = media(folder.path());
    let coded = [&coded[0], &coded[1]];
    let clear = publish(&hello, Arc::default(), &coded);
    let sealed = publish(&hello, rule(Method::Aes128), &coded);
    let inits = |published: &Published| {
        published
            .view
            .tracks
            .iter()
            .map(|t| t.inits.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(inits(&sealed), inits(&clear), "init segments stay clear");
    let rule = rule(Method::Aes128);
    let guard = Guard::new(rule, &hello).unwrap();
    let parsed = parse(&text(&sealed.view.tracks[0])).unwrap();
    for (msn, segment) in (parsed.media_sequence.0..)
        .zip(&parsed.segments)
        .filter(|(_, s)| !s.gap)
    {
        assert!(segment.is_sealed());
        let attributes = segment.key.as_deref().unwrap();
        let (kid, secret) = key(&sealed.view, attributes);
        let iv = attributes.split("IV=0x").nth(1).unwrap().get(..32).unwrap();
        let key = cmaf::protect::Key {
            kid: kid.0,
            key: secret.as_ref().try_into().unwrap(),
            iv: u128::from_str_radix(iv, 16).unwrap().to_be_bytes(),
        };
        let first = usize::try_from((msn - FIRST / 4) * 4).unwrap();
        let cells = first..(first + 4).min(sealed.parts.len());
        let parts = |published: &Published| -> Vec<Bytes> {
            cells
                .clone()
                .map(|cell| published.parts[cell][0].clone().unwrap())
                .collect()
        };
        for (part, wanted) in parts(&sealed).iter().zip(parts(&clear)) {
            assert_eq!(key.open(part).unwrap(), wanted);
        }
        let segment = guard.joiner(Msn(msn)).join(parts(&sealed)).unwrap().concat();
        assert_eq!(key.open(&segment).unwrap(), parts(&clear).concat());
        assert_ne!(
            segment,
            parts(&sealed).concat(),
            "not its parts one after the other"
        );
    }
}

#[test]
fn what_cannot_be_encrypted_is_a_gap_and_never_clear() {
    let hello = hello(0, FIRST, 10);
    let mut machine = Machine::new(&hello, WINDOW, 0, rule(Method::SampleAes)).unwrap();
    // These pictures are no NAL units.
    let (texts, parts) = feed_all(&mut machine, FIRST, FIRST..FIRST + 8);
    assert!(parts[0].is_none() && parts[1].is_some());
    assert!(parse(&texts[0]).unwrap().parts().all(|part| part.gap));
    let mut av1 = hello;
    av1.shape.tracks[0].codec = Codec::Av1 {
        config: Bytes::from_static(&[
            0x81, 0, 0x0c, 0, 0x0a, 0x0c, 0, 0, 0, 4, 0x3c, 0xfe, 0xcf, 0x81, 0xb5, 0xf2, 0, 0x80,
        ]),
        width: 64,
        height: 64,
    };
    let refused = Machine::new(&av1, WINDOW, 0, rule(Method::SampleAes))
        .err()
        .unwrap();
    assert_eq!(
        refused.to_string(),
        "track 360p cannot be packaged: AV1 cannot be encrypted sample by sample"
    );
    assert!(Machine::new(&av1, WINDOW, 0, rule(Method::Aes128)).is_ok());
}
