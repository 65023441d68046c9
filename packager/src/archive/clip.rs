//! Clips: ranges of an event that are kept for themselves, whatever becomes of the event.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hls::id::{Cell, ClipId, StreamId};
use hls::path::{Leaf, Resource, Vod};
use hls::playlist::cut::{Span, cut, span};
use hls::time::{date_time, since_epoch};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::record::{self, Record};
use super::store::{Failure, Kind, Store};
use super::{Archive, Roll};
use crate::window::unix_us;

/// File that tells of a clip, beside its playlists.
const FILE: &str = "clip.json";
/// How long the answer waits for a clip to be made; it is made all the same.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest name, bytes.
const NAME_BYTES_MAX: usize = 200;
/// Longest an object that others depend on is waited for.
const WAIT: Duration = Duration::from_secs(10);
/// Attempts at each object of a clip.
const TRIES: u32 = 5;

/// What is wanted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Program time at which it begins, RFC 3339.
    pub from: String,
    /// Program time at which it ends, RFC 3339.
    pub to: String,
    /// The event; absent: the newest that has the range.
    #[serde(default)]
    pub event: Option<u64>,
    /// What it is called.
    #[serde(default)]
    pub name: Option<String>,
}

/// A clip. It is of whole segments, so it begins a little before `from` and ends a little after `to`; players are told
/// to begin at `from` exactly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clip {
    /// Its id.
    pub id: String,
    /// The stream.
    pub stream: String,
    /// The event it is of.
    pub event: u64,
    /// What it is called.
    pub name: Option<String>,
    /// As it was ordered.
    pub from: String,
    /// As it was ordered.
    pub to: String,
    /// How long its segments are together, seconds.
    pub length_s: f64,
    /// Segments of a track without media.
    pub gaps: u64,
    /// `making`, then `ready`; one whose making was broken off stays `making`, and can be deleted.
    pub state: State,
    /// Path of its multivariant playlist.
    pub path: String,
    /// When it was ordered, seconds of Unix time.
    pub ordered_s: u64,
}

/// How far a clip is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its objects are being stored.
    Making,
    /// It can be played.
    Ready,
}

/// Why there is no clip.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// A field of the order.
    #[error("{0}")]
    Field(String),
    /// No event has the range.
    #[error("no event of stream {0} has that range in the archive{1}")]
    Unknown(StreamId, String),
    /// The range goes beyond the recording.
    #[error("the recording is from {start} to {end} so far: {beyond}")]
    Outside {
        /// Where it begins.
        start: String,
        /// Where it ends.
        end: String,
        /// Which of the two is beyond.
        beyond: &'static str,
    },
    /// There are too many.
    #[error("stream {0} has {1} clips, as many as packager.archive.clips_max allows")]
    Full(StreamId, usize),
    /// There is no such clip.
    #[error("stream {0} has no clip {1}")]
    NoClip(StreamId, String),
    /// The store.
    #[error("the archive's store does not answer")]
    Store(#[from] Failure),
}

/// An event's playlists, as far as they are stored.
struct Source {
    event: Cell,
    index: String,
    /// By track's name.
    texts: Vec<(String, String)>,
}

impl Archive {
    /// Makes a clip; returns once it can be played, or after a while while it is still made.
    pub async fn clip(self: &Arc<Self>, stream: StreamId, order: Order) -> Result<Clip, Unfit> {
        let (this, (say, said)) = (Arc::clone(self), tokio::sync::oneshot::channel());
        let made = self.threads.1.spawn(async move {
            let (clip, source, range) = this.plan(&stream, order).await?;
            // Whoever asked may be gone by now.
            let _gone = say.send(clip.clone());
            let made = this.make(&stream, &source, &range, clip).await;
            if let Err(failure) = &made {
                let error = failure as &dyn std::error::Error;
                tracing::warn!(%stream, error, "a clip is not made");
            }
            Ok(made?)
        });
        match timeout(PATIENCE, made).await {
            Ok(Ok(made)) => made,
            Ok(Err(_)) => Err(Failure::Down.into()),
            // What is planned has an id to ask for.
            Err(_) => match said.await {
                Ok(clip) => Ok(clip),
                Err(_) => Err(Failure::Late(PATIENCE).into()),
            },
        }
    }

    /// A stream's clips, oldest first.
    pub async fn clips(self: &Arc<Self>, stream: StreamId) -> Result<Vec<Clip>, Failure> {
        let store = Arc::clone(&self.store);
        let listed = self.threads.1.spawn(async move {
            let mut clips = Vec::new();
            for id in ids(&store, &stream).await? {
                match read(&store, &stream, &id).await {
                    Ok(clip) => clips.push(clip),
                    Err(Failure::Missing | Failure::Unreadable) => {}
                    Err(failure) => return Err(failure),
                }
            }
            clips.sort_by_key(|clip: &Clip| clip.ordered_s);
            Ok(clips)
        });
        listed.await.unwrap_or(Err(Failure::Down))
    }

