//! What viewers rewind to: fetched on demand, one flight for everyone, in a class of its own below the live edge.

use std::collections::BTreeSet;
use std::time::Duration;

use flight::Refusal;
use hls::delivery::{REWIND_URGENCY, TEXT_TYPE, is_video};
use hls::id::{Msn, StreamId, TrackId};
use hls::path::{Hash, Leaf, Object as Name, Resource, Skip, Vod};
use hls::playlist::SEGMENTS_PER_CHUNK;
use listen::answer::Found;

use crate::fetch::Keep;
use crate::streams::Streams;
use crate::upstream::Object;

/// Flights at once; further requests are refused. What is live has flights of its own.
pub(crate) const FLIGHTS_MAX: usize = 64;
/// How long a playlist is kept that names no target duration: a multivariant one.
const UNDATED: Duration = Duration::from_secs(10);

/// A playlist of the recording; half a target duration old at most.
pub(crate) async fn playlist(
    streams: &Streams,
    resource: &Resource,
    skip: Option<Skip>,
) -> Result<Found, Refusal> {
    let object = streams.rewind.get(resource, Keep::Fresh).await?;
    let target_duration = target_duration(&object.bytes).unwrap_or_default();
    Ok(Found {
        available_us: object.available_us,
        age: Some(object.received.elapsed()),
        ..Found::playlist(object.forms.form(skip), target_duration)
    })
}

/// How many segments newer than the newest that is listed a picture may be: what another edge lists already.
const NEWER: u64 = 8;

/// A stream's thumbnail track; half a target duration old at most.
pub(crate) async fn thumbnails(streams: &Streams, stream: &StreamId) -> Result<Found, Refusal> {
    let object = pictures(streams, stream).await?;
    let target_duration = target_duration(&object.bytes).unwrap_or_default();
    Ok(Found {
        age: Some(object.received.elapsed()),
        ..Found::thumbnails(object.forms.form(None), target_duration)
    })
}

/// A picture of a segment. Whoever makes numbers up asks the track, and no parent.
pub(crate) async fn thumbnail(streams: &Streams, stream: &StreamId, msn: Msn) -> Result<Found, Refusal> {
    let resource = Resource::Thumbnail(stream.clone(), msn);
    let object = match streams.rewind.peek(&resource) {
        Some(object) => object,
        None => {
            let track = pictures(streams, stream).await?;
            let text = std::str::from_utf8(&track.bytes).unwrap_or_default();
            let is_listed = hls::thumbnails::range(text).is_some_and(|(first, last)| {
                let from = first.0.saturating_sub(SEGMENTS_PER_CHUNK);
                (from..=last.0.saturating_add(NEWER)).contains(&msn.0)
            });
            if !is_listed {
                return Err(Refusal::Missing);
            }
            streams.rewind.get(&resource, Keep::Cache).await?
        }
    };
    Ok(Found {
        age: Some(object.received.elapsed()),
        ..Found::picture(object.bytes.into(), Duration::ZERO)
    })
}

async fn pictures(streams: &Streams, stream: &StreamId) -> Result<Object, Refusal> {
    let resource = Resource::Thumbnails(stream.clone());
    streams.rewind.get(&resource, Keep::Fresh).await
}

/// Names that a recording's playlist lists. Whoever makes names up asks this, and no parent.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// From the oldest that may still be fetched to the newest.
    segments: Option<(Msn, Msn)>,
    /// Whether those are subtitles.
    is_text: bool,
    inits: BTreeSet<Hash>,
}

impl Listed {
    fn read(playlist: &[u8]) -> Self {
        let text = std::str::from_utf8(playlist).unwrap_or_default();
        let first = text
            .lines()
            .find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:")?.parse().ok());
        let segment = |line: &str| match Name::parse(line)? {
            Name::Segment(msn) => Some((msn, false)),
            Name::Vtt(msn) => Some((msn, true)),
            Name::Init(_) | Name::Part(_) => None,
        };
        let last = text.lines().rev().find_map(segment);
        let map = |line: &str| {
            let uri = line.strip_prefix("#EXT-X-MAP:URI=\"")?;
            match Name::parse(uri.split('"').next()?)? {
                Name::Init(hash) => Some(hash),
                Name::Segment(_) | Name::Vtt(_) | Name::Part(_) => None,
            }
        };
        // rfc8216bis §6.2.2: what has left the playlist may be fetched for a while.
        let oldest = first.map(|first: u64| Msn(first.saturating_sub(SEGMENTS_PER_CHUNK)));
        Self {
            segments: oldest.zip(last.map(|(msn, _)| msn)),
            is_text: last.is_some_and(|(_, is_text)| is_text),
            inits: text.lines().filter_map(map).collect(),
        }
    }

    fn has(&self, name: &Name) -> bool {
        match name {
            Name::Init(hash) => self.inits.contains(hash),
            Name::Segment(msn) => !self.is_text && self.reaches(*msn),
            Name::Vtt(msn) => self.is_text && self.reaches(*msn),
            Name::Part(_) => false,
        }
    }

    fn reaches(&self, msn: Msn) -> bool {
        let range = self.segments;
        range.is_some_and(|(first, last)| (first..=last).contains(&msn))
    }
}

/// Whether the recording has it; an error where there is no recording.
pub(crate) async fn lists(
    streams: &Streams,
    stream: &StreamId,
    track: &TrackId,
    name: &Name,
) -> Result<bool, Refusal> {
    let resource = Resource::DvrMedia(stream.clone(), track.clone());
    let playlist = streams.rewind.get(&resource, Keep::Fresh).await?;
    let listed = playlist.listed.get_or_init(|| Listed::read(&playlist.bytes));
    Ok(listed.has(name))
}

