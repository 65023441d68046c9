//! What an encoder's request is answered. Bytes go to the push parser as they come; nothing is kept but one sample.

mod key;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cmaf::push::Parser;
use hls::id::StreamId;
use hls::time::GridError;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use listen::Incoming;
use listen::{Body, Listener};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::path::{Path, What};
use super::refusal::Refusal;
use super::session::{Sending, Session};
use crate::config::{Cmaf, Feed};
use crate::metrics::CmafMeter;
use crate::window::Streams;

/// How often deadlines of tracks are looked at; they are of seconds.
const TICK: Duration = Duration::from_millis(50);

/// Between requests, and for a request's head. Encoders of whole segments are silent for one.
const HEAD: Duration = Duration::from_secs(30);

/// How long, and how much, is still read from an encoder that has been refused: one that is cut off while it sends
/// does not read why.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 8 << 20;

/// Longest manifest that is taken, bytes.
const MANIFEST_BYTES_MAX: usize = 1 << 20;

/// Takes what encoders send.
pub(crate) struct Intake {
    sessions: BTreeMap<StreamId, Arc<Session>>,
    idle: Duration,
    connections: usize,
    meter: CmafMeter,
}

struct Shared {
    sessions: BTreeMap<StreamId, Arc<Session>>,
    idle: Duration,
    meter: CmafMeter,
    lingering: TaskTracker,
    shutdown: CancellationToken,
}

/// Why a request is not looked at any further.
enum Denied {
    Path,
    NoKey,
    /// Or no such stream: which there are is nobody's business without a key.
    WrongKey,
}

impl Denied {
    fn answer(&self) -> Response<Body> {
        match self {
            Self::Path => plain(
                StatusCode::NOT_FOUND,
                "want /STREAM/TRACK.cmfv, /STREAM/TRACK/SEGMENT.m4s or /STREAM/Streams(TRACK.cmfv)",
            ),
            Self::NoKey => {
                let reason = "a key is wanted: bearer token, basic password, or ?key=";
                let mut answer = plain(StatusCode::UNAUTHORIZED, reason);
                let scheme = HeaderValue::from_static("Basic realm=\"ringside\"");
                answer.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
                answer
            }
            Self::WrongKey => plain(StatusCode::FORBIDDEN, "wrong key, or no such stream"),
        }
    }
}

/// What ends a body early.
enum Ended {
    Refused(Refusal),
    Told(StatusCode, &'static str),
}

impl Intake {
    pub(crate) fn new(cmaf: &Cmaf, feed: &Feed, streams: &Arc<Streams>) -> Result<Self, GridError> {
        let meter = CmafMeter::new();
        let mut sessions = BTreeMap::new();
        for stream in &cmaf.streams {
            streams.expect(&stream.id);
            let (streams, meter) = (Arc::clone(streams), meter.clone());
            let session = Session::new(stream.clone(), cmaf, feed, streams, meter)?;
            sessions.insert(stream.id.clone(), Arc::new(session));
        }
        Ok(Self {
            sessions,
            idle: cmaf.idle(),
            connections: cmaf.connections_max,
            meter,
        })
    }

    /// Serves until shutdown.
    pub(crate) async fn run(self, listener: Listener, shutdown: CancellationToken) {
        let shared = Arc::new(Shared {
            sessions: self.sessions,
            idle: self.idle,
            meter: self.meter,
            lingering: TaskTracker::new(),
            shutdown: shutdown.clone(),
        });
        let limits = listen::Limits {
            connections: self.connections,
            idle: HEAD,
            ..Default::default()
        };
        let answering = Arc::clone(&shared);
        let serve = listener.serve(None, limits, shutdown, move |request| {
            Arc::clone(&answering).answer(request)
        });
        tokio::pin!(serve);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut serve => break,
                now = ticks.tick() => shared.sessions.values().for_each(|session| session.tick(now.into_std())),
            }
        }
        shared.lingering.close();
        shared.lingering.wait().await;
    }
}

