//! A mirror follows one track of the parent: it holds two requests, the next playlist version and the part
//! that was hinted (and those after them, where the parent is far), and releases a version when its newest part is here.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hls::id::Cell;
use hls::path::{Directives, Object as Name, Resource};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::fetch::{Fetch, Keep};
use crate::follow::{self, Step, Version};
use crate::metrics::{Extra, Fault, Meter};
use crate::parents::{Ask, Kind, Parents};
use crate::track::{Released, Track};
use crate::upstream::{Error, Object};

/// First and last pause after a failure; doubled in between.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// First and last pause between looks at a stream that has ended; doubled from one look to the next, once it has had
/// the time to become a recording.
const AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(12));
/// Looks until then.
const LOOKS: usize = 8;
/// Longest a playlist request may take before the parent's target duration is known.
const FIRST_WAIT: Duration = Duration::from_secs(12);

/// Shortest silence after which another parent is asked for a version as well.
const FIRST_SILENCE: Duration = Duration::from_secs(1);
/// Parts that are brought without anybody asking, of those that came at once.
const EAGER_MAX: usize = 8;

/// What a mirror works with.
pub(crate) struct Mirror {
    pub(crate) track: Arc<Track>,
    pub(crate) parents: Arc<Parents>,
    pub(crate) fetch: Arc<Fetch>,
    /// Where the multivariant playlist is.
    pub(crate) names: Arc<Fetch>,
    pub(crate) tasks: TaskTracker,
    pub(crate) meter: Meter,
    pub(crate) linger: Duration,
    pub(crate) shutdown: CancellationToken,
}

/// A request for a version that a parent holds; dropped with it.
struct Held {
    request: Directives,
    answer: AbortOnDropHandle<Result<Object, Error>>,
}

/// How a parent's playlist went on.
enum Round {
    /// Ask for what follows.
    Next,
    /// The same after so long: the parent does not hold requests back.
    Poll(Duration),
    /// Ask the same again after a pause.
    Again,
    /// Ask the same again, at once and in full.
    Misfit,
    /// Nothing follows.
    Ended,
}

impl Mirror {
    /// Follows until nobody has watched for the linger time, or the parent says there is no such track.
    pub(crate) async fn run(self) {
        self.meter.mirrors_started.increment(1);
        tokio::select! {
            () = self.follow() => {}
            () = self.unused() => {}
            () = self.shutdown.cancelled() => {}
        }
        self.meter.mirrors_ended.increment(1);
    }

    async fn unused(&self) {
        while let Some(left) = self.linger.checked_sub(self.track.unused()) {
            sleep(left.max(Duration::from_millis(100))).await;
        }
    }

    async fn follow(&self) {
        let path = Resource::Media(self.track.stream.clone(), self.track.id.clone()).path();
        let (mut held, mut pause, mut went_back) = (VecDeque::new(), PAUSE.0, None);
        loop {
            if held.is_empty() {
                held.push_back(self.ask(&path, Directives::default()));
            }
            let Some(Held { mut request, answer }) = held.pop_front() else {
                continue;
            };
            let asked = answer.await.unwrap_or(Err(Error::Shutdown));
            let round = match asked {
                Ok(object) => self.take(object, &mut went_back).await,
                Err(Error::Missing | Error::Unnamed) if self.current().is_none() => return,
                // The parent held us as long as it may: ask for the same again.
                Err(error) if error.is_wait() => Round::Again,
                // Said once where it is found out.
                Err(Error::Refused(_)) => {
                    request = Directives::default();
                    Round::Again
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(stream = %self.track.stream, rendition = %self.track.id, error, "parent lost");
                    request = Directives::default();
                    Round::Again
                }
            };
            match round {
                Round::Next => {
                    pause = PAUSE.0;
                    self.ask_ahead(&path, &mut held);
                    continue;
                }
                Round::Misfit => {
                    self.meter.extra(Extra::Retry);
                    request.skip = None;
                }
                Round::Poll(pause) => {
                    sleep(pause).await;
                    self.meter.extra(Extra::Poll);
                    request = self.next();
                }
                Round::Again => {
                    sleep(spread(pause)).await;
                    self.meter.extra(Extra::Retry);
                    // What is here has aged by the pause, and by the wait before it.
                    request.skip = request.skip.and(self.next().skip);
                    pause = (pause * 2).min(PAUSE.1);
                }
                Round::Ended => {
                    self.what_follows(&path).await;
                    (request, pause) = (Directives::default(), PAUSE.0);
                }
            }
            held = VecDeque::from([self.ask(&path, request)]);
        }
    }

