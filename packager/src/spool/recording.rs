//! PURE. One event as it is on disk: what its playlists for rewinding say, and where each segment's bytes are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use feed::Shape;
use hls::id::{Cell, Msn, TrackId};
use hls::path::{Hash, KeyId};
use hls::playlist::{DateRange, Dvr, Frame, Kind, Range, Segment};
use hls::time::Grid;
use hls::timeline::Timeline;

use super::entry::{Entry, Extent, Kept, Life};
use super::tape::Tape;
use crate::encryption::guard::{Guard, Joiner};

/// Most date ranges of a recording; beyond it the oldest are not listed any more.
const DATES_MAX: usize = 1_024;
/// Most init segments of one track; ladders with the same configuration share one.
const INITS_MAX: usize = 1_024;

/// The machine.
#[derive(Debug)]
pub(crate) struct Recording {
    tape: Tape,
    list: List,
    is_cut_off: bool,
}

/// What grows with each publication.
#[derive(Debug)]
struct List {
    guard: Guard,
    tracks: Vec<Dvr>,
    /// Key frames of tracks that are video.
    frames: Vec<Option<Dvr>>,
    grid: Grid,
    next: Msn,
    dates: Vec<DateRange>,
    /// Extents of each track's parts in a segment; empty where the segment is a gap.
    index: BTreeMap<Msn, Filed>,
    /// Init segments by track, oldest first.
    inits: Vec<Vec<(Hash, Bytes)>>,
    /// What the archive has yet to take; none where there is no archive.
    due: Option<BTreeMap<Msn, Due>>,
    /// Changes with every change.
    version: u64,
}

/// A whole segment as all tracks' playlists list it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) msn: Msn,
    /// EXT-X-DISCONTINUITY-SEQUENCE of a playlist that begins with it.
    pub(crate) sequence: u64,
    /// By track.
    pub(crate) segments: Vec<Segment>,
}

/// A segment's file.
#[derive(Debug, Default, Clone)]
struct Filed {
    available_us: u64,
    tracks: Vec<Vec<Extent>>,
}

impl Recording {
    /// Begins with the first cell of a life, or with a later one.
    pub(crate) fn new(life: Arc<Life>, from: Cell, guard: Guard) -> Self {
        let shape = &life.hello.shape;
        let target = shape.grid.target_duration();
        let mut list = List {
            guard,
            tracks: vec![Dvr::new(target); shape.tracks.len()],
            frames: shape
                .tracks
                .iter()
                .map(|track| {
                    track
                        .is_video()
                        .then(|| Dvr::of_frames(target, shape.grid.segment_gops()))
                })
                .collect(),
            grid: shape.grid,
            next: shape.grid.msn(from),
            dates: Vec::new(),
            index: BTreeMap::new(),
            inits: vec![Vec::new(); shape.tracks.len()],
            due: None,
            version: 0,
        };
        list.hold(&life);
        Self {
            // The shortest window: what has left it is in the list by then.
            tape: Tape::new(life, from, Duration::ZERO),
            list,
            is_cut_off: false,
        }
    }

    /// The same for an event that is archived: what is listed is also due.
    pub(crate) fn archived(mut self) -> Self {
        self.list.due = Some(BTreeMap::new());
        self
    }

    /// Nothing is added any more although the feed has not said that it is over.
    pub(crate) fn cut_off(&mut self) {
        if !self.is_ended() {
            self.is_cut_off = true;
            self.play(&Entry::End);
        }
    }

    pub(crate) fn is_cut_off(&self) -> bool {
        self.is_cut_off
    }

    /// The oldest segment from `msn` on that the archive has yet to take; what is before is forgotten.
    pub(crate) fn due(&mut self, msn: Msn) -> Option<Due> {
        let due = self.list.due.as_mut()?;
        *due = due.split_off(&msn);
        due.values().next().cloned()
    }

    /// Date ranges, oldest first.
    pub(crate) fn dates(&self) -> &[DateRange] {
        &self.list.dates
    }

