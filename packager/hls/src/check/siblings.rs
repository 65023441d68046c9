//! A stream's media playlists among themselves.

use std::time::Duration;

use super::{FRAME, Rule, Said, covered, date, numbered, tags, unless};
use crate::id::{Msn, PartIndex};
use crate::playlist::{Parsed, attribute};

pub(super) struct Track {
    pub(super) uri: String,
    pub(super) said: Said,
}

pub(super) struct Tracks(pub(super) Vec<Track>);

pub(super) const RULES: &[Rule<Tracks>] = &[
    (26, rule_26_server_control_is_the_same),
    (27, rule_27_the_longest_part_target_rules),
    (62, rule_62_every_other_playlist_is_reported),
    (63, rule_63_reports_are_complete),
    (64, rule_64_reports_name_the_last_part),
    (65, rule_65_all_are_updated_together),
    (67, rule_67_borders_are_the_same),
    (68, rule_68_discontinuities_are_the_same),
    (70, rule_70_dates_are_the_same),
    (79, rule_79_all_end_together),
];

impl Tracks {
    /// The first one with each of the others: what is equal to the first is equal among themselves.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&Track, &Track)> {
        self.0
            .first()
            .into_iter()
            .flat_map(|first| self.0.iter().skip(1).map(move |other| (first, other)))
    }

    /// Reports with the playlist that gives them and, where it exists, the one they are about.
    fn reports(&self) -> impl Iterator<Item = (&Track, &str, Option<&Track>)> {
        let Self(all) = self;
        all.iter().flat_map(move |track| {
            track.said.tags("#EXT-X-RENDITION-REPORT").map(move |list| {
                let uri = text(list, "URI").map(|uri| resolve(&track.uri, uri));
                (
                    track,
                    list,
                    all.iter().find(|other| uri.as_ref() == Some(&other.uri)),
                )
            })
        })
    }
}

fn text<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    attribute(list, name)?.strip_prefix('"')?.strip_suffix('"')
}

fn number(list: &str, name: &str) -> Option<u64> {
    attribute(list, name)?.parse().ok()
}

/// A relative reference against the path of the playlist it stands in (RFC 3986 §5.2, paths only).
fn resolve(base: &str, reference: &str) -> String {
    let mut path: Vec<&str> = base.split('/').collect();
    path.pop();
    for name in reference.split('/') {
        match name {
            ".." => drop(path.pop()),
            "." => {}
            name => path.push(name),
        }
    }
    path.join("/")
}

/// rfc8216bis §6.2.4.
fn rule_26_server_control_is_the_same(tracks: &Tracks) -> Vec<String> {
    let list = |track: &Track| {
        let mut list: Vec<_> = track
            .said
            .parsed
            .server_control
            .iter()
            .flat_map(|list| list.split(','))
            .map(str::to_owned)
            .collect();
        list.sort();
        list
    };
    let differ = tracks.pairs().filter(|(first, other)| list(first) != list(other));
    differ
        .map(|(first, other)| format!("{} and {} differ", first.uri, other.uri))
        .collect()
}

/// rfc8216bis §4.4.3.8.
fn rule_27_the_longest_part_target_rules(tracks: &Tracks) -> Vec<String> {
    let longest = tracks
        .0
        .iter()
        .filter_map(|track| track.said.parsed.part_target)
        .max()
        .unwrap_or_default();
    let short = |track: &&Track| {
        track
            .said
            .parsed
            .part_hold_back
            .is_some_and(|back| back < longest * 3)
    };
    let differ = tracks
        .pairs()
        .any(|(first, other)| first.said.parsed.part_target != other.said.parsed.part_target);
    tracks
        .0
        .iter()
        .filter(short)
        .filter(|_| differ)
        .map(|track| format!("{} against {longest:?}", track.uri))
        .collect()
}

/// rfc8216bis B.1.
fn rule_62_every_other_playlist_is_reported(tracks: &Tracks) -> Vec<String> {
    let mut out = Vec::new();
    for track in &tracks.0 {
        for other in tracks.0.iter().filter(|other| other.uri != track.uri) {
            let about = tracks
                .reports()
                .filter(|(by, _, about)| by.uri == track.uri && about.is_some_and(|a| a.uri == other.uri));
            let count = about.count();
            if count != 1 {
                out.push(format!("{} reports {} {count} times", track.uri, other.uri));
            }
        }
    }
    out
}

/// rfc8216bis §4.4.5.4: what a report cannot be read without.
pub(super) fn rule_63_reports_name_a_place(text: &str) -> Vec<String> {
    let vague = |list: &&str| attribute(list, "URI").is_none() || number(list, "LAST-MSN").is_none();
    tags(text, "#EXT-X-RENDITION-REPORT")
        .filter(vague)
        .map(str::to_owned)
        .collect()
}

/// rfc8216bis §4.4.5.4.
fn rule_63_reports_are_complete(tracks: &Tracks) -> Vec<String> {
    let complete = |list: &str, about: Option<&Track>| {
        let relative = text(list, "URI").is_some_and(|uri| !uri.contains("://") && !uri.starts_with('/'));
        let parts = about.is_some_and(|about| about.said.parsed.parts().next().is_some());
        relative && (!parts || number(list, "LAST-PART").is_some())
    };
    let broken = tracks
        .reports()
        .filter(|(_, list, about)| !complete(list, *about));
    broken
        .map(|(by, list, _)| format!("{}: {list}", by.uri))
        .collect()
}

