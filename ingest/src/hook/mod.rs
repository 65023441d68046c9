//! The publish hook: somebody else's say in who comes in, over HTTP, and who has left.
//!
//! Asked in a publisher's own task, before its stream is touched. Live does not wait for a control plane: an answer
//! that does not come in time counts as `ingest.hook.on_failure` says, by default as yes.

mod call;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hls::id::StreamId;
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::config::OnFailure;
use crate::desk::Role;
use crate::keys::now;
use crate::metrics::{self, HookOutcome as Outcome};
pub(crate) use call::Target;
use call::{Answer, Failure};

/// Calls at a time; one more waits, within its own time limit.
const CALLS_MAX: usize = 16;
/// Publishers that have left and are not told of yet; one more is not told of, and counted.
const LEAVING_QUEUED: usize = 64;
/// After the ingest has ended, how long those that left with it are still told of.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a publisher is not let in, in words it is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{0}")]
    Answered(String),
    #[error("the server's publish hook does not answer")]
    Unanswered,
}

/// Who comes or goes.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Publisher {
    pub(crate) stream: StreamId,
    pub(crate) role: Role,
    pub(crate) protocol: &'static str,
    pub(crate) peer: SocketAddr,
    pub(crate) key_id: String,
}

/// What is sent.
#[derive(Debug, Serialize)]
struct Event<'a> {
    event: &'static str,
    #[serde(flatten)]
    who: &'a Publisher,
    time: u64,
}

/// Somebody to ask.
#[derive(Debug)]
pub(crate) struct Hook {
    calls: Arc<Calls>,
    on_failure: OnFailure,
    leaving: mpsc::Sender<Publisher>,
}

/// What asking and telling share.
#[derive(Debug)]
struct Calls {
    target: Target,
    timeout: Duration,
    at_once: Semaphore,
    metrics: metrics::Hook,
    stop: CancellationToken,
}

/// A publisher that was let in; dropping it tells that it has left.
#[derive(Debug)]
pub(crate) struct Pass {
    who: Option<Publisher>,
    leaving: mpsc::Sender<Publisher>,
    dropped: ::metrics::Counter,
}

/// Tells of those that have left, one after the other.
#[derive(Debug)]
pub(crate) struct Leavers {
    calls: Arc<Calls>,
    left: mpsc::Receiver<Publisher>,
}

impl Hook {
    /// The hook of a config that has one, and what has to run beside it.
    pub(crate) fn new(config: &config::Hook, stop: &CancellationToken) -> Option<(Self, Leavers)> {
        let target = Target::new(config.url.as_deref()?, config.secret.as_deref()).ok()?;
        let calls = Arc::new(Calls {
            target,
            timeout: Duration::from_millis(config.timeout_ms),
            at_once: Semaphore::new(CALLS_MAX),
            metrics: metrics::Hook::new(),
            stop: stop.clone(),
        });
        let (leaving, left) = mpsc::channel(LEAVING_QUEUED);
        let hook = Self {
            calls: calls.clone(),
            on_failure: config.on_failure,
            leaving,
        };
        Some((hook, Leavers { calls, left }))
    }

    /// Asks whether a publisher may come in.
    pub(crate) async fn publish(&self, who: Publisher) -> Result<Pass, Refused> {
        let asked = tokio::select! {
            asked = self.calls.call("publish", &who) => asked,
            // Whoever is let in now is closed at once.
            () = self.calls.stop.cancelled() => Err(Failure::Stopped),
        };
        match (asked, self.on_failure) {
            (Ok(Answer::Refused(words)), _) => return Err(Refused::Answered(words)),
            (Err(_), OnFailure::Deny) => return Err(Refused::Unanswered),
            (Ok(Answer::Allowed), _) | (Err(_), OnFailure::Allow) => {}
        }
        Ok(Pass {
            who: Some(who),
            leaving: self.leaving.clone(),
            dropped: self.calls.metrics.dropped.clone(),
        })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let told = self.who.take().map(|who| self.leaving.try_send(who));
        if matches!(told, Some(Err(_))) {
            self.dropped.increment(1);
        }
    }
}