    /// Removes a clip.
    pub async fn delete_clip(self: &Arc<Self>, stream: StreamId, id: String) -> Result<(), Unfit> {
        let none = || Unfit::NoClip(stream.clone(), id.clone());
        let clip = ClipId::new(&id).map_err(|_| none())?;
        let (store, dir) = (Arc::clone(&self.store), record::dir(&stream, &Vod::Clip(clip)));
        let removed = self
            .threads
            .1
            .spawn(async move { record::remove(&store, &dir).await });
        match removed.await.unwrap_or(Err(Failure::Down))? {
            true => Ok(()),
            false => Err(none()),
        }
    }

    /// What the clip will be, of which event, and which segments.
    async fn plan(&self, stream: &StreamId, order: Order) -> Result<(Clip, Source, Span), Unfit> {
        let (from, to) = self.times(&order)?;
        if ids(&self.store, stream).await?.len() >= self.settings.clips_max {
            return Err(Unfit::Full(stream.clone(), self.settings.clips_max));
        }
        let source = self.source(stream, &order, from, to).await?;
        let unknown = || Unfit::Unknown(stream.clone(), String::new());
        let (_, first) = source.texts.first().ok_or_else(unknown)?;
        let whole = span(first, Duration::ZERO, Duration::MAX).ok_or_else(unknown)?;
        // A recording begins somewhere in the second that people read off a clock.
        let beyond = if from + Duration::from_secs(1) < whole.start {
            Some("`from` is before it")
        } else if to > whole.end {
            Some("`to` is after it")
        } else {
            None
        };
        let range = span(first, from, to);
        let (Some(range), None) = (range, beyond) else {
            return Err(Unfit::Outside {
                start: date_time(whole.start),
                end: date_time(whole.end),
                beyond: beyond.unwrap_or("nothing of the range is in it"),
            });
        };
        let id = getrandom::u64().map_err(|_| Failure::Unreadable)?;
        let id = ClipId::new(&format!("{id:016x}")).map_err(|_| Failure::Unreadable)?;
        let vod = Vod::Clip(id.clone());
        let clip = Clip {
            id: id.to_string(),
            stream: stream.to_string(),
            event: source.event.0,
            name: order.name,
            from: date_time(from),
            to: date_time(to),
            length_s: (range.end - range.start).as_secs_f64(),
            gaps: 0,
            state: State::Making,
            path: Resource::Vod(stream.clone(), vod, Leaf::Multivariant).path(),
            ordered_s: unix_us() / 1_000_000,
        };
        Ok((clip, source, range))
    }