    /// Holds the requests that wait for the next versions: one, and more where the parent is far.
    fn ask_ahead(&self, path: &str, held: &mut VecDeque<Held>) {
        let Some(now) = self.current() else {
            return;
        };
        held.retain(|ahead| !now.version.answers(&ahead.request));
        let depth = self.parents.depth(now.version.position.part_target);
        for request in now.version.ahead(now.received.elapsed(), depth) {
            if !held.iter().any(|ahead| ahead.request.wait == request.wait) {
                held.push_back(self.ask(path, request));
            }
        }
    }

    fn ask(&self, path: &str, request: Directives) -> Held {
        let now = self.current();
        let wait = now
            .as_ref()
            .map_or(FIRST_WAIT, |now| now.version.position.longest_wait() + PAUSE.1);
        // A version comes every part; three in a row that do not are a stall, here or there.
        let silence = now.map_or(FIRST_SILENCE, |now| now.version.position.part_target * 3);
        let ask = Ask {
            path: path.to_owned(),
            query: request.query(),
            kind: Kind::Version,
            wait,
            silence: silence.max(FIRST_SILENCE),
        };
        let parents = Arc::clone(&self.parents);
        let answer = self.tasks.spawn(async move { parents.get(ask).await });
        Held {
            request,
            answer: AbortOnDropHandle::new(answer),
        }
    }

    fn next(&self) -> Directives {
        self.current()
            .map(|now| now.version.next(now.received.elapsed()))
            .unwrap_or_default()
    }

    /// The stream's shape changed, so what its multivariant playlist says may have, too.
    fn forget_multivariant(&self) {
        let multivariant = Resource::Multivariant(self.track.stream.clone());
        self.names.forget(&multivariant);
    }

    /// An event that is over may become its whole recording, and another one may begin under its name.
    async fn what_follows(&self, path: &str) {
        let doubled = std::iter::successors(Some(AFTER.0), |pause| Some((*pause * 2).min(AFTER.1)));
        let pauses = std::iter::repeat_n(AFTER.0, LOOKS).chain(doubled);
        for pause in pauses {
            sleep(spread(pause)).await;
            let Ok(Ok(object)) = self.ask(path, Directives::default()).answer.await else {
                continue;
            };
            let known = |now: Arc<Released>| now.version.body == object.bytes;
            if self.current().is_some_and(known) {
                continue;
            }
            let Ok(version) = Version::read(object.bytes) else {
                continue;
            };
            self.forget_multivariant();
            if !version.position.ended {
                return self.track.forget();
            }
            self.track.release(Released {
                forms: self.track.forms(&version),
                version,
                available_us: object.available_us,
                received: object.received,
            });
            self.meter.versions.increment(1);
        }
    }

    fn current(&self) -> Option<Arc<Released>> {
        self.track.version.borrow().clone()
    }

    async fn take(&self, object: Object, went_back: &mut Option<Instant>) -> Round {
        let mut before = self.current();
        let version = match Version::follow(before.as_ref().map(|before| &before.version), object.bytes) {
            Ok(version) => version,
            Err(follow::Error::Delta(error)) => {
                tracing::debug!(stream = %self.track.stream, rendition = %self.track.id, %error, "asked in full");
                self.meter.misfits.increment(1);
                return Round::Misfit;
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(stream = %self.track.stream, rendition = %self.track.id, error, "playlist refused");
                self.parents.refuse(object.parent, Fault::Nonsense);
                return Round::Again;
            }
        };
        let step = before
            .as_ref()
            .map_or(Step::Ahead, |before| version.step_from(&before.version));
        let poll = version.poll();
        match step {
            Step::Ahead => *went_back = None,
            Step::Same => return poll.map_or(Round::Again, Round::Poll),
            Step::Back => {
                let since = went_back.get_or_insert_with(Instant::now);
                if since.elapsed() < version.position.longest_wait() {
                    self.parents.refuse(object.parent, Fault::Back);
                    return Round::Again;
                }
                *went_back = None;
                self.track.forget();
                self.fetch.forget_track(&self.track);
                self.meter.generations.increment(1);
                before = None;
            }
        }
        self.track.listing.send_replace(version.listing());
        self.fetch_maps(&version, before.as_deref()).await;
        self.fetch_parts(&version, before.as_deref(), object.available_us.is_some());
        self.wait_for_newest(&version, object.received).await;
        self.fetch_text(&version, before.as_deref()).await;
        let ended = version.position.ended;
        let released = Released {
            forms: self.track.forms(&version),
            version,
            available_us: object.available_us,
            received: object.received,
        };
        self.track.release(released);
        self.meter.versions.increment(1);
        self.meter.release.record(object.received.elapsed());
        match (ended, poll) {
            (true, _) => Round::Ended,
            (false, Some(pause)) => Round::Poll(pause),
            (false, None) => Round::Next,
        }
    }

