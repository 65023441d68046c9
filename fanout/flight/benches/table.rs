//! What coalescing costs: a crowd on one key, many keys in turn, and a table that is full of misses.

use std::sync::Arc;
use std::time::Instant;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use flight::{Join, Limits, Outcome, Table};

const WAITERS: u32 = 10_000;
const KEYS: usize = 1_000;

/// Stream, track and number, compared as the keys of an edge are.
type Key = (Arc<str>, Arc<str>, usize);

fn main() {
    divan::main();
}

/// Ten thousand join one flight, with so many flights in the air.
#[divan::bench(args = [1, KEYS])]
fn join_one_key(bencher: Bencher, flights: usize) {
    let (now, keys) = (now(), keys(0..flights));
    let key = keys.last().expect("there is a key");
    let airborne = || {
        let mut table = Table::new(Limits::default());
        assert!(keys.iter().all(|key| table.join(now, key) == Join::Lead));
        table
    };
    let mut table = airborne();
    crowd(&mut table, now, key);
    assert_eq!(table.settle(now, key, Outcome::Landed), WAITERS);
    bencher
        .counter(ItemsCount::new(WAITERS))
        .with_inputs(airborne)
        .bench_local_refs(|table| crowd(table, now, key));
}

/// Every key is led, then every flight lands.
#[divan::bench]
fn join_and_settle_keys(bencher: Bencher) {
    let (now, keys) = (now(), keys(0..KEYS));
    let mut table = Table::new(Limits::default());
    bencher.counter(ItemsCount::new(KEYS)).bench_local(|| {
        for key in black_box(&keys) {
            assert_eq!(table.join(now, key), Join::Lead);
        }
        for key in black_box(&keys) {
            table.settle(now, key, Outcome::Landed);
        }
    });
}

/// Every key turns out missing while the memory of misses is at its bound, none of them expired: each evicts one.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn miss_at_the_bound(bencher: Bencher) {
    let (now, limits) = (now(), Limits::default());
    let (old, new) = (
        keys(0..limits.grounded),
        keys(limits.grounded..limits.grounded + KEYS),
    );
    let full = || {
        let mut table = Table::new(limits);
        miss(&mut table, now, &old);
        table
    };
    bencher
        .counter(ItemsCount::new(KEYS))
        .with_inputs(full)
        .bench_local_refs(|table| miss(table, now, &new));
}

fn crowd(table: &mut Table<Key>, now: Instant, key: &Key) {
    for _ in 0..WAITERS {
        assert_eq!(table.join(now, black_box(key)), Join::Wait);
    }
}

fn miss(table: &mut Table<Key>, now: Instant, keys: &[Key]) {
    for key in keys {
        assert_eq!(table.join(now, key), Join::Lead);
        table.settle(now, key, Outcome::Missing);
    }
}

fn keys(numbers: std::ops::Range<usize>) -> Vec<Key> {
    let (stream, track): (Arc<str>, Arc<str>) = ("main".into(), "360p".into());
    numbers
        .map(|number| (stream.clone(), track.clone(), number))
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "an Instant can only be had from the clock; benches stay at this one"
)]
fn now() -> Instant {
    Instant::now()
}
