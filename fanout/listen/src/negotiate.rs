//! What a request's headers ask for beside the resource: an encoding, a change since, a range (RFC 9110).

use std::ops::Range;

use http::header::{self, HeaderMap, HeaderName};

fn values(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let texts = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim)
}

/// Whether Accept-Encoding prefers gzip to nothing at all (RFC 9110 §12.5.3).
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for value in values(headers, header::ACCEPT_ENCODING) {
        let (coding, parameters) = value.split_once(';').unwrap_or((value, ""));
        let weight = weight(parameters);
        match coding.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = Some(weight),
            "identity" => identity = Some(weight),
            "*" => any = Some(weight),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// Thousandths of a quality value; one that is malformed accepts nothing.
fn weight(parameters: &str) -> u32 {
    let quality = parameters.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let Some(quality) = quality else {
        return 1_000;
    };
    let (whole, fraction) = quality.split_once('.').unwrap_or((quality, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths = format!("{fraction:0<3}").parse().unwrap_or(0);
    match whole {
        "1" if digits && thousandths == 0 => 1_000,
        "0" if digits => thousandths,
        _ => 0,
    }
}

/// Whether If-None-Match names what would be sent (RFC 9110 §13.1.2, weak comparison).
pub(crate) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    values(headers, header::IF_NONE_MATCH)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// What part of a representation is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// All of it; so are several ranges, and units or forms that are unknown (RFC 9110 §14.2).
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that are not there.
    Unsatisfiable,
}

/// Range, unless If-Range names something else (RFC 9110 §13.1.5, strong comparison).
pub(crate) fn range(headers: &HeaderMap, etag: &str, length: u64) -> Asked {
    let is_other = |value: &header::HeaderValue| value.as_bytes() != etag.as_bytes();
    if headers.get(header::IF_RANGE).is_some_and(is_other) {
        return Asked::Whole;
    }
    let text = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    text.and_then(|text| one(text, length)).unwrap_or(Asked::Whole)
}

fn one(text: &str, length: u64) -> Option<Asked> {
    let (unit, spec) = text.split_once('=')?;
    let (first, last) = spec.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = (number(first)?, number(last)?);
    let part = match (first, last) {
        (Some(first), Some(last)) if first > last => return None,
        (Some(first), last) => first..last.map_or(length, |last| last.saturating_add(1).min(length)),
        (None, Some(suffix)) => length.saturating_sub(suffix)..length,
        (None, None) => return None,
    };
    Some(if part.is_empty() {
        Asked::Unsatisfiable
    } else {
        Asked::Part(part)
    })
}

/// Nothing, or a number that may be greater than any length; the outer `None` is neither.
fn number(text: &str) -> Option<Option<u64>> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((!text.is_empty()).then(|| text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn rfc_9110_12_5_3_gzip_is_sent_to_who_accepts_it() {
        let accepts = |value: &str| accepts_gzip(&with(header::ACCEPT_ENCODING, value));
        for yes in [
            "gzip",
            "GZIP",
            "x-gzip",
            "br, gzip;q=0.5",
            "*",
            "deflate, *;q=0.001",
            "gzip;q=1.000",
            "gzip ; q=1",
            "identity;q=0.5, gzip;q=0.5",
        ] {
            assert!(accepts(yes), "{yes}");
        }
        for no in [
            "",
            "br",
            "gzip;q=0",
            "gzip;q=0.000, *",
            "*;q=0",
            "identity",
            "identity, gzip;q=0.9",
            "gzip;q=x",
            "gzip;q=1.5",
            "gzip;q=0.1234",
        ] {
            assert!(!accepts(no), "{no}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
        let mut two = with(header::ACCEPT_ENCODING, "br");
        two.append(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
        assert!(accepts_gzip(&two));
    }

    #[test]
    fn rfc_9110_13_1_2_tags_are_compared_one_by_one() {
        let known = |value: &str| is_known(&with(header::IF_NONE_MATCH, value), "\"a\"");
        assert!(known("\"a\"") && known("W/\"a\"") && known("\"b\", \"a\"") && known("*"));
        assert!(!known("a") && !known("\"b\"") && !known("\"A\"") && !is_known(&HeaderMap::new(), "\"a\""));
    }

    #[test]
    fn rfc_9110_14_1_2_one_range_is_served() {
        let asked = |value: &str| range(&with(header::RANGE, value), "\"a\"", 100);
        assert_eq!(asked("bytes=0-0"), Asked::Part(0..1));
        assert_eq!(asked("Bytes=10-"), Asked::Part(10..100));
        assert_eq!(asked("bytes=90-9007199254740991"), Asked::Part(90..100));
        assert_eq!(asked("bytes=0-99999999999999999999999"), Asked::Part(0..100));
        assert_eq!(asked("bytes=-30"), Asked::Part(70..100));
        assert_eq!(asked("bytes=-300"), Asked::Part(0..100));
        for beyond in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(asked(beyond), Asked::Unsatisfiable, "{beyond}");
        }
        for ignored in [
            "bytes=5-4",
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=-",
            "bytes=a-b",
            "bytes",
            "bytes=+1-2",
        ] {
            assert_eq!(asked(ignored), Asked::Whole, "{ignored}");
        }
        let mut other = with(header::RANGE, "bytes=0-0");
        other.insert(header::IF_RANGE, "W/\"a\"".parse().unwrap());
        assert_eq!(range(&other, "\"a\"", 100), Asked::Whole);
        other.insert(header::IF_RANGE, "\"a\"".parse().unwrap());
        assert_eq!(range(&other, "\"a\"", 100), Asked::Part(0..1));
    }
}