    /// Takes what is on disk now.
    pub(crate) fn play(&mut self, entry: &Entry) {
        let list = &mut self.list;
        match entry {
            Entry::Life(life) => list.hold(life),
            Entry::Cell(kept) => list.file(kept, &self.tape),
            Entry::Cue(_) | Entry::End => {}
        }
        self.tape.play(entry, &mut |timeline| list.take(timeline));
    }

    pub(crate) fn life(&self) -> &Arc<Life> {
        self.tape.life()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.tape.timeline().is_ended()
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.tape.life().hello.shape
    }

    pub(crate) fn track(&self, id: &TrackId) -> Option<usize> {
        self.shape().tracks.iter().position(|track| track.id == *id)
    }

    pub(crate) fn version(&self) -> u64 {
        self.list.version
    }

    /// A track's playlist and the date ranges it lists, to be rendered where nobody waits for the lock.
    pub(crate) fn playlist(&self, track: usize) -> Option<(Dvr, Vec<DateRange>)> {
        Some((self.list.tracks.get(track)?.clone(), self.list.dates.clone()))
    }

    /// A track's playlist of key frames; none of one that is sound, or whose bytes are no fragments.
    pub(crate) fn frames(&self, track: usize) -> Option<Dvr> {
        self.list.frames.get(track)?.clone().filter(|_| self.has_frames())
    }

    /// Whether key frames can be had alone: not under AES-128, which is of whole segments.
    pub(crate) fn has_frames(&self) -> bool {
        self.list.guard.keeps_fragments()
    }

    /// Where a segment's bytes are, and when its last part was published.
    pub(crate) fn segment(&self, track: usize, msn: Msn) -> Option<(Vec<Extent>, u64)> {
        if msn >= self.list.next {
            return None;
        }
        let filed = self.list.index.get(&msn)?;
        let extents = filed.tracks.get(track).filter(|extents| !extents.is_empty())?;
        Some((extents.clone(), filed.available_us))
    }

    pub(crate) fn init(&self, track: usize, hash: Hash) -> Option<Bytes> {
        let held = self.list.inits.get(track)?.iter().cloned();
        let mut all = held.chain(self.list.guard.inits(track));
        all.find_map(|(known, bytes)| (known == hash).then_some(bytes))
    }

    /// A key that listed segments are under, where keys are served.
    pub(crate) fn key(&self, kid: KeyId) -> Option<Bytes> {
        let mut served = self.list.guard.served().into_iter();
        served.find_map(|(known, key)| (known == kid).then_some(key))
    }

    /// What makes a segment of its parts.
    pub(crate) fn joiner(&self, msn: Msn) -> Joiner {
        self.list.guard.joiner(msn)
    }

    /// Program time of the first listed segment.
    pub(crate) fn start(&self) -> Option<Duration> {
        self.list.tracks.first()?.start()
    }

    /// First segment that is listed.
    pub(crate) fn first(&self) -> Option<Msn> {
        self.list.tracks.first()?.first()
    }

    /// Whether the oldest chunk has ended so long before the newest segment.
    pub(crate) fn outgrows(&self, keep: Duration) -> bool {
        let longest = self.list.tracks.first();
        longest.is_some_and(|dvr| {
            dvr.second()
                .is_some_and(|(_, start)| dvr.reached().saturating_sub(start) >= keep)
        })
    }

    /// The oldest chunk is listed no more; false where it is the only one. From `needed` on it can still be read.
    pub(crate) fn trim(&mut self, needed: Option<Msn>) -> bool {
        let list = &mut self.list;
        let Some((first, start)) = list.tracks.first().and_then(Dvr::second) else {
            return false;
        };
        list.tracks.iter_mut().for_each(Dvr::trim);
        list.frames.iter_mut().flatten().for_each(Dvr::trim);
        list.dates.retain(|range| {
            let end = range.duration.map(|duration| range.start + duration);
            end.is_none_or(|end| end >= start)
        });
        // Those who have the playlist of a moment ago may still fetch what it lists.
        let kept = Msn(first.0.saturating_sub(hls::playlist::SEGMENTS_PER_CHUNK));
        let kept = needed.map_or(kept, |needed| kept.min(needed));
        list.index = list.index.split_off(&kept);
        list.guard.retain(kept);
        list.version += 1;
        true
    }

