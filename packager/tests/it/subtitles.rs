//! Subtitle tracks: cues in, playlists and segments out, at the origin and at an edge.

use std::time::Duration;

use hls::check::{self, Sibling};
use hls::id::{Cell, Msn, StreamId};
use hls::playlist::parse;
use hls::time::Profile;
use hls::vtt::Cue;
use packager::config::Subtitles as Track;
use packager::subtitles::Unfit;
use packager::{Config, Packager};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::restart::kept;
use crate::stage::{FIRST, PATIENCE, Reader, SECRET, Stage, TRACKS, clean, config, grid};

const MEDIA: &str = "subs-en/media.m3u8";
/// Segment of the first cell.
const FIRST_MSN: u64 = FIRST.0 / 4;

fn track(name: &str, language: &str) -> Track {
    Track {
        name: name.to_owned(),
        language: Some(language.to_owned()),
        label: None,
        default: false,
        forced: false,
        stream: None,
    }
}

fn with_subtitles(config: &mut Config) {
    config.subtitles = vec![track("en", "en"), track("de", "de-CH")];
}

async fn stage() -> Stage {
    Stage::set(grid(Profile::Low, 30, 1, 48_000), with_subtitles).await
}

/// A cue so many seconds after the stream's begin.
fn cue(start_s: f64, end_s: f64, text: &str) -> Cue {
    let begin = Duration::from_millis(FIRST.0 * 500);
    let [start, end] = [start_s, end_s].map(|s| begin + Duration::from_secs_f64(s));
    Cue::new((start, end), text, "")
}

fn add(stage: &Stage, cues: Vec<Cue>) -> Result<usize, Unfit> {
    let main = StreamId::new("main").unwrap();
    stage.subtitles.as_ref().unwrap().add(&main, "en", cues)
}

