use super::*;
use proptest::prelude::*;

const HEAD: &str = "#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-TARGETDURATION:2\n\
    #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,CAN-SKIP-DATERANGES=YES,PART-HOLD-BACK=1.566\n\
    #EXT-X-PART-INF:PART-TARGET=0.522\n#EXT-X-MEDIA-SEQUENCE:10\n#EXT-X-DISCONTINUITY-SEQUENCE:3\n";

const UNTIL: Duration = Duration::from_secs(12);

fn segments(numbers: Range<u64>) -> String {
    numbers
        .map(|n| format!("#EXTINF:2.00000,\nseg-{n}.m4s\n"))
        .collect()
}

fn full(segments: &str) -> String {
    format!("{HEAD}#EXT-X-MAP:URI=\"init.mp4\"\n{segments}#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p\"\n")
}

/// Segments, parts, dates and other lines as they stand, in any order.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_delta_in_its_own_words() {
    let dated = "#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-07-14T22:13:20.000Z\"\n";
    let text = full(&format!("{}{dated}{}", segments(10..12), segments(12..20)));
    let delta = derive(&text, None).unwrap();
    let head = HEAD.replace("VERSION:8", "VERSION:9");
    // Six segments of two seconds end no more than twelve seconds away; so does the seventh begin, at fourteen.
    let tail = format!("{}#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p\"\n", segments(13..20));
    assert_eq!(
        delta,
        format!("{head}{dated}#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n{tail}")
    );
    let skip = "#EXT-X-SKIP:SKIPPED-SEGMENTS=3,RECENTLY-REMOVED-DATERANGES=\"\"\n";
    let old = derive(&text, Some(&Recent::default())).unwrap();
    assert_eq!(
        old,
        format!("{}{skip}{tail}", HEAD.replace("VERSION:8", "VERSION:10"))
    );
    let both = Recent {
        fresh: ["a".to_owned()].into(),
        removed: vec!["x".to_owned(), "y".to_owned()],
    };
    let removed = skip.replace("\"\"", "\"x\ty\"");
    assert_eq!(
        derive(&text, Some(&both)).unwrap(),
        format!("{head}{dated}{removed}{tail}")
    );
}

#[test]
fn segments_alone_are_counted_and_not_looked_at() {
    let text = full(&segments(10..1_000));
    let counted = count(text.as_bytes());
    assert_eq!((counted.uris, counted.needs_a_look), (990, false));
}

#[test]
fn nothing_to_skip_is_no_delta() {
    let is_full = |text: &str| assert_eq!(derive(text, Some(&Recent::default())), None, "{text}");
    is_full(&full(&segments(10..17)));
    assert!(derive(&full(&segments(10..18)), None).is_some());
    let text = full(&segments(10..40));
    is_full(&format!("{text}#EXT-X-ENDLIST\n"));
    is_full(&text.replace("#EXTM3U\n", "#EXTM3U\n#EXT-X-ENDLIST\n"));
    is_full(&text.replace("CAN-SKIP-UNTIL=12.0,", ""));
    is_full(&text.replace("CAN-SKIP-UNTIL=12.0", "CAN-SKIP-UNTIL=x"));
    is_full(&text.replace("#EXT-X-SERVER-CONTROL", "#"));
    is_full("");
    let without = text.replace(",CAN-SKIP-DATERANGES=YES", "");
    assert_eq!(derive(&without, Some(&Recent::default())), derive(&without, None));
    assert_eq!((offered(&text), offers_dates(&text)), (Some(UNTIL), true));
    assert_eq!(offered(&format!("{text}#EXT-X-ENDLIST\n")), None);
}