    fn times(&self, order: &Order) -> Result<(Duration, Duration), Unfit> {
        let field = |text: String| Err(Unfit::Field(text));
        let time = |name: &str, text: &str| {
            let wanted = || format!("`{name}` is an RFC 3339 time, as 2026-07-14T20:15:00Z");
            since_epoch(text).ok_or_else(|| Unfit::Field(wanted()))
        };
        let (from, to) = (time("from", &order.from)?, time("to", &order.to)?);
        let minutes = self.settings.clip_minutes_max;
        if from >= to {
            return field("`to` is after `from`".to_owned());
        }
        if to - from > Duration::from_secs(minutes * 60) {
            return field(format!(
                "a clip is at most {minutes} minutes long (packager.archive.clip_minutes_max)"
            ));
        }
        let is_name = |name: &String| name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control);
        if !order.name.as_ref().is_none_or(is_name) {
            return field(format!(
                "`name` is at most {NAME_BYTES_MAX} bytes without control characters"
            ));
        }
        Ok((from, to))
    }

    /// The event that has the range, or the one that was named.
    async fn source(
        &self,
        stream: &StreamId,
        order: &Order,
        from: Duration,
        to: Duration,
    ) -> Result<Source, Unfit> {
        let mut known = record::events(&self.store, stream).await?;
        known.extend(
            self.rolls()
                .keys()
                .filter(|(of, _)| of == stream)
                .map(|(_, event)| *event),
        );
        known.sort_unstable();
        known.dedup();
        known.retain(|event| order.event.is_none_or(|wanted| wanted == event.0));
        let mut newest = None;
        for event in known.into_iter().rev() {
            let source = match self.texts(stream, event).await {
                Err(Failure::Missing | Failure::Unreadable) => continue,
                source => source?,
            };
            let has = |(_, text): &(String, String)| span(text, from, to).is_some();
            if source.texts.first().is_some_and(has) {
                return Ok(source);
            }
            newest.get_or_insert(source);
        }
        let which = order
            .event
            .map(|event| format!(" (event {event})"))
            .unwrap_or_default();
        newest.ok_or_else(|| Unfit::Unknown(stream.clone(), which))
    }

    /// An event's playlists: as far as it is stored this moment where it goes on here, else as the store has them.
    async fn texts(&self, stream: &StreamId, event: Cell) -> Result<Source, Failure> {
        let dir = record::dir(stream, &Vod::Event(event));
        let index = text(&self.store, &format!("{dir}/index.m3u8")).await?;
        let roll = self.rolls().get(&(stream.clone(), event)).cloned();
        let texts = match roll.as_ref().and_then(newest) {
            Some(texts) => texts,
            None => {
                let record: Record = record::read(&self.store, stream, event).await?;
                let mut texts = Vec::new();
                for track in record.tracks {
                    let list = text(&self.store, &format!("{dir}/{track}/media.m3u8")).await?;
                    texts.push((track, list));
                }
                texts
            }
        };
        Ok(Source { event, index, texts })
    }

    /// Bytes first, then what names them; `clip.json` before both and after both, so that what is broken off can be
    /// found and deleted.
    async fn make(
        &self,
        stream: &StreamId,
        source: &Source,
        range: &Span,
        clip: Clip,
    ) -> Result<Clip, Failure> {
        let id = ClipId::new(&clip.id).map_err(|_| Failure::Unreadable)?;
        let into = record::dir(stream, &Vod::Clip(id));
        let of = record::dir(stream, &Vod::Event(source.event));
        tell(&self.store, &into, &clip).await?;
        let segments = range.segments.0..=range.segments.1;
        let start = since_epoch(&clip.from)
            .unwrap_or_default()
            .saturating_sub(range.start);
        let (mut playlists, mut copies, mut gaps) = (Vec::new(), Vec::new(), 0);
        for (track, text) in &source.texts {
            let cut = cut(text, &segments).ok_or(Failure::Unreadable)?;
            let begin = format!(
                "#EXT-X-START:TIME-OFFSET={:.3},PRECISE=YES\n",
                start.as_secs_f64()
            );
            let tag = "#EXT-X-PLAYLIST-TYPE:VOD\n";
            playlists.push((track, cut.text.replacen(tag, &format!("{tag}{begin}"), 1)));
            copies.extend(cut.uris.iter().map(|uri| format!("{track}/{uri}")));
            gaps += cut.gaps;
        }
        let mut at_work = JoinSet::new();
        for name in copies {
            while at_work.len() >= self.settings.uploads_max {
                landed(at_work.join_next().await)?;
            }
            let (store, from, to) = (
                Arc::clone(&self.store),
                format!("{of}/{name}"),
                format!("{into}/{name}"),
            );
            at_work.spawn(async move { copy(&store, &from, &to).await });
        }
        while !at_work.is_empty() {
            landed(at_work.join_next().await)?;
        }
        for (track, text) in playlists {
            let name = format!("{into}/{track}/media.m3u8");
            self.store.try_put(&name, Kind::Whole, text.into()).await?;
        }
        let index = source.index.clone().into();
        self.store
            .try_put(&format!("{into}/index.m3u8"), Kind::Whole, index)
            .await?;
        let clip = Clip {
            gaps,
            state: State::Ready,
            ..clip
        };
        tell(&self.store, &into, &clip).await?;
        Ok(clip)
    }
}

fn newest(roll: &Roll) -> Option<Vec<(String, String)>> {
    let roll = roll.lock().unwrap_or_else(PoisonError::into_inner);
    let lists = roll.lists.iter();
    let texts: Option<Vec<_>> = lists
        .map(|(track, list)| Some((track.to_string(), roll.text(list)?)))
        .collect();
    texts.filter(|texts| !texts.is_empty())
}

async fn copy(store: &Store, from: &str, to: &str) -> Result<(), Failure> {
    let mut tries = 1;
    loop {
        match store.copy(from, to).await {
            Err(Failure::Store(_) | Failure::Late(_) | Failure::Down) if tries < TRIES => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            ended => return ended,
        }
    }
}

fn landed(ended: Option<Result<Result<(), Failure>, tokio::task::JoinError>>) -> Result<(), Failure> {
    ended.unwrap_or(Ok(Ok(()))).unwrap_or(Err(Failure::Down))
}

async fn tell(store: &Store, dir: &str, clip: &Clip) -> Result<(), Failure> {
    let json = serde_json::to_vec_pretty(clip).map_err(|_| Failure::Unreadable)?;
    store
        .try_put(&format!("{dir}/{FILE}"), Kind::Json, json.into())
        .await
}

async fn text(store: &Store, name: &str) -> Result<String, Failure> {
    let bytes = store.get(name, WAIT).await?;
    String::from_utf8(bytes.to_vec()).map_err(|_| Failure::Unreadable)
}

async fn ids(store: &Store, stream: &StreamId) -> Result<Vec<ClipId>, Failure> {
    let names = store.dirs(stream.as_str()).await?;
    let ids = names.iter().filter_map(|name| match Vod::parse(name)? {
        Vod::Clip(id) => Some(id),
        Vod::Event(_) => None,
    });
    Ok(ids.collect())
}

async fn read(store: &Store, stream: &StreamId, id: &ClipId) -> Result<Clip, Failure> {
    let name = format!("{}/{FILE}", record::dir(stream, &Vod::Clip(id.clone())));
    let bytes = store.get(&name, WAIT).await?;
    serde_json::from_slice(&bytes).map_err(|_| Failure::Unreadable)
}
