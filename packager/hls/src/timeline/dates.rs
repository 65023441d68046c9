//! Which date ranges playlists list. All tracks list the same ones, from the publication after they were said until
//! nothing of them is in the window.

use std::time::Duration;

use crate::playlist::{DateRange, Splice, Trigger, Value};

/// Most date ranges listed at once, of which each may have two sections. What comes beyond is refused; a break without
/// an end is then ended, so that it leaves with the window.
pub const DATES_MAX: usize = 32;

/// Most attributes of a date range; more are not added.
pub const ATTRIBUTES_MAX: usize = 32;

/// Something that happens in the programme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Unique, but for the two ends of a break.
    pub id: String,
    /// What kind of happening it is; no quotes and control characters.
    pub class: Option<String>,
    /// Program time.
    pub at: Duration,
    /// What happens there.
    pub kind: MarkKind,
    /// How long it is planned to be (`Out`) or is (`Plain`).
    pub duration: Option<Duration>,
    /// Its splice_info_section; empty where there is none.
    pub section: Vec<u8>,
    /// CUE.
    pub trigger: Option<Trigger>,
    /// Names behind `X-`, and their values.
    pub attributes: Vec<(String, Value)>,
}

/// What happens at a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkKind {
    /// A break begins.
    Out,
    /// The break of the same id ends.
    In,
    /// Neither.
    Plain,
    /// More is said of the same id: its attributes are added, all else stands.
    More,
    /// What has this id does not take place.
    Cancel,
}

/// What came of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// Playlists list it from the next publication on, if it is in the window by then.
    Listed,
    /// It says nothing new.
    Known,
    /// [`DATES_MAX`] or [`ATTRIBUTES_MAX`] was reached, what ends or grows is not known, or what is cancelled has begun.
    Refused,
}

#[derive(Debug, Default)]
pub(super) struct Dates {
    ranges: Vec<DateRange>,
    /// IDs of those that no playlist has listed yet.
    unseen: Vec<String>,
}

impl Dates {
    /// `now` is where the playlists end, and `next` the latest that they may after the next publication. rfc8216bis §4.4.5.1: what was said of an id never changes, it only grows.
    pub(super) fn mark(&mut self, mark: Mark, now: Duration, next: Duration) -> Marked {
        let is_full = self.ranges.len() >= DATES_MAX;
        let known = self.ranges.iter_mut().find(|range| range.id == mark.id);
        match (mark.kind, known) {
            (MarkKind::In, Some(range)) if range.duration.is_none() => {
                range.duration = Some(mark.at.saturating_sub(range.start));
                if !mark.section.is_empty() {
                    range.sections.push((Splice::In, mark.section));
                }
                Marked::Listed
            }
            (MarkKind::More, Some(range)) => add(range, mark.attributes),
            (MarkKind::Cancel, Some(range)) => {
                // rfc8216bis §6.2.1: it may go while no date of it maps to a segment, and the playlist without it is the
                // next one, which has a part more.
                if range.start < next && !self.unseen.contains(&mark.id) {
                    return Marked::Refused;
                }
                self.ranges.retain(|range| range.id != mark.id);
                self.unseen.retain(|id| *id != mark.id);
                Marked::Listed
            }
            (MarkKind::Cancel, None) => Marked::Known,
            (_, Some(_)) => Marked::Known,
            (MarkKind::In | MarkKind::More, None) => Marked::Refused,
            (MarkKind::Out | MarkKind::Plain, None) if is_full => {
                self.end_oldest(now);
                Marked::Refused
            }
            (MarkKind::Out | MarkKind::Plain, None) => {
                self.unseen.push(mark.id.clone());
                self.ranges.push(range(mark));
                Marked::Listed
            }
        }
    }

    fn end_oldest(&mut self, now: Duration) {
        let endless = |range: &&mut DateRange| range.duration.is_none() && range.start < now;
        if let Some(range) = self.ranges.iter_mut().find(endless) {
            range.duration = Some(now.saturating_sub(range.start));
        }
    }

    /// Of each publication. rfc8216bis §6.2.1: a date range stays while any of it maps to a segment; one whose end is not known stays.
    pub(super) fn trim(&mut self, oldest: Duration) {
        let maps = |range: &DateRange| match range.duration {
            Some(duration) => range.start >= oldest || range.start + duration > oldest,
            None => true,
        };
        self.ranges.retain(maps);
        self.unseen.clear();
    }

    pub(super) fn listed(&self) -> &[DateRange] {
        &self.ranges
    }
}

fn range(mark: Mark) -> DateRange {
    let is_out = mark.kind == MarkKind::Out;
    let splice = if is_out { Splice::Out } else { Splice::Cmd };
    DateRange {
        id: mark.id,
        class: mark.class,
        start: mark.at,
        planned: mark.duration.filter(|_| is_out),
        // rfc8216bis §4.4.5.1: an instant has a duration of 0; without any, it would be of unknown length.
        duration: (!is_out).then(|| mark.duration.unwrap_or_default()),
        sections: (!mark.section.is_empty())
            .then_some((splice, mark.section))
            .into_iter()
            .collect(),
        trigger: mark.trigger,
        attributes: mark.attributes,
    }
}

/// What was said stays; what is new comes behind it.
fn add(range: &mut DateRange, more: Vec<(String, Value)>) -> Marked {
    let known = |name: &str| range.attributes.iter().any(|(other, _)| other == name);
    let new: Vec<_> = more.into_iter().filter(|(name, _)| !known(name)).collect();
    if new.is_empty() {
        return Marked::Known;
    }
    if range.attributes.len() + new.len() > ATTRIBUTES_MAX {
        return Marked::Refused;
    }
    range.attributes.extend(new);
    Marked::Listed
}
