//! Renditions of one multivariant playlist. The numbers go on where those about media playlists end.

use std::collections::BTreeMap;

use super::{Rule, tags};
use crate::playlist::attribute;

pub(super) const RULES: &[Rule<str>] = &[
    (110, rule_110_names_tell_a_groups_members_apart),
    (111, rule_111_a_group_has_one_default_at_most),
    (112, rule_112_a_variants_group_is_there),
];

/// Attribute lists by TYPE and GROUP-ID.
fn groups(text: &str) -> BTreeMap<(&str, &str), Vec<&str>> {
    let mut groups: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for list in tags(text, "#EXT-X-MEDIA") {
        let named = |name| attribute(list, name).unwrap_or_default();
        groups
            .entry((named("TYPE"), named("GROUP-ID")))
            .or_default()
            .push(list);
    }
    groups
}

/// rfc8216bis §4.4.6.1 and §4.4.6.1.1.
fn rule_110_names_tell_a_groups_members_apart(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (group, members) in groups(text) {
        let mut known = Vec::new();
        for list in members {
            let name = attribute(list, "NAME").filter(|name| name.len() > 2 && name.starts_with('"'));
            if name.is_none() || known.contains(&name) {
                out.push(format!("{group:?}: {list}"));
            }
            known.push(name);
        }
    }
    out
}

/// rfc8216bis §4.4.6.1.1; and §4.4.6.1: what is the default is selected without being asked for.
fn rule_111_a_group_has_one_default_at_most(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (group, members) in groups(text) {
        let default = |list: &&&str| attribute(list, "DEFAULT") == Some("YES");
        let defaults: Vec<_> = members.iter().filter(default).collect();
        let hidden = |list: &&&&str| attribute(list, "AUTOSELECT") == Some("NO");
        if defaults.len() > 1 || defaults.iter().any(|list| hidden(&list)) {
            out.push(format!("{group:?}: {defaults:?}"));
        }
    }
    out
}

/// rfc8216bis §4.4.6.2.
fn rule_112_a_variants_group_is_there(text: &str) -> Vec<String> {
    let groups = groups(text);
    let named = tags(text, "#EXT-X-STREAM-INF").filter_map(|list| attribute(list, "AUDIO"));
    let missing = named.filter(|group| !groups.contains_key(&("AUDIO", *group)));
    missing.map(|group| format!("no group {group}")).collect()
}
