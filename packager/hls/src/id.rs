//! Names and indexes: what is what, so that two numbers cannot swap.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest stream or track id, bytes.
pub const ID_BYTES_MAX: usize = 64;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: `{0}` (want [a-z0-9][a-z0-9_-]{{0,63}})")]
pub struct IdError(String);

fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    let word = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    bytes.len() <= ID_BYTES_MAX
        && bytes.first().is_some_and(word)
        && bytes.iter().all(|b| word(b) || *b == b'_' || *b == b'-')
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the grammar `[a-z0-9][a-z0-9_-]{0,63}`.
            pub fn new(text: &str) -> Result<Self, IdError> {
                if is_id(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(IdError(text.chars().take(ID_BYTES_MAX).collect()))
                }
            }

            /// The id as written in URLs.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

id! {
    /// The public name of one live event. It is not the stream key, which is a secret.
    StreamId
}
id! {
    /// One media playlist of a stream: a video rung or an audio rendition.
    TrackId
}
id! {
    /// A clip of a stream.
    ClipId
}

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub u64);

        impl $name {
            /// The one after this.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

index! {
    /// Number of a cell of the grid since the program epoch; also the number in a part's URL.
    Cell
}
index! {
    /// Media sequence number of a segment.
    Msn
}
index! {
    /// Position of a part inside its segment, as `_HLS_part` and `LAST-PART` count it.
    PartIndex
}
index! {
    /// Life of one ladder: its first cell. A feed with a lower epoch than the one known is refused.
    Epoch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_the_grammar() {
        for good in ["main", "0", "a-b_c", &"x".repeat(64)] {
            assert!(StreamId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "_a", "Main", "a/b", "a.b", "ä", "a b", &"x".repeat(65)] {
            assert!(StreamId::new(bad).is_err(), "{bad}");
        }
    }
}
