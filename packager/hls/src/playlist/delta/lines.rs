//! Lines of a media playlist, and what they are to a delta update.

use std::ops::Range;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// EXTM3U.
    First,
    /// EXT-X-VERSION.
    Version,
    /// EXT-X-SKIP.
    Skip,
    /// Another tag about the playlist (rfc8216bis §4.4.2, §4.4.3), or metadata (§4.4.5) but for date ranges.
    Playlist,
    /// EXT-X-DATERANGE.
    Dates,
    /// A tag about a segment (§4.4.4) but for parts.
    Segment,
    /// EXT-X-PART.
    Part,
    /// A segment's URI.
    Uri,
    /// A tag nobody knows, a comment or nothing at all.
    Other,
}

pub(super) fn class(line: &str) -> Class {
    if !line.starts_with('#') {
        return if line.bytes().next().is_some_and(begins_uri) {
            Class::Uri
        } else {
            Class::Other
        };
    }
    let Some(tag) = line.strip_prefix("#EXT") else {
        return Class::Other;
    };
    match tag.split(':').next().unwrap_or_default().trim_end() {
        "M3U" => Class::First,
        "-X-VERSION" => Class::Version,
        "-X-SKIP" => Class::Skip,
        "-X-DATERANGE" => Class::Dates,
        "-X-PART" => Class::Part,
        "INF"
        | "-X-BITRATE"
        | "-X-BYTERANGE"
        | "-X-DISCONTINUITY"
        | "-X-GAP"
        | "-X-KEY"
        | "-X-MAP"
        | "-X-PROGRAM-DATE-TIME" => Class::Segment,
        "-X-ALLOW-CACHE"
        | "-X-DEFINE"
        | "-X-DISCONTINUITY-SEQUENCE"
        | "-X-ENDLIST"
        | "-X-I-FRAMES-ONLY"
        | "-X-INDEPENDENT-SEGMENTS"
        | "-X-MEDIA-SEQUENCE"
        | "-X-PART-INF"
        | "-X-PLAYLIST-TYPE"
        | "-X-PRELOAD-HINT"
        | "-X-RENDITION-REPORT"
        | "-X-SERVER-CONTROL"
        | "-X-START"
        | "-X-TARGETDURATION" => Class::Playlist,
        _ => Class::Other,
    }
}

/// Lines with where they stand, `offset` bytes further on; without their ends.
pub(super) fn lines(text: &str, offset: usize) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut at = offset;
    text.split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        let line = line.trim_end_matches(['\n', '\r']);
        (start..start + line.len(), line)
    })
}

/// What is in a run of whole lines.
pub(super) struct Counted {
    pub(super) uris: usize,
    /// A date range may stand among them.
    pub(super) needs_a_look: bool,
}

/// Counts bytes in parallel, several times faster than lines can be found one by one.
pub(super) fn count(lines: &[u8]) -> Counted {
    let first = lines.first().copied().is_some_and(begins_uri);
    let (mut uris, mut needs_a_look) = (usize::from(first), lines.starts_with(b"#EXT-X-DA"));
    let mut rest = lines;
    while !rest.is_empty() {
        let mut last = [b'\n'; RUN + LETTER];
        let (some, odd) = match rest.first_chunk() {
            Some(run) => look(run),
            None => {
                last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                look(&last)
            }
        };
        uris += usize::from(some);
        needs_a_look |= odd;
        rest = rest.get(RUN..).unwrap_or_default();
    }
    Counted { uris, needs_a_look }
}

/// Bytes looked at together: no count of theirs overflows eight bits.
const RUN: usize = 240;
/// Of `\n#EXT-X-DATERANGE`, the place of the first T: of all tags of segments only EXT-X-BITRATE has one there.
const LETTER: usize = 10;

/// URIs that begin behind the line ends of a run, and whether something does that may be a date range.
fn look(run: &[u8; RUN + LETTER]) -> (u8, bool) {
    // Arrays, for their lengths are known where this is compiled.
    let from = |ahead: usize| {
        run.get(ahead..)
            .and_then(|rest| rest.first_chunk::<RUN>())
            .unwrap_or(&[0; RUN])
    };
    let (mut uris, mut odd) = (0_u8, 0_u8);
    let places = from(0).iter().zip(from(1)).zip(from(LETTER));
    for ((&end, &next), &letter) in places {
        // No short circuits: a branch would keep this from being done on sixteen bytes at once.
        uris += u8::from((end == b'\n') & begins_uri(next));
        odd |= u8::from((end == b'\n') & (letter == b'T'));
    }
    (uris, odd != 0)
}

fn begins_uri(byte: u8) -> bool {
    (byte > b' ') & (byte != b'#')
}
