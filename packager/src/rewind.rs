//! Answers from disk: a lower class than the live edge, with a few readers and a bounded queue of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hls::delivery::REWIND_URGENCY;
use hls::id::{Cell, Msn, TrackId};
use hls::path::{Hash, KeyId, Skip};
use hls::playlist::Subtitles;
use http::StatusCode;
use listen::Body;
use listen::answer::{Found, Refused};
use listen::playlist::Form;
use tokio::sync::Semaphore;

use crate::config::Dvr;
use crate::metrics::DvrMeter;
use crate::spool::{List, Lost, Shelf};
use crate::subtitles::announced;
use crate::window::Stream;

/// Retry-After where the disk is too busy, and where a recording has only begun: seconds.
const BUSY_S: u32 = 1;
const BEGUN_S: u32 = 2;

/// How long after the end the live playlist stays as it was. A player that still follows it must not see its media
/// sequence fall (rfc8216bis §6.2.2); it asks again within a target duration, and then no more.
const SEEN: Duration = Duration::from_secs(4);

/// What is on disk, for viewers.
pub(crate) struct Rewind {
    is_offered: bool,
    readers: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
    meter: DvrMeter,
}

/// Counts one that waits out again however it ends.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Rewind {
    pub(crate) fn new(config: &Dvr) -> Self {
        Self {
            is_offered: config.hours > 0,
            readers: Arc::new(Semaphore::new(config.reads_max)),
            waiting: AtomicUsize::new(0),
            waiting_max: config.waiting_max,
            meter: DvrMeter::new(),
        }
    }

    fn shelf(&self, stream: &Stream) -> Result<Arc<Shelf>, Refused> {
        let shelf = stream.shelf().filter(|_| self.is_offered);
        shelf.ok_or_else(|| Refused::new(StatusCode::NOT_FOUND, "nothing is kept for rewinding"))
    }

    pub(crate) fn multivariant(&self, stream: &Stream) -> Result<Found, Refused> {
        let shelf = self.shelf(stream)?;
        let text = shelf.multivariant(subtitles(stream, &shelf)).ok_or_else(begun)?;
        Ok(playlist(text, &shelf))
    }

    /// A track's playlist; its version tells it apart in the books.
    pub(crate) fn playlist(
        &self,
        stream: &Stream,
        track: &TrackId,
        list: List,
        skip: Option<Skip>,
    ) -> Result<(Found, Cell), Refused> {
        let shelf = self.shelf(stream)?;
        let (track, list) = &place(stream, &shelf, track, list);
        let list = *list;
        let (forms, version) = match (shelf.playlist(track, list), shelf.kind(track)) {
            (Some(rendered), _) => rendered,
            (None, Some(_)) if list == List::Frames && !shelf.has_frames(track) => {
                return Err(Refused::new(
                    StatusCode::NOT_FOUND,
                    "no key frames that can be had alone",
                ));
            }
            (None, Some(_)) => return Err(begun()),
            (None, None) => return Err(Refused::new(StatusCode::NOT_FOUND, "no such track")),
        };
        Ok((playlist(forms.form(skip), &shelf), Cell(version)))
    }

    /// The whole event under the name of the live playlist, once it is over and those who watched it have seen that.
    pub(crate) fn finished(&self, stream: &Stream, track: &TrackId) -> Option<Found> {
        let shelf = self.shelf(stream).ok().filter(|shelf| shelf.is_finished(SEEN))?;
        let (track, list) = place(stream, &shelf, track, List::Segments);
        let (forms, _) = shelf.playlist(&track, list)?;
        Some(playlist(forms.form(None), &shelf))
    }

    /// The same of the multivariant playlist.
    pub(crate) fn whole(&self, stream: &Stream) -> Option<Found> {
        let shelf = self.shelf(stream).ok().filter(|shelf| shelf.is_finished(SEEN))?;
        let text = shelf.whole(subtitles(stream, &shelf))?;
        Some(playlist(text, &shelf))
    }

    pub(crate) fn init(&self, stream: &Stream, track: &TrackId, hash: Hash) -> Result<Found, Refused> {
        let unknown = || Refused::new(StatusCode::NOT_FOUND, "no such init segment");
        let shelf = self.shelf(stream).map_err(|_| unknown())?;
        let video = shelf.kind(track).ok_or_else(unknown)?;
        let bytes = shelf.init(track, hash).ok_or_else(unknown)?;
        Ok(media(bytes.into(), video, None, shelf.target_duration()))
    }

    /// A key of what has left the live window.
    pub(crate) fn key(&self, stream: &Stream, kid: KeyId) -> Option<Bytes> {
        self.shelf(stream).ok()?.key(kid)
    }

    /// A segment that has left the live window.
    pub(crate) async fn segment(&self, stream: &Stream, track: &TrackId, msn: Msn) -> Result<Found, Refused> {
        let unknown = || Refused::new(StatusCode::NOT_FOUND, "no such segment");
        let shelf = self.shelf(stream).map_err(|_| unknown())?;
        let video = shelf.kind(track).ok_or_else(unknown)?;
        if !shelf.has(track, msn) {
            return Err(unknown());
        }
        let (from, id) = (Arc::clone(&shelf), track.clone());
        match self.read(move || from.read(&id, msn)).await? {
            Ok((parts, available_us)) => {
                self.meter.reads.increment(1);
                let target = shelf.target_duration();
                Ok(media(
                    parts.into_iter().collect(),
                    video,
                    Some(available_us),
                    target,
                ))
            }
            Err(Lost::Unknown) => Err(unknown()),
            Err(lost @ (Lost::Io(_) | Lost::Sum | Lost::Key)) => {
                self.meter.lost.increment(1);
                let error = &lost as &dyn std::error::Error;
                tracing::debug!(stream = %shelf.stream, rendition = %track, %msn, error, "segment lost");
                Err(unknown())
            }
        }
    }
    /// Whether there is anything to rewind to.
    pub(crate) fn is_offered(&self) -> bool {
        self.is_offered
    }

    /// A picture of a segment that has left the live window.
    pub(crate) async fn picture(&self, stream: &Stream, msn: Msn) -> Result<Found, Refused> {
        let unknown = || Refused::new(StatusCode::NOT_FOUND, "no such thumbnail");
        let shelf = self.shelf(stream).map_err(|_| unknown())?;
        if !shelf.is_pictured(msn) {
            return Err(unknown());
        }
        let from = Arc::clone(&shelf);
        match self.read(move || from.picture(msn)).await? {
            Ok(jpeg) => Ok(Found::picture(jpeg.into(), shelf.target_duration())),
            Err(lost) => {
                self.meter.lost.increment(1);
                let error = &lost as &dyn std::error::Error;
                tracing::debug!(stream = %shelf.stream, %msn, error, "thumbnail lost");
                Err(unknown())
            }
        }
    }

    /// Does this on the disk, once one of the readers is free; refused where too many wait for that.
    async fn read<T: Send + 'static>(&self, read: impl FnOnce() -> T + Send + 'static) -> Result<T, Refused> {
        let busy = || Refused::later(BUSY_S, "the disk is busy");
        let waiting = Waiting(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= self.waiting_max + self.readers.available_permits()
        {
            self.meter.refused.increment(1);
            return Err(busy());
        }
        let reader = Arc::clone(&self.readers)
            .acquire_owned()
            .await
            .map_err(|_| busy())?;
        drop(waiting);
        let read = tokio::task::spawn_blocking(move || {
            let read = read();
            drop(reader);
            read
        });
        read.await.map_err(|_| busy())
    }
}

fn subtitles(stream: &Stream, shelf: &Shelf) -> Vec<Subtitles> {
    announced(&stream.subtitles, shelf.tracks().iter())
}

/// Subtitle tracks go with a track that is recorded.
fn place(stream: &Stream, shelf: &Shelf, track: &TrackId, list: List) -> (TrackId, List) {
    let is_own = list == List::Segments && shelf.kind(track).is_none() && stream.subtitle(track).is_some();
    let leading = is_own.then(|| shelf.leading()).flatten();
    leading.map_or((track.clone(), list), |leading| (leading, List::Subtitles))
}

fn begun() -> Refused {
    Refused::later(BEGUN_S, "the recording has only begun")
}

fn media(body: Body, video: bool, available_us: Option<u64>, target_duration: Duration) -> Found {
    Found {
        available_us,
        ..Found::media(body, video, REWIND_URGENCY, target_duration)
    }
}

fn playlist(text: Form, shelf: &Shelf) -> Found {
    Found::playlist(text, shelf.target_duration())
}
