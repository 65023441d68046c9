//! A media playlist's text read back: what a mirror and a validator need of it, from any origin.

use std::time::Duration;

use super::{Part, Report};
use crate::id::{Msn, PartIndex};

/// Longest playlist read, bytes: an hour of 0.2 s parts fits.
pub const PLAYLIST_BYTES_MAX: usize = 4 << 20;

/// Highest number of a segment, a part or a discontinuity that is read: what comes after it is a number, too.
pub const NUMBER_MAX: u64 = u64::MAX >> 1;

/// Longest time that is read, whole seconds: sums and multiples of such are times, too.
pub const SECONDS_MAX: u64 = u32::MAX as u64;

/// What a media playlist says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parsed {
    /// EXT-X-VERSION; 1 where it is absent.
    pub version: u64,
    /// EXT-X-TARGETDURATION.
    pub target_duration: Duration,
    /// PART-TARGET.
    pub part_target: Option<Duration>,
    /// PART-HOLD-BACK.
    pub part_hold_back: Option<Duration>,
    /// HOLD-BACK.
    pub hold_back: Option<Duration>,
    /// The whole EXT-X-SERVER-CONTROL attribute list.
    pub server_control: Option<String>,
    /// CAN-BLOCK-RELOAD=YES.
    pub can_block_reload: bool,
    /// EXT-X-MEDIA-SEQUENCE; 0 where it is absent.
    pub media_sequence: Msn,
    /// EXT-X-DISCONTINUITY-SEQUENCE.
    pub discontinuity_sequence: Option<u64>,
    /// Oldest first; the last may be open.
    pub segments: Vec<Segment>,
    /// URIs of EXT-X-PRELOAD-HINT:TYPE=PART, in order of appearance.
    pub hints: Vec<String>,
    /// Attribute lists of EXT-X-DATERANGE, in order of appearance.
    pub dates: Vec<String>,
    /// EXT-X-RENDITION-REPORTs.
    pub reports: Vec<Report>,
    /// EXT-X-ENDLIST.
    pub ended: bool,
}

/// A segment as listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Segment {
    /// URI; `None` while it is open.
    pub uri: Option<String>,
    /// EXTINF.
    pub duration: Duration,
    /// URI of the EXT-X-MAP in force.
    pub map: Option<String>,
    /// Attribute list of the EXT-X-KEY in force, the last one of several formats; none where it is clear.
    pub key: Option<String>,
    /// EXT-X-DISCONTINUITY tags before it.
    pub discontinuities: u64,
    /// EXT-X-PROGRAM-DATE-TIME, as written.
    pub date_time: Option<String>,
    /// EXT-X-GAP.
    pub gap: bool,
    /// Its listed parts.
    pub parts: Vec<Part>,
    /// A tag that applies to the whole segment came after its first part (rfc8216bis §4.4.4.9 forbids it).
    pub late_tag: bool,
}

/// Why a text cannot be mirrored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The first line is not `#EXTM3U`.
    #[error("not a playlist: #EXTM3U is missing")]
    NotAPlaylist,
    /// More than [`PLAYLIST_BYTES_MAX`].
    #[error("playlist of {0} bytes (at most {PLAYLIST_BYTES_MAX})")]
    TooLong(usize),
    /// A multivariant playlist where a media playlist was expected, or no target duration.
    #[error("not a media playlist: #EXT-X-TARGETDURATION is missing")]
    NotMedia,
    /// A feature we do not carry.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// A tag whose value does not follow its grammar.
    #[error("line {0}: malformed {1}")]
    Malformed(usize, &'static str),
}

impl Segment {
    /// Whether it is encrypted as a whole, so that it is not its parts one after the other: AES-128 and its like.
    pub fn is_sealed(&self) -> bool {
        let method = self.key.as_deref().and_then(|list| plain(list, "METHOD"));
        method.is_some_and(|method| !method.starts_with("SAMPLE-AES"))
    }
}

