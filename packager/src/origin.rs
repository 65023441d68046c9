//! The origin: what an HTTP request is answered. Decisions are `hls::reload`'s; this waits and writes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hls::delivery::Answer;
use hls::id::{Cell, Msn, TrackId};
use hls::path::{Directives, KeyId, Leaf, Object, Resource, Vod};
use hls::playlist::Steering;
use hls::reload::Verdict;
use http::{Method, Request, Response, StatusCode};
use listen::Body;
use listen::Incoming;
use listen::answer::{Content, Found, Refused, preflight, refusal, success};
use listen::playlist::Form;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::access::{self, Key, Ledger};
use crate::archive::Vault;
use crate::metrics::OriginMeter;
use crate::rewind::Rewind;
use crate::spool::List;
use crate::window::{Stream, Streams, Track, View};

/// How long a request for a stream that is known but has not started may wait.
const START_WAIT: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(crate) struct Origin(Arc<Shared>);

struct Shared {
    streams: Arc<Streams>,
    rewind: Rewind,
    /// None where nothing is archived.
    vault: Option<Arc<Vault>>,
    steering: Option<Steering>,
    ledger: Mutex<Ledger>,
    meter: OriginMeter,
    shutdown: CancellationToken,
}

impl Origin {
    pub(crate) fn new(
        streams: Arc<Streams>,
        (rewind, vault): (Rewind, Option<Arc<Vault>>),
        steering: Option<Steering>,
        shutdown: CancellationToken,
    ) -> Self {
        Self(Arc::new(Shared {
            streams,
            rewind,
            vault,
            steering,
            ledger: Mutex::default(),
            meter: OriginMeter::new(),
            shutdown,
        }))
    }

    /// Answers one request; waits as long as the draft allows.
    pub(crate) async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        let shared = &self.0;
        shared.meter.requests.increment(1);
        match *request.method() {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => return preflight(),
            _ => return refusal(&Refused::method()),
        }
        let found = shared.find(request.uri()).await;
        match found {
            Ok((resource, (found, version))) => {
                shared.count(&request, resource, version);
                found.ready(request.headers()).await;
                success(found, &request)
            }
            Err(refused) => {
                shared.meter.refusals.increment(1);
                refusal(&refused)
            }
        }
    }
}

impl Shared {
    async fn find(&self, uri: &http::Uri) -> Result<(Resource, Given), Refused> {
        let unknown = || Refused::new(StatusCode::NOT_FOUND, "no such stream");
        let resource = Resource::parse(uri.path()).ok_or_else(unknown)?;
        if let Resource::Vod(stream, vod, leaf) = &resource {
            let vault = self.vault.as_ref().ok_or_else(unknown)?;
            let found = vault.find(stream, vod, leaf).await?;
            return Ok((resource, (found, None)));
        }
        let Some(stream) = self.streams.get(resource.stream()) else {
            let vault = self.vault.as_ref().ok_or_else(unknown)?;
            let found = vault.latest(&resource).await?;
            return Ok((resource, (found, None)));
        };
        let mut wait = Wait {
            view: stream.watch(),
            deadline: Instant::now() + START_WAIT,
            shared: self,
        };
        let view = wait.started().await?;
        wait.deadline = Instant::now() + view.position.map_or(START_WAIT, |at| at.longest_wait());
        let given = match &resource {
            Resource::Multivariant(_) => {
                let over = view.position.filter(|position| position.ended);
                let whole = over.and_then(|_| self.rewind.whole(&stream));
                (self.steered(whole.unwrap_or_else(|| multivariant(&view))), None)
            }
            Resource::Key(_, kid) => (self.key(&stream, &view, *kid)?, None),
            Resource::Thumbnails(_) => (self.thumbnails(&stream, &view)?, None),
            Resource::Thumbnail(_, msn) => match stream.picture(*msn) {
                Some(jpeg) => (Found::picture(jpeg.into(), target_duration(&view)), None),
                None => (self.rewind.picture(&stream, *msn).await?, None),
            },
            Resource::Dvr(_) => (self.steered(self.rewind.multivariant(&stream)?), None),
            Resource::DvrMedia(_, track) => self.listed(&stream, track, List::Segments, uri)?,
            Resource::Frames(_, track) => self.listed(&stream, track, List::Frames, uri)?,
            Resource::Media(_, track) => {
                let directives = directives(uri)?;
                let whole = match view.position {
                    Some(position) if position.ended => self.rewind.finished(&stream, track),
                    Some(_) | None => None,
                };
                match whole {
                    Some(whole) => (whole, None),
                    None => wait.playlist(track, &directives).await?,
                }
            }
            Resource::Object(_, track, object) => match object {
                Object::Init(hash) => match init(&view, track, *hash) {
                    Err(_) => (self.rewind.init(&stream, track, *hash)?, None),
                    found => (found?, None),
                },
                Object::Part(cell) => (wait.part(&stream, track, *cell).await?, None),
                Object::Vtt(msn) => (text(&stream, &view, track, *msn)?, None),
                Object::Segment(msn) => match segment(&stream, &view, track, *msn) {
                    Err(_) => (self.recorded(&stream, track, *msn).await?, None),
                    found => (found?, None),
                },
            },
            // Answered above.
            Resource::Vod(..) => return Err(unknown()),
        };
        Ok((resource, given))
    }

