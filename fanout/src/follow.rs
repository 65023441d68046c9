//! PURE. What a parent's playlist means: where it ends, what to ask for next, whether it went backwards.

use std::time::Duration;

use bytes::Bytes;
use hls::id::{Cell, Msn, PartIndex};
use hls::path::{Directives, Object, Skip};
use hls::playlist::{self, Parsed, Part, delta};
use hls::reload::{Position, Verdict};

use crate::foreign::{self, place};
use crate::track::Listing;

/// Segments of an origin that is not ours whose parts are kept when they are no longer listed (rfc8216bis §6.2.2: for three
/// target durations).
const SEGMENTS_KEPT: u64 = 3;

/// One version of a parent's media playlist, as viewers get it.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) body: Bytes,
    pub(crate) parsed: Parsed,
    pub(crate) position: Position,
    /// CAN-SKIP-UNTIL, where delta updates are offered.
    pub(crate) skip_until: Option<Duration>,
    /// Cells of the listed parts, oldest first.
    pub(crate) cells: Vec<Cell>,
}

/// Why a parent's playlist cannot be mirrored.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Error {
    #[error("not UTF-8")]
    Text,
    #[error(transparent)]
    Playlist(#[from] playlist::Error),
    #[error("the delta update does not fit")]
    Delta(#[from] delta::Error),
    #[error("no segments")]
    Empty,
    #[error("`{0}` is not a part name this edge can follow")]
    PartName(String),
}

/// How a version stands to the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something new.
    Ahead,
    /// Nothing new.
    Same,
    /// It ends earlier: the parent restarted, or it is another parent that lags.
    Back,
}

