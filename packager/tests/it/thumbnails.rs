//! Pictures of segments: in over the feed, out as a thumbnail track and as files, at the origin and at an edge.

use std::fs;

use ::bytes::Bytes;
use hls::id::Cell;
use hls::time::Profile;
use packager::config::{Dvr, Encryption, Method, Section};

use crate::process::Process;
use crate::restart::kept;
use crate::stage::{FIRST, Reader, Stage, grid};

const FIRST_MSN: u64 = FIRST.0 / 4;

/// A JPEG by its markers, that says of which cell it is.
fn jpeg(cell: Cell, length: usize) -> Bytes {
    let mut jpeg = vec![0; length];
    jpeg[..3].copy_from_slice(&[0xFF, 0xD8, 0xFF]);
    jpeg[3..11].copy_from_slice(&cell.0.to_be_bytes());
    jpeg[length - 2..].copy_from_slice(&[0xFF, 0xD9]);
    jpeg.into()
}

/// Feeds segments, with a picture in the second and the third cell of each.
async fn feed(stage: &mut Stage, segments: u64, length: usize) {
    for _ in 0..segments {
        for part in 0..4 {
            if part == 1 || part == 2 {
                stage.picture(stage.next, jpeg(stage.next, length)).await;
            }
            stage.push(&[]).await;
        }
    }
    stage.published().await;
}

/// Numbers of the pictures that the track names.
async fn listed(reader: &Reader) -> Vec<u64> {
    let answer = reader.get("thumbnails.vtt").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = answer.text();
    let number = |line: &str| line.strip_prefix("thumb-")?.strip_suffix(".jpg")?.parse().ok();
    text.lines().filter_map(number).collect()
}

/// Each of them is the first that came of its segment.
async fn seen(reader: &Reader, msns: &[u64], length: usize) {
    for msn in msns {
        let answer = reader.get(&format!("thumb-{msn}.jpg")).await;
        assert_eq!(answer.status, 200, "{msn}");
        assert!(answer.body == jpeg(Cell(msn * 4 + 1), length), "{msn}");
    }
}

