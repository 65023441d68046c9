//! `ringside token`: keys of playback tokens, and tokens, whether an edge runs or not.

mod store;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, Subcommand, ValueEnum};
use gate::token::{Algorithm, Claims, Entry, File, KEYS_MAX, Matches, Network, Signer, Unix};
use hls::id::StreamId;

use crate::cli::{Failure, Settings};
use crate::config::Config;
use crate::data;
use store::Store;

/// File of the keys in `data.dir`, unless `edge.tokens.keys` names another.
const FILE: &str = "token-keys.toml";
/// Random bytes of a key that both signs and checks.
const SECRET_BYTES: usize = 32;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sign a token and print it with the addresses it opens.
    Sign(Sign),
    /// Make, list, export and revoke the keys that sign; an edge that runs follows within two seconds.
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key. With the first one, edges that read this file ask every viewer for a token.
    New(New),
    /// List the keys: id, algorithm, state; never a secret.
    List(Settings),
    /// Print the file as edges need it: without the private halves of ES256 keys.
    Export(Settings),
    /// Take a key back: its tokens open nothing any more, not even for those who play with them.
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// What it opens; may be given several times.
    #[arg(long = "stream", value_name = "ID", required = true, value_parser = stream)]
    streams: Vec<StreamId>,
    /// Its end from now, such as 90m, 6h or 2d. Who plays then goes on (edge.tokens.session_s).
    #[arg(long, value_name = "TIME", value_parser = crate::cli::seconds)]
    expires: Unix,
    /// Networks it is good for, such as 192.0.2.0/24; may be given several times. Viewers behind a proxy have its address.
    #[arg(long = "network", value_name = "CIDR", value_parser = network)]
    networks: Vec<Network>,
    /// Countries it is good for, such as DE; may be given several times. Needs edge.tokens.country_header.
    #[arg(long = "country", value_name = "CODE", value_parser = country)]
    countries: Vec<String>,
    /// Whose it is, for your own books (cti); at most 64 bytes.
    #[arg(long, value_name = "TEXT", value_parser = name)]
    id: Option<String>,
    /// The key that signs, as `ringside token key list` names it. Default: the newest that can.
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// hs256: who checks can sign too. es256: edges check with the public half (`ringside token key export`).
    #[arg(long, value_enum, default_value_t = Kind::Hs256)]
    algorithm: Kind,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The key, as `ringside token key list` names it.
    id: String,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Hs256,
    Es256,
}

/// Where the keys of a configuration are.
pub(crate) fn file(config: &Config) -> PathBuf {
    let set = config.edge.tokens.keys.clone();
    set.unwrap_or_else(|| config.data.dir.join(FILE))
}

impl Command {
    /// Does it, and says what was done.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let said = match self {
            Self::Sign(sign) => sign.run(),
            Self::Key { command } => match command {
                KeyCommand::New(new) => new.run(),
                KeyCommand::List(settings) => list(&settings),
                KeyCommand::Export(settings) => export(&settings),
                KeyCommand::Revoke(revoke) => revoke.run(),
            },
        }?;
        let written = std::io::stdout().write_all(said.as_bytes());
        written.map_err(|error| Failure::Run(error.into()))
    }
}

impl Sign {
    fn run(self) -> Result<String, Failure> {
        let config = self.settings.load()?.config;
        let file = Store::read(&file(&config))?;
        let signer = signer(&file, self.key.as_deref())?;
        let streams: BTreeSet<StreamId> = self.streams.into_iter().collect();
        let expires = now().saturating_add(self.expires);
        let mut claims = Claims {
            expires: Some(expires),
            id: self.id.map(String::into_bytes),
            networks: (!self.networks.is_empty()).then_some(self.networks),
            countries: (!self.countries.is_empty()).then_some(self.countries),
            audience: config.edge.tokens.audience.clone().into_iter().collect(),
            ..Claims::default()
        };
        // One stream is a path, which any checker of Common Access Tokens understands; several are a claim of ours.
        match (streams.first(), streams.len()) {
            (Some(one), 1) => claims.path = vec![Matches::Prefix(format!("/live/{one}/"))],
            (_, _) => claims.streams = Some(streams.clone()),
        }
        let token = signer.sign(&claims);
        let token = token.ok_or_else(|| anyhow::anyhow!("these claims are too long for a token"))?;
        Ok(signed(&config, &token, &streams))
    }
}

