//! PURE. The key a request brings, and whether it is one of a stream's. It is never logged.

use http::{Request, header};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::cmafin::config::KeyHash;

/// Longest key, bytes.
const KEY_BYTES_MAX: usize = 256;

/// `authorization: Bearer KEY`, `authorization: Basic` with any user and the key as password, or `?key=KEY`.
pub(super) fn of<B>(request: &Request<B>) -> Option<Vec<u8>> {
    let said = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let key = match said.and_then(|value| value.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Some(token.trim().as_bytes().to_vec())
        }
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("basic") => password(token.trim()),
        Some(_) | None => {
            let mut arguments = request.uri().query().unwrap_or_default().split('&');
            let key = arguments.find_map(|argument| argument.strip_prefix("key="));
            key.map(|key| key.as_bytes().to_vec())
        }
    };
    key.filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()))
}

/// Takes the same time whichever key it is, and whether or not it is one.
pub(super) fn is_one_of(key: &[u8], hashes: &[KeyHash]) -> bool {
    let hash: [u8; 32] = Sha256::digest(key).into();
    let any = hashes
        .iter()
        .fold(Choice::from(0), |any, KeyHash(known)| any | known.ct_eq(&hash));
    any.into()
}

/// Of `user:password` in base64 (RFC 7617 §2).
fn password(token: &str) -> Option<Vec<u8>> {
    let mut bits = 0_u32;
    let mut bytes = Vec::new();
    for (count, digit) in (1_usize..).zip(token.trim_end_matches('=').bytes()) {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        // After the second, third and fourth digit of four, eight more bits are here.
        let over = match count % 4 {
            1 => continue,
            2 => 4,
            3 => 2,
            _ => 0,
        };
        bytes.push(u8::try_from(bits >> over & 0xff).ok()?);
    }
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    Some(bytes.split_off(colon + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(uri: &str, authorization: Option<&str>) -> Option<String> {
        let mut request = Request::builder().uri(uri);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        of(&request.body(()).unwrap()).map(|key| String::from_utf8(key).unwrap())
    }

    #[test]
    fn keys_come_in_three_ways() {
        let secret = Some("secret".to_owned());
        assert_eq!(key("/a/b.mp4", Some("Bearer secret")), secret);
        // `x:secret`, `live:secret` and `:secret`
        for basic in ["eDpzZWNyZXQ=", "bGl2ZTpzZWNyZXQ=", "OnNlY3JldA=="] {
            assert_eq!(key("/a/b.mp4", Some(&format!("Basic {basic}"))), secret);
        }
        assert_eq!(key("/a/b.mp4?x=1&key=secret", None), secret);
        for (uri, authorization) in [
            ("/a", None),
            ("/a?key=", None),
            ("/a", Some("Basic !!")),
            ("/a", Some("Basic eA==")),
            ("/a", Some("Digest secret")),
        ] {
            assert_eq!(key(uri, authorization), None, "{uri} {authorization:?}");
        }
    }

    #[test]
    fn a_key_is_known_by_its_hash() {
        let hash = |key: &str| KeyHash(Sha256::digest(key).into());
        let hashes = [hash("old"), hash("new")];
        assert!(is_one_of(b"old", &hashes) && is_one_of(b"new", &hashes));
        assert!(!is_one_of(b"other", &hashes) && !is_one_of(b"old", &[]));
    }
}
