//! The packager: takes feeds, keeps each stream's live window, and serves it as the origin.
//!
//! # Code map
//! | module | question it answers |
//! |---|---|
//! | [`config`] | what an operator can set |
//! | `encryption` | which key applies to what, and what that makes of media and playlists |
//! | `intake` | who feeds us, and from which cell on |
//! | [`cmafin`] | what other encoders send, put on the stream's grid |
//! | `assemble` | PURE: which access units make which part |
//! | `machine` | PURE: which cells are complete, and what the playlists then say |
//! | `multivariant` | PURE: how a stream's tracks are announced |
//! | `steering` | who tells players which host to ask |
//! | `window` | which bytes and playlists exist right now |
//! | `spool` | what is on disk: for a restart, and for rewinding |
//! | [`subtitles`] | which cues there are, and what segments say of them |
//! | `thumbnails` | PURE: which pictures of segments there are in memory |
//! | `origin` | what an HTTP request is answered |
//! | `rewind` | the same for what is on disk |
//! | [`archive`] | what is in the object store, for good |
//! | [`events`] | which events are on disk, for those who look after them |
//! | [`access`] | how often each child asked for the same thing |
//!
//! # Life of a frame here
//! feed socket -> `intake` -> `machine` (samples to a part, timeline, playlists rendered once) -> `window`
//! -> everyone who waited is woken -> `origin` answers. Beside it, `spool` writes what `window` hands over.
//!
//! # Invariants
//! - Nothing on this path waits for a disk, a store or a viewer.
//! - A published part never changes, not even when its ladder restarts; late units are dropped and counted.
//! - A ladder that takes over is a discontinuity, and its number is the ladder's ordinal: packagers agree on it.
//! - Delta updates and compressed playlists are made once for all, and only when somebody asks.
//! - A process that is killed and started again goes on with the same names, bytes and numbers: from its spool, and with
//!   what the ingest keeps.
//! - A request that waits has a deadline, and dies with its connection.

pub mod access;
pub mod archive;
mod assemble;
pub mod cmafin;
pub mod config;
mod encryption;
pub mod events;
mod intake;
mod machine;
mod metrics;
mod multivariant;
mod origin;
mod rewind;
mod spool;
mod steering;
pub mod subtitles;
mod thumbnails;
mod window;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use archive::Archive;
pub use config::Config;
use encryption::Rule;
use subtitles::Library;

/// A packager whose ports are open.
pub struct Packager {
    feed: tokio::net::TcpListener,
    origin: listen::Listener,
    cmaf: Option<(listen::Listener, cmafin::Intake)>,
    streams: Arc<window::Streams>,
    archive: Option<Arc<Archive>>,
    config: Config,
    secret: Vec<u8>,
}

