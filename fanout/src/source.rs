//! How an origin that is not ours is asked: plain HTTP/1.1, by the names its playlists gave, and with no word of ours.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hls::id::StreamId;
use hls::path::{Directives, Resource};
use http::header::ACCEPT_ENCODING;
use http::{Request, Uri};
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use listen::playlist::Forms;
use tokio::sync::watch;
use tokio::time::Instant;
use url::Url;

use crate::foreign::{self, Names};
use crate::metrics::Meter;
use crate::upstream::{Error, Object, connector, read};

/// Connections kept for the next request; those in use are bounded by flights and mirrors.
const IDLE_MAX: usize = 32;
const IDLE: Duration = Duration::from_secs(30);

/// An origin that is not ours.
pub(crate) struct Source {
    pub(crate) playlist: Url,
    stream: StreamId,
    client: Client<HttpConnector, Empty<Bytes>>,
    /// Never held across an await.
    names: Mutex<Names>,
    /// Playlists that are not passed on, and why; one for each rendition at most.
    refused: watch::Sender<BTreeMap<Resource, String>>,
    meter: Meter,
}

impl Source {
    pub(crate) fn new(stream: StreamId, playlist: Url, meter: Meter) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector());
        Self {
            names: Mutex::new(Names::new(playlist.clone())),
            playlist,
            stream,
            client,
            refused: watch::Sender::default(),
            meter,
        }
    }

    /// What the origin has under one of our paths; playlists in our names.
    pub(crate) async fn get(&self, path: &str, query: Option<&str>) -> Result<Object, Error> {
        let resource = Resource::parse(path).ok_or(Error::Unnamed)?;
        let mut url = self.names().url(&resource).cloned().ok_or(Error::Unnamed)?;
        if let Some(asked) = query.and_then(directives) {
            let all = url.query().map_or(asked.clone(), |own| format!("{own}&{asked}"));
            url.set_query(Some(&all));
        }
        let uri: Uri = url
            .as_str()
            .parse()
            .map_err(|error: http::uri::InvalidUri| Error::Url(error.into()))?;
        let request = Request::get(uri).header(ACCEPT_ENCODING, "identity");
        let request = request.body(Empty::new()).map_err(Error::Url)?;
        self.meter.upstream_requests.increment(1);
        let asked = Instant::now();
        let response = self.client.request(request).await.map_err(Error::Connection)?;
        let object = read(response, asked).await?;
        let is_playlist = matches!(resource, Resource::Multivariant(_) | Resource::Media(..));
        let bytes = if is_playlist {
            self.translated(&resource, &object.bytes)?
        } else {
            object.bytes
        };
        Ok(Object {
            forms: Forms::of_recording(bytes.clone()),
            bytes,
            // Its clock is not ours, whatever it says.
            available_us: None,
            ..object
        })
    }

    /// Whether a playlist is not passed on.
    pub(crate) fn refuses(&self, playlist: &Resource) -> bool {
        self.refused.borrow().contains_key(playlist)
    }

    /// Waits until a playlist is not passed on.
    pub(crate) async fn refusal(&self, playlist: &Resource) {
        let mut refused = self.refused.subscribe();
        // The sender lives as long as this.
        let _refused = refused.wait_for(|refused| refused.contains_key(playlist)).await;
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn translated(&self, resource: &Resource, bytes: &[u8]) -> Result<Bytes, Error> {
        let translated = match (resource, std::str::from_utf8(bytes)) {
            (_, Err(_)) => Err(foreign::Error::Text),
            (Resource::Media(_, track), Ok(text)) => self.names().media(track, text),
            (_, Ok(text)) => self.names().multivariant(text),
        };
        let why = translated.as_ref().err().map(ToString::to_string);
        let is_new = self.refused.send_if_modified(|refused| {
            let before = match &why {
                Some(why) => refused.insert(resource.clone(), why.clone()),
                None => refused.remove(resource),
            };
            before != why
        });
        if let (true, Some(why)) = (is_new, &why) {
            tracing::warn!(stream = %self.stream, playlist = %resource.path(), why, "a source's playlist is refused");
        }
        translated.map(Bytes::from).map_err(Error::Refused)
    }
}

/// The directives that a source is asked with: whole playlists, whose every name can be learned.
fn directives(query: &str) -> Option<String> {
    let all = Directives::parse(query).ok()?;
    Directives { skip: None, ..all }.query()
}
