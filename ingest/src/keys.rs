//! Stream keys: who may publish what.

use hls::id::StreamId;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The keys of this ingest, held hashed.
#[derive(Clone, Default)]
pub struct Keys(Vec<([u8; 32], StreamId)>);

impl Keys {
    /// Each key with the stream it publishes to.
    pub fn new(keys: Vec<(String, StreamId)>) -> Self {
        Self(
            keys.into_iter()
                .map(|(key, stream)| (hash(&key), stream))
                .collect(),
        )
    }

    /// The stream of a key; takes the same time whichever key it is.
    pub(crate) fn stream(&self, key: &str) -> Option<&StreamId> {
        let claimed = hash(key);
        let mut found = None;
        for (known, stream) in &self.0 {
            if known.ct_eq(&claimed).into() {
                found = Some(stream);
            }
        }
        found
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
        assert_eq!(keys.stream("a-secret"), Some(&id("main")));
        assert_eq!(keys.stream("b-secret"), Some(&id("side")));
        for wrong in ["", "a-secre", "a-secret ", "main"] {
            assert_eq!(keys.stream(wrong), None, "{wrong}");
        }
        assert!(!format!("{keys:?}").contains("secret"));
    }
}
