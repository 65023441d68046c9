//! How a parent is asked: HTTP/2 over one connection, with a bound on time and bytes.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use hls::delivery::AVAILABLE;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use listen::playlist::Forms;
use tokio::time::{Instant, timeout};

use crate::rewind::Listed;

use crate::metrics::Meter;
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
}

impl Error {
    /// Whether the parent is well and merely has nothing new yet.
    pub(crate) fn is_wait(&self) -> bool {
        matches!(self, Self::Status(StatusCode::SERVICE_UNAVAILABLE))
    }
}

/// The parents of this edge.
pub(crate) struct Parents {
    client: Client<HttpConnector, Empty<Bytes>>,
    base: Option<String>,
    /// Tells this edge apart in the parent's books.
    name: String,
    /// Said to parents, which then want no token; none where edges share none.
    tier_secret: Option<http::HeaderValue>,
    meter: Meter,
}

impl Parents {
    pub(crate) fn new(parents: &[String], tier_secret: Option<&str>, meter: Meter) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let client = Client::builder(TokioExecutor::new())
            .http2_only(true)
            .timer(TokioTimer::new())
            .http2_initial_stream_window_size(WINDOW_BYTES)
            .http2_initial_connection_window_size(WINDOW_BYTES * 4)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .http2_keep_alive_timeout(Duration::from_secs(5))
            .build(connector);
        let mut id = [0; 8];
        // Only tells edges apart in books and logs; zeros would merge two of them there and nothing else.
        let _unnamed_is_fine = getrandom::fill(&mut id);
        let name = format!("edge-{:016x}", u64::from_be_bytes(id));
        let base = parents
            .first()
            .map(|parent| parent.trim_end_matches('/').to_owned());
        Self {
            client,
            base,
            name,
            tier_secret: tier_secret.and_then(sensitive),
            meter,
        }
    }

    /// One GET, answered within `wait` or not at all.
    pub(crate) async fn get(&self, path: &str, query: Option<&str>, wait: Duration) -> Result<Object, Error> {
        let asked = timeout(wait, self.ask(path, query))
            .await
            .unwrap_or(Err(Error::Late(wait)));
        match &asked {
            Ok(_) => self.meter.upstream_objects.increment(1),
            Err(_) => self.meter.upstream_failures.increment(1),
        }
        asked
    }

    async fn ask(&self, path: &str, query: Option<&str>) -> Result<Object, Error> {
        let base = self.base.as_deref().ok_or(Error::NoParent)?;
        let uri: Uri = match query {
            Some(query) => format!("{base}{path}?{query}"),
            None => format!("{base}{path}"),
        }
        .parse()
        .map_err(|error: http::uri::InvalidUri| Error::Url(error.into()))?;
        let mut request = Request::get(uri).header("ringside-child", &self.name);
        if let Some(secret) = &self.tier_secret {
            request = request.header(TIER, secret);
        }
        let request = request.body(Empty::new()).map_err(Error::Url)?;
        self.meter.upstream_requests.increment(1);
        let response = self.client.request(request).await.map_err(Error::Connection)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Error::Missing),
            other => return Err(Error::Status(other)),
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
        })
    }
}

/// A header that no log shows and no table of HPACK keeps.
fn sensitive(secret: &str) -> Option<http::HeaderValue> {
    let mut value = http::HeaderValue::try_from(secret).ok()?;
    value.set_sensitive(true);
    Some(value)
}
