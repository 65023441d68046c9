//! PURE. Interstitials as operators order them (rfc8216bis Appendix D), in the stream's own frames.
//!
//! What was said of an id never changes, it only grows; and what has begun stays. A book knows what was said, so
//! that whoever asks for what cannot be is told at once.

mod book;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use feed::cue::{Cue, DURATION_MAX, Kind, is_id, is_value};
use hls::playlist::{Place, Trigger, Value};
use serde::Deserialize;

pub(crate) use book::Book;

/// CLASS of an interstitial.
const CLASS: &str = "com.apple.hls.interstitial";
/// Seconds ahead of which an interstitial may lie.
const AHEAD_MAX: f64 = 3_600.0;

/// Something else that players show instead of the programme, or of which more is said.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interstitial {
    /// Unique in the stream for ever: letters, digits and `._:-`, at most 128.
    pub id: Option<String>,
    /// Seconds from now to where it begins; 0 to 3600. Default 0.
    pub in_s: Option<f64>,
    /// How long it is, seconds; at most 86400. Playlists list it for as long as any of that is in them.
    pub duration_s: Option<f64>,
    /// URL of its one asset, a playlist that has ended. This or `asset_list` is wanted.
    pub asset_uri: Option<String>,
    /// URL of its list of assets (JSON); absolute, or a path on the players' host.
    pub asset_list: Option<String>,
    /// Seconds of the programme behind its begin at which that goes on; default: what has been played in its place.
    pub resume_offset_s: Option<f64>,
    /// Seconds of it that are played at most.
    pub playout_limit_s: Option<f64>,
    /// Where to cut at a segment's begin.
    pub snap: Option<BTreeSet<Snap>>,
    /// What viewers may not do.
    pub restrict: Option<BTreeSet<Restrict>>,
    /// When it is shown instead of where it begins.
    pub cue: Option<BTreeSet<When>>,
    /// Whether viewers may get different assets.
    pub content_may_vary: Option<bool>,
    /// What it takes of the timeline that viewers see.
    pub timeline_occupies: Option<Occupies>,
    /// How that timeline shows it.
    pub timeline_style: Option<Style>,
}

/// Which cut is at a segment's begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Snap {
    /// The one out of the programme.
    Out,
    /// The one back into it.
    In,
}

/// What viewers may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Restrict {
    /// Leave it before its end.
    Skip,
    /// Go past it without having seen it.
    Jump,
}

/// When it is shown instead of where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Before playback begins.
    Pre,
    /// When playback has reached the programme's end.
    Post,
    /// Never again for the same viewer.
    Once,
}

/// What it takes of the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Occupies {
    /// A point of it.
    Point,
    /// As much as it lasts.
    Range,
}

/// How the timeline shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// As something else than the programme.
    Highlight,
    /// As if it were of the programme.
    Primary,
}

/// A field that is not what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrong {
    /// Its name.
    pub field: &'static str,
    /// What it may be.
    pub why: &'static str,
}

/// Why an order about an interstitial is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such stream.
    #[error("no such stream runs here")]
    Stream,
    /// Fields are not what they may be.
    #[error("{} of the fields cannot be taken", .0.len())]
    Fields(Vec<Wrong>),
    /// An id is used once.
    #[error("an interstitial of this id was ordered before")]
    Known,
    /// Nothing of this id was ordered, or so long ago that it is forgotten.
    #[error("no interstitial of this id is known")]
    Unknown,
    /// It was cancelled.
    #[error("the interstitial was cancelled")]
    Cancelled,
    /// Players may be in it.
    #[error("the interstitial has begun")]
    Begun,
    /// Nobody sees it any more.
    #[error("the interstitial is over")]
    Over,
    /// What was said never changes.
    #[error("another {0} was said before, and stays")]
    Said(String),
    /// The stream has not taken the orders before, or as many interstitials as can be known are still to come.
    #[error("too many interstitials at once")]
    Full,
}

impl Interstitial {
    /// The cue of a new one that begins `ahead` frames after `now`, where a duration is so many `frames`.
    fn cue(&self, now: u64, frames: impl Fn(Duration) -> u64) -> Result<Cue, Vec<Wrong>> {
        let mut wrong = Vec::new();
        let mut no = |field, why| wrong.push(Wrong { field, why });
        let id = self.id.clone().unwrap_or_default();
        if !is_id(&id) {
            no("id", "wanted: 1 to 128 letters, digits and ._:-");
        }
        let ahead = duration(self.in_s.unwrap_or_default(), AHEAD_MAX);
        if ahead.is_none() {
            no("in_s", "0 to 3600");
        }
        let lasts = self
            .duration_s
            .and_then(|s| duration(s, DURATION_MAX.as_secs_f64()));
        if lasts.is_none() {
            no("duration_s", "wanted: 0 to 86400");
        }
        match (&self.asset_uri, &self.asset_list) {
            (Some(uri), None) if !is_url(uri) => {
                no("asset_uri", "an http or https URL of at most 1024 bytes")
            }
            (None, Some(list)) if !is_url(list) && !is_path(list) => {
                no(
                    "asset_list",
                    "an http or https URL, or a path, of at most 1024 bytes",
                );
            }
            (Some(_), Some(_)) => no("asset_list", "not beside asset_uri"),
            (None, None) => no("asset_uri", "wanted, or asset_list"),
            (Some(_), None) | (None, Some(_)) => {}
        }
        let triggers = self.cue.iter().flatten();
        let (pre, post) = (self.says(When::Pre), self.says(When::Post));
        if pre && post {
            no("cue", "pre or post, not both");
        }
        let place = if pre {
            Some(Place::Before)
        } else {
            post.then_some(Place::After)
        };
        let trigger = (triggers.count() > 0).then_some(Trigger {
            place,
            once: self.says(When::Once),
        });
        self.numbers(&mut no);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let text = |name: &str, uri: &Option<String>| Some((name.to_owned(), Value::Text(uri.clone()?)));
        let assets = text("ASSET-URI", &self.asset_uri).or_else(|| text("ASSET-LIST", &self.asset_list));
        Ok(Cue {
            id,
            class: Some(CLASS.to_owned()),
            frame: now.saturating_add(frames(ahead.unwrap_or_default())),
            kind: Kind::Plain,
            duration: lasts,
            section: Bytes::new(),
            trigger,
            attributes: assets.into_iter().chain(self.attributes()).collect(),
        })
    }