    /// A multivariant playlist with what only an origin knows of: who tells players whom to ask. Written once for each
    /// text, whoever asks.
    fn steered(&self, found: Found) -> Found {
        let (Some(steering), Content::Text(form)) = (&self.steering, &found.content) else {
            return found;
        };
        let form = form.announced(|text| Form::new(steering.announced(&String::from_utf8_lossy(text))));
        Found {
            content: Content::Text(form),
            ..found
        }
    }

    /// The pictures of what can be rewound to.
    fn thumbnails(&self, stream: &Stream, view: &View) -> Result<Found, Refused> {
        let missing = || Refused::new(StatusCode::NOT_FOUND, "nothing can be rewound to");
        let text = stream.thumbnails(self.rewind.is_offered()).ok_or_else(missing)?;
        Ok(Found::thumbnails(Form::new(text), target_duration(view)))
    }

    /// What a recording lists.
    fn listed(
        &self,
        stream: &Stream,
        track: &TrackId,
        list: List,
        uri: &http::Uri,
    ) -> Result<Given, Refused> {
        let skip = directives(uri)?.skip;
        let (found, version) = self.rewind.playlist(stream, track, list, skip)?;
        Ok((found, Some(version)))
    }

    /// A key under which something is, or was a moment ago: not the next one.
    fn key(&self, stream: &Stream, view: &View, kid: KeyId) -> Result<Found, Refused> {
        let missing = || Refused::new(StatusCode::NOT_FOUND, "no such key");
        let live = view.keys.iter().find(|(known, _)| *known == kid);
        let live = live.map(|(_, key)| key.clone());
        let key = live
            .or_else(|| self.rewind.key(stream, kid))
            .ok_or_else(missing)?;
        Ok(Found::key(key.into()))
    }

    /// A segment that has left the live window: from disk, else from the archive.
    async fn recorded(&self, stream: &Stream, track: &TrackId, msn: Msn) -> Result<Found, Refused> {
        let on_disk = self.rewind.segment(stream, track, msn).await;
        match (on_disk, &self.vault, stream.shelf()) {
            (Err(refused), Some(vault), Some(shelf))
                if refused.status == StatusCode::NOT_FOUND && shelf.is_before(msn) =>
            {
                let leaf = Leaf::Object(track.clone(), Object::Segment(msn));
                vault.find(&shelf.stream, &Vod::Event(shelf.event), &leaf).await
            }
            (found, _, _) => found,
        }
    }

    /// Children name themselves; players that ask the origin directly are not counted by key.
    fn count(&self, request: &Request<Incoming>, resource: Resource, version: Option<Cell>) {
        let name = request
            .headers()
            .get(access::CHILD)
            .and_then(|name| name.to_str().ok());
        let Some(name) = name.filter(|name| name.len() <= access::NAME_BYTES_MAX) else {
            return;
        };
        let key: Key = (resource, version);
        let first = self
            .ledger
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .first(name, key.clone());
        if first {
            self.meter.objects.increment(1);
        } else {
            tracing::debug!(child = name, object = %key.0.path(), "given again");
            self.meter.repeats.increment(1);
        }
    }
}

/// What is found, and which version of a playlist it is.
type Given = (Found, Option<Cell>);

/// A request that may have to wait.
struct Wait<'a> {
    view: watch::Receiver<Arc<View>>,
    deadline: Instant,
    shared: &'a Shared,
}

/// Counts a waiting request out again however it ends.
struct Parked<'a>(&'a OriginMeter);

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.0.unparked.increment(1);
    }
}

