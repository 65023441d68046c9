//! `ringside key`: stream keys made, listed, rotated and revoked, whether an ingest runs or not.

mod store;
mod words;

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use hls::id::StreamId;
use ingest::Role;
use ingest::keys::file::{Entry, Hash, Id, KEYS_MAX, NOTE_MAX, Secret};
use ingest::keys::{self, Unix};

use crate::cli::{Failure, Settings};
use crate::config::Config;
use crate::data;
use store::Store;

/// Random bytes of a stream key.
const SECRET_BYTES: usize = 16;
/// Random bytes of a passphrase that is made here.
const PASSPHRASE_BYTES: usize = 16;
/// A revoked key is forgotten after so many seconds; until then encoders are told what became of it.
const FORGET: Unix = 30 * 86_400;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key and print it, this once, with what encoders have to be given.
    New(New),
    /// List the keys: id, stream, role, priority, end and note; never a secret.
    List(Settings),
    /// Give a key a new secret and print it, this once; the old one works on for a while.
    ///
    /// Whoever is live with the old secret stays live. A second rotation ends the grace of the first. The passphrase, the role and the end of the key stay as they
    /// are.
    Rotate(Rotate),
    /// Take a key back: from now on it lets nobody in.
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// The stream it opens; one that does not run yet starts with its first encoder.
    #[arg(long, value_name = "ID", value_parser = stream)]
    stream: StreamId,
    /// As which of the stream's two encoders: primary or backup.
    #[arg(long, default_value = "primary", value_parser = role)]
    role: Role,
    /// Under `ingest.policy = "priority"`, 0 to 255; an encoder of a higher one takes over from a lower one.
    #[arg(long, value_name = "N", default_value_t = 0)]
    priority: u8,
    /// End of the key from now, such as 12h or 30d. Never without it. Whoever is live then stays live.
    #[arg(long, value_name = "TIME", value_parser = crate::cli::seconds)]
    expires: Option<Unix>,
    /// Encrypt SRT with this, 10 to 79 bytes. It ends up in the history of the shell; see --passphrase-generate.
    #[arg(long, value_name = "TEXT", value_parser = passphrase, conflicts_with = "passphrase_generate")]
    passphrase: Option<Secret>,
    /// Encrypt SRT with a passphrase made here.
    #[arg(long)]
    passphrase_generate: bool,
    /// Whose it is; at most 200 characters on one line.
    #[arg(long, value_name = "TEXT", value_parser = note)]
    note: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// The key, as `ringside key list` names it.
    #[arg(value_parser = id)]
    id: Id,
    /// How long the old secret works on, such as 0s or 1h.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = crate::cli::seconds)]
    grace: Unix,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The key, as `ringside key list` names it.
    #[arg(value_parser = id)]
    id: Id,
    /// Also close the encoders that are live with it, within two seconds. Without it they stay until they leave.
    #[arg(long)]
    disconnect: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Where the keys of a configuration are.
pub(crate) fn file(config: &Config) -> PathBuf {
    config.ingest.keys_file(&config.data.dir)
}

/// Fails where an ingest could not use the keys.
pub(crate) fn check(config: &Config) -> Result<(), Failure> {
    let read = keys::file::File::read(&file(config));
    let unusable = |error| Failure::Usage(format!("ringside: the stream keys cannot be used\n  {error}"));
    read.map(drop).map_err(unusable)
}

impl Command {
    /// Does it, and says what was done.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let said = match self {
            Self::New(new) => new.run(),
            Self::List(settings) => list(&settings),
            Self::Rotate(rotate) => rotate.run(),
            Self::Revoke(revoke) => revoke.run(),
        }?;
        let written = std::io::stdout().write_all(said.as_bytes());
        written.map_err(|error| Failure::Run(error.into()))
    }
}

impl New {
    fn run(self) -> Result<String, Failure> {
        let config = self.settings.load()?.config;
        let now = keys::now();
        let secret = data::secret(SECRET_BYTES)?;
        let passphrase = match self.passphrase {
            None if self.passphrase_generate => Secret::new(&data::secret(PASSPHRASE_BYTES)?),
            given => given,
        };
        let mut store = Store::open(&file(&config))?;
        store.forget(now.saturating_sub(FORGET));
        let entry = Entry {
            id: store.unused_id()?,
            stream: self.stream,
            role: self.role,
            priority: self.priority,
            hash: Hash::of(&secret),
            created: now,
            expires: self.expires.map(|seconds| now.saturating_add(seconds)),
            note: self.note,
            passphrase,
            previous_hash: None,
            previous_until: None,
            revoked: None,
            disconnect: false,
        };
        if store.keys().len() >= KEYS_MAX {
            let path = file(&config);
            return Err(anyhow::anyhow!("{} holds {KEYS_MAX} keys already", path.display()).into());
        }
        let said = words::made(&config, &entry, &secret);
        store.keys().push(entry);
        store.write()?;
        Ok(said)
    }
}

fn list(settings: &Settings) -> Result<String, Failure> {
    let config = settings.load()?.config;
    let file = Store::read(&file(&config))?;
    let first = config.data.dir.join(data::STREAM_KEY).exists();
    Ok(words::table(&file, first, keys::now()))
}

impl Rotate {
    fn run(self) -> Result<String, Failure> {
        let config = self.settings.load()?.config;
        let now = keys::now();
        let secret = data::secret(SECRET_BYTES)?;
        let mut store = Store::open(&file(&config))?;
        let entry = store.find(&self.id)?;
        if entry.revoked.is_some() {
            let id = self.id.as_str();
            return Err(anyhow::anyhow!("key {id} is revoked; `ringside key new` makes another").into());
        }
        let until = now.saturating_add(self.grace);
        entry.previous_hash = Some(entry.hash);
        entry.previous_until = Some(until);
        entry.hash = Hash::of(&secret);
        let mut said = words::made(&config, entry, &secret);
        said.push_str(&words::grace(self.grace, until));
        store.write()?;
        Ok(said)
    }
}

impl Revoke {
    fn run(self) -> Result<String, Failure> {
        let config = self.settings.load()?.config;
        let now = keys::now();
        let mut store = Store::open(&file(&config))?;
        let entry = store.find(&self.id)?;
        entry.revoked.get_or_insert(now);
        entry.disconnect |= self.disconnect;
        // What is left is only told apart by its hashes.
        entry.passphrase = None;
        let said = words::revoked(entry);
        store.write()?;
        Ok(said)
    }
}

fn stream(text: &str) -> Result<StreamId, String> {
    StreamId::new(text).map_err(|error| error.to_string())
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "primary" => Ok(Role::Primary),
        "backup" => Ok(Role::Backup),
        _ => Err("primary or backup".to_owned()),
    }
}

fn passphrase(text: &str) -> Result<Secret, String> {
    Secret::new(text).ok_or_else(|| "10 to 79 bytes".to_owned())
}

fn note(text: &str) -> Result<String, String> {
    let good = text.chars().count() <= NOTE_MAX && !text.chars().any(char::is_control);
    good.then(|| text.to_owned())
        .ok_or_else(|| format!("at most {NOTE_MAX} characters, on one line"))
}

fn id(text: &str) -> Result<Id, String> {
    if text == keys::FIRST {
        return Err(format!(
            "this is the key `up` made for itself; delete the file {} in data.dir and start anew to change it",
            data::STREAM_KEY
        ));
    }
    Id::new(text).ok_or_else(|| "an id of `ringside key list`, 8 hexadecimal digits".to_owned())
}
