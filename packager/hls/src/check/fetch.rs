//! Whether parts and segments are given when they should be.

use std::time::Duration;

use super::answer::Release;
use super::{Rule, Violation, all, unless};

/// Where an object stood when it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A playlist lists it, and not as GAP.
    Listed,
    /// Its tag left the playlist when it was this far from the end, and the stream has gone on so far since.
    Removed(Duration),
    /// A whole segment that left the playlist so long ago, by the stream's own time; the longest playlist that listed
    /// it and the segment lasted so long together.
    Left(Duration, Duration),
    /// The preload hint names it, and it comes.
    Hinted,
    /// Not hinted, this many parts after the last listed one, and it comes.
    Ahead(u64),
    /// It was about to come, and then did not: a gap, or the end of the stream.
    Dropped,
}

/// A request for a part or segment, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Where it stood.
    pub place: Place,
    /// What ended the wait.
    pub release: Release,
    /// Status of the answer.
    pub status: u16,
    /// Whether all bytes were there together: the length was announced, and equals what a later request gets.
    pub complete: bool,
    /// EXT-X-TARGETDURATION.
    pub target_duration: Duration,
    /// Advance Part Limit, parts.
    pub advance_part_limit: u64,
}

const RULES: &[Rule<Fetch>] = &[
    (13, rule_13_a_removed_part_stays_for_three_target_durations),
    (16, rule_16_what_is_listed_is_given_at_once),
    (58, rule_58_a_hinted_part_waits_and_comes_whole),
    (59, rule_59_a_part_a_little_ahead_waits_and_a_far_one_is_unknown),
    (60, rule_60_a_part_that_will_not_come_is_unknown),
    (78, rule_78_a_removed_segment_stays_for_as_long_as_it_was_listed),
];

/// Every rule about one fetch.
pub fn check(fetch: &Fetch) -> Vec<Violation> {
    all(&[RULES], fetch)
}

fn said(fetch: &Fetch) -> String {
    format!(
        "{:?}: {} {:?}, complete: {}",
        fetch.place, fetch.status, fetch.release, fetch.complete
    )
}

fn given(fetch: &Fetch, release: Release) -> bool {
    fetch.status == 200 && fetch.complete && fetch.release == release
}

/// rfc8216bis §6.2.2.
fn rule_13_a_removed_part_stays_for_three_target_durations(fetch: &Fetch) -> Vec<String> {
    let Place::Removed(since) = fetch.place else {
        return Vec::new();
    };
    let gone = since > fetch.target_duration * 3;
    unless(gone || given(fetch, Release::AtOnce), || said(fetch))
}

/// rfc8216bis §6.2.1.
fn rule_16_what_is_listed_is_given_at_once(fetch: &Fetch) -> Vec<String> {
    unless(
        fetch.place != Place::Listed || given(fetch, Release::AtOnce),
        || said(fetch),
    )
}

/// rfc8216bis §6.2.6.
fn rule_58_a_hinted_part_waits_and_comes_whole(fetch: &Fetch) -> Vec<String> {
    unless(
        fetch.place != Place::Hinted || given(fetch, Release::Publication),
        || said(fetch),
    )
}

/// rfc8216bis §6.2.6 allows a 404 for both; players never ask again after one, so a near part waits.
fn rule_59_a_part_a_little_ahead_waits_and_a_far_one_is_unknown(fetch: &Fetch) -> Vec<String> {
    let Place::Ahead(parts) = fetch.place else {
        return Vec::new();
    };
    let unknown = fetch.status == 404 && fetch.release == Release::AtOnce;
    let good = if parts > fetch.advance_part_limit {
        unknown
    } else {
        given(fetch, Release::Publication)
    };
    unless(good, || said(fetch))
}

/// rfc8216bis §6.2.6: at the moment it is known, not when the wait expires.
fn rule_60_a_part_that_will_not_come_is_unknown(fetch: &Fetch) -> Vec<String> {
    let unknown = fetch.status == 404 && fetch.release == Release::Publication;
    unless(fetch.place != Place::Dropped || unknown, || said(fetch))
}

/// rfc8216bis §6.2.2.
fn rule_78_a_removed_segment_stays_for_as_long_as_it_was_listed(fetch: &Fetch) -> Vec<String> {
    let Place::Left(since, planned) = fetch.place else {
        return Vec::new();
    };
    unless(since >= planned || given(fetch, Release::AtOnce), || said(fetch))
}
