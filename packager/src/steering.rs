//! Content steering: an operator's own server tells players which host to ask.

use hls::playlist::Steering;
use serde::{Deserialize, Serialize};

/// Longest SERVER-URI, bytes.
const URI_BYTES_MAX: usize = 1_024;
/// Longest name of a pathway, bytes.
const PATHWAY_BYTES_MAX: usize = 64;

/// `[packager.steering]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Section {
    /// Where players ask for the steering manifest: an http or https URL, or a path on the host they ask. Default: none,
    /// and nothing is announced.
    pub server_uri: Option<String>,
    /// What that manifest calls the hosts that viewers start at. Default `main`; letters, digits, `.`, `-` and `_`.
    pub pathway: String,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            server_uri: None,
            pathway: "main".to_owned(),
        }
    }
}

impl Section {
    /// What playlists say of it; none where there is no server.
    pub(crate) fn steering(&self) -> Option<Steering> {
        Some(Steering {
            server: self.server_uri.clone()?,
            pathway: self.pathway.clone(),
        })
    }

    /// Every mistake in the section.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if !self.server_uri.as_deref().is_none_or(is_uri) {
            let text =
                "packager.steering.server_uri must be an http or https URL, or a path, of at most 1024 bytes";
            mistakes.push(text.to_owned());
        }
        // rfc8216bis §4.4.6.2: what a PATHWAY-ID may consist of.
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let pathway = self.pathway.as_bytes();
        if !(1..=PATHWAY_BYTES_MAX).contains(&pathway.len()) || !pathway.iter().copied().all(good) {
            mistakes.push(
                "packager.steering.pathway must be 1 to 64 letters, digits, `.`, `-` and `_`".to_owned(),
            );
        }
        mistakes
    }
}

fn is_uri(text: &str) -> bool {
    let begins = ["https://", "http://"].iter().any(|scheme| {
        let host = text.strip_prefix(scheme);
        host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
    });
    let is_path = text.starts_with('/') && !text.starts_with("//");
    let bad = |c: char| c.is_control() || c.is_whitespace() || c == '"';
    (begins || is_path) && text.len() <= URI_BYTES_MAX && !text.chars().any(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_said() {
        let of = |uri: &str, pathway: &str| {
            let section = Section {
                server_uri: Some(uri.to_owned()),
                pathway: pathway.to_owned(),
            };
            section.mistakes().len()
        };
        assert_eq!(Section::default().mistakes().len(), 0);
        assert!(Section::default().steering().is_none(), "off by default");
        for good in ["https://steer.example/a?b=c", "http://[::1]:80/", "/steer.json"] {
            assert_eq!(of(good, "cdn-a.1_B"), 0, "{good}");
        }
        let long = format!("/{}", "a".repeat(URI_BYTES_MAX));
        for bad in [
            "",
            "steer.json",
            "//host/a",
            "https:///a",
            "ftp://a",
            "/a\"b",
            "/a b",
            "/a\nb",
            &long,
        ] {
            assert_eq!(of(bad, "main"), 1, "{bad}");
        }
        for bad in ["", "a b", "a\"", "\u{e9}", &"a".repeat(65)] {
            assert_eq!(of("/steer", bad), 1, "{bad}");
        }
    }
}
