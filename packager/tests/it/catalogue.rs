//! Every rule asked for is a test or has a reason why not.

use std::collections::BTreeMap;

/// Rules without a test named after them, with the reason.
const WITHOUT: [(u8, &str); 1] = [(106, "nothing removes a stream while a packager runs")];

const SOURCES: [&str; 25] = [
    include_str!("answers.rs"),
    include_str!("bytes.rs"),
    include_str!("delivery.rs"),
    include_str!("fetch.rs"),
    include_str!("frames.rs"),
    include_str!("playlists.rs"),
    include_str!("refusals.rs"),
    include_str!("reload.rs"),
    include_str!("../../hls/src/check/tests/clock.rs"),
    include_str!("../../hls/src/check/tests/control.rs"),
    include_str!("../../hls/src/check/tests/dates.rs"),
    include_str!("../../hls/src/check/tests/delta.rs"),
    include_str!("../../hls/src/check/tests/features.rs"),
    include_str!("../../hls/src/check/tests/hints.rs"),
    include_str!("../../hls/src/check/tests/multivariant.rs"),
    include_str!("../../hls/src/check/tests/parts.rs"),
    include_str!("../../hls/src/check/tests/siblings.rs"),
    include_str!("../../hls/src/check/tests/verdicts.rs"),
    include_str!("../../hls/src/playlist/delta/tests.rs"),
    include_str!("../../../fanout/listen/tests/it/http2.rs"),
    include_str!("../../../fanout/listen/tests/it/tls.rs"),
    include_str!("../../../fanout/tests/it/delivery.rs"),
    include_str!("../../../fanout/tests/it/leak.rs"),
    include_str!("../../../deploy/tests/it/crowd.rs"),
    include_str!("../../../loadtest/viewer/src/player/tests.rs"),
];

/// Numbers of the tests in a source, by their names.
fn tests(source: &str) -> Vec<u8> {
    let behind = |attribute| source.split(attribute).skip(1);
    let named = behind("#[test]\n").chain(behind("#[tokio::test"));
    let names = named.filter_map(|text| {
        let mut lines = text.lines().map(str::trim);
        lines.find_map(|line| line.trim_start_matches("async ").strip_prefix("fn "))
    });
    let numbers = names.filter_map(|name| name.strip_prefix("rule_")?.split('_').next()?.parse().ok());
    numbers.collect()
}

#[test]
fn every_rule_is_a_test_or_has_a_reason_exactly_once() {
    let mut found: BTreeMap<u8, u32> = BTreeMap::new();
    let without = WITHOUT.map(|(rule, _)| rule);
    let named = SOURCES.into_iter().flat_map(tests).chain(without);
    named.for_each(|rule| *found.entry(rule).or_default() += 1);
    let wrong: Vec<_> = (1..=109).filter(|rule| found.get(rule) != Some(&1)).collect();
    assert_eq!(
        wrong,
        Vec::<u8>::new(),
        "rules that are neither test nor reason, or more than one"
    );
    assert!(found.values().all(|count| *count == 1), "{found:?}");
}

#[test]
fn tests_are_found_by_their_names() {
    let source = "#[test]\nfn rule_07_a() {}\nfn rule_08_b() {}\n#[tokio::test(x)]\nasync fn rule_109_c() {}\n#[test]\nfn d() {}";
    assert_eq!(tests(source), [7, 109]);
}
