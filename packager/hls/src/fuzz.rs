//! What every input must satisfy, one function for each reader of foreign bytes. Property tests run them here, and
//! `fuzz/` runs them under libFuzzer. They panic where it does not hold.

use std::time::Duration;

use crate::delivery::{self, Answer};
use crate::id::{Msn, TrackId};
use crate::path::{Directives, Resource, split_token};
use crate::playlist::cut;
use crate::playlist::{Parsed, delta, parse};
use crate::reload::{Position, Verdict};
use crate::{check, time};

/// Between two texts in one input: no playlist has it.
pub const BETWEEN: char = '\0';

/// A media playlist of any origin: what is read of it can be counted with, and what its delta update leaves out comes back.
pub fn playlist(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    check::playlist(text);
    check::multivariant(text);
    let Ok(parsed) = parse(text) else { return };
    if let Some(position) = position(&parsed) {
        waits(&position);
    }
    let total: Duration = parsed.segments.iter().map(|segment| segment.duration).sum();
    let parts: Duration = parsed.parts().map(|part| part.duration).sum();
    for span in [total, parts, parsed.target_duration] {
        assert!(span.checked_mul(6).is_some(), "{span:?}");
    }
    if let Some(delta) = delta::derive(text, None) {
        let merged = delta::merge(text, &delta).expect("a delta update fits the text it was made of");
        let again = parse(&merged).expect("what was merged can be read");
        assert_eq!(parsed.media_sequence, again.media_sequence, "{delta}");
        assert_eq!(media(&parsed), media(&again), "{delta}");
    }
    let ranges = [(0, 1), (0, u64::MAX), (u64::MAX / 2, u64::MAX)];
    for (from, to) in ranges {
        let span = cut::span(text, Duration::from_secs(from), Duration::from_secs(to));
        let segments = span.map_or(Msn(from)..=Msn(to), |span| span.segments.0..=span.segments.1);
        cut::cut(text, &segments);
    }
}

/// A playlist, [`BETWEEN`], and the one that follows it: as a delta update, as a reload, and as another track's.
pub fn successive(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Some((before, after)) = text.split_once(BETWEEN) else {
        return;
    };
    if let Ok(merged) = delta::merge(before, after) {
        // A line end more for a last line without one, and one more line that names the version.
        assert!(merged.len() <= before.len() + after.len() + 64, "{merged}");
    }
    check::successive(before, after);
    let both = [("a/media.m3u8", before), ("b/media.m3u8", after)];
    check::siblings(&both.map(|(uri, text)| check::Sibling { uri, text }));
}

/// A multivariant playlist of any origin.
pub fn multivariant(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    check::multivariant(text);
    let Ok(track) = TrackId::new("360p") else { return };
    assert!((2..=6).contains(&delivery::urgency(text, &track)));
    delivery::is_video(text, &track);
}

/// A request's target: what it names has one name, and its directives one order.
pub fn target(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let (token, rest) = split_token(path);
    assert!(rest.len() + token.map_or(0, |token| token.len() + "/t/".len()) == path.len());
    if let Some(resource) = Resource::parse(rest) {
        assert_eq!(resource.path(), rest);
        assert!(resource.path().contains(resource.stream().as_str()));
    }
    let Ok(directives) = Directives::parse(query) else {
        return;
    };
    let again = directives.query().unwrap_or_default();
    assert_eq!(Directives::parse(&again), Ok(directives));
    for (last, part) in [(0, None), (7, Some(3)), (u64::MAX / 2, Some(0))] {
        let position = Position {
            whole: Some(Msn(last)),
            last: Msn(last),
            part: part.map(crate::id::PartIndex),
            segment_parts: Some(4),
            part_target: Duration::from_millis(522),
            target_duration: Duration::from_secs(2),
            ended: false,
        };
        let verdict = position.playlist(&directives);
        assert!(directives.wait.is_some() || verdict == Verdict::Ready);
        // What is too far for one playlist is never waited for, whatever its parts.
        let msn = directives.wait.map_or(0, |(msn, _)| msn);
        assert!(verdict != Verdict::Park || msn <= last.saturating_add(2));
    }
}

/// A date: what is read of it is written as the same moment.
pub fn date(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Some(since) = time::since_epoch(text) {
        let whole =
            Duration::from_secs(since.as_secs()) + Duration::from_millis(since.subsec_millis().into());
        assert_eq!(time::since_epoch(&time::date_time(since)), Some(whole));
    }
}

/// What a reader of the playlist has to have of each segment: its name, its duration, and what applies to it.
fn media(parsed: &Parsed) -> Vec<(Option<&str>, Duration, bool, u64)> {
    let segments = parsed.segments.iter().map(|segment| {
        (
            segment.uri.as_deref(),
            segment.duration,
            segment.gap,
            segment.discontinuities,
        )
    });
    segments.collect()
}

/// Where a mirror of it would be.
fn position(parsed: &Parsed) -> Option<Position> {
    let (last, part) = parsed.last()?;
    Some(Position {
        whole: parsed.last_whole(),
        last,
        part,
        segment_parts: None,
        part_target: parsed.part_target.unwrap_or(parsed.target_duration),
        target_duration: parsed.target_duration,
        ended: parsed.ended,
    })
}

/// A place has one after it, and waits and lifetimes that can be told.
fn waits(position: &Position) {
    assert!(position.last.0 < u64::MAX - 1);
    let longest = position.longest_wait();
    assert!(position.advance_part_limit() >= 3 || longest.is_zero());
    for (msn, part) in [(position.last.0 + 1, Some(0)), (position.last.0, None)] {
        position.playlist(&Directives {
            wait: Some((msn, part)),
            skip: None,
        });
    }
    for answer in [Answer::Directed, Answer::Plain, Answer::Media, Answer::Refusal] {
        delivery::cache_control(answer, position.target_duration);
    }
}

#[cfg(test)]
mod tests;
