//! The keys file: what stands in it, and every way in which it can be wrong.
//!
//! Hashes stand there, no secrets, with one exception: libsrt needs a passphrase as it is to decrypt with it.
//! Hence mode 0600.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use hls::id::StreamId;
use hls::time::PROGRAM_EPOCH_UNIX;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use srt::Passphrase;
use toml::Spanned;

use super::Unix;
use crate::desk::Role;

/// Keys in a file at most; every question looks at all of them.
pub const KEYS_MAX: usize = 4_096;
/// Length of a file at most, bytes.
pub const BYTES_MAX: u64 = 4 << 20;
/// Length of a note at most, characters.
pub const NOTE_MAX: usize = 200;

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct File {
    /// Its keys, in the order in which they were made.
    pub key: Vec<Entry>,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What it is called; no secret.
    pub id: Id,
    /// The stream it opens.
    pub stream: StreamId,
    /// As which of its encoders. Default primary.
    #[serde(default)]
    pub role: Role,
    /// Under policy `priority`, higher is preferred. Default 0.
    #[serde(default)]
    pub priority: u8,
    /// Of its secret.
    pub hash: Hash,
    /// When it was made.
    pub created: Unix,
    /// When it ends; never by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Unix>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What its encoder must encrypt with over SRT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<Secret>,
    /// Of the secret before the last rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_hash: Option<Hash>,
    /// When that one ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<Unix>,
    /// When it was taken back; it stays here for the words it is refused with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Unix>,
    /// Whether those who publish with it were to go as well.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disconnect: bool,
}

/// Eight lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(String);

/// SHA-256 of a secret, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

/// A passphrase of SRT, 10 to 79 bytes. `Debug` prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// What is wrong, and on which line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {what}")]
pub struct Mistake {
    /// Counted from 1.
    pub line: usize,
    /// Names the field.
    pub what: String,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system did not give it.
    #[error("{0}: {1}")]
    Io(String, #[source] io::Error),
    /// It makes no sense.
    #[error("{0}:{1}")]
    Mistake(String, #[source] Mistake),
}

/// A file as it was found.
#[derive(Debug)]
pub struct Found {
    /// What stands in it.
    pub file: File,
    /// Whether others than its owner may read it.
    pub open_to_others: bool,
    /// Changes whenever the file does.
    pub(crate) mark: Mark,
}

/// Tells two states of a file apart without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Also moves when only the rights change.
    changed: (i64, i64),
}

impl File {
    /// Reads a text whole, or says what is wrong with it; nothing of a value is repeated.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let read: Read = toml::from_str(text).map_err(|error| Mistake::from_toml(text, &error))?;
        if read.key.len() > KEYS_MAX {
            return Err(Mistake {
                line: 1,
                what: format!("{} keys; at most {KEYS_MAX}", read.key.len()),
            });
        }
        let (mut ids, mut hashes) = (HashSet::new(), HashSet::new());
        for entry in &read.key {
            let line = line_of(text, entry.span().start);
            let entry = entry.get_ref();
            let mistake = |what: &str| Mistake {
                line,
                what: format!("key {}: {what}", entry.id.as_str()),
            };
            entry.check().map_err(mistake)?;
            if !ids.insert(&entry.id) {
                return Err(mistake("id: used twice"));
            }
            if ![Some(entry.hash), entry.previous_hash]
                .into_iter()
                .flatten()
                .all(|hash| hashes.insert(hash))
            {
                return Err(mistake("hash: used twice"));
            }
        }
        Ok(Self {
            key: read.key.into_iter().map(Spanned::into_inner).collect(),
        })
    }

    /// As a text that `parse` reads back.
    pub fn render(&self) -> String {
        let keys = toml::to_string(self).expect("every field of a key has a TOML form");
        format!(
            "# Stream keys of ringside, written by `ringside key`; times are Unix seconds.\n\
             # A running ingest follows every change within two seconds.\n\n{keys}"
        )
    }

    /// Reads a file; `None` where there is none.
    pub fn read(path: &Path) -> Result<Option<Found>, Error> {
        let name = || path.display().to_string();
        let io = |error| Error::Io(name(), error);
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        // A pipe or a device may never end.
        if !metadata.is_file() {
            return Err(io(io::Error::other("not a regular file")));
        }
        let file = fs::File::open(path).map_err(io)?;
        let mut text = String::new();
        file.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(io)?;
        if text.len() as u64 > BYTES_MAX {
            return Err(io(io::Error::other(format!("longer than {BYTES_MAX} bytes"))));
        }
        let file = Self::parse(&text).map_err(|mistake| Error::Mistake(name(), mistake))?;
        Ok(Some(Found {
            file,
            open_to_others: metadata.mode() & 0o077 != 0,
            mark: Mark::of(&metadata),
        }))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[serde(default)]
    key: Vec<Spanned<Entry>>,
}

impl Entry {
    fn check(&self) -> Result<(), &'static str> {
        let times = [
            ("created: not in Unix seconds", Some(self.created)),
            ("expires: not in Unix seconds", self.expires),
            ("previous_until: not in Unix seconds", self.previous_until),
            ("revoked: not in Unix seconds", self.revoked),
        ];
        let early = |time: &Option<Unix>| time.is_some_and(|time| time < PROGRAM_EPOCH_UNIX);
        if let Some((what, _)) = times.iter().find(|(_, time)| early(time)) {
            return Err(what);
        }
        if self.previous_hash.is_some() != self.previous_until.is_some() {
            return Err("previous_hash and previous_until: one needs the other");
        }
        if self.disconnect && self.revoked.is_none() {
            return Err("disconnect: only with revoked");
        }
        let note = self.note.as_deref().unwrap_or_default();
        if note.chars().count() > NOTE_MAX || note.chars().any(char::is_control) {
            return Err("note: at most 200 characters, on one line");
        }
        Ok(())
    }
}

