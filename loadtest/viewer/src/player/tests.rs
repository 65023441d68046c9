//! Players before a small origin, in virtual time.

mod stage;

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use stage::{Fault, Stage};

fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn setup(habit: Habit) -> Setup {
    Setup {
        path: Arc::from("/live/main/index.m3u8"),
        habit,
        audio: true,
        bandwidth_max: None,
        rate_max: 1.0,
        patience: s(20.0),
        leaves: None,
        rewind: None,
    }
}

#[test]
fn a_viewer_is_small() {
    assert!(size_of::<Player>() <= 1_024, "{}", size_of::<Player>());
}

#[test]
fn hls_js_asks_as_its_request_log_reads() {
    let mut stage = Stage::new(setup(Habit::HlsJs));
    stage.run(s(0.6));
    // The origin is 100 s old: 200 parts, 50 segments; hold-back is 1.5 s.
    let begin = [
        "index.m3u8",
        "low/media.m3u8",
        "audio/media.m3u8",
        "low/media.m3u8?_HLS_msn=50&_HLS_part=0&_HLS_skip=YES",
        "low/init.mp4",
        "audio/media.m3u8?_HLS_msn=50&_HLS_part=0&_HLS_skip=YES",
        "audio/init.mp4",
        "low/part-196.m4s",
        "audio/part-197.m4s",
    ];
    let asked = stage.asked();
    assert_eq!(asked[..begin.len()], begin, "{asked:#?}");
    stage.run(s(10.0));
    let asked = stage.asked();
    let of = |track: &str, what: &str| {
        let own = asked
            .iter()
            .filter(|path| path.starts_with(track) && path.contains(what));
        own.cloned().collect::<Vec<_>>()
    };
    // Undisturbed: each part once, each version once, in order, and never a hint before it is listed.
    let parts = of("audio", "part-");
    let expected: Vec<_> = (197..197 + parts.len())
        .map(|n| format!("audio/part-{n}.m4s"))
        .collect();
    assert_eq!(parts, expected);
    let versions = of("audio", "_HLS_msn");
    let expected: Vec<_> = (0..versions.len())
        .map(|n| {
            format!(
                "audio/media.m3u8?_HLS_msn={}&_HLS_part={}&_HLS_skip=YES",
                50 + n / 4,
                n % 4
            )
        })
        .collect();
    assert_eq!(versions, expected);
    assert_eq!(stage.early, 0, "hls.js never asks for a hinted part");
    assert_eq!(stage.player.state(), State::Playing);
    assert_eq!(stage.score().stalls, 0);
}

#[test]
fn the_network_s_rate_brings_the_better_rung_by_a_rendition_report() {
    let mut stage = Stage::new(setup(Habit::HlsJs));
    stage.run(s(10.0));
    assert_eq!(stage.score().switches, 1);
    let asked = stage.asked();
    let first = asked.iter().find(|path| path.starts_with("high/")).unwrap();
    assert!(
        first.starts_with("high/media.m3u8?_HLS_msn=") && !first.contains("skip"),
        "{first}"
    );
    let mut capped = Stage::new(Setup {
        bandwidth_max: Some(1_000_000),
        ..setup(Habit::HlsJs)
    });
    capped.run(s(10.0));
    assert!(capped.asked().iter().all(|path| !path.starts_with("high/")));
}

#[test]
fn a_slow_network_brings_the_lower_rung_back() {
    let mut stage = Stage::new(setup(Habit::HlsJs));
    stage.run(s(10.0));
    stage.bytes_per_s = 120_000.0;
    stage.run(s(40.0));
    let asked = stage.asked();
    assert!(
        asked.last().unwrap().starts_with("low/")
            || asked[asked.len() - 2].starts_with("low/")
            || asked[asked.len() - 3].starts_with("low/"),
        "{asked:#?}"
    );
    assert!(stage.score().switches >= 2);
}

