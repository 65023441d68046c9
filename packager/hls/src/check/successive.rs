//! What a playlist may become between two reloads.

use super::{Rule, numbered, unless};
use crate::id::Msn;
use crate::playlist::{Parsed, ParsedSegment};

pub(super) struct Pair {
    pub(super) previous: Parsed,
    pub(super) next: Parsed,
}

pub(super) const RULES: &[Rule<Pair>] = &[
    (9, rule_09_the_target_duration_never_changes),
    (10, rule_10_part_target_and_hold_back_never_change),
    (55, rule_55_a_hint_becomes_the_next_part),
    (73, rule_73_the_discontinuity_sequence_counts_what_left),
    (74, rule_74_the_media_sequence_never_falls),
    (75, rule_75_a_number_keeps_its_uri),
    (94, rule_94_only_permitted_edits_happen),
];

fn segment(parsed: &Parsed, msn: Msn) -> Option<&ParsedSegment> {
    let at = msn.0.checked_sub(parsed.media_sequence.0)?;
    parsed.segments.get(usize::try_from(at).ok()?)
}

/// rfc8216bis §6.2.1.
fn rule_09_the_target_duration_never_changes(pair: &Pair) -> Vec<String> {
    let (was, is) = (pair.previous.target_duration, pair.next.target_duration);
    unless(was == is, || format!("{was:?} became {is:?}"))
}

/// Apple's player stops for good when they do.
fn rule_10_part_target_and_hold_back_never_change(pair: &Pair) -> Vec<String> {
    let both = |parsed: &Parsed| (parsed.part_target, parsed.part_hold_back);
    unless(both(&pair.previous) == both(&pair.next), || {
        format!("{:?} became {:?}", both(&pair.previous), both(&pair.next))
    })
}

/// rfc8216bis §4.4.5.3; also where the hint follows a segment's last part. A ladder's end breaks the promise (§6.2.6).
fn rule_55_a_hint_becomes_the_next_part(pair: &Pair) -> Vec<String> {
    let Some(hint) = pair.previous.hints.first() else {
        return Vec::new();
    };
    let Some((msn, Some(part))) = pair.previous.last() else {
        return Vec::new();
    };
    let Some(same) = segment(&pair.next, msn).filter(|same| !same.parts.is_empty()) else {
        return Vec::new();
    };
    let after = usize::try_from(part.0 + 1).ok().and_then(|at| same.parts.get(at));
    let follows = segment(&pair.next, msn.next()).filter(|next| next.discontinuities == 0);
    let first = follows.and_then(|next| next.parts.first());
    let came = after.or(if same.uri.is_some() { first } else { None });
    unless(came.is_none_or(|came| came.uri == *hint), || {
        format!("{hint} was hinted, {came:?} came")
    })
}

/// rfc8216bis §6.2.2.
fn rule_73_the_discontinuity_sequence_counts_what_left(pair: &Pair) -> Vec<String> {
    let (Some(was), Some(is)) = (
        pair.previous.discontinuity_sequence,
        pair.next.discontinuity_sequence,
    ) else {
        return Vec::new();
    };
    let left = numbered(&pair.previous).filter(|(msn, _)| *msn < pair.next.media_sequence);
    let left: u64 = left.map(|(_, segment)| segment.discontinuities).sum();
    // What came and went in between is not known where nothing of the one is in the other.
    let apart = pair.previous.media_sequence.0 + pair.previous.segments.len() as u64;
    let good = if pair.next.media_sequence.0 > apart {
        is >= was + left
    } else {
        is == was + left
    };
    unless(good, || {
        format!("{was} became {is} when {left} discontinuities left")
    })
}

/// rfc8216bis §6.2.2.
fn rule_74_the_media_sequence_never_falls(pair: &Pair) -> Vec<String> {
    let (was, is) = (pair.previous.media_sequence, pair.next.media_sequence);
    unless(was <= is, || format!("{was} became {is}"))
}

/// rfc8216bis §6.3.4.
fn rule_75_a_number_keeps_its_uri(pair: &Pair) -> Vec<String> {
    let both = numbered(&pair.previous)
        .filter_map(|(msn, was)| Some((msn, was.uri.as_ref()?, segment(&pair.next, msn)?)));
    let changed = both.filter(|(_, was, is)| is.uri.as_ref() != Some(*was));
    changed
        .map(|(msn, was, is)| format!("segment {msn}: {was} became {:?}", is.uri))
        .collect()
}

/// rfc8216bis §6.2.1: append, remove from the front, remove parts of old segments, end.
fn rule_94_only_permitted_edits_happen(pair: &Pair) -> Vec<String> {
    let mut out = Vec::new();
    if pair.previous.ended && pair.previous != pair.next {
        out.push("changed after EXT-X-ENDLIST".to_owned());
    }
    let end = |parsed: &Parsed| {
        (
            parsed.media_sequence.0 + parsed.segments.len() as u64,
            parsed.last(),
        )
    };
    if end(&pair.next) < end(&pair.previous) {
        out.push(format!(
            "the end went back from {:?} to {:?}",
            pair.previous.last(),
            pair.next.last()
        ));
    }
    for (msn, was) in numbered(&pair.previous) {
        let Some(is) = segment(&pair.next, msn) else {
            continue;
        };
        let head = |s: &ParsedSegment| (s.map.clone(), s.discontinuities, s.date_time.clone());
        let kept =
            head(was) == head(is) && (was.uri.is_none() || (was.duration, was.gap) == (is.duration, is.gap));
        let parts = match was.uri {
            Some(_) => is.parts.is_empty() || is.parts == was.parts,
            None => is.parts.starts_with(&was.parts) || (is.uri.is_some() && is.parts.is_empty()),
        };
        if !kept || !parts {
            out.push(format!("segment {msn} changed"));
        }
    }
    out
}
