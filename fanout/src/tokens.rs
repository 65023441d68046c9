//! Who may play: a request's playback token against the keys in force. Decisions are `gate::token`'s.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use gate::token::{Asked, Claims, File, KeyError, Keys, Network, Policy, Refusal, Unix};
use hls::path::{Directives, Leaf, Resource};
use http::HeaderMap;
use listen::Peer;
use quick_cache::sync::Cache;
use subtle::ConstantTimeEq as _;
use tokio_util::sync::CancellationToken;

use crate::config::Tokens as Config;
use crate::metrics::tokens::Meter;

/// Header in which an edge tells its parent that it is one.
pub(crate) const TIER: &str = "ringside-tier";
/// A change of the keys file is in force within twice this.
const EVERY: Duration = Duration::from_secs(1);
/// Largest keys file, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Tokens remembered for one connection; the one used longest ago is forgotten and verified anew.
const VERDICTS_MAX: usize = 4;
/// Those who play, several times as many as an edge has connections; who is forgotten plays on within the grace.
const PLAYERS_MAX: usize = 65_536;

/// Why the keys file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is there and cannot be read.
    #[error("the file of token keys {0} cannot be read (config key `edge.tokens.keys`)")]
    Read(PathBuf, #[source] std::io::Error),
    /// It makes no sense.
    #[error("the file of token keys {0} cannot be used (config key `edge.tokens.keys`)")]
    Form(PathBuf, #[source] KeyError),
}

/// The door.
pub(crate) struct Tokens {
    path: Option<PathBuf>,
    /// Replaced as a whole; readers copy the reference and leave.
    keys: RwLock<Arc<Keys>>,
    seen: Mutex<Option<Mark>>,
    policy: Policy,
    country_header: Option<String>,
    trusted: Vec<Network>,
    tier_secret: Option<String>,
    /// Who has begun to play: a token and an address, hashed with a key of this process. A browser has several connections.
    players: Cache<u64, ()>,
    hasher: RandomState,
    meter: Meter,
}

/// What a connection's tokens were found to say.
#[derive(Default)]
struct Verdicts(Mutex<VecDeque<Verdict>>);

struct Verdict {
    token: Box<str>,
    /// The keys it was verified with; others verify it anew.
    keys: Arc<Keys>,
    claims: Result<Arc<Claims>, Refusal>,
}

/// A request, as far as its token matters.
pub(crate) struct Request<'a> {
    pub(crate) token: Option<&'a str>,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) peer: &'a Peer,
}

/// The state of a file, so that it is read only where that has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Tokens {
    /// Reads the keys; a file that is not there asks for no tokens until it is.
    pub(crate) fn open(config: &Config) -> Result<Self, Error> {
        let parsed = |network: &String| network.parse().ok();
        let tokens = Self {
            path: config.keys.clone(),
            keys: RwLock::default(),
            seen: Mutex::default(),
            policy: Policy {
                grace_s: config.grace_s,
                session_s: config.session_s,
                audience: config.audience.clone(),
            },
            country_header: config.country_header.clone(),
            // Those that are none were named as mistakes.
            trusted: config.trusted.iter().filter_map(parsed).collect(),
            tier_secret: config.tier_secret.clone(),
            players: Cache::new(PLAYERS_MAX),
            hasher: RandomState::new(),
            meter: Meter::new(),
        };
        if let Some(path) = &tokens.path {
            let mark = mark(path);
            if mark.is_some() {
                tokens.take(read(path)?);
            }
            *tokens.seen.lock().unwrap_or_else(PoisonError::into_inner) = mark;
        }
        Ok(tokens)
    }

    /// Follows the keys file until `stop`.
    pub(crate) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        while self.path.is_some() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            let this = Arc::clone(&self);
            if let Err(error) = tokio::task::spawn_blocking(move || this.look()).await {
                tracing::warn!(%error, "the token keys were not looked at");
            }
        }
    }

    /// Whether the request may be answered.
    pub(crate) fn check(&self, resource: &Resource, request: &Request<'_>) -> Result<(), Refusal> {
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        if keys.is_empty() {
            return Ok(());
        }
        if self.trusts(request) {
            self.meter.trusted();
            return Ok(());
        }
        let verdict = self.verdict(&keys, resource, request);
        self.meter.verdict(verdict);
        verdict
    }

    fn verdict(&self, keys: &Arc<Keys>, resource: &Resource, request: &Request<'_>) -> Result<(), Refusal> {
        let token = request.token.ok_or(Refusal::Missing)?;
        let verdicts = request.peer.note::<Verdicts>();
        let claims = verdicts.get(token, keys)?;
        let player = self.hasher.hash_one((token, request.peer.address()));
        let begins = begins(resource, request.query, || self.players.get(&player).is_some());
        let country = self.country_header.as_ref();
        let country = country.and_then(|name| request.headers.get(name)?.to_str().ok());
        let asked = Asked {
            stream: resource.stream(),
            path: request.path,
            address: request.peer.address(),
            country: country.map(str::trim),
            begins,
        };
        claims.check(&asked, &self.policy, now())?;
        if begins {
            self.players.insert(player, ());
        }
        Ok(())
    }

    /// Whether it comes from an edge of ours, or from who checks tokens itself.
    fn trusts(&self, request: &Request<'_>) -> bool {
        let address: IpAddr = request.peer.address();
        if self.trusted.iter().any(|network| network.contains(address)) {
            return true;
        }
        self.is_tier(request.headers)
    }

    /// Whether it comes from an edge of ours.
    pub(crate) fn is_tier(&self, headers: &HeaderMap) -> bool {
        let said = headers.get(TIER).map(http::HeaderValue::as_bytes);
        match (&self.tier_secret, said) {
            (Some(secret), Some(said)) => secret.as_bytes().ct_eq(said).into(),
            (None, _) | (_, None) => false,
        }
    }

    /// Reads the file where its state has changed. What cannot be used leaves the keys as they were: a slip of the pen
    /// must neither lock an audience out nor let everybody in.
    fn look(&self) {
        let Some(path) = &self.path else { return };
        let now = mark(path);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if now == *seen {
            return;
        }
        *seen = now;
        drop(seen);
        match read(path) {
            Ok(keys) => {
                tracing::info!(file = %path.display(), keys = keys.len(), "token keys read again");
                self.meter.reloads.increment(1);
                self.take(keys);
            }
            Err(error) => {
                self.meter.reloads_failed.increment(1);
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the token keys before stay in force");
            }
        }
    }

    fn take(&self, keys: Keys) {
        self.meter.keys(keys.len());
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }
}

