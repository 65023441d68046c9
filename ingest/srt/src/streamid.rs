//! What an encoder puts into the stream id: whose stream it wants to publish, and by which secret.
//!
//! Accepted forms, after percent escapes were decoded once and white space, line ends and NULs were cut at both ends:
//!
//! | form | key | resource | user |
//! |---|---|---|---|
//! | `KEY`, `?KEY`, `streamid=KEY`, `?streamid=KEY` | `KEY` | | |
//! | `live/KEY` | `live/KEY`, then `KEY` ([`Key::candidates`]) | | |
//! | `publish:KEY`, `publish/KEY` | `KEY` | | |
//! | `publish:ID:USER:KEY` (MediaMTX) | `KEY` | `ID` | `USER` |
//! | `#!::m=publish,r=ID,u=USER,s=KEY` | `KEY` | `ID` | `USER` |
//! | `#!::r=KEY` | `KEY` | | |
//!
//! Behind any of them may stand `?name=value&name=value` (also begun by `&`), and for MediaMTX a last `:name=value`.
//! `role` is read there, and as a pair of the `#!::` form; other names are dropped. So a key holds no `?`, no `&`, and
//! in the `#!::` form no `,`. A `+` is a plus. `m` may be absent: a caller that connects to a listener sends.
//!
//! A `live/` in front is what people copy from the RTMP address. The key as given comes first, because it may be
//! the real one.

use std::fmt;

mod query;

/// Longest stream id the protocol carries, in bytes.
pub const LENGTH_MAX: usize = 512;

/// Longest role, in bytes.
pub const ROLE_LENGTH_MAX: usize = 32;

/// A parsed stream id that wants to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamId {
    /// The secret that names the stream.
    pub key: Key,
    /// `r` where the key is in `s`: the stream the caller believes it publishes to.
    pub resource: Option<String>,
    /// What the caller said it does.
    pub mode: Mode,
    /// `u`: a name for logs; it proves nothing.
    pub user: Option<String>,
    /// `role`, such as `backup`: ASCII letters, digits, `_` and `-`, at most [`ROLE_LENGTH_MAX`].
    pub role: Option<String>,
}

/// A stream key. `Debug` prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// The secret itself: compare it in constant time, keep it out of logs.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The key as given, then without its `live/` if it has one: the readings to look up, in this order.
    pub fn candidates(&self) -> impl Iterator<Item = &str> {
        let bare = self.0.strip_prefix("live/").filter(|bare| !bare.is_empty());
        std::iter::once(self.expose()).chain(bare)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// What the caller said it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing was said.
    Unsaid,
    /// `publish`.
    Publish,
    /// `m=bidirectional`: it will be sent nothing.
    Bidirectional,
}

/// Why a stream id cannot be used. Holds nothing of the stream id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing is left after trimming: the encoder has no stream id set.
    #[error("no stream id")]
    Empty,
    /// Longer than [`LENGTH_MAX`].
    #[error("stream id longer than 512 bytes")]
    TooLong,
    /// Not UTF-8, before or after percent escapes were decoded.
    #[error("stream id is not utf-8")]
    NotUtf8,
    /// A control character inside.
    #[error("control character in stream id")]
    Control,
    /// A form that begins like a known one and does not go on like it, or says one thing twice.
    #[error("malformed stream id")]
    Syntax,
    /// A known form without a key.
    #[error("stream id without a key")]
    NoKey,
    /// The caller wants to receive.
    #[error("stream id asks to play")]
    Play,
    /// `m` of another value.
    #[error("unknown mode in stream id")]
    Mode,
    /// `t` other than `stream`.
    #[error("stream id is not of type stream")]
    Type,
}

/// Reads a stream id as it came off the wire.
pub fn parse(raw: &[u8]) -> Result<StreamId, Error> {
    if raw.len() > LENGTH_MAX {
        return Err(Error::TooLong);
    }
    let decoded = String::from_utf8(query::unescape(raw)).map_err(|_| Error::NotUtf8)?;
    let text = trim(&decoded);
    if text.chars().any(char::is_control) {
        return Err(Error::Control);
    }
    let text = text.trim_start_matches('?');
    let text = trim(text.strip_prefix("streamid=").unwrap_or(text));
    if text.is_empty() {
        return Err(Error::Empty);
    }
    let (head, arguments) = query::split(text);
    let head = trim(head);
    let mut stream_id = if let Some(pairs) = head.strip_prefix("#!::") {
        standard(pairs)?
    } else if head.starts_with("#!") {
        return Err(Error::Syntax);
    } else {
        plain(head)?
    };
    if let Some(role) = query::role(arguments)? {
        set(&mut stream_id.role, role)?;
    }
    Ok(stream_id)
}

