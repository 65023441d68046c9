//! What it takes to answer a crowd that waits for a part: a packager beside a bare loop of writes over as many sockets,
//! in turns. Prints one JSON object; times are in milliseconds from publication to the last byte at the reader, all of it
//! on this machine.
//!
//! `cargo bench -p packager --bench wake -- [CROWD]`, by default 2000.

#![allow(clippy::unwrap_used, reason = "a bench that cannot be run should say so")]
#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program that measures"
)]

#[path = "../tests/it/stage.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod stage;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::sleep;

use hls::time::Profile;

use stage::Stage;

const ROUNDS: usize = 12;
const CROWD_MAX: usize = 9_000;
/// Until all requests of a round are parked.
const SETTLE: Duration = Duration::from_millis(400);

fn main() {
    // Cargo passes `--bench`, too.
    let crowd = std::env::args().find_map(|argument| argument.parse().ok());
    let crowd: usize = crowd.unwrap_or(2_000).clamp(1, CROWD_MAX);
    let server = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let readers = Readers::start();
    let (ours, bare) = server.block_on(measure(crowd, &readers));
    let figures = serde_json::json!({
        "crowd": crowd,
        "rounds": ROUNDS,
        "p50_ms": percentile(&ours, 50),
        "p99_ms": percentile(&ours, 99),
        "bare_p50_ms": percentile(&bare, 50),
        "bare_p99_ms": percentile(&bare, 99),
        "ratio_p99": percentile(&ours, 99) / percentile(&bare, 99),
    });
    println!("{figures}");
}

/// Times of all answers: ours, and those of the bare loop.
async fn measure(crowd: usize, readers: &Readers) -> (Vec<f64>, Vec<f64>) {
    let grid = stage::grid(Profile::Low, 30, 1, 48_000);
    let mut stage = Stage::set(grid, |config| config.origin.connections_max = crowd + 64).await;
    stage.feed(44).await;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut sockets = readers.connect(stage.reader.origin, crowd).await;
    let (mut plain, mut peers) = pairs(crowd, readers).await;
    for _ in 0..ROUNDS {
        let next = stage.next.0;
        let request = format!(
            "GET /live/main/360p/media.m3u8?_HLS_msn={}&_HLS_part={} HTTP/1.1\r\nhost: x\r\n\r\n",
            next / 4,
            next % 4
        );
        let answered = readers.ask(sockets, request.clone());
        sleep(SETTLE).await;
        stage.feed(1).await;
        let (back, times, answer) = answered.await.unwrap();
        sockets = back;
        // When it was published, by the packager itself.
        let available: f64 = header(&answer, "ringside-available").parse().unwrap();
        ours.extend(times.iter().map(|time| (time - available) / 1_000.0));

        let answered = readers.ask(plain, request);
        sleep(SETTLE).await;
        let write = move || {
            let begun = unix_us();
            for peer in &mut peers {
                std::io::Write::write_all(peer, &answer).unwrap();
            }
            (peers, begun)
        };
        let (returned, begun) = tokio::task::spawn_blocking(write).await.unwrap();
        peers = returned;
        let (back, times, _) = answered.await.unwrap();
        plain = back;
        bare.extend(times.iter().map(|time| (time - begun) / 1_000.0));
    }
    (ours, bare)
}

/// Sockets of readers, and their other ends.
async fn pairs(count: usize, readers: &Readers) -> (Vec<TcpStream>, Vec<std::net::TcpStream>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let connected = readers.connect(listener.local_addr().unwrap(), count);
    let accept = async {
        let mut all = Vec::new();
        while all.len() < count {
            let peer = listener.accept().await.unwrap().0.into_std().unwrap();
            peer.set_nonblocking(false).unwrap();
            all.push(peer);
        }
        all
    };
    tokio::join!(connected, accept)
}

/// Sockets, when each had its answer (microseconds of Unix time), and one of the answers.
type Answered = (Vec<TcpStream>, Vec<f64>, Vec<u8>);

/// The crowd, on a thread of its own: the same for both servers.
struct Readers(Runtime);

impl Readers {
    fn start() -> Self {
        Self(
            Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap(),
        )
    }

    async fn connect(&self, to: SocketAddr, count: usize) -> Vec<TcpStream> {
        let connect = async move {
            let mut all = Vec::with_capacity(count);
            while all.len() < count {
                all.push(TcpStream::connect(to).await.unwrap());
            }
            all
        };
        self.0.spawn(connect).await.unwrap()
    }

    /// Every socket asks and waits for its answer.
    fn ask(&self, sockets: Vec<TcpStream>, request: String) -> oneshot::Receiver<Answered> {
        let (done, answered) = oneshot::channel();
        let crowd = async move {
            let mut asking = JoinSet::new();
            for mut socket in sockets {
                let request = request.clone();
                asking.spawn(async move {
                    socket.write_all(request.as_bytes()).await.unwrap();
                    let answer = answer(&mut socket).await;
                    (socket, unix_us(), answer)
                });
            }
            let (mut back, mut times, mut last) = (Vec::new(), Vec::new(), Vec::new());
            while let Some(one) = asking.join_next().await {
                let (socket, time, answer) = one.unwrap();
                back.push(socket);
                times.push(time);
                last = answer;
            }
            assert!(done.send((back, times, last)).is_ok(), "somebody measures");
        };
        drop(self.0.spawn(crowd));
        answered
    }
}

/// Head and body of one answer.
async fn answer(socket: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::with_capacity(16 << 10);
    loop {
        let read = socket.read_buf(&mut all).await.unwrap();
        assert!(read > 0, "the server left");
        let Some(head) = all.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let length: usize = header(&all, "content-length").parse().unwrap();
        if all.len() >= head + 4 + length {
            return all;
        }
    }
}

fn header(answer: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    assert!(text.starts_with("http/1.1 200"), "{text}");
    let value = text.split(&format!("\r\n{name}: ")).nth(1).unwrap();
    value.split('\r').next().unwrap().to_owned()
}

#[allow(clippy::cast_precision_loss, reason = "microseconds of this century fit")]
fn unix_us() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as f64
}

fn percentile(times: &[f64], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    (sorted[at] * 100.0).round() / 100.0
}