#[test]
fn shaka_waits_for_the_hinted_part() {
    let mut stage = Stage::new(setup(Habit::Shaka));
    stage.run(s(10.0));
    assert!(stage.early > 10, "{}", stage.early);
    let asked = stage.asked();
    let parts: Vec<_> = asked
        .iter()
        .filter(|path| path.starts_with("audio/part"))
        .collect();
    let expected: Vec<_> = (197..197 + parts.len())
        .map(|n| format!("audio/part-{n}.m4s"))
        .collect();
    assert_eq!(
        parts,
        expected.iter().collect::<Vec<_>>(),
        "each once, hinted or not"
    );
    assert_eq!(stage.score().stalls, 0);
}

#[test]
fn after_a_timeout_hls_js_polls_without_directives() {
    let mut stage = Stage::new(setup(Habit::HlsJs));
    stage.run(s(5.0));
    stage.fault = |path, _| path.contains("_HLS_msn").then_some(Fault::Silence);
    let before = stage.asked().len();
    stage.run(s(16.0));
    let after = stage.asked().split_off(before);
    assert!(
        after
            .iter()
            .any(|path| path.ends_with("audio/media.m3u8?_HLS_skip=YES") || path == "audio/media.m3u8"),
        "{after:#?}"
    );
}

#[test]
fn a_503_is_asked_again_at_exactly_1_2_4_s_and_a_404_never() {
    let mut stage = Stage::new(setup(Habit::HlsJs));
    stage.run(s(5.0));
    stage.fault = |path, _| path.contains("part-").then_some(Fault::Status(503));
    stage.run(s(13.0));
    let own: Vec<_> = stage
        .log
        .iter()
        .filter(|(_, path)| path.contains("audio/part-"))
        .collect();
    let (_, path) = own.iter().find(|(at, _)| *at > s(5.0)).unwrap();
    let same: Vec<f64> = own
        .iter()
        .filter(|(_, p)| p == path)
        .map(|(at, _)| at.as_secs_f64())
        .collect();
    let gaps: Vec<f64> = same
        .windows(2)
        .map(|pair| ((pair[1] - pair[0] - stage::LATENCY.as_secs_f64()) * 1e3).round() / 1e3)
        .collect();
    assert_eq!(gaps, [1.0, 2.0, 4.0]);
    let mut stage = Stage::new(setup(Habit::HlsJs));
    stage.run(s(5.0));
    stage.fault = |path, _| path.contains("audio/part-").then_some(Fault::Status(404));
    stage.run(s(10.0));
    assert_eq!(
        stage.player.ended(),
        Some(End::Failed(Kind::Media, Failure::Status(404)))
    );
}

#[test]
fn a_rung_that_fails_is_left_for_the_other() {
    let mut stage = Stage::new(setup(Habit::HlsJs));
    stage.run(s(8.0));
    stage.fault = |path, _| path.contains("high/").then_some(Fault::Status(404));
    stage.run(s(20.0));
    assert_eq!(
        (stage.player.ended(), stage.player.state()),
        (None, State::Playing)
    );
    assert_eq!(stage.score().switches, 2);
    stage.fault = |path, _| path.contains("low/").then_some(Fault::Status(404));
    stage.run(s(21.0));
    assert!(matches!(
        stage.player.ended(),
        Some(End::Failed(_, Failure::Status(404)))
    ));
}

#[test]
fn an_origin_that_stops_freezes_the_picture_and_is_survived() {
    let mut stage = Stage::new(setup(Habit::HlsJs));
    stage.run(s(6.0));
    stage.stopped = Some((s(6.0), s(9.0)));
    stage.run(s(15.0));
    let score = stage.score();
    assert_eq!(score.stalls, 1, "{score:?}");
    assert!((1.0..3.0).contains(&score.stalled.as_secs_f64()), "{score:?}");
    assert_eq!(stage.player.state(), State::Playing);
}

