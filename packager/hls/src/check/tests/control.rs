use super::*;

fn control(more: &'static str) -> impl FnOnce(String) -> String {
    move |text| text.replace("CAN-BLOCK-RELOAD=YES", &format!("CAN-BLOCK-RELOAD=YES,{more}"))
}

#[test]
fn rule_21_part_hold_back_is_given() {
    text_mutant(21, |text| text.replace(",PART-HOLD-BACK=1.566", ""));
}

#[test]
fn rule_22_part_hold_back_is_three_part_targets() {
    mutant(22, |media| media.part_hold_back -= Duration::from_millis(1));
}

#[test]
fn rule_23_hold_back_is_three_target_durations() {
    clean(&playlist(&control("HOLD-BACK=6.0")(running().text(0))));
    text_mutant(23, control("HOLD-BACK=5.9"));
}

#[test]
fn rule_24_skipping_starts_six_target_durations_away() {
    text_mutant(24, |text| {
        text.replace("CAN-SKIP-UNTIL=12.0", "CAN-SKIP-UNTIL=11.9")
    });
}

#[test]
fn rule_25_skipping_date_ranges_needs_skipping() {
    text_mutant(25, |text| text.replace("CAN-SKIP-UNTIL=12.0,", ""));
}

#[test]
fn rule_26_server_control_is_the_same_in_all_playlists() {
    sibling_mutant(26, |all| all[1].part_hold_back += Duration::from_millis(1));
}

#[test]
fn rule_27_the_longest_part_target_rules_everyones_hold_back() {
    sibling_mutant(27, |all| all[1].part_target += Duration::from_millis(1));
}

#[test]
fn rule_28_long_windows_offer_delta_updates() {
    let mut long = Stage::new(running().grid, Cell(160_000_000), Duration::from_secs(200));
    long.feed(300);
    clean(&playlist(&long.text(0)));
    let without = |text: String| text.replace(",CAN-SKIP-UNTIL=12.0,CAN-SKIP-DATERANGES=YES", "");
    only(28, &playlist(&without(long.text(0))));
    clean(&playlist(&without(running().text(0))));
    let undated = long.text(0).replace(",CAN-SKIP-DATERANGES=YES", "");
    clean(&playlist(&undated));
    let range = "#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-07-15T11:33:00.000Z\"\n#EXT-X-MAP";
    only(28, &playlist(&undated.replacen("#EXT-X-MAP", range, 1)));
}
