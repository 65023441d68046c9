//! Preload hints of one playlist.

use super::{Rule, Said, tags, unless};
use crate::playlist::attribute;

pub(super) const RULES: &[Rule<Said>] = &[
    (54, rule_54_the_next_part_is_hinted),
    (56, rule_56_one_hint_of_a_type),
    (57, rule_57_no_hint_after_the_end),
];

/// rfc8216bis B.1.
fn rule_54_the_next_part_is_hinted(said: &Said) -> Vec<String> {
    let live = !said.parsed.ended && said.parsed.part_target.is_some();
    unless(!live || !said.parsed.hints.is_empty(), || {
        "no EXT-X-PRELOAD-HINT of TYPE=PART".to_owned()
    })
}

/// rfc8216bis §6.2.6.
fn rule_56_one_hint_of_a_type(said: &Said) -> Vec<String> {
    let types: Vec<_> = said
        .tags("#EXT-X-PRELOAD-HINT")
        .filter_map(|list| attribute(list, "TYPE"))
        .collect();
    let twice = ["PART", "MAP"]
        .into_iter()
        .filter(|kind| types.iter().filter(|t| t == &kind).count() > 1);
    twice
        .map(|kind| format!("several hints of TYPE={kind}"))
        .collect()
}

/// rfc8216bis §4.4.5.3.
fn rule_57_no_hint_after_the_end(said: &Said) -> Vec<String> {
    let hinted = said.tags("#EXT-X-PRELOAD-HINT").next();
    unless(!said.parsed.ended || hinted.is_none(), || {
        "a hint beside EXT-X-ENDLIST".to_owned()
    })
}

/// rfc8216bis §4.4.5.3 allows ranges where the server answers them part by part; parts here are whole objects,
/// so no tag may name a range.
pub(super) fn rule_61_no_byte_ranges(text: &str) -> Vec<String> {
    let named = |name: &'static str, key: &'static str| {
        tags(text, name).filter(move |list| attribute(list, key).is_some())
    };
    let whole = tags(text, "#EXT-X-BYTERANGE");
    let part = named("#EXT-X-PART", "BYTERANGE").chain(named("#EXT-X-MAP", "BYTERANGE"));
    let hint = named("#EXT-X-PRELOAD-HINT", "BYTERANGE-START")
        .chain(named("#EXT-X-PRELOAD-HINT", "BYTERANGE-LENGTH"));
    whole.chain(part).chain(hint).map(str::to_owned).collect()
}
