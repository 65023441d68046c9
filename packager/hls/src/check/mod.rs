//! What a conformant origin's playlists and answers look like, rule by rule, for tests and drills alike.
//!
//! # Code map
//! | module | question it answers |
//! |---|---|
//! | `parts` | are parts and segments what they should be (rules 1 to 12, 19) |
//! | `control` | does EXT-X-SERVER-CONTROL hold (21 to 28) |
//! | `hints` | are preload hints right (54 to 57, 61) |
//! | `siblings` | do a stream's playlists agree (26, 27, 62 to 68, 70, 79) |
//! | `clock` | dates, discontinuities, gaps and the window (69 to 77) |
//! | `dates` | are date ranges well formed, kept, and the same everywhere (80 to 82) |
//! | [`delta`] | does a delta update leave out what it may (46 to 53) |
//! | `features` | versions, variables, encryption, I-frames, interstitials, splices (20, 52, 83 to 93) |
//! | [`delivery`] | do headers say what caches and pages need (95 to 104, 107) |
//! | `multivariant` | are a stream's renditions told apart and announced (85, 86, 88, 100, 110 to 113) |
//! | `successive` | may one playlist follow the other (9, 10, 55, 73 to 75, 94) |
//! | [`cadence`] | do new parts and segments come in time (14, 15) |
//! | [`answer`] | is a playlist request answered as it should be (30 to 44, 66) |
//! | [`fetch`] | is a part or segment given when it should be (13, 16, 58 to 60, 78) |
//!
//! # Invariants
//! - A checker shares no code with what it judges, except the parser: it would share its mistakes.
//! - One function for each rule, named after it.

pub mod answer;
pub mod cadence;
mod clock;
mod control;
mod date;
mod dates;
pub mod delivery;
pub mod delta;
mod features;
pub mod fetch;
mod hints;
mod multivariant;
mod parts;
mod siblings;
mod successive;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use features::features;

use crate::id::Msn;
use crate::playlist::{Parsed, parse};

/// A rule broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Number of the rule; 0 for a text that is no media playlist at all.
    pub rule: u8,
    /// Where, and what stands there.
    pub detail: String,
}

/// One media playlist of a stream, to be compared with the others.
#[derive(Debug, Clone, Copy)]
pub struct Sibling<'a> {
    /// Its URI relative to the multivariant playlist.
    pub uri: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// How far durations may be off: a frame at 24 fps, which no AAC frame from 32 kHz on exceeds.
pub const FRAME: Duration = Duration::from_millis(42);

/// A playlist, as text and as what it says.
struct Said {
    text: String,
    parsed: Parsed,
}

/// A rule about `T`: its number, and what breaks it.
type Rule<T> = (u8, fn(&T) -> Vec<String>);

/// Rules whose breach may keep a text from being read at all.
const TEXT_RULES: &[Rule<str>] = &[
    (4, parts::rule_04_parts_have_uri_and_duration),
    (9, parts::rule_09_the_target_duration_is_a_whole_number),
    (61, hints::rule_61_no_byte_ranges),
    (63, siblings::rule_63_reports_name_a_place),
];

impl Said {
    fn read(text: &str) -> Result<Self, Vec<Violation>> {
        match parse(text) {
            Ok(parsed) => Ok(Self {
                text: text.to_owned(),
                parsed,
            }),
            Err(error) => {
                let broken = all(&[TEXT_RULES], text);
                Err(if broken.is_empty() {
                    vec![Violation {
                        rule: 0,
                        detail: error.to_string(),
                    }]
                } else {
                    broken
                })
            }
        }
    }

    /// Attribute lists of a tag, in order.
    fn tags(&self, name: &'static str) -> impl Iterator<Item = &str> {
        tags(&self.text, name)
    }
}

/// Every rule that one playlist's text can break.
pub fn playlist(text: &str) -> Vec<Violation> {
    match Said::read(text) {
        Ok(said) => {
            let mut broken = all(&[TEXT_RULES], text);
            broken.extend(features(text));
            broken.extend(all(
                &[
                    parts::RULES,
                    control::RULES,
                    hints::RULES,
                    clock::RULES,
                    dates::RULES,
                ],
                &said,
            ));
            broken
        }
        Err(broken) => broken,
    }
}

/// Every rule that a multivariant playlist's text can break.
pub fn multivariant(text: &str) -> Vec<Violation> {
    if !text.starts_with("#EXTM3U\n") || tags(text, "#EXT-X-STREAM-INF").next().is_none() {
        return vec![Violation {
            rule: 0,
            detail: "not a multivariant playlist".to_owned(),
        }];
    }
    all(&[multivariant::RULES], text)
}

/// Every rule about a stream's media playlists among themselves, all taken at the same moment.
pub fn siblings(playlists: &[Sibling<'_>]) -> Vec<Violation> {
    let mut tracks = Vec::with_capacity(playlists.len());
    for Sibling { uri, text } in playlists {
        match Said::read(text) {
            Ok(said) => tracks.push(siblings::Track {
                uri: (*uri).to_owned(),
                said,
            }),
            Err(broken) => return broken,
        }
    }
    all(&[siblings::RULES, dates::SIBLINGS], &siblings::Tracks(tracks))
}

/// Every rule about what a playlist may become between two reloads.
pub fn successive(previous: &str, next: &str) -> Vec<Violation> {
    match (Said::read(previous), Said::read(next)) {
        (Ok(previous), Ok(next)) => {
            let pair = successive::Pair {
                previous: previous.parsed,
                next: next.parsed,
            };
            all(&[successive::RULES, dates::SUCCESSIVE], &pair)
        }
        (Err(broken), _) | (_, Err(broken)) => broken,
    }
}

fn all<T: ?Sized>(groups: &[&[Rule<T>]], about: &T) -> Vec<Violation> {
    let mut out = Vec::new();
    for (rule, check) in groups.iter().copied().flatten() {
        violations(&mut out, *rule, check(about));
    }
    out
}

fn violations(out: &mut Vec<Violation>, rule: u8, details: Vec<String>) {
    out.extend(details.into_iter().map(|detail| Violation { rule, detail }));
}

/// The one detail of a rule that is broken once at most.
fn unless(holds: bool, detail: impl FnOnce() -> String) -> Vec<String> {
    if holds { Vec::new() } else { vec![detail()] }
}

fn tags<'a>(text: &'a str, name: &'static str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter_map(move |line| line.strip_prefix(name)?.strip_prefix(':'))
}

/// Segments with their numbers.
fn numbered(parsed: &Parsed) -> impl Iterator<Item = (Msn, &crate::playlist::ParsedSegment)> {
    (parsed.media_sequence.0..).map(Msn).zip(&parsed.segments)
}

/// What a segment covers: EXTINF, or while it is open the parts listed so far.
fn covered(segment: &crate::playlist::ParsedSegment) -> Duration {
    match segment.uri {
        Some(_) => segment.duration,
        None => segment.parts.iter().map(|part| part.duration).sum(),
    }
}
