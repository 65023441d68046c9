//! Playback tokens: Common Access Tokens (CTA-5007) as CWT (RFC 8392) in COSE_Mac0 or COSE_Sign1 (RFC 9052), base64url.
//!
//! A token names its key; [`Keys`] holds the keys in force. Who has verified a token may keep the [`Claims`] for as long as
//! [`Keys`] stay the same, and asks them [`Claims::check`] for each request.

mod claims;
mod keys;
mod network;
mod seal;
#[cfg(test)]
mod tests;

pub use claims::{Asked, Claims, Matches, Policy};
pub use keys::{Algorithm, Entry, File, KEYS_MAX, KeyError, Keys, Signer};
pub use network::Network;

/// Seconds since 1970.
pub type Unix = u64;

/// Longest token, characters.
pub const TOKEN_BYTES_MAX: usize = 1_024;

/// Why a token does not let its viewer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refusal {
    /// There is none.
    #[error("this stream needs a playback token")]
    Missing,
    /// It is not a Common Access Token.
    #[error("the playback token cannot be read")]
    Malformed,
    /// Its key is not known here, or it names none.
    #[error("the playback token's key is not known")]
    UnknownKey,
    /// Its key was taken back.
    #[error("the playback token was revoked")]
    Revoked,
    /// It is not signed by its key.
    #[error("the playback token's signature is wrong")]
    Signature,
    /// It restricts itself in a way that cannot be checked here.
    #[error("the playback token asks for a check that is not made here")]
    Unsupported,
    /// It is for somebody else's service.
    #[error("the playback token is for another audience")]
    Audience,
    /// It is for something else.
    #[error("the playback token is not for this stream")]
    Path,
    /// It is for viewers elsewhere.
    #[error("the playback token is not for this network")]
    Network,
    /// It is for viewers of other countries, or where this one is is not known.
    #[error("the playback token is not for this country")]
    Country,
    /// It has expired.
    #[error("the playback token has expired")]
    Expired,
    /// It is not valid yet.
    #[error("the playback token is not valid yet")]
    Early,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Missing,
        Self::Malformed,
        Self::UnknownKey,
        Self::Revoked,
        Self::Signature,
        Self::Unsupported,
        Self::Audience,
        Self::Path,
        Self::Network,
        Self::Country,
        Self::Expired,
        Self::Early,
    ];

    /// One word for books.
    pub fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown-key",
            Self::Revoked => "revoked",
            Self::Signature => "signature",
            Self::Unsupported => "unsupported",
            Self::Audience => "audience",
            Self::Path => "path",
            Self::Network => "network",
            Self::Country => "country",
            Self::Expired => "expired",
            Self::Early => "early",
        }
    }
}
