//! What an operator can set.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hls::id::StreamId;
use serde::{Deserialize, Serialize};

pub use crate::clients::Clients;

/// Sources of one edge.
const SOURCES_MAX: usize = 64;

/// `[edge]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Plain HTTP.
    pub http: Listen,
    /// HTTPS with HTTP/2.
    pub https: Listen,
    /// Base URLs of parents, `http://HOST:PORT`, best first. Default: this process's origin.
    pub parents: Vec<String>,
    /// `[[edge.sources]]`: streams of LL-HLS origins that are not ours, at most 64. Default none.
    pub sources: Vec<Source>,
    /// Seconds a track is mirrored after its last viewer. Default 60.
    pub linger_s: u64,
    /// Connections at once on each listener. Default 16000; at the limit the longest idle are closed for newcomers,
    /// and where nobody is idle those wait in the kernel's backlog.
    pub connections_max: usize,
    /// Seconds a connection may be idle. Default 60; then it is closed.
    pub idle_s: u64,
    /// Memory for objects that are not in a live window, bytes. Default 256 MiB; the least used go first.
    pub cache_bytes: u64,
    /// Memory for what viewers rewind to, bytes. Default 256 MiB; the least used go first.
    pub dvr_cache_bytes: u64,
    /// Streams known at once. Default 256; viewers of further ones get 503.
    pub streams_max: usize,
    /// Where `/` leads: the watch page of this stream.
    pub home: Option<StreamId>,
    /// `[edge.clients]`
    pub clients: Clients,
    /// `[edge.tokens]`
    pub tokens: Tokens,
    /// `[edge.admission]`
    pub admission: Admission,
    /// Whether what players report (CMCD) is counted, and the watch page reports. Default true.
    pub telemetry: bool,
}

/// `[[edge.sources]]`: a stream of an origin that is not ours. What is under `/live/STREAM/` comes from there alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What viewers call it.
    pub stream: StreamId,
    /// Its multivariant playlist, or its only media playlist: `http://HOST:PORT/any/path.m3u8`. All it lists has to be on the
    /// same host.
    pub playlist: String,
}

impl Source {
    /// The playlist's URL, if it is one that can be asked for.
    pub(crate) fn url(&self) -> Option<url::Url> {
        let url = url::Url::parse(&self.playlist).ok()?;
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        (url.scheme() == "http" && url.has_host() && plain).then_some(url)
    }
}

/// `[edge.admission]`: who is served when not everybody can be. Near a limit the lowest class is refused first (API, archive,
/// DVR, playlists, live), newcomers before those who watch. Connections and descriptors have limits already.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admission {
    /// Whether load refuses anybody. Default true. Without it only an operator's panic level does.
    pub enabled: bool,
    /// Bytes a second to viewers. Default 0: no limit.
    pub egress_bytes_per_s: u64,
    /// Resident memory of this process, bytes. Default 0: no limit.
    pub memory_bytes: u64,
    /// Share of each limit that is kept free, per cent, 0 to 90. Default 10.
    pub headroom_percent: u8,
    /// A refusal is held for a random share of so many milliseconds, so that players do not come back as one. Default 2000.
    pub window_ms: u32,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            enabled: true,
            egress_bytes_per_s: 0,
            memory_bytes: 0,
            headroom_percent: 10,
            window_ms: 2_000,
        }
    }
}

/// `[edge.tokens]`: playback tokens. Asked for as soon as there is a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tokens {
    /// File of the keys, as `ringside token key` keeps it; read again within two seconds of a change. Default
    /// `token-keys.toml` in `data.dir`. Once read, keys stay in force when the file is gone or makes no sense.
    pub keys: Option<PathBuf>,
    /// Seconds after a token's end in which playing may still begin. Default 3600: a page that starts its player anew in
    /// mid-event begins again.
    pub grace_s: u64,
    /// Seconds after a token's end in which those who play may go on. Default 86400.
    pub session_s: u64,
    /// Our name among the audience (`aud`) of tokens; one that names others alone is refused. Absent = any that names one is.
    pub audience: Option<String>,
    /// Header in which a trusted proxy says the viewer's country (ISO 3166). Absent = tokens for some countries let nobody in.
    pub country_header: Option<String>,
    /// Networks that need no token, such as `10.0.0.0/8`: of CDNs that check tokens themselves. Default none.
    pub trusted: Vec<String>,
    /// Shared by edges: said to parents, and whoever says it needs no token. At least 16 characters.
    pub tier_secret: Option<String>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            keys: None,
            grace_s: 3_600,
            session_s: 86_400,
            audience: None,
            country_header: None,
            trusted: Vec::new(),
            tier_secret: None,
        }
    }
}

