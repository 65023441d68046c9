//! Playlist Delta Updates (rfc8216bis §6.2.5.1) of any origin's text, and full texts made of them again (§6.3.7).
//!
//! A delta leaves out segments with their tags, MAP and KEY among them, and lines nobody knows that stand between
//! them: whoever merges it has all of that. Playlist and metadata tags stay.

mod history;
mod lines;
mod merge;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use super::parse::{attribute, seconds_of};
use lines::{Class, class, count, lines};

pub use history::{History, REMOVED_MAX, Recent};
pub use merge::{Error, merge};

/// EXT-X-VERSION that EXT-X-SKIP needs (rfc8216bis §8).
const VERSION_SKIP: u64 = 9;
/// The same where it replaces date ranges.
const VERSION_SKIP_DATES: u64 = 10;

/// The skip boundary a playlist offers: CAN-SKIP-UNTIL; none once it has ended (rfc8216bis §6.2.5.1).
pub fn offered(text: &str) -> Option<Duration> {
    let head = Head::read(text)?;
    tail(text, &head)?;
    Some(head.until)
}

/// Whether a playlist offers to skip date ranges, too: CAN-SKIP-DATERANGES.
pub fn offers_dates(text: &str) -> bool {
    Head::read(text).is_some_and(|head| head.skips_dates)
}

/// The delta update of a full playlist: `_HLS_skip=YES`, or with `dates` `_HLS_skip=v2`. None where the full playlist
/// is the answer: nothing is far enough from the end, skipping is not offered, or the stream has ended.
///
/// Where no date range stands among the skipped segments, these are only counted: other tags about the playlist that
/// stand there are left out with them.
pub fn derive(text: &str, dates: Option<&Recent>) -> Option<String> {
    let head = Head::read(text)?;
    let Tail { cut: Some(cut) } = tail(text, &head)? else {
        return None;
    };
    let skipped = Skipped::read(text, &head, cut)?;
    let dates = dates.filter(|_| head.skips_dates);
    let is_left_out = |line: &str| match (dates, list(line)) {
        (Some(recent), Some(list)) => !recent.is_fresh(list),
        (None, _) | (_, None) => false,
    };
    let kept = || skipped.kept.iter().filter_map(|range| text.get(range.clone()));
    let rest = text.get(cut..)?;
    let fewer_dates =
        dates.is_some() && (kept().any(is_left_out) || lines(rest, 0).any(|(_, line)| is_left_out(line)));
    let version = if fewer_dates {
        VERSION_SKIP_DATES
    } else {
        VERSION_SKIP
    };

    let mut out = String::with_capacity(rest.len() + 1_024);
    out.push_str("#EXTM3U\n");
    // Writing to a String does not fail.
    let _infallible = writeln!(out, "#EXT-X-VERSION:{}", version.max(head.version));
    for line in kept().filter(|line| !is_left_out(line)) {
        out.push_str(line);
        out.push('\n');
    }
    let _infallible = write!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={}", skipped.segments);
    if let Some(recent) = dates {
        let _infallible = write!(
            out,
            ",RECENTLY-REMOVED-DATERANGES=\"{}\"",
            recent.removed.join("\t")
        );
    }
    out.push('\n');
    if fewer_dates {
        for (_, line) in lines(rest, 0).filter(|(_, line)| !is_left_out(line)) {
            out.push_str(line);
            out.push('\n');
        }
    } else {
        out.push_str(rest);
    }
    Some(out)
}

/// What the lines before the first segment's EXTINF say, and where they end.
struct Head {
    version: u64,
    until: Duration,
    skips_dates: bool,
    /// Where the first segment's EXTINF, part or URI stands.
    end: usize,
}

impl Head {
    /// None unless skipping is offered.
    fn read(text: &str) -> Option<Self> {
        let (mut version, mut control, mut end) = (1, None, text.len());
        for (range, line) in lines(text, 0) {
            if line.starts_with("#EXTINF") || matches!(class(line), Class::Part | Class::Uri) {
                end = range.start;
                break;
            }
            if line.starts_with("#EXT-X-ENDLIST") {
                return None;
            }
            if let Some(value) = line.strip_prefix("#EXT-X-VERSION:") {
                version = value.trim_end().parse().ok()?;
            }
            control = line.strip_prefix("#EXT-X-SERVER-CONTROL:").or(control);
        }
        let control = control?.trim_end();
        Some(Self {
            version,
            until: seconds_of(attribute(control, "CAN-SKIP-UNTIL")?)?,
            skips_dates: attribute(control, "CAN-SKIP-DATERANGES") == Some("YES"),
            end,
        })
    }
}

/// What is found from the end on.
struct Tail {
    /// Where the first segment begins that stays; none where all do.
    cut: Option<usize>,
}

/// Segments are measured from the end of the last whole one, by where they end. None where the playlist has ended.
fn tail(text: &str, head: &Head) -> Option<Tail> {
    let mut later = Duration::ZERO;
    let mut end = text.len();
    while end > head.end {
        let before = text.get(..end)?;
        let body = before.strip_suffix('\n').unwrap_or(before);
        let start = body.rfind('\n').map_or(0, |at| at + 1);
        let line = body.get(start..)?.trim_end();
        if line.starts_with("#EXT-X-ENDLIST") {
            return None;
        }
        if let Some(value) = line.strip_prefix("#EXTINF:") {
            later += seconds_of(value.split(',').next()?)?;
        } else if later > head.until && class(line) == Class::Uri {
            return Some(Tail { cut: Some(end) });
        }
        end = start;
    }
    Some(Tail { cut: None })
}

/// What stands before the cut.
struct Skipped {
    segments: usize,
    /// Lines that stay, without those of the first line and EXT-X-VERSION.
    kept: Vec<Range<usize>>,
}

impl Skipped {
    fn read(text: &str, head: &Head, cut: usize) -> Option<Self> {
        let mut kept = Vec::new();
        let mut in_block = false;
        let mut keep = |range: Range<usize>, line: &str, in_block: &mut bool| {
            let what = class(line);
            let stays = match what {
                Class::First | Class::Version | Class::Skip => false,
                Class::Playlist | Class::Dates => true,
                Class::Segment | Class::Part | Class::Uri => {
                    *in_block = true;
                    false
                }
                Class::Other => !*in_block,
            };
            if stays {
                kept.push(range);
            }
        };
        for (range, line) in lines(text.get(..head.end)?, 0) {
            keep(range, line, &mut in_block);
        }
        let region = text.get(head.end..cut)?;
        let counted = count(region.as_bytes());
        if counted.needs_a_look {
            in_block = true;
            for (range, line) in lines(region, head.end) {
                keep(range, line, &mut in_block);
            }
        }
        Some(Self {
            segments: counted.uris,
            kept,
        })
    }
}

/// The attribute list of a date range.
fn list(line: &str) -> Option<&str> {
    line.strip_prefix("#EXT-X-DATERANGE:")
}

/// EXT-X-DATERANGE attribute lists of a text, in order.
pub fn dates(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(list)
}

/// The ID of a date range.
fn id(list: &str) -> Option<&str> {
    attribute(list, "ID")?.strip_prefix('"')?.strip_suffix('"')
}
