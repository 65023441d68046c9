//! A packager that is killed, and started again where it wrote.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ::bytes::Bytes;
use feed::Cue;
use feed::cue::Kind;
use hls::check::{self, Sibling};
use hls::id::{Cell, Msn};
use hls::path::Object;
use hls::playlist::{Parsed, parse};
use hls::playlist::{Trigger, Value};
use tokio::time::{sleep, timeout};

use crate::process::Process;
use crate::stage::{Answer, FIRST, PATIENCE, Stage, TRACKS, clean};

type Texts = Vec<String>;

pub(crate) async fn texts(stage: &Stage) -> Texts {
    let mut texts = Vec::new();
    for track in TRACKS {
        texts.push(stage.reader.playlist(track).await);
    }
    let uris = TRACKS.map(|track| format!("{track}/media.m3u8"));
    let all: Vec<_> = uris
        .iter()
        .zip(&texts)
        .map(|(uri, text)| Sibling { uri, text })
        .collect();
    clean(&check::siblings(&all));
    texts.iter().for_each(|text| clean(&check::playlist(text)));
    texts
}

/// Playlists that follow these by the rules.
async fn following(stage: &Stage, last: &Texts) -> Texts {
    let now = texts(stage).await;
    let pairs = last.iter().zip(&now);
    pairs.for_each(|(before, after)| clean(&check::successive(before, after)));
    now
}

/// Everything that these playlists name, by path.
async fn objects(stage: &Stage, texts: &Texts) -> BTreeMap<String, Bytes> {
    let mut all = BTreeMap::new();
    for (track, text) in TRACKS.iter().zip(texts) {
        let parsed = parse(text).unwrap();
        let whole = parsed.segments.iter().filter(|segment| !segment.gap);
        let segments = whole.filter_map(|segment| segment.uri.clone());
        let parts = parsed
            .parts()
            .filter(|part| !part.gap)
            .map(|part| part.uri.clone());
        let maps = parsed.segments.iter().filter_map(|segment| segment.map.clone());
        for uri in segments.chain(parts).chain(maps) {
            let path = format!("{track}/{uri}");
            let answer = stage.reader.get(&path).await;
            assert_eq!(answer.status, 200, "{path}");
            all.insert(path, answer.body);
        }
    }
    all
}

async fn same(stage: &Stage, objects: &BTreeMap<String, Bytes>) {
    for (path, bytes) in objects {
        let answer = stage.reader.get(path).await;
        assert!(
            answer.status == 200 && answer.body == *bytes,
            "{path}: {}",
            answer.status
        );
    }
}

/// Waits until this segment is on disk.
pub(crate) async fn kept(stage: &Stage, msn: u64) {
    let uri = Object::Segment(Msn(msn)).uri();
    let seen = async {
        while !stage.reader.get("audio/dvr.m3u8").await.text().contains(&uri) {
            sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, seen).await.expect("what is published is kept");
}

fn gaps(text: &str) -> Vec<u64> {
    let parsed: Parsed = parse(text).unwrap();
    let numbered = (parsed.media_sequence.0..).zip(&parsed.segments);
    numbered
        .filter(|(_, segment)| segment.gap)
        .map(|(msn, _)| msn)
        .collect()
}

fn event(dir: &Path) -> PathBuf {
    dir.join("events/main").join(FIRST.to_string())
}

fn file(dir: &Path, name: &str) -> PathBuf {
    let files = fs::read_dir(event(dir))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut named: Vec<PathBuf> = files
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(name))
        .collect();
    named.sort();
    named.pop().unwrap()
}

fn cue(id: &str, cell: Cell, kind: Kind) -> Cue {
    Cue {
        id: id.to_owned(),
        class: None,
        frame: cell.0 * 15,
        kind,
        duration: None,
        section: Bytes::new(),
        trigger: None,
        attributes: vec![("SPOT".to_owned(), Value::Text("1".to_owned()))],
    }
}

