//! `[[packager.subtitles]]`: which tracks there are.

use hls::id::{StreamId, TrackId};
use hls::playlist::Subtitles;
use serde::{Deserialize, Serialize};

/// Most tracks in all.
pub const TRACKS_MAX: usize = 64;
/// What the ids of subtitle tracks begin with.
const PREFIX: &str = "subs-";
/// Longest label, bytes.
const LABEL_BYTES_MAX: usize = 128;

/// A subtitle track.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Track {
    /// Its name where cues are sent to; its playlist is `/live/{stream}/subs-{name}/media.m3u8`.
    pub name: String,
    /// BCP 47 tag. Default: none is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What players list it as. Default: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether it is shown to those who have not chosen. Default false.
    #[serde(default)]
    pub default: bool,
    /// Whether it has only what everybody needs, and is shown to those who want no subtitles, too. Default false.
    #[serde(default)]
    pub forced: bool,
    /// The stream that has it. Default: every stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamId>,
}

impl Track {
    pub(crate) fn is_of(&self, stream: &StreamId) -> bool {
        self.stream.as_ref().is_none_or(|own| own == stream)
    }

    fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }

    fn id(&self) -> Option<TrackId> {
        TrackId::new(&format!("{PREFIX}{}", self.name)).ok()
    }

    pub(crate) fn rendition(&self) -> Subtitles {
        Subtitles {
            track: self.id().expect("a config with mistakes is not served"),
            name: self.label().to_owned(),
            language: self.language.clone(),
            default: self.default,
            forced: self.forced,
        }
    }

    /// Whether some stream could have both.
    fn meets(&self, other: &Self) -> bool {
        let (one, two) = (&self.stream, &other.stream);
        one.is_none() || two.is_none() || one == two
    }
}

/// Every mistake in the list.
pub fn mistakes(tracks: &[Track]) -> Vec<String> {
    let mut mistakes = Vec::new();
    if tracks.len() > TRACKS_MAX {
        mistakes.push(format!("packager.subtitles may have {TRACKS_MAX} tracks at most"));
    }
    for (place, track) in tracks.iter().enumerate() {
        let mut want = |good: bool, text: &str| {
            if !good {
                mistakes.push(format!("packager.subtitles: track `{}`: {text}", track.name));
            }
        };
        want(
            track.id().is_some(),
            "`name` must be letters a-z, digits, `_` and `-`, at most 59",
        );
        want(
            track.language.as_deref().is_none_or(is_language),
            "`language` must be a BCP 47 tag",
        );
        let label = track.label();
        // rfc8216bis §4.2: what a quoted string may not have.
        let good = !label.contains(['"', '\n', '\r']) && !label.chars().any(char::is_control);
        want(
            good && (1..=LABEL_BYTES_MAX).contains(&label.len()),
            "`label` must be 1 to 128 bytes, without quotes and control characters",
        );
        let before = tracks.get(..place).unwrap_or_default();
        let others = || before.iter().filter(|other| other.meets(track));
        want(
            others().all(|other| other.name != track.name),
            "another track of the stream has its name",
        );
        // rfc8216bis §4.4.6.1.1
        want(
            others().all(|other| other.name == track.name || other.label() != label),
            "another track of the stream has its label",
        );
        want(
            !track.default || others().all(|other| !other.default),
            "another track of the stream is the default",
        );
    }
    mistakes
}

fn is_language(text: &str) -> bool {
    let mut words = text.split('-');
    let first = words.next().unwrap_or_default();
    let good = |word: &str| (1..=8).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_alphanumeric());
    let primary = (2..=8).contains(&first.len()) && first.bytes().all(|b| b.is_ascii_alphabetic());
    primary && text.len() <= 64 && words.all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(name: &str) -> Track {
        Track {
            name: name.to_owned(),
            language: None,
            label: None,
            default: false,
            forced: false,
            stream: None,
        }
    }

    #[test]
    fn every_mistake_is_said() {
        let of = |tracks: &[Track]| mistakes(tracks).len();
        let on = |stream: &str, track: Track| Track {
            stream: Some(StreamId::new(stream).unwrap()),
            ..track
        };
        let default = |track: Track| Track {
            default: true,
            ..track
        };
        let labelled = |label: &str, track: Track| Track {
            label: Some(label.to_owned()),
            ..track
        };
        assert_eq!(of(&[track("en"), track("de"), track(&"x".repeat(59))]), 0);
        for bad in ["", "EN", "a b", "\u{e9}", &"x".repeat(60)] {
            assert!(of(&[track(bad)]) > 0, "{bad}");
        }
        assert_eq!(of(&[track("en"), track("en")]), 1);
        assert_eq!(of(&[on("a", track("en")), on("b", track("en"))]), 0);
        assert_eq!(of(&[on("a", track("en")), track("en")]), 1);
        assert_eq!(of(&[default(track("en")), default(track("de"))]), 1);
        assert_eq!(
            of(&[labelled("English", track("en")), labelled("English", track("uk"))]),
            1
        );
        for bad in ["", "a\"b", "a\nb", &"a".repeat(129)] {
            assert_eq!(of(&[labelled(bad, track("en"))]), 1, "{bad}");
        }
        let language = |text: &str| {
            of(&[Track {
                language: Some(text.to_owned()),
                ..track("x")
            }])
        };
        assert_eq!(["en", "pt-BR", "zh-Hant-TW", "sgn-us"].map(language), [0; 4]);
        assert_eq!(
            ["", "e", "en_US", "en-", "12", "en\"", "-en"].map(language),
            [1; 7]
        );
        let many: Vec<_> = (0..=TRACKS_MAX).map(|n| track(&n.to_string())).collect();
        assert_eq!(of(&many), 1);
    }
}
