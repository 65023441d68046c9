//! Long lives of a stream, in which everything that can happens: rules 55, 73, 74, 75, 81 and 94 from reload to reload, all
//! others at every moment, and every playlist made again from an earlier one and its delta update.

use super::*;
use crate::check::Violation;
use crate::check::delta::{Update, check};
use crate::playlist::delta::{self, History, derive, merge};
use crate::playlist::{Value, parse};
use crate::timeline::stage::life;

const FIRST: u64 = 160_000_000;

#[derive(Debug, Clone)]
enum Step {
    /// Cells of all tracks.
    Cells(u64),
    /// A cell that some tracks do not have.
    Gaps([bool; URIS.len()]),
    /// One track goes on alone, and then the others come after it.
    Ahead(usize, u64),
    /// Another ladder takes over after a pause, perhaps with other init segments.
    Ladder { pause: u64, changed: bool },
    /// Something happens in the programme, seconds from now.
    Cue {
        id: u8,
        kind: MarkKind,
        ahead: u64,
        lasts: Option<u64>,
    },
    /// The packager loses its memory, and is fed on from the cell it wants.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kinds = prop::sample::select(vec![
        MarkKind::Out,
        MarkKind::In,
        MarkKind::Plain,
        MarkKind::More,
        MarkKind::Cancel,
    ]);
    let cue = (0u8..6, kinds, 0u64..20, prop::option::of(0u64..30));
    let step = prop_oneof![
        5 => (1u64..30).prop_map(Step::Cells),
        2 => any::<[bool; URIS.len()]>().prop_map(Step::Gaps),
        2 => (0..URIS.len(), 1u64..40).prop_map(|(track, cells)| Step::Ahead(track, cells)),
        2 => (0u64..30, any::<bool>()).prop_map(|(pause, changed)| Step::Ladder { pause, changed }),
        3 => cue.prop_map(|(id, kind, ahead, lasts)| Step::Cue { id, kind, ahead, lasts }),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 5..40)
}

/// What was seen of one track.
#[derive(Default)]
struct Seen {
    history: History,
    /// Texts with when they were current.
    texts: Vec<(Duration, String)>,
    uris: BTreeMap<u64, String>,
}

impl Seen {
    /// Takes the next version, by the rules or with an exception where memory was lost.
    fn take(&mut self, at: Duration, text: String, restarted: bool) {
        if let Some((_, last)) = self.texts.last() {
            let mut broken = successive(last, &text);
            if restarted {
                broken.retain(|violation| !is_of_lost_memory(violation));
                assert_forgotten(last, &text);
            }
            assert_eq!(broken, []);
        }
        let parsed = parse(&text).unwrap();
        for (msn, segment) in (parsed.media_sequence.0..).zip(&parsed.segments) {
            let Some(uri) = &segment.uri else { continue };
            assert_eq!(self.uris.entry(msn).or_insert_with(|| uri.clone()), uri);
        }
        if restarted {
            (self.history, self.texts) = (History::default(), Vec::new());
        }
        self.updates(at, &text);
        self.texts.push((at, text));
    }

    /// Every form of delta update is right, and makes this text of each that may be merged with it.
    fn updates(&mut self, at: Duration, text: &str) {
        let until = delta::offered(text);
        let recent = self
            .history
            .note(at, until.unwrap_or(Duration::from_secs(12)), delta::dates(text));
        for skips_dates in [false, true] {
            let answer = derive(text, skips_dates.then_some(&recent));
            let ids = |list: Vec<&String>| list.into_iter().cloned().collect();
            let known: Vec<String> = delta::dates(text)
                .filter_map(|list| {
                    Some(
                        crate::playlist::attribute(list, "ID")?
                            .trim_matches('"')
                            .to_owned(),
                    )
                })
                .collect();
            let update = Update {
                full: text.to_owned(),
                answer: answer.clone().unwrap_or_else(|| text.to_owned()),
                skips_dates,
                old: ids(known.iter().filter(|id| !recent.fresh.contains(*id)).collect()),
                removed: recent.removed.clone(),
            };
            assert_eq!(check(&update), []);
            let (Some(answer), Some(until)) = (answer, until) else {
                continue;
            };
            for (then, previous) in self
                .texts
                .iter()
                .rev()
                .take_while(|(then, _)| at - *then <= until / 2)
            {
                match merge(previous, &answer) {
                    Ok(merged) => assert_eq!(merged, text),
                    Err(error) => assert!(at - *then >= Duration::from_secs(1), "{error}"),
                }
            }
        }
    }
}

/// What cannot be kept by who knows nothing of what was listed, but has to list a window as long (rule 77): that its
/// segments have media (94), where in it the ladders changed (73), and which dates map to it (81). With a spool all of that
/// is remembered, and no rule has an exception.
fn is_of_lost_memory(violation: &Violation) -> bool {
    let changed = violation.rule == 94 && violation.detail.starts_with("segment ");
    changed || [73, 81].contains(&violation.rule)
}

