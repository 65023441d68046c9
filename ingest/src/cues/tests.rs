use super::*;
use ::rtmp::cue::Cue as Message;
use ::ts::scte35::{Command, Insert, Segmentation, Splice};
use hls::time::{FrameRate, Profile};

fn grid() -> Grid {
    Grid::of(Profile::Low, FrameRate::new(30, 1).unwrap(), 48_000).unwrap()
}

const SECTION: Bytes = Bytes::from_static(&[0xFC, 1, 2]);

fn insert(event_id: u32, out: bool, seconds: Option<u64>, returns: bool) -> Happening {
    let insert = Insert {
        event_id,
        cancel: false,
        out_of_network: out,
        immediate: false,
        break_duration: seconds.map(|seconds| seconds * 90_000),
        auto_return: returns,
    };
    said(Command::Insert(insert), vec![]).remove(0)
}

fn cancel(event_id: u32) -> Happening {
    Happening {
        what: What::Cancel,
        ..insert(event_id, true, None, false)
    }
}

fn said(command: Command, segmentations: Vec<Segmentation>) -> Vec<Happening> {
    let splice = Splice {
        command,
        pts: None,
        segmentations,
    };
    of_splice(&splice, &SECTION)
}

/// Id, kind and frame of what came of it.
fn told(cues: Vec<Cue>) -> Vec<(String, Kind, u64)> {
    cues.into_iter()
        .map(|cue| (cue.id, cue.kind, cue.frame))
        .collect()
}

fn one(id: &str, kind: Kind, frame: u64) -> Vec<(String, Kind, u64)> {
    vec![(id.to_owned(), kind, frame)]
}

#[test]
fn a_time_ahead_is_the_first_frame_that_carries_it() {
    let grid = grid();
    let frames = [
        (0, 100),
        (1, 101),
        (33_333_333, 101),
        (33_333_334, 102),
        (4_000_000_000, 220),
        (-1, 100),
        (-33_333_334, 99),
        (-66_000_000, 99),
    ];
    for (ahead, expected) in frames {
        assert_eq!(frame(&grid, 100, ahead), Some(expected), "{ahead}");
    }
    assert_eq!(frame(&grid, 100, 3_601_000_000_000), None);
    assert_eq!(frame(&grid, 100, i64::MIN), None);
}

#[test]
fn an_out_and_its_in_have_one_id_and_repetitions_say_nothing() {
    let (grid, mut book) = (grid(), Book::default());
    let out = || insert(7, true, Some(30), false);
    let cues = book.take(&grid, 100, 220, out());
    assert_eq!(cues[0].duration, Some(Duration::from_secs(30)));
    assert_eq!(cues[0].section, SECTION);
    assert_eq!(told(cues), one("scte35-7-220", Kind::Out, 220));
    // The clock may have moved by a frame since.
    assert_eq!(book.take(&grid, 130, 221, out()), []);
    assert_eq!(
        told(book.take(&grid, 140, 260, insert(8, true, None, false))),
        one("scte35-8-260", Kind::Out, 260)
    );
    let back = || insert(7, false, None, false);
    let cues = book.take(&grid, 1_000, 1_120, back());
    assert_eq!(cues[0].section, SECTION);
    assert_eq!(told(cues), one("scte35-7-220", Kind::In, 1_120));
    assert_eq!(book.take(&grid, 1_030, 1_120, back()), []);
    assert_eq!(book.tick(9_999), None, "nothing returns by itself here");
    // An encoder that has one number for all its breaks.
    assert_eq!(
        told(book.take(&grid, 9_000, 9_000, out())),
        one("scte35-7-9000", Kind::Out, 9_000)
    );
    let both = told(book.take(&grid, 20_000, 20_000, out()));
    let expected = [
        one("scte35-7-9000", Kind::In, 20_000),
        one("scte35-7-20000", Kind::Out, 20_000),
    ];
    assert_eq!(both, expected.concat());
}

#[test]
fn a_break_that_returns_by_itself_ends_after_its_duration() {
    let (grid, mut book) = (grid(), Book::default());
    book.take(&grid, 0, 120, insert(7, true, Some(10), true));
    assert_eq!(book.tick(419), None);
    let cue = book.tick(425).unwrap();
    assert_eq!((cue.kind, cue.frame, cue.section.len()), (Kind::In, 420, 0));
    assert_eq!(book.tick(426), None);
    assert_eq!(
        book.take(&grid, 426, 426, insert(7, false, None, false)),
        [],
        "it says what is known"
    );
    // One that is ended before its time does not end again.
    book.take(&grid, 1_000, 1_000, insert(8, true, Some(10), true));
    assert_eq!(
        told(book.take(&grid, 1_100, 1_100, insert(8, false, None, false))),
        one("scte35-8-1000", Kind::In, 1_100)
    );
    assert_eq!(book.tick(5_000), None);
}

