use super::*;
use hls::time::{FrameRate, Grid, Profile};

const NOW: u64 = 9_000;

fn grid() -> Grid {
    Grid::of(Profile::Low, FrameRate::new(30, 1).unwrap(), 48_000).unwrap()
}

fn said(json: &str) -> Interstitial {
    serde_json::from_str(json).unwrap()
}

/// A book of a stream that runs.
fn book() -> Book {
    let mut book = Book::default();
    assert_eq!(book.take(NOW), []);
    book
}

fn order(book: &mut Book, json: &str) -> Result<(), Refusal> {
    book.order(&grid(), &said(json))
}

fn spot(id: &str, in_s: u64) -> String {
    format!(r#"{{"id":"{id}","in_s":{in_s},"duration_s":10,"asset_uri":"https://ads.example/a.m3u8"}}"#)
}

fn text(name: &str, value: &str) -> (String, Value) {
    (name.to_owned(), Value::Text(value.to_owned()))
}

#[test]
fn every_field_becomes_what_appendix_d_2_says() {
    let mut book = book();
    let json = r#"{"id":"ad-1","in_s":2.5,"duration_s":15,"asset_list":"/ads/list.json","resume_offset_s":-0.25,
        "playout_limit_s":12.3456,"snap":["in","out"],"restrict":["jump","skip"],"cue":["once","pre"],
        "content_may_vary":false,"timeline_occupies":"range","timeline_style":"highlight"}"#;
    order(&mut book, json).unwrap();
    let cue = book.take(NOW + 1).remove(0);
    assert_eq!(
        (cue.id.as_str(), cue.frame, cue.kind),
        ("ad-1", NOW + 75, Kind::Plain)
    );
    assert_eq!(cue.class.as_deref(), Some("com.apple.hls.interstitial"));
    assert_eq!(cue.duration, Some(Duration::from_secs(15)));
    let place = Some(Place::Before);
    assert_eq!(cue.trigger, Some(Trigger { place, once: true }));
    let number = |name: &str, value| (name.to_owned(), Value::Number(value));
    assert_eq!(
        cue.attributes,
        [
            text("ASSET-LIST", "/ads/list.json"),
            number("RESUME-OFFSET", -250),
            number("PLAYOUT-LIMIT", 12_346),
            text("SNAP", "OUT,IN"),
            text("RESTRICT", "SKIP,JUMP"),
            text("CONTENT-MAY-VARY", "NO"),
            text("TIMELINE-OCCUPIES", "RANGE"),
            text("TIMELINE-STYLE", "HIGHLIGHT"),
        ]
    );
    order(&mut book, &spot("bare", 0)).unwrap();
    let cue = book.take(NOW + 2).remove(0);
    assert_eq!((cue.frame, cue.trigger), (NOW + 1, None));
    assert_eq!(cue.attributes, [text("ASSET-URI", "https://ads.example/a.m3u8")]);
}