impl Id {
    /// `None` where it is not one.
    pub fn new(text: &str) -> Option<Self> {
        (text.len() == 8 && is_hex(text)).then(|| Self(text.to_owned()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Id {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text).ok_or("8 lower-case hexadecimal digits")
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0
    }
}

impl Hash {
    /// Of a secret.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<String> for Hash {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        const WRONG: &str = "a SHA-256, 64 lower-case hexadecimal digits";
        if text.len() != 64 || !is_hex(&text) {
            return Err(WRONG);
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(at * 2..at * 2 + 2).ok_or(WRONG)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| WRONG)?;
        }
        Ok(Self(bytes))
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}…", self.0.first().unwrap_or(&0))
    }
}

impl Secret {
    /// `None` when libsrt could not use it.
    pub fn new(text: &str) -> Option<Self> {
        Passphrase::new(text).map(|_| Self(text.to_owned()))
    }

    /// The passphrase itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By way of a value, since serde repeats what it did not expect.
        let value = toml::Value::deserialize(deserializer)?;
        let secret = value.as_str().and_then(Self::new);
        secret.ok_or_else(|| serde::de::Error::custom("a string of 10 to 79 bytes"))
    }
}

impl Mark {
    pub(crate) fn of(metadata: &fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Mistake {
    fn from_toml(text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        let source = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let is_field =
            |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let field = source
            .split_once('=')
            .map(|(name, _)| name.trim())
            .filter(is_field);
        let message = error.message().trim();
        let what = field.map_or_else(|| message.to_owned(), |field| format!("{field}: {message}"));
        Self { line, what }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const GOOD: &str = "[[key]]\nid = \"0123abcd\"\nstream = \"main\"\nhash = \
        \"5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8\"\ncreated = 1795255474\n";

    #[test]
    fn what_is_written_is_read_back() {
        let mut file = File::parse(GOOD).unwrap();
        assert_eq!(file.key[0].hash, Hash::of("password"));
        let second = Entry {
            id: Id::new("ffffffff").unwrap(),
            role: Role::Backup,
            priority: 255,
            hash: Hash::of("2"),
            expires: Some(1_800_000_000),
            note: Some("van 2, \"night\"".to_owned()),
            passphrase: Secret::new("correct-horse"),
            previous_hash: Some(Hash::of("1")),
            previous_until: Some(1_800_000_000),
            revoked: Some(1_800_000_000),
            disconnect: true,
            ..file.key[0].clone()
        };
        file.key.push(second);
        assert_eq!(File::parse(&file.render()).unwrap(), file);
        assert_eq!(File::parse("").unwrap(), File::default());
        assert!(!format!("{file:?}").contains("correct"));
    }

    #[test]
    fn a_mistake_is_named_with_line_and_field_and_repeats_no_secret() {
        let once = |more: &str| format!("{GOOD}{more}\n");
        let cases = [
            (once("secret = 1"), 6, "secret: unknown field"),
            (once("priority = 256"), 6, "priority: "),
            (once("role = \"king\""), 6, "role: unknown variant"),
            (once("passphrase = \"hunter2\""), 6, "passphrase: a string of 10"),
            (once("passphrase = 77777777777"), 6, "passphrase: a string of 10"),
            (once("previous_hash = \"hunter2\""), 6, "previous_hash: a SHA-256"),
            (once("expires = 30"), 1, "key 0123abcd: expires: not in Unix"),
            (once("previous_until = 1800000000"), 1, "previous_hash and"),
            (once("disconnect = true"), 1, "disconnect: only"),
            (once(GOOD), 6, "id: used twice"),
            (once(&GOOD.replace("0123abcd", "11111111")), 6, "hash: used twice"),
            (GOOD.replace("0123abcd", "0123ABCD"), 2, "id: 8 lower-case"),
            (GOOD.replace("created", "#"), 1, "missing field `created`"),
            (once("note = \"hunter2"), 6, ""),
            ("[[keys]]".to_owned(), 1, "unknown field"),
        ];
        for (text, line, what) in cases {
            let mistake = File::parse(&text).unwrap_err();
            assert!(
                mistake.line == line && mistake.what.contains(what),
                "{mistake:?} for {text}"
            );
            let said = mistake.to_string();
            assert!(!said.contains("hunter2") && !said.contains("7777"), "{said}");
        }
    }

    #[test]
    fn a_file_is_bounded_and_regular() {
        let many = |count: usize| {
            let entry = |n: usize| {
                let text = GOOD.replace("0123abcd", &format!("{n:08x}"));
                text.replace("5e884898da28", &format!("{n:012x}"))
            };
            (0..count).map(entry).collect::<String>()
        };
        assert_eq!(File::parse(&many(KEYS_MAX)).unwrap().key.len(), KEYS_MAX);
        assert!(File::parse(&many(KEYS_MAX + 1)).is_err());
        assert!(File::read(Path::new("/nonexistent")).unwrap().is_none());
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, open) in [(0o600, false), (0o640, true), (0o604, true)] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            let found = File::read(file.path()).unwrap().unwrap();
            assert_eq!(found.open_to_others, open, "{mode:o}");
        }
        for wrong in ["/dev/null", "/"] {
            let error = File::read(Path::new(wrong)).unwrap_err();
            assert!(error.to_string().contains(wrong), "{error}");
        }
    }
}
