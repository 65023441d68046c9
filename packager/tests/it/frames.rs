//! Key frames of the recording, for scrubbing.

use hls::check;
use hls::playlist::{Frame, Range};
use http::Method;
use packager::config::{self, Encryption, Section};

use crate::process::Process;
use crate::restart::kept;
use crate::stage::{Reader, Stage};

/// EXT-X-MEDIA-SEQUENCE, and each key frame with its segment.
fn read(text: &str) -> (u64, Vec<(String, Frame)>) {
    assert_eq!(check::features(text), []);
    let after = |line: &str, tag: &str| line.strip_prefix(tag).map(str::to_owned);
    let number = text
        .lines()
        .find_map(|line| after(line, "#EXT-X-MEDIA-SEQUENCE:"))
        .unwrap();
    let (mut frames, mut duration, mut range) = (Vec::new(), None, None);
    for line in text.lines() {
        if let Some(value) = after(line, "#EXTINF:") {
            duration = Some(value.trim_end_matches(',').parse().unwrap());
        } else if let Some(value) = after(line, "#EXT-X-BYTERANGE:") {
            let (length, offset) = value.split_once('@').unwrap();
            range = Some(Range {
                offset: offset.parse().unwrap(),
                length: length.parse().unwrap(),
            });
        } else if !line.starts_with('#') {
            let duration = std::time::Duration::from_secs_f64(duration.take().unwrap());
            let range = range.take();
            frames.push((line.to_owned(), Frame { duration, range }));
        }
    }
    (number.parse().unwrap(), frames)
}

async fn text(reader: &Reader) -> String {
    let answer = reader.get("360p/iframes.m3u8").await;
    assert_eq!(answer.status, 200);
    answer.text()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_gop_of_the_recording_can_be_shown_by_its_first_picture_alone() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(200).await;
    stage.feed_with_gaps(&[0]).await;
    stage.feed(39).await;
    kept(&stage, stage.next.0 / 4 - 1).await;
    let multivariant = stage.reader.get("dvr.m3u8").await.text();
    assert_eq!(check::multivariant(&multivariant), []);
    let named =
        |line: &str| line.starts_with("#EXT-X-I-FRAME-STREAM-INF:") && line.contains("/iframes.m3u8\"");
    assert!(multivariant.lines().any(named), "{multivariant}");
    let before = text(&stage.reader).await;
    assert!(before.contains("\n#EXT-X-I-FRAMES-ONLY\n"));
    let (number, frames) = read(&before);
    // Two of each segment, so that their numbers follow from its number.
    assert_eq!((number, frames.len()), (80_000_000, 120));
    let total: f64 = frames.iter().map(|(_, frame)| frame.duration.as_secs_f64()).sum();
    assert!((total - 120.0).abs() < 0.01, "{total}");
    let gaps = frames.iter().filter(|(_, frame)| frame.range.is_none());
    assert_eq!(gaps.count(), 2, "of the segment that has a gap");
    for (uri, frame) in &frames {
        let Some(Range { offset, length }) = frame.range else {
            continue;
        };
        let range = format!("bytes={offset}-{}", offset + length - 1);
        let path = format!("360p/{uri}");
        let answer = stage.reader.exact(Method::GET, &path, &[("range", &range)]).await;
        assert_eq!((answer.status.as_u16(), answer.body.len() as u64), (206, length));
        assert_eq!(cmaf::read::first_sample(&answer.body).unwrap() as u64, length);
        let whole = stage.reader.get(&path).await.body;
        let parts = cmaf::read::parts(&whole).unwrap();
        let shown = parts.iter().any(|part| {
            let first = &part.samples[0];
            first.key && answer.body.ends_with(&first.data)
        });
        assert!(shown, "{uri}: {range}");
    }
    let process = process.again(dir.path());
    assert_eq!(text(&stage.reader).await, before);
    assert_eq!(stage.reader.get("audio/iframes.m3u8").await.status, 404);
    drop(process);
}

/// Names of the media playlists of a multivariant one, and of those of key frames.
fn named(multivariant: &str) -> (Vec<&str>, Vec<&str>) {
    let frames = multivariant.lines().filter_map(|line| {
        let list = line.strip_prefix("#EXT-X-I-FRAME-STREAM-INF:")?;
        list.split_once("URI=\"")?.1.split('"').next()
    });
    let media = multivariant
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    (media.collect(), frames.collect())
}

/// rfc8216bis §6.2.5.2: where one playlist of the stream blocks, those of key frames do.
async fn breaches(reader: &Reader, multivariant: &str) -> Vec<String> {
    let (media, frames) = named(multivariant);
    let mut blocks = Vec::new();
    for uri in media.iter().chain(&frames) {
        let text = reader.get(uri).await.text();
        blocks.push((uri.to_string(), text.contains("CAN-BLOCK-RELOAD=YES")));
    }
    let (media, frames) = blocks.split_at(media.len());
    let is_asked = media.iter().any(|(_, blocks)| *blocks);
    let wrong = frames.iter().filter(|(_, blocks)| is_asked && !blocks);
    wrong.map(|(uri, _)| uri.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_42_key_frames_are_listed_where_no_playlist_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(80).await;
    kept(&stage, stage.next.0 / 4 - 1).await;
    let [live, rewind] = ["index.m3u8", "dvr.m3u8"].map(|path| stage.reader.get(path));
    let (live, rewind) = (live.await.text(), rewind.await.text());
    assert!(named(&live).1.is_empty() && !named(&rewind).1.is_empty());
    for text in [&live, &rewind] {
        assert_eq!(breaches(&stage.reader, text).await, Vec::<String>::new());
    }
    // Were the recording's key frames announced with the live playlists, they would have to block.
    let line = rewind
        .lines()
        .find(|line| line.starts_with("#EXT-X-I-FRAME-STREAM-INF:"));
    let mutant = format!("{live}{}\n", line.unwrap());
    assert_eq!(breaches(&stage.reader, &mutant).await, ["360p/iframes.m3u8"]);
    // As they do not, who asks one of them to is answered with what there is.
    let (_, listed) = read(&text(&stage.reader).await);
    let ahead = stage
        .reader
        .get("360p/iframes.m3u8?_HLS_msn=80000100&_HLS_part=0")
        .await;
    assert_eq!((ahead.status, read(&ahead.text()).1), (200, listed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_is_one_cipher_text_has_no_key_frames_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let encryption = Encryption {
        method: config::Method::Aes128,
        master_secret: Some("0123456789abcdef".repeat(2)),
        serve_keys: true,
        ..Encryption::default()
    };
    let section = Section {
        encryption,
        ..Section::default()
    };
    let process = Process::set(dir.path(), section);
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(40).await;
    kept(&stage, stage.next.0 / 4 - 1).await;
    let multivariant = stage.reader.get("dvr.m3u8").await.text();
    assert!(!multivariant.contains("I-FRAME") && multivariant.contains("dvr.m3u8"));
    assert_eq!(stage.reader.get("360p/iframes.m3u8").await.status, 404);
}
