use super::*;
use crate::playlist::{Place, Trigger, Value, parse};
use crate::timeline::stage::life;

fn mark(id: &str, kind: MarkKind, at: Duration) -> Mark {
    Mark {
        id: id.to_owned(),
        class: None,
        at,
        kind,
        duration: None,
        section: vec![0xFC, 0x30],
        trigger: None,
        attributes: Vec::new(),
    }
}

/// Where the playlists of a stage end.
fn now(stage: &Stage) -> Duration {
    let next = stage.timeline.newest().map_or(Cell(160_000_000), Cell::next);
    stage.grid.frame_time(stage.grid.first_frame(next))
}

const SECOND: Duration = Duration::from_secs(1);

fn dates(stage: &Stage) -> Vec<String> {
    let all: Vec<_> = (0..3)
        .map(|track| parse(&stage.text(track)).unwrap().dates)
        .collect();
    assert!(all.iter().all(|dates| *dates == all[0]));
    all[0].clone()
}

/// Publishes cells, each as the rules want it.
fn feed_by_the_rules(stage: &mut Stage, cells: u64) {
    for _ in 0..cells {
        let before = stage.text(0);
        stage.publish();
        assert_eq!(judged(stage), []);
        assert_eq!(successive(&before, &stage.text(0)), []);
    }
}

#[test]
fn rfc8216bis_4_4_5_1_1_an_out_and_its_in_are_one_date_range() {
    let mut stage = Stage::usual();
    stage.feed(SEGMENT);
    let out = Mark {
        duration: Some(30 * SECOND),
        class: Some("a, b".to_owned()),
        attributes: vec![("COM-RINGSIDE-NAME".to_owned(), Value::Text("c=\u{e9}".to_owned()))],
        ..mark("e-1", MarkKind::Out, now(&stage) + 4 * SECOND)
    };
    let start = out.at;
    assert_eq!(stage.timeline.mark(out.clone()), Marked::Listed);
    feed_by_the_rules(&mut stage, 1);
    let said = "ID=\"e-1\",CLASS=\"a, b\",START-DATE=\"2026-07-14T22:13:26.000Z\"";
    let more = "PLANNED-DURATION=30.00000,X-COM-RINGSIDE-NAME=\"c=\u{e9}\",SCTE35-OUT=0xFC30";
    assert_eq!(dates(&stage), [format!("{said},{more}")]);
    assert_eq!(stage.timeline.mark(out), Marked::Known);
    feed_by_the_rules(&mut stage, 30);
    let back = mark("e-1", MarkKind::In, start + Duration::from_millis(20_500));
    assert_eq!(stage.timeline.mark(back.clone()), Marked::Listed);
    assert_eq!(stage.timeline.mark(back), Marked::Known);
    feed_by_the_rules(&mut stage, 1);
    assert_eq!(
        dates(&stage),
        [format!("{said},DURATION=20.50000,{more},SCTE35-IN=0xFC30")]
    );
}

#[test]
fn a_date_range_leaves_with_the_last_segment_it_maps_to() {
    let mut stage = Stage::usual();
    stage.feed(SEGMENT);
    let at = now(&stage) + SECOND;
    stage.timeline.mark(mark("instant", MarkKind::Plain, at));
    let lasting = Mark {
        duration: Some(20 * SECOND),
        ..mark("lasting", MarkKind::Plain, at)
    };
    stage.timeline.mark(lasting);
    stage.timeline.mark(mark("endless", MarkKind::Out, at));
    let mut left = Vec::new();
    for cell in 0..400 {
        feed_by_the_rules(&mut stage, 1);
        left.push((dates(&stage).len(), cell));
    }
    left.dedup_by_key(|(count, _)| *count);
    // The window is 60 s, or 30 segments of 4 cells.
    let counts: Vec<usize> = left.iter().map(|(count, _)| *count).collect();
    assert_eq!(counts, [3, 2, 1]);
    assert!(
        (118..=126).contains(&left[1].1) && left[2].1 - left[1].1 == 40,
        "{left:?}"
    );
    stage.timeline.mark(mark("endless", MarkKind::In, at + SECOND));
    feed_by_the_rules(&mut stage, 1);
    assert_eq!(dates(&stage), [""; 0]);
    // What comes again after that is still over.
    stage.timeline.mark(mark("instant", MarkKind::Plain, at));
    feed_by_the_rules(&mut stage, 1);
    assert_eq!(dates(&stage), [""; 0]);
}

#[test]
fn at_the_bound_the_newest_is_refused_and_an_endless_break_ends() {
    let mut stage = Stage::usual();
    stage.feed(SEGMENT);
    let (marks, start) = (u32::try_from(DATES_MAX).unwrap(), now(&stage) - SECOND);
    for n in 0..marks {
        let mark = mark(&format!("e-{n}"), MarkKind::Out, start);
        assert_eq!(stage.timeline.mark(mark), Marked::Listed);
    }
    feed_by_the_rules(&mut stage, 1);
    assert_eq!(
        stage.timeline.mark(mark("more", MarkKind::Plain, now(&stage))),
        Marked::Refused
    );
    feed_by_the_rules(&mut stage, 130);
    assert_eq!(dates(&stage).len(), DATES_MAX - 1);
    assert_eq!(
        stage.timeline.mark(mark("more", MarkKind::Plain, now(&stage))),
        Marked::Listed
    );
    assert_eq!(
        stage.timeline.mark(mark("none", MarkKind::In, start)),
        Marked::Refused
    );
}

