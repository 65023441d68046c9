//! Answers of origin and edge: the same headers for the same things, in one place.

use std::time::Duration;

use bytes::Bytes;
use hls::delivery::{self, Answer, cache_control};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};

use crate::Body;
use crate::negotiate::{Asked, accepts_gzip, is_known, range};
use crate::playlist::Form;

/// Something found, before headers.
#[derive(Debug)]
pub struct Found {
    /// What it is.
    pub content: Content,
    /// Content-Type.
    pub kind: &'static str,
    /// How long caches may keep it.
    pub answer: Answer,
    /// How urgent it is (RFC 9218), by [`delivery::PLAYLIST_URGENCY`] or [`delivery::urgency`].
    pub urgency: u8,
    /// When the origin published it, microseconds of its Unix time.
    pub available_us: Option<u64>,
    /// How long a cache of ours has had it; `None` at the origin.
    pub age: Option<Duration>,
    /// The stream's target duration, which cache lives are counted in.
    pub target_duration: Duration,
}

/// What is found.
#[derive(Debug)]
pub enum Content {
    /// A playlist: compressed for who accepts that.
    Text(Form),
    /// Media: never compressed, and given in ranges. Under one URL it never changes.
    Media(Body),
}

impl Found {
    /// A playlist as it is now, at the origin.
    pub fn playlist(form: Form, target_duration: Duration) -> Self {
        Self {
            content: Content::Text(form),
            kind: delivery::PLAYLIST_TYPE,
            answer: Answer::Plain,
            urgency: delivery::PLAYLIST_URGENCY,
            available_us: None,
            age: None,
            target_duration,
        }
    }

    /// To be waited for before [`success`], so that a long playlist is not compressed there.
    pub fn ready(&self, asked: &HeaderMap) -> impl Future<Output = ()> + use<> {
        let form = match &self.content {
            Content::Text(form) if accepts_gzip(asked) => Some(form.clone()),
            Content::Text(_) | Content::Media(_) => None,
        };
        async move {
            if let Some(form) = form {
                form.compress().await;
            }
        }
    }

    /// A content key.
    pub fn key(body: Body) -> Self {
        Self {
            content: Content::Media(body),
            kind: delivery::KEY_TYPE,
            answer: Answer::Key,
            urgency: delivery::PLAYLIST_URGENCY,
            available_us: None,
            age: None,
            target_duration: Duration::ZERO,
        }
    }

    /// A segment of subtitles, at the origin: shown late it is of no use, so it goes with sound.
    pub fn text(body: Body, target_duration: Duration) -> Self {
        Self {
            kind: delivery::TEXT_TYPE,
            ..Self::media(body, false, delivery::SOUND_URGENCY, target_duration)
        }
    }

    /// A thumbnail track as it is now, at the origin.
    pub fn thumbnails(form: Form, target_duration: Duration) -> Self {
        Self {
            kind: delivery::TEXT_TYPE,
            urgency: delivery::REWIND_URGENCY,
            ..Self::playlist(form, target_duration)
        }
    }

    /// A picture of a segment, at the origin.
    pub fn picture(body: Body, target_duration: Duration) -> Self {
        Self {
            kind: delivery::PICTURE_TYPE,
            ..Self::media(body, true, delivery::REWIND_URGENCY, target_duration)
        }
    }

    /// A part, segment or init segment, at the origin.
    pub fn media(body: Body, video: bool, urgency: u8, target_duration: Duration) -> Self {
        Self {
            content: Content::Media(body),
            kind: media_type(video),
            answer: Answer::Media,
            urgency,
            available_us: None,
            age: None,
            target_duration,
        }
    }
}

/// A refusal, in the words the client gets.
#[derive(Debug)]
pub struct Refused {
    /// The status.
    pub status: StatusCode,
    reason: String,
    /// Retry-After, seconds.
    later_s: Option<u32>,
    /// Whether it is for this viewer alone.
    is_personal: bool,
}

impl Refused {
    /// A refusal with its reason.
    pub fn new(status: StatusCode, reason: impl ToString) -> Self {
        Self {
            status,
            reason: reason.to_string(),
            later_s: None,
            is_personal: false,
        }
    }

