use proptest::prelude::*;

use super::*;

fn table() -> (Table<u8>, Instant) {
    #[expect(
        clippy::disallowed_methods,
        reason = "an Instant can only be had from the clock; tests add to it"
    )]
    let now = Instant::now();
    let limits = Limits {
        flights: 4,
        grounded: 3,
        ..Limits::default()
    };
    (Table::new(limits), now)
}

#[test]
fn the_first_leads_and_the_crowd_waits() {
    let (mut table, now) = table();
    assert_eq!(table.join(now, &1), Join::Lead);
    for _ in 0..5_000 {
        assert_eq!(table.join(now, &1), Join::Wait);
    }
    assert_eq!(table.settle(now, &1, Outcome::Landed), 5_000);
    assert_eq!(
        table.join(now, &1),
        Join::Lead,
        "a landed key is the cache's business"
    );
}

#[test]
fn a_flight_that_never_ends_is_never_led_twice() {
    let (mut table, now) = table();
    assert_eq!(table.join(now, &1), Join::Lead);
    assert_eq!(table.join(now + Duration::from_secs(3_600), &1), Join::Wait);
}

#[test]
fn failures_and_misses_are_not_asked_again_at_once() {
    let (mut table, now) = table();
    for (outcome, refusal) in [
        (Outcome::Failed, Refusal::Failed),
        (Outcome::Missing, Refusal::Missing),
    ] {
        assert_eq!(table.join(now, &1), Join::Lead);
        table.settle(now, &1, outcome);
        assert_eq!(table.join(now, &1), Join::Refuse(refusal));
        let later = now + Duration::from_secs(2);
        assert_eq!(table.join(later, &1), Join::Lead);
        table.settle(later, &1, Outcome::Landed);
    }
}

#[test]
fn at_the_bound_new_keys_are_refused_and_old_ones_still_shared() {
    let (mut table, now) = table();
    assert!((0..4).all(|key| table.join(now, &key) == Join::Lead));
    assert_eq!(table.join(now, &9), Join::Refuse(Refusal::Crowded));
    assert_eq!(table.join(now, &0), Join::Wait);
}

proptest! {
    /// Whatever happens in whatever order: one leader a key, memory within the bounds.
    #[test]
    fn one_leader_at_a_time(steps in prop::collection::vec((0u8..12, 0u8..4, 0u64..500), 0..300)) {
        let (mut table, mut now) = table();
        let mut led = BTreeSet::new();
        for (key, what, ms) in steps {
            now += Duration::from_millis(ms);
            match what {
                0 if led.remove(&key) => { table.settle(now, &key, Outcome::Landed); }
                1 if led.remove(&key) => { table.settle(now, &key, Outcome::Missing); }
                2 if led.remove(&key) => { table.settle(now, &key, Outcome::Failed); }
                _ => match table.join(now, &key) {
                    Join::Lead => prop_assert!(led.insert(key), "two leaders"),
                    Join::Wait => prop_assert!(led.contains(&key), "waits for nobody"),
                    Join::Refuse(_) => prop_assert!(!led.contains(&key)),
                },
            }
            prop_assert_eq!(table.flying(), led.len());
            prop_assert!(table.flying() <= 4 && table.grounded.len() <= 3);
            prop_assert_eq!(table.grounded.len(), table.until.len());
        }
    }
}
