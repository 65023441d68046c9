//! What a media playlist offers a player. One text is read once, whoever receives it.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use hls::playlist::{self, Parsed, ParsedSegment, delta};

use crate::url::resolve;

/// Media time, microseconds since 1970 as EXT-X-PROGRAM-DATE-TIME counts them.
pub type Micros = i64;

/// Playlists kept for those who are given the same one.
const KEPT: usize = 256;

/// A media playlist as a player needs it.
#[derive(Debug, PartialEq, Eq)]
pub struct Listing {
    /// The whole playlist, merged where a delta update came: what the next delta is merged into.
    pub text: String,
    /// What can be fetched, oldest first: parts where they are listed, else segments.
    pub items: Vec<Item>,
    /// EXT-X-TARGETDURATION.
    pub target: Duration,
    /// PART-TARGET.
    pub part_target: Option<Duration>,
    /// How far from the end to start: PART-HOLD-BACK, else HOLD-BACK, else three target durations.
    pub hold_back: Duration,
    /// CAN-BLOCK-RELOAD=YES.
    pub can_block: bool,
    /// CAN-SKIP-UNTIL.
    pub skip_until: Option<Duration>,
    /// CAN-SKIP-DATERANGES=YES.
    pub skip_dates: bool,
    /// EXT-X-MEDIA-SEQUENCE.
    pub first: u64,
    /// MSN and part of its end; no part where it ends with a segment whose parts are gone.
    pub last: (u64, Option<u64>),
    /// Whether that part ends its segment.
    pub closed: bool,
    /// Path of the part that comes next.
    pub hint: Option<String>,
    /// Other playlists' paths and ends.
    pub reports: Vec<(String, u64, u64)>,
    /// EXT-X-ENDLIST.
    pub ended: bool,
}

/// A part or a segment.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    /// Its path.
    pub path: String,
    /// Path of its init segment.
    pub map: Option<Arc<str>>,
    /// Media time at which it begins.
    pub start: Micros,
    /// How long it is.
    pub length: Micros,
    /// Decoding can start here.
    pub independent: bool,
    /// Its media never came.
    pub gap: bool,
}

impl Item {
    /// Media time at which it ends.
    pub fn end(&self) -> Micros {
        self.start + self.length
    }
}