    /// 403 for this viewer alone: a cache that kept it would refuse others with it.
    pub fn personal(reason: impl ToString) -> Self {
        Self {
            is_personal: true,
            ..Self::new(StatusCode::FORBIDDEN, reason)
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
fn media_type(video: bool) -> &'static str {
    if video {
        delivery::VIDEO_TYPE
    } else {
        delivery::AUDIO_TYPE
    }
}

/// The answer with what was found, as the request's headers want it; without a body for HEAD.
pub fn success<B>(found: Found, request: &Request<B>) -> Response<Body> {
    let asked = request.headers();
    let is_text = matches!(found.content, Content::Text(_));
    let (mut body, etag, is_gzip) = match found.content {
        Content::Text(form) => {
            let is_gzip = accepts_gzip(asked);
            let bytes = if is_gzip { form.gzip() } else { form.plain() };
            (Body::from(bytes.clone()), form.etag(is_gzip), is_gzip)
        }
        Content::Media(body) => {
            let etag = format!("\"{:x}\"", body.len());
            (body, etag, false)
        }
    };
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.reserve(14);
    put(headers, header::ETAG, etag.clone());
    put_cache(headers, found.answer, found.target_duration);
    headers.insert(PRIORITY, urgency(found.urgency));
    if is_text {
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    if let Some(age) = found.age {
        headers.insert(header::AGE, age.as_secs().into());
    }
    if let Some(at) = found.available_us {
        headers.insert(HeaderName::from_static(delivery::AVAILABLE), at.into());
    }
    allow_origins(headers);
    if is_known(asked, &etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(found.kind));
    if is_gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if !is_text {
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        // RFC 9110 §14.2: a range is for GET alone.
        if request.method() == Method::GET {
            let asked = range(asked, &etag, body.len());
            body = ranged(body, asked, &mut response);
        }
    }
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, body.len().into());
    if request.method() != Method::HEAD {
        *response.body_mut() = body;
    }
    response
}

/// The bytes that were asked for, with the status that says so (RFC 9110 §15.3.7, §15.5.17).
fn ranged(body: Body, asked: Asked, response: &mut Response<Body>) -> Body {
    let length = body.len();
    let (status, said, body) = match asked {
        Asked::Whole => return body,
        Asked::Part(part) => {
            let said = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            (StatusCode::PARTIAL_CONTENT, said, body.slice(part))
        }
        Asked::Unsatisfiable => {
            put_cache(response.headers_mut(), Answer::Refusal, Duration::ZERO);
            let said = format!("bytes */{length}");
            (StatusCode::RANGE_NOT_SATISFIABLE, said, Body::empty())
        }
    };
    *response.status_mut() = status;
    put(response.headers_mut(), header::CONTENT_RANGE, said);
    body
}

/// RFC 9218 §5.
const PRIORITY: HeaderName = HeaderName::from_static("priority");

/// RFC 9218 §4.1.
fn urgency(level: u8) -> HeaderValue {
    const LEVELS: [&str; 8] = ["u=0", "u=1", "u=2", "u=3", "u=4", "u=5", "u=6", "u=7"];
    HeaderValue::from_static(LEVELS.get(usize::from(level)).unwrap_or(&"u=7"))
}

fn put_cache(headers: &mut HeaderMap, answer: Answer, target_duration: Duration) {
    put(
        headers,
        header::CACHE_CONTROL,
        cache_control(answer, target_duration),
    );
}

/// What we write is visible ASCII.
fn put(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) {
        headers.insert(name, value);
    }
}

/// The answer that refuses.
pub fn refusal(refused: &Refused) -> Response<Body> {
    let Refused {
        status,
        reason,
        later_s,
        is_personal,
    } = refused;
    let mut response = Response::new(Body::from(format!("{reason}\n")));
    *response.status_mut() = *status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    put_cache(headers, Answer::Refusal, Duration::ZERO);
    if *is_personal {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
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
    let methods = HeaderValue::from_static("GET, HEAD, OPTIONS");
    headers.insert(header::ALLOW, methods.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(delivery::ALLOWED),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    allow_origins(headers);
    response
}

/// The answer that something was taken, and there is nothing to say.
pub fn nothing() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
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