/// A segment that has left the live window, or an init segment of its time.
pub(crate) async fn object(
    streams: &Streams,
    stream: &StreamId,
    track: &TrackId,
    name: &Name,
) -> Result<Found, Refusal> {
    let video = streams.kind(stream, track).await?;
    let resource = Resource::Object(stream.clone(), track.clone(), name.clone());
    let object = match (streams.fetch.peek(&resource), name) {
        (Some(object), _) => object,
        // Those are the mirrors', too: from one cache the parent is asked once.
        (None, Name::Init(_)) => streams.fetch.get(&resource, Keep::Cache).await?,
        (None, Name::Part(_) | Name::Segment(_) | Name::Vtt(_)) => {
            streams.rewind.get(&resource, Keep::Cache).await?
        }
    };
    let found = Found::media(object.bytes.into(), video, REWIND_URGENCY, Duration::ZERO);
    let kind = match name {
        Name::Vtt(_) => TEXT_TYPE,
        Name::Init(_) | Name::Part(_) | Name::Segment(_) => found.kind,
    };
    Ok(Found {
        kind,
        available_us: object.available_us,
        age: Some(object.received.elapsed()),
        ..found
    })
}

/// Something that is kept for good, an event or a clip.
pub(crate) async fn vod(
    streams: &Streams,
    stream: &StreamId,
    (vod, leaf): (&Vod, &Leaf),
    skip: Option<Skip>,
) -> Result<Found, Refusal> {
    let index = streams.vod(stream, vod).await?;
    let resource = |leaf| Resource::Vod(stream.clone(), vod.clone(), leaf);
    let text = std::str::from_utf8(&index.bytes).map_err(|_| Refusal::Missing)?;
    let video = |track| is_video(text, track).ok_or(Refusal::Missing);
    let (object, video) = match leaf {
        Leaf::Multivariant => (index, None),
        Leaf::Media(track) => {
            video(track)?;
            (
                streams.rewind.get(&resource(leaf.clone()), Keep::Fresh).await?,
                None,
            )
        }
        Leaf::Object(track, name) => {
            let video = video(track)?;
            let media = resource(Leaf::Media(track.clone()));
            let playlist = streams.rewind.get(&media, Keep::Fresh).await?;
            let listed = playlist.listed.get_or_init(|| Listed::read(&playlist.bytes));
            if !listed.has(name) {
                return Err(Refusal::Missing);
            }
            let object = streams.rewind.get(&resource(leaf.clone()), Keep::Cache).await?;
            (object, Some(video))
        }
    };
    let age = Some(object.received.elapsed());
    let found = match video {
        Some(video) => Found::media(object.bytes.into(), video, REWIND_URGENCY, Duration::ZERO),
        None => {
            let target = target_duration(&object.bytes).unwrap_or_default();
            Found::playlist(object.forms.form(skip), target)
        }
    };
    Ok(Found { age, ..found })
}

/// Whether a playlist may be given again. rfc8216bis §6.2.1: a client may reload after half a target duration where
/// nothing had changed.
pub(crate) fn is_fresh(object: &Object) -> bool {
    let lifetime = target_duration(&object.bytes).map_or(UNDATED, |target| target / 2);
    object.received.elapsed() < lifetime
}

/// EXT-X-TARGETDURATION, which stands in the head.
fn target_duration(playlist: &[u8]) -> Option<Duration> {
    let head = playlist.get(..playlist.len().min(512))?;
    let mut lines = head.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(b"#EXT-X-TARGETDURATION:"))?;
    let seconds = std::str::from_utf8(value).ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_or_has_just_left_is_asked_for() {
        let head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:100\n";
        let map = "#EXT-X-MAP:URI=\"init-00000000000000aa.mp4\"\n";
        let listed = Listed::read(
            format!("{head}{map}#EXTINF:2,\nseg-100.m4s\n#EXT-X-GAP\n#EXTINF:2,\nseg-101.m4s\n").as_bytes(),
        );
        let has = |name| listed.has(&name);
        for (msn, known) in [(67, false), (68, true), (100, true), (101, true), (102, false)] {
            assert_eq!(has(Name::Segment(Msn(msn))), known, "{msn}");
        }
        assert!(has(Name::Init(Hash(0xaa))) && !has(Name::Init(Hash(0xab))));
        let texts = Listed::read(format!("{head}#EXTINF:2,\nseg-100.vtt\n").as_bytes());
        assert!(texts.has(&Name::Vtt(Msn(100))) && !texts.has(&Name::Segment(Msn(100))));
        assert!(!has(Name::Vtt(Msn(100))));
        let nothing = Listed::read(b"\xff");
        assert!(!nothing.has(&Name::Segment(Msn(0))) && !nothing.has(&Name::Init(Hash(0))));
    }

    #[tokio::test(start_paused = true)]
    async fn playlists_are_kept_for_half_a_target_duration() {
        let object = |text: &'static str| Object {
            bytes: text.as_bytes().into(),
            forms: listen::playlist::Forms::of_recording(text),
            listed: std::sync::Arc::default(),
            available_us: None,
            received: tokio::time::Instant::now(),
            parent: 0,
            trip: Duration::ZERO,
        };
        let media = object("#EXTM3U\n#EXT-X-TARGETDURATION:6\n");
        let multivariant = object("#EXTM3U\n#EXT-X-STREAM-INF:X\n360p/dvr.m3u8\n");
        let fresh = || (is_fresh(&media), is_fresh(&multivariant));
        assert_eq!(fresh(), (true, true));
        tokio::time::advance(Duration::from_millis(3_001)).await;
        assert_eq!(fresh(), (false, true));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(fresh(), (false, false));
    }
}
