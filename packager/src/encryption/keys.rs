//! PURE but for the reading of a file: which key applies to which segment.

use std::collections::BTreeMap;
use std::path::Path;

use cmaf::protect::{BLOCK, Key};
use hls::id::{Msn, StreamId};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

/// The keys of all streams.
pub(crate) enum Keys {
    /// By the first segment of each; none is clear.
    Listed(BTreeMap<u64, Option<Key>>),
    Derived {
        secret: Vec<u8>,
        rotate: u64,
    },
    /// One after the other, over and over.
    Cycled {
        keys: Vec<Key>,
        rotate: u64,
    },
}

/// Segments that have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Period(pub(crate) u64);

impl Keys {
    pub(crate) fn derived(secret: &str, rotate: u64) -> Self {
        Self::Derived {
            secret: secret.as_bytes().to_vec(),
            rotate,
        }
    }

    pub(crate) fn cycled(keys: Vec<Key>, rotate: u64) -> Self {
        Self::Cycled { keys, rotate }
    }

    /// Periods are in the order of their segments.
    pub(crate) fn period(&self, msn: Msn) -> Period {
        Period(match self {
            // The number of the first segment; those before all are of a period of their own.
            Self::Listed(list) => list.range(..=msn.0).next_back().map_or(0, |(from, _)| *from),
            Self::Derived { rotate, .. } | Self::Cycled { rotate, .. } => {
                msn.0.checked_div(*rotate).unwrap_or(0)
            }
        })
    }

    /// None where segments of the period are clear.
    pub(crate) fn key(&self, stream: &StreamId, period: Period) -> Option<Key> {
        match self {
            Self::Listed(list) => list.get(&period.0).cloned().flatten(),
            Self::Derived { secret, .. } => Some(derive(secret, stream, period)),
            Self::Cycled { keys, .. } => {
                let count = u64::try_from(keys.len()).ok()?;
                let index = period.0.checked_rem(count)?;
                keys.get(usize::try_from(index).ok()?).cloned()
            }
        }
    }
}

/// HMAC-SHA-256 (RFC 2104) under the secret, of a label, the stream and the period: whoever has one key learns nothing
/// of another.
fn derive(secret: &[u8], stream: &StreamId, period: Period) -> Key {
    let of = |label: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
        for field in [b"ringside key 1".as_slice(), label, stream.to_string().as_bytes()] {
            mac.update(field);
            mac.update(&[0]);
        }
        mac.update(&period.0.to_be_bytes());
        let digest = mac.finalize().into_bytes();
        *digest.first_chunk::<BLOCK>().expect("SHA-256 has 32 bytes")
    };
    Key {
        kid: of(b"kid"),
        key: of(b"key"),
        iv: of(b"iv"),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    keys: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    from: u64,
    kid: Option<String>,
    key: Option<String>,
    iv: Option<String>,
    #[serde(default)]
    clear: bool,
}

/// The keys that a file lists.
pub(crate) fn listed(path: &Path) -> Result<Keys, Vec<String>> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| vec![format!("{name}: {error}")])?;
    let file: File = toml::from_str(&text).map_err(|error| {
        // The error's own text would show the line, and with it a key.
        let at = error.span().map_or(0, |span| span.start);
        let line = text.get(..at).map_or(0, |before| before.lines().count().max(1));
        vec![format!("{name}:{line}: {}", error.message())]
    })?;
    let (mut list, mut mistakes) = (BTreeMap::new(), Vec::new());
    for entry in file.keys {
        let from = entry.from;
        match entry.read() {
            Ok(key) => {
                if list.insert(from, key).is_some() {
                    mistakes.push(format!("{name}: two keys from {from}"));
                }
            }
            Err(mistake) => mistakes.push(format!("{name}: the key from {from} {mistake}")),
        }
    }
    if !list.values().any(Option::is_some) && mistakes.is_empty() {
        mistakes.push(format!("{name}: no key"));
    }
    let clashes = clashes(list.values().flatten()).into_iter();
    mistakes.extend(clashes.map(|kid| format!("{name}: two keys of kid {kid}")));
    if mistakes.is_empty() {
        Ok(Keys::Listed(list))
    } else {
        Err(mistakes)
    }
}

/// Ids that more than one secret has: a player would decrypt with the wrong one.
pub(crate) fn clashes<'a>(keys: impl Iterator<Item = &'a Key>) -> Vec<hls::path::KeyId> {
    let (mut known, mut out) = (BTreeMap::new(), Vec::new());
    for key in keys {
        if *known.entry(key.kid).or_insert(key.key) != key.key {
            out.push(hls::path::KeyId(key.kid));
        }
    }
    out
}

impl Entry {
    fn read(&self) -> Result<Option<Key>, String> {
        let all = [&self.kid, &self.key, &self.iv];
        if self.clear {
            let alone = all.iter().all(|field| field.is_none());
            return if alone {
                Ok(None)
            } else {
                Err("is clear, and yet a key".to_owned())
            };
        }
        let read = |field: &Option<String>, name: &str| {
            let text = field.as_deref().ok_or(format!("has no `{name}`"))?;
            let exact = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
            let number = if exact {
                u128::from_str_radix(text, 16).ok()
            } else {
                None
            };
            let number = number.ok_or(format!("has a `{name}` that is not 32 hexadecimal digits"))?;
            Ok::<_, String>(number.to_be_bytes())
        };
        Ok(Some(Key {
            kid: read(&self.kid, "kid")?,
            key: read(&self.key, "key")?,
            iv: read(&self.iv, "iv")?,
        }))
    }
}