#[test]
fn what_was_said_before_the_first_cell_and_before_another_ladder_stays() {
    let mut stage = Stage::usual();
    let at = now(&stage);
    stage.timeline.mark(mark("early", MarkKind::Out, at));
    stage.take_over(life("b", Cell(160_000_000), 0));
    stage.feed(SEGMENT + 1);
    let before = stage.text(0);
    stage.take_over(life("c", Cell(160_000_020), 1));
    stage.feed(1);
    assert_eq!(successive(&before, &stage.text(0)), []);
    assert_eq!(dates(&stage).len(), 1);
    stage.timeline.end();
    assert_eq!(
        stage.timeline.mark(mark("late", MarkKind::Plain, at)),
        Marked::Refused
    );
}

fn interstitial(id: &str, at: Duration) -> Mark {
    Mark {
        class: Some("com.apple.hls.interstitial".to_owned()),
        duration: Some(4 * SECOND),
        section: Vec::new(),
        attributes: vec![(
            "ASSET-URI".to_owned(),
            Value::Text("https://ads.example/a.m3u8".to_owned()),
        )],
        ..mark(id, MarkKind::Plain, at)
    }
}

#[test]
fn rfc8216bis_d_2_an_interstitial_grows_and_never_changes() {
    let mut stage = Stage::usual();
    stage.feed(SEGMENT);
    let trigger = Trigger {
        place: Some(Place::Before),
        once: true,
    };
    let first = Mark {
        trigger: Some(trigger),
        ..interstitial("i-1", now(&stage) + 4 * SECOND)
    };
    stage.timeline.mark(first.clone());
    feed_by_the_rules(&mut stage, 20);
    let said = "ID=\"i-1\",CLASS=\"com.apple.hls.interstitial\",START-DATE=\"2026-07-14T22:13:26.000Z\",\
                CUE=\"PRE,ONCE\",DURATION=4.00000,X-ASSET-URI=\"https://ads.example/a.m3u8\"";
    assert_eq!(dates(&stage), [said]);
    let more = |name: &str, value| Mark {
        attributes: vec![(name.to_owned(), value)],
        ..mark("i-1", MarkKind::More, Duration::ZERO)
    };
    let limit = more("PLAYOUT-LIMIT", Value::Number(2_500));
    assert_eq!(stage.timeline.mark(limit.clone()), Marked::Listed);
    feed_by_the_rules(&mut stage, 1);
    for known in [limit, more("PLAYOUT-LIMIT", Value::Number(1_000)), first] {
        assert_eq!(stage.timeline.mark(known), Marked::Known);
    }
    feed_by_the_rules(&mut stage, 1);
    assert_eq!(dates(&stage), [format!("{said},X-PLAYOUT-LIMIT=2.500")]);
    for n in 2..ATTRIBUTES_MAX {
        stage.timeline.mark(more(&format!("N-{n}"), Value::Number(0)));
    }
    let beyond = more("ONE-MORE", Value::Number(0));
    assert_eq!(stage.timeline.mark(beyond), Marked::Refused);
    let unknown = mark("i-2", MarkKind::More, Duration::ZERO);
    assert_eq!(stage.timeline.mark(unknown), Marked::Refused);
}

#[test]
fn rfc8216bis_6_2_1_what_has_not_begun_can_be_cancelled() {
    let mut stage = Stage::usual();
    stage.feed(SEGMENT);
    let cancel = |id: &str| mark(id, MarkKind::Cancel, Duration::ZERO);
    let at = now(&stage) + 2 * SECOND;
    stage.timeline.mark(interstitial("goes", at));
    stage.timeline.mark(interstitial("stays", at));
    feed_by_the_rules(&mut stage, 2);
    assert_eq!((dates(&stage).len(), now(&stage)), (2, at - SECOND));
    assert_eq!(stage.timeline.mark(cancel("goes")), Marked::Listed);
    assert_eq!(stage.timeline.mark(cancel("goes")), Marked::Known);
    feed_by_the_rules(&mut stage, 1);
    // The next playlist may end behind its start, by sound.
    assert_eq!(stage.timeline.mark(cancel("stays")), Marked::Refused);
    feed_by_the_rules(&mut stage, 2);
    assert!(matches!(&dates(&stage)[..], [only] if only.starts_with("ID=\"stays\"")));
    // Both said again to one that was away: nobody has seen it.
    stage.timeline.mark(interstitial("goes", at));
    assert_eq!(stage.timeline.mark(cancel("goes")), Marked::Listed);
    feed_by_the_rules(&mut stage, 1);
    assert_eq!(dates(&stage).len(), 1);
}