impl Version {
    pub(crate) fn read(body: Bytes) -> Result<Self, Error> {
        let text = std::str::from_utf8(&body).map_err(|_| Error::Text)?;
        let parsed = playlist::parse(text)?;
        let (last, part) = parsed.last().ok_or(Error::Empty)?;
        let position = Position {
            whole: parsed.last_whole(),
            last,
            part,
            segment_parts: None,
            part_target: parsed.part_target.unwrap_or(parsed.target_duration),
            target_duration: parsed.target_duration,
            ended: parsed.ended,
        };
        let cells = parsed
            .parts()
            .map(|part| cell(&part.uri))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            skip_until: delta::offered(text),
            body,
            parsed,
            position,
            cells,
        })
    }

    /// A version of what the parent answered, which may be a delta update of one that follows `before`.
    pub(crate) fn follow(before: Option<&Self>, answer: Bytes) -> Result<Self, Error> {
        let Some(before) = before else {
            return Self::read(answer);
        };
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Error::Text);
        if !text(&answer)?.contains("\n#EXT-X-SKIP:") {
            return Self::read(answer);
        }
        let merged = delta::merge(text(&before.body)?, text(&answer)?)?;
        Self::read(merged.into())
    }

    /// The request that waits for the next version, and skips what is here where that is `age` old.
    pub(crate) fn next(&self, age: Duration) -> Directives {
        let wait = self.parsed.can_block_reload.then(|| self.wait());
        // rfc8216bis §6.3.7: not with a playlist older than half the skip boundary. Date ranges are few, and all
        // of them stay, so that what the parent says is had in its own order.
        let until = self.skip_until.filter(|until| age <= *until / 2);
        Directives {
            wait,
            skip: until.map(|_| Skip::Segments),
        }
    }

    /// How long after this version the next look is, where the parent does not hold requests back.
    pub(crate) fn poll(&self) -> Option<Duration> {
        let blocks = self.parsed.can_block_reload || self.position.ended;
        (!blocks).then(|| self.position.part_target / 2)
    }

    fn wait(&self) -> (u64, Option<u64>) {
        let Position { last, part, .. } = self.position;
        let open = self
            .parsed
            .segments
            .last()
            .is_some_and(|segment| segment.uri.is_none());
        match part {
            Some(PartIndex(part)) if open => (last.0, Some(part + 1)),
            Some(_) => (last.0 + 1, Some(0)),
            None => (last.0 + 1, None),
        }
    }

    /// The requests for the next versions, nearest first: `depth` of them, as far as a parent lets them wait.
    pub(crate) fn ahead(&self, age: Duration, depth: usize) -> Vec<Directives> {
        let first = self.next(age);
        let mut newest_first = self.parsed.segments.iter().rev();
        let whole = newest_first.find(|segment| segment.uri.is_some() && !segment.parts.is_empty());
        let parts = whole.map_or(0, |segment| segment.parts.len() as u64);
        let following = std::iter::successors(Some(first), |before| {
            match before.wait {
                Some((msn, Some(part))) if part + 1 < parts => Some((msn, Some(part + 1))),
                // Where a segment ends is only known where one is listed with its parts.
                Some((msn, Some(_))) if parts > 0 => Some((msn + 1, Some(0))),
                Some(_) | None => None,
            }
            .map(|wait| Directives {
                wait: Some(wait),
                ..first
            })
        });
        let may_wait = |next: &Directives| self.position.playlist(next) == Verdict::Park;
        let further = following.skip(1).take_while(may_wait);
        std::iter::once(first).chain(further).take(depth).collect()
    }

    /// Whether this version is what was asked for, or later.
    pub(crate) fn answers(&self, request: &Directives) -> bool {
        self.position.playlist(request) == Verdict::Ready
    }

    /// Listed parts that have media and are newer, newest first.
    pub(crate) fn since(&self, seen: Option<Cell>) -> impl Iterator<Item = Cell> {
        let parts = self.parsed.parts().rev().zip(self.cells.iter().rev());
        let new = parts.take_while(move |(_, cell)| seen.is_none_or(|seen| **cell > seen));
        new.filter(|(part, _)| !part.gap).map(|(_, cell)| *cell)
    }

    /// What the parent promises with it.
    pub(crate) fn listing(&self) -> Listing {
        Listing {
            parts: self.cells.first().copied().zip(self.newest()),
            part_target: self.position.part_target,
            longest_wait: self.position.longest_wait(),
        }
    }

    /// The part that comes next.
    pub(crate) fn hint(&self) -> Option<Cell> {
        self.parsed.hints.first().and_then(|uri| cell(uri).ok())
    }

    /// The newest listed part that has media.
    pub(crate) fn newest(&self) -> Option<Cell> {
        self.cells.last().copied()
    }

    /// The newest whole segment where it is of subtitles, which have no parts.
    pub(crate) fn text(&self) -> Option<Msn> {
        let mut segments = self.parsed.segments.iter().rev();
        match Object::parse(segments.find_map(|segment| segment.uri.as_deref())?)? {
            Object::Vtt(msn) => Some(msn),
            Object::Init(_) | Object::Part(_) | Object::Segment(_) => None,
        }
    }

    /// Whether the newest part's media never came.
    pub(crate) fn ends_in_gap(&self) -> bool {
        self.parsed.parts().next_back().is_some_and(|part| part.gap)
    }

    /// Whether a part has been listed lately enough to be worth asking for: rfc8216bis §6.2.2 keeps it available
    /// for three target durations after its tag is gone.
    pub(crate) fn may_have(&self, cell: Cell) -> bool {
        let (Some(oldest), Some(newest)) = (self.cells.first(), self.cells.last()) else {
            return false;
        };
        if let (Some((first, _)), Some((msn, _))) = (place(*oldest), place(cell)) {
            let is_listed = self.cells.binary_search(&cell).is_ok();
            // Three target durations are three segments or more.
            return is_listed || (cell < *oldest && msn.0.saturating_add(SEGMENTS_KEPT) >= first.0);
        }
        // Inner parts are at least 0.85 of PART-TARGET long (rfc8216bis §4.4.4.9).
        let shortest = self.position.part_target.mul_f64(0.85).as_nanos().max(1);
        let kept = self.position.longest_wait().as_nanos().div_ceil(shortest);
        let kept = u64::try_from(kept).unwrap_or(u64::MAX);
        cell <= *newest && cell.0 >= oldest.0.saturating_sub(kept)
    }

    /// Verdict on a part that is not held and not listed.
    pub(crate) fn part(&self, cell: Cell) -> Verdict {
        let Some(newest) = self.newest() else {
            // A track without parts will not get any.
            return Verdict::Unknown;
        };
        match (place(newest), place(cell)) {
            // Numbered by segment and index, so that they do not follow each other from one segment to the next.
            (Some((last, part)), Some((msn, index))) if msn <= last.next() => {
                let before = if msn == last { part } else { 0 };
                let ahead = if cell > newest {
                    index.saturating_sub(before)
                } else {
                    0
                };
                let begins = u64::from(msn > last);
                self.position.part(Cell(newest.0 + ahead + begins), newest)
            }
            (Some(_), _) => Verdict::Unknown,
            (None, _) => self.position.part(cell, newest),
        }
    }

    /// The oldest part that is kept once it is no longer listed, where segments do not tell.
    pub(crate) fn keeps_from(&self) -> Option<Cell> {
        let (first, _) = place(*self.cells.first()?)?;
        foreign::first_of(Msn(first.0.saturating_sub(SEGMENTS_KEPT)))
    }

    /// Whether a segment is listed, or was within the last window.
    pub(crate) fn may_have_segment(&self, msn: Msn) -> bool {
        let listed = self.parsed.segments.len() as u64;
        let oldest = self.parsed.media_sequence.0.saturating_sub(listed);
        self.position.whole.is_some_and(|whole| msn <= whole) && msn.0 >= oldest
    }

    /// Init segments in force in the window.
    pub(crate) fn maps(&self) -> Vec<Object> {
        let mut maps: Vec<Object> = Vec::new();
        for map in self
            .parsed
            .segments
            .iter()
            .filter_map(|segment| segment.map.as_deref())
        {
            if let Some(object) = Object::parse(map).filter(|object| maps.last() != Some(object)) {
                maps.push(object);
            }
        }
        maps
    }

    /// Finished segments that are their parts, which are listed, one after the other; an origin that is not ours promises
    /// no such thing.
    pub(crate) fn segments(&self) -> impl Iterator<Item = (Msn, Vec<Cell>)> {
        let numbered = (self.parsed.media_sequence.0..)
            .map(Msn)
            .zip(&self.parsed.segments);
        let finished = numbered.filter(|(_, segment)| {
            let is_ours = |part: &Part| cell(&part.uri).is_ok_and(|cell| place(cell).is_none());
            segment.uri.is_some() && segment.parts.first().is_some_and(is_ours) && !segment.is_sealed()
        });
        finished.map(|(msn, segment)| {
            (
                msn,
                segment
                    .parts
                    .iter()
                    .filter_map(|part| cell(&part.uri).ok())
                    .collect(),
            )
        })
    }

    /// How long its newest part may hold it back (half a part, at most a quarter of a second).
    pub(crate) fn patience(&self) -> Duration {
        (self.position.part_target / 2).min(Duration::from_millis(250))
    }

    pub(crate) fn step_from(&self, before: &Self) -> Step {
        let end = |v: &Self| {
            (
                v.position.last,
                v.position.part,
                v.position.whole,
                v.position.ended,
            )
        };
        match end(self).cmp(&end(before)) {
            std::cmp::Ordering::Greater => Step::Ahead,
            std::cmp::Ordering::Equal => Step::Same,
            std::cmp::Ordering::Less => Step::Back,
        }
    }
}

