//! What a publication costs (a playlist made, written and read back) and what a request costs (path, query, verdict).

use std::time::Duration;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use hls::id::{Cell, TrackId};
use hls::path::{DirectiveError, Directives, Resource};
use hls::playlist::{self, Media, Parsed};
use hls::reload::Verdict;
use hls::time::{FrameRate, Grid, Profile};
use hls::timeline::{Config, Life, Share, Timeline};

const PROFILES: [Profile; 2] = [Profile::Low, Profile::Ultra];
const WINDOW: Duration = Duration::from_secs(60);
const TRACKS: [&str; 3] = ["360p", "240p", "audio"];

fn main() {
    divan::main();
}

/// The model of one track's playlist.
#[divan::bench(args = PROFILES)]
fn model(bencher: Bencher, profile: Profile) {
    let timeline = live(profile);
    bencher.bench(|| black_box(&timeline).playlist(0));
}

#[divan::bench(args = PROFILES)]
fn render(bencher: Bencher, profile: Profile) {
    let media = media(profile);
    let bytes = BytesCount::of_str(&media.render());
    bencher.counter(bytes).bench(|| black_box(&media).render());
}

#[divan::bench(args = PROFILES)]
fn parse(bencher: Bencher, profile: Profile) {
    let text = media(profile).render();
    let read = || -> Parsed { playlist::parse(black_box(&text)).expect("what is rendered can be read") };
    assert_eq!(read().segments.len(), media(profile).segments.len());
    bencher.counter(BytesCount::of_str(&text)).bench(read);
}

#[divan::bench(args = [
    "/live/main/index.m3u8",
    "/live/main/360p/media.m3u8",
    "/live/main/360p/init-0123456789abcdef.mp4",
    "/live/main/360p/part-160000000.m4s",
    "/live/main/360p/seg-40000000.m4s",
])]
fn resource(path: &str) -> Resource {
    Resource::parse(black_box(path)).expect("the path follows the grammar")
}

#[divan::bench(args = ["", "_HLS_msn=40000000&_HLS_part=3", "CMCD=bl%3D1500%2Csid%3D%22a%22&_HLS_msn=40000000&_HLS_part=3"])]
fn directives(query: &str) -> Result<Directives, DirectiveError> {
    Directives::parse(black_box(query))
}

/// The first part of the segment so far ahead of the open one.
#[divan::bench(args = [(0, Verdict::Ready), (1, Verdict::Park), (9, Verdict::TooFar)])]
fn verdict(bencher: Bencher, (ahead, verdict): (u64, Verdict)) {
    let position = live(Profile::Low).position().expect("it has been fed");
    let directives = Directives {
        wait: Some((position.last.0 + ahead, Some(0))),
        skip: None,
    };
    assert_eq!(position.playlist(&directives), verdict);
    bencher.bench(|| black_box(&position).playlist(black_box(&directives)));
}

fn media(profile: Profile) -> Media {
    live(profile).playlist(0).expect("it has been fed")
}

/// A stream with its window full and one part missing in the open segment: when its playlists are longest.
fn live(profile: Profile) -> Timeline {
    let rate = FrameRate::new(30, 1).expect("30 frames a second are in range");
    let grid = Grid::of(profile, rate, 48_000).expect("every profile has a grid at this rate");
    let first = grid.first_cell(grid.msn(Cell(160_000_000)));
    let config = Config {
        grid,
        tracks: TRACKS
            .map(|name| TrackId::new(name).expect("a valid id"))
            .to_vec(),
        window: WINDOW,
    };
    let life = Life {
        first,
        discontinuity: 0,
        maps: TRACKS.map(|name| format!("init-{name}.mp4")).to_vec(),
    };
    let mut timeline = Timeline::new(config, life);
    let fed = grid.frame_at(WINDOW * 2) / u64::from(grid.part_frames());
    let open = grid.part_index(Cell(first.0 + fed)).0;
    let last = first.0 + fed - open + u64::from(grid.segment_parts()) - 1;
    for cell in (first.0..last).map(Cell) {
        let share = Share::Media {
            duration: grid.cell_duration(),
            independent: grid.starts_gop(cell),
            offset: Duration::ZERO,
        };
        for track in 0..TRACKS.len() {
            timeline.share(track, cell, share).expect("cells come in order");
        }
    }
    timeline
}