impl Verdicts {
    /// What a token says, verified at most once for these keys while it is remembered.
    fn get(&self, token: &str, keys: &Arc<Keys>) -> Result<Arc<Claims>, Refusal> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|verdict| *verdict.token == *token);
        let known = at.and_then(|at| all.remove(at));
        let current = known.filter(|known| Arc::ptr_eq(&known.keys, keys));
        let verdict = current.unwrap_or_else(|| Verdict {
            token: token.into(),
            keys: Arc::clone(keys),
            claims: keys.verify(token).map(Arc::new),
        });
        let claims = verdict.claims.clone();
        all.truncate(VERDICTS_MAX - 1);
        all.push_front(verdict);
        claims
    }
}

/// Whether playing may begin with this: at a multivariant playlist, and at a media playlist that is asked for as it is now
/// by who has not begun before. Players ask so in mid-event too, as they change the rung, and a 403 is for ever.
fn begins(resource: &Resource, query: &str, plays: impl FnOnce() -> bool) -> bool {
    match resource {
        Resource::Multivariant(_) | Resource::Dvr(_) | Resource::Vod(_, _, Leaf::Multivariant) => true,
        Resource::Media(..)
        | Resource::DvrMedia(..)
        | Resource::Frames(..)
        | Resource::Vod(_, _, Leaf::Media(_)) => {
            let directives = Directives::parse(query).unwrap_or_default();
            directives.wait.is_none() && !plays()
        }
        Resource::Key(..)
        | Resource::Object(..)
        | Resource::Thumbnails(_)
        | Resource::Thumbnail(..)
        | Resource::Vod(_, _, Leaf::Object(..)) => false,
    }
}

fn read(path: &Path) -> Result<Keys, Error> {
    let unread = |error| Error::Read(path.to_owned(), error);
    let length = std::fs::metadata(path).map_err(unread)?.len();
    if length > FILE_BYTES_MAX {
        return Err(Error::Form(path.to_owned(), KeyError::Many));
    }
    let text = std::fs::read_to_string(path).map_err(unread)?;
    let keys = File::parse(&text).and_then(|file| Keys::new(&file));
    keys.map_err(|error| Error::Form(path.to_owned(), error))
}

/// `None` where there is no file.
fn mark(path: &Path) -> Option<Mark> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Mark {
        modified: metadata.modified().ok(),
        length: metadata.len(),
        inode: std::os::unix::fs::MetadataExt::ino(&metadata),
    })
}

fn now() -> Unix {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    // A clock before 1970 lets tokens in; they are signed all the same.
    since.map_or(0, |since| since.as_secs())
}
