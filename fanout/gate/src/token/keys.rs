//! The keys of tokens, and the file they are in.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::Unix;

/// Keys of one file at most.
pub const KEYS_MAX: usize = 64;

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// HMAC with SHA-256: who checks can sign too.
    HS256,
    /// ECDSA over P-256: edges check with the public half alone.
    ES256,
}

/// The keys file, TOML.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// `[[key]]`
    #[serde(default)]
    pub key: Vec<Entry>,
}

/// One key; bytes are base64url without padding.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What tokens name it by (`kid`), 1 to 64 bytes.
    pub id: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// When it was made.
    #[serde(default)]
    pub created: Unix,
    /// HS256: at least 32 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// ES256: the point, uncompressed, 65 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
    /// ES256: PKCS #8; only where tokens are signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<String>,
    /// When it was taken back: its tokens open nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Unix>,
}

/// What is wrong with a keys file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No TOML, or not of this form. What is there is not repeated: it may be a secret.
    #[error("it is not a file of token keys (line {0})")]
    Form(usize),
    /// Too many.
    #[error("more than {KEYS_MAX} keys")]
    Many,
    /// Two of one name.
    #[error("two keys have the id `{0}`")]
    Twice(String),
    /// A name of no bytes, or too many.
    #[error("a key's id is 1 to 64 bytes")]
    Id,
    /// Bytes that are missing or wrong.
    #[error("key `{id}`: {what}")]
    Bytes {
        /// Which key.
        id: String,
        /// What is wanted.
        what: &'static str,
    },
}

impl File {
    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let line = |at: usize| 1 + text.get(..at).map_or(0, |before| before.matches('\n').count());
        toml::from_str(text).map_err(|error| KeyError::Form(error.span().map_or(1, |span| line(span.start))))
    }

    /// The same keys as far as edges need them: without private halves.
    pub fn for_edges(&self) -> Self {
        let public = |entry: &Entry| Entry {
            private: None,
            ..entry.clone()
        };
        Self {
            key: self.key.iter().map(public).collect(),
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .field("revoked", &self.revoked)
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// A key of these random bytes, 32 or more.
    pub fn hs256(id: &str, secret: &[u8], created: Unix) -> Self {
        Self {
            secret: Some(URL_SAFE_NO_PAD.encode(secret)),
            ..Self::bare(id, Algorithm::HS256, created)
        }
    }

    /// A new pair; `None` where the system has no randomness.
    pub fn es256(id: &str, created: Unix) -> Option<Self> {
        let random = SystemRandom::new();
        let private = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).ok()?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private.as_ref()).ok()?;
        Some(Self {
            public: Some(URL_SAFE_NO_PAD.encode(pair.public_key().as_ref())),
            private: Some(URL_SAFE_NO_PAD.encode(private.as_ref())),
            ..Self::bare(id, Algorithm::ES256, created)
        })
    }

    fn bare(id: &str, algorithm: Algorithm, created: Unix) -> Self {
        Self {
            id: id.to_owned(),
            algorithm,
            created,
            secret: None,
            public: None,
            private: None,
            revoked: None,
        }
    }

    fn check(&self) -> Result<Check, KeyError> {
        match self.algorithm {
            Algorithm::HS256 => Ok(Check::Mac(self.mac()?)),
            Algorithm::ES256 => {
                let wrong = "`public` is 65 bytes, an uncompressed point of P-256";
                let point = self.bytes(self.public.as_ref(), wrong)?;
                let is_point = point.len() == 65 && point.first() == Some(&4);
                let key = is_point.then(|| UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point));
                key.map(Check::Signature).ok_or_else(|| self.error(wrong))
            }
        }
    }

    fn mac(&self) -> Result<Box<hmac::Key>, KeyError> {
        let wrong = "`secret` is at least 32 bytes as base64url";
        let bytes = self.bytes(self.secret.as_ref(), wrong)?;
        if bytes.len() < digest::SHA256_OUTPUT_LEN {
            return Err(self.error(wrong));
        }
        Ok(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    fn bytes(&self, text: Option<&String>, what: &'static str) -> Result<Vec<u8>, KeyError> {
        let bytes = text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        bytes.ok_or_else(|| self.error(what))
    }

    fn error(&self, what: &'static str) -> KeyError {
        KeyError::Bytes {
            id: self.id.clone(),
            what,
        }
    }
}

/// The keys in force.
#[derive(Default)]
pub struct Keys {
    keys: BTreeMap<Vec<u8>, Known>,
}

pub(super) struct Known {
    pub(super) check: Check,
    pub(super) is_revoked: bool,
}

pub(super) enum Check {
    Mac(Box<hmac::Key>),
    Signature(UnparsedPublicKey<Vec<u8>>),
}

impl Keys {
    /// The keys of a file, or what is wrong with it.
    pub fn new(file: &File) -> Result<Self, KeyError> {
        if file.key.len() > KEYS_MAX {
            return Err(KeyError::Many);
        }
        let mut keys = BTreeMap::new();
        for entry in &file.key {
            if !(1..=64).contains(&entry.id.len()) {
                return Err(KeyError::Id);
            }
            let known = Known {
                check: entry.check()?,
                is_revoked: entry.revoked.is_some(),
            };
            if keys.insert(entry.id.as_bytes().to_vec(), known).is_some() {
                return Err(KeyError::Twice(entry.id.clone()));
            }
        }
        Ok(Self { keys })
    }

    /// Whether there is none, so that tokens cannot be asked for.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many there are, revoked ones included.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn get(&self, id: &[u8]) -> Option<&Known> {
        self.keys.get(id)
    }
}

/// A key that signs.
pub struct Signer {
    pub(super) id: Vec<u8>,
    pub(super) key: SignerKey,
}

pub(super) enum SignerKey {
    Mac(Box<hmac::Key>),
    Signature(Box<EcdsaKeyPair>),
}

impl Signer {
    /// The key, unless its private half is not here.
    pub fn new(entry: &Entry) -> Result<Self, KeyError> {
        let key = match entry.algorithm {
            Algorithm::HS256 => SignerKey::Mac(entry.mac()?),
            Algorithm::ES256 => {
                let wrong = "`private` is missing or no key of P-256; this file only checks tokens";
                let private = entry.bytes(entry.private.as_ref(), wrong)?;
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private);
                SignerKey::Signature(Box::new(pair.map_err(|_| entry.error(wrong))?))
            }
        };
        Ok(Self {
            id: entry.id.as_bytes().to_vec(),
            key,
        })
    }
}
