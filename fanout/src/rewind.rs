//! What viewers rewind to: fetched on demand, one flight for everyone, in a class of its own below the live edge.

use std::time::Duration;

use flight::Refusal;
use hls::delivery::{self, Answer};
use hls::id::{StreamId, TrackId};
use hls::path::{Object as Name, Resource, Skip};
use listen::answer::{Content, Found, media_type};

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
        content: Content::Text(object.forms.form(skip)),
        kind: delivery::PLAYLIST_TYPE,
        answer: Answer::Plain,
        urgency: delivery::PLAYLIST_URGENCY,
        available_us: object.available_us,
        age: Some(object.received.elapsed()),
        target_duration,
    })
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
        (None, Name::Part(_) | Name::Segment(_)) => streams.rewind.get(&resource, Keep::Cache).await?,
    };
    Ok(Found {
        content: Content::Media(object.bytes.into()),
        kind: media_type(video),
        answer: Answer::Media,
        urgency: delivery::REWIND_URGENCY,
        available_us: object.available_us,
        age: Some(object.received.elapsed()),
        target_duration: Duration::ZERO,
    })
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

    #[tokio::test(start_paused = true)]
    async fn playlists_are_kept_for_half_a_target_duration() {
        let object = |text: &'static str| Object {
            bytes: text.as_bytes().into(),
            forms: listen::playlist::Forms::of_recording(text),
            available_us: None,
            received: tokio::time::Instant::now(),
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
