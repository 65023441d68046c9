//! Key frames of a segment, as an I-frame playlist lists them (rfc8216bis §4.4.3.6): by byte range of the segment.

use std::fmt::Write as _;
use std::time::Duration;

use super::Segment;
use super::render::{Force, Seconds};

/// A key frame, and what of the programme it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// From it to the next one.
    pub duration: Duration,
    /// Its bytes; none where it never came.
    pub range: Option<Range>,
}

/// EXT-X-BYTERANGE: the fragment's head, and the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// From the beginning of the segment, bytes.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

pub(super) fn write<'a>(
    segment: &'a Segment,
    frames: &[Frame],
    force: &mut Force<'a>,
    out: &mut String,
) -> std::fmt::Result {
    let Some(whole) = &segment.whole else {
        return Ok(());
    };
    segment.head(force, out)?;
    for frame in frames {
        let duration = Seconds(frame.duration, 5);
        match frame.range {
            Some(Range { offset, length }) => writeln!(
                out,
                "#EXTINF:{duration},\n#EXT-X-BYTERANGE:{length}@{offset}\n{}",
                whole.uri
            )?,
            None => writeln!(out, "#EXT-X-GAP\n#EXTINF:{duration},\n{}", whole.uri)?,
        }
    }
    Ok(())
}
