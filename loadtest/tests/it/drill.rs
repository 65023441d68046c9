//! Small crowds before an edge that is well, late, mute, or another one's contrary.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanout::{Config, Edge};
use hls::time::Profile;
use loadtest::clock::Basis;
use loadtest::report::{Report, Verdict};
use loadtest::{Error, Order};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::proxy::Proxy;
use crate::stage::{Stage, grid};

const SCENARIO: &str = "viewers = 30
duration_s = 8
inspect_every = 5
[arrivals]
curve = \"ramp\"
over_s = 1
[mix]
hlsjs = 1
shaka = 1
";

/// An origin that publishes a part every half second.
pub(crate) async fn live() -> (SocketAddr, DropGuard) {
    live_of(Stage::running(0).await, Duration::from_millis(500))
}

fn live_of(mut stage: Stage, part: Duration) -> (SocketAddr, DropGuard) {
    let origin = stage.reader.origin;
    let end = CancellationToken::new();
    let ended = end.clone();
    TaskTracker::new().spawn(async move {
        let mut ticks = interval(part);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while !ended.is_cancelled() {
            ticks.tick().await;
            stage.feed(1).await;
        }
    });
    (origin, end.drop_guard())
}

pub(crate) async fn edge(parent: SocketAddr) -> (SocketAddr, DropGuard) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = Config::default();
    (config.http.listen, config.https.listen) = (any, any);
    config.parents = vec![format!("http://{parent}")];
    let edge = Edge::bind(config, None).await.unwrap();
    let (address, end) = (edge.http_address(), CancellationToken::new());
    TaskTracker::new().spawn(edge.run(end.clone()));
    (address, end.drop_guard())
}

pub(crate) async fn drill(
    scenario: String,
    targets: &[SocketAddr],
    origin: Option<SocketAddr>,
    stop: Arc<AtomicBool>,
) -> Report {
    let url = |address: &SocketAddr| format!("http://{address}");
    let order = Order {
        scenario,
        targets: targets.iter().map(url).collect(),
        origin: origin.as_ref().map(url),
        ..Order::default()
    };
    let played =
        tokio::task::spawn_blocking(move || loadtest::run(&order, &stop, |line| eprintln!("{line}")));
    let report = played.await.unwrap().unwrap();
    eprintln!("{}", report.text());
    report
}

