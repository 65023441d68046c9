use super::*;

const DATE: &str = "#EXT-X-PROGRAM-DATE-TIME:2026-07-14T22:13:40.000Z";

#[test]
fn rule_69_every_segment_has_a_date_in_utc_with_milliseconds() {
    text_mutant(69, |text| text.replace(DATE, "#"));
    text_mutant(69, |text| text.replace(DATE, &DATE.replace("Z", "+00:00")));
    text_mutant(69, |text| text.replace(DATE, &DATE.replace(".000", "")));
}

#[test]
fn rule_71_every_discontinuity_has_a_date() {
    let with = running()
        .text(0)
        .replace(DATE, &format!("#EXT-X-DISCONTINUITY\n{DATE}"));
    clean(&playlist(&with));
    only(71, &playlist(&with.replace(DATE, "#")));
}

#[test]
fn rule_72_a_new_map_is_a_discontinuity() {
    let change = |media: &mut Media| {
        media.segments[9..]
            .iter_mut()
            .for_each(|s| s.map = "init-2.mp4".to_owned())
    };
    mutant(72, change);
    let mut marked = running().media(0);
    change(&mut marked);
    marked.segments[9].discontinuities = 1;
    clean(&playlist(&marked.render()));
}

#[test]
fn rule_73_the_discontinuity_sequence_counts_what_left() {
    text_mutant(73, |text| without(&text, "#EXT-X-DISCONTINUITY-SEQUENCE"));
    next_mutant(73, 1, |media| media.discontinuity_sequence += 1);
    let (mut before, mut after) = (running().media(0), running().media(0));
    before.segments[0].discontinuities = 1;
    after.segments.remove(0);
    after.media_sequence = after.media_sequence.next();
    only(73, &successive(&before.render(), &after.render()));
    after.discontinuity_sequence += 1;
    clean(&successive(&before.render(), &after.render()));
}

#[test]
fn rule_74_the_media_sequence_never_falls() {
    let mut stage = Stage::new(running().grid, Cell(160_000_000), Duration::from_secs(12));
    stage.feed(60);
    let before = stage.media(0);
    let mut lower = before.clone();
    lower.segments.insert(0, lower.segments[0].clone());
    lower.media_sequence.0 -= 1;
    only(74, &successive(&before.render(), &lower.render()));
}

#[test]
fn rule_75_a_number_keeps_its_uri() {
    next_mutant(75, 1, |media| {
        media.segments[9].whole.as_mut().unwrap().uri = "seg-1.m4s".to_owned()
    });
}

#[test]
fn rule_76_what_is_missing_is_a_gap() {
    let mut stage = running();
    let cells = SEGMENT - 2 + SEGMENT;
    for _ in 0..cells {
        let cell = stage.timeline.due(0).unwrap();
        stage
            .timeline
            .share(0, cell, crate::timeline::Share::Gap)
            .unwrap();
        for track in 1..URIS.len() {
            stage
                .timeline
                .share(track, cell, stage.share(track, cell))
                .unwrap();
        }
    }
    mutant_of(&stage, 76, |media| media.segments.last_mut().unwrap().gap = false);
}

#[test]
fn rule_77_a_live_window_is_long_enough() {
    mutant(77, |media| {
        media.segments.drain(..12);
    });
    text_mutant(77, |text| {
        text.replace("#EXTM3U\n", "#EXTM3U\n#EXT-X-PLAYLIST-TYPE:EVENT\n")
    });
}

#[test]
fn rule_94_only_permitted_edits_happen() {
    next_mutant(94, 1, |media| media.segments[12].parts[1].independent ^= true);
    next_mutant(94, 2, |media| drop(media.segments[13].parts.remove(0)));
    next_mutant(94, 3, |media| media.segments[10].gap = true);
    let (after, mut stage) = (running(), running());
    stage.feed(1);
    only(94, &successive(&stage.text(0), &after.text(0)));
    stage.timeline.end();
    let ended = stage.media(0);
    clean(&successive(&ended.render(), &ended.render()));
    let reopened = Media {
        ended: false,
        hint: Some("part-160000043.m4s".to_owned()),
        ..ended.clone()
    };
    only(94, &successive(&ended.render(), &reopened.render()));
}

#[test]
fn what_is_no_playlist_breaks_rule_0() {
    only(0, &playlist("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n"));
    only(0, &siblings(&[Sibling { uri: "a", text: "" }]));
    only(0, &successive("", ""));
    only(0, &multivariant(&running().text(0)));
}

#[test]
fn ids_of_the_stage_are_those_of_its_uris() {
    let uris = ["360p", "240p", "audio"].map(|name| format!("{}/media.m3u8", id(name)));
    assert_eq!(uris.each_ref().map(String::as_str), URIS);
}
