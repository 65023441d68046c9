use super::*;
use crate::check::delta::{Update, check};
use crate::playlist::delta::{History, Recent, derive};

const OLD: &str = "ID=\"old\",START-DATE=\"2026-07-14T22:13:30.000Z\"";
const NEW: &str = "ID=\"new\",START-DATE=\"2026-07-14T22:13:31.000Z\"";

/// A playlist of ten segments with two date ranges, one of which was said long ago.
fn full() -> String {
    let dates = format!("#EXT-X-DATERANGE:{OLD}\n#EXT-X-DATERANGE:{NEW}\n#EXT-X-MAP");
    running().text(0).replacen("#EXT-X-MAP", &dates, 1)
}

/// What the history of the full playlist is.
fn recent() -> Recent {
    let (mut history, until) = (History::default(), Duration::from_secs(12));
    history.note(Duration::ZERO, until, [OLD, "ID=\"gone\""].into_iter());
    history.note(Duration::from_secs(100), until, [OLD].into_iter());
    history.note(Duration::from_secs(101), until, [OLD, NEW].into_iter())
}

fn update(full: String, skips_dates: bool) -> Update {
    let recent = recent();
    let answer = derive(&full, skips_dates.then_some(&recent)).unwrap_or_else(|| full.clone());
    Update {
        full,
        answer,
        skips_dates,
        old: vec!["old".to_owned()],
        removed: vec!["gone".to_owned()],
    }
}

fn mutant(rule: u8, skips_dates: bool, change: impl FnOnce(&str) -> String) {
    let mut update = update(full(), skips_dates);
    clean(&check(&update));
    let changed = change(&update.answer);
    assert_ne!(changed, update.answer);
    update.answer = changed;
    only(rule, &check(&update));
}

/// The same for both forms.
fn mutants(rule: u8, change: impl Fn(&str) -> String) {
    mutant(rule, false, &change);
    mutant(rule, true, &change);
}

#[test]
fn rule_46_a_skip_directive_is_answered_with_a_delta_update() {
    mutants(46, |_| full());
}

#[test]
fn rule_47_one_skip_says_how_many_segments_it_replaces() {
    mutants(47, |text| {
        text.replace("MEDIA-SEQUENCE:39999996", "MEDIA-SEQUENCE:39999997")
    });
    mutants(47, |text| text.replace("SKIPPED-SEGMENTS=", "SEGMENTS="));
    mutants(47, |text| {
        text.replace("SKIPPED-SEGMENTS=7", "SKIPPED-SEGMENTS=6")
    });
    mutants(47, |text| {
        let skip = text.lines().find(|line| line.starts_with("#EXT-X-SKIP")).unwrap();
        text.replace(skip, &format!("{skip}\n{skip}"))
    });
}

#[test]
fn rule_48_only_segments_beyond_the_boundary_are_left_out() {
    mutants(48, |text| without(text, "#EXT-X-PRELOAD-HINT"));
    mutants(48, |text| text.replace(",INDEPENDENT=YES", ""));
    mutant(48, false, |text| {
        without(text, "#EXT-X-DATERANGE:ID=\"new").replace("VERSION:9", "VERSION:10")
    });
    mutants(48, |text| {
        // One segment more than is far enough away.
        let (head, tail) = text.split_once("#EXT-X-PROGRAM-DATE-TIME").unwrap();
        let (_, tail) = tail.split_once(".m4s\n").unwrap();
        format!("{}{tail}", head.replace("SEGMENTS=7", "SEGMENTS=8"))
    });
}

#[test]
fn rule_49_the_discontinuity_sequence_is_that_of_the_full_playlist() {
    mutants(49, |text| {
        text.replace("DISCONTINUITY-SEQUENCE:0", "DISCONTINUITY-SEQUENCE:1")
    });
    mutants(49, |text| without(text, "#EXT-X-DISCONTINUITY-SEQUENCE"));
}

#[test]
fn rule_50_old_date_ranges_are_left_out_and_removed_ones_are_named() {
    mutant(50, true, |text| {
        text.replace(",RECENTLY-REMOVED-DATERANGES=\"gone\"", "")
    });
    mutant(50, true, |text| text.replace("\"gone\"", "\"\""));
    mutant(50, true, |text| without(text, "#EXT-X-DATERANGE"));
    mutant(50, true, |text| {
        text.replace(
            "#EXT-X-DATERANGE",
            &format!("#EXT-X-DATERANGE:{OLD}\n#EXT-X-DATERANGE"),
        )
    });
}

#[test]
fn rule_52_the_version_is_as_high_as_the_tags_need() {
    mutant(52, false, |text| text.replace("VERSION:9", "VERSION:8"));
    mutant(52, true, |text| text.replace("VERSION:10", "VERSION:9"));
    mutants(52, |text| without(text, "#EXT-X-VERSION"));
    let define = "#EXT-X-DEFINE:QUERYPARAM=\"a\"\n#EXT-X-MAP";
    let with = full().replacen("#EXT-X-MAP", define, 1);
    only(52, &features(&with));
    clean(&features(&with.replace("VERSION:8", "VERSION:11")));
    let required =
        "#EXTM3U\n#EXT-X-VERSION:12\n#EXT-X-STREAM-INF:BANDWIDTH=1,REQ-VIDEO-LAYOUT=\"CH-STEREO\"\na\n";
    clean(&features(required));
    only(52, &features(&required.replace(":12", ":11")));
    only(52, &features(&full().replace("VERSION:8", "VERSION:7")));
}

#[test]
fn rule_53_what_has_nothing_to_skip_is_the_full_playlist() {
    let mut short = running().media(0);
    short.segments.drain(..9);
    let text = short.render();
    for skips_dates in [false, true] {
        let mut none = update(text.clone(), skips_dates);
        assert_eq!(none.answer, text);
        clean(&check(&none));
        let skip = "#EXT-X-SKIP:SKIPPED-SEGMENTS=0,RECENTLY-REMOVED-DATERANGES=\"gone\"\n#EXT-X-MAP";
        none.answer = text
            .replacen("#EXT-X-MAP", skip, 1)
            .replace("VERSION:8", "VERSION:10");
        only(53, &check(&none));
    }
    let mut ended = running();
    ended.timeline.end();
    let ended = update(ended.text(0), true);
    assert_eq!(ended.answer, ended.full);
    clean(&check(&ended));
}
