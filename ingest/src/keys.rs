//! Stream keys: who may publish what.

use hls::id::StreamId;
use sha2::{Digest, Sha256};
use srt::Passphrase;
use subtle::ConstantTimeEq;

use crate::desk::Role;

/// The keys of this ingest, held hashed.
#[derive(Clone, Default)]
pub struct Keys(Vec<([u8; 32], Grant)>);

/// What a key opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The stream.
    pub stream: StreamId,
    /// As which of its two encoders.
    pub role: Role,
    /// Under policy `priority`, higher is preferred.
    pub priority: u8,
    /// Over SRT, what its encoder must encrypt with; none leaves it to the config.
    pub passphrase: Option<Passphrase>,
}

impl Keys {
    /// Each key with the stream it publishes to, as primary.
    pub fn new(keys: Vec<(String, StreamId)>) -> Self {
        let grant = |stream| Grant {
            stream,
            role: Role::Primary,
            priority: 0,
            passphrase: None,
        };
        Self(
            keys.into_iter()
                .map(|(key, stream)| (hash(&key), grant(stream)))
                .collect(),
        )
    }

    /// What a key opens; takes the same time whichever key it is.
    pub(crate) fn grant(&self, key: &str) -> Option<Grant> {
        let claimed = hash(key);
        let mut found = None;
        for (known, grant) in &self.0 {
            if known.ct_eq(&claimed).into() {
                found = Some(grant);
            }
        }
        found.cloned()
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_its_own_stream_only() {
        let id = |name| StreamId::new(name).unwrap();
        let keys = Keys::new(vec![
            ("a-secret".into(), id("main")),
            ("b-secret".into(), id("side")),
        ]);
        let stream = |key| keys.grant(key).map(|grant| grant.stream);
        assert_eq!(stream("a-secret"), Some(id("main")));
        assert_eq!(stream("b-secret"), Some(id("side")));
        for wrong in ["", "a-secre", "a-secret ", "main"] {
            assert_eq!(stream(wrong), None, "{wrong}");
        }
        assert!(!format!("{keys:?}").contains("secret"));
    }
}