    /// Segments before this one are asked for by nobody any more.
    #[cfg(test)]
    pub(crate) fn kept_from(&self) -> Option<Msn> {
        self.list.index.keys().next().copied()
    }

    /// What is before `msn` is on disk no more.
    pub(crate) fn forget(&mut self, msn: Msn) {
        self.list.index = self.list.index.split_off(&msn);
    }
}

impl List {
    fn hold(&mut self, life: &Life) {
        // One that cannot be under the rule was refused as a feed, too.
        let _known = self.guard.follow(&life.hello);
        for (held, init) in self.inits.iter_mut().zip(&life.inits) {
            if held.iter().all(|(hash, _)| *hash != init.0) {
                held.push(init.clone());
            }
            if held.len() > INITS_MAX {
                held.remove(0);
            }
        }
    }

    fn file(&mut self, kept: &Kept, tape: &Tape) {
        let msn = tape.life().hello.shape.grid.msn(kept.cell);
        let filed = self.index.entry(msn).or_default();
        filed.available_us = filed.available_us.max(kept.available_us);
        filed.tracks.resize(kept.shares.len(), Vec::new());
        for (extents, (_, extent)) in filed.tracks.iter_mut().zip(&kept.shares) {
            extents.extend(extent);
        }
    }

    fn take(&mut self, timeline: &Timeline) {
        let Some(whole) = timeline.position().and_then(|position| position.whole) else {
            return;
        };
        let end = self.grid.frame_time(
            self.grid
                .first_frame(timeline.newest().unwrap_or_default().next()),
        );
        self.date(timeline.dates(), end);
        // Where the tape began anew, nothing is known of what is in between.
        self.next = self.next.max(timeline.oldest());
        while self.next <= whole {
            let msn = self.next;
            self.next = msn.next();
            let sequence = timeline.discontinuity_sequence(msn);
            let mut segments = Vec::new();
            let mut filed = self.index.get_mut(&msn);
            for (track, dvr) in self.tracks.iter_mut().enumerate() {
                let Some(mut segment) = timeline.whole_segment(track, msn) else {
                    continue;
                };
                let inits = self.inits.get(track).map_or(&[][..], Vec::as_slice);
                self.guard.mark(track, msn, inits, &mut segment);
                dvr.push(msn, sequence, &segment);
                if let Some(Some(list)) = self.frames.get_mut(track) {
                    let extents = filed.as_ref().and_then(|filed| filed.tracks.get(track));
                    let extents = extents.filter(|_| !segment.gap).map_or(&[][..], Vec::as_slice);
                    let mut frames = frames(extents, &segment, &self.grid);
                    if timeline.is_ended() && msn == whole {
                        // Nothing comes behind it whose number would have to be right.
                        frames.retain(|frame| frame.range.is_some());
                    }
                    list.push_frames(msn, sequence, &segment, &frames);
                }
                if segment.gap
                    && let Some(extents) = filed.as_mut().and_then(|filed| filed.tracks.get_mut(track))
                {
                    extents.clear();
                }
                segments.push(deeper(segment));
            }
            if let Some(due) = self.due.as_mut().filter(|_| segments.len() == self.tracks.len()) {
                due.insert(
                    msn,
                    Due {
                        msn,
                        sequence,
                        segments,
                    },
                );
            }
            self.version += 1;
        }
        if timeline.is_ended() {
            let frames = self.frames.iter_mut().flatten();
            self.tracks.iter_mut().chain(frames).for_each(Dvr::end);
            self.version += 1;
        }
    }

