//! Edges that do one thing wrong: a real edge behind something that lies. Each is found, and by its name.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use loadtest::report::{Report, Verdict};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::drill::{drill, edge, going, live};

const SCENARIO: &str = "viewers = 20
duration_s = 8
inspect_every = 2
lag_ms_max = 500
[arrivals]
curve = \"ramp\"
over_s = 1
[[caps]]
bandwidth_max = 1
share = 0.5
[slo]
lateness_ms_p99 = 1500
rebuffer_ratio_max = 0.2
broken_max = 0
";

/// What an edge does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lie {
    /// Nothing.
    None,
    /// A playlist is given for three seconds, whatever was asked for.
    Stale,
    /// A request that should wait is answered at once.
    Early,
    /// One rung shows what was half a second before.
    Misaligned,
}

/// What each path was answered, and when.
type Kept = Arc<Mutex<HashMap<String, (Instant, Vec<u8>)>>>;

impl Lie {
    /// Before an edge; where.
    async fn before(self, edge: SocketAddr) -> SocketAddr {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let (tasks, kept) = (TaskTracker::new(), Kept::default());
        tasks.clone().spawn(async move {
            while let Ok((client, _)) = socket.accept().await {
                let kept = kept.clone();
                tasks.spawn(async move { self.serve(client, edge, &kept).await });
            }
        });
        address
    }

    async fn serve(self, mut client: TcpStream, edge: SocketAddr, kept: &Kept) -> Option<()> {
        let mut server = TcpStream::connect(edge).await.ok()?;
        loop {
            let head = message(&mut client, false).await?;
            let text = String::from_utf8(head).ok()?;
            let path = text.split(' ').nth(1)?.to_owned();
            let name = path.split('?').next()?.to_owned();
            let is_playlist = name.ends_with("media.m3u8");
            let asked = match self {
                Self::Early if is_playlist => name.clone(),
                Self::Misaligned if name.contains("/240p/part-") => earlier(&name)?,
                Self::None | Self::Stale | Self::Early | Self::Misaligned => path.clone(),
            };
            let known = kept.lock().unwrap().get(&name).cloned();
            let fresh = |(at, _): &(Instant, Vec<u8>)| at.elapsed() < Duration::from_secs(3);
            let answer = match known.filter(fresh).filter(|_| self == Self::Stale && is_playlist) {
                Some((_, answer)) => answer,
                None => {
                    server
                        .write_all(text.replacen(&path, &asked, 1).as_bytes())
                        .await
                        .ok()?;
                    let answer = message(&mut server, true).await?;
                    kept.lock()
                        .unwrap()
                        .insert(name, (Instant::now(), answer.clone()));
                    answer
                }
            };
            client.write_all(&answer).await.ok()?;
        }
    }
}

/// The part before this one.
fn earlier(path: &str) -> Option<String> {
    let (folder, name) = path.split_once("/part-")?;
    let number: u64 = name.strip_suffix(".m4s")?.parse().ok()?;
    Some(format!("{folder}/part-{}.m4s", number - 1))
}

/// One request, or one answer with its body.
async fn message(from: &mut TcpStream, has_body: bool) -> Option<Vec<u8>> {
    let (mut bytes, mut room) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.lines().next());
            let length: usize = length
                .filter(|_| has_body)
                .map_or(0, |text| text.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return Some(bytes);
            }
        }
        match from.read(&mut room).await {
            Ok(n @ 1..) => bytes.extend_from_slice(&room[..n]),
            Ok(_) | Err(_) => return None,
        }
    }
}

async fn report(lie: Lie) -> Report {
    let (origin, _publishing) = live().await;
    let (edge, _edge) = edge(origin).await;
    let target = lie.before(edge).await;
    drill(SCENARIO.to_owned(), &[target], None, going()).await
}

fn missed(report: &Report) -> Vec<&str> {
    let missed = report.slos.iter().filter(|judged| !judged.held);
    missed.map(|judged| judged.slo.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_does_nothing_wrong_passes_through_the_same_machinery() {
    let report = report(Lie::None).await;
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.invalid_because);
    assert!(report.tally.inspected > 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_with_stale_playlists_fails_for_parts_that_come_late() {
    let report = report(Lie::Stale).await;
    assert_eq!(report.verdict, Verdict::Fail, "{:?}", report.invalid_because);
    assert!(missed(&report).contains(&"lateness_ms_p99"), "{:?}", report.slos);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_does_not_wait_fails_for_answers_before_their_part() {
    let report = report(Lie::Early).await;
    assert_eq!(
        (report.verdict, missed(&report)),
        (Verdict::Fail, vec!["broken_max"])
    );
    assert_eq!(report.tally.broken.keys().collect::<Vec<_>>(), ["answered early"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rung_that_is_misaligned_fails_by_that_name() {
    let report = report(Lie::Misaligned).await;
    assert_eq!(report.verdict, Verdict::Fail, "{:?}", report.invalid_because);
    assert!(missed(&report).contains(&"broken_max"), "{:?}", report.slos);
    assert!(
        report.tally.broken.contains_key("misaligned"),
        "{:?}",
        report.tally.broken
    );
}
