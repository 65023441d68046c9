//! Which streams and tracks are mirrored now. A name nobody publishes leaves nothing behind but a place in a
//! bounded table of misses.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use flight::Refusal;
use hls::delivery::is_video;
use hls::id::{StreamId, TrackId};
use hls::path::{Leaf, Resource, Vod};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::fetch::{Fetch, Keep};
use crate::metrics::Meter;
use crate::mirror::Mirror;
use crate::rewind;
use crate::routes::Routes;
use crate::track::Track;
use crate::upstream::Object;

/// Longest a fetch of something that is not live may take; also bounds a hinted part, which the parent holds
/// for up to three target durations.
const OBJECT_WAIT: Duration = Duration::from_secs(20);
/// rfc8216bis §4.4.1.1: what every playlist begins with.
const PLAYLIST: &[u8] = b"#EXTM3U";
/// Tracks of one stream that are mirrored at once.
const TRACKS_MAX: usize = 64;

/// The registry.
pub(crate) struct Streams {
    streams: DashMap<StreamId, Arc<Stream>>,
    /// Names are looked up apart from media, a few at a time, so that a crowd with made-up names cannot keep
    /// real viewers from the parent.
    names: Arc<Fetch>,
    pub(crate) fetch: Arc<Fetch>,
    /// What viewers rewind to.
    pub(crate) rewind: Arc<Fetch>,
    pub(crate) routes: Arc<Routes>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    pub(crate) meter: Meter,
    linger: Duration,
    streams_max: usize,
}

#[derive(Default)]
struct Stream {
    /// Never held across an await.
    tracks: Mutex<BTreeMap<TrackId, Arc<Track>>>,
}

impl Streams {
    pub(crate) fn new(config: &Config, tasks: TaskTracker, shutdown: CancellationToken) -> Arc<Self> {
        let meter = Meter::new();
        let routes = Arc::new(Routes::new(config, &meter));
        tasks.spawn(Arc::clone(routes.own()).watch(shutdown.clone()));
        let fetch = |limits, bytes| {
            let routes = Arc::clone(&routes);
            Fetch::new(routes, tasks.clone(), limits, bytes, OBJECT_WAIT, meter.clone())
        };
        let names = flight::Limits {
            flights: 32,
            ..flight::Limits::default()
        };
        let rewind = flight::Limits {
            flights: rewind::FLIGHTS_MAX,
            ..flight::Limits::default()
        };
        Arc::new(Self {
            streams: DashMap::new(),
            rewind: Arc::new(fetch(rewind, config.dvr_cache_bytes)),
            names: Arc::new(fetch(names, 8 << 20)),
            fetch: Arc::new(fetch(flight::Limits::default(), config.cache_bytes)),
            routes,
            tasks,
            shutdown,
            meter,
            linger: config.linger(),
            streams_max: config.streams_max,
        })
    }

    /// The multivariant playlist; kept while the stream's shape is.
    pub(crate) async fn multivariant(&self, stream: &StreamId) -> Result<Object, Refusal> {
        let resource = Resource::Multivariant(stream.clone());
        let object = self.names.get(&resource, Keep::Cache).await?;
        // What stands between us and a parent may answer 200 with a page of its own. Kept, it would hide the stream for good.
        if object.bytes.starts_with(PLAYLIST) {
            Ok(object)
        } else {
            self.names.forget(&resource);
            Err(Refusal::Failed)
        }
    }

    /// A content key, fetched once for all who want it at the same time.
    pub(crate) async fn key(&self, resource: &Resource) -> Result<Object, Refusal> {
        self.names.get(resource, Keep::Briefly).await
    }

    /// The multivariant playlist of something that is kept for good; whoever makes names up gets no further.
    pub(crate) async fn vod(&self, stream: &StreamId, vod: &Vod) -> Result<Object, Refusal> {
        let resource = Resource::Vod(stream.clone(), vod.clone(), Leaf::Multivariant);
        self.names.get(&resource, Keep::Fresh).await
    }