/// rfc8216bis §4.4.5.4.
fn rule_64_reports_name_the_last_part(tracks: &Tracks) -> Vec<String> {
    let wrong = tracks.reports().filter(|(_, list, about)| {
        let (Some(msn), Some(about)) = (number(list, "LAST-MSN"), about) else {
            return false;
        };
        let (last, part) = (about.said.parsed.last(), number(list, "LAST-PART"));
        // Where one is wanted and missing, another rule says so.
        let silent = part.is_none() && last.is_some_and(|(_, part)| part.is_some());
        !silent && last != Some((Msn(msn), part.map(PartIndex)))
    });
    wrong
        .map(|(by, list, about)| {
            format!(
                "{}: {list}, it ends with {:?}",
                by.uri,
                about.map(|a| a.said.parsed.last())
            )
        })
        .collect()
}

/// rfc8216bis B.1: ends further apart than a part target were not updated within one.
fn rule_65_all_are_updated_together(tracks: &Tracks) -> Vec<String> {
    let apart = tracks.pairs().filter(|(first, other)| {
        let (one, two) = (&first.said.parsed, &other.said.parsed);
        let target = one
            .part_target
            .max(two.part_target)
            .unwrap_or(one.target_duration);
        // What has no parts ends with its last whole segment, and is as far as the others' whole segments.
        let in_parts = one.parts().next().is_some() && two.parts().next().is_some();
        end(one, in_parts)
            .zip(end(two, in_parts))
            .is_some_and(|(one, two)| one.abs_diff(two) > target + FRAME)
    });
    apart
        .map(|(first, other)| format!("{} and {} end apart", first.uri, other.uri))
        .collect()
}

/// Where a playlist ends, by its own dates.
fn end(parsed: &Parsed, in_parts: bool) -> Option<Duration> {
    let mut segments = parsed.segments.iter().rev();
    let last = segments.find(|segment| in_parts || segment.uri.is_some())?;
    Some(date::unix(last.date_time.as_ref()?)? + covered(last))
}

/// Apple authoring 8.2, 8.3 and 8.22.
fn rule_67_borders_are_the_same(tracks: &Tracks) -> Vec<String> {
    let differ = tracks.pairs().filter_map(|(first, other)| {
        let (one, two) = (&first.said.parsed, &other.said.parsed);
        if one.target_duration != two.target_duration || one.media_sequence != two.media_sequence {
            return Some(format!("{} and {} differ at the head", first.uri, other.uri));
        }
        let count = |parsed: &Parsed| {
            parsed
                .segments
                .iter()
                .filter(|segment| segment.uri.is_some())
                .count()
        };
        let together = count(one) == count(two) && borders_agree(one, two);
        (!together).then(|| format!("{} and {} differ", first.uri, other.uri))
    });
    differ.collect()
}

/// Runs of whole segments stay together. What a GAP segment covers is an estimate, so a run ends there; and one life's
/// sound need not end with its picture, so it ends at a discontinuity.
fn borders_agree(one: &Parsed, two: &Parsed) -> bool {
    let estimate = one.part_target.unwrap_or(FRAME);
    let mut run = (Duration::ZERO, Duration::ZERO);
    one.segments
        .iter()
        .zip(&two.segments)
        .filter(|(one, _)| one.uri.is_some())
        .all(|(one, two)| {
            if one.gap || two.gap {
                run = (Duration::ZERO, Duration::ZERO);
                return one.duration.abs_diff(two.duration) <= estimate;
            }
            if one.discontinuities > 0 {
                run = (Duration::ZERO, Duration::ZERO);
            }
            run = (run.0 + one.duration, run.1 + two.duration);
            run.0.abs_diff(run.1) <= FRAME
        })
}

/// rfc8216bis §6.2.4.
fn rule_68_discontinuities_are_the_same(tracks: &Tracks) -> Vec<String> {
    // What has no parts does not list the segment that others have begun.
    let at = |track: &Track, other: &Track| -> Vec<(Msn, u64)> {
        let until = other.said.parsed.last().map(|(msn, _)| msn);
        numbered(&track.said.parsed)
            .map(|(msn, segment)| (msn, segment.discontinuities))
            .filter(|(msn, count)| *count > 0 && Some(*msn) <= until)
            .collect()
    };
    let sequence = |track: &Track| track.said.parsed.discontinuity_sequence;
    let differ = tracks
        .pairs()
        .filter(|(first, other)| sequence(first) != sequence(other) || at(first, other) != at(other, first));
    differ
        .map(|(first, other)| format!("{} and {} differ", first.uri, other.uri))
        .collect()
}

/// rfc8216bis §6.2.4.
fn rule_70_dates_are_the_same(tracks: &Tracks) -> Vec<String> {
    let mut out = Vec::new();
    for (first, other) in tracks.pairs() {
        let dates = |track: &Track| -> std::collections::BTreeMap<Msn, Duration> {
            let dated = |s: &crate::playlist::ParsedSegment| s.date_time.as_deref().and_then(date::unix);
            numbered(&track.said.parsed)
                .filter_map(|(msn, segment)| Some((msn, dated(segment)?)))
                .collect()
        };
        let others = dates(other);
        let wrong = dates(first)
            .into_iter()
            .find(|(msn, at)| others.get(msn).is_some_and(|b| b.abs_diff(*at) > FRAME));
        out.extend(unless(wrong.is_none(), || {
            format!("{} and {}: {wrong:?}", first.uri, other.uri)
        }));
    }
    out
}

/// rfc8216bis §6.2.4.
fn rule_79_all_end_together(tracks: &Tracks) -> Vec<String> {
    let differ = tracks
        .pairs()
        .filter(|(first, other)| first.said.parsed.ended != other.said.parsed.ended);
    differ
        .map(|(first, other)| format!("{} or {} has ended", first.uri, other.uri))
        .collect()
}
