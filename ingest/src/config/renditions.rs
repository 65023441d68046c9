//! Sections `ladder.audio` and `ladder.captions`: what is listed beside the rungs.

use hls::id::TrackId;
use serde::{Deserialize, Serialize};

/// One audio rendition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audio {
    /// Track id in URLs, for example "audio" or "comments".
    pub name: TrackId,
    /// RFC 5646 tag, for example "en" or "pt-BR"; absent = not stated.
    #[serde(default)]
    pub language: Option<String>,
    /// What players list it as; absent = its name. At most 100 characters.
    #[serde(default)]
    pub title: Option<String>,
}

impl Audio {
    pub(super) fn validate(&self, at: usize) -> Vec<String> {
        let section = format!("ladder.audio[{at}]");
        wrong_words(&section, self.language.as_deref(), self.title.as_deref())
    }
}

/// One channel of captions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Captions {
    /// "CC1" to "CC4" or "SERVICE1" to "SERVICE63".
    pub channel: String,
    /// RFC 5646 tag, for example "en"; absent = not stated.
    #[serde(default)]
    pub language: Option<String>,
    /// What players list it as; absent = its channel. At most 100 characters.
    #[serde(default)]
    pub title: Option<String>,
}

pub(super) fn wrong_words(section: &str, language: Option<&str>, title: Option<&str>) -> Vec<String> {
    let mut wrong = Vec::new();
    let subtag =
        |part: &str| (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric());
    let is_tag = |tag: &&str| tag.len() <= 35 && tag.split('-').all(subtag);
    if language.is_some_and(|tag| !is_tag(&tag)) {
        wrong.push(format!("{section}.language: a tag such as `en` or `pt-BR`"));
    }
    let bad = |title: &str| title.chars().count() > 100 || title.chars().any(|c| c.is_control() || c == '"');
    if title.is_some_and(bad) {
        wrong.push(format!("{section}.title: at most 100 characters, no quotes"));
    }
    wrong
}
