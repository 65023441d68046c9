//! EXT-X-SERVER-CONTROL of one playlist.

use std::time::Duration;

use super::{Rule, Said, covered, unless};
use crate::playlist::attribute;

/// Apple authoring 14.4: from here on playlists have to offer delta updates.
const LONG_WINDOW: Duration = Duration::from_secs(120);

pub(super) const RULES: &[Rule<Said>] = &[
    (21, rule_21_part_hold_back_is_given),
    (22, rule_22_part_hold_back_is_three_part_targets),
    (23, rule_23_hold_back_is_three_target_durations),
    (24, rule_24_skipping_starts_six_target_durations_away),
    (25, rule_25_skipping_date_ranges_needs_skipping),
    (28, rule_28_long_windows_offer_delta_updates),
];

fn skip_until(said: &Said) -> Option<f64> {
    attribute(said.parsed.server_control.as_deref()?, "CAN-SKIP-UNTIL")?
        .parse()
        .ok()
}

fn skips_dates(said: &Said) -> bool {
    let control = said.parsed.server_control.as_deref().unwrap_or_default();
    attribute(control, "CAN-SKIP-DATERANGES") == Some("YES")
}

/// rfc8216bis §4.4.3.8.
fn rule_21_part_hold_back_is_given(said: &Said) -> Vec<String> {
    let missing = said.parsed.part_target.is_some() && said.parsed.part_hold_back.is_none();
    unless(!missing, || "PART-TARGET without PART-HOLD-BACK".to_owned())
}

/// Apple authoring 14.3: three, where rfc8216bis §4.4.3.8 asks for two and recommends three.
fn rule_22_part_hold_back_is_three_part_targets(said: &Said) -> Vec<String> {
    let (Some(target), Some(back)) = (said.parsed.part_target, said.parsed.part_hold_back) else {
        return Vec::new();
    };
    unless(back >= target * 3, || {
        format!("PART-HOLD-BACK {back:?}, PART-TARGET {target:?}")
    })
}

/// rfc8216bis §4.4.3.8.
fn rule_23_hold_back_is_three_target_durations(said: &Said) -> Vec<String> {
    let target = said.parsed.target_duration;
    let Some(back) = said.parsed.hold_back else {
        return Vec::new();
    };
    unless(back >= target * 3, || {
        format!("HOLD-BACK {back:?}, target duration {target:?}")
    })
}

/// rfc8216bis §4.4.3.8.
fn rule_24_skipping_starts_six_target_durations_away(said: &Said) -> Vec<String> {
    let Some(until) = skip_until(said) else {
        return Vec::new();
    };
    let least = (said.parsed.target_duration * 6).as_secs_f64();
    unless(until >= least, || {
        format!("CAN-SKIP-UNTIL {until}, at least {least}")
    })
}

/// rfc8216bis §4.4.3.8.
fn rule_25_skipping_date_ranges_needs_skipping(said: &Said) -> Vec<String> {
    let alone = skips_dates(said) && skip_until(said).is_none();
    unless(!alone, || "CAN-SKIP-DATERANGES without CAN-SKIP-UNTIL".to_owned())
}

/// Apple authoring 14.4 and 14.5.
fn rule_28_long_windows_offer_delta_updates(said: &Said) -> Vec<String> {
    let window: Duration = said.parsed.segments.iter().map(covered).sum();
    if window <= LONG_WINDOW || said.parsed.ended {
        return Vec::new();
    }
    let dates = said.tags("#EXT-X-DATERANGE").next().is_some();
    let offered = skip_until(said).is_some() && (!dates || skips_dates(said));
    unless(offered, || {
        format!("a window of {window:?} without delta updates")
    })
}