#[test]
fn what_was_not_there_is_missed() {
    let delta = derive(&full(&segments(10..30)), None).unwrap();
    let from = |first: u64, segments: &str| full(segments).replace(":10\n", &format!(":{first}\n"));
    for previous in [from(11, &segments(11..30)), full(&segments(10..22))] {
        assert!(matches!(
            merge(&previous, &delta),
            Err(Error::Missing { from: 10, to: 23, .. })
        ));
    }
    assert!(merge(&full(&segments(10..23)), &delta).is_ok());
    let twice = delta.replace(
        "#EXT-X-PART-INF",
        "#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n#EXT-X-PART-INF",
    );
    assert_eq!(merge(&full(&segments(10..30)), &twice), Err(Error::Twice));
    for bad in [
        "SKIPPED-SEGMENTS=x",
        "SKIPPED-SEGMENTS=18446744073709551615",
        "A=1",
    ] {
        let bad = delta.replace("SKIPPED-SEGMENTS=13", bad);
        assert_eq!(
            merge(&full(&segments(10..30)), &bad),
            Err(Error::Malformed("EXT-X-SKIP"))
        );
    }
    let whole = full(&segments(10..12));
    assert_eq!(merge("", &whole), Ok(whole));
}

/// A foreign text has its lines elsewhere, and other line ends.
#[test]
fn lines_that_stand_anywhere_are_kept() {
    let (dated, vendor) = ("#EXT-X-DATERANGE:ID=\"a\"\n", "#EXT-X-VENDOR:1\n");
    let early = HEAD.replace("#EXT-X-MEDIA", "#EXT-X-MAP:URI=\"early.mp4\"\n#EXT-X-MEDIA");
    let blocks = format!(
        "{}{vendor}{dated}#EXT-X-DEFINE:NAME=\"x\",VALUE=\"y\"\n{}",
        segments(10..12),
        segments(12..40)
    );
    for text in [
        format!("{early}{vendor}{blocks}"),
        format!("{vendor}{early}# c\n{blocks}"),
    ] {
        let text = text.replace(&format!("{vendor}#EXTM3U\n"), &format!("#EXTM3U\n{vendor}"));
        let delta = derive(&text, None).unwrap();
        assert!(
            delta.contains("#EXT-X-MEDIA-SEQUENCE:10\n") && delta.contains(dated),
            "{delta}"
        );
        assert!(
            delta.contains("#EXT-X-DEFINE:") && !delta.contains("#EXT-X-MAP"),
            "{delta}"
        );
        assert_eq!(sorted(&merge(&text, &delta).unwrap()), sorted(&text));
        let crlf = derive(&text.replace('\n', "\r\n"), None).unwrap();
        assert_eq!(sorted(&crlf), sorted(&delta));
    }
}

#[test]
fn a_higher_version_is_the_full_playlists() {
    let text = full(&segments(10..30)).replace("VERSION:8", "VERSION:12");
    let delta = derive(&text, None).unwrap();
    assert!(delta.contains("#EXT-X-VERSION:12\n"));
    assert_eq!(
        merge(&text.replace("VERSION:12", "VERSION:8"), &delta).unwrap(),
        text
    );
    let none = text.replace("#EXT-X-VERSION:12\n", "");
    assert_eq!(merge(&none, &derive(&none, None).unwrap()).unwrap(), none);
}

#[test]
fn history_says_what_is_fresh_and_what_has_gone() {
    let mut history = History::default();
    let mut note = |at: u64, lists: &[&str]| {
        let recent = history.note(Duration::from_secs(at), UNTIL, lists.iter().copied());
        let fresh: Vec<String> = recent.fresh.into_iter().collect();
        (fresh.concat(), recent.removed.concat())
    };
    let (a, b) = ("ID=\"a\"", "ID=\"b\"");
    assert_eq!(note(0, &[a, b]), ("ab".to_owned(), String::new()));
    assert_eq!(note(12, &[a, b]), ("ab".to_owned(), String::new()));
    assert_eq!(note(13, &[a, b]), (String::new(), String::new()));
    assert_eq!(
        note(14, &["ID=\"a\",DURATION=1"]),
        ("a".to_owned(), "b".to_owned())
    );
    assert_eq!(
        note(26, &["ID=\"a\",DURATION=1"]),
        ("a".to_owned(), "b".to_owned())
    );
    assert_eq!(note(27, &["ID=\"a\",DURATION=1"]), (String::new(), String::new()));
    let many: Vec<String> = (0..REMOVED_MAX + 5).map(|n| format!("ID=\"{n:04}\"")).collect();
    history.note(Duration::from_secs(30), UNTIL, many.iter().map(String::as_str));
    let recent = history.note(Duration::from_secs(31), UNTIL, std::iter::empty());
    assert_eq!(
        (recent.removed.len(), recent.removed[0].as_str()),
        (REMOVED_MAX, "0005")
    );
}