impl Parsed {
    /// Segment and index of the last part or, without parts, the last segment's MSN.
    pub fn last(&self) -> Option<(Msn, Option<PartIndex>)> {
        let last = self.segments.last()?;
        let msn = Msn(self.media_sequence.0 + self.segments.len() as u64 - 1);
        let parts = last.parts.len() as u64;
        Some((msn, parts.checked_sub(1).map(PartIndex)))
    }

    /// MSN of the last segment that is whole.
    pub fn last_whole(&self) -> Option<Msn> {
        let whole = self.segments.iter().filter(|s| s.uri.is_some()).count() as u64;
        whole.checked_sub(1).map(|n| Msn(self.media_sequence.0 + n))
    }

    /// All listed parts, oldest first.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &Part> {
        self.segments.iter().flat_map(|s| &s.parts)
    }
}

/// Reads a media playlist. Unknown tags are passed over, as rfc8216bis §4.1 asks.
pub fn parse(text: &str) -> Result<Parsed, Error> {
    if text.len() > PLAYLIST_BYTES_MAX {
        return Err(Error::TooLong(text.len()));
    }
    let mut lines = text.lines().enumerate();
    if lines
        .next()
        .is_none_or(|(_, first)| first.trim_end() != "#EXTM3U")
    {
        return Err(Error::NotAPlaylist);
    }
    let mut reader = Reader {
        out: Parsed {
            version: 1,
            ..Parsed::default()
        },
        ..Reader::default()
    };
    for (number, line) in lines {
        reader.line(number + 1, line.trim_end())?;
    }
    if reader.out.target_duration.is_zero() {
        return Err(Error::NotMedia);
    }
    reader.close();
    Ok(reader.out)
}