/// `access-control.md` of libsrt: `key1=value1,key2=value2`. Unknown keys are dropped, as it allows.
fn standard(pairs: &str) -> Result<StreamId, Error> {
    let (mut secret, mut resource, mut user, mut role, mut mode, mut kind) =
        (None, None, None, None, None, None);
    for pair in pairs.split(',').map(trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(Error::Syntax)?;
        let value = trim(value);
        match trim(name) {
            "s" => set(&mut secret, value.to_owned())?,
            "r" => set(&mut resource, value.to_owned())?,
            "u" => set(&mut user, value.to_owned())?,
            "m" => set(&mut mode, value)?,
            "t" => set(&mut kind, value)?,
            "role" => set(&mut role, query::checked_role(value)?)?,
            _ => {}
        }
    }
    let mode = match mode {
        None | Some("") => Mode::Unsaid,
        Some("publish") => Mode::Publish,
        Some("bidirectional") => Mode::Bidirectional,
        Some("request" | "play" | "read") => return Err(Error::Play),
        Some(_) => return Err(Error::Mode),
    };
    if !matches!(kind, None | Some("" | "stream")) {
        return Err(Error::Type);
    }
    let given = |value: Option<String>| value.filter(|value| !value.is_empty());
    let (key, resource) = match (given(secret), given(resource)) {
        (Some(secret), resource) => (secret, resource),
        // A resource that serves as key is a secret, and must not stand where it may be printed.
        (None, Some(resource)) => (resource, None),
        (None, None) => return Err(Error::NoKey),
    };
    Ok(StreamId {
        key: Key(key),
        resource,
        mode,
        user: given(user),
        role,
    })
}

/// A key alone, or behind an action as MediaMTX and SRS write it.
fn plain(head: &str) -> Result<StreamId, Error> {
    let bare = |key: &str, mode| match trim(key) {
        "" => Err(Error::NoKey),
        key => Ok(StreamId {
            key: Key(key.to_owned()),
            resource: None,
            mode,
            user: None,
            role: None,
        }),
    };
    for action in ["read", "play", "request"] {
        if head
            .strip_prefix(action)
            .is_some_and(|rest| rest.starts_with([':', '/']))
        {
            return Err(Error::Play);
        }
    }
    if let Some(key) = head.strip_prefix("publish/") {
        return bare(key, Mode::Publish);
    }
    let Some(rest) = head.strip_prefix("publish:") else {
        return bare(head, Mode::Unsaid);
    };
    let parts: Vec<&str> = rest.split(':').map(trim).collect();
    let (mut stream_id, arguments) = match parts.as_slice() {
        [key] => (bare(key, Mode::Publish)?, ""),
        [key, arguments] => (bare(key, Mode::Publish)?, *arguments),
        [resource, user, key, rest @ ..] if rest.len() < 2 => {
            let given = |value: &str| Some(value.to_owned()).filter(|value| !value.is_empty());
            let mut stream_id = bare(key, Mode::Publish)?;
            stream_id.resource = given(resource);
            stream_id.user = given(user);
            (stream_id, rest.first().copied().unwrap_or_default())
        }
        _ => return Err(Error::Syntax),
    };
    stream_id.role = query::role(arguments)?;
    Ok(stream_id)
}

/// Two values of one name are two readers' two streams: refused.
fn set<T>(place: &mut Option<T>, value: T) -> Result<(), Error> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::Syntax),
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0')
}

/// What holds for any bytes; run by the property test and by the fuzz target.
pub fn check(raw: &[u8]) {
    let Ok(stream_id) = parse(raw) else { return };
    let key = stream_id.key.expose();
    assert!(!key.is_empty() && key.len() <= LENGTH_MAX);
    assert!(!key.chars().any(char::is_control));
    assert_eq!(key, trim(key));
    assert!(stream_id.key.candidates().all(|candidate| !candidate.is_empty()));
    assert!(
        stream_id
            .role
            .is_none_or(|role| !role.is_empty() && role.len() <= ROLE_LENGTH_MAX)
    );
}

#[cfg(test)]
mod tests;
