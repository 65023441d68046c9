//! What is under keys, on disk and after a restart.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ::bytes::Bytes;
use cmaf::protect::Key;
use hls::check;
use hls::path::KeyId;
use hls::playlist::{ParsedSegment, parse};
use packager::config::{Encryption, Method, Section};

use tokio::time::{sleep, timeout};

use crate::process::Process;
use crate::restart::{kept, texts};
use crate::stage::{FIRST, PATIENCE, Reader, Stage, TRACKS, clean};

fn under(method: Method, secret: &str) -> Section {
    Section {
        encryption: Encryption {
            method,
            rotate_segments: 7,
            master_secret: Some(secret.repeat(32)),
            serve_keys: true,
            ..Encryption::default()
        },
        ..Section::default()
    }
}

async fn fed(dir: &Path, section: Section, cells: u64) -> (Process, Stage) {
    let process = Process::set(dir, section);
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(cells).await;
    kept(&stage, stage.next.0 / 4 - 1).await;
    (process, stage)
}

async fn dvr(reader: &Reader, track: &str) -> Vec<ParsedSegment> {
    let text = reader.get(&format!("{track}/dvr.m3u8")).await.text();
    clean(&check::playlist(&text));
    clean(&check::features(&text));
    parse(&text).unwrap().segments
}

/// The key that a segment's playlist names, from where it says.
async fn key(reader: &Reader, segment: &ParsedSegment) -> Key {
    let line = segment.key.as_deref().expect("it is under a key");
    let field = |name: &str| line.split(name).nth(1).unwrap();
    let kid = field("/key-").get(..32).unwrap();
    let answer = reader.get(&format!("key-{kid}")).await;
    assert_eq!(answer.status, 200, "{kid}");
    let iv = field("IV=0x").get(..32).unwrap();
    Key {
        kid: KeyId::parse(kid).unwrap().0,
        key: answer.body.as_ref().try_into().unwrap(),
        iv: u128::from_str_radix(iv, 16).unwrap().to_be_bytes(),
    }
}

async fn bytes(reader: &Reader, track: &str, uri: &str) -> Bytes {
    let answer = reader.get(&format!("{track}/{uri}")).await;
    assert_eq!(answer.status, 200, "{track}/{uri}");
    answer.body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealed_segments_open_for_those_who_rewind() {
    let (clear_dir, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_clear_process, clear) = fed(clear_dir.path(), Section::default(), 400).await;
    let (process, stage) = fed(dir.path(), under(Method::Aes128, "a"), 400).await;
    let mut held = BTreeMap::new();
    for track in TRACKS {
        let segments = dvr(&stage.reader, track).await;
        assert_eq!(segments.len(), 100, "all since the start");
        for segment in &segments {
            let uri = segment.uri.as_deref().unwrap();
            let sealed = bytes(&stage.reader, track, uri).await;
            let opened = key(&stage.reader, segment).await.open(&sealed);
            assert!(opened.unwrap() == bytes(&clear.reader, track, uri).await, "{uri}");
            held.insert(format!("{track}/{uri}"), sealed);
        }
    }
    let before = texts(&stage).await;
    let process = process.again(dir.path());
    assert_eq!(texts(&stage).await, before);
    for (path, sealed) in held {
        assert!(stage.reader.get(&path).await.body == sealed, "{path}");
    }
    assert_eq!(process.metric("ringside_packager_spool_strange_cells_total"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealed_samples_have_their_init_segments_for_those_who_rewind() {
    let dir = tempfile::tempdir().unwrap();
    let (process, stage) = fed(dir.path(), under(Method::SampleAes, "a"), 400).await;
    let _process = process.again(dir.path());
    // The stage's pictures have no slices that could be read: gaps, never clear.
    let pictures = dvr(&stage.reader, TRACKS[0]).await;
    assert!(pictures.iter().all(|segment| segment.gap));
    let mut kids = BTreeMap::new();
    for segment in dvr(&stage.reader, "audio").await {
        let kid = key(&stage.reader, &segment).await.kid;
        let map = segment.map.clone().unwrap();
        let init = bytes(&stage.reader, "audio", &map).await;
        let names = |window: &[u8]| window == kid;
        assert!(init.windows(16).any(names), "{map} names its key (tenc)");
        assert_eq!(*kids.entry(kid).or_insert(map.clone()), map);
        let sealed = bytes(&stage.reader, "audio", segment.uri.as_deref().unwrap()).await;
        assert_eq!(cmaf::read::parts(&sealed).unwrap().len(), 4);
    }
    assert!(kids.len() > 14, "{kids:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_in_the_archive_is_sealed_and_names_its_keys() {
    let dir = tempfile::tempdir().unwrap();
    let (_process, mut stage) = fed(dir.path(), under(Method::Aes128, "a"), 80).await;
    stage.end().await;
    let path = format!("event-{FIRST}/audio");
    let stored = async {
        loop {
            let answer = stage.reader.get(&format!("{path}/media.m3u8")).await;
            if answer.status == 200 && answer.text().contains("#EXT-X-ENDLIST") {
                return answer.text();
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let text = timeout(PATIENCE, stored)
        .await
        .expect("an event that is over is stored");
    clean(&check::playlist(&text));
    let segments = parse(&text).unwrap().segments;
    assert_eq!(segments.len(), 20);
    for segment in &segments {
        let said = segment.key.as_deref().unwrap();
        assert!(said.contains("URI=\"../../key-"), "{said}");
        let sealed = bytes(&stage.reader, &path, segment.uri.as_deref().unwrap()).await;
        assert!(key(&stage.reader, segment).await.open(&sealed).is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_other_keys_than_those_of_now_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let (process, mut stage) = fed(dir.path(), under(Method::Aes128, "a"), 200).await;
    let before = texts(&stage).await;
    process.kill();
    let process = Process::set(dir.path(), under(Method::Aes128, "b"));
    assert_eq!(process.metric("ringside_packager_spool_strange_cells_total"), 200);
    stage.moved(process.addresses());
    stage.restart(1, true).await;
    stage.rewind(stage.next);
    stage.feed(40).await;
    let after = texts(&stage).await;
    assert!(parse(&after[0]).unwrap().media_sequence > parse(&before[0]).unwrap().media_sequence);
    for (track, text) in TRACKS.iter().zip(&after) {
        let segments = parse(text).unwrap().segments;
        let (gone, here): (Vec<_>, Vec<_>) = segments.iter().partition(|segment| segment.gap);
        assert!(!gone.is_empty(), "their numbers stay");
        for segment in here.into_iter().filter(|segment| segment.uri.is_some()) {
            let sealed = bytes(&stage.reader, track, segment.uri.as_deref().unwrap()).await;
            assert!(key(&stage.reader, segment).await.open(&sealed).is_some());
        }
    }
}
