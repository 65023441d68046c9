//! Stream keys: who may publish what, and until when.
//!
//! A secret is 128 random bits or more, so that one round of SHA-256 keeps it: no dictionary holds it, and a slow
//! hash would only hold up libsrt's thread, which asks here too.

pub mod file;
mod holders;
mod table;
mod watch;

use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use hls::id::StreamId;
use hls::time::PROGRAM_EPOCH_UNIX;
use srt::Passphrase;

use crate::desk::Role;
use file::{File, Hash};
pub(crate) use holders::{Holder, Holders};
pub(crate) use table::Refused;
use table::{Known, Row, Table};
pub(crate) use watch::Watch;

/// Where the keys file is found in `data.dir`.
pub const FILE: &str = "keys.toml";
/// What the key of `up` itself is called where others have their id.
pub const FIRST: &str = "first";

/// The keys of this ingest, held hashed. Clones are the same keys; the table behind them is replaced whole.
#[derive(Clone, Default)]
pub struct Keys(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Those that stand in no file.
    own: Vec<Row>,
    /// Locked for as long as a pointer takes to copy, since libsrt's thread reads it.
    table: RwLock<Arc<Table>>,
}

/// What a key opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The key's own id, which is no secret.
    pub id: Arc<str>,
    /// The stream.
    pub stream: StreamId,
    /// As which of its two encoders.
    pub role: Role,
    /// Under policy `priority`, higher is preferred.
    pub priority: u8,
    /// Over SRT, what its encoder must encrypt with; none leaves it to the config.
    pub passphrase: Option<Passphrase>,
}

impl Keys {
    /// Each key with the stream it publishes to, as primary, for ever.
    pub fn new(keys: Vec<(String, StreamId)>) -> Self {
        let own = |(key, stream): (String, StreamId)| {
            let grant = Grant {
                id: FIRST.into(),
                stream,
                role: Role::Primary,
                priority: 0,
                passphrase: None,
            };
            Row::current(Hash::of(&key), Arc::new(Known::lasting(grant)))
        };
        let own: Vec<Row> = keys.into_iter().map(own).collect();
        let table = Table::new(own.clone(), &File::default());
        Self(Arc::new(Shared {
            own,
            table: RwLock::new(Arc::new(table)),
        }))
    }

    /// What a key opens at `now`; takes the same time whichever key it is.
    pub(crate) fn grant(&self, key: &str, now: Unix) -> Result<Grant, Refused> {
        self.table().grant(key, now)
    }

    /// Whether publishers with this key have to go.
    pub(crate) fn disconnects(&self, id: &str) -> bool {
        self.table().disconnects(id)
    }

    /// Puts the keys of a file in the place of those it had before; gives how many can be used.
    pub(crate) fn replace(&self, file: &File, now: Unix) -> usize {
        let table = Arc::new(Table::new(self.0.own.clone(), file));
        let usable = table.usable(now);
        *self
            .0
            .table
            .write()
            .expect("nothing panics while it holds the table") = table;
        usable
    }

    fn table(&self) -> Arc<Table> {
        let table = self.0.table.read();
        table.expect("nothing panics while it holds the table").clone()
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.table().len())
    }
}

/// Seconds of Unix time.
pub type Unix = u64;

/// Now, by the system's clock.
pub fn now() -> Unix {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.as_ref().map_or(0, Duration::as_secs)
}

/// The day of `at` in UTC, such as 2026-11-21.
pub fn day(at: Unix) -> String {
    let mut text = hls::time::date_time(Duration::from_secs(at.saturating_sub(PROGRAM_EPOCH_UNIX)));
    text.truncate("2026-11-21".len());
    text
}

/// Day and minute of `at` in UTC, such as 2026-11-21 09:30.
pub fn minute(at: Unix) -> String {
    let text = hls::time::date_time(Duration::from_secs(at.saturating_sub(PROGRAM_EPOCH_UNIX)));
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{day} {}", time.get(..5).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_its_own_stream_only() {
        let id = |name| StreamId::new(name).unwrap();
        let keys = Keys::new(vec![
            ("a-secret".into(), id("main")),
            ("b-secret".into(), id("side")),
        ]);
        let stream = |key| keys.grant(key, now()).map(|grant| grant.stream);
        assert_eq!(stream("a-secret"), Ok(id("main")));
        assert_eq!(stream("b-secret"), Ok(id("side")));
        for wrong in ["", "a-secre", "a-secret ", "main"] {
            assert_eq!(stream(wrong), Err(Refused::Unknown), "{wrong}");
        }
        assert!(!format!("{keys:?}").contains("secret"));
    }

    #[test]
    fn a_clone_sees_what_was_replaced() {
        let (keys, at) = (Keys::default(), now());
        let clone = keys.clone();
        let file = format!(
            "[[key]]\nid = \"0123abcd\"\nstream = \"side\"\nhash = \"{}\"\ncreated = {at}\n",
            Hash::of("c-secret")
        );
        assert_eq!(keys.replace(&File::parse(&file).unwrap(), at), 1);
        assert_eq!(&*clone.grant("c-secret", at).unwrap().id, "0123abcd");
        assert_eq!(keys.replace(&File::default(), at), 0);
        assert_eq!(clone.grant("c-secret", at), Err(Refused::Unknown));
    }

    #[test]
    fn times_are_told_in_utc() {
        assert_eq!(day(1_795_255_474), "2026-11-21");
        assert_eq!(minute(1_795_255_474), "2026-11-21 10:04");
    }
}
