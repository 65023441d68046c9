//! How long answers may be kept, and what type they are.

use std::time::Duration;

use crate::id::TrackId;
use crate::playlist::attribute;

/// Type of playlists (Apple authoring 10.4).
pub const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";
/// Type of video parts, segments and init segments.
pub const VIDEO_TYPE: &str = "video/mp4";
/// Type of audio parts, segments and init segments.
pub const AUDIO_TYPE: &str = "audio/mp4";
/// Type of subtitle segments.
pub const TEXT_TYPE: &str = "text/vtt";

/// Type of pictures of segments.
pub const PICTURE_TYPE: &str = "image/jpeg";

/// Type of keys.
pub const KEY_TYPE: &str = "application/octet-stream";

/// Header that carries the origin's clock at publication, microseconds of Unix time; passed on by every tier.
pub const AVAILABLE: &str = "ringside-available";

/// Response headers that pages may read across origins; players need `age` for their tune-in.
pub const EXPOSED: &str = "age,date,content-length,content-range,etag,ringside-available";

/// Request headers that pages may send across origins: ranges, conditions, and CMCD (CTA-5004).
pub const ALLOWED: &str = "range,if-range,if-none-match,cmcd-request,cmcd-object,cmcd-status,cmcd-session";

/// RFC 9218 urgency of playlists (rfc8216bis B.1).
pub const PLAYLIST_URGENCY: u8 = 1;

/// RFC 9218 urgency of sound and words.
pub const SOUND_URGENCY: u8 = 2;

/// RFC 9218 urgency of what viewers rewind to, whatever its bit rate: below the live edge.
pub const REWIND_URGENCY: u8 = 6;

/// RFC 9218 urgency of a track's media, from 2 to 6, by its place among the variants of a multivariant playlist: a higher
/// bit rate is never more urgent than a lower one (rfc8216bis B.1). Sound is first, for every variant needs it.
pub fn urgency(multivariant: &str, track: &TrackId) -> u8 {
    let uri = format!("{track}/media.m3u8");
    let mut lines = multivariant.lines();
    let (mut rates, mut own) = (Vec::new(), None);
    while let Some(line) = lines.next() {
        let Some(list) = line.strip_prefix("#EXT-X-STREAM-INF:") else {
            continue;
        };
        let rate: u64 = attribute(list, "BANDWIDTH")
            .and_then(|rate| rate.parse().ok())
            .unwrap_or(u64::MAX);
        rates.push(rate);
        // A track of several variants is as urgent as the lowest one makes it.
        if lines.next().is_some_and(|line| line == uri) && own.is_none_or(|own| rate < own) {
            own = Some(rate);
        }
    }
    rates.sort_unstable();
    rates.dedup();
    let lower = own.map(|own| rates.iter().filter(|rate| **rate < own).count());
    lower.map_or(SOUND_URGENCY, |lower| {
        u8::try_from(lower).unwrap_or(u8::MAX).saturating_add(3).min(6)
    })
}

/// Whether a multivariant playlist lists the track, and as video.
pub fn is_video(multivariant: &str, track: &TrackId) -> Option<bool> {
    let uri = format!("{track}/media.m3u8");
    let quoted = format!("URI=\"{uri}\"");
    multivariant.lines().find_map(|line| {
        if line == uri {
            return Some(true);
        }
        (line.starts_with("#EXT-X-MEDIA:") && line.contains(&quoted)).then_some(false)
    })
}

/// What was answered, as far as caches care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A playlist that was asked for with directives.
    Directed,
    /// A playlist as it is now.
    Plain,
    /// A part, segment or init segment.
    Media,
    /// A content key: nobody keeps it.
    Key,
    /// Any refusal. rfc8216bis B.1 wants up to 4 target durations; a cached "too early" would turn one
    /// impatient client into an outage for all, so refusals live for a second.
    Refusal,
}

/// Cache-Control max-age for an answer (rfc8216bis B.1).
pub fn max_age(answer: Answer, target_duration: Duration) -> Duration {
    match answer {
        Answer::Directed => target_duration * 6,
        Answer::Plain => target_duration / 2,
        // Media under one URL never changes; an hour outlives every window.
        Answer::Media => Duration::from_secs(3_600).max(target_duration * 6),
        Answer::Refusal => Duration::from_secs(1),
        Answer::Key => Duration::ZERO,
    }
}

/// The Cache-Control value for an answer.
pub fn cache_control(answer: Answer, target_duration: Duration) -> String {
    let seconds = max_age(answer, target_duration).as_secs().max(1);
    match answer {
        Answer::Key => "no-store".to_owned(),
        Answer::Media => format!("public, max-age={seconds}, immutable"),
        // For those who share it: a player that asks the same again wants to know what has come since, and its own
        // cache would tell it the old (video.js does, at the end of each segment).
        Answer::Directed => format!("public, max-age=0, s-maxage={seconds}"),
        Answer::Plain | Answer::Refusal => format!("public, max-age={seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_bit_rate_is_never_less_urgent() {
        let variants = [("d", 8), ("b", 2), ("f", 99), ("a", 1), ("c", 4), ("b", 3)];
        let text: String = variants
            .iter()
            .map(|(track, rate)| format!("#EXT-X-STREAM-INF:BANDWIDTH={rate}\n{track}/media.m3u8\n"))
            .collect();
        let of = |track: &str| urgency(&text, &TrackId::new(track).unwrap());
        assert_eq!(["sound", "a", "b", "c", "d", "f"].map(of), [2, 3, 4, 6, 6, 6]);
    }

    #[test]
    fn lifetimes_follow_the_draft_except_for_refusals() {
        let td = Duration::from_secs(2);
        assert_eq!(
            cache_control(Answer::Directed, td),
            "public, max-age=0, s-maxage=12"
        );
        assert_eq!(cache_control(Answer::Plain, td), "public, max-age=1");
        assert_eq!(
            cache_control(Answer::Media, td),
            "public, max-age=3600, immutable"
        );
        assert_eq!(cache_control(Answer::Refusal, td), "public, max-age=1");
    }
}
