//! What viewers rewind to: playlists of hours, and segments that have left the live window.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use ::bytes::Bytes;
use hls::check;
use hls::id::{Cell, Msn};
use hls::path::Object;
use hls::playlist::delta::merge;
use hls::playlist::{Parsed, parse};
use packager::config::Dvr;
use tokio::time::{sleep, timeout};

use crate::process::Process;
use crate::restart::kept;
use crate::stage::{FIRST, PATIENCE, Reader, Stage, TRACKS, clean};

const FIRST_MSN: u64 = 40_000_000;

/// Waits for the playlist that ends with this segment, and checks it against the one before.
async fn dvr(stage: &Stage, track: &str, last: u64, before: Option<&str>) -> String {
    kept(stage, last).await;
    let text = stage.reader.get(&format!("{track}/dvr.m3u8")).await.text();
    let mut broken = check::playlist(&text);
    // It grows for hours, so what is known need not be said again.
    let delta = stage
        .reader
        .get(&format!("{track}/dvr.m3u8?_HLS_skip=v2"))
        .await
        .text();
    assert_eq!(merge(&text, &delta).as_deref(), Ok(&*text), "{delta}");
    assert_eq!(
        delta.contains("#EXT-X-SKIP"),
        parse(&text).unwrap().segments.len() > 6
    );
    broken.extend(check::successive(before.unwrap_or(&text), &text));
    clean(&broken);
    text
}

fn uris(parsed: &Parsed) -> Vec<String> {
    let uris = parsed.segments.iter().filter(|segment| !segment.gap);
    uris.filter_map(|segment| segment.uri.clone()).collect()
}