#[derive(Default)]
struct Reader {
    out: Parsed,
    map: Option<String>,
    key: Option<String>,
    open: Segment,
    touched: bool,
    is_numbered: bool,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), Error> {
        if line.is_empty() {
            return Ok(());
        }
        let Some(tag) = line.strip_prefix("#EXT") else {
            if !line.starts_with('#') {
                self.finish(line);
            }
            return Ok(());
        };
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        let bad = |what| Error::Malformed(number, what);
        match name {
            "INF" => {
                let seconds = value.split(',').next().unwrap_or_default();
                self.open.duration = seconds_of(seconds).ok_or(bad("EXTINF"))?;
                self.touched = true;
            }
            "-X-PART" => self.part(value).ok_or(bad("EXT-X-PART"))?,
            "-X-MAP" => {
                let uri = quoted(value, "URI").ok_or(bad("EXT-X-MAP"))?;
                self.map = Some(uri);
                self.segment_tag();
            }
            "-X-DISCONTINUITY" => {
                self.open.discontinuities += 1;
                self.segment_tag();
            }
            "-X-PROGRAM-DATE-TIME" => {
                self.open.date_time = Some(value.to_owned());
                self.segment_tag();
            }
            "-X-KEY" => {
                let method = plain(value, "METHOD").ok_or(bad("EXT-X-KEY"))?;
                self.key = (method != "NONE").then(|| value.to_owned());
                self.segment_tag();
            }
            "-X-GAP" => self.open.gap = true,
            "-X-BYTERANGE" => return Err(Error::Unsupported("EXT-X-BYTERANGE")),
            "-X-DEFINE" => return Err(Error::Unsupported("EXT-X-DEFINE")),
            "-X-SKIP" => return Err(Error::Unsupported("EXT-X-SKIP in a full playlist")),
            _ => self.head(name, value).ok_or(bad("tag"))??,
        }
        Ok(())
    }

    /// Tags about the playlist as a whole. The outer `None` is a malformed value.
    fn head(&mut self, name: &str, value: &str) -> Option<Result<(), Error>> {
        let is_begun = self.is_begun();
        let out = &mut self.out;
        match name {
            "-X-VERSION" => out.version = value.parse().ok()?,
            "-X-TARGETDURATION" => out.target_duration = Duration::from_secs(whole_seconds(value)?),
            // rfc8216bis §4.4.3.2, §4.4.3.3: both before the first segment; and §4.4.3: none more than once. Whoever
            // numbers segments by another one than we do has other segments.
            "-X-MEDIA-SEQUENCE" => {
                let is_first = !self.is_numbered && !is_begun;
                out.media_sequence = Msn(number(value).filter(|_| is_first)?);
                self.is_numbered = true;
            }
            "-X-DISCONTINUITY-SEQUENCE" => {
                let is_first = out.discontinuity_sequence.is_none() && !is_begun;
                out.discontinuity_sequence = Some(number(value).filter(|_| is_first)?);
            }
            "-X-PART-INF" => out.part_target = Some(seconds_of(plain(value, "PART-TARGET")?)?),
            "-X-DATERANGE" => out.dates.push(value.to_owned()),
            "-X-ENDLIST" => out.ended = true,
            "-X-SERVER-CONTROL" => {
                out.can_block_reload = plain(value, "CAN-BLOCK-RELOAD") == Some("YES");
                out.part_hold_back = seconds(value, "PART-HOLD-BACK")?;
                out.hold_back = seconds(value, "HOLD-BACK")?;
                out.server_control = Some(value.to_owned());
            }
            "-X-PRELOAD-HINT" => {
                if plain(value, "BYTERANGE-START").is_some() {
                    return Some(Err(Error::Unsupported("BYTERANGE-START")));
                }
                if plain(value, "TYPE") == Some("PART") {
                    out.hints.push(quoted(value, "URI")?);
                }
            }
            "-X-RENDITION-REPORT" => out.reports.push(Report {
                uri: quoted(value, "URI")?,
                last_msn: Msn(number(plain(value, "LAST-MSN")?)?),
                last_part: match plain(value, "LAST-PART") {
                    Some(part) => Some(PartIndex(number(part)?)),
                    None => None,
                },
            }),
            _ => {}
        }
        Some(Ok(()))
    }

    fn part(&mut self, value: &str) -> Option<()> {
        self.open.parts.push(Part {
            uri: quoted(value, "URI")?,
            duration: seconds_of(plain(value, "DURATION")?)?,
            independent: plain(value, "INDEPENDENT") == Some("YES"),
            gap: plain(value, "GAP") == Some("YES"),
        });
        self.touched = true;
        Some(())
    }

    /// Whether the first segment's lines have begun.
    fn is_begun(&self) -> bool {
        self.touched || !self.out.segments.is_empty()
    }

    fn segment_tag(&mut self) {
        self.open.late_tag |= !self.open.parts.is_empty();
    }

    fn finish(&mut self, uri: &str) {
        self.open.uri = Some(uri.to_owned());
        self.push();
    }

    fn push(&mut self) {
        let mut segment = std::mem::take(&mut self.open);
        segment.map.clone_from(&self.map);
        segment.key.clone_from(&self.key);
        self.out.segments.push(segment);
        self.touched = false;
    }

    fn close(&mut self) {
        if self.touched && !self.open.parts.is_empty() {
            self.push();
        }
    }
}

fn seconds(list: &str, name: &str) -> Option<Option<Duration>> {
    match plain(list, name) {
        None => Some(None),
        Some(text) => seconds_of(text).map(Some),
    }
}

/// A decimal number, of digits alone (rfc8216bis §4.2), to [`NUMBER_MAX`].
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.filter(|number| *number <= NUMBER_MAX)
}

fn whole_seconds(text: &str) -> Option<u64> {
    number(text).filter(|seconds| *seconds <= SECONDS_MAX)
}

/// Decimal seconds, exact to the nanosecond, to [`SECONDS_MAX`].
pub(super) fn seconds_of(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let nanos: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    Some(Duration::new(whole_seconds(whole)?, nanos.parse().ok()?))
}

fn quoted(list: &str, name: &str) -> Option<String> {
    let value = attribute(list, name)?;
    value.strip_prefix('"')?.strip_suffix('"').map(str::to_owned)
}

fn plain<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    attribute(list, name).filter(|value| !value.starts_with('"'))
}