/// The first date in a text.
fn dated(text: &str) -> Option<&str> {
    text.lines()
        .find(|line| line.starts_with("#EXT-X-PROGRAM-DATE-TIME"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_are_a_track_of_what_can_be_rewound_to() {
    let mut stage = Stage::set(grid(Profile::Low, 30, 1, 48_000), |_| {}).await;
    stage.feed(4).await;
    assert_eq!(listed(&stage.reader).await, [0; 0], "a track before any picture");
    feed(&mut stage, 5, 20_000).await;
    // Of a segment that is not whole, and of one far away.
    stage.picture(stage.next, jpeg(stage.next, 100)).await;
    stage
        .picture(Cell(stage.next.0 + 400), jpeg(stage.next, 100))
        .await;
    stage.push(&[]).await;
    stage.published().await;
    let expected: Vec<u64> = (FIRST_MSN + 1..FIRST_MSN + 6).collect();
    for reader in [stage.reader.clone(), stage.edge().await] {
        assert_eq!(listed(&reader).await, expected);
        seen(&reader, &expected, 20_000).await;
        let track = reader.exact(http::Method::GET, "thumbnails.vtt", &[]).await;
        assert_eq!(track.headers["content-type"], "text/vtt");
        assert_eq!(track.headers["cache-control"], "public, max-age=1");
        let text = String::from_utf8(track.body.to_vec()).unwrap();
        // The live playlist begins with four segments of GAP.
        let cue = format!("\n00:00:12.000 --> 00:00:14.000\nthumb-{}.jpg\n", FIRST_MSN + 2);
        assert!(text.starts_with("WEBVTT\n\nNOTE\n#EXT-X-TARGETDURATION:2\n#EXT-X-PROGRAM-DATE-TIME:"));
        assert!(text.contains(&cue), "{text}");
        let playlist = reader.playlist("360p").await;
        assert_eq!(
            dated(&text),
            dated(&playlist),
            "zero is where the playlist begins"
        );
        let path = format!("thumb-{}.jpg", FIRST_MSN + 1);
        let picture = reader.exact(http::Method::GET, &path, &[]).await;
        assert_eq!(picture.headers["content-type"], "image/jpeg");
        assert_eq!(
            picture.headers["cache-control"],
            "public, max-age=3600, immutable"
        );
        for missing in [FIRST_MSN, FIRST_MSN + 99, 0] {
            let answer = reader.get(&format!("thumb-{missing}.jpg")).await;
            assert_eq!(answer.status, 404, "{missing}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_them() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let mut stage = Stage::of(process.addresses()).await;
    feed(&mut stage, 80, 1_000).await;
    kept(&stage, FIRST_MSN + 79).await;
    let before = listed(&stage.reader).await;
    assert_eq!(before, (FIRST_MSN..FIRST_MSN + 80).collect::<Vec<_>>());
    let track = stage.reader.get("thumbnails.vtt").await.text();
    let recording = stage.reader.get("360p/dvr.m3u8").await.text();
    assert_eq!(dated(&track), dated(&recording), "zero is where it begins");
    assert!(track.contains("\n00:00:00.000 --> 00:00:02.000\n"), "{track}");
    // Those that have left the live window are on disk alone.
    seen(&stage.reader, &before, 1_000).await;
    process.kill();
    let process = Process::start(dir.path());
    stage.moved(process.addresses());
    assert_eq!(listed(&stage.reader).await, before);
    seen(&stage.reader, &before, 1_000).await;
    stage.reconnect(stage.next).await;
    // The newest segment has one, and keeps it.
    let again = Cell(stage.next.0 - 1);
    stage.picture(again, jpeg(again, 1_000)).await;
    feed(&mut stage, 2, 1_000).await;
    kept(&stage, FIRST_MSN + 81).await;
    let after = listed(&stage.reader).await;
    assert_eq!(after, (FIRST_MSN..FIRST_MSN + 82).collect::<Vec<_>>());
    seen(&stage.reader, &after, 1_000).await;
    let torn = dir
        .path()
        .join(format!("events/main/{FIRST}/thumb-{}", FIRST_MSN + 2));
    fs::write(&torn, [0xFF, 0xD8, 0xFF, 0]).unwrap();
    let answer = stage.reader.get(&format!("thumb-{}.jpg", FIRST_MSN + 2)).await;
    assert_eq!(answer.status, 404, "rather nothing than half a picture");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_count_as_bytes_and_go_with_their_segments() {
    let dir = tempfile::tempdir().unwrap();
    let dvr = Dvr {
        bytes_max: 1_000_000,
        ..Dvr::default()
    };
    let process = Process::with(dir.path(), &dvr);
    let mut stage = Stage::of(process.addresses()).await;
    for round in 1..=8 {
        feed(&mut stage, 20, 8_000).await;
        kept(&stage, FIRST_MSN + round * 20 - 1).await;
    }
    assert!(process.metric("ringside_packager_spool_shortened_total") > 0);
    let files = fs::read_dir(dir.path().join("events/main").join(FIRST.to_string())).unwrap();
    let files: Vec<_> = files.map(Result::unwrap).collect();
    let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes <= 1_030_000, "{bytes}");
    let names = files.iter().map(|file| file.file_name().into_string().unwrap());
    let of = |prefix: &str| -> Vec<u64> {
        let numbers = names
            .clone()
            .filter_map(|name| name.strip_prefix(prefix)?.parse().ok());
        let mut numbers: Vec<u64> = numbers.collect();
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(of("thumb-"), of("seg-"));
    let now = listed(&stage.reader).await;
    assert!(now[0] > FIRST_MSN && now.last() == Some(&(FIRST_MSN + 159)));
    seen(&stage.reader, &now, 8_000).await;
    let gone = stage.reader.get(&format!("thumb-{FIRST_MSN}.jpg")).await;
    assert_eq!(gone.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_encrypted_is_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let section = Section {
        encryption: Encryption {
            method: Method::SampleAes,
            master_secret: Some("7".repeat(32)),
            serve_keys: true,
            ..Encryption::default()
        },
        ..Section::default()
    };
    let process = Process::set(dir.path(), section);
    let mut stage = Stage::of(process.addresses()).await;
    feed(&mut stage, 4, 1_000).await;
    assert_eq!(listed(&stage.reader).await, [0; 0]);
    assert_eq!(process.metric("ringside_packager_thumbnails_refused_total"), 8);
    let answer = stage.reader.get(&format!("thumb-{}.jpg", FIRST_MSN + 1)).await;
    assert_eq!(answer.status, 404);
}
