//! Rules about bytes: what playlists promise of them, and how they join.

use ::bytes::Bytes;
use cmaf::read::{self, Part};
use hls::id::{Cell, Msn};
use hls::path::Object;
use hls::playlist::parse;

use crate::stage::{FIRST, Stage, TRACKS};

async fn object(stage: &Stage, track: &str, object: Object) -> Bytes {
    let answer = stage.reader.get(&format!("{track}/{}", object.uri())).await;
    assert_eq!(answer.status, 200, "{track} {object:?}");
    answer.body
}

/// The parts of cells that are all held.
async fn parts(stage: &Stage, track: &str, cells: u64) -> Vec<Bytes> {
    let mut parts = Vec::new();
    for cell in FIRST.0..FIRST.0 + cells {
        parts.push(object(stage, track, Object::Part(Cell(cell))).await);
    }
    parts
}

fn read(parts: &[Bytes]) -> Vec<Part> {
    parts.iter().flat_map(|part| read::parts(part).unwrap()).collect()
}

/// A flag says YES exactly where the part has a sync sample, and the samples are all there.
fn independence(flags: &[bool], parts: &[Part]) -> bool {
    let sync = |part: &Part| part.samples.iter().any(|sample| sample.key);
    flags.len() == parts.len() && flags.iter().zip(parts).all(|(flag, part)| *flag == sync(part))
}

fn joined(segment: &Bytes, parts: &[Bytes]) -> bool {
    *segment == parts.concat() && read(std::slice::from_ref(segment)) == read(parts)
}

fn starts_with_a_key_frame(segment: &[Part]) -> bool {
    segment
        .first()
        .and_then(|part| part.samples.first())
        .is_some_and(|sample| sample.key)
}

fn continuous(parts: &[Part]) -> bool {
    parts.windows(2).all(|pair| pair[0].end() == pair[1].decode_time)
}

/// Under one URI, ever the same bytes.
fn constant(maps: &[(String, Bytes)]) -> bool {
    maps.iter()
        .all(|(uri, bytes)| maps.iter().all(|(other, more)| uri != other || bytes == more))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_05_parts_say_whether_they_are_independent() {
    let mut stage = Stage::usual().await;
    stage.feed(12).await;
    for track in TRACKS {
        let listed = parse(&stage.reader.playlist(track).await).unwrap();
        let mut flags: Vec<bool> = listed.parts().map(|part| part.independent).collect();
        let mut bytes = Vec::new();
        for part in listed.parts() {
            bytes.push(object(&stage, track, Object::parse(&part.uri).unwrap()).await);
        }
        assert!(flags.len() == 8 && independence(&flags, &read(&bytes)), "{track}");
        flags[5] ^= true;
        assert!(!independence(&flags, &read(&bytes)), "a flag that is wrong");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_06_a_segment_is_its_parts() {
    let mut stage = Stage::usual().await;
    stage.feed(8).await;
    for track in TRACKS {
        let parts = parts(&stage, track, 8).await;
        for (msn, parts) in (40_000_000..).zip(parts.chunks(4)) {
            let segment = object(&stage, track, Object::Segment(Msn(msn))).await;
            assert!(joined(&segment, parts), "{track} {msn}");
            assert!(!joined(&segment, &parts[1..]), "a part left out");
            assert!(
                !joined(&segment, &[&parts[1..], &parts[..1]].concat()),
                "parts in another order"
            );
        }
    }
    let mut stage = Stage::usual().await;
    stage.feed(6).await;
    stage.end().await;
    let parts = parts(&stage, "360p", 6).await;
    let last = object(&stage, "360p", Object::Segment(Msn(40_000_001))).await;
    assert!(
        joined(&last, &parts[4..]),
        "the segment in which the stream ended"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_17_every_segment_starts_with_a_key_frame() {
    let mut stage = Stage::usual().await;
    stage.feed(12).await;
    for track in TRACKS {
        for msn in 40_000_000..40_000_003 {
            let segment = object(&stage, track, Object::Segment(Msn(msn))).await;
            let mut parts = read(&[segment]);
            assert!(starts_with_a_key_frame(&parts), "{track} {msn}");
            parts[0].samples[0].key = false;
            assert!(!starts_with_a_key_frame(&parts), "a delta frame in front");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_18_fragments_follow_without_hole_or_overlap() {
    let mut stage = Stage::usual().await;
    stage.feed(40).await;
    for track in TRACKS {
        let mut parts = read(&parts(&stage, track, 40).await);
        assert!(parts.len() == 40 && continuous(&parts), "{track}");
        parts[20].decode_time += 1;
        assert!(!continuous(&parts), "a tick too late");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_19_a_map_never_changes_under_its_uri() {
    let mut stage = Stage::usual().await;
    let mut maps = Vec::new();
    for _ in 0..5 {
        stage.feed(5).await;
        for track in TRACKS {
            let text = stage.reader.playlist(track).await;
            let listed = parse(&text).unwrap();
            for segment in &listed.segments {
                let uri = segment.map.clone().expect("every segment has a map");
                let bytes = object(&stage, track, Object::parse(&uri).unwrap()).await;
                assert!(read::init(&bytes).is_ok());
                maps.push((uri, bytes));
            }
            let bare: String = text
                .lines()
                .filter(|l| !l.starts_with("#EXT-X-MAP"))
                .map(|l| format!("{l}\n"))
                .collect();
            crate::stage::only(19, &hls::check::playlist(&bare));
        }
    }
    assert!(constant(&maps));
    maps[7].1 = maps[7].1.slice(1..);
    assert!(!constant(&maps), "other bytes under a known URI");
}
