//! An ingest on free ports with a stand-in packager, and its orderly end.

use std::sync::Arc;
use std::time::Duration;

use hls::id::StreamId;
use hls::time::Profile;
use ingest::config::{Config, Ladder};
use ingest::{Ingest, Keys, Running};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::packager::{Packager, SECRET};

pub(crate) const KEY: &str = "right-key";

pub(crate) struct Stage {
    pub(crate) packager: Packager,
    pub(crate) ingest: Running,
    shutdown: CancellationToken,
    /// Removed with the stage.
    pub(crate) data_dir: TempDir,
}

impl Stage {
    /// Ready, with the test picture on.
    pub(crate) async fn set(ladder: Ladder) -> Self {
        Self::set_with(ladder, |_| {}).await
    }

    /// The same with other bounds.
    pub(crate) async fn set_with(ladder: Ladder, change: impl FnOnce(&mut Config)) -> Self {
        let stage = Self::start(ladder, TempDir::new().unwrap(), change).await;
        stage.packager.wait_for_frames(5).await;
        stage
    }

    pub(crate) async fn set_in(ladder: Ladder, data_dir: TempDir) -> Self {
        Self::start(ladder, data_dir, |_| {}).await
    }

    async fn start(ladder: Ladder, data_dir: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let packager = Packager::listen().await;
        let mut config = Config {
            packagers: vec![packager.addr],
            ..Config::default()
        };
        let free = "127.0.0.1:0".parse().unwrap();
        (config.rtmp.listen, config.rtmps.listen, config.srt.listen) = (free, free, free);
        config.multitrack.listen = free;
        change(&mut config);
        let stream = StreamId::new("main").unwrap();
        let shutdown = CancellationToken::new();
        let ingest = Ingest {
            config,
            ladder,
            profile: Profile::Low,
            keys: Keys::new(vec![(KEY.to_owned(), stream.clone())]),
            stream,
            feed_secret: SECRET.to_vec(),
            data_dir: data_dir.path().to_owned(),
            tls: Some(certificate()),
            shutdown: shutdown.clone(),
        };
        let ingest = ingest.start().await.unwrap();
        Self {
            packager,
            ingest,
            shutdown,
            data_dir,
        }
    }

    /// Shuts down and gives back the packager, whose memory is now complete, and the data directory.
    pub(crate) async fn strike(self) -> (Packager, TempDir) {
        self.shutdown.cancel();
        let joined = tokio::time::timeout(Duration::from_secs(5), self.ingest.join()).await;
        joined.expect("an ingest stops within 5 s").unwrap();
        (self.packager, self.data_dir)
    }
}

/// Waits for `more` frames from now on.
pub(crate) async fn frames_more(packager: &Packager, more: usize) {
    let now = packager.look(|seen| seen.times(0).len());
    packager.wait_for_frames(now + more).await;
}

/// Made for this test alone.
fn certificate() -> Arc<rustls::ServerConfig> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key);
    Arc::new(config.unwrap())
}