#[test]
fn every_field_that_is_wrong_is_named() {
    let good = r#""id":"a","duration_s":1,"asset_uri":"https://a/b""#;
    let long = format!(
        r#"{{"id":"a","duration_s":1,"asset_uri":"https://a/{}"}}"#,
        "b".repeat(1_015)
    );
    for (bad, fields) in [
        ("{}".to_owned(), vec!["id", "duration_s", "asset_uri"]),
        (format!(r#"{{{good},"in_s":3601}}"#), vec!["in_s"]),
        (format!(r#"{{{good},"asset_list":"/b"}}"#), vec!["asset_list"]),
        (format!(r#"{{{good},"cue":["pre","post"]}}"#), vec!["cue"]),
        (
            format!(r#"{{{good},"resume_offset_s":1e9,"playout_limit_s":-1}}"#),
            vec!["resume_offset_s", "playout_limit_s"],
        ),
        (
            r#"{"id":"a","duration_s":1,"asset_uri":"/b"}"#.to_owned(),
            vec!["asset_uri"],
        ),
        (
            r#"{"id":"a","duration_s":1,"asset_uri":"https:///b"}"#.to_owned(),
            vec!["asset_uri"],
        ),
        (
            r#"{"id":"a","duration_s":1,"asset_uri":"https://a/\"b"}"#.to_owned(),
            vec!["asset_uri"],
        ),
        (
            r#"{"id":"a","duration_s":1,"asset_list":"//b"}"#.to_owned(),
            vec!["asset_list"],
        ),
        (long, vec!["asset_uri"]),
    ] {
        let Err(Refusal::Fields(wrong)) = order(&mut book(), &bad) else {
            panic!("{bad}")
        };
        assert_eq!(
            wrong.iter().map(|wrong| wrong.field).collect::<Vec<_>>(),
            fields,
            "{bad}"
        );
    }
}

#[test]
fn what_was_said_grows_and_stays() {
    let mut book = book();
    order(&mut book, &spot("a", 4)).unwrap();
    assert_eq!(order(&mut book, &spot("a", 4)), Err(Refusal::Known));
    let add = |book: &mut Book, json: &str| book.add("a", &said(json));
    add(&mut book, r#"{"playout_limit_s":5}"#).unwrap();
    add(&mut book, r#"{"playout_limit_s":5,"snap":["out"]}"#).unwrap();
    add(&mut book, r#"{"playout_limit_s":5}"#).unwrap();
    let cues = book.take(NOW);
    assert_eq!(cues.len(), 3, "what says nothing new is not sent");
    assert_eq!(
        (cues[2].kind, &cues[2].attributes[..]),
        (Kind::More, &[text("SNAP", "OUT")][..])
    );
    let other = add(&mut book, r#"{"playout_limit_s":6}"#);
    assert_eq!(other, Err(Refusal::Said("X-PLAYOUT-LIMIT".to_owned())));
    let Err(Refusal::Fields(wrong)) = add(&mut book, r#"{"in_s":6,"cue":["pre"],"playout_limit_s":-1}"#)
    else {
        panic!("they never change")
    };
    assert_eq!(wrong.len(), 3);
    assert_eq!(book.add("b", &said("{}")), Err(Refusal::Unknown));
    book.take(NOW + 14 * 30);
    assert_eq!(add(&mut book, r#"{"restrict":["skip"]}"#), Err(Refusal::Over));
}

#[test]
fn what_has_begun_is_not_cancelled() {
    let mut book = book();
    order(&mut book, &spot("a", 4)).unwrap();
    order(&mut book, &spot("b", 4)).unwrap();
    assert_eq!(book.take(NOW + 119).len(), 2);
    book.cancel("a").unwrap();
    book.cancel("a").unwrap();
    let sent = book.take(NOW + 120);
    assert!(matches!(&sent[..], [only] if only.kind == Kind::Cancel && only.id == "a"));
    assert_eq!(book.cancel("b"), Err(Refusal::Begun));
    assert_eq!(book.cancel("c"), Err(Refusal::Unknown));
    assert_eq!(
        book.add("a", &said(r#"{"snap":["in"]}"#)),
        Err(Refusal::Cancelled)
    );
    assert_eq!(
        order(&mut book, &spot("a", 60)),
        Err(Refusal::Known),
        "an id is used once"
    );
}

#[test]
fn at_the_bounds_the_newest_is_refused() {
    let mut book = book();
    let fill = |book: &mut Book, from: u64| {
        (from..from + 100).find_map(|n| order(book, &spot(&n.to_string(), 0)).err().map(|_| n - from))
    };
    assert_eq!(fill(&mut book, 0), Some(16), "as many wait for a tick");
    for n in [1, 2, 3] {
        book.take(NOW);
        assert_eq!(fill(&mut book, n * 100), Some(16));
    }
    book.take(NOW + 299);
    assert_eq!(
        order(&mut book, &spot("x", 0)),
        Err(Refusal::Full),
        "64 are not over"
    );
    book.take(NOW + 300);
    assert_eq!(order(&mut book, &spot("x", 0)), Ok(()));
}
