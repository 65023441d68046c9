//! A playlist for rewinding: hours of whole segments, each written once. What stands is never written again, so that
//! a version costs a copy of the text.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::frames::{self, Frame};
use super::render::{CLEAR, Force, SKIP_TARGETS, Seconds};
use super::{DateRange, Key, Segment};
use crate::id::Msn;

/// Segments that are written, and leave, together.
pub const SEGMENTS_PER_CHUNK: u64 = 32;

/// One track's recording as a playlist. Cheap to clone: clones share what is written.
#[derive(Debug, Clone)]
pub struct Dvr {
    target_duration: Duration,
    /// Entries that each segment has: of one of key frames; none where segments are the entries.
    frames: Option<u64>,
    /// Oldest first; only the last may grow.
    chunks: VecDeque<Chunk>,
    /// MSN of the segment to come, and program time of its start.
    next: Msn,
    reached: Duration,
    ended: bool,
}

#[derive(Debug, Clone)]
struct Chunk {
    first: Msn,
    /// EXT-X-DISCONTINUITY-SEQUENCE of a playlist that begins with it.
    sequence: u64,
    /// Program time of its start.
    start: Duration,
    text: Arc<String>,
    /// The map and the key in force at its end.
    map: String,
    key: Option<Key>,
}

/// What a playlist promises of its future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Segments come, and old ones leave.
    Sliding,
    /// It is all there is, and stays.
    Vod,
}

impl Dvr {
    /// A playlist without segments.
    pub fn new(target_duration: Duration) -> Self {
        Self {
            target_duration,
            frames: None,
            chunks: VecDeque::new(),
            next: Msn(0),
            reached: Duration::ZERO,
            ended: false,
        }
    }

    /// A playlist without segments of which key frames are listed: as many of each.
    pub fn of_frames(target_duration: Duration, each: u32) -> Self {
        Self {
            frames: Some(u64::from(each)),
            ..Self::new(target_duration)
        }
    }

    /// Appends a whole segment; `sequence` is the EXT-X-DISCONTINUITY-SEQUENCE of a playlist that began with it. Every
    /// segment follows the one before, or the playlist begins anew with it.
    pub fn push(&mut self, msn: Msn, sequence: u64, segment: &Segment) {
        self.append(msn, sequence, segment, None);
    }

    /// The same by its key frames.
    pub fn push_frames(&mut self, msn: Msn, sequence: u64, segment: &Segment, frames: &[Frame]) {
        self.append(msn, sequence, segment, Some(frames));
    }

    fn append(&mut self, msn: Msn, sequence: u64, segment: &Segment, frames: Option<&[Frame]>) {
        if msn != self.next {
            self.chunks.clear();
        }
        self.next = msn.next();
        let duration = segment.whole.as_ref().map(|whole| whole.duration);
        self.reached = segment.start + duration.unwrap_or_default();
        let full = |chunk: &Chunk| msn.0 - chunk.first.0 >= SEGMENTS_PER_CHUNK;
        if self.chunks.back().is_none_or(full) {
            // A chunk may come first in a playlist, or behind another: it says again what applies, or that no key does.
            let is_under = self.chunks.back().is_some_and(|chunk| chunk.key.is_some());
            let text = if is_under {
                format!("{CLEAR}\n")
            } else {
                String::new()
            };
            self.chunks.push_back(Chunk {
                first: msn,
                sequence,
                start: segment.start,
                text: Arc::new(text),
                map: String::new(),
                key: None,
            });
        }
        if let Some(chunk) = self.chunks.back_mut() {
            let mut force = Force {
                map: Some(chunk.map.as_str()),
                key: chunk.key.as_ref(),
            };
            let text = Arc::make_mut(&mut chunk.text);
            match frames {
                Some(frames) => frames::write(segment, frames, &mut force, text),
                None => segment.write(&mut force, text),
            }
            .expect("writing to a String does not fail");
            chunk.map.clone_from(&segment.map);
            chunk.key.clone_from(&segment.key);
        }
    }

    /// The event is over: EXT-X-ENDLIST.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether the event is over.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// MSN of the first segment; none while there is none.
    pub fn first(&self) -> Option<Msn> {
        self.chunks.front().map(|chunk| chunk.first)
    }

    /// Program time at which it begins.
    pub fn start(&self) -> Option<Duration> {
        self.chunks.front().map(|chunk| chunk.start)
    }

    /// The segment that comes next.
    pub fn next(&self) -> Msn {
        self.next
    }

