use super::book::*;
use super::*;
use hls::time::{FrameRate, Profile};
use std::time::Duration;

/// 30 frames a second, segments of 2 s.
fn grid() -> Grid {
    Grid::of(Profile::Low, FrameRate::new(30, 1).unwrap(), 48_000).unwrap()
}

fn cue(start_s: f64, end_s: f64, text: &str) -> Cue {
    let [start, end] = [start_s, end_s].map(Duration::from_secs_f64);
    Cue::new((start, end), text, "")
}

/// A book whose segments up to 99 are published: program time 200 s.
fn book() -> Book {
    let mut book = Book::default();
    book.publish(Msn(99), &grid());
    book
}

fn has(book: &Book, msn: u64, text: &str) -> bool {
    book.segment(Msn(msn)).unwrap().contains(text)
}

#[test]
fn a_cue_is_in_every_segment_that_it_is_shown_in() {
    let mut book = book();
    book.add(vec![cue(203.0, 206.5, "long"), cue(204.0, 206.0, "exact")])
        .unwrap();
    assert_eq!(book.segment(Msn(100)), None, "not published yet");
    book.publish(Msn(104), &grid());
    let shown = |text| (99..=104).map(|msn| has(&book, msn, text)).collect::<Vec<_>>();
    assert_eq!(shown("long"), [false, false, true, true, true, false]);
    assert_eq!(shown("exact"), [false, false, false, true, false, false]);
    assert_eq!(book.segment(Msn(105)), None);
}

#[test]
fn what_is_published_never_changes() {
    let mut book = book();
    let before = book.segment(Msn(99));
    let Err(Unfit::Late(late)) = book.add(vec![cue(201.0, 202.0, "on time"), cue(198.0, 200.0, "late")])
    else {
        panic!("taken");
    };
    assert_eq!(late, [1]);
    book.add(vec![cue(199.0, 201.0, "half of it")]).unwrap();
    assert_eq!(book.segment(Msn(99)), before);
    book.publish(Msn(100), &grid());
    assert!(has(&book, 100, "half of it") && !has(&book, 100, "on time"));
    // The same after a restart, whatever it publishes first.
    let again = {
        let mut again = Book::new(book.kept().to_vec());
        again.publish(Msn(100), &grid());
        again
    };
    for msn in [98, 99, 100] {
        assert_eq!(again.segment(Msn(msn)), book.segment(Msn(msn)));
    }
}

#[test]
fn what_is_sent_again_is_no_news() {
    let mut book = book();
    let cues = vec![
        cue(201.0, 203.0, "a"),
        cue(201.0, 203.0, "b"),
        cue(201.0, 203.0, "a"),
    ];
    assert_eq!(book.add(cues.clone()).unwrap().len(), 2);
    book.publish(Msn(120), &grid());
    assert_eq!(book.add(cues).unwrap().len(), 0, "known, so not late");
}

#[test]
fn more_than_the_bounds_is_refused() {
    let mut book = book();
    let far = vec![
        cue(201.0, 202.0, "near"),
        cue(200.0 + 6.1 * 3_600.0, 200.0 + 6.2 * 3_600.0, "far"),
    ];
    assert!(matches!(book.add(far), Err(Unfit::Wrong(wrong)) if wrong.len() == 1));
    let many = |n: usize| {
        (0..n)
            .map(|n| cue(300.0, 301.0, &n.to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(mistakes(&many(REQUEST_CUES_MAX)), Vec::<String>::new());
    assert_eq!(mistakes(&many(REQUEST_CUES_MAX + 1)).len(), 1);
    assert_eq!(mistakes(&[]).len(), 1);
    book.add(many(AHEAD_CUES_MAX)).unwrap();
    assert!(matches!(
        book.add(vec![cue(300.0, 301.0, "one more")]),
        Err(Unfit::Full)
    ));
    book.publish(Msn(150), &grid());
    book.add(vec![cue(310.0, 311.0, "their time has come")]).unwrap();
}

#[test]
fn the_oldest_leave_a_full_book() {
    let kept = (0..CUES_MAX + 7).map(|n| Kept {
        cue: Cue::new(
            (Duration::from_millis(n as u64), Duration::from_secs(500)),
            "a",
            "",
        ),
        from: Msn(0),
    });
    let book = Book::new(kept.collect());
    assert_eq!(book.kept().len(), CUES_MAX);
    assert_eq!(book.kept()[0].cue.start, Duration::from_millis(7));
    let long = |n: u64| Kept {
        cue: Cue::new(
            (Duration::from_millis(n), Duration::from_secs(500)),
            &"a".repeat(4_096),
            "",
        ),
        from: Msn(0),
    };
    let book = Book::new((0..5_000).map(long).collect());
    assert_eq!(book.kept().len(), 4_096, "16 MiB");
}

#[test]
fn a_file_gives_back_what_was_written_to_it() {
    let dir = std::env::temp_dir().join(format!("ringside-subtitles-{}", std::process::id()));
    let stream = StreamId::new("main").unwrap();
    let name = store::name(&stream, "en");
    let kept = |n: u64| Kept {
        cue: cue(n as f64, n as f64 + 1.0, "one\n\"two\""),
        from: Msn(n),
    };
    Store::new(dir.join(&name))
        .append(&[kept(1), kept(2)], Vec::new)
        .unwrap();
    let torn = std::fs::read(dir.join(&name)).unwrap();
    std::fs::write(dir.join(&name), &torn[..torn.len() - 5]).unwrap();
    Store::new(dir.join(&name)).append(&[kept(3)], Vec::new).unwrap();
    let read = store::read_all(&dir);
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(read[&name], [kept(1), kept(3)]);
}