fn interstitial(id: &str, cell: Cell) -> Cue {
    let uri = Value::Text("https://ads.example/a.m3u8".to_owned());
    Cue {
        class: Some("com.apple.hls.interstitial".to_owned()),
        duration: Some(std::time::Duration::from_secs(15)),
        trigger: Some(Trigger {
            place: None,
            once: true,
        }),
        attributes: vec![("ASSET-URI".to_owned(), uri)],
        ..cue(id, cell, Kind::Plain)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packager_that_is_killed_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(60).await;
    stage.restart(6, true).await;
    stage.feed(60).await;
    stage.cue(cue("break", Cell(stage.next.0 + 2), Kind::Out)).await;
    for id in ["spot", "never"] {
        stage.cue(interstitial(id, Cell(stage.next.0 + 80))).await;
    }
    let limit = ("PLAYOUT-LIMIT".to_owned(), Value::Number(7_500));
    let more = Cue {
        attributes: vec![limit],
        ..cue("spot", Cell(0), Kind::More)
    };
    stage.cue(more).await;
    stage.feed_with_gaps(&[1]).await;
    stage.feed(23).await;
    stage.cue(cue("never", Cell(0), Kind::Cancel)).await;
    stage.feed(23).await;
    let before = texts(&stage).await;
    let multivariant = stage.reader.get("index.m3u8").await;
    assert!(before[0].contains("ID=\"break\"") && !gaps(&before[1]).is_empty());
    let asset =
        ",CUE=\"ONCE\",DURATION=15.00000,X-ASSET-URI=\"https://ads.example/a.m3u8\",X-PLAYOUT-LIMIT=7.500\n";
    assert!(
        before[0].contains(asset) && !before[0].contains("ID=\"never\""),
        "{}",
        before[0]
    );
    let mut held = objects(&stage, &before).await;
    // What has left the playlist a moment ago is still there.
    for cell in stage.next.0 - 40..stage.next.0 {
        let path = format!("360p/{}", Object::Part(Cell(cell)).uri());
        held.insert(path.clone(), stage.reader.get(&path).await.body);
    }
    kept(&stage, 40_000_042).await;
    process.kill();

    let process = Process::start(dir.path());
    stage.moved(process.addresses());
    assert_eq!(
        texts(&stage).await,
        before,
        "served at once, and nothing has changed"
    );
    assert_eq!(stage.reader.get("index.m3u8").await, multivariant);
    same(&stage, &held).await;
    let next = stage.next;
    let hinted = stage.ask(&format!("360p/{}", Object::Part(next).uri()));
    let reload = stage.ask(&format!("audio/media.m3u8?_HLS_msn={}&_HLS_part=1", next.0 / 4));
    assert!(
        !stage.answered(&hinted).await && !stage.answered(&reload).await,
        "they wait for the feed"
    );

    stage.reconnect(next).await;
    stage.feed(2).await;
    for answer in [hinted, reload] {
        assert_eq!(timeout(PATIENCE, answer).await.unwrap().unwrap().status, 200);
    }
    let mut last = following(&stage, &before).await;
    stage.cue(cue("break", Cell(stage.next.0 - 1), Kind::In)).await;
    for _ in 0..12 {
        stage.feed(3).await;
        last = following(&stage, &last).await;
    }
    same(&stage, &held).await;
    assert!(last[0].contains("ID=\"break\"") && last[0].contains("DURATION="));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cells_missed_meanwhile_are_asked_for_and_those_nobody_has_are_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(80).await;
    let before = texts(&stage).await;
    kept(&stage, 40_000_019).await;
    process.kill();
    let process = Process::start(dir.path());
    stage.moved(process.addresses());
    let lost = stage.next;
    stage.reconnect(lost).await;
    // The ingest has gone on, and keeps no more than the last cells.
    for _ in 0..9 {
        stage.push(&[0, 1, 2]).await;
    }
    stage.rewind(stage.next);
    stage.feed(11).await;
    let now = following(&stage, &before).await;
    assert_eq!(gaps(&now[0])[4..], [40_000_020, 40_000_021, 40_000_022]);
    kept(&stage, 40_000_024).await;
    let dvr = stage.reader.get("360p/dvr.m3u8").await.text();
    assert_eq!(gaps(&dvr), [40_000_020, 40_000_021, 40_000_022]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ladder_that_begins_meanwhile_is_a_discontinuity() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(80).await;
    let before = texts(&stage).await;
    let held = objects(&stage, &before).await;
    kept(&stage, 40_000_019).await;
    process.kill();
    let process = Process::start(dir.path());
    stage.moved(process.addresses());
    stage.restart(5, true).await;
    stage.feed(9).await;
    let now = following(&stage, &before).await;
    same(&stage, &held).await;
    let parsed = parse(&now[0]).unwrap();
    let tags: Vec<u64> = parsed
        .segments
        .iter()
        .map(|segment| segment.discontinuities)
        .collect();
    assert_eq!(tags.iter().sum::<u64>(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_goes_on_with_the_first_cell_it_has_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(dir.path());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(40).await;
    let mut parts = BTreeMap::new();
    for _ in 0..6 {
        for _ in 0..7 {
            stage.push(&[]).await;
        }
        stage.published().await;
        let path = format!("240p/{}", Object::Part(Cell(stage.next.0 - 1)).uri());
        parts.insert(path.clone(), stage.reader.get(&path).await.body);
        process.kill();
        process = Process::start(dir.path());
        stage.moved(process.addresses());
        // What was in memory alone is asked for again.
        let (wanted, head) = (stage.resumed().await, stage.next);
        assert!(FIRST <= wanted && wanted <= head, "{wanted}");
        stage.rewind(wanted);
        while stage.next < head {
            stage.push(&[]).await;
        }
        stage.published().await;
    }
    stage.feed(8).await;
    let now = texts(&stage).await;
    assert_eq!(
        gaps(&now[0]),
        [39_999_996, 39_999_997, 39_999_998, 39_999_999],
        "only what was before it began"
    );
    same(&stage, &parts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sound_of_a_damaged_spool_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(80).await;
    let held = objects(&stage, &texts(&stage).await).await;
    kept(&stage, 40_000_019).await;
    process.kill();
    // A bit of a part, a bit of the journal, and the tail of it.
    let (segment, journal) = (
        event(dir.path()).join("seg-40000010"),
        file(dir.path(), "journal"),
    );
    flip(&segment, 0.0);
    flip(&journal, 0.5);
    let torn = fs::read(&journal).unwrap();
    fs::write(&journal, &torn[..torn.len() - 3]).unwrap();

    let process = Process::start(dir.path());
    stage.moved(process.addresses());
    let last = Cell(stage.next.0 - 1);
    stage.reconnect(last).await;
    stage.rewind(last);
    stage.feed(9).await;
    let now = texts(&stage).await;
    let (video, audio) = (gaps(&now[0]), gaps(&now[2]));
    assert!(
        video.contains(&40_000_010) && !audio.contains(&40_000_010),
        "{video:?} {audio:?}"
    );
    assert_eq!(
        video.len(),
        audio.len() + 1,
        "one record of the journal is all tracks' cell"
    );
    let mut there = 0;
    for (path, bytes) in &held {
        let answer: Answer = stage.reader.get(path).await;
        assert!(answer.status == 404 || answer.body == *bytes, "{path}");
        there += usize::from(answer.status == 200);
    }
    assert!(process.metric("ringside_packager_spool_lost_parts_total") > 0);
    assert!(process.metric("ringside_packager_spool_spoilt_bytes_total") > 0);
    assert!(there * 100 >= held.len() * 85, "{there} of {}", held.len());
}

fn flip(path: &Path, place: f64) {
    let mut bytes = fs::read(path).unwrap();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a small file"
    )]
    let at = (bytes.len() as f64 * place) as usize;
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_version_is_left_alone_and_the_stream_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(40).await;
    kept(&stage, 40_000_009).await;
    process.kill();
    let header = event(dir.path()).join("event.json");
    let text = fs::read_to_string(&header).unwrap();
    fs::write(&header, text.replace("\"version\": 3", "\"version\": 9")).unwrap();
    let process = Process::start(dir.path());
    stage.moved(process.addresses());
    assert_eq!(stage.reader.get("360p/media.m3u8").await.status, 404);
    stage.reconnect(Cell(0)).await;
    stage.feed(40).await;
    texts(&stage).await;
    assert!(header.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(40).await;
    kept(&stage, 40_000_009).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let event = event(dir.path());
    for made in [&event, event.parent().unwrap(), &dir.path().join("events")] {
        assert_eq!(mode(made), 0o700, "{}", made.display());
    }
    for entry in fs::read_dir(&event).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_of_an_edge_see_a_pause_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(80).await;
    let edge = stage.edge().await;
    let before = edge.playlist("360p").await;
    kept(&stage, 40_000_019).await;
    let next = stage.next;
    let waits = stage.ask_of(
        &edge,
        &format!("360p/media.m3u8?_HLS_msn={}&_HLS_part=0", next.0 / 4),
    );
    let process = process.again(dir.path());
    stage.moved(process.addresses());
    stage.reconnect(next).await;
    stage.feed(1).await;
    let answer = timeout(PATIENCE, waits).await.unwrap().unwrap();
    assert_eq!(answer.status, 200);
    clean(&check::successive(&before, &answer.text()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_packagers_of_one_feed_publish_the_same_also_one_that_joins_late() {
    let mut one = Stage::usual().await;
    let mut two = Stage::usual().await;
    for stage in [&mut one, &mut two] {
        stage.feed(20).await;
        stage.feed_with_gaps(&[2]).await;
        stage.feed(20).await;
    }
    assert_eq!(texts(&one).await, texts(&two).await);
    let held = objects(&one, &texts(&one).await).await;
    same(&two, &held).await;

    // A third one joins in the middle of a cell, and the first one is gone 100 cells later.
    let mut three = Stage::usual().await;
    three.join(one.next).await;
    for stage in [&mut one, &mut three] {
        stage.feed(100).await;
    }
    let (mut common, mut equal) = (0, 0);
    for cell in one.next.0 - 101..one.next.0 {
        for track in TRACKS {
            let path = format!("{track}/{}", Object::Part(Cell(cell)).uri());
            let (there, here) = (one.reader.get(&path).await, three.reader.get(&path).await);
            common += usize::from(there.status == 200 && here.status == 200);
            equal += usize::from(there.status == 200 && there.body == here.body);
        }
    }
    assert!(
        common >= 3 * 99 && equal * 100 >= common * 99,
        "{equal} of {common}"
    );
    drop(one);
    let before = texts(&three).await;
    three.feed(8).await;
    following(&three, &before).await;
}