/// A segment of a foreign origin.
#[derive(Debug, Clone)]
struct Foreign {
    milliseconds: u64,
    tags: u8,
    map: Option<u8>,
    /// 0 ends encryption.
    key: Option<(u8, bool)>,
}

fn foreign() -> impl Strategy<Value = Foreign> {
    let rarely = |values| prop::option::weighted(0.2, values);
    let key = rarely(0u8..4).prop_flat_map(|key| (Just(key), any::<bool>()));
    (1_000u64..2_400, any::<u8>(), rarely(0u8..3), key).prop_map(|(milliseconds, tags, map, (key, other))| {
        Foreign {
            milliseconds,
            tags,
            map,
            key: key.map(|key| (key, other)),
        }
    })
}

/// The playlist that lists these segments, the last one open, with these date ranges.
fn listed(all: &[Foreign], window: Range<usize>, dates: &[String]) -> String {
    let mut out = HEAD.replace(":10\n", &format!(":{}\n", window.start));
    dates
        .iter()
        .for_each(|list| out.push_str(&format!("#EXT-X-DATERANGE:{list}\n")));
    let (mut map, mut keys): (Option<String>, Vec<String>) = (None, Vec::new());
    for (n, segment) in all.iter().enumerate().take(window.end) {
        let flag = |bit: u8| segment.tags & (1 << bit) != 0;
        let said = segment.key.map(|(key, other)| match (key, other) {
            (0, _) => "#EXT-X-KEY:METHOD=NONE\n".to_owned(),
            (key, false) => format!("#EXT-X-KEY:METHOD=AES-128,URI=\"k{key}\"\n"),
            (key, true) => format!("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k{key}\",KEYFORMAT=\"other\"\n"),
        });
        let format = |line: &str| line.contains("KEYFORMAT");
        let is_none = said.as_ref().is_some_and(|said| said.contains("NONE"));
        keys.retain(|key| is_none || said.as_ref().is_none_or(|said| format(said) != format(key)));
        let before = (map.take(), keys.clone());
        if is_none {
            keys.clear();
        }
        keys.extend(said.clone());
        map = segment
            .map
            .map(|map| format!("#EXT-X-MAP:URI=\"init-{map}.mp4\"\n"))
            .or(before.0.clone());
        if !window.contains(&n) {
            continue;
        }
        if flag(0) && flag(1) {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if n == window.start {
            let again = before
                .1
                .iter()
                .filter(|key| said.as_ref().is_none_or(|said| format(said) != format(key)));
            let mut state: Vec<&String> = again.collect();
            if segment.map.is_none() {
                state.extend(&before.0);
            }
            state.sort();
            state.into_iter().for_each(|line| out.push_str(line));
        }
        out.extend(said);
        out.extend(segment.map.and(map.clone()));
        if window.end - n < 3 {
            out.push_str(&format!("#EXT-X-PART:DURATION=0.5,URI=\"part-{n}.m4s\"\n"));
        }
        if n + 1 < window.end {
            let more = if flag(2) {
                "#EXT-X-VENDOR:1\n# a comment\n"
            } else {
                ""
            };
            let gap = if flag(3) && flag(4) { "#EXT-X-GAP\n" } else { "" };
            let (whole, rest) = (segment.milliseconds / 1_000, segment.milliseconds % 1_000);
            out.push_str(&format!(
                "{gap}#EXTINF:{whole}.{rest:03},title\n{more}seg-{n}.m4s\n"
            ));
        }
    }
    out + "#EXT-X-RENDITION-REPORT:URI=\"o\",LAST-MSN=1\n"
}

/// Runs of KEY and MAP, in whatever order, in one order.
fn in_order(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let state = |line: &String| line.starts_with("#EXT-X-KEY") || line.starts_with("#EXT-X-MAP");
    lines
        .chunk_by_mut(|a, b| state(a) && state(b))
        .for_each(<[String]>::sort);
    lines
}

proptest! {
    #[test]
    fn rule_51_a_delta_and_an_earlier_playlist_are_the_playlist(
        all in prop::collection::vec(foreign(), 30..80), windows in prop::collection::vec((0usize..3, 0usize..4), 1..12),
        changes in prop::collection::vec((0usize..6, 0u8..3), 12),
    ) {
        let (mut history, mut dates) = (History::default(), Vec::<(usize, bool)>::new());
        let (mut from, mut to, mut before) = (0, 20, Vec::<(Duration, String)>::new());
        let mut at = Duration::ZERO;
        for ((left, came), (place, change)) in windows.into_iter().zip(changes) {
            (from, to) = (from + left, (to + came).min(all.len()));
            at += Duration::from_millis(900 + 700 * came as u64);
            match (dates.get_mut(place), change) {
                (Some(_), 0) => drop(dates.remove(place)),
                (Some((_, ended)), 1) => *ended = true,
                // rfc8216bis §6.2.1: no ID is used again.
                (_, _) => dates.push((before.len(), false)),
            }
            let lists: Vec<String> = dates
                .iter()
                .map(|(id, ended)| format!("ID=\"{id}\"{}", if *ended { ",DURATION=1" } else { "" }))
                .collect();
            let now = listed(&all, from..to, &lists);
            let recent = history.note(at, UNTIL, super::dates(&now));
            before.push((at, now.clone()));
            for dates in [None, Some(&recent)] {
                let Some(delta) = derive(&now, dates) else { continue };
                prop_assert!(delta.len() < now.len());
                // rfc8216bis §6.3.7: no older than half the skip boundary.
                for (then, previous) in before.iter().filter(|(then, _)| at - *then <= UNTIL / 2) {
                    match merge(previous, &delta) {
                        Ok(merged) => prop_assert_eq!(in_order(&merged), in_order(&now), "{}", delta),
                        Err(Error::Missing { .. }) => prop_assert!(*then < at),
                        Err(error) => prop_assert!(false, "{error}"),
                    }
                }
            }
        }
    }

    #[test]
    fn any_text_is_derived_merged_or_refused(
        body in "(#EXT(-X-PART|-X-MAP|INF|-X-SKIP|-X-SERVER-CONTROL|-X-DATERANGE|-X-KEY)?:?[A-Z\",=0-9.é\r\n-]{0,30}\n|s\n){0,30}",
    ) {
        for text in [body.clone(), format!("{HEAD}{body}")] {
            let delta = derive(&text, Some(&Recent::default()));
            let _either_is_fine = merge(&text, delta.as_deref().unwrap_or(&text));
        }
    }

    #[test]
    fn counting_in_parallel_finds_what_lines_are(text in "(#?[a-z]{0,9}\r?\n|#EXT-X-(DAT|DIS|PRO|MAP)\n){0,600}") {
        let counted = count(text.as_bytes());
        let uris = lines(&text, 0).filter(|(_, line)| class(line) == Class::Uri).count();
        prop_assert_eq!(counted.uris, uris);
        // It may look in vain: a short URI before a tag looks alike.
        prop_assert!(counted.needs_a_look || !text.contains("#EXT-X-DAT"));
    }
}