    /// First segment behind the oldest chunk, and when that one ends; none where it is the only one.
    pub fn second(&self) -> Option<(Msn, Duration)> {
        self.chunks.get(1).map(|chunk| (chunk.first, chunk.start))
    }

    /// The oldest chunk leaves, unless it is the only one.
    pub fn trim(&mut self) {
        if self.chunks.len() > 1 {
            self.chunks.pop_front();
        }
    }

    /// Program time at which it ends.
    pub fn reached(&self) -> Duration {
        self.reached
    }

    /// The playlist's text; none while it is too short to be shown.
    pub fn render(&self, dates: &[DateRange], kind: Kind) -> Option<String> {
        let first = self.chunks.front()?;
        // rfc8216bis §6.2.2: never shorter than three target durations, of which audio may miss a frame.
        if !self.ended && self.reached.saturating_sub(first.start) <= self.target_duration * 3 {
            return None;
        }
        let body: usize = self.chunks.iter().map(|chunk| chunk.text.len()).sum();
        let mut text = String::with_capacity(body + 512 + dates.len() * 256);
        self.head(first, dates, kind, &mut text)
            .expect("writing to a String does not fail");
        self.chunks.iter().for_each(|chunk| text.push_str(&chunk.text));
        if self.ended {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        Some(text)
    }

    /// rfc8216bis §4.4.3.8: without parts no PART-HOLD-BACK, and HOLD-BACK is three target durations by itself.
    fn head(&self, first: &Chunk, dates: &[DateRange], kind: Kind, out: &mut String) -> std::fmt::Result {
        writeln!(out, "#EXTM3U\n#EXT-X-VERSION:8")?;
        writeln!(out, "#EXT-X-TARGETDURATION:{}", self.target_duration.as_secs())?;
        writeln!(
            out,
            "#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL={},CAN-SKIP-DATERANGES=YES",
            Seconds(self.target_duration * SKIP_TARGETS, 1)
        )?;
        if kind == Kind::Vod {
            writeln!(out, "#EXT-X-PLAYLIST-TYPE:VOD")?;
        }
        if self.frames.is_some() {
            writeln!(out, "#EXT-X-I-FRAMES-ONLY")?;
        }
        let number = first.first.0 * self.frames.unwrap_or(1);
        writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{number}")?;
        writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", first.sequence)?;
        dates.iter().try_for_each(|range| range.write(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::id::Cell;
    use crate::playlist::{Parsed, parse};
    use crate::timeline::stage::{SEGMENT, Stage, life};

    /// What a recorder does after each publication.
    fn record(stage: &Stage, dvr: &mut Dvr) {
        let whole = stage.timeline.position().unwrap().whole.unwrap();
        let from = if dvr.first().is_some() {
            dvr.next()
        } else {
            stage.grid.msn(Cell(160_000_000))
        };
        for msn in (from.0..=whole.0).map(Msn) {
            let segment = stage.timeline.whole_segment(0, msn).unwrap();
            dvr.push(msn, stage.timeline.discontinuity_sequence(msn), &segment);
        }
    }

    fn text(dvr: &Dvr) -> String {
        dvr.render(&[], Kind::Sliding).unwrap()
    }

    fn check(before: &str, now: &str) -> Parsed {
        let mut broken = check::playlist(now);
        broken.extend(check::successive(before, now));
        assert_eq!(broken, []);
        parse(now).unwrap()
    }

    #[test]
    fn a_recording_grows_at_its_end_and_leaves_by_chunks() {
        let mut stage = Stage::usual();
        let mut dvr = Dvr::new(stage.grid.target_duration());
        let mut before: Option<String> = None;
        for msn in 0..200 {
            stage.feed(SEGMENT);
            record(&stage, &mut dvr);
            if msn < 3 {
                assert_eq!(dvr.render(&[], Kind::Sliding), None, "too short");
                continue;
            }
            if msn % 40 == 39 {
                dvr.trim();
            }
            let now = text(&dvr);
            let parsed = check(before.as_ref().unwrap_or(&now), &now);
            let last = parsed.segments.last().unwrap();
            assert_eq!(
                last.uri.as_deref(),
                Some(format!("seg-{}.m4s", 40_000_000 + msn).as_str())
            );
            before = Some(now);
        }
        assert_eq!(dvr.first(), Some(Msn(40_000_000 + 5 * SEGMENTS_PER_CHUNK)));
        dvr.trim();
        assert!(dvr.first().is_some(), "the last chunk stays");
    }

    #[test]
    fn ladders_are_told_apart_across_chunks() {
        let mut stage = Stage::usual();
        let mut dvr = Dvr::new(stage.grid.target_duration());
        for n in 1..10 {
            stage.feed(5 * SEGMENT - 1);
            record(&stage, &mut dvr);
            let next = stage.timeline.due(0).unwrap();
            stage.take_over(life(&format!("life{n}"), Cell(next.0 + 9), n));
        }
        stage.feed(SEGMENT);
        record(&stage, &mut dvr);
        let whole = text(&dvr);
        check(&whole, &whole);
        dvr.trim();
        let parsed = check(&whole, &text(&dvr));
        let tags: u64 = parsed
            .segments
            .iter()
            .map(|segment| segment.discontinuities)
            .sum();
        assert_eq!(parsed.discontinuity_sequence.unwrap() + tags, 9);
        assert!(
            parsed.segments[0].map.is_some(),
            "a chunk names its init segment itself"
        );
    }

    #[test]
    fn key_frames_are_numbered_by_their_segments() {
        let mut stage = Stage::usual();
        let target = stage.grid.target_duration();
        let mut dvr = Dvr::of_frames(target, 2);
        stage.feed(5 * SEGMENT);
        let range = Some(crate::playlist::Range {
            offset: 9,
            length: 90,
        });
        let frame = |range| Frame {
            duration: Duration::from_secs(1),
            range,
        };
        for msn in (40_000_000..40_000_004).map(Msn) {
            let segment = stage.timeline.whole_segment(0, msn).unwrap();
            let frames = [frame(range), frame(range.filter(|_| msn.0 % 2 == 0))];
            dvr.push_frames(msn, 0, &segment, &frames);
        }
        let text = text(&dvr);
        assert_eq!(check::features(&text), []);
        assert!(text.contains("#EXT-X-I-FRAMES-ONLY\n#EXT-X-MEDIA-SEQUENCE:80000000\n"));
        assert!(text.contains("#EXTINF:1.00000,\n#EXT-X-BYTERANGE:90@9\nseg-40000000.m4s\n"));
        assert!(text.contains("#EXT-X-GAP\n#EXTINF:1.00000,\nseg-40000001.m4s\n"));
        let numbers = [text.matches("#EXTINF").count(), text.matches("BYTERANGE").count()];
        assert_eq!(numbers, [8, 6]);
    }

    #[test]
    fn keys_apply_from_chunk_to_chunk_as_they_are_said() {
        let stage = {
            let mut stage = Stage::usual();
            stage.feed(SEGMENT);
            stage
        };
        let mut dvr = Dvr::new(stage.grid.target_duration());
        let key = |n| Key {
            method: crate::playlist::Method::Aes128,
            uri: format!("../key-{n}"),
            iv: [0; 16],
            format: None,
        };
        let segment = stage.timeline.whole_segment(0, Msn(40_000_000)).unwrap();
        // One key across the border of two chunks, then none across the next.
        for n in 0..SEGMENTS_PER_CHUNK * 3 {
            let mut segment = segment.clone();
            segment.start += Duration::from_secs(2 * n);
            segment.key = (n < SEGMENTS_PER_CHUNK * 2).then(|| key(n / (SEGMENTS_PER_CHUNK + 9)));
            dvr.push(Msn(40_000_000 + n), 0, &segment);
        }
        for _ in 0..3 {
            let parsed = parse(&text(&dvr)).unwrap();
            assert_eq!(check::features(&text(&dvr)), []);
            for (msn, segment) in (parsed.media_sequence.0 - 40_000_000..).zip(&parsed.segments) {
                let said = segment.key.as_deref().unwrap_or_default();
                let wanted = format!("../key-{}", msn / (SEGMENTS_PER_CHUNK + 9));
                assert_eq!(
                    said.contains(&wanted),
                    msn < SEGMENTS_PER_CHUNK * 2,
                    "{msn}: {said}"
                );
                assert_eq!(segment.is_sealed(), msn < SEGMENTS_PER_CHUNK * 2);
            }
            dvr.trim();
        }
    }

    #[test]
    fn the_end_is_said_and_vod_is_its_type() {
        let mut stage = Stage::usual();
        let mut dvr = Dvr::new(stage.grid.target_duration());
        stage.feed(SEGMENT + 1);
        stage.timeline.end();
        record(&stage, &mut dvr);
        dvr.end();
        let text = dvr.render(&[], Kind::Vod).unwrap();
        assert!(text.contains("#EXT-X-PLAYLIST-TYPE:VOD\n") && text.ends_with("\n#EXT-X-ENDLIST\n"));
        assert_eq!(
            parse(&text).unwrap().segments.len(),
            2,
            "the open segment is whole with what it has"
        );
        assert_eq!(check::playlist(&text), []);
    }
}
