//! What a viewer's request is answered. Decisions are `hls::reload`'s; this waits and writes.

use std::sync::Arc;
use std::time::Duration;

use flight::Refusal;
use gate::admission::Class;
use hls::delivery::{Answer, TEXT_TYPE};
use hls::id::{Cell, Msn, StreamId, TrackId};
use hls::path::{Directives, Hash, Leaf, Object as Name, Resource, split_token};
use hls::reload::Verdict;
use http::{Method, Request, Response, StatusCode};
use listen::Body;
use listen::Incoming;
use listen::answer::{Found, Refused, nothing, preflight, refusal, success};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::admission::{self, Gate, Viewer};
use crate::fetch::Keep;
use crate::metrics::Meter;
use crate::page;
use crate::rewind;
use crate::streams::Streams;
use crate::telemetry::{self, Telemetry};
use crate::tokens::{self, Tokens};
use crate::track::{Released, Track};
use crate::upstream::Object;

/// How long a viewer of a stream that has not started may wait; it asks again.
const START_WAIT: Duration = Duration::from_secs(10);

/// Indexes into [`crate::metrics::KINDS`].
const PLAYLIST: usize = 0;
const PART: usize = 1;
const OBJECT: usize = 2;
const PAGE: usize = 3;
const REPORT: usize = 4;

#[derive(Clone)]
pub(crate) struct Edge(Arc<Shared>);

/// What all requests are answered from.
pub(crate) struct Shared {
    pub(crate) streams: Arc<Streams>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) home: Option<StreamId>,
    pub(crate) shutdown: CancellationToken,
}

impl Edge {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// Answers one request; waits as long as the draft allows.
    pub(crate) async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        let shared = &self.0;
        match *request.method() {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => return preflight(),
            Method::POST if split_token(request.uri().path()).1 == telemetry::PATH => {
                return shared.report(request).await;
            }
            _ => return refusal(&Refused::method()),
        }
        let peer = request.body().peer();
        let (token, path) = split_token(request.uri().path());
        let viewer = Viewer {
            peer,
            token,
            headers: request.headers(),
        };
        let Some(resource) = Resource::parse(path) else {
            let watches = shared.gate.watches(&viewer);
            let response = match shared.enter(Class::Playlist, watches).await {
                Ok(()) => shared.page(path),
                Err(refused) => refusal(&refused),
            };
            shared.answered(PAGE, &response);
            return response;
        };
        let query = request.uri().query().unwrap_or_default();
        let asked = tokens::Request {
            token,
            path,
            query,
            headers: request.headers(),
            peer,
        };
        let found = match shared.admit(&resource, &asked, &viewer).await {
            Ok(()) => shared.find(&resource, query).await,
            Err(refused) => Err(refused),
        };
        let response = match found {
            Ok(found) => {
                // A multivariant playlist alone is not playing yet.
                if !matches!(
                    resource,
                    Resource::Multivariant(_)
                        | Resource::Dvr(_)
                        | Resource::Thumbnails(_)
                        | Resource::Thumbnail(..)
                ) {
                    shared.gate.now_watches(&viewer);
                }
                found.ready(request.headers()).await;
                success(found, &request)
            }
            Err(refused) => refusal(&refused),
        };
        let kind = match &resource {
            Resource::Multivariant(_)
            | Resource::Media(..)
            | Resource::Dvr(_)
            | Resource::DvrMedia(..)
            | Resource::Frames(..)
            | Resource::Thumbnails(_)
            | Resource::Vod(_, _, Leaf::Multivariant | Leaf::Media(_)) => PLAYLIST,
            Resource::Object(_, _, Name::Part(_)) => PART,
            Resource::Key(..)
            | Resource::Thumbnail(..)
            | Resource::Object(_, _, Name::Init(_) | Name::Segment(_) | Name::Vtt(_))
            | Resource::Vod(_, _, Leaf::Object(..)) => OBJECT,
        };
        shared.answered(kind, &response);
        if response.status().is_success() {
            shared
                .telemetry
                .request(resource.stream(), query, request.headers());
        }
        response
    }
}

impl Shared {
    /// May this viewer, and is there room.
    async fn admit(
        &self,
        resource: &Resource,
        asked: &tokens::Request<'_>,
        viewer: &Viewer<'_>,
    ) -> Result<(), Refused> {
        self.tokens.check(resource, asked).map_err(Refused::personal)?;
        let (class, knows) = admission::class(&self.streams, resource, asked.query);
        let watches = knows || self.gate.watches(viewer) || self.tokens.is_tier(asked.headers);
        self.enter(class, watches).await
    }

