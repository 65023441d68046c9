//! Playlists of subtitles: those of a track with media, without what only media has. So both have the same segments,
//! numbers, dates and discontinuities whatever happens to the stream.

use std::fmt::Write as _;

use super::Report;
use crate::path::Object;

/// Tags that have no meaning for plain text; reports are each playlist's own.
const NOT_FOR_TEXT: [&str; 7] = [
    "#EXT-X-MAP:",
    "#EXT-X-KEY:",
    "#EXT-X-PART-INF:",
    "#EXT-X-PART:",
    "#EXT-X-PRELOAD-HINT:",
    "#EXT-X-DATERANGE:",
    "#EXT-X-RENDITION-REPORT:",
];

/// The playlist of a subtitle track: the whole segments of `media`, a playlist of ours, as WebVTT; none while there are none.
///
/// It has no parts, so no PART-INF. EXT-X-SERVER-CONTROL stays: all renditions say the same there (rfc8216bis §4.4.3.8).
pub fn subtitles(media: &str, reports: &[Report]) -> Option<String> {
    let mut out = String::with_capacity(media.len() / 2);
    // What applies to a segment goes with its URI: an open one has none yet.
    let (mut segment, mut whole, mut ended) = (String::new(), false, false);
    for line in media.lines() {
        if NOT_FOR_TEXT.iter().any(|tag| line.starts_with(tag)) {
            continue;
        }
        match Object::parse(line) {
            Some(Object::Segment(msn)) => {
                out += &segment;
                out += &Object::Vtt(msn).uri();
                out.push('\n');
                segment.clear();
                whole = true;
            }
            _ if line == "#EXT-X-ENDLIST" => ended = true,
            _ => {
                segment += line;
                segment.push('\n');
            }
        }
    }
    for report in reports {
        let _infallible = report.write(&mut out);
    }
    if ended {
        let _infallible = writeln!(out, "#EXT-X-ENDLIST");
    }
    whole.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{self, Sibling};
    use crate::id::TrackId;
    use crate::playlist::parse;
    use crate::timeline::stage::Stage;

    const TRACKS: [&str; 3] = ["360p", "240p", "audio"];

    fn id(name: &str) -> TrackId {
        TrackId::new(name).unwrap()
    }

    fn reports(stage: &Stage) -> Vec<Report> {
        let newest = stage.timeline.newest().unwrap();
        let grid = &stage.grid;
        let end = (grid.msn(newest), grid.part_index(newest));
        TRACKS.iter().map(|name| Report::of(&id(name), end)).collect()
    }

    #[test]
    fn it_has_the_whole_segments_of_its_media_and_nothing_of_the_open_one() {
        let mut stage = Stage::usual();
        for cells in 1..30 {
            stage.feed(1);
            let media = stage.timeline.playlist(0).unwrap().render();
            let Some(text) = subtitles(&media, &reports(&stage)) else {
                assert!(parse(&media).unwrap().last_whole().is_none());
                continue;
            };
            let (media, subtitles) = (parse(&media).unwrap(), parse(&text).unwrap());
            assert_eq!(
                subtitles.last(),
                media.last_whole().map(|msn| (msn, None)),
                "{cells}"
            );
            assert_eq!(check::playlist(&text), [], "{text}");
            for (one, two) in media.segments.iter().zip(&subtitles.segments) {
                assert_eq!(
                    (one.duration, one.discontinuities, one.gap),
                    (two.duration, two.discontinuities, two.gap)
                );
                assert_eq!(one.date_time, two.date_time);
                let uri = two.uri.as_deref().and_then(Object::parse);
                assert!(matches!(uri, Some(Object::Vtt(_))), "{two:?}");
                assert!(two.map.is_none() && two.key.is_none() && two.parts.is_empty());
            }
        }
    }

    #[test]
    fn it_is_the_sibling_of_playlists_with_parts() {
        let mut stage = Stage::usual();
        let mut before: Option<String> = None;
        for _ in 0..60 {
            stage.feed(1);
            let Some(whole) = stage.timeline.position().and_then(|at| at.whole) else {
                continue;
            };
            let own = Report::of_whole(&id("subs-en"), whole);
            let mut texts: Vec<(String, String)> = Vec::new();
            for (n, name) in TRACKS.iter().enumerate() {
                let mut media = stage.timeline.playlist(n).unwrap();
                media.reports.push(own.clone());
                texts.push((format!("{name}/media.m3u8"), media.render()));
            }
            let text = subtitles(&texts[0].1, &reports(&stage)).unwrap();
            if let Some(before) = before.replace(text.clone()) {
                assert_eq!(check::successive(&before, &text), []);
            }
            texts.push(("subs-en/media.m3u8".to_owned(), text));
            let all: Vec<_> = texts.iter().map(|(uri, text)| Sibling { uri, text }).collect();
            assert_eq!(check::siblings(&all), []);
        }
    }

    #[test]
    fn the_end_is_said() {
        let mut stage = Stage::usual();
        stage.feed(9);
        stage.timeline.end();
        let media = stage.timeline.playlist(0).unwrap().render();
        let text = subtitles(&media, &[]).unwrap();
        assert!(text.ends_with(".vtt\n#EXT-X-ENDLIST\n"), "{text}");
        assert_eq!(
            parse(&text).unwrap().last_whole(),
            parse(&media).unwrap().last_whole()
        );
    }
}