    /// A new init segment is here before the version that names it is released.
    async fn fetch_maps(&self, version: &Version, before: Option<&Released>) {
        let known = before.map(|before| before.version.maps()).unwrap_or_default();
        let maps = version.maps();
        let new: Vec<_> = maps.into_iter().filter(|map| !known.contains(map)).collect();
        if before.is_some() && !new.is_empty() {
            self.forget_multivariant();
        }
        for map in new {
            let fetched = self.fetch.get(&self.track.object(map), Keep::Cache).await;
            if let Err(refusal) = fetched {
                tracing::warn!(stream = %self.track.stream, ?refusal, "init segment not had; viewers ask again");
            }
        }
    }

    /// Parts that are new since the last version, newest first, and those that come next; all in the background.
    fn fetch_parts(&self, version: &Version, before: Option<&Released>, waits: bool) {
        let seen = before.and_then(|before| before.version.newest());
        // After an outage there may be many: viewers ask for those they want.
        let eager = if seen.is_some() { EAGER_MAX } else { 1 };
        let new: Vec<_> = version.since(seen).take(eager).collect();
        let hint = version.hint();
        // Parts have numbers, and a parent of our kind lets requests for some ahead wait.
        let depth = self.parents.depth(version.position.part_target) as u64;
        let limit = version.position.advance_part_limit();
        let ahead = if waits { depth.min(limit) } else { 1 };
        let hints = hint.map_or(0..0, |hint| hint.0..hint.0.saturating_add(ahead));
        for cell in new.into_iter().chain(hints.map(Cell)) {
            if self.track.part(cell).is_none() {
                self.fetch_part(cell);
            }
        }
    }

    fn fetch_part(&self, cell: Cell) {
        let (fetch, track) = (Arc::clone(&self.fetch), Arc::clone(&self.track));
        self.tasks.spawn(async move {
            let resource = track.object(Name::Part(cell));
            // A failure is counted where the request is made; the next version asks again.
            let _counted = fetch.get(&resource, Keep::Live(track, cell)).await;
        });
    }

    /// A new segment of subtitles, so that viewers find it here. It is fetched on, however late the release may not be.
    async fn fetch_text(&self, version: &Version, before: Option<&Released>) {
        let known = before.and_then(|before| before.version.text());
        let Some(msn) = version
            .text()
            .filter(|msn| known.is_none_or(|known| *msn > known))
        else {
            return;
        };
        let resource = self.track.object(Name::Vtt(msn));
        let fetched = timeout(version.patience(), self.fetch.get(&resource, Keep::Cache)).await;
        if fetched.is_err() {
            self.meter.early.increment(1);
        }
    }

    async fn wait_for_newest(&self, version: &Version, received: Instant) {
        let Some(newest) = version.newest().filter(|_| !version.ends_in_gap()) else {
            return;
        };
        let mut held = self.track.held.subscribe();
        let left = version.patience().saturating_sub(received.elapsed());
        let here = timeout(left, held.wait_for(|cell| *cell >= newest)).await;
        if here.is_err() {
            self.meter.early.increment(1);
        }
    }
}

/// Half to one and a half of a pause, so that mirrors that lost the same parent do not return in step.
fn spread(pause: Duration) -> Duration {
    let mut byte = [128];
    // Without randomness the pause is merely regular.
    let _regular_is_fine = getrandom::fill(&mut byte);
    pause / 2 + pause * u32::from(byte.first().copied().unwrap_or(128)) / 256
}