#[test]
fn catching_up_brings_the_latency_down_to_the_hold_back() {
    let latency = |rate_max| {
        let mut stage = Stage::new(Setup {
            rate_max,
            ..setup(Habit::HlsJs)
        });
        // The first part takes two seconds.
        stage.bytes_per_s = 20_000.0;
        stage.run(s(0.5));
        stage.bytes_per_s = 2_500_000.0;
        stage.run(s(40.0));
        assert_eq!(stage.score().stalls, 0);
        stage.now_media(s(40.0)) - stage.player.position(s(40.0)).unwrap()
    };
    assert!(latency(1.0) > 3_000_000, "{}", latency(1.0));
    // It catches up only while more than a second is ahead, and stops 50 ms short.
    assert!(latency(1.5) < 1_700_000, "{}", latency(1.5));
}

#[test]
fn nobody_waits_for_ever() {
    let mut stage = Stage::new(setup(Habit::Naive));
    stage.fault = |_, _| Some(Fault::Status(503));
    stage.run(s(30.0));
    assert_eq!(stage.player.ended(), Some(End::Impatient));
    assert_eq!(
        stage.log.last().unwrap().0.as_secs(),
        19,
        "and then it asks for nothing"
    );
    let mut stage = Stage::new(Setup {
        leaves: Some(s(7.0)),
        ..setup(Habit::Safari)
    });
    stage.run(s(30.0));
    assert_eq!(stage.player.ended(), Some(End::Satisfied));
    let score = stage.score();
    assert_eq!(score.played + score.stalled + score.start.unwrap(), s(7.0));
}

#[test]
fn a_stream_that_ends_is_played_to_its_end() {
    let mut stage = Stage::new(setup(Habit::HlsJs));
    stage.ends = Some(s(6.0));
    stage.run(s(20.0));
    assert_eq!(stage.player.ended(), Some(End::Over));
    assert_eq!(stage.score().stalls, 0);
}

#[test]
fn rule_109_an_age_takes_who_tunes_in_to_the_live_edge_by_the_second_request() {
    let mut track = Track::new(Lane::Video);
    let listing = Stage::new(setup(Habit::HlsJs)).read("low", s(0.0));
    let mut out = VecDeque::new();
    let mut ask = |age: f64| {
        // Each is as new to it as the first.
        let mut fresh = std::mem::replace(&mut track, Track::new(Lane::Video));
        out.clear();
        fresh.open(s(0.0), Arc::from("/x"), None, Habit::HlsJs, &mut out);
        out.clear();
        fresh.listed(s(0.0), listing.clone(), s(age), Habit::HlsJs, &mut out);
        match out.pop_front() {
            Some(Output::Ask(ask)) => ask
                .path
                .replace("&_HLS_skip=YES", "")
                .replace("?_HLS_skip=YES", ""),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(0.0), "/x?_HLS_msn=50&_HLS_part=0");
    assert_eq!(
        ask(1.6),
        "/x?_HLS_msn=50&_HLS_part=2",
        "1.6 s old, less a part: two parts further"
    );
    assert_eq!(ask(2.6), "/x?_HLS_msn=51&_HLS_part=0");
    assert_eq!(ask(7.0), "/x", "older than three target durations");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Whatever an origin does: one request in a slot, time counted once, no busy loop, silence after the end.
    #[test]
    fn a_player_keeps_its_promises(seed: u64, habit in 0usize..4, audio: bool, rate in 1.0f64..2.0, chaos in 0u64..60, kbps in 50.0f64..20_000.0) {
        let mut stage = Stage::new(Setup { audio, rate_max: rate, ..setup(Habit::ALL[habit]) });
        stage.chaos = Some((Random::new(seed), chaos));
        stage.bytes_per_s = kbps * 125.0;
        stage.run(s(40.0));
        let score = stage.score();
        let until = stage.ended_at.unwrap_or(s(40.0));
        let start = score.start.unwrap_or(until);
        prop_assert!(score.played + score.stalled + start <= until + Duration::from_micros(10), "{score:?}");
        if score.start.is_some() {
            prop_assert!(score.played + score.stalled + start + Duration::from_micros(10) >= until, "{score:?}");
        }
        prop_assert!(stage.log.len() < 6_000, "{}", stage.log.len());
    }
}