fn cell(uri: &str) -> Result<Cell, Error> {
    match Object::parse(uri) {
        Some(Object::Part(cell)) => Ok(cell),
        Some(Object::Init(_) | Object::Segment(_) | Object::Vtt(_)) | None => {
            Err(Error::PartName(uri.chars().take(64).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART-INF:PART-TARGET=0.522\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.566\n#EXT-X-MEDIA-SEQUENCE:10\n\
        #EXT-X-MAP:URI=\"init-0123456789abcdef.mp4\"\n";

    fn version(tail: &str) -> Version {
        Version::read(format!("{HEAD}{tail}").into()).unwrap()
    }

    fn part(cell: u64) -> String {
        format!("#EXT-X-PART:DURATION=0.5,URI=\"part-{cell}.m4s\"\n")
    }

    #[test]
    fn the_next_request_names_the_next_part() {
        let open = version(&format!("#EXTINF:2,\nseg-10.m4s\n{}{}", part(44), part(45)));
        assert_eq!(open.next(Duration::ZERO).wait, Some((11, Some(2))));
        assert_eq!(open.position.whole, Some(Msn(10)));
        let whole = version(&format!("{}{}#EXTINF:2,\nseg-10.m4s\n", part(40), part(41)));
        assert_eq!(whole.next(Duration::ZERO).wait, Some((11, Some(0))));
        assert_eq!(
            whole.segments().collect::<Vec<_>>(),
            [(Msn(10), vec![Cell(40), Cell(41)])]
        );
        let plain = version("#EXTINF:2,\nseg-10.m4s\n");
        assert_eq!(plain.next(Duration::ZERO).wait, Some((11, None)));
    }

    #[test]
    fn versions_are_asked_for_ahead_as_far_as_they_may_wait() {
        let whole = |first: u64| (first..first + 4).map(part).collect::<String>();
        let text = format!("{}#EXTINF:2,\nseg-10.m4s\n{}{}", whole(40), part(44), part(45));
        let waits = |depth| {
            let ahead = version(&text).ahead(Duration::ZERO, depth);
            ahead
                .into_iter()
                .map(|next| next.wait.unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(waits(1), [(11, Some(2))]);
        assert_eq!(waits(3), [(11, Some(2)), (11, Some(3)), (12, Some(0))]);
        // No further than two segments past the last whole one.
        assert_eq!(waits(99).last(), Some(&(12, Some(3))));
        let unknown = version(&part(40)).ahead(Duration::ZERO, 3);
        assert_eq!(unknown.len(), 1, "how long segments are is not known");
        assert!(version(&text).answers(&unknown[0]) && !version(&part(40)).answers(&unknown[0]));
    }

    #[test]
    fn a_part_that_never_came_is_not_asked_for() {
        let gap = "#EXT-X-PART:DURATION=0.5,URI=\"part-41.m4s\",GAP=YES\n";
        let version = version(&format!("{}{gap}{}", part(40), part(42)));
        assert_eq!(version.since(None).collect::<Vec<_>>(), [Cell(42), Cell(40)]);
        assert_eq!(version.since(Some(Cell(40))).collect::<Vec<_>>(), [Cell(42)]);
    }

    #[test]
    fn a_parent_that_holds_nothing_back_is_looked_at_every_half_part() {
        let plain = HEAD.replace("CAN-BLOCK-RELOAD=YES,", "");
        let plain = Version::read(format!("{plain}{}", part(40)).into()).unwrap();
        assert_eq!(plain.next(Duration::ZERO).wait, None);
        assert_eq!(plain.poll(), Some(Duration::from_millis(261)));
        assert_eq!(version(&part(40)).poll(), None);
    }

    #[test]
    fn subtitles_are_followed_by_segments() {
        let head = HEAD.replace("#EXT-X-PART-INF:PART-TARGET=0.522\n", "");
        let head = head.replace("#EXT-X-MAP:URI=\"init-0123456789abcdef.mp4\"\n", "");
        let text = format!("{head}#EXTINF:2,\nseg-10.vtt\n#EXTINF:2,\nseg-11.vtt\n");
        let version = Version::read(text.into()).unwrap();
        assert_eq!(version.next(Duration::ZERO).wait, Some((12, None)));
        assert_eq!(version.text(), Some(Msn(11)));
        assert!(version.maps().is_empty() && version.newest().is_none() && version.hint().is_none());
        assert!(version.may_have_segment(Msn(8)) && !version.may_have_segment(Msn(12)));
        assert_eq!(self::version("#EXTINF:2,\nseg-10.m4s\n").text(), None);
    }

    #[test]
    fn a_delta_update_is_merged_or_refused() {
        let head = HEAD.replace("CAN-BLOCK", "CAN-SKIP-UNTIL=12.0,CAN-BLOCK");
        let listed = |until: u64| -> String {
            (10..until)
                .map(|n| format!("#EXTINF:2,\nseg-{n}.m4s\n"))
                .collect()
        };
        let text = |until: u64| format!("{head}{}{}", listed(until), part(until * 4));
        let before = Version::read(text(30).into()).unwrap();
        assert_eq!(before.next(Duration::from_secs(6)).skip, Some(Skip::Segments));
        assert_eq!(before.next(Duration::from_secs(7)).skip, None);
        assert_eq!(version(&part(40)).next(Duration::ZERO).skip, None);
        let answer = delta::derive(&text(31), None).unwrap();
        let merged = Version::follow(Some(&before), answer.clone().into()).unwrap();
        assert_eq!(merged.body, text(31));
        let full = Version::follow(Some(&before), text(31).into()).unwrap();
        assert_eq!(full.body, text(31));
        let late = Version::read(text(20).into()).unwrap();
        assert!(matches!(
            Version::follow(Some(&late), answer.clone().into()),
            Err(Error::Delta(_))
        ));
        assert!(Version::follow(None, answer.into()).is_err());
    }

    #[test]
    fn a_playlist_that_ends_earlier_is_a_step_back() {
        let (one, two) = (version(&part(40)), version(&format!("{}{}", part(40), part(41))));
        assert_eq!(two.step_from(&one), Step::Ahead);
        assert_eq!(one.step_from(&two), Step::Back);
        assert_eq!(one.step_from(&one.clone()), Step::Same);
    }

    #[test]
    fn only_what_was_listed_lately_is_asked_for() {
        let version = version(&format!("{}{}", part(40), part(41)));
        // Six seconds of parts of at least 0.44 s: fourteen.
        let may = [25, 26, 41, 42].map(|n| version.may_have(Cell(n)));
        assert_eq!(may, [false, true, true, false]);
        assert!(!version.may_have_segment(Msn(10)), "it is still open");
    }

    #[test]
    fn parts_of_other_origins_are_numbered_by_segment_and_index() {
        let number = |(msn, index): (u64, u64)| Cell(foreign::first_of(Msn(msn)).unwrap().0 + index);
        let listed = |at| part(number(at).0);
        let text = format!(
            "{}{}#EXTINF:2,\nseg-10.m4s\n{}",
            listed((10, 0)),
            listed((10, 1)),
            listed((11, 0))
        );
        let version = version(&text);
        let may = [(6, 0), (7, 5), (10, 1), (10, 2), (11, 0), (11, 1)].map(|at| version.may_have(number(at)));
        assert_eq!(may, [false, true, true, false, true, false]);
        let park = [(11, 1), (11, 7), (12, 0), (12, 99), (13, 0)]
            .map(|at| version.part(number(at)) == Verdict::Park);
        assert_eq!(
            park,
            [true, false, true, false, false],
            "as far as the Advance Part Limit"
        );
        assert_eq!(version.part(Cell(44)), Verdict::Unknown);
        assert_eq!(
            version.segments().count(),
            0,
            "its segments may be more than their parts"
        );
        assert_eq!(version.keeps_from(), Some(number((7, 0))));
    }

    #[test]
    fn names_that_cannot_be_followed_are_refused_by_name() {
        let read = |tail: &str| Version::read(format!("{HEAD}{tail}").into()).map(|_| ());
        let foreign = "#EXT-X-PART:DURATION=0.5,URI=\"chunk_7.m4s\"\n";
        assert_eq!(read(foreign), Err(Error::PartName("chunk_7.m4s".to_owned())));
        assert_eq!(read(""), Err(Error::Empty));
    }
}