    /// What would come behind `end` and is listed no more was cancelled.
    fn date(&mut self, listed: &[DateRange], end: Duration) {
        let stays = |known: &DateRange| known.start < end || listed.iter().any(|range| range.id == known.id);
        self.dates.retain(stays);
        for range in listed {
            match self.dates.iter_mut().find(|known| known.id == range.id) {
                Some(known) => known.clone_from(range),
                None => self.dates.push(range.clone()),
            }
        }
        if self.dates.len() > DATES_MAX {
            self.dates.drain(..self.dates.len() - DATES_MAX);
        }
    }
}

/// The same in a playlist that is a directory further down, where a served key is a directory further up.
fn deeper(mut segment: Segment) -> Segment {
    if let Some(key) = segment.key.as_mut().filter(|key| key.uri.starts_with("../")) {
        key.uri.insert_str(0, "../");
    }
    segment
}

/// A segment's key frames: one for each GOP that it has room for, so that their numbers follow from the segment's.
fn frames(extents: &[Extent], segment: &Segment, grid: &Grid) -> Vec<Frame> {
    let nominal = grid.cell_duration() * grid.gop_parts();
    let (mut offset, mut found) = (0, Vec::new());
    for extent in extents {
        let length = u64::from(extent.frame);
        if length > 0 {
            found.push(Range { offset, length });
        }
        offset += u64::from(extent.length);
    }
    let whole = segment
        .whole
        .as_ref()
        .map_or(Duration::ZERO, |whole| whole.duration);
    let each = grid.segment_gops();
    let mut rest = whole;
    (0..each)
        .map(|n| {
            let duration = if n + 1 < each { nominal.min(rest) } else { rest };
            rest = rest.saturating_sub(duration);
            let range = usize::try_from(n).ok().and_then(|n| found.get(n).copied());
            Frame { duration, range }
        })
        .collect()
}

