//! A range of a recording as a playlist of its own: lines are taken over as they stand, whatever they say.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::dvr::version;
use crate::id::Msn;
use crate::time::since_epoch;

/// A part of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The playlist.
    pub text: String,
    /// Everything it names, relative to itself; gaps are named by nobody.
    pub uris: Vec<String>,
    /// Segments it lists without media.
    pub gaps: u64,
    /// Sum of EXTINF.
    pub duration: Duration,
}

/// Where a recording's segments are in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First and last segment that has something of the range.
    pub segments: (Msn, Msn),
    /// Program time at which the first begins.
    pub start: Duration,
    /// Program time at which the last ends.
    pub end: Duration,
}

/// What applies to all segments behind it (rfc8216bis §4.4.4.4, §4.4.4.5).
const STICKY: [&str; 2] = ["#EXT-X-KEY:", "#EXT-X-MAP:"];

/// Tags of the head that a range has, too.
const HEAD: [&str; 2] = ["#EXT-X-TARGETDURATION:", "#EXT-X-INDEPENDENT-SEGMENTS"];

/// One segment's lines.
#[derive(Debug, Default)]
struct Block<'a> {
    lines: Vec<&'a str>,
    uri: &'a str,
    duration: Duration,
    start: Option<Duration>,
}

impl<'a> Block<'a> {
    fn sticky(&self) -> impl Iterator<Item = &'a str> {
        let lines = self.lines.iter().copied();
        lines.filter(|line| STICKY.iter().any(|tag| line.starts_with(tag)))
    }

    fn is_gap(&self) -> bool {
        self.lines.contains(&"#EXT-X-GAP")
    }

    fn discontinuities(&self) -> u64 {
        let tags = self.lines.iter().filter(|line| **line == "#EXT-X-DISCONTINUITY");
        tags.count() as u64
    }
}

/// The segments with something between two program times; none where there are none.
pub fn span(text: &str, from: Duration, to: Duration) -> Option<Span> {
    let (head, blocks) = read(text);
    let first = head_number(&head, "#EXT-X-MEDIA-SEQUENCE:");
    let mut span: Option<Span> = None;
    for (n, block) in blocks.iter().enumerate() {
        let (start, msn) = (block.start?, Msn(first + n as u64));
        let end = start + block.duration;
        if end <= from || start >= to {
            continue;
        }
        let known = span.get_or_insert(Span {
            segments: (msn, msn),
            start,
            end,
        });
        (known.segments.1, known.end) = (msn, end);
    }
    span
}

/// These segments as a playlist that is whole; none where not all of them are listed.
pub fn cut(text: &str, segments: &RangeInclusive<Msn>) -> Option<Cut> {
    let (head, blocks) = read(text);
    let first = head_number(&head, "#EXT-X-MEDIA-SEQUENCE:");
    let mut sequence = head_number(&head, "#EXT-X-DISCONTINUITY-SEQUENCE:");
    let place = |msn: Msn| usize::try_from(msn.0.checked_sub(first)?).ok();
    let (from, to) = (place(*segments.start())?, place(*segments.end())?);
    let (before, taken) = (blocks.get(..from)?, blocks.get(from..=to)?);
    sequence += before.iter().map(Block::discontinuities).sum::<u64>();
    let mut sticky: Vec<&str> = Vec::new();
    for line in before.iter().flat_map(Block::sticky) {
        let tag = line.split_once(':').map(|(tag, _)| tag);
        sticky.retain(|known| known.split_once(':').map(|(tag, _)| tag) != tag);
        sticky.push(line);
    }
    // What is said again by the first segment needs no saying.
    let said: Vec<&str> = taken.first()?.sticky().collect();
    sticky.retain(|line| {
        let tag = line.split_once(':').map_or("", |(tag, _)| tag);
        said.iter().all(|said| !said.starts_with(tag))
    });
    let gaps = taken.iter().filter(|block| block.is_gap()).count();
    let mut out = format!("#EXTM3U\n#EXT-X-VERSION:{}\n", version(gaps == 0));
    for line in head
        .iter()
        .filter(|line| HEAD.iter().any(|tag| line.starts_with(tag)))
    {
        out += line;
        out.push('\n');
    }
    writeln!(
        out,
        "#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-DISCONTINUITY-SEQUENCE:{sequence}",
        segments.start()
    )
    .expect("writing to a String does not fail");
    for line in sticky
        .iter()
        .copied()
        .chain(taken.iter().flat_map(|block| block.lines.iter().copied()))
    {
        out += line;
        out.push('\n');
    }
    out += "#EXT-X-ENDLIST\n";
    Some(Cut {
        uris: uris(&sticky, taken),
        gaps: gaps as u64,
        duration: taken.iter().map(|block| block.duration).sum(),
        text: out,
    })
}

