//! `[packager.encryption]`: what an operator can set, and every mistake in it.

mod cpix;
pub(crate) mod guard;
mod keys;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use hls::path::KeyId;
use serde::{Deserialize, Serialize};

use keys::Keys;

/// How media is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Not at all.
    #[default]
    None,
    /// Every part and every segment as a whole.
    #[serde(rename = "aes-128")]
    Aes128,
    /// Samples alone: `cbcs` of ISO/IEC 23001-7.
    SampleAes,
}

/// Encryption of media.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Encryption {
    /// `none`, `aes-128` or `sample-aes`. Default `none`. AV1 cannot be under `sample-aes`.
    pub method: Method,
    /// Segments between two keys of `master_secret` or `cpix`, counted by media sequence number. Default 0: one key.
    pub rotate_segments: u64,
    /// TOML file of `[[keys]]` with `from` (a media sequence number), `kid`, `key` and `iv` (32 hexadecimal digits
    /// each), or `from` and `clear = true`. Segments before the first are clear.
    pub keys: Option<PathBuf>,
    /// At least 32 characters, from which the keys of all streams and periods are derived: packagers that share it
    /// agree.
    pub master_secret: Option<String>,
    /// CPIX 2.3 document whose keys are taken in its order, one for each `rotate_segments`, over and over.
    pub cpix: Option<PathBuf>,
    /// Whether the origin serves keys at `/live/{stream}/key-{kid}`. Default false. Whoever can play can then have them.
    pub serve_keys: bool,
    /// Where players get keys unless they are served: an absolute URI or path, with `{kid}`.
    pub key_uri: Option<String>,
    /// KEYFORMAT of `sample-aes` unless it is `identity`; `org.w3.clearkey` for hls.js with Clear Key.
    pub key_format: Option<String>,
}

impl std::fmt::Debug for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encryption")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// What is done to every stream.
#[derive(Default)]
pub(crate) enum Rule {
    /// Not at all.
    #[default]
    Clear,
    Under(Under),
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rule")
    }
}

pub(crate) struct Under {
    method: hls::playlist::Method,
    keys: Keys,
    uri: Option<String>,
    format: Option<String>,
}

impl Under {
    fn uri(&self, kid: KeyId) -> String {
        match &self.uri {
            Some(template) => template.replace("{kid}", &kid.to_string()),
            None => kid.uri(),
        }
    }
}

impl Encryption {
    /// Every mistake in the section, and in the files it names.
    pub fn mistakes(&self) -> Vec<String> {
        let mistakes = match self.rule() {
            Ok(_) => Vec::new(),
            Err(mistakes) => mistakes,
        };
        let named = mistakes.into_iter();
        named
            .map(|mistake| format!("packager.encryption: {mistake}"))
            .collect()
    }

    pub(crate) fn rule(&self) -> Result<Rule, Vec<String>> {
        let mut mistakes = Vec::new();
        let method = match self.method {
            Method::None => None,
            Method::Aes128 => Some(hls::playlist::Method::Aes128),
            Method::SampleAes => Some(hls::playlist::Method::SampleAes),
        };
        let Some(method) = method else {
            if self.keys.is_some() || self.master_secret.is_some() || self.cpix.is_some() {
                mistakes.push("keys are given, but `method` is none".to_owned());
            }
            return if mistakes.is_empty() {
                Ok(Rule::Clear)
            } else {
                Err(mistakes)
            };
        };
        mistakes.extend(self.delivery(method));
        let keys = self.source();
        match keys {
            Ok(keys) if mistakes.is_empty() => Ok(Rule::Under(Under {
                method,
                keys,
                uri: self.key_uri.clone(),
                format: self.key_format.clone().filter(|format| format != "identity"),
            })),
            Ok(_) => Err(mistakes),
            Err(more) => {
                mistakes.extend(more);
                Err(mistakes)
            }
        }
    }

    fn source(&self) -> Result<Keys, Vec<String>> {
        match (&self.keys, &self.master_secret, &self.cpix) {
            (Some(path), None, None) => {
                if self.rotate_segments > 0 {
                    return Err(vec![
                        "`rotate_segments` does not go with `keys`, which say from where on each applies"
                            .to_owned(),
                    ]);
                }
                keys::listed(path)
            }
            (None, Some(secret), None) => {
                if secret.chars().count() < 32 {
                    return Err(vec!["`master_secret` has fewer than 32 characters".to_owned()]);
                }
                Ok(Keys::derived(secret, self.rotate_segments))
            }
            (None, None, Some(path)) => {
                let keys =
                    cpix::read(path).map_err(|mistake| vec![format!("{}: {mistake}", path.display())])?;
                if keys.len() > 1 && self.rotate_segments == 0 {
                    return Err(vec![format!(
                        "{}: {} keys, but `rotate_segments` is 0",
                        path.display(),
                        keys.len()
                    )]);
                }
                Ok(Keys::cycled(keys, self.rotate_segments))
            }
            _ => Err(vec![
                "exactly one of `keys`, `master_secret` and `cpix` has to be set".to_owned(),
            ]),
        }
    }

    fn delivery(&self, method: hls::playlist::Method) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut want = |good: bool, text: &str| {
            if !good {
                mistakes.push(text.to_owned());
            }
        };
        let quotable = |text: &str| !text.is_empty() && !text.chars().any(|c| c == '"' || c.is_control());
        match &self.key_uri {
            None => want(
                self.serve_keys,
                "nobody could play: neither `key_uri` is set nor `serve_keys`",
            ),
            Some(uri) => {
                want(!self.serve_keys, "`key_uri` and `serve_keys` exclude each other");
                let absolute = uri.starts_with('/') || uri.contains("://");
                want(
                    absolute && uri.contains("{kid}") && quotable(uri),
                    "`key_uri` has to be an absolute URI or path with {kid} in it, without quotation marks",
                );
            }
        }
        if let Some(format) = &self.key_format {
            want(
                quotable(format) && (format == "identity" || method == hls::playlist::Method::SampleAes),
                "`key_format` other than identity goes with method sample-aes alone",
            );
        }
        mistakes
    }
}