/// Every segment of a playlist, by path.
async fn segments(stage: &Stage, track: &str, text: &str) -> BTreeMap<String, Bytes> {
    let mut all = BTreeMap::new();
    let parsed = parse(text).unwrap();
    let maps = parsed.segments.iter().filter_map(|segment| segment.map.clone());
    for uri in uris(&parsed).into_iter().chain(maps) {
        let path = format!("{track}/{uri}");
        let answer = stage.reader.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        all.insert(path, answer.body);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_since_the_start_can_be_seen_again() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let mut stage = Stage::of(process.addresses()).await;
    let mut parts: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut before: Option<String> = None;
    for round in 0..9 {
        if round == 3 {
            stage.restart(1, true).await;
            stage.rewind(stage.next);
        }
        for _ in 0..12 {
            stage.feed(4).await;
            let msn = stage.next.0 / 4 - 1;
            for track in TRACKS {
                let path = format!("{track}/{}", Object::Segment(Msn(msn)).uri());
                for cell in msn * 4..msn * 4 + 4 {
                    let part = format!("{track}/{}", Object::Part(Cell(cell)).uri());
                    let part = stage.reader.get(&part).await;
                    if part.status == 200 {
                        parts.entry(path.clone()).or_default().extend(&part.body);
                    }
                }
            }
        }
        let last = stage.next.0 / 4 - 1;
        before = Some(dvr(&stage, "360p", last, before.as_deref()).await);
    }
    let text = before.unwrap();
    let parsed = parse(&text).unwrap();
    assert_eq!(parsed.media_sequence, Msn(FIRST_MSN));
    let live = parse(&stage.reader.playlist("360p").await).unwrap();
    assert!(
        live.media_sequence.0 > FIRST_MSN + 20,
        "the live window has left it behind"
    );
    for track in TRACKS {
        let text = dvr(&stage, track, stage.next.0 / 4 - 1, None).await;
        let seen = segments(&stage, track, &text).await;
        for uri in uris(&parse(&text).unwrap()) {
            let path = format!("{track}/{uri}");
            assert!(seen[&path] == parts[&path], "{path}: the bytes of its parts");
        }
    }
    let multivariant = stage.reader.get("dvr.m3u8").await.text();
    clean(&check::multivariant(&multivariant));
    let live = stage.reader.get("index.m3u8").await.text();
    let without_frames: String = multivariant
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("#EXT-X-I-FRAME-STREAM-INF:"))
        .collect();
    assert_eq!(without_frames, live.replace("media.m3u8", "dvr.m3u8"));
    let gone = format!("360p/{}", Object::Segment(Msn(FIRST_MSN - 1)).uri());
    assert_eq!(stage.reader.get(&gone).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_loses_nothing_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(300).await;
    let before = dvr(&stage, "240p", FIRST_MSN + 74, None).await;
    let seen = segments(&stage, "240p", &before).await;
    process.kill();
    let process = Process::start(dir.path());
    stage.moved(process.addresses());
    assert_eq!(dvr(&stage, "240p", FIRST_MSN + 74, None).await, before);
    stage.reconnect(stage.next).await;
    stage.feed(40).await;
    let now = dvr(&stage, "240p", FIRST_MSN + 84, Some(&before)).await;
    assert_eq!(uris(&parse(&now).unwrap()).len(), 85);
    let again = segments(&stage, "240p", &now).await;
    assert!(seen.iter().all(|(path, bytes)| again[path] == *bytes));
    let spoilt = dir
        .path()
        .join(format!("events/main/{FIRST}/seg-{}", FIRST_MSN + 2));
    let bytes: Vec<u8> = fs::read(&spoilt).unwrap().iter().map(|byte| byte ^ 1).collect();
    fs::write(&spoilt, bytes).unwrap();
    assert_eq!(
        stage.reader.get("240p/seg-40000002.m4s").await.status,
        404,
        "rather nothing than wrong bytes"
    );
    assert_eq!(process.metric("ringside_packager_dvr_lost_total"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_bound_on_bytes_the_oldest_goes_first() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::with(
        dir.path(),
        &Dvr {
            bytes_max: 700_000,
            ..Dvr::default()
        },
    );
    let mut stage = Stage::of(process.addresses()).await;
    let mut before: Option<String> = None;
    for round in 1..=12 {
        stage.feed(80).await;
        before = Some(dvr(&stage, "360p", FIRST_MSN + round * 20 - 1, before.as_deref()).await);
    }
    assert!(process.metric("ringside_packager_spool_shortened_total") > 0);
    let parsed = parse(&before.unwrap()).unwrap();
    assert!(
        parsed.media_sequence.0 > FIRST_MSN + 60,
        "{}",
        parsed.media_sequence
    );
    assert_eq!(
        parsed.media_sequence.0 + parsed.segments.len() as u64,
        FIRST_MSN + 240
    );
    let files = fs::read_dir(dir.path().join("events/main").join(FIRST.to_string())).unwrap();
    let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    // It is looked after with each new segment, so that one may be there beyond it.
    assert!((300_000..=710_000).contains(&bytes), "{bytes}");
    for uri in uris(&parsed) {
        assert_eq!(
            stage.reader.get(&format!("360p/{uri}")).await.status,
            200,
            "{uri}"
        );
    }
    let gone = format!("360p/{}", Object::Segment(Msn(FIRST_MSN)).uri());
    assert_eq!(stage.reader.get(&gone).await.status, 404);
}

/// A file system of this size; mounting one takes root, or sudo without a password.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(dir: &'a Path, size: &str) -> Self {
        let options = format!("size={size},mode=0777");
        let dir_name = dir.to_str().unwrap();
        let mounted = as_root(&["mount", "-t", "tmpfs", "-o", &options, "tmpfs", dir_name]);
        assert!(mounted, "no tmpfs: neither root nor `sudo -n`");
        Self(dir)
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        as_root(&["umount", "-l", self.0.to_str().unwrap()]);
    }
}

fn as_root(command: &[&str]) -> bool {
    let run = |words: &[&str]| {
        let status = std::process::Command::new(words[0]).args(&words[1..]).status();
        status.is_ok_and(|status| status.success())
    };
    run(command) || run(&[&["sudo", "-n"], command].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_a_hole_in_the_recording_and_nothing_to_the_live_edge() {
    let dir = tempfile::tempdir().unwrap();
    let _disk = Disk::mount(dir.path(), "2m");
    let process = Process::start(dir.path());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(40).await;
    kept(&stage, FIRST_MSN + 9).await;
    let ballast = dir.path().join("ballast");
    let mut filled = fs::File::create(&ballast).unwrap();
    while std::io::Write::write_all(&mut filled, &[0; 4_096]).is_ok() {}
    stage.feed(40).await;
    let live = stage.reader.playlist("360p").await;
    clean(&check::playlist(&live));
    assert!(
        !live.lines().any(|line| line.contains("GAP=YES")),
        "the live edge has it all"
    );
    assert!(process.metric("ringside_packager_spool_left_out_total") >= 32);
    drop(filled);
    fs::remove_file(&ballast).unwrap();
    stage.feed(40).await;
    let text = dvr(&stage, "360p", FIRST_MSN + 29, None).await;
    let parsed = parse(&text).unwrap();
    assert_eq!(parsed.segments.len(), 30);
    let gaps: Vec<usize> = (0..30).filter(|at| parsed.segments[*at].gap).collect();
    // Pages that were begun before take a little more.
    assert!(
        gaps.len() >= 8 && gaps.iter().all(|at| (10..21).contains(at)),
        "{gaps:?}"
    );
    process.kill();
    let process = Process::start(dir.path());
    stage.moved(process.addresses());
    assert_eq!(dvr(&stage, "360p", FIRST_MSN + 29, None).await, text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_fetches_each_object_of_it_once_for_all() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(300).await;
    let text = dvr(&stage, "360p", FIRST_MSN + 74, None).await;
    let edge = stage.edge().await;
    let before = process.metric("ringside_origin_requests_total");
    let (old, map) = (
        "360p/seg-40000003.m4s",
        parse(&text).unwrap().segments[0].map.clone().unwrap(),
    );
    let map = format!("360p/{map}");
    for path in ["dvr.m3u8", "360p/dvr.m3u8", old, &map] {
        let want = stage.reader.get(path).await;
        let asked: Vec<_> = (0..20).map(|_| stage.ask_of(&edge, path)).collect();
        for answer in asked {
            let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
            assert!(
                answer.status == 200 && answer.body == want.body,
                "{path}: {}",
                answer.status
            );
        }
    }
    // Four of ours, four of the edge's, and its one look at the multivariant playlist.
    assert_eq!(process.metric("ringside_origin_requests_total") - before, 9);
    assert_eq!(
        process.metric("ringside_origin_repeats_total"),
        0,
        "by the parent's books"
    );
    sleep(Duration::from_millis(1_100)).await;
    stage.feed(4).await;
    let now = dvr(&stage, "360p", FIRST_MSN + 75, Some(&text)).await;
    assert_eq!(
        edge.get("360p/dvr.m3u8").await.text(),
        now,
        "half a target duration later it is asked for again"
    );
    assert_eq!(
        process.metric("ringside_origin_repeats_total"),
        0,
        "another version is another object"
    );
    assert_eq!(edge.get("360p/seg-39999999.m4s").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_over_is_a_recording_until_the_next_one_begins() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(202).await;
    let edge = stage.edge().await;
    let watched = edge.get("360p/media.m3u8").await.text();
    let parked = stage.ask(&format!("240p/media.m3u8?_HLS_msn={}", stage.next.0 / 4));
    assert!(!stage.answered(&parked).await);
    stage.end().await;
    let last = timeout(PATIENCE, parked).await.unwrap().unwrap().text();
    assert!(last.ends_with("#EXT-X-ENDLIST\n") && !last.contains("VOD"));
    let seen = stage.reader.playlist("360p").await;
    clean(&check::successive(&watched, &seen));

    for reader in [&stage.reader.clone(), &edge] {
        let whole = vod(reader).await;
        let parsed = parse(&whole).unwrap();
        assert_eq!(
            (parsed.segments.len(), parsed.media_sequence),
            (51, Msn(FIRST_MSN))
        );
        for uri in uris(&parsed) {
            assert_eq!(reader.get(&format!("360p/{uri}")).await.status, 200, "{uri}");
        }
    }
    process.kill();
    let process = Process::start(dir.path());
    stage.moved(process.addresses());
    vod(&stage.reader.clone()).await;
    stage.restart(20, false).await;
    stage.feed(20).await;
    let live = stage.reader.playlist("360p").await;
    clean(&check::playlist(&live));
    assert!(!live.contains("ENDLIST") && !live.contains(&Object::Segment(Msn(FIRST_MSN)).uri()));
}

/// Waits until the live playlist is the whole event.
async fn vod(reader: &Reader) -> String {
    let text = async {
        loop {
            let text = reader.playlist("360p").await;
            if text.contains("#EXT-X-PLAYLIST-TYPE:VOD\n") && text.ends_with("#EXT-X-ENDLIST\n") {
                return text;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, text).await.expect("it becomes a recording")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_disk_refuses_those_who_rewind_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let one = Dvr {
        reads_max: 1,
        waiting_max: 1,
        ..Dvr::default()
    };
    let process = Process::with(dir.path(), &one);
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(300).await;
    kept(&stage, FIRST_MSN + 74).await;
    // A disk that answers when it likes: opening a pipe waits for its other end.
    let slow = dir
        .path()
        .join(format!("events/main/{FIRST}/seg-{}", FIRST_MSN + 1));
    fs::remove_file(&slow).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&slow)
            .status()
            .unwrap()
            .success()
    );
    let reads = stage.ask("360p/seg-40000001.m4s");
    assert!(!stage.answered(&reads).await);
    let waits = stage.ask("360p/seg-40000002.m4s");
    assert!(!stage.answered(&waits).await);
    let refused = stage.reader.get("360p/seg-40000003.m4s").await;
    assert_eq!((refused.status, refused.later_s), (503, Some(1)));
    assert_eq!(process.metric("ringside_packager_dvr_refused_total"), 1);
    stage.feed(4).await;
    assert_eq!(stage.reader.get("360p/dvr.m3u8").await.status, 200);
    drop(fs::File::options().write(true).open(&slow).unwrap());
    let answers = [timeout(PATIENCE, reads).await, timeout(PATIENCE, waits).await];
    assert_eq!(answers.map(|answer| answer.unwrap().unwrap().status), [404, 200]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_hours_nothing_is_offered_and_a_restart_goes_on_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let off = Dvr {
        hours: 0,
        ..Dvr::default()
    };
    let process = Process::with(dir.path(), &off);
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(800).await;
    let written = async {
        while process.metric("ringside_packager_spool_cells_total") < 800 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, written)
        .await
        .expect("what is published is kept");
    for path in ["dvr.m3u8", "360p/dvr.m3u8", "360p/seg-40000050.m4s"] {
        assert_eq!(stage.reader.get(path).await.status, 404, "{path}");
    }
    let bytes = process.metric("ringside_packager_spool_bytes");
    let before = stage.reader.playlist("360p").await;
    process.kill();
    let process = Process::with(dir.path(), &off);
    stage.moved(process.addresses());
    assert_eq!(stage.reader.playlist("360p").await, before);
    stage.reconnect(stage.next).await;
    stage.feed(400).await;
    clean(&check::successive(&before, &stage.reader.playlist("360p").await));
    assert!(
        process.metric("ringside_packager_spool_bytes") <= bytes * 5 / 4,
        "it does not grow"
    );
}
