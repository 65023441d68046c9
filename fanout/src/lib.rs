//! The edge: one mirror for each track somebody watches, and any number of viewers answered from it.
//!
//! # Code map
//! | module | question it answers |
//! |---|---|
//! | `admission` | who is served when not everybody can be; PURE decisions in `gate` |
//! | `clients` | what one connection may take |
//! | [`config`] | what an operator can set |
//! | `edge` | what a viewer's request is answered |
//! | `streams` | which streams and tracks are mirrored now |
//! | `mirror` | how one track of the parent is followed |
//! | `follow` | PURE: what a parent's playlist means for the next request |
//! | `track` | which bytes of a track are here |
//! | `fetch` | how an object that is not live is fetched once for all |
//! | `rewind` | the same for what has left the live window |
//! | `parents` | which parent is asked, and when another one is |
//! | `standing` | PURE: which parents are well |
//! | `routes` | who is asked for a stream: our parents, or an origin that is not ours |
//! | `source` | how an origin that is not ours is asked |
//! | `foreign` | PURE: what it calls things, and what we do |
//! | `upstream` | how a parent is asked |
//! | `page` | the watch page |
//! | `control` | what an operator sees and sets |
//! | `telemetry` | what players report |
//! | `tokens` | who may play; PURE decisions in `gate` |
//!
//! # Life of a request
//! `listen` -> `edge` (parse the path) -> `tokens` (may this viewer) -> `admission` (is there room) -> `streams` (find or start the mirror) -> `hls::reload` (now, later or
//! never) -> shared bytes.
//!
//! # Invariants
//! - A viewer never causes an upstream request at the live edge: playlists and new parts come from mirrors only.
//! - Everything else is fetched through `flight`, once, whoever asks and leaves; coalescing fails closed.
//! - A version reaches viewers as the parent wrote it, byte for byte, or as its delta update makes it; what a delta
//!   update leaves out of it is decided here, by the same code as at the origin. Of an origin that is not ours the URIs
//!   are ours, and the rest is its own.
//! - A waiting viewer has a deadline and dies with its connection.
//! - Names nobody publishes cost a bounded table and a bounded number of questions to the parent.

mod admission;
mod clients;
pub mod config;
mod control;
mod edge;
mod fetch;
mod follow;
mod foreign;
mod metrics;
mod mirror;
mod page;
mod parents;
mod rewind;
mod routes;
mod source;
mod standing;
mod streams;
mod telemetry;
mod tokens;
mod track;
mod upstream;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::Config;
pub use control::{Control, Report};
pub use tokens::Error as TokensError;

/// An edge whose ports are open.
pub struct Edge {
    http: listen::Listener,
    https: Option<(listen::Listener, Arc<rustls::ServerConfig>)>,
    config: Config,
    tokens: Arc<tokens::Tokens>,
    gate: Arc<admission::Gate>,
    telemetry: Arc<telemetry::Telemetry>,
}

/// Why an edge does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A port cannot be had.
    #[error(transparent)]
    Listen(#[from] listen::Error),
    /// The keys of playback tokens cannot be used.
    #[error(transparent)]
    Tokens(#[from] TokensError),
}

impl Edge {
    /// Opens the ports: HTTP, and HTTPS where a certificate is given. Nothing is served before [`Edge::run`].
    pub async fn bind(config: Config, tls: Option<Arc<rustls::ServerConfig>>) -> Result<Self, Error> {
        let tokens = Arc::new(tokens::Tokens::open(&config.tokens)?);
        let http = listen::bind("http", "edge.http.listen", config.http.listen).await?;
        let https = match tls {
            None => None,
            Some(tls) => Some((
                listen::bind("https", "edge.https.listen", config.https.listen).await?,
                tls,
            )),
        };
        let limit = config.connections_max;
        let listeners = [Some(&http), https.as_ref().map(|(listener, _)| listener)];
        let connections = listeners.into_iter().flatten();
        let connections = connections.map(|listener| admission::Connections {
            open: listener.open(),
            limit,
        });
        let gate = admission::Gate::new(config.admission.clone(), connections.collect());
        let telemetry = telemetry::Telemetry::new(config.telemetry, config.streams_max);
        Ok(Self {
            telemetry: Arc::new(telemetry),
            http,
            https,
            config,
            tokens,
            gate: Arc::new(gate),
        })
    }

    /// Where plain HTTP is served.
    pub fn http_address(&self) -> SocketAddr {
        self.http.address()
    }

    /// Where HTTPS is served, if it is.
    pub fn https_address(&self) -> Option<SocketAddr> {
        self.https.as_ref().map(|(listener, _)| listener.address())
    }

    /// What an operator sees and sets while it runs.
    pub fn control(&self) -> Control {
        Control {
            gate: Arc::clone(&self.gate),
            telemetry: Arc::clone(&self.telemetry),
        }
    }

    /// Serves until `shutdown`; returns once requests under way and mirrors have ended.
    pub async fn run(self, shutdown: CancellationToken) {
        let tasks = TaskTracker::new();
        let limits = self
            .config
            .clients
            .limits(self.config.connections_max, self.config.idle());
        let streams = streams::Streams::new(&self.config, tasks.clone(), shutdown.clone());
        tasks.spawn(Arc::clone(&self.tokens).follow(shutdown.clone()));
        tasks.spawn(Arc::clone(&self.gate).measure(shutdown.clone()));
        tasks.spawn(Arc::clone(&self.telemetry).follow(shutdown.clone()));
        let edge = edge::Edge::new(edge::Shared {
            streams,
            tokens: self.tokens,
            gate: self.gate,
            telemetry: self.telemetry,
            home: self.config.home.clone(),
            shutdown: shutdown.clone(),
        });
        if let Some((https, tls)) = self.https {
            let (edge, shutdown) = (edge.clone(), shutdown.clone());
            let https = https.exempt(self.config.clients.exempts());
            tasks.spawn(https.serve(Some(tls), limits, shutdown, move |request| {
                edge.clone().answer(request)
            }));
        }
        self.http
            .exempt(self.config.clients.exempts())
            .serve(None, limits, shutdown, move |request| {
                edge.clone().answer(request)
            })
            .await;
        tasks.close();
        tasks.wait().await;
    }
}
