//! SRT listener: one UDP port for all publishers, each with its stream id, its passphrase and MPEG-TS inside.

mod publisher;
mod units;

use std::net::SocketAddr;
use std::sync::Arc;

use ::srt::{Authorize, Connection, Listener, Options, Passphrase, Refusal, Request, Verdict};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Srt;
use crate::desk::Role;
use crate::door::Door;
use crate::error::Error;
use crate::{keys, metrics};
use publisher::Publisher;

/// What every connection needs.
pub(crate) struct Server {
    pub(crate) config: Srt,
    pub(crate) connections_per_ip_max: usize,
    pub(crate) door: Arc<Door>,
    pub(crate) metrics: metrics::Listener,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

/// A caller that may publish, between its handshake and its seat.
struct Caller {
    /// Secret.
    key: String,
    role: Option<Role>,
}

/// The open port, until its `close`.
pub(crate) struct Open {
    listener: Listener,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Opens the port. Callers are judged on libsrt's own thread, by what is in memory; all else is done by tasks.
    pub(crate) fn open(self) -> Result<Open, Error> {
        ::srt::log::set(::srt::log::Level::Error, |_, area, message| {
            tracing::debug!(area, message, "libsrt");
        });
        let options = self.options();
        let passphrase = self.config.passphrase.as_deref().and_then(Passphrase::new);
        let (door, metrics) = (self.door.clone(), self.metrics.clone());
        let authorize: Authorize<Caller> =
            Arc::new(move |request| judge(request, &door, passphrase.as_ref(), &metrics));
        let (server, runtime) = (Arc::new(self), Handle::current());
        let connected = move |connection: Connection, caller: Caller| {
            let (publisher, sink) = Publisher::new(server.clone(), connection, caller.key, caller.role);
            server.tasks.spawn_on(publisher.run(), &runtime);
            sink
        };
        let listener = Listener::bind(&options, authorize, connected).map_err(|e| Error::Srt(Box::new(e)))?;
        let address = listener.address();
        Ok(Open { listener, address })
    }

    fn options(&self) -> Options {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Options {
            listen: self.config.listen,
            latency_ms: self.config.latency_ms,
            connections_max: count(self.config.connections_max),
            connections_per_ip_max: count(self.connections_per_ip_max.min(1_024)),
            idle_timeout_ms: self.config.idle_ms_max,
            ..Options::default()
        }
    }
}

impl Open {
    /// Closes the port once `stop` is cancelled, and waits until libsrt's threads are gone.
    pub(crate) async fn run(self, stop: CancellationToken) {
        stop.cancelled().await;
        let closed = tokio::task::spawn_blocking(move || self.listener.close()).await;
        if !matches!(closed, Ok(true)) {
            tracing::warn!("libsrt did not close in time");
        }
    }
}

fn judge(
    request: &Request,
    door: &Door,
    common: Option<&Passphrase>,
    metrics: &metrics::Listener,
) -> Verdict<Caller> {
    let refuse = |refusal, why: &dyn std::fmt::Display| {
        metrics.refused_key.increment(1);
        tracing::warn!(protocol = "srt", peer = %request.peer, error = %why, "encoder refused");
        Verdict::Refuse(refusal)
    };
    let id = match &request.stream_id {
        Ok(id) => id,
        Err(error) => return refuse(Refusal::from(*error), error),
    };
    let mut why = keys::Refused::Unknown;
    let known = id.key.candidates().find_map(|key| match door.peek(key) {
        Ok(grant) => Some((key, grant)),
        Err(refused) => {
            if refused != keys::Refused::Unknown {
                why = refused;
            }
            None
        }
    });
    let Some((key, grant)) = known else {
        return refuse(Refusal::Unauthorized, &why);
    };
    Verdict::Accept {
        passphrase: grant.passphrase.or_else(|| common.cloned()),
        tag: Caller {
            key: key.to_owned(),
            role: id.role.as_deref().and_then(Role::parse),
        },
    }
}
