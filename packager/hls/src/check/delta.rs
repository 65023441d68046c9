//! Whether a delta update says what the full playlist says, as far as it may leave things out.

use std::time::Duration;

use super::{Rule, Said, Violation, all, tags, unless};
use crate::playlist::{Parsed, attribute};

/// An answer to a request with `_HLS_skip`, beside the full playlist of the same version.
#[derive(Debug, Clone)]
pub struct Update {
    /// The full playlist.
    pub full: String,
    /// The answer.
    pub answer: String,
    /// Whether it was asked for with `v2`.
    pub skips_dates: bool,
    /// IDs of date ranges that were said longer ago than CAN-SKIP-UNTIL.
    pub old: Vec<String>,
    /// IDs of date ranges that left within CAN-SKIP-UNTIL.
    pub removed: Vec<String>,
}

struct Read {
    update: Update,
    full: Parsed,
    /// Segments that are far enough away to be skipped.
    far: usize,
    /// SKIPPED-SEGMENTS of every EXT-X-SKIP.
    skips: Vec<Option<usize>>,
}

const RULES: &[Rule<Read>] = &[
    (46, rule_46_what_is_asked_for_is_skipped),
    (47, rule_47_one_skip_counts_the_segments),
    (48, rule_48_only_what_is_far_away_is_left_out),
    (49, rule_49_the_discontinuity_sequence_is_the_full_ones),
    (50, rule_50_old_date_ranges_are_left_out_and_removed_ones_named),
    (52, rule_52_the_version_is_high_enough),
    (53, rule_53_nothing_is_no_skip),
];

/// Every rule about a delta update.
pub fn check(update: &Update) -> Vec<Violation> {
    let full = match Said::read(&update.full) {
        Ok(said) => said.parsed,
        Err(broken) => return broken,
    };
    let skips = tags(&update.answer, "#EXT-X-SKIP");
    let skips = skips
        .map(|list| attribute(list, "SKIPPED-SEGMENTS")?.parse().ok())
        .collect();
    let far = far(&full);
    let update = update.clone();
    all(
        &[RULES],
        &Read {
            update,
            full,
            far,
            skips,
        },
    )
}

/// rfc8216bis §6.2.5.1: further from the end of the last whole segment than the skip boundary.
fn far(full: &Parsed) -> usize {
    let control = full.server_control.as_deref().unwrap_or_default();
    let until: Option<f64> = attribute(control, "CAN-SKIP-UNTIL").and_then(|until| until.parse().ok());
    let Some(until) = until.filter(|_| !full.ended) else {
        return 0;
    };
    let whole: Vec<Duration> = full
        .segments
        .iter()
        .filter(|segment| segment.uri.is_some())
        .map(|segment| segment.duration)
        .collect();
    let is_far = |at: &usize| whole.iter().skip(at + 1).sum::<Duration>().as_secs_f64() > until;
    (0..whole.len()).take_while(is_far).count()
}

/// rfc8216bis §6.2.5.1.
fn rule_46_what_is_asked_for_is_skipped(read: &Read) -> Vec<String> {
    let is_full = read.far > 0 && read.skips.is_empty();
    unless(!is_full, || format!("{} segments could be skipped", read.far))
}

/// rfc8216bis §4.4.5.2.
fn rule_47_one_skip_counts_the_segments(read: &Read) -> Vec<String> {
    if read.skips.is_empty() {
        return Vec::new();
    }
    let listed = read.update.answer.lines().filter(|line| is_uri(line)).count();
    let whole = read
        .full
        .segments
        .iter()
        .filter(|segment| segment.uri.is_some())
        .count();
    let counted = match read.skips[..] {
        [Some(skipped)] => skipped + listed == whole || skipped == 0,
        _ => false,
    };
    let first = |text: &str| tags(text, "#EXT-X-MEDIA-SEQUENCE").next().map(str::to_owned);
    unless(
        counted && first(&read.update.full) == first(&read.update.answer),
        || format!("{:?} skipped and {listed} listed of {whole}", read.skips),
    )
}

fn is_uri(line: &str) -> bool {
    !line.is_empty() && !line.starts_with('#')
}

