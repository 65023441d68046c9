//! Every role in one process, or one role alone: open all ports, start, tell, wait, drain.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use hls::id::StreamId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::announce::{self, Places, Publishers};
use crate::config::{Config, Loaded};
use crate::data::{self, Data};
use crate::ops::{self, Ready};
use crate::parts::{self, Service};

/// How long the test picture may take to be watchable.
const START: Duration = Duration::from_secs(30);
/// How long services may take to drain before they are left behind.
const DRAIN: Duration = Duration::from_secs(10);

/// Which services run in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Roles {
    pub(crate) ingest: bool,
    pub(crate) packager: bool,
    pub(crate) edge: bool,
}

impl Roles {
    pub(crate) const ALL: Self = Self {
        ingest: true,
        packager: true,
        edge: true,
    };
    pub(crate) const NONE: Self = Self {
        ingest: false,
        packager: false,
        edge: false,
    };

    /// Fails where a role is wanted that this build does not have.
    fn are_built(self) -> anyhow::Result<()> {
        let wanted = [
            ("ingest", self.ingest, cfg!(feature = "ingest")),
            ("packager", self.packager, cfg!(feature = "packager")),
            ("edge", self.edge, cfg!(feature = "edge")),
        ];
        for (name, wanted, built) in wanted {
            anyhow::ensure!(
                built || !wanted,
                "this binary was built without the feature `{name}`"
            );
        }
        Ok(())
    }
}

/// Runs until a signal, or until a service fails.
pub(crate) fn run(loaded: Loaded, roles: Roles) -> anyhow::Result<()> {
    raise_descriptors();
    let metrics = ops::install()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("runtime")?;
    let ran = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let ready = Ready::default();
        let mut up = Up::start(loaded.config, roles, &shutdown).await?;
        let ops = ops::serve(
            up.ops.take().context("ops port")?,
            std::mem::take(&mut up.api),
            ready.clone(),
            metrics,
            shutdown.clone(),
        );
        up.spawn(("ops", Box::pin(ops)));
        up.run(&ready, &shutdown).await
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    ran
}

/// One descriptor a viewer: take as many as the system lets us have.
fn raise_descriptors() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "descriptors"),
        Err(error) => tracing::warn!(%error, "the limit of open descriptors stays as it is"),
    }
}

struct Up {
    data: Data,
    stream: StreamId,
    key: String,
    services: JoinSet<(&'static str, anyhow::Result<()>)>,
    ops: Option<tokio::net::TcpListener>,
    /// What the services answer on the operators' port.
    api: axum::Router,
    /// Lets the edge of this process answer without a playback token.
    tier_secret: Option<String>,
    /// All of it, where every role runs here.
    places: Option<Places>,
}

/// Where the services of this process listen.
#[derive(Default)]
struct Ports {
    feed: Option<SocketAddr>,
    origin: Option<SocketAddr>,
    viewers: Option<(SocketAddr, Option<SocketAddr>)>,
    publishers: Option<Publishers>,
}

impl Up {
    /// Opens every port before anything is served, so that a taken one is found at once.
    async fn start(config: Config, roles: Roles, shutdown: &CancellationToken) -> anyhow::Result<Self> {
        roles.are_built()?;
        let data = Data::open(&config.data.dir)?;
        let secret = secret(&config, roles)?;
        let ops = bind_ops(config.ops.listen).await?;
        // One left by a process that was killed must not pass for ours.
        data.remove(announce::FILE);
        let mut up = Self {
            key: data.stream_key()?,
            stream: StreamId::new("main")?,
            data,
            services: JoinSet::new(),
            ops: None,
            api: axum::Router::new(),
            tier_secret: None,
            places: None,
        };
        let ports = up.open(config, roles, &secret, shutdown).await?;
        if let (Some(origin), Some((http, https)), Some(publishers)) =
            (ports.origin, ports.viewers, ports.publishers)
        {
            let ops = ops.local_addr().context("ops port")?;
            let (stream, stream_key) = (up.stream.to_string(), up.key.clone());
            up.places = Some(Places {
                stream,
                stream_key,
                publishers,
                http,
                https,
                origin,
                ops,
            });
        }
        up.ops = Some(ops);
        Ok(up)
    }