    /// The cue that says more of the one with this id.
    fn more(&self, id: &str) -> Result<Cue, Vec<Wrong>> {
        let stays = [
            ("id", self.id.is_some()),
            ("in_s", self.in_s.is_some()),
            ("duration_s", self.duration_s.is_some()),
            ("asset_uri", self.asset_uri.is_some()),
            ("asset_list", self.asset_list.is_some()),
            ("cue", self.cue.is_some()),
        ];
        let why = "never changes";
        let stays = stays.into_iter().filter(|(_, is_said)| *is_said);
        let mut wrong: Vec<Wrong> = stays.map(|(field, _)| Wrong { field, why }).collect();
        self.numbers(&mut |field, why| wrong.push(Wrong { field, why }));
        match wrong.is_empty() {
            true => Ok(Cue {
                attributes: self.attributes(),
                ..bare(id, Kind::More)
            }),
            false => Err(wrong),
        }
    }

    fn says(&self, word: When) -> bool {
        self.cue.as_ref().is_some_and(|words| words.contains(&word))
    }

    fn numbers(&self, no: &mut impl FnMut(&'static str, &'static str)) {
        let most = DURATION_MAX.as_secs_f64();
        if self.resume_offset_s.is_some_and(|s| !(-most..=most).contains(&s)) {
            no("resume_offset_s", "-86400 to 86400");
        }
        if self.playout_limit_s.is_some_and(|s| !(0.0..=most).contains(&s)) {
            no("playout_limit_s", "0 to 86400");
        }
    }

    /// Those that may be added later, too; as rfc8216bis Appendix D.2 writes them.
    fn attributes(&self) -> Vec<(String, Value)> {
        let number = |s: Option<f64>| s.map(|s| Value::Number(thousandths(s)));
        let text = |text: Option<&str>| text.map(|text| Value::Text(text.to_owned()));
        let snap = list(&self.snap, |snap| match snap {
            Snap::Out => "OUT",
            Snap::In => "IN",
        });
        let restrict = list(&self.restrict, |restrict| match restrict {
            Restrict::Skip => "SKIP",
            Restrict::Jump => "JUMP",
        });
        let vary = self.content_may_vary.map(|vary| if vary { "YES" } else { "NO" });
        let occupies = self.timeline_occupies.map(|occupies| match occupies {
            Occupies::Point => "POINT",
            Occupies::Range => "RANGE",
        });
        let style = self.timeline_style.map(|style| match style {
            Style::Highlight => "HIGHLIGHT",
            Style::Primary => "PRIMARY",
        });
        let all = [
            ("RESUME-OFFSET", number(self.resume_offset_s)),
            ("PLAYOUT-LIMIT", number(self.playout_limit_s)),
            ("SNAP", snap),
            ("RESTRICT", restrict),
            ("CONTENT-MAY-VARY", text(vary)),
            ("TIMELINE-OCCUPIES", text(occupies)),
            ("TIMELINE-STYLE", text(style)),
        ];
        let said = all
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        said.collect()
    }
}

/// A cue that only names what it is about.
fn bare(id: &str, kind: Kind) -> Cue {
    Cue {
        id: id.to_owned(),
        class: None,
        frame: 0,
        kind,
        duration: None,
        section: Bytes::new(),
        trigger: None,
        attributes: Vec::new(),
    }
}

/// An enumerated-string-list; none of no words.
fn list<T>(words: &Option<BTreeSet<T>>, name: fn(&T) -> &'static str) -> Option<Value> {
    let words: Vec<&str> = words.iter().flatten().map(name).collect();
    (!words.is_empty()).then(|| Value::Text(words.join(",")))
}

fn duration(s: f64, most: f64) -> Option<Duration> {
    (0.0..=most).contains(&s).then(|| Duration::from_secs_f64(s))
}

#[expect(clippy::cast_possible_truncation, reason = "of at most a day")]
fn thousandths(s: f64) -> i64 {
    (s * 1_000.0).round() as i64
}

/// rfc8216bis Appendix D.2: absolute.
fn is_url(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.starts_with('/')) && is_uri(text)
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.starts_with("//") && is_uri(text)
}

fn is_uri(text: &str) -> bool {
    is_value(text) && !text.contains(char::is_whitespace)
}
