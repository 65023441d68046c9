//! How long answers may be kept, and what type they are.

use std::time::Duration;

/// Type of playlists (Apple authoring 10.4).
pub const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";
/// Type of video parts, segments and init segments.
pub const VIDEO_TYPE: &str = "video/mp4";
/// Type of audio parts, segments and init segments.
pub const AUDIO_TYPE: &str = "audio/mp4";

/// Header that carries the origin's clock at publication, microseconds of Unix time; passed on by every tier.
pub const AVAILABLE: &str = "ringside-available";

/// Response headers that pages may read across origins; players need `age` for their tune-in.
pub const EXPOSED: &str = "age,date,content-length,ringside-available";

/// What was answered, as far as caches care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A playlist that was asked for with directives.
    Directed,
    /// A playlist as it is now.
    Plain,
    /// A part, segment or init segment.
    Media,
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
    }
}

/// The Cache-Control value for an answer.
pub fn cache_control(answer: Answer, target_duration: Duration) -> String {
    let seconds = max_age(answer, target_duration).as_secs().max(1);
    match answer {
        Answer::Media => format!("public, max-age={seconds}, immutable"),
        Answer::Directed | Answer::Plain | Answer::Refusal => format!("public, max-age={seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_follow_the_draft_except_for_refusals() {
        let td = Duration::from_secs(2);
        assert_eq!(cache_control(Answer::Directed, td), "public, max-age=12");
        assert_eq!(cache_control(Answer::Plain, td), "public, max-age=1");
        assert_eq!(
            cache_control(Answer::Media, td),
            "public, max-age=3600, immutable"
        );
        assert_eq!(cache_control(Answer::Refusal, td), "public, max-age=1");
    }
}
