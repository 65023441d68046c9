//! The watch page, embedded at build time.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use listen::Body;
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "player/dist"]
struct Files;

/// What the page says where it reports how it plays.
const REPORTS: &[u8] = b"data-telemetry=\"on\"";
/// The same length, where it does not.
const IS_SILENT: &[u8] = b"data-telemetry=\"no\"";

/// The page or one of its assets; `None` where no such path exists.
pub(crate) fn answer(path: &str, reports: bool) -> Option<Response<Body>> {
    let watch = path
        .strip_prefix("/watch/")
        .is_some_and(|stream| hls::id::StreamId::new(stream).is_ok());
    let name = if watch {
        "watch.html"
    } else {
        path.strip_prefix('/')
            // Names of files and no way out of their folder: an unoptimised build reads them from disk.
            .filter(|name| name.starts_with("assets/") && !name.contains(".."))?
    };
    let file = Files::get(name)?;
    let mut data = file.data.into_owned();
    if watch && !reports {
        let at = data.windows(REPORTS.len()).position(|part| part == REPORTS);
        if let Some(said) = at.and_then(|at| data.get_mut(at..at + REPORTS.len())) {
            said.copy_from_slice(IS_SILENT);
        }
    }
    let mut response = Response::new(Body::from(bytes::Bytes::from(data)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    // Names do not change with content, so a browser asks again before it uses what it has kept.
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=60"),
    );
    harden(headers);
    Some(response)
}

/// Leads from `/` to a stream's page.
pub(crate) fn redirect(stream: &hls::id::StreamId) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    if let Ok(to) = HeaderValue::try_from(format!("/watch/{stream}")) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// The build writes the policy beside the page, since it knows the hashes of what the player inlines.
fn harden(headers: &mut HeaderMap) {
    let policy = Files::get("csp.txt").and_then(|file| HeaderValue::from_bytes(file.data.trim_ascii()).ok());
    if let Some(policy) = policy {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
}
