//! The one way in: whatever protocol a publisher speaks, its key is checked here and its seat is found here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::contribution::{Contribution, Decoders};
use crate::desk::{Refused, Role};
use crate::doctor::{Declared, Line};
use crate::hook::{self, Hook, Pass};
use crate::keys::{self, Grant, Holder, Holders, Keys};
use crate::media::{Clock, Media};
use crate::metrics::{Listener, Protocol};
use crate::stream::{Entry, Publisher, Stream};
use crate::streams::{self, Streams};

/// Units on their way from the socket to the decoders; RTMP slows its encoder down at the bound, SRT drops.
const UNITS_QUEUED: usize = 256;

/// A publisher before it is let in.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) clock: Clock,
    pub(crate) peer: SocketAddr,
    /// The stream key, maybe with `?role=backup` behind it.
    pub(crate) key: &'a str,
    /// The role it asks for otherwise.
    pub(crate) role: Option<Role>,
}

/// Why it is not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Key(#[from] keys::Refused),
    #[error(transparent)]
    Hook(#[from] hook::Refused),
    #[error(transparent)]
    Desk(#[from] Refused),
    #[error("the switcher is busy")]
    Busy,
    #[error(transparent)]
    Stream(#[from] streams::Refused),
}

/// A publisher's place, until dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    stream: Arc<Stream>,
    entry: Entry,
    contribution: Arc<Contribution>,
    units: mpsc::Sender<(Instant, Media)>,
    /// Both end with the seat.
    _listed: (Holder, Option<Pass>),
    /// When it was let in, or its last frame came.
    pub(crate) last_media: Instant,
}

/// Checks keys and hands out seats.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) keys: Keys,
    pub(crate) holders: Holders,
    pub(crate) hook: Option<Hook>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) tasks: TaskTracker,
}

impl Door {
    /// Lets a publisher in, or says why not in words its user is shown. `closed` is cancelled once it has to go.
    pub(crate) async fn enter(
        &self,
        asked: &Asked<'_>,
        closed: CancellationToken,
        metrics: &Listener,
    ) -> Result<Seat, Refusal> {
        let entered = self.seat(asked, closed).await;
        if let Err(refusal) = &entered {
            let counter = match refusal {
                Refusal::Key(_) => &metrics.refused_key,
                Refusal::Hook(_) | Refusal::Desk(_) | Refusal::Busy | Refusal::Stream(_) => {
                    &metrics.refused_policy
                }
            };
            counter.increment(1);
            let protocol = asked.protocol.as_str();
            tracing::warn!(protocol, peer = %asked.peer, error = %refusal, "encoder refused");
        }
        entered
    }

    /// What a key opens, without letting anybody in: a look into memory, for threads that must not wait.
    pub(crate) fn peek(&self, key: &str) -> Result<Grant, keys::Refused> {
        let (key, _) = split(key);
        self.keys.grant(key, keys::now())
    }

    async fn seat(&self, asked: &Asked<'_>, closed: CancellationToken) -> Result<Seat, Refusal> {
        let (key, role) = split(asked.key);
        let grant = self.keys.grant(key, keys::now())?;
        let role = role.or(asked.role).unwrap_or(grant.role);
        let pass = self.ask(asked, &grant, role).await?;
        let stream = self.streams.stream(&grant.stream).await?;
        let (contribution, decoders) = stream.contribution(asked.clock);
        let entry = stream.enter(Publisher {
            role,
            priority: grant.priority,
            protocol: asked.protocol,
            peer: asked.peer,
            contribution: contribution.clone(),
            closed: closed.clone(),
        })?;
        let (id, protocol) = (&grant.stream, asked.protocol.as_str());
        tracing::info!(stream = %id, protocol, peer = %asked.peer, role = role.as_str(),
            took_over = entry.took_over, "encoder is in");
        let (units, queue) = mpsc::channel(UNITS_QUEUED);
        self.tasks.spawn_blocking(move || Decoders::run(decoders, queue));
        Ok(Seat {
            stream,
            entry,
            contribution,
            units,
            _listed: (self.holders.enter(grant.id, closed), pass),
            last_media: Instant::now(),
        })
    }

    /// Asks the hook, where there is one. Waits for nothing else, and holds nothing meanwhile.
    async fn ask(&self, asked: &Asked<'_>, grant: &Grant, role: Role) -> Result<Option<Pass>, Refusal> {
        let Some(hook) = &self.hook else { return Ok(None) };
        let publisher = hook::Publisher {
            stream: grant.stream.clone(),
            role,
            protocol: asked.protocol.as_str(),
            peer: asked.peer,
            key_id: grant.id.as_ref().to_owned(),
        };
        Ok(Some(hook.publish(publisher).await?))
    }
}

impl Seat {
    /// Hands on what came, waiting while the decoders are behind.
    pub(crate) async fn give(&mut self, media: Media) {
        let arrival = self.note(&media);
        // Fails only once the decoders' thread is gone, which ends with this seat.
        drop(self.units.send((arrival, media)).await);
    }

    fn note(&mut self, media: &Media) -> Instant {
        let now = Instant::now();
        if media.is_frame() {
            self.last_media = now;
            self.contribution.heard_from(now);
        }
        self.contribution.examine(now, |exam, now| exam.take(now, media));
        if let Some(relay) = self.contribution.relay() {
            relay.take(now, media);
        }
        now
    }

    /// What the encoder says about itself.
    pub(crate) fn declare(&self, declared: Declared) {
        self.contribution
            .examine(Instant::now(), |exam, _| exam.declare(declared));
    }

    /// What the transport has counted.
    pub(crate) fn count(&self, line: Line) {
        self.contribution
            .examine(Instant::now(), |exam, now| exam.count(now, line));
    }

    /// It says goodbye; what it sent before is still shown.
    pub(crate) fn leave(&self) {
        self.contribution.leave();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
        self.stream.leave(self.entry.seat);
    }
}

/// `KEY?role=backup`: encoders have one field for the key. Anything else behind a question mark is not ours to judge.
fn split(key: &str) -> (&str, Option<Role>) {
    let Some((key, query)) = key.split_once('?') else {
        return (key, None);
    };
    let role = query.split('&').find_map(|pair| match pair.split_once('=')? {
        ("role", name) => Role::parse(name),
        ("backup", "1") => Some(Role::Backup),
        _ => None,
    });
    (key, role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_may_stand_behind_the_key() {
        assert_eq!(split("abc"), ("abc", None));
        assert_eq!(split("abc?role=backup"), ("abc", Some(Role::Backup)));
        assert_eq!(split("abc?x=1&backup=1"), ("abc", Some(Role::Backup)));
        assert_eq!(split("abc?role=primary&y"), ("abc", Some(Role::Primary)));
        assert_eq!(split("abc?role=king"), ("abc", None));
    }
}
