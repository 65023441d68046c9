//! How the services of one process are put together. They meet on sockets only, as they would between hosts.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

#[cfg(any(feature = "packager", feature = "edge", feature = "ingest"))]
use anyhow::Context as _;
#[cfg(feature = "ingest")]
use hls::id::StreamId;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::data::Data;

/// A service at work: ends on shutdown, or with the reason it failed.
pub(crate) type Service = (
    &'static str,
    Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>,
);

/// Opens the packager's ports; returns where ingests and edges connect, and what it answers operators.
#[cfg(feature = "packager")]
pub(crate) async fn packager(
    config: &Config,
    data: &Data,
    secret: &str,
    shutdown: &CancellationToken,
) -> anyhow::Result<(Service, SocketAddr, SocketAddr, axum::Router)> {
    let settings = packager::Config {
        feed: config.packager.feed.clone(),
        dvr: config.packager.dvr.clone(),
        cmaf: config.packager.cmaf.clone(),
        archive: config.packager.archive.clone(),
        origin: config.origin.clone(),
        data_dir: Some(data.dir().to_owned()),
        encryption: config.packager.encryption.clone(),
        steering: config.packager.steering.clone(),
        subtitles: config.packager.subtitles.clone(),
    };
    let packager = packager::Packager::bind(settings, secret.as_bytes().to_vec()).await?;
    let feed = packager.feed_address().context("feed port")?;
    let origin = packager.origin_address();
    let clips = packager.archive().map(crate::clips::routes).unwrap_or_default();
    let subtitles = packager.subtitles().map(crate::subtitles::routes);
    let api = clips.merge(subtitles.unwrap_or_default());
    let run = packager.run(shutdown.clone());
    let service: Service = (
        "packager",
        Box::pin(async move {
            run.await;
            Ok(())
        }),
    );
    Ok((service, feed, origin, api))
}

/// Opens the edge's ports; returns where viewers connect.
#[cfg(feature = "edge")]
pub(crate) async fn edge(
    config: &Config,
    data: &Data,
    shutdown: &CancellationToken,
) -> anyhow::Result<(Service, SocketAddr, Option<SocketAddr>, fanout::Control)> {
    let mut settings = config.edge.clone();
    settings.tokens.keys = Some(crate::token::file(config));
    let edge = fanout::Edge::bind(settings, Some(certificate(config, data)?)).await?;
    let (http, https) = (edge.http_address(), edge.https_address());
    let control = edge.control();
    let run = edge.run(shutdown.clone());
    let service: Service = (
        "edge",
        Box::pin(async move {
            run.await;
            Ok(())
        }),
    );
    Ok((service, http, https, control))
}

/// The certificate of viewers' and encoders' ports: the operator's, else one made on the first run.
#[cfg(any(feature = "edge", feature = "ingest"))]
fn certificate(config: &Config, data: &Data) -> anyhow::Result<std::sync::Arc<rustls::ServerConfig>> {
    let loaded = match (&config.tls.certificate, &config.tls.key) {
        (Some(certificate), Some(key)) => listen::tls::load(certificate, key),
        (_, _) => {
            let _made_by_one = data.lock()?;
            let names = vec!["localhost".to_owned(), "ringside.local".to_owned()];
            listen::tls::self_signed(&data.dir().join("tls"), names)
        }
    };
    loaded.context("TLS (config keys `tls.certificate` and `tls.key`)")
}

/// Starts the ingest on its test picture; returns where encoders connect.
#[cfg(feature = "ingest")]
pub(crate) async fn ingest(
    config: &Config,
    data: &Data,
    stream: &StreamId,
    key: &str,
    secret: &str,
    shutdown: &CancellationToken,
) -> anyhow::Result<(Service, ingest::Ports, ingest::Control)> {
    let ingest = ingest::Ingest {
        config: config.ingest.clone(),
        ladder: config.ladder.clone(),
        profile: config.profile,
        stream: stream.clone(),
        keys: ingest::Keys::new(vec![(key.to_owned(), stream.clone())]),
        feed_secret: secret.as_bytes().to_vec(),
        data_dir: data.dir().to_owned(),
        tls: Some(certificate(config, data)?),
        shutdown: shutdown.clone(),
    };
    let running = ingest.start().await?;
    let (ports, control) = (running.ports(), running.control());
    let service: Service = ("ingest", Box::pin(async move { Ok(running.join().await?) }));
    Ok((service, ports, control))
}
