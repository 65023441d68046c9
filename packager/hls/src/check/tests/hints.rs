use super::*;

#[test]
fn rule_54_the_next_part_is_hinted() {
    mutant(54, |media| media.hint = None);
}

#[test]
fn rule_55_a_hint_is_the_uri_of_the_next_part_also_across_segments() {
    let mut stage = running();
    for _ in 0..3 * SEGMENT {
        let before = stage.text(0);
        stage.feed(1);
        let after = stage.media(0);
        clean(&successive(&before, &after.render()));
        let wrong = before.replace("TYPE=PART,URI=\"part-", "TYPE=PART,URI=\"next-");
        only(55, &successive(&wrong, &after.render()));
    }
}

#[test]
fn rule_56_there_is_one_hint_of_a_type() {
    let more = |kind| format!("#EXT-X-PRELOAD-HINT:TYPE={kind},URI=\"other.mp4\"\n");
    clean(&playlist(&(running().text(0) + &more("MAP"))));
    text_mutant(56, |text| text + &more("PART"));
    text_mutant(56, |text| text + &more("MAP") + &more("MAP"));
}

#[test]
fn rule_57_no_hint_stays_after_the_end() {
    let mut stage = running();
    stage.timeline.end();
    mutant_of(&stage, 57, |media| {
        media.hint = Some("part-160000042.m4s".to_owned())
    });
}

#[test]
fn rule_61_no_tag_names_a_byte_range() {
    let hinted = "URI=\"part-160000042.m4s\"";
    text_mutant(61, |text| {
        text.replace(hinted, &format!("{hinted},BYTERANGE-START=0"))
    });
    let listed = "URI=\"part-160000041.m4s\"";
    text_mutant(61, |text| {
        text.replace(listed, &format!("{listed},BYTERANGE=\"100@0\""))
    });
    text_mutant(61, |text| {
        text.replacen("#EXTINF", "#EXT-X-BYTERANGE:100@0\n#EXTINF", 1)
    });
}