async fn segment(reader: &Reader, segments: u64) -> String {
    let answer = reader
        .get(&format!("subs-en/seg-{}.vtt", FIRST_MSN + segments))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cues_are_in_the_segments_of_their_time() {
    let mut stage = stage().await;
    stage.feed(12).await;
    let seen = segment(&stage.reader, 2).await;
    assert_eq!(
        add(
            &stage,
            vec![cue(5.5, 9.0, "over three"), cue(6.25, 7.0, "in one")]
        )
        .unwrap(),
        2
    );
    assert!(matches!(add(&stage, vec![cue(4.0, 6.0, "late")]), Err(Unfit::Late(late)) if late == [0]));
    let open = stage
        .reader
        .get(&format!("subs-en/seg-{}.vtt", FIRST_MSN + 3))
        .await;
    assert_eq!(open.status, 404, "not published yet");
    stage.feed(12).await;
    assert_eq!(segment(&stage.reader, 2).await, seen, "what is published stays");
    let begin = FIRST.0 / 2;
    let base = (begin + 6 - 600) / 3_600 * 3_600;
    let stamp = |s: f64| {
        let s = (begin - base) as f64 + s;
        format!(
            "{:02.0}:{:02.0}:{:06.3}",
            (s / 3_600.0).floor(),
            (s / 60.0 % 60.0).floor(),
            s % 60.0
        )
    };
    let head = format!(
        "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{},LOCAL:00:00:00.000\n",
        u128::from(base) * 90_000 % (1 << 33)
    );
    let both = format!(
        "{head}\n{} --> {}\nover three\n\n{} --> {}\nin one\n",
        stamp(5.5),
        stamp(9.0),
        stamp(6.25),
        stamp(7.0)
    );
    assert_eq!(segment(&stage.reader, 3).await, both);
    let long = format!("{head}\n{} --> {}\nover three\n", stamp(5.5), stamp(9.0));
    assert_eq!(segment(&stage.reader, 4).await, long);
    assert_eq!(segment(&stage.reader, 5).await, head);
    let get = |path: String| async move { stage.reader.exact(http::Method::GET, &path, &[]).await };
    let answer = get(format!("subs-en/seg-{}.vtt", FIRST_MSN + 3)).await;
    assert_eq!(answer.headers["content-type"], "text/vtt");
    assert!(
        answer.headers["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_playlist_follows_the_rules_with_subtitles_among_them() {
    let mut stage = stage().await;
    let mut last: Option<Vec<String>> = None;
    stage.feed(4).await;
    let names = [&TRACKS[..], &["subs-en", "subs-de"]].concat();
    for cell in 4..60 {
        if cell == 30 {
            stage.restart(3, true).await;
        }
        stage.feed(1).await;
        let mut now = Vec::new();
        for name in &names {
            now.push(stage.reader.playlist(name).await);
        }
        let uris: Vec<_> = names.iter().map(|name| format!("{name}/media.m3u8")).collect();
        let all: Vec<_> = uris
            .iter()
            .zip(&now)
            .map(|(uri, text)| Sibling { uri, text })
            .collect();
        clean(&check::siblings(&all));
        now.iter().for_each(|text| clean(&check::playlist(text)));
        for (before, after) in last.iter().flatten().zip(&now) {
            clean(&check::successive(before, after));
        }
        last = Some(now);
    }
    let text = stage.reader.get("index.m3u8").await.text();
    clean(&check::multivariant(&text));
    let line = "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subtitles\",NAME=\"de\",LANGUAGE=\"de-CH\",DEFAULT=NO,\
        AUTOSELECT=YES,FORCED=NO,URI=\"subs-de/media.m3u8\"\n";
    assert!(text.contains(line), "{text}");
    assert_eq!(text.matches(",SUBTITLES=\"subtitles\"").count(), 2, "{text}");
}

/// The same at an edge, which follows a track that has no parts by its segments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_waits_for_a_whole_segment() {
    let mut stage = stage().await;
    stage.feed(12).await;
    let edge = stage.edge().await;
    for reader in [stage.reader.clone(), edge] {
        let now = reader.playlist("subs-en").await;
        let last = parse(&now).unwrap().last().unwrap().0;
        let request = stage.ask_of(&reader, &format!("{MEDIA}?_HLS_msn={}", last.next()));
        let part = stage.ask_of(&reader, &format!("{MEDIA}?_HLS_msn={}&_HLS_part=0", last.next()));
        stage.feed(3).await;
        assert!(
            !stage.answered(&request).await && !stage.answered(&part).await,
            "three of four parts"
        );
        let text = format!("words of {last}");
        let at = (last.0 + 1 - FIRST_MSN) as f64 * 2.0;
        add(&stage, vec![cue(at, at + 1.0, &text)]).unwrap();
        stage.feed(1).await;
        for request in [request, part] {
            let answer = timeout(PATIENCE, request).await.unwrap().unwrap();
            assert_eq!(answer.status, 200);
            assert_eq!(parse(&answer.text()).unwrap().last(), Some((last.next(), None)));
        }
        let answer = reader.get(&format!("subs-en/seg-{}.vtt", last.next())).await;
        assert!(answer.text().contains(&text), "{answer:?}");
        let far = reader.get(&format!("{MEDIA}?_HLS_msn={}", last.0 + 4)).await;
        assert_eq!(far.status, 400);
        for missing in [
            "subs-en/part-1.m4s",
            "subs-fr/media.m3u8",
            "subs-en/seg-1.vtt",
            "360p/seg-1.vtt",
        ] {
            assert_eq!(reader.get(missing).await.status, 404, "{missing}");
        }
        // The rendition report of a track with parts names a place that is there.
        let video = parse(&reader.playlist("360p").await).unwrap();
        let report = video
            .reports
            .iter()
            .find(|report| report.uri.contains("subs-en"))
            .unwrap();
        assert_eq!((report.last_msn, report.last_part), (last.next(), None));
    }
}

/// After a restart the live window and the recording have what they had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_has_them_and_a_restart_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let set = |config: &mut Config| {
        with_subtitles(config);
        config.data_dir = Some(dir.path().to_owned());
    };
    let mut stage = Stage::set(grid(Profile::Low, 30, 1, 48_000), set).await;
    stage.feed(13).await;
    // Known when the first half of it was published, so only in the second.
    add(&stage, vec![cue(5.0, 8.5, "kept"), cue(200.0, 201.0, "to come")]).unwrap();
    stage.feed(47).await;
    let last = FIRST_MSN + 14;
    kept(&stage, last).await;
    let dvr = stage.reader.get("subs-en/dvr.m3u8").await.text();
    clean(&check::playlist(&dvr));
    let video = parse(&stage.reader.get("360p/dvr.m3u8").await.text()).unwrap();
    let (listed, parsed) = (video.segments.len(), parse(&dvr).unwrap());
    assert_eq!(
        (parsed.segments.len(), parsed.last_whole()),
        (listed, video.last_whole())
    );
    let multivariant = stage.reader.get("dvr.m3u8").await.text();
    assert!(
        multivariant.contains("URI=\"subs-en/dvr.m3u8\""),
        "{multivariant}"
    );
    clean(&check::multivariant(&multivariant));
    let has = |texts: &[String]| texts.iter().map(|text| text.contains("kept")).collect::<Vec<_>>();
    let mut before = Vec::new();
    for n in 0..15 {
        before.push(segment(&stage.reader, n).await);
    }
    assert_eq!(has(&before)[..6], [false, false, false, true, true, false]);
    // From the edge, the recording's segments too.
    let edge = stage.edge().await;
    assert_eq!(segment(&edge, 3).await, before[3]);
    assert_eq!(edge.get("subs-en/dvr.m3u8").await.text(), dvr);

    stage.stop().await;
    let mut config = config();
    set(&mut config);
    let packager = Packager::bind(config, SECRET.to_vec()).await.unwrap();
    stage.moved((packager.feed_address().unwrap(), packager.origin_address()));
    stage.subtitles = packager.subtitles();
    let shutdown = CancellationToken::new();
    let _ends = shutdown.clone().drop_guard();
    TaskTracker::new().spawn(packager.run(shutdown));
    for (n, text) in (0..).zip(&before) {
        assert_eq!(segment(&stage.reader, n).await, *text, "segment {n}");
    }
    assert_eq!(
        add(&stage, vec![cue(200.0, 201.0, "to come")]).unwrap(),
        0,
        "known"
    );
    assert!(matches!(
        add(&stage, vec![cue(1.0, 2.0, "late")]),
        Err(Unfit::Late(_))
    ));
    let msn = Msn(last + 1);
    stage.reconnect(Cell(msn.0 * 4)).await;
    stage.feed(4).await;
    let text = stage.reader.playlist("subs-en").await;
    assert!(text.contains(&format!("seg-{msn}.vtt\n")), "{text}");
}