fn signed(config: &Config, token: &str, streams: &BTreeSet<StreamId>) -> String {
    let mut address = config.edge.http.listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let mut said = format!("Token             {token}\n");
    for stream in streams {
        // Writing to a string cannot fail.
        let _always_ok = writeln!(
            said,
            "Watch             http://{address}/t/{token}/watch/{stream}"
        );
        let _always_ok = writeln!(
            said,
            "Playlist          http://{address}/t/{token}/live/{stream}/index.m3u8"
        );
    }
    said
}

/// The key of this name, else the newest one that can sign.
fn signer(file: &File, id: Option<&str>) -> anyhow::Result<Signer> {
    let wanted = |entry: &&Entry| entry.revoked.is_none() && id.is_none_or(|id| id == entry.id);
    let mut fit: Vec<&Entry> = file.key.iter().filter(wanted).collect();
    fit.sort_by_key(|entry| std::cmp::Reverse(entry.created));
    let mut failed = None;
    for entry in fit {
        match Signer::new(entry) {
            Ok(signer) => return Ok(signer),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) => Err(error.into()),
        None => anyhow::bail!("no key that signs; `ringside token key new` makes one"),
    }
}

impl New {
    fn run(self) -> Result<String, Failure> {
        let config = self.settings.load()?.config;
        let path = file(&config);
        let mut store = Store::open(&path)?;
        if store.keys().len() >= KEYS_MAX {
            return Err(anyhow::anyhow!("{} holds {KEYS_MAX} keys already", path.display()).into());
        }
        let id = data::secret(4)?;
        let entry = match self.algorithm {
            Kind::Hs256 => {
                let mut secret = [0; SECRET_BYTES];
                getrandom::fill(&mut secret).map_err(anyhow::Error::from)?;
                Entry::hs256(&id, &secret, now())
            }
            Kind::Es256 => {
                Entry::es256(&id, now()).ok_or_else(|| anyhow::anyhow!("the system has no randomness"))?
            }
        };
        store.keys().push(entry);
        store.write()?;
        let path = path.display();
        Ok(format!(
            "Made token key {id}, in {path}. Edges that read it ask every viewer for a token.\n"
        ))
    }
}

impl Revoke {
    fn run(self) -> Result<String, Failure> {
        let config = self.settings.load()?.config;
        let path = file(&config);
        let mut store = Store::open(&path)?;
        let found = store.keys().iter_mut().find(|entry| entry.id == self.id);
        let Some(entry) = found else {
            let said = format!(
                "no key {} in {}; see `ringside token key list`",
                self.id,
                path.display()
            );
            return Err(anyhow::anyhow!(said).into());
        };
        entry.revoked.get_or_insert(now());
        entry.private = None;
        store.write()?;
        Ok(format!(
            "Revoked token key {}: its tokens open nothing any more.\n",
            self.id
        ))
    }
}

fn list(settings: &Settings) -> Result<String, Failure> {
    let config = settings.load()?.config;
    let file = Store::read(&file(&config))?;
    let mut said = format!("{:10}  {:9}  {:10}  state\n", "id", "algorithm", "made");
    for entry in &file.key {
        let algorithm = match entry.algorithm {
            Algorithm::HS256 => "HS256",
            Algorithm::ES256 => "ES256",
        };
        let days = now().saturating_sub(entry.created) / 86_400;
        let state = match (entry.revoked, Signer::new(entry)) {
            (Some(_), _) => "revoked",
            (None, Ok(_)) => "signs and checks",
            (None, Err(_)) => "checks",
        };
        let made = format!("{days} d ago");
        // Writing to a string cannot fail.
        let _always_ok = writeln!(said, "{:10}  {algorithm:9}  {made:10}  {state}", entry.id);
    }
    Ok(said)
}

fn export(settings: &Settings) -> Result<String, Failure> {
    let config = settings.load()?.config;
    let file = Store::read(&file(&config))?.for_edges();
    Ok(toml::to_string(&file).map_err(anyhow::Error::from)?)
}

fn now() -> Unix {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn stream(text: &str) -> Result<StreamId, String> {
    StreamId::new(text).map_err(|error| error.to_string())
}

fn network(text: &str) -> Result<Network, String> {
    text.parse().map_err(str::to_owned)
}

fn country(text: &str) -> Result<String, String> {
    let good = (2..=6).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    good.then(|| text.to_ascii_uppercase())
        .ok_or_else(|| "an ISO 3166 code such as DE or US-CA".to_owned())
}

fn name(text: &str) -> Result<String, String> {
    (1..=64)
        .contains(&text.len())
        .then(|| text.to_owned())
        .ok_or_else(|| "1 to 64 bytes".to_owned())
}
