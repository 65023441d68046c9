//! Whether playlist requests are answered as they should be: one exchange, seen from outside.

mod apart;
mod refusal;

use std::time::Duration;

use super::{Rule, Violation, all, unless};
use crate::playlist::{Parsed, attribute, parse};

pub use apart::{
    PROMPT_ROUND_TRIPS, rule_41_the_same_request_has_the_same_answer,
    rule_43_answers_are_caused_by_the_publication, rule_44_no_live_playlist_is_short,
    rule_66_what_is_reported_is_there,
};

/// What ended a request's wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Nothing had to happen: answered with the state it was sent in.
    AtOnce,
    /// A publication, or the end of the stream.
    Publication,
    /// Nothing came for this long.
    Expired(Duration),
}

/// A playlist request and what became of it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The query, without `?`.
    pub query: String,
    /// The playlist just before the request, as a plain request gives it.
    pub before: String,
    /// What ended the wait.
    pub release: Release,
    /// Whether the stream ended while it waited.
    pub ended: bool,
    /// Status of the answer.
    pub status: u16,
    /// Body of the answer.
    pub body: String,
}

/// An exchange, read.
struct Read {
    exchange: Exchange,
    before: Parsed,
    /// The answer's playlist where it is one.
    after: Option<Parsed>,
    msn: Directive,
    part: Directive,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directive {
    Absent,
    Malformed,
    Value(u64),
}

const RULES: &[Rule<Read>] = &[
    (30, rule_30_an_msn_waits_for_the_whole_segment),
    (31, rule_31_a_part_waits_for_that_part),
    (
        32,
        rule_32_a_part_beyond_a_finished_segment_is_the_next_ones_first,
    ),
    (33, refusal::rule_33_a_part_without_msn_is_refused),
    (34, refusal::rule_34_an_msn_too_far_ahead_is_refused),
    (35, refusal::rule_35_a_part_too_far_ahead_is_refused),
    (36, rule_36_a_wait_ends_after_three_target_durations),
    (37, rule_37_what_is_here_is_given_at_once),
    (38, rule_38_directives_are_ignored_after_the_end),
    (39, rule_39_the_end_answers_everyone),
    (
        40,
        refusal::rule_40_directives_are_numbers_and_unknown_ones_ignored,
    ),
];

/// Every rule about one exchange.
pub fn check(exchange: &Exchange) -> Vec<Violation> {
    let Ok(before) = parse(&exchange.before) else {
        return vec![Violation {
            rule: 0,
            detail: "no playlist before the request".to_owned(),
        }];
    };
    let directive = |name| directive(&exchange.query, name);
    let (msn, part) = (directive("_HLS_msn"), directive("_HLS_part"));
    all(
        &[RULES],
        &Read {
            exchange: exchange.clone(),
            before,
            after: parse(&unskipped(&exchange.body)).ok(),
            msn,
            part,
        },
    )
}

/// Segments counted in a delta update.
const SKIPPED_MAX: usize = 100_000;

/// A delta update with segments in the place of those it skips: they count, and nothing else of them matters here.
fn unskipped(body: &str) -> String {
    const TAG: &str = "#EXT-X-SKIP:";
    let skip = |line: &str| {
        attribute(line.strip_prefix(TAG)?, "SKIPPED-SEGMENTS")?
            .parse()
            .ok()
    };
    let line = |line| match skip(line) {
        Some(count) => "#EXTINF:1,\nskipped\n".repeat(usize::min(count, SKIPPED_MAX)),
        None => format!("{line}\n"),
    };
    body.lines().map(line).collect()
}

fn directive(query: &str, name: &str) -> Directive {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.map_or(Directive::Absent, |value| {
        let digits = value.bytes().all(|b| b.is_ascii_digit());
        value
            .parse()
            .ok()
            .filter(|_| digits)
            .map_or(Directive::Malformed, Directive::Value)
    })
}

impl Read {
    /// MSN of the last whole segment, or of the one before the first where none is whole.
    fn whole(&self) -> u64 {
        self.before
            .last_whole()
            .map_or(self.before.media_sequence.0.saturating_sub(1), |msn| msn.0)
    }

    /// Segment and index of the last part listed.
    fn last(&self) -> (u64, u64) {
        let (msn, part) = self.before.last().unwrap_or_default();
        (msn.0, part.map_or(0, |part| part.0))
    }

    /// MSN and part of a request that follows the grammar, while the stream lives.
    fn live(&self) -> Option<(u64, Option<u64>)> {
        match (self.msn, self.part) {
            _ if self.before.ended => None,
            (Directive::Value(msn), Directive::Value(part)) => Some((msn, Some(part))),
            (Directive::Value(msn), Directive::Absent) => Some((msn, None)),
            _ => None,
        }
    }

    /// Last part of the request's segment, where that segment is the last one and finished.
    fn finished(&self, msn: u64) -> Option<u64> {
        let last = self.last();
        (last.0 == msn && self.whole() == msn).then_some(last.1)
    }

    /// The playlist as it was, without a wait.
    fn is_given_at_once(&self) -> bool {
        let Exchange { status, release, .. } = &self.exchange;
        *status == 200 && *release == Release::AtOnce && self.is_unchanged()
    }