    /// The track's mirror, started if this is its first viewer.
    pub(crate) async fn track(
        self: &Arc<Self>,
        stream: &StreamId,
        track: &TrackId,
    ) -> Result<Arc<Track>, Refusal> {
        if let Some(found) = self.mirrored(stream, track) {
            found.touch();
            return Ok(found);
        }
        let multivariant = self.multivariant(stream).await?;
        let text = text(&multivariant)?;
        let video = is_video(text, track).ok_or(Refusal::Missing)?;
        let urgency = hls::delivery::urgency(text, track);
        self.start(stream, track, video, urgency)
    }

    /// Whether a track is video.
    pub(crate) async fn kind(&self, stream: &StreamId, track: &TrackId) -> Result<bool, Refusal> {
        if let Some(found) = self.mirrored(stream, track) {
            return Ok(found.video);
        }
        let multivariant = self.multivariant(stream).await?;
        is_video(text(&multivariant)?, track).ok_or(Refusal::Missing)
    }

    /// Whether somebody watches a stream here.
    pub(crate) fn is_watched(&self, stream: &StreamId) -> bool {
        self.streams.contains_key(stream)
    }

    pub(crate) fn mirrored(&self, stream: &StreamId, track: &TrackId) -> Option<Arc<Track>> {
        let stream = self.streams.get(stream)?;
        stream
            .tracks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(track)
            .cloned()
    }

    fn start(
        self: &Arc<Self>,
        stream: &StreamId,
        id: &TrackId,
        video: bool,
        urgency: u8,
    ) -> Result<Arc<Track>, Refusal> {
        if self.streams.len() >= self.streams_max && !self.streams.contains_key(stream) {
            return Err(Refusal::Crowded);
        }
        let entry = Arc::clone(&self.streams.entry(stream.clone()).or_default());
        let mut tracks = entry.tracks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = tracks.get(id) {
            return Ok(Arc::clone(found));
        }
        if tracks.len() >= TRACKS_MAX {
            return Err(Refusal::Crowded);
        }
        let track = Arc::new(Track::new(stream.clone(), id.clone(), video, urgency));
        tracks.insert(id.clone(), Arc::clone(&track));
        drop(tracks);
        let mirror = Mirror {
            track: Arc::clone(&track),
            parents: Arc::clone(self.routes.of(stream)),
            fetch: Arc::clone(&self.fetch),
            names: Arc::clone(&self.names),
            tasks: self.tasks.clone(),
            meter: self.meter.clone(),
            linger: self.linger,
            shutdown: self.shutdown.clone(),
        };
        let this = Arc::clone(self);
        let gone = Arc::clone(&track);
        self.tasks.spawn(async move {
            mirror.run().await;
            this.drop_track(&gone);
        });
        Ok(track)
    }

    fn drop_track(&self, track: &Track) {
        if let Some(stream) = self.streams.get(&track.stream) {
            stream
                .tracks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&track.id);
        }
        let empty = |_: &StreamId, stream: &Arc<Stream>| {
            stream
                .tracks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_empty()
        };
        if self.streams.remove_if(&track.stream, empty).is_some() {
            self.names.forget(&Resource::Multivariant(track.stream.clone()));
        }
    }
}

fn text(multivariant: &Object) -> Result<&str, Refusal> {
    std::str::from_utf8(&multivariant.bytes).map_err(|_| Refusal::Missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_tracks_exist() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,URI=\"audio/media.m3u8\"\n#EXT-X-STREAM-INF:X\n360p/media.m3u8\n";
        let kind = |id: &str| is_video(text, &TrackId::new(id).unwrap());
        assert_eq!(
            (kind("360p"), kind("audio"), kind("60p"), kind("media")),
            (Some(true), Some(false), None, None)
        );
    }
}