    /// Takes what a player reports; it hears of nothing that is wrong with it.
    async fn report(&self, request: Request<Incoming>) -> Response<Body> {
        let response = match self.enter(Class::Api, true).await {
            Ok(()) => {
                let is_known = |stream: &StreamId| self.streams.is_watched(stream);
                self.telemetry.post(request.into_body(), is_known).await;
                nothing()
            }
            Err(refused) => refusal(&refused),
        };
        self.answered(REPORT, &response);
        response
    }

    async fn enter(&self, class: Class, watches: bool) -> Result<(), Refused> {
        self.gate.admit(class, !watches, &self.shutdown).await
    }

    fn answered(&self, kind: usize, response: &Response<Body>) {
        self.streams.meter.answered(kind, response.status());
        self.gate.sends(response.body().len());
    }

    fn page(&self, path: &str) -> Response<Body> {
        if let (Some(home), "/") = (&self.home, path) {
            return page::redirect(home);
        }
        page::answer(path, self.telemetry.is_wanted())
            .unwrap_or_else(|| refusal(&Refused::new(StatusCode::NOT_FOUND, "no such page")))
    }

    async fn find(&self, resource: &Resource, query: &str) -> Result<Found, Refused> {
        match resource {
            Resource::Multivariant(stream) => {
                let object = self.streams.multivariant(stream).await;
                let object = object.map_err(|refusal| self.said(resource, refusal))?;
                Ok(Found {
                    available_us: object.available_us,
                    age: Some(object.received.elapsed()),
                    ..Found::playlist(object.forms.form(None), Duration::ZERO)
                })
            }
            Resource::Key(..) => {
                let object = self.streams.key(resource).await.map_err(refused)?;
                Ok(Found::key(object.bytes.into()))
            }
            Resource::Thumbnails(stream) => rewind::thumbnails(&self.streams, stream).await.map_err(refused),
            Resource::Thumbnail(stream, msn) => rewind::thumbnail(&self.streams, stream, *msn)
                .await
                .map_err(refused),
            Resource::Media(stream, id) => {
                let directives = directives(query)?;
                self.wait(stream, id).await?.playlist(&directives).await
            }
            Resource::Dvr(_) | Resource::DvrMedia(..) | Resource::Frames(..) => {
                let skip = directives(query)?.skip;
                rewind::playlist(&self.streams, resource, skip)
                    .await
                    .map_err(refused)
            }
            Resource::Object(stream, id, name @ Name::Part(_)) => self.live(stream, id, name).await,
            Resource::Object(stream, id, name) => self.object(stream, id, name).await,
            Resource::Vod(stream, vod, leaf) => {
                let skip = directives(query)?.skip;
                let found = rewind::vod(&self.streams, stream, (vod, leaf), skip);
                tokio::select! {
                    found = found => found.map_err(refused),
                    () = self.shutdown.cancelled() => Err(refused(Refusal::Failed)),
                }
            }
        }
    }

    /// A segment or init segment: of the live window where its track is mirrored, else of the recording. Who rewinds needs
    /// no mirror, and starts none, unless there is no recording.
    async fn object(&self, stream: &StreamId, id: &TrackId, name: &Name) -> Result<Found, Refused> {
        let mirrored = self.streams.mirrored(stream, id).is_some();
        if mirrored {
            match self.live(stream, id, name).await {
                Err(refused) if refused.status == StatusCode::NOT_FOUND => {}
                answer => return answer,
            }
        }
        match rewind::lists(&self.streams, stream, id, name).await {
            Ok(true) => self.rewind(stream, id, name).await,
            Ok(false) | Err(_) if mirrored => Err(unknown("no such object")),
            Ok(false) | Err(_) => self.live(stream, id, name).await,
        }
    }

    async fn live(&self, stream: &StreamId, id: &TrackId, name: &Name) -> Result<Found, Refused> {
        let mut wait = self.wait(stream, id).await?;
        match name {
            Name::Init(hash) => wait.init(*hash).await,
            Name::Segment(msn) => wait.segment(*msn).await,
            Name::Vtt(msn) => wait.text(*msn).await,
            Name::Part(cell) => wait.part(*cell).await,
        }
    }

