//! A link of a real edge is cut in mid-drill: what the crowd felt, when it was well again, and what is said where it was not.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use loadtest::fleet::{Listed, Way};
use loadtest::report::{Report, Verdict};
use loadtest::{Error, Order};

use crate::drill::{edge, going, live};

const SCENARIO: &str = "viewers = 20
duration_s = 16
lag_ms_max = 500
[arrivals]
curve = \"ramp\"
over_s = 1
[[faults]]
at_s = 4
for_s = 4
kind = \"partition\"
node = \"edge\"
recover_s = 5
";

async fn drill(scenario: &str) -> Report {
    let (origin, _publishing) = live().await;
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let listen = free.local_addr().unwrap();
    drop(free);
    let (edge, _edge) = edge(listen).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fleet.json");
    std::fs::write(&path, serde_json::to_vec(&fleet(edge, listen, origin)).unwrap()).unwrap();
    let order = Order {
        scenario: scenario.to_owned(),
        fleet: Some(path),
        ..Order::default()
    };
    let played = tokio::task::spawn_blocking(move || loadtest::run(&order, &going(), |_| ()));
    let report = played.await.unwrap().unwrap();
    eprintln!("{}", report.text());
    report
}

fn fleet(edge: SocketAddr, listen: SocketAddr, to: SocketAddr) -> Listed {
    Listed {
        targets: vec![format!("http://{edge}")],
        links: vec![Way {
            name: "edge".to_owned(),
            listen,
            to,
        }],
        ..Listed::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_link_is_felt_and_recovered_from() {
    let report = drill(SCENARIO).await;
    let timeline = report.timeline.as_ref().unwrap();
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.invalid_because);
    let stalls: u32 = timeline.seconds.iter().map(|second| second.stalls).sum();
    assert!(stalls >= 20, "nobody felt it: {stalls}");
    let calm = timeline.seconds.iter().filter(|second| second.t < 4);
    assert_eq!(calm.map(|second| second.stalls).sum::<u32>(), 0);
    let [mark] = &timeline.marks[..] else {
        panic!("{:?}", timeline.marks);
    };
    assert!(
        (4.0..4.5).contains(&mark.t) && mark.until.is_some_and(|until| until >= 8.0),
        "{mark:?}"
    );
    assert!(mark.recovered_s.is_some_and(|took| took <= 5.0), "{mark:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_that_is_not_recovered_from_fails_the_drill_by_its_name() {
    let report = drill(&format!("{SCENARIO}[well]\nlateness_ms_p99 = 0.001\n")).await;
    assert_eq!(report.verdict, Verdict::Fail, "{:?}", report.invalid_because);
    let text = report.text();
    assert!(text.contains("MISSED   partition edge at 4"), "{text}");
}

#[test]
fn faults_without_a_fleet_do_not_begin() {
    let order = Order {
        scenario: SCENARIO.to_owned(),
        targets: vec!["http://127.0.0.1:9".to_owned()],
        ..Order::default()
    };
    match loadtest::run(&order, &going(), |_| ()) {
        Err(Error::Order(mistakes)) => assert!(mistakes[0].contains("--fleet"), "{mistakes:?}"),
        other => panic!("{other:?}"),
    }
}
