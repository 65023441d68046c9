//! A drill by `ringside drill`: many processes, one verdict, and what it says when one of them dies.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{Up, ringside};

const SCENARIO: &str = "viewers = 30
duration_s = 6
workers = 3
lag_ms_max = 2000
[arrivals]
curve = \"ramp\"
over_s = 1
";

fn scenario(dir: &Path, more: &str) -> String {
    let path = dir.join("scenario.toml");
    std::fs::write(&path, format!("{SCENARIO}{more}")).unwrap();
    path.display().to_string()
}

fn result(dir: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(dir.join("result.json")).unwrap()).unwrap()
}

/// An edge without coalescing: every viewer's request reaches the origin, in the edge's name.
fn uncoalesced(origin: String) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        for viewer in socket.incoming() {
            let (viewer, origin) = (viewer.unwrap(), TcpStream::connect(&origin).unwrap());
            let (mut answers, mut to_viewer) = (origin.try_clone().unwrap(), viewer.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut answers, &mut to_viewer));
            std::thread::spawn(move || {
                let (mut origin, requests) = (origin, BufReader::new(viewer));
                for line in requests.lines().map_while(Result::ok) {
                    let named = if line.is_empty() {
                        "ringside-child: leaky\r\n"
                    } else {
                        ""
                    };
                    if origin.write_all(format!("{named}{line}\r\n").as_bytes()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn three_processes_are_one_crowd_with_one_timeline() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path(), &[]);
    let edge = format!("http://{}", up.host("watch_url"));
    let output = dir.path().join("result.json").display().to_string();
    let scenario = scenario(dir.path(), "[slo]\norigin_ratio_max = 1\nunstarted_max = 0\n");
    let ops = up.text("ops_url");
    let arguments = [
        "drill",
        &scenario,
        "--target",
        &edge,
        "--json",
        &output,
        "--origin-ops",
        &ops,
    ];
    assert!(ringside(&arguments).status().unwrap().success());
    let result = result(dir.path());
    assert_eq!(result["tally"]["joined"], 30);
    let seconds = result["timeline"]["seconds"].as_array().unwrap();
    assert!((5..=7).contains(&seconds.len()), "{} seconds", seconds.len());
    let most = seconds
        .iter()
        .map(|second| second["playing"].as_u64().unwrap())
        .max();
    assert_eq!(most, Some(30));
    let total = |key: &str| {
        seconds
            .iter()
            .map(|second| second[key].as_u64().unwrap())
            .sum::<u64>()
    };
    // What is under way when the drill ends is in no second.
    let requests = result["tally"]["requests"].as_u64().unwrap();
    assert!((requests * 3 / 4..=requests).contains(&total("requests")));
    assert_eq!(result["edges"].as_array().unwrap().len(), 1);
    assert_eq!(result["edges"][0]["requests"], result["tally"]["requests"]);

    let leaky = format!("http://{}", uncoalesced(up.host("origin_url")));
    let arguments = [
        "drill",
        &scenario,
        "--target",
        &leaky,
        "--json",
        &output,
        "--origin-ops",
        &ops,
    ];
    assert_eq!(ringside(&arguments).status().unwrap().code(), Some(1));
    let slos = self::result(dir.path())["slos"].clone();
    let ratio = slos
        .as_array()
        .unwrap()
        .iter()
        .find(|slo| slo["slo"] == "origin_ratio_max")
        .unwrap();
    assert!(ratio["measured"].as_f64().unwrap() > 2.0, "{ratio}");
    assert!(up.stop().success());
}

#[test]
fn a_worker_that_dies_makes_the_run_invalid_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path(), &[]);
    let edge = format!("http://{}", up.host("watch_url"));
    let output = dir.path().join("result.json").display().to_string();
    let scenario = scenario(dir.path(), "");
    let mut drill = ringside(&["drill", &scenario, "--target", &edge, "--json", &output])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(drill.stderr.take().unwrap()).lines();
    assert!(said.next().unwrap().unwrap().contains("viewers"));
    let children = format!("/proc/{0}/task/{0}/children", drill.id());
    let deadline = Instant::now() + Duration::from_secs(5);
    let workers = loop {
        let text = std::fs::read_to_string(&children).unwrap();
        let workers: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if workers.len() == 3 {
            break workers;
        }
        assert!(Instant::now() < deadline, "{workers:?}");
    };
    let killed = Command::new("kill").args(["-9", &workers[1]]).status().unwrap();
    assert!(killed.success());
    said.for_each(drop);
    assert_eq!(drill.wait().unwrap().code(), Some(2));
    let because = result(dir.path())["invalid_because"].to_string();
    assert!(
        because.contains("worker 2 of 3 was lost with its viewers: signal: 9"),
        "{because}"
    );
    assert!(because.contains("20 of 30 viewers ran"), "{because}");
    assert!(up.stop().success());
}

#[test]
fn scenarios_are_in_the_binary_by_name() {
    let listed = ringside(&["drill", "--list"]).output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(text.contains("edge-loss") && text.lines().count() == 13, "{text}");
    let refused = ringside(&["drill", "edge-loss", "--target", "http://127.0.0.1:9"])
        .output()
        .unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(64));
    assert!(said.contains("name them with --fleet"), "{said}");
}
