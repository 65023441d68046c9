//! What a relative URI means.

/// Longest path asked for, bytes.
pub const PATH_BYTES_MAX: usize = 2_048;

/// The path that a URI means in a playlist at `base` (a path); `None` where it is longer than [`PATH_BYTES_MAX`] or of
/// another host.
pub fn resolve(base: &str, uri: &str) -> Option<String> {
    if base.len() + uri.len() > PATH_BYTES_MAX || uri.contains("://") || uri.starts_with("//") {
        return None;
    }
    if uri.starts_with('/') {
        return Some(uri.to_owned());
    }
    let base = base.split('?').next().unwrap_or(base);
    let mut folder: Vec<&str> = base.split('/').collect();
    folder.pop();
    let (names, query) = uri
        .split_once('?')
        .map_or((uri, None), |(names, query)| (names, Some(query)));
    for name in names.split('/') {
        match name {
            "." => {}
            // rfc3986 §5.2.4: above the root is the root.
            ".." if folder.len() > 1 => {
                folder.pop();
            }
            ".." => {}
            _ => folder.push(name),
        }
    }
    let path = folder.join("/");
    Some(query.map_or_else(|| path.clone(), |query| format!("{path}?{query}")))
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn a_uri_means_what_rfc3986_says() {
        let at = |uri| resolve("/live/main/360p/media.m3u8?_HLS_msn=1", uri);
        assert_eq!(at("part-1.m4s").unwrap(), "/live/main/360p/part-1.m4s");
        assert_eq!(at("../audio/media.m3u8").unwrap(), "/live/main/audio/media.m3u8");
        assert_eq!(at("./a?b=../c").unwrap(), "/live/main/360p/a?b=../c");
        assert_eq!(at("/x").unwrap(), "/x");
        assert_eq!(at("../../../../../x").unwrap(), "/x");
        assert_eq!(at("http://elsewhere/x"), None);
        assert_eq!(at("//elsewhere/x"), None);
    }
}