impl Shared {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        self.meter.requests.increment(1);
        match self.admitted(&request) {
            Ok((session, what)) => self.take(request, session, what).await,
            Err(denied) => {
                self.meter.refused.increment(1);
                denied.answer()
            }
        }
    }

    /// The stream that a request may send, and what of it.
    fn admitted(&self, request: &Request<Incoming>) -> Result<(Arc<Session>, What), Denied> {
        let path = Path::parse(request.uri().path()).ok_or(Denied::Path)?;
        let key = key::of(request).ok_or(Denied::NoKey)?;
        let session = self.sessions.get(&path.stream);
        let session = session.filter(|session| key::is_one_of(&key, session.keys()));
        let session = session.ok_or(Denied::WrongKey)?;
        Ok((Arc::clone(session), path.what))
    }

    async fn take(&self, request: Request<Incoming>, session: Arc<Session>, what: What) -> Response<Body> {
        match *request.method() {
            Method::POST | Method::PUT => {}
            // What is published goes when its time comes, not when an encoder says so.
            Method::DELETE => return plain(StatusCode::NO_CONTENT, ""),
            _ => {
                let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "want POST or PUT");
                let allow = HeaderValue::from_static("POST, PUT, DELETE");
                answer.headers_mut().insert(header::ALLOW, allow);
                return answer;
            }
        }
        let track = match &what {
            What::Manifest => None,
            What::Track(id) => match session.track(id) {
                Some(track) => Some(track),
                None => {
                    return plain(
                        StatusCode::NOT_FOUND,
                        "this stream has no such track (packager.cmaf.streams)",
                    );
                }
            },
            What::Place(place) if *place < session.config.tracks.len() => Some(*place),
            What::Place(_) => {
                return plain(
                    StatusCode::NOT_FOUND,
                    "this stream has fewer tracks (packager.cmaf.streams)",
                );
            }
        };
        let mut body = request.into_body();
        let Some(track) = track else {
            let deadline = Instant::now() + self.idle;
            drain(&mut body, deadline, MANIFEST_BYTES_MAX).await;
            return plain(StatusCode::OK, "");
        };
        let ended = match session.open(track) {
            Ok(sending) => self.read(&mut body, sending).await,
            Err(refusal) => Err(Ended::Refused(refusal)),
        };
        let (status, reason) = match ended {
            Ok(()) => return plain(StatusCode::OK, ""),
            Err(Ended::Refused(refusal)) => (refusal.status(), refusal.to_string()),
            Err(Ended::Told(status, reason)) => (status, reason.to_owned()),
        };
        self.meter.refused.increment(1);
        tracing::warn!(stream = %session.config.id, track, %status, error = reason, "CMAF refused");
        self.lingering.spawn(async move {
            drain(&mut body, Instant::now() + LINGER, LINGER_BYTES).await;
        });
        let mut answer = plain(status, reason);
        answer
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
        answer
    }

    /// Reads a body to its end; an empty one is an encoder that asks whether it may.
    async fn read(&self, body: &mut Incoming, mut sending: Sending) -> Result<(), Ended> {
        let mut parser = Parser::new(sending.movie());
        let replaced = sending.replaced.clone();
        loop {
            let frame = tokio::select! {
                frame = timeout(self.idle, body.frame()) => frame,
                () = replaced.cancelled() => return Err(Ended::Refused(Refusal::Replaced)),
                () = self.shutdown.cancelled() => {
                    return Err(Ended::Told(StatusCode::SERVICE_UNAVAILABLE, "shutting down"));
                }
            };
            let bytes = match frame {
                Err(_) => return Err(Ended::Told(StatusCode::REQUEST_TIMEOUT, "the body stands still")),
                Ok(None) => break,
                Ok(Some(Err(_))) => {
                    return Err(Ended::Told(StatusCode::BAD_REQUEST, "the connection was lost"));
                }
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            };
            self.meter.bytes.increment(bytes.len() as u64);
            push(&mut parser, &bytes, &mut sending).map_err(Ended::Refused)?;
        }
        let whole = parser.finish().map_err(Refusal::Bytes);
        let over = sending.finish(std::time::Instant::now());
        whole.and(over).map_err(Ended::Refused)
    }
}

fn push(parser: &mut Parser, bytes: &Bytes, sending: &mut Sending) -> Result<(), Refusal> {
    parser.push(bytes);
    while let Some(event) = parser.next().map_err(Refusal::Bytes)? {
        sending.event(Instant::now().into_std(), event)?;
    }
    Ok(())
}

/// Reads on, and forgets it.
async fn drain(body: &mut Incoming, deadline: Instant, most: usize) {
    let mut left = most;
    while let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        if length > left {
            return;
        }
        left -= length;
    }
}

fn plain(status: StatusCode, reason: impl Into<String>) -> Response<Body> {
    let mut reason = reason.into();
    if !reason.is_empty() {
        reason.push('\n');
    }
    let mut answer = Response::new(if reason.is_empty() {
        Body::empty()
    } else {
        Body::from(reason)
    });
    *answer.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, text);
    answer
}