/// Why a text is of no use to a player.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not follow the grammar.
    #[error("unreadable media playlist")]
    Playlist(#[source] playlist::Error),
    /// A delta update that does not fit what was had.
    #[error("delta update that cannot be merged")]
    Delta(#[source] delta::Error),
    /// Nothing in it says when it was.
    #[error("no EXT-X-PROGRAM-DATE-TIME before the first segment")]
    Undated,
    /// No part and no segment.
    #[error("playlist without media")]
    Empty,
}

impl Listing {
    /// Reads a full playlist that was found at a path.
    pub fn read(path: &str, text: String) -> Result<Self, Error> {
        let parsed = playlist::parse(&text).map_err(Error::Playlist)?;
        let items = items(path, &parsed)?;
        let segment = parsed.segments.last().ok_or(Error::Empty)?;
        let count = parsed.segments.len() as u64;
        let parts = (segment.parts.len() as u64).checked_sub(1);
        let hold_back = parsed.part_hold_back.filter(|_| parsed.part_target.is_some());
        Ok(Self {
            items,
            target: parsed.target_duration,
            part_target: parsed.part_target,
            hold_back: hold_back
                .or(parsed.hold_back)
                .unwrap_or(parsed.target_duration * 3),
            can_block: parsed.can_block_reload,
            skip_until: delta::offered(&text),
            skip_dates: delta::offers_dates(&text),
            first: parsed.media_sequence.0,
            last: (parsed.media_sequence.0.saturating_add(count - 1), parts),
            closed: segment.uri.is_some(),
            hint: parsed.hints.first().and_then(|uri| resolve(path, uri)),
            reports: parsed
                .reports
                .iter()
                .filter_map(|report| {
                    // A track without parts is none that a player goes over to.
                    Some((
                        resolve(path, &report.uri)?,
                        report.last_msn.0,
                        report.last_part?.0,
                    ))
                })
                .collect(),
            ended: parsed.ended,
            text,
        })
    }

    /// Where the listed media ends.
    pub fn edge(&self) -> Micros {
        self.items.last().map_or(0, Item::end)
    }

    /// Where the listed media begins.
    pub fn start(&self) -> Micros {
        self.items.first().map_or(0, |item| item.start)
    }
}

fn items(path: &str, parsed: &Parsed) -> Result<Vec<Item>, Error> {
    let (mut items, mut at, mut map) = (Vec::new(), None, None::<Arc<str>>);
    for segment in &parsed.segments {
        let dated = segment.date_time.as_deref().and_then(unix_micros);
        let start = dated.or(at).ok_or(Error::Undated)?;
        let found = segment.map.as_deref().and_then(|uri| resolve(path, uri));
        if found.as_deref() != map.as_deref() {
            map = found.map(Arc::from);
        }
        at = Some(add(path, segment, start, map.as_ref(), &mut items));
    }
    if items.is_empty() {
        return Err(Error::Empty);
    }
    Ok(items)
}

/// Adds a segment's parts, or the segment; says where it ends.
fn add(
    path: &str,
    segment: &ParsedSegment,
    start: Micros,
    map: Option<&Arc<str>>,
    items: &mut Vec<Item>,
) -> Micros {
    let mut at = start;
    let mut put = |uri: &str, length: Duration, independent, gap| {
        let length = micros(length);
        if let Some(path) = resolve(path, uri) {
            items.push(Item {
                path,
                map: map.cloned(),
                start: at,
                length,
                independent,
                gap,
            });
        }
        at += length;
    };
    if segment.parts.is_empty() {
        if let Some(uri) = &segment.uri {
            // Segments begin with a key frame: EXT-X-INDEPENDENT-SEGMENTS is what low-latency streams say.
            put(uri, segment.duration, true, segment.gap);
        }
    } else {
        for part in &segment.parts {
            put(
                &part.uri,
                part.duration,
                part.independent,
                part.gap || segment.gap,
            );
        }
    }
    at
}

/// A length as media time.
pub fn micros(length: Duration) -> Micros {
    Micros::try_from(length.as_micros()).unwrap_or(Micros::MAX / 4)
}

/// A span of media time as a length; none before zero.
pub fn length(span: Micros) -> Duration {
    Duration::from_micros(u64::try_from(span).unwrap_or(0))
}

/// `2026-11-21T20:13:08.000Z`, or with `+01:00`.
fn unix_micros(text: &str) -> Option<Micros> {
    let (date, time) = text.split_once('T')?;
    let (time, offset_s) = match time.strip_suffix('Z') {
        Some(time) => (time, 0),
        None => {
            let at = time.rfind(['+', '-'])?;
            let (time, zone) = time.split_at_checked(at)?;
            let digits = zone.get(1..)?.replace(':', "");
            let number: i64 = digits.get(..4)?.parse().ok()?;
            let seconds = (number / 100 * 60 + number % 100) * 60;
            (time, if zone.starts_with('-') { -seconds } else { seconds })
        }
    };
    let mut numbers = date.splitn(3, '-').map(|n| n.parse::<i64>().ok());
    let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let mut numbers = time.splitn(3, ':');
    let (hour, minute): (i64, i64) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    let (second, fraction) = numbers.next().map(|s| s.split_once('.').unwrap_or((s, "")))?;
    let second: i64 = second.parse().ok()?;
    let fraction: String = fraction.chars().chain(std::iter::repeat('0')).take(6).collect();
    if !(1_970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days from the civil date (Hinnant), March first.
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, month) = (shifted.div_euclid(400), (month + 9) % 12);
    let of_era = shifted.rem_euclid(400);
    let days =
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let seconds = days
        .checked_mul(86_400)?
        .checked_add(hour * 3_600 + minute * 60 + second - offset_s)?;
    seconds
        .checked_mul(1_000_000)?
        .checked_add(fraction.parse().ok()?)
}

/// Playlists that were read lately. One per worker: viewers that receive the same bytes share what was read.
#[derive(Debug, Default)]
pub struct Library {
    kept: VecDeque<(u64, Arc<Listing>)>,
    read: u64,
}

impl Library {
    /// The playlist that this answer is, to somebody whose last one was `previous`.
    pub fn read(
        &mut self,
        path: &str,
        previous: Option<&Arc<Listing>>,
        body: &str,
    ) -> Result<Arc<Listing>, Error> {
        let is_delta = body.contains("\n#EXT-X-SKIP:");
        let mut key = DefaultHasher::new();
        (path, body).hash(&mut key);
        if is_delta {
            previous.map_or("", |listing| &listing.text).hash(&mut key);
        }
        let key = key.finish();
        if let Some((_, listing)) = self.kept.iter().find(|(kept, _)| *kept == key) {
            return Ok(listing.clone());
        }
        let text = if is_delta {
            let before = previous.map_or("", |listing| &listing.text);
            delta::merge(before, body).map_err(Error::Delta)?
        } else {
            body.to_owned()
        };
        let listing = Arc::new(Listing::read(path, text)?);
        self.read += 1;
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((key, listing.clone()));
        Ok(listing)
    }

    /// Texts that had to be read.
    pub fn read_count(&self) -> u64 {
        self.read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATH: &str = "/live/main/360p/media.m3u8";

    fn text() -> String {
        "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,PART-HOLD-BACK=1.566
#EXT-X-PART-INF:PART-TARGET=0.522
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-MAP:URI=\"init-1.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-11-21T20:13:08.000Z
#EXTINF:2.00000,
seg-7.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-21T20:13:10.000Z
#EXT-X-PART:DURATION=0.50000,URI=\"part-32.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.50000,URI=\"part-33.m4s\"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part-34.m4s\"
#EXT-X-RENDITION-REPORT:URI=\"../audio/media.m3u8\",LAST-MSN=8,LAST-PART=1
"
        .to_owned()
    }

    #[test]
    fn a_playlist_offers_its_parts_else_its_segments() {
        let listing = Listing::read(PATH, text()).unwrap();
        let at = 1_795_291_988_000_000; // date -d 2026-11-21T20:13:08Z +%s
        let said: Vec<_> = listing
            .items
            .iter()
            .map(|i| (i.path.as_str(), i.start - at, i.independent))
            .collect();
        assert_eq!(
            said,
            [
                ("/live/main/360p/seg-7.m4s", 0, true),
                ("/live/main/360p/part-32.m4s", 2_000_000, true),
                ("/live/main/360p/part-33.m4s", 2_500_000, false),
            ]
        );
        assert_eq!((listing.last, listing.closed), ((8, Some(1)), false));
        assert_eq!(listing.hint.as_deref(), Some("/live/main/360p/part-34.m4s"));
        assert_eq!(
            listing.reports,
            [("/live/main/audio/media.m3u8".to_owned(), 8, 1)]
        );
        assert_eq!(listing.hold_back, Duration::from_millis(1_566));
        assert_eq!(listing.skip_until, Some(Duration::from_secs(12)));
    }

    #[test]
    fn the_same_answer_is_read_once_and_a_delta_is_merged() {
        let mut library = Library::default();
        let full = library.read(PATH, None, &text()).unwrap();
        assert!(Arc::ptr_eq(&full, &library.read(PATH, None, &text()).unwrap()));
        let (head, tail) = text()
            .split_once("#EXT-X-MAP")
            .map(|(h, t)| (h.to_owned(), t.to_owned()))
            .unwrap();
        let tail = tail.split_once("seg-7.m4s\n").unwrap().1;
        let update =
            format!("{head}#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n{tail}").replace("VERSION:6", "VERSION:9");
        let merged = library.read(PATH, Some(&full), &update).unwrap();
        assert_eq!(merged.items, full.items);
        let again = library.read(PATH, Some(&full), &update).unwrap();
        assert!(Arc::ptr_eq(&merged, &again));
        assert_eq!(library.read_count(), 2);
        assert!(matches!(library.read(PATH, None, &update), Err(Error::Delta(_))));
    }

    #[test]
    fn dates_are_read_with_their_zone() {
        assert_eq!(unix_micros("1970-01-01T00:00:01.5Z"), Some(1_500_000));
        assert_eq!(unix_micros("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(
            unix_micros("2024-02-29T00:00:00.000001Z"),
            Some(1_709_164_800_000_001)
        );
        assert_eq!(unix_micros("2024-13-29T00:00:00Z"), None);
        assert_eq!(unix_micros("today"), None);
    }

    #[test]
    fn what_a_player_cannot_place_is_refused() {
        let undated = text().replace("#EXT-X-PROGRAM-DATE-TIME:2026-11-21T20:13:08.000Z\n", "");
        assert_eq!(Listing::read(PATH, undated), Err(Error::Undated));
        let empty = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n".to_owned();
        assert_eq!(Listing::read(PATH, empty), Err(Error::Empty));
    }

    proptest! {
        #[test]
        fn any_date_is_read_or_refused(text in "[0-9T:Z.+-]{0,32}") {
            let _either_is_fine = unix_micros(&text);
        }
    }
}