    /// Packager, edge, ingest: each is told where the one before it listens.
    async fn open(
        &mut self,
        mut config: Config,
        roles: Roles,
        secret: &str,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Ports> {
        let mut ports = Ports::default();
        #[cfg(feature = "packager")]
        if roles.packager {
            let (service, feed, origin, api) = parts::packager(&config, &self.data, secret, shutdown).await?;
            self.spawn(service);
            self.serve(api);
            (ports.feed, ports.origin) = (Some(feed), Some(origin));
        }
        #[cfg(feature = "edge")]
        if roles.edge {
            if let (true, Some(origin)) = (config.edge.parents.is_empty(), ports.origin) {
                config.edge.parents = vec![format!("http://{origin}")];
            }
            anyhow::ensure!(
                !config.edge.parents.is_empty() || !config.edge.sources.is_empty(),
                "neither edge.parents nor edge.sources names anybody to mirror"
            );
            config.edge.home.get_or_insert_with(|| self.stream.clone());
            // Who starts it asks as one of its own: it has no token.
            if config.edge.tokens.tier_secret.is_none() {
                config.edge.tokens.tier_secret = Some(data::secret(16)?);
            }
            self.tier_secret = config.edge.tokens.tier_secret.clone();
            let (service, http, https, control) = parts::edge(&config, &self.data, shutdown).await?;
            self.spawn(service);
            self.serve(crate::edge_api::routes(control));
            ports.viewers = Some((http, https));
        }
        #[cfg(feature = "ingest")]
        if roles.ingest {
            if let Some(feed) = ports.feed {
                config.ingest.packagers = vec![feed];
            }
            let (stream, key) = (&self.stream, &self.key);
            let started = parts::ingest(&config, &self.data, stream, key, secret, shutdown);
            let (service, open, control) = started.await?;
            let srt_passphrase = config.ingest.srt.passphrase;
            self.spawn(service);
            self.serve(crate::api::routes(control));
            ports.publishers = Some(Publishers {
                rtmp: open.rtmp,
                rtmps: open.rtmps,
                srt: open.srt,
                multitrack: open.multitrack,
                srt_passphrase,
            });
        }
        Ok(ports)
    }

    /// Adds to what the operators' port answers.
    #[cfg(any(feature = "edge", feature = "ingest"))]
    fn serve(&mut self, routes: axum::Router) {
        self.api = std::mem::take(&mut self.api).merge(routes);
    }

    fn spawn(&mut self, (name, service): Service) {
        self.services.spawn(async move { (name, service.await) });
    }

    async fn run(mut self, ready: &Ready, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let ended = tokio::select! {
            ended = tell(self.places.clone(), self.tier_secret.as_deref(), &self.data, ready) => ended,
            ended = first_end(&mut self.services) => ended,
            signal = stop_signal() => signal,
        };
        ready.set(false);
        self.data.remove(announce::FILE);
        shutdown.cancel();
        let drained = timeout(DRAIN, async {
            while self.services.join_next().await.is_some() {}
        })
        .await;
        if drained.is_err() {
            tracing::warn!(
                left = self.services.len(),
                "services left behind after the drain's grace"
            );
        }
        ended
    }
}

/// Says where everything is once the test picture can be watched. Resolves only when it cannot.
async fn tell(
    places: Option<Places>,
    tier_secret: Option<&str>,
    data: &Data,
    ready: &Ready,
) -> anyhow::Result<()> {
    if let Some(places) = places {
        let path = format!("/live/{}/index.m3u8", places.stream);
        let watchable = timeout(
            START,
            watchable(places.http, &path, tier_secret.unwrap_or_default()),
        )
        .await;
        watchable.with_context(|| format!("no picture within {} s", START.as_secs()))?;
        data.write(announce::FILE, &places.json())?;
        // Nobody may be reading; the stream goes on all the same.
        let _printed_if_possible = std::io::stdout().write_all(places.card().as_bytes());
    }
    ready.set(true);
    std::future::pending().await
}

/// Asks until the playlist answers 200.
async fn watchable(edge: SocketAddr, path: &str, tier_secret: &str) {
    let mut host = edge;
    if host.ip().is_unspecified() {
        host.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    while !answers(host, path, tier_secret).await.unwrap_or(false) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn answers(edge: SocketAddr, path: &str, tier_secret: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(edge).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {edge}\r\nringside-tier: {tier_secret}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    Ok(head.ends_with(b" 200"))
}

async fn first_end(services: &mut JoinSet<(&'static str, anyhow::Result<()>)>) -> anyhow::Result<()> {
    match services.join_next().await {
        Some(Ok((name, Ok(())))) => anyhow::bail!("{name} ended by itself"),
        Some(Ok((name, Err(error)))) => Err(error.context(name)),
        Some(Err(panic)) => Err(panic).context("a service panicked"),
        None => anyhow::bail!("nothing runs"),
    }
}

async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn bind_ops(address: SocketAddr) -> anyhow::Result<tokio::net::TcpListener> {
    let bound = tokio::net::TcpListener::bind(address).await;
    bound.with_context(|| format!("ops cannot listen on {address} (config key `ops.listen`)"))
}

/// The feed's secret: configured where roles run apart, made up where they run together.
fn secret(config: &Config, roles: Roles) -> anyhow::Result<String> {
    match &config.feed.secret {
        Some(secret) => Ok(secret.clone()),
        None if roles.ingest && roles.packager => data::secret(32),
        None if roles.ingest || roles.packager => {
            anyhow::bail!("feed.secret is not set; ingest and packager share it")
        }
        None => Ok(String::new()),
    }
}
