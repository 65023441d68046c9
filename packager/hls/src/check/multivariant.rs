//! Renditions of one multivariant playlist. The numbers go on where those about media playlists end.

use std::collections::BTreeMap;

use super::{Rule, tags, unless};
use crate::playlist::attribute;

pub(super) const RULES: &[Rule<str>] = &[
    (85, rule_85_codecs_name_picture_and_sound),
    (86, rule_86_rates_and_sizes_are_given),
    (88, rule_88_steering_has_a_server_and_pathways),
    (100, rule_100_all_is_on_one_host),
    (110, rule_110_names_tell_a_groups_members_apart),
    (111, rule_111_a_group_has_one_default_at_most),
    (112, rule_112_a_variants_group_is_there),
    (113, rule_113_captions_are_in_the_picture_of_all_variants),
];

/// rfc8216bis §6.2.4, Apple authoring 9.1.
fn rule_85_codecs_name_picture_and_sound(text: &str) -> Vec<String> {
    const SOUND: [&str; 6] = ["mp4a", "ac-3", "ec-3", "opus", "flac", "alac"];
    let wrong = |list: &&str| {
        let codecs = attribute(list, "CODECS")
            .unwrap_or_default()
            .trim_matches('"')
            .to_ascii_lowercase();
        let sound = |codec: &&str| SOUND.iter().any(|name| codec.trim().starts_with(name));
        let (sounds, pictures): (Vec<_>, Vec<_>) = codecs
            .split(',')
            .filter(|codec| !codec.is_empty())
            .partition(sound);
        (sounds.is_empty() && attribute(list, "AUDIO").is_some())
            || (pictures.is_empty() && attribute(list, "RESOLUTION").is_some())
            || codecs.is_empty()
    };
    let variants = tags(text, "#EXT-X-STREAM-INF");
    variants.filter(wrong).map(str::to_owned).collect()
}

/// Apple authoring 9.2, 9.13 to 9.15.
fn rule_86_rates_and_sizes_are_given(text: &str) -> Vec<String> {
    let wrong = |list: &&str| {
        let number = |name| attribute(list, name).and_then(|n| n.parse::<u64>().ok());
        let rates = number("BANDWIDTH").zip(number("AVERAGE-BANDWIDTH"));
        let sized = ["RESOLUTION", "FRAME-RATE"]
            .iter()
            .all(|name| attribute(list, name).is_some());
        !sized || rates.is_none_or(|(peak, average)| peak < average)
    };
    let variants = tags(text, "#EXT-X-STREAM-INF");
    variants.filter(wrong).map(str::to_owned).collect()
}

/// rfc8216bis §7.
fn rule_88_steering_has_a_server_and_pathways(text: &str) -> Vec<String> {
    let all: Vec<&str> = tags(text, "#EXT-X-CONTENT-STEERING").collect();
    let [list] = all[..] else {
        return unless(all.is_empty(), || "several EXT-X-CONTENT-STEERING".to_owned());
    };
    let server = attribute(list, "SERVER-URI").is_some_and(|uri| uri.len() > 2);
    let mut variants = tags(text, "#EXT-X-STREAM-INF");
    let pathways = variants.all(|list| attribute(list, "PATHWAY-ID").is_some());
    unless(server && pathways, || list.to_owned())
}

/// rfc8216bis B.1.
fn rule_100_all_is_on_one_host(text: &str) -> Vec<String> {
    let attributes = tags(text, "#EXT-X-MEDIA").filter_map(|list| attribute(list, "URI"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let host = |uri: &str| -> Option<String> {
        let (_, rest) = uri.trim_matches('"').split_once("//")?;
        Some(rest.split('/').next().unwrap_or_default().to_owned())
    };
    let hosts: std::collections::BTreeSet<_> = attributes.chain(lines).map(host).collect();
    unless(hosts.len() <= 1, || format!("{hosts:?}"))
}

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
    let named = |kind: &'static str| {
        let lists = tags(text, "#EXT-X-STREAM-INF").filter_map(move |list| attribute(list, kind));
        lists.map(move |group| (kind, group))
    };
    let named = named("AUDIO")
        .chain(named("SUBTITLES"))
        .chain(named("CLOSED-CAPTIONS"));
    let missing = named.filter(|group| group.1 != "NONE" && !groups.contains_key(group));
    missing.map(|group| format!("no group {group:?}")).collect()
}

/// rfc8216bis §4.4.6.1 and §4.4.6.2.
fn rule_113_captions_are_in_the_picture_of_all_variants(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for ((kind, _), members) in groups(text) {
        let is_captions = kind == "CLOSED-CAPTIONS";
        let broken = members.into_iter().filter(|list| {
            attribute(list, "INSTREAM-ID").is_some() != is_captions
                || (is_captions && attribute(list, "URI").is_some())
        });
        out.extend(broken.map(str::to_owned));
    }
    let none = |list: &&str| attribute(list, "CLOSED-CAPTIONS") == Some("NONE");
    let (without, with): (Vec<_>, Vec<_>) = tags(text, "#EXT-X-STREAM-INF").partition(none);
    out.extend(unless(without.is_empty() || with.is_empty(), || {
        "NONE in some variants".to_owned()
    }));
    out
}