pub(crate) fn going() -> Arc<AtomicBool> {
    Arc::default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_edge_is_found_exactly_as_late_as_it_is_whatever_the_origin_s_clock_says() {
    // Parts of a second: an edge asks for the next one when it has the last, and so is in time to be late by the way alone.
    let mut stage = Stage::start(grid(Profile::Wide, 30, 1, 48_000)).await;
    stage.feed(60).await;
    let (origin, _publishing) = live_of(stage, Duration::from_secs(1));
    let delay = Duration::from_millis(500);
    let way = Proxy {
        delay,
        ..Proxy::default()
    }
    .before(origin)
    .await;
    let ((well, _well), (late, _late)) = (edge(origin).await, edge(way).await);
    // The origin's clock is 100 s behind ours, as everybody sees it.
    let behind = Proxy {
        skew_s: -100,
        ..Proxy::default()
    };
    let clock = Some(behind.before(origin).await);
    let scenario = SCENARIO.replace("duration_s = 8", "duration_s = 12");
    let well = drill(scenario.clone(), &[behind.before(well).await], clock, going()).await;
    let late = drill(scenario, &[behind.before(late).await], clock, going()).await;
    for report in [&well, &late] {
        assert_eq!(report.circumstances.basis, Basis::Probed);
        let offset = report.circumstances.offset_us;
        assert!((100_000_000..100_100_000).contains(&offset), "{offset}");
        assert_eq!(
            (report.measures.viewers, report.measures.unstarted),
            ([30; 3], Some(0.0))
        );
        assert!(
            report.tally.inspected > 50 && report.tally.broken.is_empty(),
            "{:?}",
            report.tally.broken
        );
        assert!(report.tally.errors.is_empty(), "{:?}", report.tally.errors);
        assert!(
            report.tally.lateness.count() > 200,
            "{}",
            report.tally.lateness.count()
        );
    }
    let p50 = |report: &Report| report.measures.lateness_ms[0].unwrap();
    assert!(p50(&well) < 250.0, "{}", p50(&well));
    let added = p50(&late) - p50(&well);
    assert!((450.0..600.0).contains(&added), "500 ms, and {added} were found");
    assert!(p50(&late) >= 500.0, "{}", p50(&late));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_falls_silent_cannot_hide_the_parts_that_never_came() {
    let (origin, _publishing) = live().await;
    let (edge, _edge) = edge(origin).await;
    let mute = Some(Instant::now() + Duration::from_secs(5));
    let target = Proxy {
        mute,
        ..Proxy::default()
    }
    .before(edge)
    .await;
    let scenario = format!("{SCENARIO}[slo]\nlateness_ms_p99 = 1000\nrebuffer_ratio_max = 0.01\n");
    for clock in [Some(origin), None] {
        let report = drill(scenario.clone(), &[target], clock, going()).await;
        if clock.is_some() {
            assert!(report.tally.overdue > 50, "{}", report.tally.overdue);
            assert!(
                report.measures.lateness_ms[2].unwrap() > 1_500.0,
                "{:?}",
                report.measures
            );
            assert!(
                report.measures.rebuffer_ratio.unwrap() > 0.1,
                "{:?}",
                report.measures
            );
        } else {
            // Nobody sees anything any more: what was not measured has not held.
            assert_eq!(
                (report.measures.unstarted, report.measures.lateness_ms[2]),
                (Some(1.0), None)
            );
        }
        assert!(report.slos.iter().all(|judged| !judged.held), "{:?}", report.slos);
        assert_ne!(report.verdict, Verdict::Pass);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edges_that_show_different_things_are_told_apart() {
    let (origin, _publishing) = live().await;
    let ((first, _first), (second, _second)) = (edge(origin).await, edge(origin).await);
    let scenario = format!("{SCENARIO}[slo]\ndivergent_max = 0\n");
    let same = drill(scenario.clone(), &[first, second], None, going()).await;
    assert_eq!(same.measures.divergent, Some(0.0));
    assert!(same.tally.compared > 50, "{}", same.tally.compared);
    let other = Proxy {
        replace: Some((b"DURATION=0.50000", b"DURATION=0.50001")),
        ..Proxy::default()
    };
    let report = drill(scenario, &[first, other.before(second).await], None, going()).await;
    assert!(report.measures.divergent > Some(0.0), "{:?}", report.measures);
    assert_ne!(report.verdict, Verdict::Pass);
    assert_eq!(report.circumstances.basis, Basis::SameMachine);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_stopped_by_hand_says_so() {
    let (origin, _publishing) = live().await;
    let (edge, _edge) = edge(origin).await;
    let stop = going();
    let hand = stop.clone();
    TaskTracker::new().spawn(async move {
        sleep(Duration::from_secs(3)).await;
        hand.store(true, Ordering::Relaxed);
    });
    let report = drill(SCENARIO.to_owned(), &[edge], None, stop).await;
    assert!(
        report.partial && report.tally.joined == 30,
        "{:?}",
        report.measures
    );
    assert_eq!((report.verdict, report.exit_code()), (Verdict::Invalid, 2));
    assert!(report.circumstances.ran_ms < 6_000);
}

#[test]
fn an_order_that_cannot_be_is_refused_with_every_mistake() {
    let order = Order {
        scenario: "viewers = 0\nfoo = 1\n".to_owned(),
        targets: vec!["http://192.0.2.1".to_owned(), "https://127.0.0.1".to_owned()],
        ..Order::default()
    };
    match loadtest::run(&order, &AtomicBool::new(false), |_| ()) {
        Err(Error::Order(mistakes)) => assert_eq!(mistakes.len(), 4, "{mistakes:#?}"),
        other => panic!("{other:?}"),
    }
}
