//! Every rule asked for is a test or has a reason why not.

use std::collections::BTreeMap;

/// Rules that are not tested here, with the reason.
const NOT_HERE: [(u8, &str); 4] = [
    (20, "there are no I-frame playlists"),
    (
        29,
        "round trips of clients are measured on the network; the profiles' part targets are fixed in `hls::time`",
    ),
    (42, "there are no I-frame playlists"),
    (
        45,
        "one upstream request for many viewers is the edge's doing, and tested in fanout",
    ),
];

const SOURCES: [&str; 11] = [
    include_str!("answers.rs"),
    include_str!("bytes.rs"),
    include_str!("fetch.rs"),
    include_str!("playlists.rs"),
    include_str!("refusals.rs"),
    include_str!("reload.rs"),
    include_str!("../../hls/src/check/tests/clock.rs"),
    include_str!("../../hls/src/check/tests/control.rs"),
    include_str!("../../hls/src/check/tests/hints.rs"),
    include_str!("../../hls/src/check/tests/parts.rs"),
    include_str!("../../hls/src/check/tests/siblings.rs"),
];

/// Numbers of the tests in a source, by their names.
fn tests(source: &str) -> Vec<u8> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let named = lines
        .windows(2)
        .filter(|pair| pair[0].starts_with("#[test]") || pair[0].starts_with("#[tokio::test"));
    let names = named.filter_map(|pair| pair[1].trim_start_matches("async ").strip_prefix("fn rule_"));
    names.map(|name| name[..2].parse().unwrap()).collect()
}

#[test]
fn every_rule_is_a_test_or_has_a_reason_exactly_once() {
    let mut found: BTreeMap<u8, u32> = BTreeMap::new();
    let named = SOURCES
        .into_iter()
        .flat_map(tests)
        .chain(NOT_HERE.map(|(rule, _)| rule));
    named.for_each(|rule| *found.entry(rule).or_default() += 1);
    let wrong: Vec<_> = (1..=45)
        .chain(54..=73)
        .filter(|rule| found.get(rule) != Some(&1))
        .collect();
    assert_eq!(
        wrong,
        Vec::<u8>::new(),
        "rules that are neither test nor reason, or more than one"
    );
    assert!(found.values().all(|count| *count == 1), "{found:?}");
    assert_eq!(
        tests("#[test]\nfn rule_07_a() {}\nfn rule_08_b() {}\n#[tokio::test(x)]\nasync fn rule_09_c() {}"),
        [7, 9]
    );
}
