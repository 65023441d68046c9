//! What a viewer needs of a playlist: its newest part, and what to ask for next.

use std::sync::Arc;

/// A version, as the requests that follow from it.
#[derive(Debug)]
pub(crate) struct Version {
    /// Path of the newest part.
    pub(crate) part: String,
    pub(crate) ask_part: Arc<[u8]>,
    pub(crate) ask_next: Arc<[u8]>,
    /// Where the part stands among all of the stream, for who counts those it missed.
    pub(crate) at: (u64, u64),
}

impl Version {
    /// Out of a media playlist with at least one part (rfc8216bis §4.4.4.9).
    pub(crate) fn read(text: &str, path: &str, host: &str) -> Option<Self> {
        let (mut msn, mut parts, mut newest) = (0_u64, 0_u64, None);
        for line in text.lines() {
            if let Some(first) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
                msn = first.parse().ok()?;
            } else if line.starts_with("#EXTINF:") {
                (msn, parts) = (msn + 1, 0);
            } else if line.starts_with("#EXT-X-PART:") {
                let uri = line.split("URI=\"").nth(1)?.split('"').next()?;
                newest = Some((uri, (msn, parts)));
                parts += 1;
            }
        }
        let (uri, at) = newest?;
        let part = if uri.starts_with('/') {
            uri.to_owned()
        } else {
            format!("{}/{uri}", path.rsplit_once('/')?.0)
        };
        Some(Self {
            ask_part: request(&part, host),
            ask_next: request(&format!("{path}?_HLS_msn={msn}&_HLS_part={parts}"), host),
            part,
            at,
        })
    }
}

/// A request as bytes.
pub(crate) fn request(path: &str, host: &str) -> Arc<[u8]> {
    format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n")
        .into_bytes()
        .into()
}
