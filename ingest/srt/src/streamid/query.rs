//! The URL's share of a stream id: escapes, and what follows `?` or `&`.

use super::{Error, ROLE_LENGTH_MAX, trim};

/// Percent escapes decoded once; a `%` without two hex digits stays.
pub(super) fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        if let (b'%', [high, low, after @ ..]) = (first, tail)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            out.push(high << 4 | low);
            rest = after;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

/// What stands before the first `?` or `&`, and what stands behind it.
pub(super) fn split(text: &str) -> (&str, &str) {
    text.split_once(['?', '&']).unwrap_or((text, ""))
}

/// `role` among `name=value&name=value`; everything else there belongs to somebody else's URL.
pub(super) fn role(arguments: &str) -> Result<Option<String>, Error> {
    let mut found = None;
    for argument in arguments.split(['?', '&']) {
        if let Some(("role", value)) = argument.split_once('=') {
            super::set(&mut found, checked_role(trim(value))?)?;
        }
    }
    Ok(found)
}

pub(super) fn checked_role(value: &str) -> Result<String, Error> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if value.is_empty() || value.len() > ROLE_LENGTH_MAX || !value.bytes().all(known) {
        return Err(Error::Syntax);
    }
    Ok(value.to_owned())
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}