/// A playlist for rewinding, or the whole event once it is over.
pub(crate) fn render(dvr: &Dvr, dates: &[DateRange]) -> Option<String> {
    let kind = if dvr.is_ended() { Kind::Vod } else { Kind::Sliding };
    dvr.render(dates, kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::samples::{cue, life};
    use hls::check;
    use hls::playlist::{Parsed, parse};
    use hls::timeline::Share;

    const FIRST: Cell = Cell(160_000_000);

    fn kept(cell: u64) -> Entry {
        let share = Share::Media {
            duration: Duration::from_millis(500),
            independent: cell.is_multiple_of(2),
            offset: Duration::ZERO,
        };
        let extent = Extent {
            offset: cell % 4,
            length: 1,
            sum: 0,
            frame: u32::from(cell.is_multiple_of(2)),
        };
        Entry::Cell(Kept {
            cell: Cell(cell),
            available_us: cell,
            seal: None,
            shares: vec![(share, Some(extent)); 2],
        })
    }

    fn recording(cells: impl Iterator<Item = u64>) -> Recording {
        let life = life(FIRST);
        let guard = Guard::new(Arc::default(), &life.hello).unwrap();
        let mut recording = Recording::new(Arc::new(life), FIRST, guard);
        cells.for_each(|cell| recording.play(&kept(FIRST.0 + cell)));
        recording
    }

    fn parsed(recording: &Recording) -> Parsed {
        let (dvr, dates) = recording.playlist(0).unwrap();
        let text = render(&dvr, &dates).unwrap();
        assert_eq!(check::playlist(&text), []);
        parse(&text).unwrap()
    }

    fn gaps(parsed: &Parsed) -> Vec<u64> {
        let numbered = (parsed.media_sequence.0..).zip(&parsed.segments);
        numbered
            .filter(|(_, segment)| segment.gap)
            .map(|(msn, _)| msn - 40_000_000)
            .collect()
    }

    #[test]
    fn cells_that_are_not_on_disk_are_gaps_and_have_no_bytes() {
        let recording = recording((0..40).filter(|cell| !(9..18).contains(cell)));
        let parsed = parsed(&recording);
        assert_eq!((parsed.segments.len(), gaps(&parsed)), (10, vec![2, 3, 4]));
        let there = |msn: u64| recording.segment(0, Msn(40_000_000 + msn)).is_some();
        assert_eq!(
            [1, 2, 3, 4, 5, 9, 10].map(there),
            [true, false, false, false, true, true, false]
        );
        let (extents, available_us) = recording.segment(1, Msn(40_000_001)).unwrap();
        assert_eq!((extents.len(), available_us), (4, FIRST.0 + 7));
    }

    #[test]
    fn a_hole_longer_than_a_day_begins_it_anew() {
        let recording = recording((0..40).chain(1_000_000..1_000_040));
        let parsed = parsed(&recording);
        assert_eq!(
            (parsed.media_sequence, gaps(&parsed)),
            (Msn(40_250_000), Vec::new())
        );
    }

    #[test]
    fn a_break_is_kept_beyond_the_live_window() {
        let mut recording = recording(0..2);
        recording.play(&Entry::Cue(cue("spot")));
        let mut end = cue("spot");
        (end.kind, end.frame) = (feed::cue::Kind::In, end.frame + 30);
        recording.play(&Entry::Cue(end));
        (2..400).for_each(|cell| recording.play(&kept(FIRST.0 + cell)));
        assert!(
            recording.tape.timeline().dates().is_empty(),
            "it has left the window"
        );
        let dates = recording.playlist(0).unwrap().1;
        assert_eq!(dates[0].duration, Some(Duration::from_secs(1)));
        parsed(&recording);
        assert!(recording.trim(None));
        assert!(
            recording.playlist(0).unwrap().1.is_empty(),
            "it has left the recording"
        );
    }

    #[test]
    fn what_is_trimmed_stays_a_chunk_longer() {
        let mut recording = recording(0..4 * 100);
        assert!(
            recording.outgrows(Duration::from_secs(136)) && !recording.outgrows(Duration::from_secs(137))
        );
        assert!(recording.trim(None));
        assert_eq!(
            (recording.first(), recording.kept_from()),
            (Some(Msn(40_000_032)), Some(Msn(40_000_000)))
        );
        assert!(recording.trim(None));
        assert_eq!(
            (recording.first(), recording.kept_from()),
            (Some(Msn(40_000_064)), Some(Msn(40_000_032)))
        );
        parsed(&recording);
    }

    #[test]
    fn a_ladder_that_takes_over_is_a_discontinuity_also_behind_a_hole() {
        let mut recording = recording(0..38);
        let next = Life {
            after: Some(Cell(FIRST.0 + 42)),
            discontinuity: 1,
            ..life(Cell(FIRST.0 + 50))
        };
        recording.play(&Entry::Life(Arc::new(next.clone())));
        recording.play(&Entry::Life(Arc::new(next)));
        (50..70).for_each(|cell| recording.play(&kept(FIRST.0 + cell)));
        recording.play(&Entry::End);
        let parsed = parsed(&recording);
        let tags: Vec<u64> = parsed
            .segments
            .iter()
            .map(|segment| segment.discontinuities)
            .collect();
        assert_eq!((tags.iter().sum::<u64>(), tags[11]), (1, 1));
        assert_eq!((gaps(&parsed), parsed.ended), (vec![9, 10, 11], true));
    }

    #[test]
    fn what_was_cancelled_before_it_began_is_not_in_the_recording() {
        let mut recording = recording(0..0);
        let plain = |id: &str, cell: u64, kind| feed::Cue {
            frame: cell * 15,
            kind,
            ..cue(id)
        };
        let ids = |recording: &Recording| -> Vec<String> {
            let dates = recording.playlist(0).unwrap().1;
            dates.into_iter().map(|range| range.id).collect()
        };
        for id in ["goes", "stays"] {
            recording.play(&Entry::Cue(plain(id, FIRST.0 + 40, feed::cue::Kind::Plain)));
        }
        (0..12).for_each(|n| recording.play(&kept(FIRST.0 + n)));
        assert_eq!(ids(&recording), ["goes", "stays"]);
        recording.play(&Entry::Cue(plain("goes", 0, feed::cue::Kind::Cancel)));
        (12..60).for_each(|n| recording.play(&kept(FIRST.0 + n)));
        assert_eq!(ids(&recording), ["stays"]);
    }
}