/// The value of an attribute, quotes included. Commas inside quotes do not end a value.
pub fn attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = list;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let end = match after.strip_prefix('"') {
            Some(inner) => inner.find('"')? + 2,
            None => after.find(',').unwrap_or(after.len()),
        };
        if key.trim() == name {
            return after.get(..end);
        }
        rest = after.get(end..)?.strip_prefix(',').unwrap_or_default();
    }
    None
}

/// Every attribute of a list, quotes included; none where it is no list.
pub(crate) fn attributes(list: &str) -> Option<Vec<(&str, &str)>> {
    let (mut rest, mut out) = (list, Vec::new());
    while !rest.is_empty() {
        let (name, _) = rest.split_once('=')?;
        let value = attribute(rest, name.trim())?;
        out.push((name.trim(), value));
        let after = rest.get(name.len() + 1 + value.len()..)?;
        rest = match after.strip_prefix(',') {
            Some(more) => more,
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_we_do_not_carry_is_refused_by_name() {
        let with = |line: &str| parse(&format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{line}\n"));
        assert_eq!(
            with("#EXT-X-BYTERANGE:5@0"),
            Err(Error::Unsupported("EXT-X-BYTERANGE"))
        );
        assert_eq!(
            with("#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b\""),
            Err(Error::Unsupported("EXT-X-DEFINE"))
        );
        assert_eq!(
            with("#EXT-X-PART:DURATION=x"),
            Err(Error::Malformed(3, "EXT-X-PART"))
        );
        assert_eq!(parse("#EXT-X-VERSION:3"), Err(Error::NotAPlaylist));
        assert_eq!(parse("#EXTM3U\n"), Err(Error::NotMedia));
    }

    #[test]
    fn numbers_and_times_are_such_that_can_be_counted_with() {
        let with = |line: &str| parse(&format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{line}\n"));
        for good in [
            "#EXT-X-MEDIA-SEQUENCE:9223372036854775807",
            "#EXT-X-DISCONTINUITY-SEQUENCE:9223372036854775807",
            "#EXT-X-TARGETDURATION:4294967295",
            "#EXTINF:4294967295.999999999,",
        ] {
            assert!(with(good).is_ok(), "{good}");
        }
        for bad in [
            "#EXT-X-MEDIA-SEQUENCE:9223372036854775808",
            "#EXT-X-MEDIA-SEQUENCE:+1",
            "#EXT-X-DISCONTINUITY-SEQUENCE:9223372036854775808",
            "#EXT-X-RENDITION-REPORT:URI=\"a\",LAST-MSN=18446744073709551615",
            "#EXT-X-TARGETDURATION:4294967296",
            "#EXT-X-PART-INF:PART-TARGET=4294967296",
            "#EXTINF:18446744073709551615,",
        ] {
            assert!(matches!(with(bad), Err(Error::Malformed(3, _))), "{bad}");
        }
    }

    #[test]
    fn segments_are_numbered_once_and_before_the_first() {
        for tag in ["MEDIA-SEQUENCE", "DISCONTINUITY-SEQUENCE"] {
            for before in [
                format!("#EXT-X-{tag}:5"),
                "#EXTINF:2,\ns".to_owned(),
                "#EXTINF:2,".to_owned(),
                "#EXT-X-PART:DURATION=1,URI=\"p\"".to_owned(),
            ] {
                let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{before}\n#EXT-X-{tag}:5\n");
                assert!(matches!(parse(&text), Err(Error::Malformed(..))), "{text}");
            }
        }
    }

    #[test]
    fn a_comma_inside_quotes_is_part_of_the_value() {
        assert_eq!(attribute("A=\"x,B=1\",B=2", "B"), Some("2"));
        assert_eq!(attribute("A=1,B=\"", "B"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(body in "(#EXT(-X-PART|-X-MAP|INF|-X-SERVER-CONTROL)?:?[A-Z\",=0-9.\n-]{0,40}\n){0,20}") {
            let _either_is_fine = parse(&format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{body}"));
        }
    }
}
