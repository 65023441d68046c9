//! Parts and segments of one playlist.

use std::time::Duration;

use super::{FRAME, Rule, Said, covered, date, numbered, tags, unless};
use crate::playlist::{ParsedSegment, attribute};

pub(super) const RULES: &[Rule<Said>] = &[
    (1, rule_01_parts_need_a_part_target),
    (2, rule_02_no_part_is_longer_than_the_target),
    (3, rule_03_inner_parts_are_long_enough),
    (7, rule_07_extinf_is_the_sum_of_parts_and_of_time),
    (8, rule_08_no_segment_rounds_to_more_than_the_target),
    (11, rule_11_segment_tags_come_before_parts),
    (12, rule_12_old_parts_are_taken_out),
    (19, rule_19_every_segment_has_a_map),
];

/// rfc8216bis §4.4.3.7.
fn rule_01_parts_need_a_part_target(said: &Said) -> Vec<String> {
    let parts = said.parsed.parts().count();
    unless(parts == 0 || said.parsed.part_target.is_some(), || {
        format!("{parts} parts and no PART-TARGET")
    })
}

/// rfc8216bis §4.4.4.9.
fn rule_02_no_part_is_longer_than_the_target(said: &Said) -> Vec<String> {
    let Some(target) = said.parsed.part_target else {
        return Vec::new();
    };
    let long = said.parsed.parts().filter(|part| part.duration > target);
    long.map(|part| format!("{} of {:?}, target {target:?}", part.uri, part.duration))
        .collect()
}

/// rfc8216bis §4.4.4.9: but for independent and GAP parts, parts before a GAP, and a segment's last part. The
/// last part of an open segment may still turn out to be its last.
fn rule_03_inner_parts_are_long_enough(said: &Said) -> Vec<String> {
    let Some(target) = said.parsed.part_target else {
        return Vec::new();
    };
    let pairs = said
        .parsed
        .segments
        .iter()
        .flat_map(|segment| segment.parts.iter().zip(segment.parts.iter().skip(1)));
    pairs
        .filter(|(part, next)| !part.independent && !part.gap && !next.gap)
        .filter(|(part, _)| part.duration.as_nanos() * 100 < target.as_nanos() * 85)
        .map(|(part, _)| format!("{} of {:?}, target {target:?}", part.uri, part.duration))
        .collect()
}

/// rfc8216bis §4.4.4.9.
pub(super) fn rule_04_parts_have_uri_and_duration(text: &str) -> Vec<String> {
    let complete = |list: &&str| {
        let uri = attribute(list, "URI").is_some_and(|uri| uri.len() > 2 && uri.starts_with('"'));
        uri && attribute(list, "DURATION").is_some_and(|seconds| seconds.parse::<f64>().is_ok())
    };
    tags(text, "#EXT-X-PART")
        .filter(|list| !complete(list))
        .map(str::to_owned)
        .collect()
}

/// Apple authoring 8.1. What a GAP segment covers is an estimate, so it is compared alone, and a run ends there.
fn rule_07_extinf_is_the_sum_of_parts_and_of_time(said: &Said) -> Vec<String> {
    let mut out = Vec::new();
    let whole = || numbered(&said.parsed).filter(|(_, segment)| segment.uri.is_some());
    for (msn, segment) in whole().filter(|(_, segment)| !segment.parts.is_empty()) {
        let parts: Duration = segment.parts.iter().map(|part| part.duration).sum();
        if parts.abs_diff(segment.duration) > FRAME {
            out.push(format!(
                "segment {msn} of {:?} with parts of {parts:?}",
                segment.duration
            ));
        }
    }
    let estimate = said.parsed.part_target.unwrap_or(FRAME);
    let mut run: Option<Duration> = None;
    let following = numbered(&said.parsed).skip(1).map(|(_, segment)| segment);
    for ((msn, segment), next) in whole().zip(following) {
        let (Some(start), Some(end)) = (dated(segment), dated(next)) else {
            continue;
        };
        let begun = if segment.gap { start } else { run.unwrap_or(start) };
        let reached = begun + segment.duration;
        let allowed = if segment.gap { estimate } else { FRAME };
        if next.discontinuities == 0 && reached.abs_diff(end) > allowed {
            out.push(format!(
                "segment {msn} ends {:?} away from the next one's date",
                reached.abs_diff(end)
            ));
        }
        run = (!segment.gap && next.discontinuities == 0).then_some(reached);
    }
    out
}

fn dated(segment: &ParsedSegment) -> Option<Duration> {
    date::unix(segment.date_time.as_ref()?)
}

/// rfc8216bis §4.4.3.1.
fn rule_08_no_segment_rounds_to_more_than_the_target(said: &Said) -> Vec<String> {
    let target = said.parsed.target_duration;
    let half = Duration::from_millis(500);
    numbered(&said.parsed)
        .filter(|(_, segment)| (segment.duration + half).as_secs() > target.as_secs())
        .map(|(msn, segment)| format!("segment {msn} of {:?}, target {target:?}", segment.duration))
        .collect()
}

/// rfc8216bis §4.4.3.1.
pub(super) fn rule_09_the_target_duration_is_a_whole_number(text: &str) -> Vec<String> {
    let bad = |value: &&str| !value.bytes().all(|b| b.is_ascii_digit()) || value.parse().unwrap_or(0) < 1_u32;
    tags(text, "#EXT-X-TARGETDURATION")
        .filter(bad)
        .map(str::to_owned)
        .collect()
}

/// rfc8216bis §4.4.4.9.
fn rule_11_segment_tags_come_before_parts(said: &Said) -> Vec<String> {
    let late = numbered(&said.parsed).filter(|(_, segment)| segment.late_tag);
    late.map(|(msn, _)| format!("segment {msn} has a tag after its first part"))
        .collect()
}

/// rfc8216bis §6.2.2; a segment keeps all of its parts or none, so that a part's index never changes.
fn rule_12_old_parts_are_taken_out(said: &Said) -> Vec<String> {
    let limit = said.parsed.target_duration * 3 + FRAME;
    let mut out = Vec::new();
    let mut behind = Duration::ZERO;
    for segment in said.parsed.segments.iter().rev() {
        if behind > limit && !segment.parts.is_empty() {
            out.push(format!("parts {behind:?} from the end"));
        }
        behind += covered(segment);
    }
    out
}

/// rfc8216bis §4.4.4.5: fMP4 needs EXT-X-MAP; WebVTT has none.
fn rule_19_every_segment_has_a_map(said: &Said) -> Vec<String> {
    let bare = numbered(&said.parsed).filter(|(_, segment)| {
        let is_text = segment.uri.as_deref().is_some_and(|uri| uri.ends_with(".vtt"));
        segment.map.is_none() && !is_text
    });
    bare.map(|(msn, _)| format!("segment {msn} without EXT-X-MAP"))
        .collect()
}