    /// From the recording; the flight outlives this viewer.
    async fn rewind(&self, stream: &StreamId, id: &TrackId, name: &Name) -> Result<Found, Refused> {
        let found = rewind::object(&self.streams, stream, id, name);
        tokio::select! {
            found = found => found.map_err(refused),
            () = self.shutdown.cancelled() => Err(refused(Refusal::Failed)),
        }
    }

    /// A refusal, told apart where a source's playlist is what is wrong.
    fn said(&self, playlist: &Resource, refusal: Refusal) -> Refused {
        let parents = self.streams.routes.of(playlist.stream());
        if refusal == Refusal::Failed && parents.refuses(playlist) {
            not_carried()
        } else {
            refused(refusal)
        }
    }

    async fn wait(&self, stream: &StreamId, id: &TrackId) -> Result<Wait<'_>, Refused> {
        let track = self.streams.track(stream, id).await;
        let multivariant = Resource::Multivariant(stream.clone());
        let track = track.map_err(|refusal| self.said(&multivariant, refusal))?;
        Ok(Wait {
            shared: self,
            track,
            since: Instant::now(),
        })
    }
}

/// A request for something of a track, which may have to wait.
struct Wait<'a> {
    shared: &'a Shared,
    track: Arc<Track>,
    since: Instant,
}

/// Counts a waiting request out again however it ends.
struct Parked<'a>(&'a Meter);

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.0.unparked.increment(1);
    }
}