/// Why a packager does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A port cannot be had.
    #[error(transparent)]
    Listen(#[from] listen::Error),
    /// Encryption as it is configured is not possible.
    #[error("packager.encryption: {}", .0.join("; "))]
    Encryption(Vec<String>),
    /// Subtitle tracks as they are configured are not possible.
    #[error("{}", .0.join("; "))]
    Subtitles(Vec<String>),
    /// A configured stream has no grid.
    #[error("packager.cmaf.streams")]
    Grid(#[from] hls::time::GridError),
}

impl Packager {
    /// Opens the feed port and the origin. Nothing is served before [`Packager::run`].
    ///
    /// Where `data_dir` is given, streams of an earlier process are read from it first. Where that cannot be had, nothing
    /// is kept, and the packager says so.
    pub async fn bind(config: Config, secret: Vec<u8>) -> Result<Self, Error> {
        let rule = config.encryption.rule().map_err(Error::Encryption)?;
        let mistakes = subtitles::config::mistakes(&config.subtitles);
        if !mistakes.is_empty() {
            return Err(Error::Subtitles(mistakes));
        }
        if config.encryption.serve_keys {
            tracing::warn!("packager.encryption.serve_keys: whoever can play can have the keys");
        }
        let rule = Arc::new(rule);
        let archive = open_archive(&config, &rule);
        let streams = Arc::new(kept(&config, archive.as_ref(), rule).await);
        let feed = intake::bind(config.feed.listen).await?;
        let origin = listen::bind("origin", "origin.listen", config.origin.listen).await?;
        let cmaf = match config.cmaf.listen {
            Some(address) => {
                let intake = cmafin::Intake::new(&config.cmaf, &config.feed, &streams)?;
                Some((
                    listen::bind("cmaf", "packager.cmaf.listen", address).await?,
                    intake,
                ))
            }
            None => None,
        };
        Ok(Self {
            feed,
            origin,
            cmaf,
            streams,
            archive,
            config,
            secret,
        })
    }

    /// Where recordings go; none where they go nowhere.
    pub fn archive(&self) -> Option<Arc<Archive>> {
        self.archive.clone()
    }

    /// Where cues of subtitle tracks go; none where no track is configured.
    pub fn subtitles(&self) -> Option<subtitles::Subtitles> {
        let streams = Arc::clone(&self.streams);
        (!self.config.subtitles.is_empty()).then(|| subtitles::Subtitles(streams))
    }

    /// Where ingests connect.
    pub fn feed_address(&self) -> Option<SocketAddr> {
        self.feed.local_addr().ok()
    }

    /// Where edges connect.
    pub fn origin_address(&self) -> SocketAddr {
        self.origin.address()
    }

    /// Where encoders send CMAF; none where they may not.
    pub fn cmaf_address(&self) -> Option<SocketAddr> {
        self.cmaf.as_ref().map(|(listener, _)| listener.address())
    }

    /// Serves until `shutdown`; returns once feeds and requests under way have ended.
    pub async fn run(self, shutdown: CancellationToken) {
        let tasks = TaskTracker::new();
        let intake = intake::Intake::new(self.config.feed, self.secret, Arc::clone(&self.streams));
        tasks.spawn(intake.run(self.feed, shutdown.clone()));
        if let Some((listener, intake)) = self.cmaf {
            tasks.spawn(intake.run(listener, shutdown.clone()));
        }
        let streams = Arc::clone(&self.streams);
        let vault = self.archive.as_ref().map(Archive::vault);
        if let Some(archive) = self.archive {
            tasks.spawn(archive.run(shutdown.clone()));
        }
        let rewind = rewind::Rewind::new(&self.config.dvr);
        let steering = self.config.steering.steering();
        let origin = origin::Origin::new(self.streams, (rewind, vault), steering, shutdown.clone());
        let limits = listen::Limits {
            connections: self.config.origin.connections_max,
            uploads: false,
            ..Default::default()
        };
        self.origin
            .serve(None, limits, shutdown, move |request| {
                origin.clone().answer(request)
            })
            .await;
        tasks.close();
        tasks.wait().await;
        // A panic of the spool's thread has been said where it happened.
        let _written = tokio::task::spawn_blocking(move || streams.stop()).await;
    }
}

/// Without `data_dir` nothing is recorded, so nothing can be archived.
fn open_archive(config: &Config, rule: &Arc<Rule>) -> Option<Arc<Archive>> {
    let data_dir = config.data_dir.as_ref()?;
    match Archive::open(&config.archive, data_dir) {
        Ok(archive) => Some(Arc::new(archive.under(Arc::clone(rule)))),
        Err(archive::Absent::Off) => None,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "nothing is archived");
            None
        }
    }
}

async fn kept(config: &Config, archive: Option<&Arc<Archive>>, rule: Arc<Rule>) -> window::Streams {
    let tracks = config.subtitles.clone();
    let Some(data_dir) = config.data_dir.clone() else {
        return window::Streams::passing(rule, Arc::new(Library::open(tracks, None)));
    };
    let (settings, under) = (config.clone(), Arc::clone(&rule));
    let pledges = archive.map(|archive| Arc::clone(archive.pledges()));
    let read = move || {
        let (spool, loaded) = spool::open(&data_dir, &settings, pledges, Arc::clone(&under))?;
        let window = settings.feed.window();
        let library = Arc::new(Library::open(settings.subtitles, Some(data_dir)));
        let shared = (under, library);
        Ok(window::Streams::kept(Arc::new(spool), loaded, window, shared))
    };
    let read = tokio::task::spawn_blocking(read).await;
    match read.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked))) {
        Ok(streams) => streams,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(
                error,
                "nothing is kept on disk: no rewinding, and a restart begins anew"
            );
            window::Streams::passing(rule, Arc::new(Library::open(tracks, None)))
        }
    }
}
