//! Answers of origin and edge: the same headers for the same things, in one place.

use std::time::Duration;

use hls::delivery::{self, Answer, cache_control};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use crate::Body;

/// Something found, before headers.
#[derive(Debug)]
pub struct Found {
    /// The bytes.
    pub body: Body,
    /// Content-Type.
    pub kind: &'static str,
    /// How long caches may keep it.
    pub answer: Answer,
    /// When the origin published it, microseconds of its Unix time.
    pub available_us: Option<u64>,
    /// How long a cache of ours has had it; `None` at the origin.
    pub age: Option<Duration>,
    /// The stream's target duration, which cache lives are counted in.
    pub target_duration: Duration,
}

/// A refusal, in the words the client gets.
#[derive(Debug)]
pub struct Refused {
    /// The status.
    pub status: StatusCode,
    reason: String,
    /// Retry-After, seconds.
    later_s: Option<u32>,
}

impl Refused {
    /// A refusal with its reason.
    pub fn new(status: StatusCode, reason: impl ToString) -> Self {
        Self {
            status,
            reason: reason.to_string(),
            later_s: None,
        }
    }

    /// 503 with the seconds after which it may go well.
    pub fn later(seconds: u32, reason: impl ToString) -> Self {
        Self {
            later_s: Some(seconds),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, reason)
        }
    }

    /// For methods other than GET, HEAD and OPTIONS.
    pub fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD, OPTIONS")
    }
}

/// The type of a track's media.
pub fn media_type(video: bool) -> &'static str {
    if video {
        delivery::VIDEO_TYPE
    } else {
        delivery::AUDIO_TYPE
    }
}

/// The answer with what was found; `head` leaves the body out.
pub fn success(found: Found, head: bool) -> Response<Body> {
    let length = found.body.len();
    let mut response = Response::new(if head { Body::empty() } else { found.body });
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(found.kind));
    headers.insert(header::CONTENT_LENGTH, length.into());
    if let Ok(value) = HeaderValue::try_from(cache_control(found.answer, found.target_duration)) {
        headers.insert(header::CACHE_CONTROL, value);
    }
    if let Some(at) = found.available_us {
        headers.insert(HeaderName::from_static(delivery::AVAILABLE), at.into());
    }
    if let Some(age) = found.age {
        headers.insert(header::AGE, age.as_secs().into());
    }
    allow_origins(headers);
    response
}

/// The answer that refuses.
pub fn refusal(refused: &Refused) -> Response<Body> {
    let Refused {
        status,
        reason,
        later_s,
    } = refused;
    let mut response = Response::new(Body::from(format!("{reason}\n")));
    *response.status_mut() = *status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    if let Ok(value) = HeaderValue::try_from(cache_control(Answer::Refusal, Duration::ZERO)) {
        headers.insert(header::CACHE_CONTROL, value);
    }
    if let Some(seconds) = later_s {
        headers.insert(header::RETRY_AFTER, (*seconds).into());
    }
    allow_origins(headers);
    response
}

/// The answer to OPTIONS.
pub fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    allow_origins(headers);
    response
}

fn allow_origins(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(delivery::EXPOSED),
    );
}
