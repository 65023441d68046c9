//! Rules that need to know more than one exchange shows, each to be asked apart.

use std::time::Duration;

use super::{Exchange, Release};
use crate::check::{Violation, covered, unless};
use crate::playlist::parse;

/// Rule 41: the same URL, or the same one with its parameters in another order, in the same state.
pub fn rule_41_the_same_request_has_the_same_answer(bodies: &[&[u8]]) -> Vec<Violation> {
    let same = bodies.windows(2).all(|pair| pair.first() == pair.last());
    broken(41, unless(same, || format!("{} answers differ", bodies.len())))
}

/// Rule 43: an answer leaves because of the publication, not because of somebody's polling interval. Counted in
/// plain requests that were answered, one after the other, between publication and answer.
pub fn rule_43_answers_are_caused_by_the_publication(round_trips: &[u32]) -> Vec<Violation> {
    let late = round_trips
        .iter()
        .filter(|trips| **trips > PROMPT_ROUND_TRIPS)
        .count();
    broken(
        43,
        unless(late * 10 <= round_trips.len(), || {
            format!("{late} of {} came late", round_trips.len())
        }),
    )
}

/// Plain requests that may overtake a released one; a wait of 20 ms has room for far more.
pub const PROMPT_ROUND_TRIPS: u32 = 25;

/// Rule 44: a plain request is answered with a playlist of at least three target durations, or not at all.
pub fn rule_44_no_live_playlist_is_short(status: u16, body: &str) -> Vec<Violation> {
    if status != 200 {
        return broken(
            44,
            unless(status == 404 || status == 503, || format!("status {status}")),
        );
    }
    let Ok(parsed) = parse(body) else {
        return broken(44, vec!["200 without a playlist".to_owned()]);
    };
    let covered: Duration = parsed.segments.iter().map(covered).sum();
    let long = parsed.ended || covered >= parsed.target_duration * 3;
    broken(44, unless(long, || format!("live with {covered:?}")))
}

/// Rule 66: what a rendition report names is there.
pub fn rule_66_what_is_reported_is_there(exchange: &Exchange) -> Vec<Violation> {
    let there = exchange.status == 200 && exchange.release == Release::AtOnce;
    broken(
        66,
        unless(there, || {
            format!("{}: {} {:?}", exchange.query, exchange.status, exchange.release)
        }),
    )
}

fn broken(rule: u8, details: Vec<String>) -> Vec<Violation> {
    details
        .into_iter()
        .map(|detail| Violation { rule, detail })
        .collect()
}
