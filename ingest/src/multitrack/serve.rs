//! The port that OBS asks: one path, one method, small bodies.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use listen::Body;
use listen::Incoming;
use tokio::time::timeout;

use super::{Answer, Asked, Doors, configure, refuse};
use crate::door::Door;
use crate::ladder::Plan;

/// Where OBS posts to.
pub(crate) const PATH: &str = "/multitrack";
/// OBS sends 2 kB, and more with many graphics cards.
const BODY_BYTES_MAX: usize = 64 << 10;
/// For a body to arrive; OBS itself waits 5 s for the answer.
const BODY_MAX: Duration = Duration::from_secs(5);

/// Answers every OBS.
pub(crate) struct Desk {
    pub(crate) door: Arc<Door>,
    pub(crate) plan: Plan,
    /// OBS's name of the encoder to use.
    pub(crate) encoder: String,
    pub(crate) rtmp: u16,
    pub(crate) rtmps: Option<u16>,
}

impl Desk {
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        if request.uri().path() != PATH {
            return plain(StatusCode::NOT_FOUND, "OBS asks at /multitrack\n");
        }
        if request.method() != Method::POST {
            return plain(
                StatusCode::METHOD_NOT_ALLOWED,
                "OBS posts its configuration here\n",
            );
        }
        let host = host(request.headers().get(HOST));
        let body = timeout(
            BODY_MAX,
            Limited::new(request.into_body(), BODY_BYTES_MAX).collect(),
        )
        .await;
        let answer = match body {
            Ok(Ok(body)) => self.configure(&body.to_bytes(), host),
            Ok(Err(_)) | Err(_) => refuse("", "The request is too long or too slow."),
        };
        json(&answer)
    }

    /// OBS shows an answer's words only if it was sent as a success.
    fn configure(&self, body: &[u8], host: Option<String>) -> Answer {
        let asked: Asked = match serde_json::from_slice(body) {
            Ok(asked) => asked,
            Err(_) => return refuse("", "This is not what OBS asks with."),
        };
        let grant = match self.door.peek(&asked.authentication) {
            Ok(grant) => grant,
            Err(refused) => return refuse("", &format!("The stream key is refused: {refused}.")),
        };
        if self.plan.form(&grant.stream).is_none() {
            return refuse(
                "",
                "This stream takes one picture and makes the others itself: switch Enhanced Broadcasting off.",
            );
        }
        let Some(host) = host else {
            return refuse("", "The request does not say which host it was sent to.");
        };
        let doors = Doors {
            host,
            rtmp: self.rtmp,
            rtmps: self.rtmps,
        };
        tracing::info!(stream = %grant.stream, "an encoder is told the ladder");
        configure(&asked, &self.plan, &self.encoder, &doors)
    }
}

/// The host as the client calls it, without its port.
fn host(header: Option<&HeaderValue>) -> Option<String> {
    let text = header?.to_str().ok()?;
    let authority: hyper::http::uri::Authority = text.parse().ok()?;
    let host = authority.host();
    (!host.is_empty()).then(|| host.to_owned())
}

fn json(answer: &Answer) -> Response<Body> {
    let text = serde_json::to_vec(answer).unwrap_or_default();
    let mut response = Response::new(Body::from(Bytes::from(text)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn plain(status: StatusCode, words: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from_static(words.as_bytes())));
    *response.status_mut() = status;
    response
}
