//! Putting an ingest together, and taking it down.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use hls::id::StreamId;
use hls::time::Profile;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Ladder as LadderConfig};
use crate::door::Door;
use crate::error::Error;
use crate::gate::Addresses;
use crate::hook::Hook;
use crate::keys::{Holders, Keys, Watch};
use crate::ladder::Plan;
use crate::metrics::{Listener, Protocol};
use crate::report::Control;
use crate::streams::Streams;
use crate::{multitrack, rtmp, srt};

/// Everything an ingest is made from.
#[derive(Debug)]
pub struct Ingest {
    /// Section `ingest`.
    pub config: Config,
    /// Section `ladder`.
    pub ladder: LadderConfig,
    /// How long parts, GOPs and segments are.
    pub profile: Profile,
    /// The stream that runs from the start; others start with their first publisher.
    pub stream: StreamId,
    /// Who may publish, besides those with a key in the keys file.
    pub keys: Keys,
    /// Secret shared with the packagers.
    pub feed_secret: Vec<u8>,
    /// Where program time is kept over restarts; created if missing.
    pub data_dir: PathBuf,
    /// Certificate and key for RTMPS; without them there is none.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Ends the ingest.
    pub shutdown: CancellationToken,
}

/// Where encoders connect.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// RTMP, over TCP.
    pub rtmp: SocketAddr,
    /// RTMP over TLS; none without a certificate.
    pub rtmps: Option<SocketAddr>,
    /// SRT, over UDP.
    pub srt: SocketAddr,
    /// HTTP, where an OBS that sends the whole ladder asks for it; none where no stream is passed through.
    pub multitrack: Option<SocketAddr>,
}

/// An ingest at work. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Running {
    ports: Ports,
    control: Control,
    failures: mpsc::Receiver<Error>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Ingest {
    /// Opens the listeners, starts the ladder on the test picture and begins to feed the packagers.
    pub async fn start(self) -> Result<Running, Error> {
        let mut wrong = self.config.validate();
        wrong.extend(self.ladder.validate());
        if !wrong.is_empty() {
            return Err(Error::Config(wrong));
        }
        let keys_file = self.config.keys_file(&self.data_dir);
        let watch = Watch::open(&keys_file, self.keys.clone());
        let watch = watch.map_err(|error| Error::Config(vec![error.to_string()]))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let plan = Plan::new(&self.ladder, self.profile, cores)
            .map_err(|e| Error::Config(vec![format!("ladder.frame_rate: {e}")]))?;
        let listeners = Listeners::open(&self.config, self.tls.is_some(), plan.passes()).await?;
        let (stop, tasks) = (self.shutdown.child_token(), TaskTracker::new());
        let (failed, failures) = mpsc::channel(4);
        let streams = Arc::new(Streams {
            config: self.config.clone(),
            plan: plan.clone(),
            feed_secret: self.feed_secret,
            data_dir: self.data_dir,
            failed,
            tasks: tasks.clone(),
            stop: stop.clone(),
            running: Mutex::new(HashMap::new()),
        });
        streams.first(&self.stream).await?;
        let control = Control {
            streams: streams.clone(),
        };
        let holders = Holders::default();
        tasks.spawn(watch.run(holders.clone(), stop.clone()));
        let (hook, leavers) = Hook::new(&self.config.hook, &stop).unzip();
        if let Some(leavers) = leavers {
            tasks.spawn(leavers.run());
        }
        let door = Arc::new(Door {
            keys: self.keys,
            holders,
            hook,
            streams,
            tasks: tasks.clone(),
        });
        let front = Front {
            plan,
            addresses: Addresses::new(self.config.connections_per_ip_max),
            config: self.config,
            tls: self.tls,
            door,
            tasks: tasks.clone(),
            stop: stop.clone(),
        };
        let ports = front.serve(listeners)?;
        tracing::info!(?ports, "ingest is open");
        Ok(Running {
            ports,
            control,
            failures,
            stop,
            tasks,
        })
    }
}

