//! The operators' port: alive, ready, metrics, version, and what services answer there. Loopback only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// Upper bounds of all histograms, seconds: from a wake-up to the longest wait.
const BUCKETS: [f64; 14] = [
    0.000_1, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 10.0,
];
/// Upper bounds of what players report of themselves, seconds.
const PLAYER_BUCKETS: [f64; 12] = [0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0, 30.0, 60.0];
/// Upper bounds of throughput, bits a second.
const THROUGHPUT_BUCKETS: [f64; 9] = [2.5e5, 5e5, 1e6, 2e6, 4e6, 8e6, 16e6, 32e6, 1e8];
/// How often histograms are folded, which bounds their memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// Whether this process should be sent work.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ready(Arc<AtomicBool>);

impl Ready {
    pub(crate) fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }
}

#[derive(Clone)]
struct Ops {
    ready: Ready,
    metrics: PrometheusHandle,
}

/// Makes this process keep metrics. Once, before any service starts.
pub(crate) fn install() -> anyhow::Result<PrometheusHandle> {
    let builder = PrometheusBuilder::new()
        .set_buckets(&BUCKETS)
        .and_then(|builder| {
            let player = Matcher::Prefix("ringside_edge_player_".to_owned());
            builder.set_buckets_for_metric(player, &PLAYER_BUCKETS)
        })
        .and_then(|builder| {
            let throughput = "ringside_edge_player_throughput_bits_per_second";
            builder.set_buckets_for_metric(Matcher::Full(throughput.to_owned()), &THROUGHPUT_BUCKETS)
        })
        .context("histogram buckets")?;
    builder.install_recorder().context("metrics")
}

/// Serves until `shutdown`; `api` are the services' own routes.
pub(crate) async fn serve(
    listener: tokio::net::TcpListener,
    api: Router,
    ready: Ready,
    metrics: PrometheusHandle,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let state = Ops {
        ready,
        metrics: metrics.clone(),
    };
    let router = Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route(
            "/metrics",
            get(async |State(ops): State<Ops>| ops.metrics.render()),
        )
        .route("/version", get(async || concat!(env!("CARGO_PKG_VERSION"), "\n")))
        .with_state(state)
        .merge(api);
    let stop = shutdown.clone();
    let serve = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    let upkeep = async {
        loop {
            tokio::time::sleep(UPKEEP).await;
            metrics.run_upkeep();
        }
    };
    tokio::select! {
        served = serve.into_future() => served.context("ops"),
        () = upkeep => Ok(()),
    }
}

async fn readyz(State(ops): State<Ops>) -> (StatusCode, &'static str) {
    if ops.ready.0.load(Ordering::Relaxed) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}
