//! Attribute lists of single lines, read without a copy and written with another URI.

use hls::playlist::attribute;

/// The quoted value of `URI`, without its quotes.
pub(super) fn uri(list: &str) -> Option<&str> {
    attribute(list, "URI")?.strip_prefix('"')?.strip_suffix('"')
}

/// A value without quotes.
pub(super) fn plain<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    attribute(list, name).filter(|value| !value.starts_with('"'))
}

/// The line with another URI in place of `uri`, which is a slice of it; all else stays.
pub(super) fn with_uri(line: &str, uri: &str, other: &str) -> String {
    let at = uri.as_ptr().addr().wrapping_sub(line.as_ptr().addr());
    let split = line.get(..at).zip(line.get(at.saturating_add(uri.len())..));
    let (before, after) = split.expect("the URI is a slice of the line");
    format!("{before}{other}{after}")
}