impl Tokens {
    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        for network in &self.trusted {
            if let Err(wanted) = network.parse::<gate::token::Network>() {
                mistakes.push(format!("edge.tokens.trusted: `{network}` is not {wanted}"));
            }
        }
        let is_name = |name: &String| http::HeaderName::try_from(name).is_ok();
        if !self.country_header.as_ref().is_none_or(is_name) {
            mistakes.push("edge.tokens.country_header is not the name of a header".to_owned());
        }
        let is_secret = |text: &String| text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !self.tier_secret.as_ref().is_none_or(is_secret) {
            mistakes.push("edge.tokens.tier_secret: at least 16 visible ASCII characters".to_owned());
        }
        mistakes
    }
}

/// An address to listen on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Address and port; port 0 lets the system choose.
    pub listen: SocketAddr,
}

impl Default for Config {
    fn default() -> Self {
        let all = |port| Listen {
            listen: SocketAddr::from(([0, 0, 0, 0], port)),
        };
        Self {
            http: all(8_080),
            https: all(8_443),
            parents: Vec::new(),
            sources: Vec::new(),
            linger_s: 60,
            connections_max: 16_000,
            idle_s: 60,
            cache_bytes: 256 << 20,
            dvr_cache_bytes: 256 << 20,
            streams_max: 256,
            home: None,
            clients: Clients::default(),
            tokens: Tokens::default(),
            admission: Admission::default(),
            telemetry: true,
        }
    }
}

impl Config {
    pub(crate) fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_s)
    }

    pub(crate) fn linger(&self) -> Duration {
        Duration::from_secs(self.linger_s)
    }

    /// Every mistake in the section.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut want = |good: bool, text: String| {
            if !good {
                mistakes.push(text);
            }
        };
        for parent in &self.parents {
            let good = parent.parse::<http::Uri>().is_ok_and(|uri| {
                uri.scheme_str() == Some("http") && uri.authority().is_some() && uri.path() == "/"
            });
            want(
                good,
                format!("edge.parents: `{parent}` is not of the form http://HOST:PORT"),
            );
        }
        want(
            self.sources.len() <= SOURCES_MAX,
            format!("edge.sources: at most {SOURCES_MAX}"),
        );
        for (at, source) in self.sources.iter().enumerate() {
            let url = &source.playlist;
            want(
                source.url().is_some(),
                format!("edge.sources: `{url}` is not of the form http://HOST:PORT/PATH"),
            );
            let again = self
                .sources
                .iter()
                .take(at)
                .any(|other| other.stream == source.stream);
            want(
                !again,
                format!("edge.sources: `{}` has two sources", source.stream),
            );
        }
        want(
            (1..=86_400).contains(&self.linger_s),
            "edge.linger_s must be 1 to 86400".to_owned(),
        );
        want(
            (1..=3_600).contains(&self.idle_s),
            "edge.idle_s must be 1 to 3600".to_owned(),
        );
        want(
            self.connections_max > 0,
            "edge.connections_max must be at least 1".to_owned(),
        );
        want(
            self.streams_max > 0,
            "edge.streams_max must be at least 1".to_owned(),
        );
        want(
            self.admission.headroom_percent <= 90,
            "edge.admission.headroom_percent must be 0 to 90".to_owned(),
        );
        want(
            self.admission.window_ms <= 10_000,
            "edge.admission.window_ms must be 0 to 10000".to_owned(),
        );
        mistakes.extend(self.clients.mistakes());
        mistakes.extend(self.tokens.mistakes());
        mistakes
    }
}