fn uris(sticky: &[&str], taken: &[Block<'_>]) -> Vec<String> {
    let maps = sticky.iter().copied().chain(taken.iter().flat_map(Block::sticky));
    let maps = maps.filter_map(|line| line.strip_prefix("#EXT-X-MAP:URI=\"")?.split('"').next());
    let media = taken
        .iter()
        .filter(|block| !block.is_gap())
        .map(|block| block.uri);
    let mut uris: Vec<String> = maps.chain(media).map(str::to_owned).collect();
    uris.sort();
    uris.dedup();
    uris
}

fn read(text: &str) -> (Vec<&str>, Vec<Block<'_>>) {
    let (mut head, mut blocks, mut open) = (Vec::new(), Vec::new(), Block::default());
    for line in text.lines() {
        let value = |tag: &str| line.strip_prefix(tag);
        if !line.starts_with('#') && !line.is_empty() {
            open.lines.push(line);
            open.uri = line;
            blocks.push(std::mem::take(&mut open));
        } else if let Some(date) = value("#EXT-X-PROGRAM-DATE-TIME:") {
            open.lines.push(line);
            open.start = since_epoch(date);
        } else if let Some(duration) = value("#EXTINF:") {
            open.lines.push(line);
            let seconds = duration.split(',').next().and_then(|text| text.parse().ok());
            let seconds = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            open.duration = seconds.unwrap_or_default();
        } else if is_of_a_segment(line) {
            open.lines.push(line);
        } else if blocks.is_empty() {
            head.push(line);
        }
    }
    (head, blocks)
}

fn is_of_a_segment(line: &str) -> bool {
    line == "#EXT-X-DISCONTINUITY" || line == "#EXT-X-GAP" || STICKY.iter().any(|tag| line.starts_with(tag))
}

fn head_number(head: &[&str], tag: &str) -> u64 {
    let value = |line: &&str| line.strip_prefix(tag)?.parse().ok();
    head.iter().find_map(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playlist::parse;
    use crate::time::date_time;

    /// Ten segments of 2 s, the sixth of another ladder, the eighth a gap, everything encrypted.
    fn recording() -> String {
        let mut text = "#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:EVENT\n\
            #EXT-X-MEDIA-SEQUENCE:100\n#EXT-X-DISCONTINUITY-SEQUENCE:4\n\
            #EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2024-01-01T00:00:00.000Z\"\n\
            #EXT-X-KEY:METHOD=AES-128,URI=\"k1\"\n#EXT-X-MAP:URI=\"init-a.mp4\"\n"
            .to_owned();
        for n in 0..10 {
            if n == 5 {
                text += "#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-b.mp4\"\n";
            }
            writeln!(
                text,
                "#EXT-X-PROGRAM-DATE-TIME:{}",
                date_time(Duration::from_secs(200 + 2 * n))
            )
            .unwrap();
            if n == 7 {
                text += "#EXT-X-GAP\n";
            }
            writeln!(text, "#EXTINF:2.00000,\nseg-{}.m4s", 100 + n).unwrap();
        }
        text
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_range_is_the_segments_that_have_something_of_it() {
        let text = recording();
        let found = |from, to| span(&text, at(from), at(to)).map(|span| span.segments);
        assert_eq!(found(203, 207), Some((Msn(101), Msn(103))));
        assert_eq!(found(204, 206), Some((Msn(102), Msn(102))));
        assert_eq!(found(0, 1_000), Some((Msn(100), Msn(109))));
        assert_eq!((found(0, 200), found(220, 300)), (None, None));
        let span = span(&text, at(203), at(207)).unwrap();
        assert_eq!((span.start, span.end), (at(202), at(208)));
    }

    #[test]
    fn a_cut_says_what_applies_to_it_and_is_whole() {
        let taken = cut(&recording(), &(Msn(102)..=Msn(104))).unwrap();
        let parsed = parse(&taken.text.replace("#EXT-X-KEY:METHOD=AES-128,URI=\"k1\"\n", "")).unwrap();
        assert_eq!(
            (parsed.media_sequence, parsed.discontinuity_sequence),
            (Msn(102), Some(4))
        );
        assert_eq!(parsed.segments[0].map.as_deref(), Some("init-a.mp4"));
        assert!(taken.text.contains("#EXT-X-KEY:METHOD=AES-128,URI=\"k1\"\n"));
        assert!(parsed.ended && taken.text.contains("#EXT-X-PLAYLIST-TYPE:VOD\n"));
        assert!(!taken.text.contains("DATERANGE") && !taken.text.contains("EVENT"));
        assert_eq!(
            taken.uris,
            ["init-a.mp4", "seg-102.m4s", "seg-103.m4s", "seg-104.m4s"]
        );
        assert_eq!((taken.gaps, taken.duration), (0, at(6)));
    }

    #[test]
    fn ladders_before_it_are_counted_and_gaps_are_named_by_nobody() {
        let taken = cut(&recording(), &(Msn(105)..=Msn(108))).unwrap();
        // The first segment says its own discontinuity, so the count begins before it.
        assert!(taken.text.contains("#EXT-X-DISCONTINUITY-SEQUENCE:4\n"));
        assert_eq!(taken.text.matches("init-").count(), 1);
        assert_eq!(
            taken.uris,
            ["init-b.mp4", "seg-105.m4s", "seg-106.m4s", "seg-108.m4s"]
        );
        assert_eq!(taken.gaps, 1);
        let later = cut(&recording(), &(Msn(106)..=Msn(106))).unwrap();
        assert!(later.text.contains("#EXT-X-DISCONTINUITY-SEQUENCE:5\n#EXT-X-KEY"));
        assert_eq!(cut(&recording(), &(Msn(99)..=Msn(101))), None);
        assert_eq!(cut(&recording(), &(Msn(105)..=Msn(110))), None);
    }
}