/// Six hours of segments of two seconds, as a rewind playlist lists them.
fn six_hours() -> String {
    let mut media = media(Profile::Low);
    let whole = media.segments.first().expect("it has been fed").clone();
    let mut listed = vec![whole; 10_800];
    for (msn, segment) in listed.iter_mut().enumerate() {
        segment.parts.clear();
        if let Some(whole) = &mut segment.whole {
            whole.uri = format!("seg-{}.m4s", 40_000_000 + msn);
        }
    }
    listed.append(&mut media.segments);
    media.segments = listed;
    media.render()
}

/// A delta update of a text, dates included: what the first one costs who asks for a version's.
#[divan::bench(args = [false, true])]
fn delta(bencher: Bencher, six: bool) {
    let text = if six {
        six_hours()
    } else {
        media(Profile::Low).render()
    };
    let recent = playlist::delta::Recent::default();
    assert!(playlist::delta::derive(&text, Some(&recent)).is_some_and(|delta| delta.len() < 10_000));
    let derive = || playlist::delta::derive(black_box(&text), Some(&recent));
    bencher.counter(BytesCount::of_str(&text)).bench(derive);
}

/// What copying that text costs, to compare with.
#[divan::bench]
fn copy(bencher: Bencher) {
    let text = six_hours();
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| black_box(&text).clone());
}

/// The same text of a delta update and the version before.
#[divan::bench]
fn merge(bencher: Bencher) {
    let text = six_hours();
    let delta = playlist::delta::derive(&text, None).expect("there is much to skip");
    assert_eq!(playlist::delta::merge(&text, &delta).as_ref(), Ok(&text));
    bencher.bench(|| playlist::delta::merge(black_box(&text), black_box(&delta)));
}

/// Six hours of one track in segments of 2 s, with ten date ranges: what a version for rewinding costs.
#[divan::bench]
fn dvr_render(bencher: Bencher) {
    let dvr = recorded(SIX_HOURS);
    let dates = vec![date(); 10];
    let text = || {
        black_box(&dvr)
            .render(&dates, playlist::Kind::Sliding)
            .expect("it has segments")
    };
    let bytes = BytesCount::of_str(&text());
    bencher.counter(bytes).bench(text);
}

/// A segment more while a reader holds the version before.
#[divan::bench]
fn dvr_append(bencher: Bencher) {
    let dvr = recorded(SIX_HOURS);
    let (next, segment) = (dvr.next(), segment(dvr.next()));
    bencher.with_inputs(|| dvr.clone()).bench_values(|mut dvr| {
        dvr.push(next, 0, &segment);
        dvr
    });
}

const SIX_HOURS: u64 = 6 * 3_600 / 2;

fn recorded(segments: u64) -> playlist::Dvr {
    let mut dvr = playlist::Dvr::new(Duration::from_secs(2));
    for msn in (40_000_000..40_000_000 + segments).map(hls::id::Msn) {
        dvr.push(msn, 0, &segment(msn));
    }
    dvr
}

fn segment(msn: hls::id::Msn) -> playlist::Segment {
    playlist::Segment {
        whole: Some(playlist::Whole {
            uri: hls::path::Object::Segment(msn).uri(),
            duration: Duration::from_secs(2),
        }),
        map: "init-0123456789abcdef.mp4".to_owned(),
        key: None,
        discontinuities: 0,
        start: Duration::from_secs(msn.0 * 2),
        gap: false,
        parts: Vec::new(),
    }
}

fn date() -> playlist::DateRange {
    playlist::DateRange {
        id: "break-1".to_owned(),
        class: None,
        start: Duration::from_secs(80_000_000),
        planned: Some(Duration::from_secs(30)),
        duration: None,
        sections: vec![(playlist::Splice::Out, vec![0xfc; 32])],
        trigger: None,
        attributes: Vec::new(),
    }
}
