//! What is set, and by whom: defaults, then a TOML file, then the environment, then `--set`.

mod layers;

use std::path::{Path, PathBuf};

use hls::time::Profile;
use serde::{Deserialize, Serialize};

pub(crate) use layers::Loaded;

/// The whole configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// How long parts, GOPs and segments are: `low`, `ultra` or `wide`. Default `low`.
    pub(crate) profile: Profile,
    /// `[data]`
    pub(crate) data: Data,
    /// `[tls]`
    pub(crate) tls: Tls,
    /// `[feed]`
    pub(crate) feed: Feed,
    /// `[ingest]`
    #[cfg(feature = "ingest")]
    pub(crate) ingest: ingest::config::Config,
    /// `[ladder]`
    #[cfg(feature = "ingest")]
    pub(crate) ladder: ingest::config::Ladder,
    /// `[packager]`
    #[cfg(feature = "packager")]
    pub(crate) packager: packager::config::Section,
    /// `[origin]`
    #[cfg(feature = "packager")]
    pub(crate) origin: packager::config::Origin,
    /// `[edge]`
    #[cfg(feature = "edge")]
    pub(crate) edge: fanout::Config,
    /// `[ops]`
    pub(crate) ops: Ops,
}

/// `[data]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Data {
    /// What is kept between runs: stream key, certificate, program time, what viewers
    /// rewind to. Default `~/.local/state/ringside`.
    pub(crate) dir: PathBuf,
}

impl Default for Data {
    fn default() -> Self {
        let var = |name| std::env::var_os(name).map(PathBuf::from);
        let state = var("XDG_STATE_HOME").or_else(|| var("HOME").map(|home| home.join(".local/state")));
        Self {
            dir: state.unwrap_or_else(|| PathBuf::from(".")).join("ringside"),
        }
    }
}

/// `[tls]`: for HTTPS and RTMPS.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tls {
    /// PEM file with the certificate and those that vouch for it; absent = one is made, which browsers ask about and
    /// OBS refuses.
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    pub(crate) key: Option<PathBuf>,
}

/// `[feed]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Feed {
    /// Shared by ingests and packagers; at least 16 characters. `up` makes one for itself.
    pub(crate) secret: Option<String>,
}

/// `[ops]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ops {
    /// Address for operators: `/livez /readyz /metrics /version`. Default `127.0.0.1:9600`; loopback only.
    pub(crate) listen: std::net::SocketAddr,
}

impl Default for Ops {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 9_600).into(),
        }
    }
}

/// Keys that have no default, so that the default configuration does not show them.
const UNSET: &[&str] = &[
    "edge.home",
    "edge.tokens.audience",
    "edge.tokens.country_header",
    "edge.tokens.keys",
    "edge.tokens.tier_secret",
    "feed.secret",
    "ingest.hook.secret",
    "ingest.hook.url",
    "ingest.keys",
    "ingest.slate_image",
    "ingest.slate_loop",
    "ingest.srt.passphrase",
    "ladder.audio",
    "ladder.rungs",
    "packager.archive.access_key_id",
    "packager.archive.endpoint",
    "packager.archive.region",
    "packager.archive.secret_access_key",
    "packager.cmaf.listen",
    "packager.encryption.cpix",
    "packager.encryption.key_format",
    "packager.encryption.key_uri",
    "packager.encryption.keys",
    "packager.encryption.master_secret",
    "packager.steering.server_uri",
    "tls.certificate",
    "tls.key",
];

/// Keys whose value is never printed.
const SECRET: &[&str] = &[
    "edge.tokens.tier_secret",
    "feed.secret",
    "ingest.hook.secret",
    "ingest.srt.passphrase",
    "packager.archive.secret_access_key",
    "packager.encryption.master_secret",
];

impl Config {
    /// Every mistake that a single key does not show.
    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        #[cfg(feature = "ingest")]
        mistakes.extend(self.ingest.validate().into_iter().chain(self.ladder.validate()));
        #[cfg(feature = "packager")]
        mistakes.extend(
            self.packager
                .feed
                .mistakes()
                .into_iter()
                .chain(self.packager.dvr.mistakes())
                .chain(self.packager.encryption.mistakes())
                .chain(self.packager.cmaf.mistakes())
                .chain(self.packager.archive.mistakes())
                .chain(self.packager.steering.mistakes())
                .chain(packager::subtitles::config::mistakes(&self.packager.subtitles))
                .chain(self.origin.mistakes()),
        );
        #[cfg(feature = "edge")]
        mistakes.extend(self.edge.mistakes());
        if !self.ops.listen.ip().is_loopback() {
            // Nothing there asks who is calling.
            mistakes.push(format!(
                "ops.listen: {} is not a loopback address",
                self.ops.listen
            ));
        }
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            mistakes.push("tls: `certificate` and `key` are set together".to_owned());
        }
        if self.feed.secret.as_ref().is_some_and(|secret| secret.len() < 16) {
            mistakes.push("feed.secret: at least 16 characters".to_owned());
        }
        mistakes
    }
}

/// The configuration, or every mistake in it.
pub(crate) fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    set: &[String],
) -> Result<Loaded, Vec<String>> {
    layers::load(file, environment, set)
}
