//! Date ranges: of one playlist, of two that follow one another, and of a stream's playlists.

use std::collections::BTreeMap;
use std::time::Duration;

use super::siblings::Tracks;
use super::successive::Pair;
use super::{Rule, Said, covered, date, unless};
use crate::playlist::{Parsed, attribute, attributes};

pub(super) const RULES: &[Rule<Said>] = &[(80, rule_80_date_ranges_are_well_formed)];

pub(super) const SUCCESSIVE: &[Rule<Pair>] = &[
    (80, rule_80_an_id_never_changes_what_it_said),
    (81, rule_81_a_date_range_stays_while_it_maps_to_a_segment),
];

pub(super) const SIBLINGS: &[Rule<Tracks>] = &[(82, rule_82_date_ranges_are_the_same)];

/// Whether a value has its form.
type Form = fn(&str) -> bool;

/// Names that rfc8216bis §4.4.5.1 knows, and what their values are.
const NAMES: [(&str, Form); 12] = [
    ("ID", is_quoted),
    ("CLASS", is_quoted),
    ("START-DATE", is_quoted),
    ("CUE", is_trigger),
    ("END-DATE", is_quoted),
    ("DURATION", is_seconds),
    ("PLANNED-DURATION", is_seconds),
    ("SCTE35-CMD", is_hexadecimal),
    ("SCTE35-OUT", is_hexadecimal),
    ("SCTE35-IN", is_hexadecimal),
    ("END-ON-NEXT", is_yes),
    ("X-", is_client_defined),
];

fn is_quoted(value: &str) -> bool {
    value.len() > 2 && value.starts_with('"') && value.ends_with('"')
}

/// §4.4.5.1: PRE, POST and ONCE, of which PRE and POST exclude each other.
fn is_trigger(value: &str) -> bool {
    let words: Vec<&str> = value.trim_matches('"').split(',').collect();
    let known = |word: &&str| ["PRE", "POST", "ONCE"].contains(word);
    is_quoted(value) && words.iter().all(known) && !(words.contains(&"PRE") && words.contains(&"POST"))
}

/// §4.4.5.1: decimal, and never negative.
fn is_seconds(value: &str) -> bool {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(fraction)
}

/// §4.2: 0x and digits; §4.4.5.1.1: of whole bytes.
fn is_hexadecimal(value: &str) -> bool {
    let digits = value.strip_prefix("0x").unwrap_or_default();
    digits.len() > 1 && digits.len().is_multiple_of(2) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_yes(value: &str) -> bool {
    value == "YES"
}

/// §4.4.5.1: a quoted string, a hexadecimal sequence or a decimal.
fn is_client_defined(value: &str) -> bool {
    let number = value.strip_prefix('-').unwrap_or(value);
    value == "\"\"" || is_quoted(value) || is_hexadecimal(value) || is_seconds(number)
}

fn seconds(list: &str, name: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(attribute(list, name)?.parse().ok()?).ok()
}

fn at(list: &str, name: &str) -> Option<Duration> {
    date::unix(attribute(list, name)?.trim_matches('"'))
}

/// rfc8216bis §4.4.5.1.
fn rule_80_date_ranges_are_well_formed(said: &Said) -> Vec<String> {
    let mut out = Vec::new();
    let dates = &said.parsed.dates;
    let dated = said
        .parsed
        .segments
        .iter()
        .any(|segment| segment.date_time.is_some());
    out.extend(unless(dates.is_empty() || dated, || {
        "date ranges without EXT-X-PROGRAM-DATE-TIME".to_owned()
    }));
    let mut known: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for list in dates {
        out.extend(wrong(list).map(|what| format!("{what}: {list}")));
        let said = known
            .entry(attribute(list, "ID").unwrap_or_default())
            .or_default();
        for (name, value) in attributes(list).into_iter().flatten() {
            if *said.entry(name).or_insert(value) != value {
                out.push(format!("{name} differs among tags of one ID: {list}"));
            }
        }
    }
    out
}

fn wrong(list: &str) -> Option<&'static str> {
    let Some(pairs) = attributes(list) else {
        return Some("no attribute list");
    };
    let has = |name: &str| pairs.iter().any(|(other, _)| *other == name);
    let good = |(name, value): &(&str, &str)| {
        let is = |known: &str| *name == known || (known == "X-" && name.starts_with("X-"));
        NAMES
            .iter()
            .find(|(known, _)| is(known))
            .is_none_or(|(_, good)| good(value))
    };
    let ends = at(list, "START-DATE").zip(at(list, "END-DATE"));
    let lasts = ends.map(|(start, end)| end.checked_sub(start));
    match () {
        () if !has("ID") || !has("START-DATE") => Some("ID or START-DATE is missing"),
        () if !pairs.iter().all(good) => Some("a value has another form"),
        () if has("END-ON-NEXT") && (!has("CLASS") || has("DURATION") || has("END-DATE")) => {
            Some("END-ON-NEXT without CLASS, or with another end")
        }
        () if lasts == Some(None) => Some("END-DATE before START-DATE"),
        () if lasts.is_some_and(|lasts| {
            let said = seconds(list, "DURATION");
            said.zip(lasts)
                .is_some_and(|(said, lasts)| said.abs_diff(lasts) > Duration::from_millis(1))
        }) =>
        {
            Some("END-DATE is not START-DATE and DURATION")
        }
        () => None,
    }
}

