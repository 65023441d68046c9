use std::time::Duration;

use super::*;
use crate::clock::Basis;
use crate::scenario::Scenario;
use crate::tally::{Circumstances, Tally};
use crate::timeline::{Second, Timeline};

/// A run of this many seconds; `late` says how late its parts were.
fn run(seed: u64, seconds: u32, late: impl Fn(u32, f64) -> f64) -> Report {
    let mut state = seed;
    let mut chance = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX)
    };
    let mut tally = Tally {
        joined: 100,
        ..Tally::default()
    };
    tally.lag.record(Duration::from_millis(1));
    let seconds = (0..seconds)
        .map(|t| {
            let ms = late(t, chance());
            tally.lateness.record(Duration::from_secs_f64(ms / 1_000.0));
            tally.start.record(Duration::from_secs_f64(0.5 + chance()));
            Second {
                t,
                playing: 100,
                stalls: u32::from(chance() < 0.1),
                lateness_ms_p99: Some(ms),
                latency_ms_p50: Some(1_500.0 + 100.0 * chance()),
                requests: 600,
                errors: u32::from(chance() < 0.05),
                bytes: 10_000_000,
                ..Second::default()
            }
        })
        .collect();
    let circumstances = Circumstances {
        partial: false,
        basis: Basis::SameMachine,
        offset_us: 0,
        probes: 0,
        ran_ms: 60_000,
    };
    let scenario = Scenario {
        viewers: 100,
        baseline_tolerance: Some(0.1),
        ..Scenario::default()
    };
    let mut report = Report::of(scenario, tally, circumstances);
    report.timeline = Some(Timeline {
        seconds,
        marks: Vec::new(),
    });
    report
}

/// Calm and busy spells that come and go, as on a real machine.
fn noise(t: u32, chance: f64) -> f64 {
    100.0 + 40.0 * f64::from(t % 17) / 17.0 + 60.0 * chance
}

#[test]
fn noise_is_no_regression() {
    let mut claims = 0;
    for seed in 0..20 {
        let (old, new) = (run(2 * seed + 1, 60, noise), run(2 * seed + 2, 60, noise));
        let found = Comparison::of(&old, &new);
        assert_eq!(
            (found.figures.len(), found.incomparable.len()),
            (7, 0),
            "{found:?}"
        );
        claims += found
            .figures
            .iter()
            .filter(|c| matches!(c.finding, Finding::Worse | Finding::Better))
            .count();
    }
    // The bands of a comparison hold together with 95 %: of twenty, one may be wrong.
    assert!(claims <= 1, "{claims} claims of nothing");
}

#[test]
fn a_planted_regression_is_named_and_fails_the_run() {
    let old = run(1, 60, noise);
    let mut new = run(2, 60, |t, chance| noise(t, chance) + 80.0);
    new.against(&old);
    let found = new.baseline.as_ref().unwrap();
    let named: Vec<_> = found.intolerable().map(|c| c.figure.as_str()).collect();
    assert_eq!(
        (named.as_slice(), new.verdict),
        (&["lateness_ms"][..], Verdict::Fail),
        "{}",
        found.text()
    );
    assert!(new.text().contains("WORSE than tolerated"), "{}", new.text());

    let mut improved = run(3, 60, |t, chance| noise(t, chance) - 80.0);
    improved.against(&old);
    let found = improved.baseline.as_ref().unwrap();
    assert!(
        found
            .figures
            .iter()
            .any(|c| c.figure == "lateness_ms" && c.finding == Finding::Better)
    );
    assert_eq!(improved.verdict, Verdict::Pass);
}

#[test]
fn what_is_tolerated_is_told_and_does_not_fail() {
    let old = run(1, 60, noise);
    let mut new = run(2, 60, |t, chance| noise(t, chance) + 80.0);
    new.scenario.baseline_tolerance = None;
    new.against(&old);
    let found = new.baseline.as_ref().unwrap();
    assert_eq!((found.regressions().count(), found.intolerable().count()), (1, 0));
    assert_eq!(new.verdict, Verdict::Pass);
    new.scenario.baseline_tolerance = Some(2.0);
    new.against(&old);
    assert_eq!(new.verdict, Verdict::Pass);
}

#[test]
fn one_bad_moment_and_a_short_run_say_nothing() {
    let old = run(1, 60, noise);
    let bump = run(2, 60, |t, chance| {
        noise(t, chance) + if t < 5 { 5_000.0 } else { 0.0 }
    });
    assert_eq!(Comparison::of(&old, &bump).regressions().count(), 0);
    let mut short = run(2, 15, |_, _| 9_000.0);
    short.timeline.as_mut().unwrap().seconds.truncate(15);
    let found = Comparison::of(&old, &short);
    assert!(
        found.figures.iter().all(|c| c.finding == Finding::Unknown),
        "{}",
        found.text()
    );
}

#[test]
fn runs_without_seconds_are_compared_by_their_times() {
    let without = |seed, more: f64| {
        let mut report = run(seed, 60, |t, chance| noise(t, chance) + more);
        report.timeline = None;
        report
    };
    let old = without(1, 0.0);
    assert_eq!(Comparison::of(&old, &without(2, 0.0)).regressions().count(), 0);
    let found = Comparison::of(&old, &without(2, 400.0));
    let named: Vec<_> = found.regressions().map(|c| c.figure.as_str()).collect();
    assert_eq!(named, ["lateness_ms_p50", "lateness_ms_p99"], "{}", found.text());
}

#[test]
fn another_scenario_is_not_compared() {
    let old = run(1, 60, noise);
    let mut new = run(2, 60, noise);
    new.scenario.viewers = 99;
    new.against(&old);
    let found = new.baseline.as_ref().unwrap();
    assert!(found.figures.is_empty());
    assert_eq!(found.incomparable, ["scenario: viewers was 100, and is 99"]);
    assert_eq!(new.verdict, Verdict::Invalid, "a limit that cannot be judged");
    let mut other = run(2, 60, noise);
    (other.scenario.seed, other.scenario.slo.errors_max) = (9, Some(1.0));
    assert!(Comparison::of(&old, &other).incomparable.is_empty());
}