/// The TCP ports, open before anything is made.
struct Listeners {
    rtmp: (TcpListener, SocketAddr),
    rtmps: Option<(TcpListener, SocketAddr)>,
    multitrack: Option<listen::Listener>,
}

impl Listeners {
    async fn open(config: &Config, tls: bool, passes: bool) -> Result<Self, Error> {
        let open = |addr, key| {
            let listener = rtmp::listen(addr, key)?;
            let taken = listener.local_addr();
            let taken = taken.map_err(|source| Error::Listen { key, addr, source })?;
            Ok::<_, Error>((listener, taken))
        };
        let rtmps = || open(config.rtmps.listen, "ingest.rtmps.listen");
        let multitrack = if passes {
            let key = "ingest.multitrack.listen";
            Some(listen::bind("multitrack", key, config.multitrack.listen).await?)
        } else {
            None
        };
        Ok(Self {
            multitrack,
            rtmp: open(config.rtmp.listen, "ingest.rtmp.listen")?,
            rtmps: tls.then(rtmps).transpose()?,
        })
    }
}

/// What all listeners share.
struct Front {
    config: Config,
    plan: Plan,
    tls: Option<Arc<rustls::ServerConfig>>,
    door: Arc<Door>,
    addresses: Addresses,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Front {
    fn serve(self, listeners: Listeners) -> Result<Ports, Error> {
        let srt = srt::Server {
            config: self.config.srt.clone(),
            connections_per_ip_max: self.config.connections_per_ip_max,
            door: self.door.clone(),
            metrics: Listener::new(Protocol::Srt),
            tasks: self.tasks.clone(),
            stop: self.stop.clone(),
        };
        let srt = srt.open()?;
        let ports = Ports {
            rtmp: listeners.rtmp.1,
            rtmps: listeners.rtmps.as_ref().map(|(_, addr)| *addr),
            srt: srt.address,
            multitrack: listeners.multitrack.as_ref().map(listen::Listener::address),
        };
        self.tasks.spawn(srt.run(self.stop.clone()));
        let plain = Arc::new(self.rtmp(Protocol::Rtmp));
        self.tasks.spawn(plain.run(listeners.rtmp.0));
        if let Some((listener, _)) = listeners.rtmps {
            let encrypted = Arc::new(self.rtmp(Protocol::Rtmps));
            self.tasks.spawn(encrypted.run(listener));
        }
        if let Some(listener) = listeners.multitrack {
            self.tasks.spawn(self.multitrack(listener, ports));
        }
        Ok(ports)
    }

    /// Tells every OBS that asks what the ladder is.
    fn multitrack(&self, listener: listen::Listener, ports: Ports) -> impl Future<Output = ()> + use<> {
        let desk = Arc::new(multitrack::serve::Desk {
            door: self.door.clone(),
            plan: self.plan.clone(),
            encoder: self.config.multitrack.encoder.clone(),
            rtmp: ports.rtmp.port(),
            rtmps: ports.rtmps.map(|rtmps| rtmps.port()),
        });
        let limits = listen::Limits {
            connections: self.config.multitrack.connections_max,
            ..Default::default()
        };
        listener.serve(None, limits, self.stop.clone(), move |request| {
            desk.clone().answer(request)
        })
    }

    fn rtmp(&self, protocol: Protocol) -> rtmp::Server {
        let tls = self.tls.clone().filter(|_| protocol == Protocol::Rtmps);
        rtmp::Server {
            config: self.config.rtmp.clone(),
            protocol,
            tls: tls.map(TlsAcceptor::from),
            door: self.door.clone(),
            addresses: self.addresses.clone(),
            metrics: Listener::new(protocol),
            tasks: self.tasks.clone(),
            stop: self.stop.clone(),
        }
    }
}

impl Running {
    /// Where encoders connect, with the ports that were really taken.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// For operators.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Resolves when the ingest was shut down, or with what made it fail; nothing of it runs afterwards.
    pub async fn join(mut self) -> Result<(), Error> {
        let failure = tokio::select! {
            () = self.stop.cancelled() => None,
            failure = self.failures.recv() => failure,
        };
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        failure.map_or(Ok(()), Err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
