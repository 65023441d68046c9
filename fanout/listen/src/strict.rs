//! What is wrong with a request before anybody looks at what it asks for.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, Response, StatusCode, Version};

use crate::answer::{Refused, refusal};
use crate::metrics::Cause;
use crate::{Body, Limits};

/// The answer that refuses it, and why.
pub(crate) fn refuse<B>(request: &Request<B>, limits: &Limits) -> Option<(Cause, Response<Body>)> {
    let (cause, status, reason) = mistake(request, limits)?;
    let mut response = refusal(&Refused::new(status, reason));
    if request.version() <= Version::HTTP_11 {
        // What follows on this connection may be the rest of this request as somebody else reads it.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    Some((cause, response))
}

fn mistake<B>(request: &Request<B>, limits: &Limits) -> Option<(Cause, StatusCode, &'static str)> {
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target > limits.target_bytes {
        return Some((
            Cause::TargetTooLong,
            StatusCode::URI_TOO_LONG,
            "the path and query are too long",
        ));
    }
    if limits.uploads || request.version() > Version::HTTP_11 {
        return None;
    }
    let bad = |reason| Some((Cause::Malformed, StatusCode::BAD_REQUEST, reason));
    let headers = request.headers();
    // rfc9112 §3.2: a request of HTTP/1.1 with no Host, or with more than one, is answered 400.
    let hosts = headers.get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return bad("one Host, please");
    }
    // rfc9112 §6.1: whoever stands before us may have read another length than we do.
    if headers.contains_key(TRANSFER_ENCODING) {
        return bad("nothing here takes a body in chunks");
    }
    let has_body = headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    if has_body && request.method() != Method::POST {
        return bad("nothing here takes a body with that method");
    }
    None
}
