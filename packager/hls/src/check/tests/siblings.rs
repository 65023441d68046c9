use super::*;
use crate::id::PartIndex;

#[test]
fn rule_62_every_other_playlist_is_reported() {
    sibling_mutant(62, |all| drop(all[2].reports.pop()));
    sibling_mutant(62, |all| {
        let again = all[0].reports[0].clone();
        all[0].reports.push(again);
    });
}

#[test]
fn rule_63_reports_are_complete_and_relative() {
    let stage = running();
    let texts = || (0..URIS.len()).map(|track| stage.text(track)).collect::<Vec<_>>();
    clean(&together(&texts()));
    for part in [",LAST-PART=1", ",LAST-MSN=40000010"] {
        let mut broken = texts();
        assert!(broken[0].contains(part));
        broken[0] = broken[0].replace(part, "");
        only(63, &together(&broken));
    }
    let mut broken = texts();
    broken[0] = broken[0].replace("URI=\"../audio", "URI=\"/live/main/audio");
    assert_eq!(
        rules(&together(&broken)),
        [62, 63],
        "an absolute report is one of no sibling, too"
    );
}

#[test]
fn rule_64_reports_name_the_last_part() {
    sibling_mutant(64, |all| all[0].reports[1].last_part = Some(PartIndex(9)));
    sibling_mutant(64, |all| all[1].reports[0].last_msn.0 -= 1);
}

#[test]
fn rule_65_all_renditions_are_updated_together() {
    let mut stage = Stage::usual();
    let mut behind = Vec::new();
    for _ in 0..11 * SEGMENT - 1 {
        stage.feed(1);
        behind.push(stage.media(1));
        let texts: Vec<String> = (0..URIS.len()).map(|track| stage.text(track)).collect();
        clean(&together(&texts));
    }
    // Two parts behind, inside the same segment, and honestly reported so.
    let stale = behind[behind.len() - 3].clone();
    let last = stage.media(1).reports[0].clone();
    let mut all: Vec<Media> = (0..URIS.len()).map(|track| stage.media(track)).collect();
    all[1] = Media {
        reports: all[1].reports.clone(),
        ..stale
    };
    for track in [0, 2] {
        let about = all[track]
            .reports
            .iter_mut()
            .find(|report| report.uri.contains("240p"))
            .unwrap();
        about.last_part = last.last_part.map(|part| PartIndex(part.0 - 2));
    }
    only(65, &together(&all.iter().map(Media::render).collect::<Vec<_>>()));
}

#[test]
fn rule_67_segment_borders_are_at_the_same_times() {
    let stage = running();
    let mut texts: Vec<String> = (0..URIS.len()).map(|track| stage.text(track)).collect();
    texts[1] = texts[1].replace("TARGETDURATION:2", "TARGETDURATION:3");
    only(67, &together(&texts));
    sibling_mutant(67, |all| {
        for (index, more) in [(9, 600), (8, 0)] {
            let whole = all[1].segments[index].whole.as_mut().unwrap();
            whole.duration += Duration::from_millis(more);
        }
    });
}

#[test]
fn rule_68_discontinuities_are_the_same() {
    sibling_mutant(68, |all| all[1].discontinuity_sequence += 1);
    sibling_mutant(68, |all| all[1].segments[9].discontinuities = 1);
}

#[test]
fn rule_70_dates_are_the_same() {
    sibling_mutant(70, |all| all[2].segments[9].start += Duration::from_millis(100));
}

#[test]
fn rule_79_all_playlists_end_together_without_a_hint() {
    let mut stage = running();
    stage.timeline.end();
    let mut texts: Vec<String> = (0..URIS.len()).map(|track| stage.text(track)).collect();
    clean(&together(&texts));
    assert!(
        texts
            .iter()
            .all(|text| text.ends_with("#EXT-X-ENDLIST\n") && !text.contains("PRELOAD-HINT"))
    );
    texts[1] = without(&texts[1], "#EXT-X-ENDLIST");
    only(79, &together(&texts));
}
