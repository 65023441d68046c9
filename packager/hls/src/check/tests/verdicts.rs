//! The reload machine as an origin would run it, judged by the checkers of answers; and machines that are wrong
//! in one point each, which the checkers have to tell from it.

use super::answer::{self, Exchange, Release};
use super::*;
use crate::path::Directives;
use crate::reload::{Position, Verdict};
use proptest::prelude::*;

type Machine = fn(&Position, &Directives) -> Verdict;

/// What happens to the stream while a request waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    GoesOn,
    Ends,
    Stalls,
}

/// Sends `query` to a stream of `cells` cells.
fn exchange(machine: Machine, cells: u64, query: &str, then: Then) -> Exchange {
    let mut stage = Stage::usual();
    stage.feed(cells);
    let before = stage.text(0);
    let answer = |release, status, body: String| Exchange {
        query: query.to_owned(),
        before: before.clone(),
        release,
        ended: then == Then::Ends && release != Release::AtOnce,
        status,
        body,
    };
    let Ok(directives) = Directives::parse(query) else {
        return answer(Release::AtOnce, 400, String::new());
    };
    let mut release = Release::AtOnce;
    for _ in 0..100 {
        let position = stage.timeline.position().unwrap();
        match machine(&position, &directives) {
            Verdict::Ready => return answer(release, 200, stage.text(0)),
            Verdict::TooFar => return answer(release, 400, String::new()),
            Verdict::Unknown => return answer(release, 404, String::new()),
            Verdict::Park => {}
        }
        match then {
            Then::GoesOn => stage.feed(1),
            Then::Ends if stage.media(0).ended => break,
            Then::Ends => stage.timeline.end(),
            Then::Stalls => return answer(Release::Expired(position.longest_wait()), 503, String::new()),
        }
        release = Release::Publication;
    }
    answer(Release::Expired(Duration::from_secs(7)), 503, String::new())
}

/// Queries around the end of a stream of `cells` cells, near and far.
fn queries(cells: u64) -> Vec<String> {
    let last = (160_000_000 + cells - 1) / SEGMENT;
    let mut queries: Vec<String> = [
        "",
        "CMCD=x",
        "_HLS_part=1",
        "_HLS_msn=-1",
        "_HLS_msn=x&_HLS_part=0",
        "_HLS_new=1",
    ]
    .map(str::to_owned)
    .to_vec();
    for msn in (last - 3..last + 5).chain([0, u64::MAX]) {
        queries.push(format!("_HLS_msn={msn}"));
        for part in (0..20).chain([1_000, u64::MAX]) {
            queries.push(format!("_HLS_msn={msn}&_HLS_part={part}"));
        }
    }
    queries
}

const MACHINE: Machine = Position::playlist;

#[test]
fn the_machine_follows_every_rule_at_every_place_in_a_segment() {
    for cells in 10 * SEGMENT..11 * SEGMENT {
        for query in queries(cells) {
            for then in [Then::GoesOn, Then::Ends, Then::Stalls] {
                clean(&answer::check(&exchange(MACHINE, cells, &query, then)));
            }
        }
    }
}

/// All rules that a wrong machine is caught at.
fn caught(machine: Machine, then: Then) -> Vec<u8> {
    let all = (10 * SEGMENT..11 * SEGMENT).flat_map(|cells| {
        queries(cells)
            .into_iter()
            .flat_map(move |query| answer::check(&exchange(machine, cells, &query, then)))
    });
    rules(&all.collect::<Vec<_>>())
}

fn wait(directives: &Directives) -> (u64, Option<u64>) {
    directives.wait.unwrap_or((0, None))
}

#[test]
fn wrong_machines_are_told_from_it() {
    let wrong: [(&str, Machine, Then, &[u8]); 9] = [
        (
            "an MSN alone is its part 0",
            |at, d| match wait(d) {
                (msn, None) if d.wait.is_some() => at.playlist(&Directives {
                    wait: Some((msn, Some(0))),
                    skip: None,
                }),
                _ => at.playlist(d),
            },
            Then::GoesOn,
            &[30],
        ),
        (
            "any part of the segment will do",
            |at, d| match wait(d) {
                (msn, Some(_)) if msn == at.last.0 => Verdict::Ready,
                _ => at.playlist(d),
            },
            Then::GoesOn,
            &[31, 32, 35],
        ),
        (
            "a part beyond a finished segment is refused",
            |at, d| match wait(d) {
                (msn, Some(part)) if at.whole == Some(at.last) && msn == at.last.0 && part > 3 => {
                    Verdict::TooFar
                }
                _ => at.playlist(d),
            },
            Then::GoesOn,
            &[32],
        ),
        (
            "any MSN waits",
            |at, d| match (at.playlist(d), d.wait) {
                (Verdict::TooFar, Some((_, None))) => Verdict::Park,
                (verdict, _) => verdict,
            },
            Then::Stalls,
            &[34],
        ),
        (
            "any part waits",
            |at, d| match (at.playlist(d), wait(d)) {
                (Verdict::TooFar, (msn, Some(_))) if msn <= at.last.0.saturating_add(2) => Verdict::Park,
                (verdict, _) => verdict,
            },
            Then::Stalls,
            &[35],
        ),
        (
            "an old MSN is refused",
            |at, d| match wait(d) {
                (msn, _) if d.wait.is_some() && msn.saturating_add(6) < at.last.0 => Verdict::TooFar,
                _ => at.playlist(d),
            },
            Then::GoesOn,
            &[37],
        ),
        (
            "what is listed waits for the next",
            |at, d| match wait(d) {
                (msn, Some(part)) if msn == at.last.0 && at.part.is_some_and(|last| last.0 == part) => {
                    Verdict::Park
                }
                _ => at.playlist(d),
            },
            Then::Stalls,
            &[37],
        ),
        (
            "the end is a 404",
            |at, _| if at.ended { Verdict::Unknown } else { Verdict::Park },
            Then::Ends,
            &[33, 37, 39, 40],
        ),
        (
            "the end is not noticed",
            |at, d| Position { ended: false, ..*at }.playlist(d),
            Then::Ends,
            &[39],
        ),
    ];
    for (name, machine, then, expected) in wrong {
        let caught = caught(machine, then);
        let hit = caught.iter().any(|rule| expected.contains(rule));
        assert!(hit, "{name}: caught at {caught:?}, expected one of {expected:?}");
    }
}

proptest! {
    #[test]
    fn any_request_at_any_time_is_answered_by_the_rules(
        cells in 1u64..60, msn in 0u64..30, part in proptest::option::of(0u64..30), then in 0usize..3,
    ) {
        let query = Directives { wait: Some((40_000_000 - 8 + msn, part)), skip: None }.query().unwrap();
        let then = [Then::GoesOn, Then::Ends, Then::Stalls][then];
        prop_assert_eq!(answer::check(&exchange(MACHINE, cells, &query, then)), []);
    }
}