/// What holds all the same: what was listed is named as before and is a gap, and no ladder is counted back.
fn assert_forgotten(before: &str, after: &str) {
    let (before, after) = [before, after].map(|text| parse(text).unwrap()).into();
    let (last, _) = before.last().unwrap();
    let listed = (after.media_sequence.0..).zip(&after.segments);
    assert!(
        listed
            .take_while(|(msn, _)| *msn <= last.0)
            .all(|(_, segment)| segment.gap)
    );
    assert!(after.discontinuity_sequence > before.discontinuity_sequence);
}

/// A stream, and what its viewers have seen.
struct Life {
    stage: Stage,
    window: Duration,
    seen: [Seen; URIS.len()],
    ladders: u64,
    name: u64,
    restarted: bool,
    /// Where it begins while nothing is published.
    floor: Cell,
}

impl Life {
    fn look(&mut self) {
        let Some(newest) = self.stage.timeline.newest() else {
            return;
        };
        assert_eq!(judged(&self.stage), []);
        let at = self.stage.grid.frame_time(self.stage.grid.first_frame(newest));
        for (track, seen) in self.seen.iter_mut().enumerate() {
            seen.take(at, self.stage.text(track), self.restarted);
        }
        self.restarted = false;
    }

    fn deliver(&mut self, track: usize, gap: bool) {
        let Ok(cell) = self.stage.timeline.due(track) else {
            return;
        };
        let share = if gap {
            Share::Gap
        } else {
            self.stage.share(track, cell)
        };
        // A track that is as far ahead as it may be waits.
        if let Ok(Progress::Published { .. }) = self.stage.timeline.share(track, cell, share) {
            self.look();
        }
    }

    /// The cell after what is published.
    fn next(&self) -> Cell {
        self.stage.timeline.newest().map_or(self.floor, Cell::next)
    }

    fn live(&mut self, step: Step) {
        let grid = self.stage.grid;
        match step {
            Step::Cells(cells) => {
                (0..cells).for_each(|_| (0..URIS.len()).for_each(|track| self.deliver(track, false)));
            }
            Step::Gaps(gaps) => gaps
                .into_iter()
                .enumerate()
                .for_each(|(track, gap)| self.deliver(track, gap)),
            Step::Ahead(track, cells) => {
                let others = (0..URIS.len()).filter(|other| *other != track);
                let order = std::iter::once(track).chain(others);
                order.for_each(|track| (0..cells).for_each(|_| self.deliver(track, false)));
            }
            Step::Ladder { pause, changed } => {
                self.ladders += 1;
                self.name += u64::from(changed);
                let first = Cell(self.next().0 + pause);
                let wanted = self
                    .stage
                    .take_over(life(&self.name.to_string(), first, self.ladders));
                assert!(wanted >= first);
            }
            Step::Cue {
                id,
                kind,
                ahead,
                lasts,
            } => {
                let at = grid.frame_time(grid.first_frame(self.next())) + Duration::from_secs(ahead);
                // rfc8216bis §6.2.1: IDs are never used again.
                let id = match kind {
                    MarkKind::In => format!("{id}"),
                    MarkKind::Out | MarkKind::Plain => format!("{id}-{}", self.next()),
                    MarkKind::More | MarkKind::Cancel => {
                        let known = self.stage.timeline.dates().iter().cycle();
                        known
                            .skip(id.into())
                            .map(|range| range.id.clone())
                            .next()
                            .unwrap_or_default()
                    }
                };
                let _marked_or_not = self.stage.timeline.mark(Mark {
                    id,
                    class: None,
                    at,
                    kind,
                    duration: lasts.map(Duration::from_secs),
                    section: Vec::new(),
                    trigger: None,
                    attributes: vec![(format!("N-{}", self.next()), Value::Number(1))],
                });
            }
            Step::Restart => {
                let Some(newest) = self.stage.timeline.newest() else {
                    return;
                };
                self.ladders += 1;
                let first = grid.first_cell(grid.msn(newest).next());
                let mut anew = Stage::new(grid, first, self.window);
                let config = anew.timeline.config.clone();
                anew.timeline = Timeline::new(config, life(&self.name.to_string(), first, self.ladders));
                (self.stage, self.restarted, self.floor) = (anew, true, first);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_happens_every_playlist_follows_the_one_before(
        grid in grids(), offset in 0u64..12, steps in steps(), window in 20u64..100,
    ) {
        let window = Duration::from_secs(window);
        let mut all = Life {
            stage: Stage::new(grid, Cell(FIRST + offset), window),
            window,
            seen: Default::default(),
            ladders: 0,
            name: 0,
            restarted: false,
            floor: Cell(FIRST + offset),
        };
        all.live(Step::Cells(8));
        steps.into_iter().for_each(|step| all.live(step));
        all.live(Step::Cells(8));
        all.stage.timeline.end();
        all.look();
        prop_assert!(all.seen.iter().all(|seen| seen.texts.last().unwrap().1.ends_with("#EXT-X-ENDLIST\n")));
    }
}