#[test]
fn what_is_taken_back_ends_and_an_end_alone_is_a_cue() {
    let (grid, mut book) = (grid(), Book::default());
    book.take(&grid, 0, 120, insert(7, true, None, false));
    assert_eq!(
        told(book.take(&grid, 60, 60, cancel(7))),
        one("scte35-7-120", Kind::In, 120),
        "never before it began"
    );
    assert_eq!(book.take(&grid, 61, 61, cancel(7)), []);
    assert_eq!(book.take(&grid, 61, 61, cancel(99)), []);
    let alone = insert(5, false, None, false);
    assert_eq!(
        told(book.take(&grid, 200, 200, alone.clone())),
        one("scte35-5-200", Kind::Plain, 200)
    );
    assert_eq!(book.take(&grid, 230, 201, alone), []);
}

#[test]
fn each_segmentation_is_one_happening() {
    let segmentation = |type_id| Segmentation {
        event_id: 9,
        cancel: false,
        type_id,
        duration: Some(90_000 * 60),
    };
    let all = said(
        Command::TimeSignal,
        vec![segmentation(0x30), segmentation(0x20), segmentation(0x31)],
    );
    let whats: Vec<_> = all.iter().map(|said| (said.what, said.key.as_str())).collect();
    let expected = [
        (What::Out { returns: false }, "scte35-9"),
        (What::Plain, "scte35-9-32"),
        (What::In, "scte35-9"),
    ];
    assert_eq!(whats, expected);
    assert!(
        all.iter()
            .all(|said| said.section == SECTION && said.duration == Some(Duration::from_secs(60)))
    );
    assert_eq!(said(Command::TimeSignal, vec![]).len(), 1);
    for silent in [
        Command::Null,
        Command::Schedule,
        Command::Encrypted,
        Command::Private,
    ] {
        assert_eq!(said(silent, vec![]), []);
    }
}

#[test]
fn messages_of_rtmp_are_read_with_and_without_a_section() {
    const BASE64: &str = "/DA0AAAAAAAA///wBQb+cr0AUAAeAhxDVUVJSAAAjn/PAAGlmbAICAAAAAAsoKGKNAIAmsnRfg==";
    const HEX: &str = "0xFC3034000000000000FFFFF00506FE72BD0050001E021C435545494800008E7FCF0001A599B00808000000002CA0A18A3402009AC9D17E";
    let with = |scte35: &str| Message {
        message: "onCuePoint",
        scte35: Some(scte35.to_owned()),
        ..Message::default()
    };
    let base64 = of_message(&with(BASE64));
    assert_eq!(base64, of_message(&with(HEX)));
    assert_eq!(
        (base64[0].what, base64[0].key.as_str()),
        (What::Out { returns: false }, "scte35-1207959694")
    );
    assert_eq!(base64[0].duration, Some(Duration::from_nanos(307_000_000_000)));
    assert_eq!(base64[0].section.len(), 55);
    let bare = Message {
        message: "onCuePoint",
        name: Some("half \"time\"".to_owned()),
        duration_s: Some(1.5),
        ..Message::default()
    };
    let bare = of_message(&bare).remove(0);
    assert_eq!((bare.key.as_str(), bare.what), ("amf-half__time_", What::Plain));
    let value = Value::Text("onCuePoint".to_owned());
    let message = ("COM-RINGSIDE-MESSAGE".to_owned(), value);
    assert_eq!(bare.attributes, [message], "what cannot be quoted is left out");
    let broken = of_message(&with("/DA0AAAA"));
    assert_eq!(
        broken[0].what,
        What::Plain,
        "a section that cannot be read is none"
    );
    for (start, kind, what) in [
        (Some(true), None, What::Out { returns: false }),
        (Some(false), Some("x"), What::In),
        (None, Some("SpliceOut"), What::Out { returns: false }),
        (None, Some("SpliceIn"), What::In),
    ] {
        let message = Message {
            start,
            kind: kind.map(str::to_owned),
            ..Message::default()
        };
        assert_eq!(of_message(&message)[0].what, what);
    }
}

#[test]
fn what_is_remembered_is_bounded_and_ids_are_never_used_twice() {
    let (grid, mut book) = (grid(), Book::default());
    let mut ids = std::collections::BTreeSet::new();
    for n in 0..1_000_u64 {
        let nameless = Message {
            message: "onCuePoint",
            ..Message::default()
        };
        let happening = of_message(&nameless).remove(0);
        for cue in book.take(&grid, n * 20, n * 20, happening) {
            assert!(ids.insert(cue.id));
        }
        assert!(book.known.len() <= KNOWN_MAX);
    }
    assert_eq!(ids.len(), 1_000);
}
