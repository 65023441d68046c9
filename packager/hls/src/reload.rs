//! Verdicts: is a request answered now, later, or never? The same rules at origin and edge.

use std::time::Duration;

use crate::id::{Cell, Msn, PartIndex};
use crate::path::Directives;

/// Where a media playlist ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Last whole segment; `None` while there is none.
    pub whole: Option<Msn>,
    /// Segment of the last part, or the last whole segment where nothing newer is listed.
    pub last: Msn,
    /// Last part listed in that segment.
    pub part: Option<PartIndex>,
    /// Parts in a whole segment, where the cadence is known.
    pub segment_parts: Option<u32>,
    /// PART-TARGET.
    pub part_target: Duration,
    /// EXT-X-TARGETDURATION.
    pub target_duration: Duration,
    /// EXT-X-ENDLIST is there.
    pub ended: bool,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Answer with what there is.
    Ready,
    /// Wait for the next publication and ask again, at most [`Position::longest_wait`] in all; then 503.
    Park,
    /// Refuse with 400: too far ahead to wait for.
    TooFar,
    /// Refuse with 404: neither here nor about to come.
    Unknown,
}

impl Position {
    /// The same of a track that has whole segments only.
    #[must_use]
    pub fn without_parts(self) -> Self {
        Self {
            last: self.whole.unwrap_or(self.last),
            part: None,
            segment_parts: None,
            ..self
        }
    }

    /// How long a request may wait (rfc8216bis §6.2.5.2: three target durations, then 503).
    pub fn longest_wait(&self) -> Duration {
        self.target_duration * 3
    }

    /// Advance Part Limit (rfc8216bis §6.2.5.2): three seconds' worth of parts under 1 s, else three parts.
    pub fn advance_part_limit(&self) -> u64 {
        let target = self.part_target.as_nanos();
        if target == 0 || self.part_target >= Duration::from_secs(1) {
            return 3;
        }
        u64::try_from(Duration::from_secs(3).as_nanos().div_ceil(target)).unwrap_or(u64::MAX)
    }

    /// Verdict on a playlist request.
    pub fn playlist(&self, directives: &Directives) -> Verdict {
        let Some((msn, part)) = directives.wait else {
            return Verdict::Ready;
        };
        // rfc8216bis §6.2.5.2: with EXT-X-ENDLIST the directives are ignored.
        if self.ended || self.lists(msn, part) {
            return Verdict::Ready;
        }
        // rfc8216bis §6.2.5.2: more than two past the last whole segment is refused at once.
        let whole = self.whole.map_or(self.last.0, |whole| whole.0);
        if msn > whole.saturating_add(2) {
            return Verdict::TooFar;
        }
        match part {
            // rfc8216bis §6.2.5.2: however far beyond a finished segment's last part, it is the next one's first.
            Some(_) if self.whole == Some(self.last) && msn == self.last.0 => Verdict::Park,
            Some(part) if self.parts_ahead(msn, part) > self.advance_part_limit() => Verdict::TooFar,
            Some(_) | None => Verdict::Park,
        }
    }

    /// Whether the playlist already shows what was asked for, or anything later.
    fn lists(&self, msn: u64, part: Option<u64>) -> bool {
        match part {
            // rfc8216bis §6.2.5.2: an MSN alone waits for that whole segment.
            None => self.whole.is_some_and(|whole| whole.0 >= msn),
            // A part beyond the last of a finished segment is the first of the next, so any part of a later
            // segment answers it.
            Some(part) => {
                self.last.0 > msn
                    || (self.last.0 == msn && self.part.is_some_and(|last| last.0 >= part))
                    || (self.part.is_none() && self.last.0 >= msn)
            }
        }
    }

    /// How many parts after the last listed one the request is; a lower bound where the cadence is unknown.
    fn parts_ahead(&self, msn: u64, part: u64) -> u64 {
        let listed = self.part.map_or(0, |last| last.0.saturating_add(1));
        let until = msn.saturating_sub(self.last.0);
        match self.segment_parts {
            Some(parts) => until
                .saturating_mul(u64::from(parts))
                .saturating_add(part.saturating_add(1))
                .saturating_sub(listed),
            None if until == 0 => part.saturating_add(1).saturating_sub(listed),
            None => part.saturating_add(until),
        }
    }

    /// Verdict on a part that is not held, named by its cell; `newest` is the last published cell.
    ///
    /// A part a little ahead waits even when it was never hinted: a player steered here from a server that
    /// is one part ahead must not get a 404, which players never retry.
    pub fn part(&self, cell: Cell, newest: Cell) -> Verdict {
        let ahead = cell.0.saturating_sub(newest.0);
        // rfc8216bis §6.2.6: a hinted part that will not come is a 404, not a hang.
        if self.ended || ahead == 0 || ahead > self.advance_part_limit() {
            Verdict::Unknown
        } else {
            Verdict::Park
        }
    }
}
