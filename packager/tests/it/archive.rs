//! The archive: what an event leaves in the store, whatever happens to the store, the packager or the disk meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ::bytes::Bytes;
use hls::check;
use hls::id::{Cell, StreamId};
use hls::playlist::{Parsed, parse};
use packager::Archive;
use packager::archive::{Order, Record, Unfit};
use packager::config::{Archive as Settings, Dvr};
use tokio::time::{Instant, sleep, timeout};

use crate::process::Process;
use crate::restart::kept;
use crate::s3::{BUCKET, Door, S3};
use crate::stage::{FIRST, PATIENCE, Stage, TRACKS, clean};

const FIRST_MSN: u64 = 40_000_000;
/// A store that comes back is tried within half a minute.
const OUTAGE: Duration = Duration::from_secs(60);

fn local() -> Settings {
    Settings {
        refresh_s: 2,
        ..Settings::default()
    }
}

/// An event's directory in a local store.
fn event(dir: &Path, cell: Cell) -> PathBuf {
    dir.join(format!("main/event-{cell}"))
}

fn main_stream() -> StreamId {
    StreamId::new("main").unwrap()
}

async fn until(what: &str, patience: Duration, mut there: impl FnMut() -> bool) {
    let seen = async {
        while !there() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(patience, seen).await.expect(what);
}

fn is_ended(event: &Path) -> bool {
    let record = fs::read(event.join("event.json")).ok();
    let record: Option<Record> = record.and_then(|json| serde_json::from_slice(&json).ok());
    record.is_some_and(|record| record.ended)
}

fn read(event: &Path, track: &str) -> (String, Parsed) {
    let text = fs::read_to_string(event.join(track).join("media.m3u8")).unwrap();
    clean(&check::playlist(&text));
    let parsed = parse(&text).unwrap();
    (text, parsed)
}

fn gaps(parsed: &Parsed) -> Vec<u64> {
    let numbered = (parsed.media_sequence.0..).zip(&parsed.segments);
    numbered
        .filter(|(_, segment)| segment.gap)
        .map(|(msn, _)| msn)
        .collect()
}

/// Every object that a playlist names is there; bytes by path.
fn objects(event: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for track in TRACKS {
        let (_, parsed) = read(event, track);
        let media = parsed.segments.iter().filter(|segment| !segment.gap);
        for uri in media
            .flat_map(|segment| [segment.uri.clone(), segment.map.clone()])
            .flatten()
        {
            let bytes = fs::read(event.join(track).join(&uri)).unwrap();
            all.insert(format!("{track}/{uri}"), bytes);
        }
    }
    all
}

/// What the origin gives of the recording now, by path.
async fn published(stage: &Stage) -> BTreeMap<String, Bytes> {
    let mut all = BTreeMap::new();
    for track in TRACKS {
        let text = stage.reader.get(&format!("{track}/dvr.m3u8")).await.text();
        let parsed = parse(&text).unwrap();
        let media = parsed.segments.iter().filter(|segment| !segment.gap);
        for uri in media
            .flat_map(|segment| [segment.uri.clone(), segment.map.clone()])
            .flatten()
        {
            let path = format!("{track}/{uri}");
            let body = stage.reader.get(&path).await.body;
            all.insert(path, body);
        }
    }
    all
}

fn same(stored: &BTreeMap<String, Vec<u8>>, published: &BTreeMap<String, Bytes>) {
    assert_eq!(
        stored.keys().collect::<Vec<_>>(),
        published.keys().collect::<Vec<_>>()
    );
    for (path, bytes) in stored {
        assert!(published[path] == bytes, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_stored_as_it_was_published_and_plays_from_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::archiving(dir.path(), &Dvr::default(), &local());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(60).await;
    // Another ladder with other decoder configurations, behind a hole.
    stage.restart(6, true).await;
    stage.feed(30).await;
    let event = event(&dir.path().join("archive"), FIRST);
    until("a live event's playlist", PATIENCE, || {
        event.join("index.m3u8").exists()
    })
    .await;
    let (text, parsed) = read(&event, "360p");
    assert!(!parsed.ended && !text.contains("PLAYLIST-TYPE"));
    assert!(
        !text.contains("CAN-SKIP") && !text.contains("CAN-BLOCK"),
        "a directory answers no directives"
    );
    objects(&event);
    stage.feed(30).await;
    stage.end().await;
    until("the whole event", PATIENCE, || is_ended(&event)).await;
    same(&objects(&event), &published(&stage).await);
    let index = fs::read_to_string(event.join("index.m3u8")).unwrap();
    assert_eq!(index, stage.reader.get("index.m3u8").await.text());
    for track in TRACKS {
        let (text, parsed) = read(&event, track);
        assert!(text.contains("#EXT-X-PLAYLIST-TYPE:VOD\n") && parsed.ended);
        assert_eq!(parsed.media_sequence.0, FIRST_MSN);
        let tags: u64 = parsed
            .segments
            .iter()
            .map(|segment| segment.discontinuities)
            .sum();
        assert_eq!(tags, 1);
    }
    // ffprobe reads every packet there is: 15 pictures a cell, 120 cells, and those of the hole are missing.
    let packets = packets(&event.join("360p/media.m3u8"));
    assert_eq!(packets, 120 * 15);
}

/// Video packets of a playlist, as ffprobe reads them.
fn packets(playlist: &Path) -> usize {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-allowed_extensions", "ALL", "-count_packets"])
        .args([
            "-select_streams",
            "v",
            "-show_entries",
            "stream=nb_read_packets",
            "-of",
            "csv=p=0",
        ])
        .arg(playlist)
        .output()
        .expect("ffprobe runs");
    let text = String::from_utf8(output.stdout).unwrap();
    let counted = text
        .lines()
        .next()
        .and_then(|line| line.trim_end_matches(',').parse().ok());
    counted.unwrap_or_else(|| panic!("{text} {}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packager_that_is_killed_again_and_again_leaves_no_hole() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::archiving(dir.path(), &Dvr::default(), &local());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(40).await;
    for _ in 0..5 {
        process.kill();
        process = Process::archiving(dir.path(), &Dvr::default(), &local());
        stage.moved(process.addresses());
        let (wanted, head) = (stage.resumed().await, stage.next);
        stage.rewind(wanted);
        while stage.next < head {
            stage.push(&[]).await;
        }
        stage.feed(19).await;
    }
    stage.end().await;
    let event = event(&dir.path().join("archive"), FIRST);
    until("the whole event", PATIENCE, || is_ended(&event)).await;
    for track in TRACKS {
        let (_, parsed) = read(&event, track);
        assert_eq!((parsed.media_sequence.0, gaps(&parsed)), (FIRST_MSN, Vec::new()));
        assert_eq!(parsed.segments.len(), (40 + 5 * 19) / 4 + 1);
    }
    same(&objects(&event), &published(&stage).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_nobody_goes_on_with_is_finished_by_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let off = Settings {
        url: "off".to_owned(),
        ..Settings::default()
    };
    let process = Process::archiving(dir.path(), &Dvr::default(), &off);
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(40).await;
    kept(&stage, FIRST_MSN + 9).await;
    stage.end().await;
    stage.restart(4, false).await;
    stage.feed(20).await;
    kept(&stage, stage.next.0 / 4 - 1).await;
    assert!(!dir.path().join("archive").exists());
    process.kill();
    let _process = Process::archiving(dir.path(), &Dvr::default(), &local());
    let event = event(&dir.path().join("archive"), FIRST);
    until("the whole event", PATIENCE, || is_ended(&event)).await;
    assert!(gaps(&read(&event, "audio").1).is_empty());
    assert_eq!(packets(&event.join("240p/media.m3u8")), 40 * 15);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_store_loses_nothing_and_nobody_sees_it() {
    let (dir, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let s3 = S3::start(store.path()).await;
    let process = Process::archiving(dir.path(), &Dvr::default(), &s3.settings());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(40).await;
    let event = event(&store.path().join(BUCKET).join("events"), FIRST);
    until("it is stored", PATIENCE, || event.join("index.m3u8").exists()).await;
    let mut failures = 0;
    for door in [Door::Refuses, Door::Hangs, Door::Slow(Duration::from_millis(300))] {
        s3.turns(door);
        // Live goes on at the feed's pace: every part is there as soon as it is fed.
        let since = Instant::now();
        for _ in 0..10 {
            stage.feed(4).await;
        }
        assert!(
            since.elapsed() < Duration::from_secs(5),
            "{door:?}: {:?}",
            since.elapsed()
        );
        if !matches!(door, Door::Slow(_)) {
            let counted = || process.metric("ringside_packager_archive_failures_total");
            until("it fails", PATIENCE, || counted() > failures).await;
            failures = counted();
        }
    }
    s3.turns(Door::Open);
    stage.end().await;
    until("the whole event", OUTAGE, || is_ended(&event)).await;
    for track in TRACKS {
        let (_, parsed) = read(&event, track);
        assert_eq!((gaps(&parsed), parsed.segments.len()), (vec![], 40));
    }
    same(&objects(&event), &published(&stage).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_stored_stays_beyond_the_recording_and_across_a_kill() {
    let (dir, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let s3 = S3::start(store.path()).await;
    s3.turns(Door::Refuses);
    // Only what a restart needs is kept: three minutes, which is 90 segments.
    let dvr = Dvr {
        hours: 0,
        ..Dvr::default()
    };
    let process = Process::archiving(dir.path(), &dvr, &s3.settings());
    let mut stage = Stage::of(process.addresses()).await;
    for _ in 0..10 {
        stage.feed(80).await;
    }
    until("it stays on disk", PATIENCE, || segments(dir.path()) >= 199).await;
    process.kill();
    let process = Process::archiving(dir.path(), &dvr, &s3.settings());
    stage.moved(process.addresses());
    let wanted = stage.resumed().await;
    stage.rewind(wanted);
    stage.feed(1_201 - (wanted.0 - FIRST.0)).await;
    until("it stays on disk", PATIENCE, || segments(dir.path()) >= 299).await;
    s3.turns(Door::Open);
    stage.end().await;
    let event = event(&store.path().join(BUCKET).join("events"), FIRST);
    until("the whole event", OUTAGE, || is_ended(&event)).await;
    for track in TRACKS {
        let (_, parsed) = read(&event, track);
        assert_eq!((gaps(&parsed), parsed.segments.len()), (vec![], 301));
    }
}

/// Segments on disk.
fn segments(data_dir: &Path) -> usize {
    let event = data_dir.join("events/main").join(FIRST.to_string());
    let names = fs::read_dir(event)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_str().unwrap().starts_with("seg-"))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_its_bound_the_oldest_is_given_up_and_said_to_be_a_gap() {
    let (dir, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let s3 = S3::start(store.path()).await;
    s3.turns(Door::Hangs);
    let dvr = Dvr {
        hours: 0,
        ..Dvr::default()
    };
    let tight = Settings {
        backlog_bytes: 40_000,
        ..s3.settings()
    };
    let process = Process::archiving(dir.path(), &dvr, &tight);
    let mut stage = Stage::of(process.addresses()).await;
    for _ in 0..15 {
        stage.feed(80).await;
    }
    let given_up = || process.metric("ringside_packager_archive_given_up_total");
    until("something is given up", PATIENCE, || given_up() > 0).await;
    s3.turns(Door::Open);
    stage.end().await;
    let event = event(&store.path().join(BUCKET).join("events"), FIRST);
    until("the whole event", OUTAGE, || is_ended(&event)).await;
    let (_, parsed) = read(&event, "360p");
    let gaps = gaps(&parsed);
    assert_eq!((parsed.media_sequence.0, parsed.segments.len()), (FIRST_MSN, 300));
    assert!(gaps.len() >= 32 && gaps.len() < 210, "{}", gaps.len());
    objects(&event);
    assert!(process.metric("ringside_packager_archive_lost_total") >= 3 * 32);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_event_is_read_back_and_a_dead_store_is_a_503_that_hurts_nobody() {
    let (dir, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let s3 = S3::start(store.path()).await;
    let process = Process::archiving(dir.path(), &Dvr::default(), &s3.settings());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(60).await;
    kept(&stage, FIRST_MSN + 14).await;
    let held = published(&stage).await;
    stage.end().await;
    let event = event(&store.path().join(BUCKET).join("events"), FIRST);
    until("the whole event", PATIENCE, || is_ended(&event)).await;
    // Another event is live, and the disk of the first one is gone.
    stage.restart(4, false).await;
    stage.feed(60).await;
    packager::events::delete(dir.path(), &main_stream(), FIRST.0).unwrap();
    let edge = stage.edge().await;
    let at = format!("event-{FIRST}");
    for reader in [&stage.reader, &edge] {
        let index = reader.get(&format!("{at}/index.m3u8")).await;
        assert_eq!(index.status, 200, "{index:?}");
        clean(&check::multivariant(&index.text()));
        let text = reader.get(&format!("{at}/360p/media.m3u8")).await.text();
        assert!(text.ends_with("#EXT-X-ENDLIST\n"));
        for (path, bytes) in &held {
            let answer = reader.get(&format!("{at}/{path}")).await;
            assert_eq!((answer.status, &answer.body), (200, bytes), "{path}");
        }
        for unknown in ["360p/seg-7.m4s", "1p/media.m3u8"] {
            assert_eq!(
                reader.get(&format!("{at}/{unknown}")).await.status,
                404,
                "{unknown}"
            );
        }
    }
    assert_eq!(stage.reader.get("event-5/index.m3u8").await.status, 404);

    s3.turns(Door::Hangs);
    let path = "event-6/index.m3u8";
    let asked: Vec<_> = (0..40).map(|_| stage.ask(path)).collect();
    let since = Instant::now();
    stage.feed(8).await;
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    for asked in asked {
        let answer = timeout(PATIENCE, asked).await.unwrap().unwrap();
        assert_eq!((answer.status, answer.later_s), (503, Some(5)), "{answer:?}");
    }
    assert_eq!(edge.get("event-6/index.m3u8").await.status, 503);
    let answer = stage.reader.get(&format!("{at}/index.m3u8")).await;
    assert_eq!(answer.status, 200, "what was read a moment ago");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_has_left_the_disk_is_its_streams_until_the_next_begins() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::archiving(dir.path(), &Dvr::default(), &local());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(60).await;
    kept(&stage, FIRST_MSN + 14).await;
    let held = published(&stage).await;
    stage.end().await;
    let event = event(&dir.path().join("archive"), FIRST);
    until("the whole event", PATIENCE, || is_ended(&event)).await;
    process.kill();
    fs::remove_dir_all(dir.path().join("events/main")).unwrap();
    let process = Process::archiving(dir.path(), &Dvr::default(), &local());
    stage.moved(process.addresses());
    let seen = async {
        while stage.reader.get("index.m3u8").await.status != 200 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, seen).await.expect("it is found in the store");
    assert!(stage.reader.playlist("360p").await.ends_with("#EXT-X-ENDLIST\n"));
    for (path, bytes) in &held {
        assert_eq!(stage.reader.get(path).await.body, bytes, "{path}");
    }
    stage.restart(4, false).await;
    stage.feed(60).await;
    assert!(!stage.reader.playlist("360p").await.contains("#EXT-X-ENDLIST"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_have_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::archiving(dir.path(), &Dvr::default(), &local());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(40).await;
    stage.end().await;
    let (archive, second) = (dir.path().join("archive"), Cell(stage.next.0 + 4));
    stage.restart(4, false).await;
    stage.feed(40).await;
    stage.end().await;
    let (first, second) = (event(&archive, FIRST), event(&archive, second));
    until("both events", PATIENCE, || is_ended(&first) && is_ended(&second)).await;
    process.kill();
    let record: Record = serde_json::from_slice(&fs::read(second.join("event.json")).unwrap()).unwrap();
    // Only one of the two fits.
    let tight = Settings {
        keep_bytes: record.bytes * 3 / 2,
        ..local()
    };
    let process = Process::archiving(dir.path(), &Dvr::default(), &tight);
    until("the first is removed", PATIENCE, || {
        !first.join("event.json").exists()
    })
    .await;
    assert!(is_ended(&second));
    let expired = || process.metric("ringside_packager_archive_expired_total");
    until("it is counted", PATIENCE, || expired() == 1).await;
}

fn order(from: f64, to: f64) -> Order {
    let at = |seconds: f64| {
        let time = Duration::from_millis(FIRST.0 * 500) + Duration::from_secs_f64(seconds);
        hls::time::date_time(time)
    };
    Order {
        from: at(from),
        to: at(to),
        event: None,
        name: Some("goal".to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clip_is_whole_segments_and_survives_its_event() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::archiving(dir.path(), &Dvr::default(), &local());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(80).await;
    let stored = event(&dir.path().join("archive"), FIRST);
    let lists =
        |uri| fs::read_to_string(stored.join("audio/media.m3u8")).is_ok_and(|text| text.contains(uri));
    until("it is stored", PATIENCE, || lists("seg-40000019.m4s")).await;
    // Another process's hand, as `ringside events clip` has it: it knows what the store knows.
    let archive = std::sync::Arc::new(Archive::open(&local(), dir.path()).unwrap());
    let clip = archive.clip(main_stream(), order(5.0, 9.0)).await.unwrap();
    assert_eq!((clip.length_s, clip.gaps, clip.event), (6.0, 0, FIRST.0));
    let path = clip.path.strip_prefix("/live/main/").unwrap();
    let edge = stage.edge().await;
    for reader in [&stage.reader, &edge] {
        let index = reader.get(path).await;
        assert_eq!(index.status, 200, "{index:?}");
        let at = path.strip_suffix("/index.m3u8").unwrap();
        for track in TRACKS {
            let text = reader.get(&format!("{at}/{track}/media.m3u8")).await.text();
            clean(&check::playlist(&text));
            let parsed = parse(&text).unwrap();
            assert!(text.contains("#EXT-X-START:TIME-OFFSET=1.000,PRECISE=YES\n") && parsed.ended);
            assert_eq!(
                (parsed.media_sequence.0, parsed.segments.len()),
                (FIRST_MSN + 2, 3)
            );
            for segment in &parsed.segments {
                let uri = segment.uri.as_ref().unwrap();
                let [clip, live] = [format!("{at}/{track}/{uri}"), format!("{track}/{uri}")];
                let (clip, live) = (reader.get(&clip).await, stage.reader.get(&live).await);
                assert_eq!((clip.status, clip.body), (200, live.body), "{uri}");
            }
        }
        assert_eq!(
            reader.get(&format!("{at}/360p/seg-40000009.m4s")).await.status,
            404
        );
    }
    let copied = dir.path().join("archive/main").join(format!("clip-{}", clip.id));
    assert_eq!(packets(&copied.join("360p/media.m3u8")), 12 * 15);
    assert_eq!(
        archive.clips(main_stream()).await.unwrap(),
        std::slice::from_ref(&clip)
    );

    stage.end().await;
    until("the whole event", PATIENCE, || is_ended(&stored)).await;
    assert!(archive.delete(&main_stream(), FIRST.0).await.unwrap());
    assert!(!stored.join("index.m3u8").exists());
    assert_eq!(packets(&copied.join("360p/media.m3u8")), 12 * 15);
    archive.delete_clip(main_stream(), clip.id.clone()).await.unwrap();
    assert!(!copied.join("index.m3u8").exists());
    let gone = archive.delete_clip(main_stream(), clip.id).await;
    assert!(matches!(gone, Err(Unfit::NoClip(..))), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clip_that_cannot_be_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::archiving(dir.path(), &Dvr::default(), &local());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(40).await;
    stage.end().await;
    let stored = event(&dir.path().join("archive"), FIRST);
    until("the whole event", PATIENCE, || is_ended(&stored)).await;
    let settings = Settings {
        clips_max: 1,
        ..local()
    };
    let archive = std::sync::Arc::new(Archive::open(&settings, dir.path()).unwrap());
    let refused = async |order: Order| archive.clip(main_stream(), order).await.unwrap_err();
    let mut odd = order(1.0, 2.0);
    odd.from = "yesterday".to_owned();
    for (bad, word) in [
        (odd, "RFC 3339"),
        (order(4.0, 4.0), "after `from`"),
        (order(5.0, 4.0), "after `from`"),
        (order(0.0, 3_601.0), "60 minutes"),
        (
            Order {
                name: Some("x".repeat(201)),
                ..order(1.0, 2.0)
            },
            "200 bytes",
        ),
    ] {
        let error = refused(bad).await;
        assert!(
            matches!(&error, Unfit::Field(text) if text.contains(word)),
            "{error}"
        );
    }
    for (from, to) in [(-60.0_f64, 5.0), (5.0, 60.0), (100.0, 110.0)] {
        let mut order = order(from.max(0.0), to);
        if from < 0.0 {
            order.from = hls::time::date_time(Duration::from_millis(FIRST.0 * 500) - Duration::from_secs(60));
        }
        let error = refused(order).await;
        assert!(matches!(error, Unfit::Outside { .. }), "{error}");
    }
    let mut other = order(1.0, 2.0);
    other.event = Some(7);
    assert!(matches!(refused(other).await, Unfit::Unknown(..)));
    archive.clip(main_stream(), order(1.0, 2.0)).await.unwrap();
    assert!(matches!(refused(order(1.0, 2.0)).await, Unfit::Full(..)));
}