impl Leavers {
    /// Tells until nobody is left who could leave, or for a moment after `stop`.
    pub(crate) async fn run(mut self) {
        let calls = self.calls.clone();
        let last_words = async {
            calls.stop.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        let telling = async {
            while let Some(who) = self.left.recv().await {
                // Counted and logged; nothing else comes of it.
                drop(self.calls.call("unpublish", &who).await);
            }
        };
        tokio::select! {
            () = telling => {}
            () = last_words => {}
        }
    }
}

impl Calls {
    async fn call(&self, event: &'static str, who: &Publisher) -> Result<Answer, Failure> {
        let since = Instant::now();
        let answered = match timeout(self.timeout, self.exchange(event, who)).await {
            Ok(answered) => answered,
            Err(_) => Err(Failure::Late),
        };
        let outcome = match &answered {
            Ok(Answer::Allowed) => Outcome::Allowed,
            Ok(Answer::Refused(_)) => Outcome::Refused,
            Err(Failure::Status(_)) => Outcome::Status,
            Err(Failure::Late) => Outcome::Timeout,
            Err(Failure::Http(_) | Failure::Io(_) | Failure::Stopped) => Outcome::Error,
        };
        self.metrics.called(event == "publish", outcome, since.elapsed());
        if let Err(error) = &answered {
            tracing::warn!(event, stream = %who.stream, peer = %who.peer, %error, "publish hook");
        }
        answered
    }

    async fn exchange(&self, event: &'static str, who: &Publisher) -> Result<Answer, Failure> {
        // Never closed; without a permit the call would merely not be counted among the others.
        let _permit = self.at_once.acquire().await.ok();
        let time = now();
        let body =
            serde_json::to_vec(&Event { event, who, time }).expect("names and numbers have a JSON form");
        self.target.post(body, time).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn hook(on_failure: OnFailure) -> (Arc<Hook>, Leavers, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = config::Hook {
            url: Some(format!("http://{}/", listener.local_addr().unwrap())),
            timeout_ms: 500,
            on_failure,
            ..config::Hook::default()
        };
        let (hook, leavers) = Hook::new(&config, &CancellationToken::new()).unwrap();
        (Arc::new(hook), leavers, listener)
    }

    fn publisher() -> Publisher {
        Publisher {
            stream: StreamId::new("main").unwrap(),
            role: Role::Primary,
            protocol: "rtmp",
            peer: ([127, 0, 0, 1], 1).into(),
            key_id: "first".to_owned(),
        }
    }

    #[tokio::test]
    async fn sixteen_are_asked_about_at_once_and_the_wait_counts_as_well() {
        let (hook, _leavers, listener) = hook(OnFailure::Deny).await;
        let mut asking = tokio::task::JoinSet::new();
        let since = Instant::now();
        for _ in 0..40 {
            let hook = hook.clone();
            asking.spawn(async move { hook.publish(publisher()).await.map(drop) });
        }
        // None is answered, so that for now no more than those that may come.
        let mut connections = Vec::new();
        while let Ok(connection) = timeout(Duration::from_millis(100), listener.accept()).await {
            connections.push(connection.unwrap());
        }
        assert_eq!(connections.len(), CALLS_MAX);
        while let Some(asked) = asking.join_next().await {
            assert_eq!(asked.unwrap(), Err(Refused::Unanswered));
        }
        assert!(
            since.elapsed() < Duration::from_millis(1_200),
            "{:?}",
            since.elapsed()
        );
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_lets_in_and_leavers_beyond_the_queue_are_not_told_of() {
        let (hook, leavers, listener) = hook(OnFailure::Allow).await;
        drop(listener);
        let mut passes = Vec::new();
        for _ in 0..LEAVING_QUEUED + 5 {
            passes.push(hook.publish(publisher()).await.unwrap());
        }
        drop(passes);
        assert_eq!(leavers.left.len(), LEAVING_QUEUED);
    }
}