fn find<'a>(parsed: &'a Parsed, id: &str) -> Option<&'a String> {
    parsed.dates.iter().find(|list| attribute(list, "ID") == Some(id))
}

/// rfc8216bis §4.4.5.1: attributes may come, and then stay what they are.
fn rule_80_an_id_never_changes_what_it_said(pair: &Pair) -> Vec<String> {
    let mut out = Vec::new();
    for was in &pair.previous.dates {
        let is = attribute(was, "ID").and_then(|id| find(&pair.next, id));
        let Some(is) = is else { continue };
        let changed = attributes(was).into_iter().flatten();
        let changed: Vec<_> = changed
            .filter(|(name, value)| attribute(is, name) != Some(*value))
            .collect();
        out.extend(unless(changed.is_empty(), || format!("{changed:?} became {is}")));
    }
    out
}

/// rfc8216bis §6.2.1. Without an end, it maps to every segment after its start.
fn rule_81_a_date_range_stays_while_it_maps_to_a_segment(pair: &Pair) -> Vec<String> {
    let first = pair
        .next
        .segments
        .iter()
        .find_map(|s| date::unix(s.date_time.as_ref()?));
    let last = pair.next.segments.last();
    let end = last.and_then(|s| Some(date::unix(s.date_time.as_ref()?)? + covered(s)));
    let Some((first, end)) = first.zip(end) else {
        return Vec::new();
    };
    let maps = |list: &&String| {
        let Some(start) = at(list, "START-DATE") else {
            return false;
        };
        let until = at(list, "END-DATE").or_else(|| Some(start + seconds(list, "DURATION")?));
        start < end && until.is_none_or(|until| until > first)
    };
    let kept = |list: &String| attribute(list, "ID").is_some_and(|id| find(&pair.next, id).is_some());
    let gone = pair.previous.dates.iter().filter(maps).filter(|list| !kept(list));
    gone.map(|list| format!("gone while it maps to a segment: {list}"))
        .collect()
}

/// rfc8216bis §6.2.4.
fn rule_82_date_ranges_are_the_same(tracks: &Tracks) -> Vec<String> {
    let sorted = |parsed: &Parsed| {
        let mut dates = parsed.dates.clone();
        dates.sort();
        dates
    };
    let differ = tracks
        .pairs()
        .filter(|(one, two)| sorted(&one.said.parsed) != sorted(&two.said.parsed));
    differ
        .map(|(one, two)| format!("{} and {} differ", one.uri, two.uri))
        .collect()
}