impl Wait<'_> {
    /// Waits for another version than this, or for a part after `held`; bounded by the draft's limit.
    async fn next(&self, version: Option<&Arc<Released>>, held: Option<Cell>) -> Result<(), Refused> {
        let meter = &self.shared.streams.meter;
        meter.parked.increment(1);
        let _counted = Parked(meter);
        let longest = version.map_or(START_WAIT, |now| now.version.position.longest_wait());
        let mut versions = self.track.version.subscribe();
        let mut parts = self.track.held.subscribe();
        let newer = |now: &Option<Arc<Released>>| match (now, version) {
            (Some(now), Some(seen)) => !Arc::ptr_eq(now, seen),
            (now, seen) => now.is_some() != seen.is_some(),
        };
        let unavailable = |reason| Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, reason));
        tokio::select! {
            changed = versions.wait_for(newer) => changed.map(|_| ()).or(unavailable("the mirror has ended")),
            // A part comes before the version that lists it: who waits for that one would be woken twice.
            changed = parts.wait_for(|newest| Some(*newest) > held), if held.is_some() => changed.map(|_| ()).or(unavailable("the mirror has ended")),
            () = sleep_until(self.since + longest) => unavailable("waited for three target durations"),
            () = self.shared.shutdown.cancelled() => unavailable("shutting down"),
        }
    }

    fn now(&self) -> Option<Arc<Released>> {
        self.track.version.borrow().clone()
    }

    async fn started(&self) -> Result<Arc<Released>, Refused> {
        loop {
            match self.now() {
                Some(now) => return Ok(now),
                None => self.begun().await?,
            }
        }
    }

    /// Waits for a first version, or for the reason why there will be none.
    async fn begun(&self) -> Result<(), Refused> {
        let (stream, id) = (&self.track.stream, &self.track.id);
        let parents = self.shared.streams.routes.of(stream);
        let playlist = Resource::Media(stream.clone(), id.clone());
        tokio::select! {
            biased;
            () = parents.refusal(&playlist) => Err(not_carried()),
            waited = self.next(None, None) => waited,
        }
    }

    async fn playlist(&mut self, directives: &Directives) -> Result<Found, Refused> {
        loop {
            let now = self.started().await?;
            match now.version.position.playlist(directives) {
                Verdict::Ready => {
                    let answer = if directives.wait.is_some() {
                        Answer::Directed
                    } else {
                        Answer::Plain
                    };
                    return Ok(Found {
                        answer,
                        available_us: now.available_us,
                        age: Some(now.received.elapsed()),
                        ..Found::playlist(
                            now.forms.form(directives.skip),
                            now.version.position.target_duration,
                        )
                    });
                }
                Verdict::Park => self.next(Some(&now), None).await?,
                Verdict::TooFar | Verdict::Unknown => {
                    return Err(Refused::new(
                        StatusCode::BAD_REQUEST,
                        "further ahead than a request may wait",
                    ));
                }
            }
        }
    }

    async fn part(&mut self, cell: Cell) -> Result<Found, Refused> {
        loop {
            let held = *self.track.held.borrow();
            if let Some(object) = self.track.part(cell) {
                let body = Body::from(object.bytes).also_in(self.track.file(cell));
                return Ok(self.found(body, object.available_us, object.received.elapsed()));
            }
            let now = self.started().await?;
            let version = &now.version;
            if version.may_have(cell) {
                return self.fetch(Name::Part(cell)).await;
            }
            match version.part(cell) {
                Verdict::Park => self.next(Some(&now), Some(held)).await?,
                Verdict::Ready | Verdict::TooFar | Verdict::Unknown => return Err(unknown("no such part")),
            }
        }
    }

    async fn init(&self, hash: Hash) -> Result<Found, Refused> {
        let now = self.started().await?;
        if now.version.maps().contains(&Name::Init(hash)) {
            self.fetch(Name::Init(hash)).await
        } else {
            Err(unknown("no such init segment"))
        }
    }

    async fn segment(&self, msn: Msn) -> Result<Found, Refused> {
        let now = self.started().await?;
        if let Some(parts) = self.track.segment(msn) {
            return Ok(self.joined(parts));
        }
        if now.version.may_have_segment(msn) {
            self.fetch(Name::Segment(msn)).await
        } else {
            Err(unknown("no such segment"))
        }
    }

    /// A segment of subtitles; the newest one is here before it is listed.
    async fn text(&self, msn: Msn) -> Result<Found, Refused> {
        let now = self.started().await?;
        if now.version.text().is_none() || !now.version.may_have_segment(msn) {
            return Err(unknown("no such segment"));
        }
        let found = self.fetch(Name::Vtt(msn)).await?;
        Ok(Found {
            kind: TEXT_TYPE,
            ..found
        })
    }

    /// One flight for everyone; it outlives this viewer.
    async fn fetch(&self, name: Name) -> Result<Found, Refused> {
        let keep = match &name {
            Name::Part(cell) => Keep::Live(Arc::clone(&self.track), *cell),
            Name::Init(_) | Name::Segment(_) | Name::Vtt(_) => Keep::Cache,
        };
        let resource = self.track.object(name);
        let landing = self.shared.streams.fetch.get(&resource, keep);
        let object = tokio::select! {
            landed = landing => landed.map_err(refused)?,
            () = sleep_until(self.since + self.longest()) => return Err(refused(Refusal::Failed)),
            () = self.shared.shutdown.cancelled() => return Err(refused(Refusal::Failed)),
        };
        Ok(self.media(object))
    }

    /// Three target durations, and long enough for what is large.
    fn longest(&self) -> Duration {
        let now = self.now();
        now.map_or(START_WAIT, |now| {
            now.version.position.longest_wait().max(START_WAIT)
        })
    }

    fn media(&self, object: Object) -> Found {
        self.found(
            object.bytes.into(),
            object.available_us,
            object.received.elapsed(),
        )
    }

    fn joined(&self, parts: Vec<Object>) -> Found {
        let available_us = parts.iter().filter_map(|part| part.available_us).max();
        let age = parts.iter().map(|part| part.received.elapsed()).min();
        let body = parts.into_iter().map(|part| part.bytes).collect();
        self.found(body, available_us, age.unwrap_or_default())
    }

    fn found(&self, body: Body, available_us: Option<u64>, age: Duration) -> Found {
        Found {
            available_us,
            age: Some(age),
            ..Found::media(body, self.track.video, self.track.urgency, self.target_duration())
        }
    }

    fn target_duration(&self) -> Duration {
        self.now()
            .map_or(Duration::ZERO, |now| now.version.position.target_duration)
    }
}

fn directives(query: &str) -> Result<Directives, Refused> {
    Directives::parse(query).map_err(|error| Refused::new(StatusCode::BAD_REQUEST, error))
}

fn unknown(reason: &str) -> Refused {
    Refused::new(StatusCode::NOT_FOUND, reason)
}

/// What names hosts and paths of others is for the operator's log.
fn not_carried() -> Refused {
    Refused::new(
        StatusCode::BAD_GATEWAY,
        "the source's playlist uses what this edge does not carry; its log says what",
    )
}

fn refused(refusal: Refusal) -> Refused {
    match refusal {
        Refusal::Missing => unknown("no such stream or object"),
        Refusal::Failed => Refused::new(StatusCode::SERVICE_UNAVAILABLE, "not to be had at the moment"),
        Refusal::Crowded => Refused::new(StatusCode::SERVICE_UNAVAILABLE, "too much is asked for at once"),
    }
}