/// rfc8216bis §6.2.5.1: everything but those segments with their tags stays as it is, in its order.
fn rule_48_only_what_is_far_away_is_left_out(read: &Read) -> Vec<String> {
    if read.skips.is_empty() {
        return Vec::new();
    }
    let uris = |text: &str| text.lines().filter(|line| is_uri(line)).count();
    let skipped = uris(&read.update.full).saturating_sub(uris(&read.update.answer));
    let is_other = |line: &&str| {
        let changes = ["#EXT-X-SKIP", "#EXT-X-VERSION", "#EXT-X-DISCONTINUITY-SEQUENCE"];
        let dates = read.update.skips_dates && line.starts_with("#EXT-X-DATERANGE");
        !dates && !changes.iter().any(|tag| line.starts_with(tag))
    };
    let (mut segments, mut expected) = (0, Vec::new());
    for line in read.update.full.lines() {
        let of_segment =
            is_uri(line) || SEGMENT.iter().any(|tag| line.starts_with(tag)) || line == "#EXT-X-DISCONTINUITY";
        if segments >= skipped || !of_segment {
            expected.push(line);
        }
        segments += usize::from(is_uri(line));
    }
    let given: Vec<&str> = read.update.answer.lines().filter(is_other).collect();
    expected.retain(is_other);
    // What says which segments are left out is rule 47's.
    let number = |line: &&str| !line.starts_with("#EXT-X-MEDIA-SEQUENCE");
    let differ = expected
        .iter()
        .filter(|line| number(line))
        .ne(given.iter().filter(|line| number(line)));
    unless(!differ && skipped <= read.far, || {
        format!("{skipped} skipped, {} may be", read.far)
    })
}

/// Tags of segments (§4.4.4).
const SEGMENT: [&str; 8] = [
    "#EXTINF:",
    "#EXT-X-BYTERANGE:",
    "#EXT-X-KEY:",
    "#EXT-X-MAP:",
    "#EXT-X-PROGRAM-DATE-TIME:",
    "#EXT-X-GAP",
    "#EXT-X-BITRATE:",
    "#EXT-X-PART:",
];

/// rfc8216bis §4.4.5.2.
fn rule_49_the_discontinuity_sequence_is_the_full_ones(read: &Read) -> Vec<String> {
    let of = |text: &str| {
        tags(text, "#EXT-X-DISCONTINUITY-SEQUENCE")
            .next()
            .map(str::to_owned)
    };
    let (full, answer) = (of(&read.update.full), of(&read.update.answer));
    unless(full == answer, || format!("{full:?} became {answer:?}"))
}

/// rfc8216bis §6.2.5.1 and §4.4.5.2.
fn rule_50_old_date_ranges_are_left_out_and_removed_ones_named(read: &Read) -> Vec<String> {
    let Update { full, answer, .. } = &read.update;
    if read.skips.is_empty() || !read.update.skips_dates {
        return Vec::new();
    }
    let is_old = |list: &&str| {
        let id = attribute(list, "ID").unwrap_or_default().trim_matches('"');
        read.update.old.iter().any(|old| old == id)
    };
    let expected: Vec<&str> = tags(full, "#EXT-X-DATERANGE")
        .filter(|list| !is_old(list))
        .collect();
    let given: Vec<&str> = tags(answer, "#EXT-X-DATERANGE").collect();
    let named = tags(answer, "#EXT-X-SKIP").next();
    let named = named.and_then(|list| attribute(list, "RECENTLY-REMOVED-DATERANGES"));
    let mut named: Option<Vec<&str>> = named.map(|ids| {
        let ids = ids.trim_matches('"').split('\t');
        ids.filter(|id| !id.is_empty()).collect()
    });
    let mut removed: Vec<&str> = read.update.removed.iter().map(String::as_str).collect();
    removed.sort_unstable();
    if let Some(named) = &mut named {
        named.sort_unstable();
    }
    unless(expected == given && named.as_ref() == Some(&removed), || {
        format!("{given:?}, and removed {named:?}")
    })
}

/// rfc8216bis §8.
fn rule_52_the_version_is_high_enough(read: &Read) -> Vec<String> {
    let Update { full, answer, .. } = &read.update;
    let dates = |text: &str| tags(text, "#EXT-X-DATERANGE").count();
    let needed = match (read.skips.is_empty(), dates(answer) < dates(full)) {
        (true, _) => 1,
        (false, false) => 9,
        (false, true) => 10,
    };
    let version: u64 = tags(answer, "#EXT-X-VERSION")
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1);
    unless(version >= needed, || {
        format!("version {version}, {needed} needed")
    })
}

/// The draft does not say what a skip of nothing is.
fn rule_53_nothing_is_no_skip(read: &Read) -> Vec<String> {
    let is_none = read.skips.contains(&Some(0));
    unless(!is_none, || "SKIPPED-SEGMENTS=0".to_owned())
}