impl Wait<'_> {
    fn now(&mut self) -> Arc<View> {
        Arc::clone(&self.view.borrow_and_update())
    }

    /// The next publication, or why there is none.
    async fn next(&mut self) -> Result<(), Refused> {
        self.shared.meter.parked.increment(1);
        let _counted = Parked(&self.shared.meter);
        let late = || {
            Refused::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "waited for three target durations",
            )
        };
        tokio::select! {
            changed = timeout_at(self.deadline, self.view.changed()) => match changed {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(late()),
            },
            () = self.shared.shutdown.cancelled() => {
                Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, "shutting down"))
            }
        }
    }

    /// A known stream that has not started is waited for: a 404 would never be asked again.
    async fn started(&mut self) -> Result<Arc<View>, Refused> {
        loop {
            let view = self.now();
            if view.position.is_some() {
                return Ok(view);
            }
            self.next().await?;
        }
    }

    async fn playlist(&mut self, track: &TrackId, directives: &Directives) -> Result<Given, Refused> {
        loop {
            // A stream that begins anew is not shown for a while, also to those who are here already.
            let view = self.started().await?;
            let listed = view.listed(track).ok_or_else(no_track)?;
            let (position, forms, version) = listed;
            match position.playlist(directives) {
                Verdict::Ready => {
                    let answer = if directives.wait.is_some() {
                        Answer::Directed
                    } else {
                        Answer::Plain
                    };
                    let found = Found {
                        answer,
                        available_us: Some(view.available_us),
                        ..Found::playlist(forms.form(directives.skip), position.target_duration)
                    };
                    return Ok((found, Some(version)));
                }
                Verdict::Park => self.next().await?,
                Verdict::TooFar | Verdict::Unknown => {
                    return Err(Refused::new(
                        StatusCode::BAD_REQUEST,
                        "further ahead than a request may wait",
                    ));
                }
            }
        }
    }

    async fn part(&mut self, stream: &Stream, track: &TrackId, cell: Cell) -> Result<Found, Refused> {
        loop {
            let view = self.started().await?;
            let (index, found) = view.track(track).ok_or_else(no_track)?;
            let position = view.position.ok_or_else(no_track)?;
            if let Some((bytes, available_us)) = stream.part(index, cell) {
                return Ok(media(
                    bytes.into(),
                    found,
                    Some(available_us),
                    position.target_duration,
                ));
            }
            match position.part(cell, view.newest) {
                Verdict::Park => self.next().await?,
                Verdict::Ready | Verdict::TooFar | Verdict::Unknown => {
                    return Err(Refused::new(StatusCode::NOT_FOUND, "no such part"));
                }
            }
        }
    }
}

fn directives(uri: &http::Uri) -> Result<Directives, Refused> {
    Directives::parse(uri.query().unwrap_or_default())
        .map_err(|error| Refused::new(StatusCode::BAD_REQUEST, error))
}

fn no_track() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "no such track")
}

fn media(body: Body, track: &Track, available_us: Option<u64>, target_duration: Duration) -> Found {
    Found {
        available_us,
        ..Found::media(body, track.video, track.urgency, target_duration)
    }
}

fn target_duration(view: &View) -> Duration {
    view.position.map_or(Duration::ZERO, |at| at.target_duration)
}

fn multivariant(view: &View) -> Found {
    Found::playlist(view.multivariant.clone(), target_duration(view))
}

fn init(view: &View, track: &TrackId, hash: hls::path::Hash) -> Result<Found, Refused> {
    let (_, track) = view.track(track).ok_or_else(no_track)?;
    let missing = || Refused::new(StatusCode::NOT_FOUND, "no such init segment");
    let bytes = track.init(hash).ok_or_else(missing)?;
    Ok(media(bytes.clone().into(), track, None, Duration::ZERO))
}

fn text(stream: &Stream, view: &View, track: &TrackId, msn: Msn) -> Result<Found, Refused> {
    let missing = || Refused::new(StatusCode::NOT_FOUND, "no such segment");
    let text = stream.text(track, msn).ok_or_else(missing)?;
    Ok(Found::text(text.into_bytes().into(), target_duration(view)))
}

fn segment(stream: &Stream, view: &View, track: &TrackId, msn: Msn) -> Result<Found, Refused> {
    let (index, track) = view.track(track).ok_or_else(no_track)?;
    let missing = || Refused::new(StatusCode::NOT_FOUND, "no such segment");
    let (parts, available_us) = stream.segment(index, msn).ok_or_else(missing)?;
    Ok(media(
        parts.into_iter().collect(),
        track,
        Some(available_us),
        target_duration(view),
    ))
}
