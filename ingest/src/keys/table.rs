//! The keys as they are asked for: an immutable table, searched in the same time for every question.

use std::sync::Arc;

use srt::Passphrase;
use subtle::ConstantTimeEq;

use super::file::{Entry, File, Hash};
use super::{Grant, Unix, day};

/// Why a key opens nothing, in words its user is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("unknown stream key")]
    Unknown,
    #[error("this stream key expired on {}", day(*.0))]
    Expired(Unix),
    #[error("this stream key was replaced by a new one and ended on {}", day(*.0))]
    Replaced(Unix),
    #[error("this stream key was revoked on {}", day(*.0))]
    Revoked(Unix),
}

/// Every secret that means something, with what it means.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<Row>);

/// One secret.
#[derive(Debug, Clone)]
pub(super) struct Row {
    hash: Hash,
    /// For the secret before the last rotation, when it ends.
    until: Option<Unix>,
    known: Arc<Known>,
}

/// One key.
#[derive(Debug)]
pub(super) struct Known {
    grant: Grant,
    expires: Option<Unix>,
    revoked: Option<Unix>,
    disconnect: bool,
}

impl Table {
    pub(super) fn new(own: Vec<Row>, file: &File) -> Self {
        let mut rows = own;
        for entry in &file.key {
            let known = Arc::new(Known::from(entry));
            rows.push(Row::current(entry.hash, known.clone()));
            rows.extend(entry.previous_hash.map(|hash| Row {
                hash,
                until: Some(entry.previous_until.unwrap_or(0)),
                known,
            }));
        }
        Self(rows)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn grant(&self, key: &str, now: Unix) -> Result<Grant, Refused> {
        let claimed = Hash::of(key);
        let mut found = None;
        for row in &self.0 {
            if row.hash.as_bytes().ct_eq(claimed.as_bytes()).into() {
                found = Some(row);
            }
        }
        found.ok_or(Refused::Unknown)?.grant(now)
    }

    pub(super) fn disconnects(&self, id: &str) -> bool {
        let mut gone = self.0.iter().filter(|row| row.known.disconnect);
        gone.any(|row| *row.known.grant.id == *id)
    }

    /// Keys of a file that open something.
    pub(super) fn usable(&self, now: Unix) -> usize {
        let current = self.0.iter().filter(|row| row.until.is_none());
        let of_file = current.filter(|row| *row.known.grant.id != *super::FIRST);
        of_file.filter(|row| row.grant(now).is_ok()).count()
    }
}

impl Row {
    pub(super) fn current(hash: Hash, known: Arc<Known>) -> Self {
        Self {
            hash,
            until: None,
            known,
        }
    }

    fn grant(&self, now: Unix) -> Result<Grant, Refused> {
        let known = &self.known;
        let over = |at: Option<Unix>| at.filter(|at| now >= *at);
        if let Some(at) = known.revoked {
            return Err(Refused::Revoked(at));
        }
        if let Some(at) = over(known.expires) {
            return Err(Refused::Expired(at));
        }
        match over(self.until) {
            Some(at) => Err(Refused::Replaced(at)),
            None => Ok(known.grant.clone()),
        }
    }
}

impl Known {
    /// A key that ends with this process only.
    pub(super) fn lasting(grant: Grant) -> Self {
        Self {
            grant,
            expires: None,
            revoked: None,
            disconnect: false,
        }
    }
}

impl From<&Entry> for Known {
    fn from(entry: &Entry) -> Self {
        let passphrase = entry.passphrase.as_ref();
        Self {
            grant: Grant {
                id: entry.id.as_str().into(),
                stream: entry.stream.clone(),
                role: entry.role,
                priority: entry.priority,
                passphrase: passphrase.and_then(|secret| Passphrase::new(secret.expose())),
            },
            expires: entry.expires,
            revoked: entry.revoked,
            disconnect: entry.disconnect,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Unix = 1_795_255_474;

    fn table(more: &str) -> Table {
        let (hash, before) = (Hash::of("new"), Hash::of("old"));
        let text = format!(
            "[[key]]\nid = \"0123abcd\"\nstream = \"main\"\nrole = \"backup\"\npriority = 7\nhash = \"{hash}\"\n\
             created = {NOW}\nprevious_hash = \"{before}\"\nprevious_until = {}\n{more}",
            NOW + 60
        );
        Table::new(Vec::new(), &File::parse(&text).unwrap())
    }

    #[test]
    fn a_key_that_expired_or_was_revoked_is_refused_in_its_own_words() {
        let expiring = table(&format!("expires = {}", NOW + 100));
        let grant = expiring.grant("new", NOW + 99).unwrap();
        assert_eq!((grant.role, grant.priority), (crate::Role::Backup, 7));
        let refused = expiring.grant("new", NOW + 100).unwrap_err();
        assert_eq!(refused.to_string(), "this stream key expired on 2026-11-21");
        let revoked = table(&format!("revoked = {NOW}\ndisconnect = true"));
        let refused = revoked.grant("new", NOW).unwrap_err();
        assert_eq!(refused.to_string(), "this stream key was revoked on 2026-11-21");
        assert!(revoked.disconnects("0123abcd") && !revoked.disconnects("0123abce"));
        assert_eq!((expiring.usable(NOW), revoked.usable(NOW)), (1, 0));
    }

    #[test]
    fn the_secret_before_a_rotation_opens_until_its_grace_is_over() {
        let table = table("");
        assert!(table.grant("old", NOW + 59).is_ok());
        assert_eq!(table.grant("old", NOW + 60), Err(Refused::Replaced(NOW + 60)));
        assert!(table.grant("new", NOW + 60).is_ok());
        assert!(!table.disconnects("0123abcd"));
    }
}
