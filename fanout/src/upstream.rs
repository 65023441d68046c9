//! How a parent is asked: HTTP/2 over one connection, with a bound on time and bytes.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use hls::delivery::AVAILABLE;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use listen::playlist::Forms;
use tokio::time::Instant;

use crate::foreign;
use crate::metrics::{Fault, Meter};
use crate::rewind::Listed;
use crate::tokens::TIER;

/// Largest object taken from a parent, bytes.
const OBJECT_BYTES_MAX: usize = 64 << 20;
/// A part of a high rung fits a window, so its sender never waits for us.
const WINDOW_BYTES: u32 = 8 << 20;
const CONNECT: Duration = Duration::from_secs(3);

/// Something a parent gave.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    /// The same as a text, where it is one.
    pub(crate) forms: Forms,
    /// What it lists, where it is a playlist of a recording and somebody asked.
    pub(crate) listed: Arc<OnceLock<Listed>>,
    /// When the origin published it, microseconds of its Unix time.
    pub(crate) available_us: Option<u64>,
    pub(crate) received: Instant,
    /// Which parent gave it, by its place in the configuration.
    pub(crate) parent: usize,
    /// From the request to the answer's head.
    pub(crate) trip: Duration,
}

/// Why a parent gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no parent is configured")]
    NoParent,
    #[error("the parent does not have it")]
    Missing,
    #[error("the parent answered {0}")]
    Status(StatusCode),
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("the parent cannot be reached")]
    Connection(#[source] hyper_util::client::legacy::Error),
    #[error("the parent's answer broke off, or is longer than {OBJECT_BYTES_MAX} bytes")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("not a URL")]
    Url(#[source] http::Error),
    #[error("the answer is encoded ({0}), which nobody asked for")]
    Encoded(String),
    #[error("the playlist is refused")]
    Refused(#[source] foreign::Error),
    #[error("no playlist of the source names it")]
    Unnamed,
    #[error("the parent lists it, and did not have it in time")]
    Overdue,
    #[error("shutting down")]
    Shutdown,
}

impl Error {
    /// Whether the parent is well and merely has nothing new yet.
    pub(crate) fn is_wait(&self) -> bool {
        matches!(self, Self::Status(StatusCode::SERVICE_UNAVAILABLE))
    }

    /// Whether the parent itself is ill, whatever it was asked for.
    pub(crate) fn is_fault(&self) -> bool {
        match self {
            Self::Connection(_) | Self::Body(_) | Self::Encoded(_) => true,
            Self::Status(status) => status.is_server_error() && !self.is_wait(),
            Self::NoParent
            | Self::Missing
            | Self::Late(_)
            | Self::Url(_)
            | Self::Overdue
            | Self::Refused(_)
            | Self::Unnamed
            | Self::Shutdown => false,
        }
    }

    /// What is counted for it.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Missing | Self::Overdue | Self::Unnamed => Fault::Missing,
            Self::Encoded(_) => Fault::Encoded,
            Self::Refused(_) => Fault::Refused,
            Self::Status(_) => Fault::Status,
            Self::Late(_) => Fault::Late,
            Self::Body(_) => Fault::Body,
            Self::NoParent | Self::Connection(_) | Self::Url(_) | Self::Shutdown => Fault::Connection,
        }
    }
}

/// Asks one parent at a time.
pub(crate) struct Upstream {
    client: Client<HttpConnector, Empty<Bytes>>,
    /// Tells this edge apart in the parent's books.
    name: String,
    /// Said to parents, which then want no token; none where edges share none.
    tier_secret: Option<http::HeaderValue>,
    meter: Meter,
}

impl Upstream {
    pub(crate) fn new(tier_secret: Option<&str>, meter: Meter) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .http2_only(true)
            .timer(TokioTimer::new())
            .http2_initial_stream_window_size(WINDOW_BYTES)
            .http2_initial_connection_window_size(WINDOW_BYTES * 4)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .http2_keep_alive_timeout(Duration::from_secs(5))
            .build(connector());
        let mut id = [0; 8];
        // Only tells edges apart in books and logs; zeros would merge two of them there and nothing else.
        let _unnamed_is_fine = getrandom::fill(&mut id);
        Self {
            client,
            name: format!("edge-{:016x}", u64::from_be_bytes(id)),
            tier_secret: tier_secret.and_then(sensitive),
            meter,
        }
    }

    /// One GET of a path below a parent's URL.
    pub(crate) async fn get(&self, base: &str, path: &str, query: Option<&str>) -> Result<Object, Error> {
        let uri: Uri = match query {
            Some(query) => format!("{base}{path}?{query}"),
            None => format!("{base}{path}"),
        }
        .parse()
        .map_err(|error: http::uri::InvalidUri| Error::Url(error.into()))?;
        let mut request = Request::get(uri)
            .header("ringside-child", &self.name)
            .header(ACCEPT_ENCODING, "identity");
        if let Some(secret) = &self.tier_secret {
            request = request.header(TIER, secret);
        }
        let request = request.body(Empty::new()).map_err(Error::Url)?;
        self.meter.upstream_requests.increment(1);
        let asked = Instant::now();
        let response = self.client.request(request).await.map_err(Error::Connection)?;
        read(response, asked).await
    }
}

/// Connections to whoever is asked.
pub(crate) fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    connector
}

/// An answer, whole and as it is meant.
pub(crate) async fn read(response: Response<Incoming>, asked: Instant) -> Result<Object, Error> {
    let trip = asked.elapsed();
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Error::Missing),
        other => return Err(Error::Status(other)),
    }
    let encodings = response.headers().get_all(CONTENT_ENCODING);
    if let Some(encoding) = encodings.into_iter().find(|encoding| *encoding != "identity") {
        return Err(Error::Encoded(
            String::from_utf8_lossy(encoding.as_bytes())
                .chars()
                .take(32)
                .collect(),
        ));
    }
    let stamp = response
        .headers()
        .get(AVAILABLE)
        .and_then(|value| value.to_str().ok());
    let available_us = stamp.and_then(|text| text.parse().ok());
    let bytes = Limited::new(response.into_body(), OBJECT_BYTES_MAX)
        .collect()
        .await;
    let bytes = bytes.map_err(Error::Body)?.to_bytes();
    Ok(Object {
        forms: Forms::of_recording(bytes.clone()),
        listed: Arc::default(),
        bytes,
        available_us,
        received: Instant::now(),
        parent: 0,
        trip,
    })
}

/// A header that no log shows and no table of HPACK keeps.
fn sensitive(secret: &str) -> Option<http::HeaderValue> {
    let mut value = http::HeaderValue::try_from(secret).ok()?;
    value.set_sensitive(true);
    Some(value)
}