    /// Whether the answer is the playlist before, or a delta update that ends where that did.
    fn is_unchanged(&self) -> bool {
        let Exchange {
            query, body, before, ..
        } = &self.exchange;
        let end = |said: &Parsed| (said.media_sequence, said.last(), said.last_whole());
        let skips = ["_HLS_skip=YES", "_HLS_skip=v2"];
        let asked = query.split('&').any(|pair| skips.contains(&pair)) && !self.before.ended;
        let ends_there = || {
            self.after
                .as_ref()
                .is_some_and(|after| end(after) == end(&self.before))
        };
        body == before || (asked && body.contains("#EXT-X-SKIP:") && ends_there())
    }

    /// Whether the request is for something that is there already.
    fn listed(&self) -> bool {
        match self.live() {
            Some((msn, None)) => msn <= self.whole(),
            Some((msn, Some(part))) => (msn, part) <= self.last() || msn < self.last().0,
            None => false,
        }
    }

    /// Advance Part Limit, rfc8216bis §6.2.5.2.
    fn limit(&self) -> u64 {
        let target = self
            .before
            .part_target
            .unwrap_or(Duration::from_secs(1))
            .as_secs_f64();
        let parts = if target < 1.0 && target > 0.0 {
            (3.0 / target).ceil()
        } else {
            3.0
        };
        (3..=3_000)
            .find(|n: &u32| f64::from(*n) >= parts)
            .map_or(3_000, u64::from)
    }

    /// Parts between the last one and the request, where the playlist says so: in the open segment, or in the
    /// one that follows a finished one.
    fn ahead(&self, msn: u64, part: u64) -> Option<u64> {
        let last = self.last();
        match self.whole() == last.0 {
            true if msn == last.0 + 1 => Some(part.saturating_add(1)),
            false if msn == last.0 => part.checked_sub(last.1),
            true | false => None,
        }
    }

    fn refused_at_once(&self) -> bool {
        self.exchange.status == 400 && self.exchange.release == Release::AtOnce
    }

    fn said(&self) -> String {
        format!(
            "{}: {} {:?}",
            self.exchange.query, self.exchange.status, self.exchange.release
        )
    }

    /// Whether the answer's playlist ends at a segment and part, or later, or for good.
    fn reached(&self, enough: impl Fn(&Parsed) -> bool) -> bool {
        self.after
            .as_ref()
            .is_some_and(|after| after.ended || enough(after))
    }

    /// A wait that the stream kept: neither the end nor a stall cut it short.
    fn kept(&self) -> bool {
        !self.exchange.ended && !matches!(self.exchange.release, Release::Expired(_))
    }
}

/// rfc8216bis §6.2.5.2.
fn rule_30_an_msn_waits_for_the_whole_segment(read: &Read) -> Vec<String> {
    let Some((msn, None)) = read.live() else {
        return Vec::new();
    };
    if msn <= read.whole() || msn > read.whole() + 2 || !read.kept() {
        return Vec::new();
    }
    let given = read.exchange.status == 200
        && read.reached(|after| after.last_whole().is_some_and(|whole| whole.0 >= msn));
    unless(given, || read.said())
}

/// rfc8216bis §6.2.5.2.
fn rule_31_a_part_waits_for_that_part(read: &Read) -> Vec<String> {
    let Some((msn, Some(part))) = read.live() else {
        return Vec::new();
    };
    let near = read
        .ahead(msn, part)
        .is_some_and(|ahead| (1..=read.limit()).contains(&ahead));
    if !near || !read.kept() {
        return Vec::new();
    }
    let there = |after: &Parsed| {
        after
            .last()
            .is_some_and(|(m, p)| m.0 > msn || (m.0 == msn && p.is_some_and(|p| p.0 >= part)))
    };
    unless(read.exchange.status == 200 && read.reached(there), || read.said())
}

/// rfc8216bis §6.2.5.2: however far beyond.
fn rule_32_a_part_beyond_a_finished_segment_is_the_next_ones_first(read: &Read) -> Vec<String> {
    let Some((msn, Some(part))) = read.live() else {
        return Vec::new();
    };
    if read.finished(msn).is_none_or(|last| part <= last) || !read.kept() {
        return Vec::new();
    }
    let next = |after: &Parsed| after.last().is_some_and(|(last, _)| last.0 > msn);
    unless(read.exchange.status == 200 && read.reached(next), || read.said())
}

/// rfc8216bis §6.2.5.2; a target duration more is the observer's.
fn rule_36_a_wait_ends_after_three_target_durations(read: &Read) -> Vec<String> {
    let target = read.before.target_duration;
    let good = match read.exchange.release {
        Release::Expired(waited) => {
            read.exchange.status == 503 && waited >= target * 3 && waited <= target * 4
        }
        Release::AtOnce | Release::Publication => read.exchange.status != 503,
    };
    unless(good, || read.said())
}

/// rfc8216bis §6.2.5.2: with the whole current playlist, however old the number.
fn rule_37_what_is_here_is_given_at_once(read: &Read) -> Vec<String> {
    unless(!read.listed() || read.is_given_at_once(), || read.said())
}

/// rfc8216bis §6.2.5.1 and §6.2.5.2.
fn rule_38_directives_are_ignored_after_the_end(read: &Read) -> Vec<String> {
    unless(!read.before.ended || read.is_given_at_once(), || read.said())
}

/// A request that was waiting when the stream ended gets the last playlist.
fn rule_39_the_end_answers_everyone(read: &Read) -> Vec<String> {
    let Exchange {
        status,
        release,
        ended,
        ..
    } = &read.exchange;
    let last = *status == 200 && read.after.as_ref().is_some_and(|after| after.ended);
    unless(!ended || (last && *release == Release::Publication), || {
        read.said()
    })
}
