use super::*;

const GOOD: &str = "ID=\"a\",START-DATE=\"2026-07-15T11:33:00.000Z\"";

/// Our own playlist with date ranges before its segments.
fn with(lists: &[&str]) -> String {
    let tags: Vec<String> = lists
        .iter()
        .map(|list| format!("#EXT-X-DATERANGE:{list}\n"))
        .collect();
    running()
        .text(0)
        .replacen("#EXT-X-MAP", &format!("{}#EXT-X-MAP", tags.concat()), 1)
}

#[test]
fn rule_80_date_ranges_are_well_formed() {
    for more in [
        "",
        ",CLASS=\"c\",END-ON-NEXT=YES",
        ",DURATION=0.5,END-DATE=\"2026-07-15T11:33:00.500Z\"",
        ",PLANNED-DURATION=30,SCTE35-OUT=0xfC30,X-COM-A=\"x, y\",X-COM-B=-1.5,X-COM-C=0x00",
        ",CUE=\"PRE,ONCE\"",
        ",CUE=\"POST\"",
    ] {
        clean(&playlist(&with(&[&format!("{GOOD}{more}")])));
    }
    clean(&playlist(&with(&[GOOD, &format!("{GOOD},DURATION=1.0")])));
    for bad in [
        "ID=\"a\"",
        "START-DATE=\"2026-07-15T11:33:00.000Z\"",
        "ID=a,START-DATE=\"2026-07-15T11:33:00.000Z\"",
        "ID=\"a\",START-DATE=\"2026-07-15T11:33:00.000Z\"x",
    ] {
        only(80, &playlist(&with(&[bad])));
    }
    for more in [
        ",DURATION=-1",
        ",DURATION=\"1\"",
        ",PLANNED-DURATION=x",
        ",SCTE35-OUT=\"0xFC\"",
        ",SCTE35-IN=FC30",
        ",SCTE35-CMD=0xFC3",
        ",X-COM-A=word",
        ",CUE=PRE",
        ",CUE=\"MID\"",
        ",CUE=\"PRE,POST\"",
        ",END-ON-NEXT=YES",
        ",END-ON-NEXT=NO,CLASS=\"c\"",
        ",CLASS=\"c\",END-ON-NEXT=YES,DURATION=1",
        ",END-DATE=\"2026-07-15T11:32:59.000Z\"",
        ",END-DATE=\"2026-07-15T11:33:01.000Z\",DURATION=2",
    ] {
        only(80, &playlist(&with(&[&format!("{GOOD}{more}")])));
    }
    let two = [&*format!("{GOOD},DURATION=1"), &format!("{GOOD},DURATION=2")];
    only(80, &playlist(&with(&two)));
}

#[test]
fn an_id_never_changes_what_it_said() {
    let (was, grown) = (with(&[GOOD]), with(&[&format!("{GOOD},DURATION=5")]));
    clean(&successive(&was, &grown));
    only(80, &successive(&grown, &was));
    let moved = with(&["ID=\"a\",START-DATE=\"2026-07-15T11:33:00.001Z\""]);
    only(80, &successive(&was, &moved));
}

#[test]
fn rule_81_a_date_range_stays_while_it_maps_to_a_segment() {
    let none = running().text(0);
    let list = |rest: &str| with(&[&format!("ID=\"a\",START-DATE=\"2026-07-14T{rest}")]);
    // The segments are of 22:13:20 and the 21 s after it, behind GAP.
    only(81, &successive(&list("22:13:25.000Z\",DURATION=1"), &none));
    only(81, &successive(&list("10:00:00.000Z\""), &none));
    clean(&successive(&list("10:00:00.000Z\",DURATION=1"), &none));
    clean(&successive(&list("23:00:00.000Z\""), &none));
}

#[test]
fn rule_82_date_ranges_are_the_same_in_all_playlists() {
    let stage = running();
    let mut texts: Vec<String> = (0..URIS.len()).map(|track| stage.text(track)).collect();
    texts[0] = with(&[GOOD]);
    only(82, &together(&texts));
}
