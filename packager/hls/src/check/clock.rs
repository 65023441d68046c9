//! Dates, discontinuities and the window of one playlist.

use std::time::Duration;

use super::{Rule, Said, covered, date, numbered, unless};

pub(super) const RULES: &[Rule<Said>] = &[
    (69, rule_69_every_segment_has_a_date),
    (71, rule_71_every_discontinuity_has_a_date),
    (72, rule_72_a_new_map_is_a_discontinuity),
    (73, rule_73_the_discontinuity_sequence_is_given),
    (76, rule_76_what_is_missing_is_a_gap),
    (77, rule_77_a_live_window_is_long_enough),
];

/// rfc8216bis B.1 asks for one date in a playlist; every segment needs one for seeking by clock to be exact.
fn rule_69_every_segment_has_a_date(said: &Said) -> Vec<String> {
    let plain = numbered(&said.parsed).filter(|(_, segment)| segment.discontinuities == 0);
    plain
        .filter(|(_, segment)| segment.date_time.as_deref().and_then(date::unix).is_none())
        .map(|(msn, segment)| format!("segment {msn} is dated {:?}", segment.date_time))
        .collect()
}

/// rfc8216bis §6.2.1.
fn rule_71_every_discontinuity_has_a_date(said: &Said) -> Vec<String> {
    let after = numbered(&said.parsed).filter(|(_, segment)| segment.discontinuities > 0);
    let undated = after.filter(|(_, segment)| segment.date_time.is_none());
    undated
        .map(|(msn, _)| format!("segment {msn} follows a discontinuity without a date"))
        .collect()
}

/// rfc8216bis §6.2.1 and §4.4.4.3: of file format, tracks, times and encoding. The init segment of a new key says no
/// more than whose samples follow.
fn rule_72_a_new_map_is_a_discontinuity(said: &Said) -> Vec<String> {
    let pairs = numbered(&said.parsed).skip(1).zip(&said.parsed.segments);
    pairs
        .filter(|((_, segment), before)| segment.map != before.map && segment.discontinuities == 0)
        .filter(|((_, segment), before)| segment.key == before.key)
        .map(|((msn, segment), _)| format!("segment {msn} begins {:?} without a discontinuity", segment.map))
        .collect()
}

/// Apple authoring 8.17.
fn rule_73_the_discontinuity_sequence_is_given(said: &Said) -> Vec<String> {
    unless(said.parsed.discontinuity_sequence.is_some(), || {
        "no EXT-X-DISCONTINUITY-SEQUENCE".to_owned()
    })
}

/// rfc8216bis §6.2.1: a segment of which no part is there is not there.
fn rule_76_what_is_missing_is_a_gap(said: &Said) -> Vec<String> {
    let missing = |segment: &crate::playlist::ParsedSegment| {
        segment.uri.is_some() && !segment.parts.is_empty() && segment.parts.iter().all(|part| part.gap)
    };
    let wrong = numbered(&said.parsed).filter(|(_, segment)| missing(segment) && !segment.gap);
    wrong
        .map(|(msn, _)| format!("segment {msn} has GAP parts alone and is none"))
        .collect()
}

/// rfc8216bis §6.2.2.
fn rule_77_a_live_window_is_long_enough(said: &Said) -> Vec<String> {
    if said.parsed.ended {
        return Vec::new();
    }
    let mut out: Vec<String> = said
        .tags("#EXT-X-PLAYLIST-TYPE")
        .map(|kind| format!("live, of type {kind}"))
        .collect();
    let window: Duration = said.parsed.segments.iter().map(covered).sum();
    if window < said.parsed.target_duration * 3 {
        out.push(format!("a window of {window:?}"));
    }
    out
}
