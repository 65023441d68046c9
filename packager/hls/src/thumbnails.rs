//! Thumbnail tracks: one small picture for each segment that can be rewound to, as WebVTT of image names, which players'
//! timelines take.
//!
//! Times count from the first segment that the recording's playlist lists at that moment: what a player that loads both
//! calls zero, and for a recording that is over what every player calls so. Of a live stream, whose playlist loses its
//! oldest segments, the note at the head names the date of zero; EXT-X-PROGRAM-DATE-TIME maps that to any player's own time.

use std::time::Duration;

use crate::id::Msn;
use crate::path::{thumbnail, thumbnail_of};
use crate::time::{Grid, date_time};

/// Segments over which a picture stands where the next ones have none.
const REACH: u64 = 4;

/// The track of these pictures, oldest first, of a playlist whose first segment begins at `zero` of program time.
pub fn track(grid: &Grid, zero: Duration, pictures: impl IntoIterator<Item = Msn>) -> String {
    let begin = |msn| begin(grid, msn).saturating_sub(zero);
    let mut out = format!(
        "WEBVTT\n\nNOTE\n#EXT-X-TARGETDURATION:{}\n#EXT-X-PROGRAM-DATE-TIME:{}\n",
        grid.target_duration().as_secs(),
        date_time(zero)
    );
    let mut pictures = pictures.into_iter().peekable();
    while let Some(msn) = pictures.next() {
        let next = pictures.peek().copied().filter(|next| next.0 - msn.0 <= REACH);
        let end = begin(next.unwrap_or(msn.next()));
        out += &format!(
            "\n{} --> {}\n{}\n",
            timestamp(begin(msn)),
            timestamp(end),
            thumbnail(msn)
        );
    }
    out
}

/// Program time at which a segment begins.
pub fn begin(grid: &Grid, msn: Msn) -> Duration {
    grid.frame_time(grid.first_frame(grid.first_cell(msn)))
}

/// The first and the last picture of a track.
pub fn range(track: &str) -> Option<(Msn, Msn)> {
    let first = track.lines().find_map(thumbnail_of)?;
    let last = track.lines().rev().find_map(thumbnail_of)?;
    Some((first, last))
}

fn timestamp(time: Duration) -> String {
    let (s, ms) = (time.as_secs(), time.subsec_millis());
    format!("{:02}:{:02}:{:02}.{ms:03}", s / 3_600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{FrameRate, Profile};

    fn grid() -> Grid {
        Grid::of(Profile::Low, FrameRate::new(30, 1).unwrap(), 48_000).unwrap()
    }

    #[test]
    fn cues_are_of_segments_and_reach_over_a_few_without_a_picture() {
        let msns = [1_800, 1_801, 1_803, 1_900].map(Msn);
        let text = track(&grid(), Duration::from_secs(3_600), msns);
        let expected = "WEBVTT\n\nNOTE\n#EXT-X-TARGETDURATION:2\n#EXT-X-PROGRAM-DATE-TIME:2024-01-01T01:00:00.000Z\n\n\
                        00:00:00.000 --> 00:00:02.000\nthumb-1800.jpg\n\n\
                        00:00:02.000 --> 00:00:06.000\nthumb-1801.jpg\n\n\
                        00:00:06.000 --> 00:00:08.000\nthumb-1803.jpg\n\n\
                        00:03:20.000 --> 00:03:22.000\nthumb-1900.jpg\n";
        assert_eq!(text, expected);
        assert_eq!(range(&text), Some((Msn(1_800), Msn(1_900))));
    }

    #[test]
    fn zero_is_where_the_playlist_begins_also_in_mid_segment() {
        let text = track(
            &grid(),
            Duration::from_millis(3_600_500),
            [Msn(1_800), Msn(1_801)],
        );
        assert!(text.contains("DATE-TIME:2024-01-01T01:00:00.500Z\n"), "{text}");
        assert!(text.contains("\n00:00:00.000 --> 00:00:01.500\n"), "{text}");
    }

    #[test]
    fn no_pictures_are_a_track_too() {
        let text = track(&grid(), Duration::ZERO, []);
        assert!(text.starts_with("WEBVTT\n\nNOTE\n") && !text.contains("-->"));
        assert_eq!(range(&text), None);
    }
}
