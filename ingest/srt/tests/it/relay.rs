//! A UDP path that loses, delays and reorders, by a seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the path does to each datagram, either way.
#[derive(Clone, Copy)]
pub(crate) struct Path {
    pub(crate) seed: u64,
    /// Lost, in thousandths.
    pub(crate) loss: u64,
    /// Delayed by `delay`, in thousandths; the others overtake them.
    pub(crate) delayed: u64,
    pub(crate) delay: Duration,
}

impl Path {
    pub(crate) const GOOD: Self = Self {
        seed: 1,
        loss: 0,
        delayed: 0,
        delay: Duration::ZERO,
    };
}

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    pub(crate) lost: Arc<AtomicU64>,
    /// The longest the machine kept the relay from running, in milliseconds.
    pub(crate) stalled_ms: Arc<AtomicU64>,
    /// The code the server refused the caller with, 0 before that.
    pub(crate) refused: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Due, order, bytes, whether upward.
type Held = BinaryHeap<Reverse<(Instant, u64, Vec<u8>, bool)>>;

impl Relay {
    /// One caller's path to `server`.
    pub(crate) fn start(server: SocketAddr, path: Path) -> Self {
        let outer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let inner = UdpSocket::bind("127.0.0.1:0").unwrap();
        for socket in [&outer, &inner] {
            socket.set_nonblocking(true).unwrap();
        }
        inner.connect(server).unwrap();
        let address = outer.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let lost = Arc::new(AtomicU64::new(0));
        let refused = Arc::new(AtomicU64::new(0));
        let stalled_ms = Arc::new(AtomicU64::new(0));
        let (stopped, counted, code) = (Arc::clone(&stop), Arc::clone(&lost), Arc::clone(&refused));
        let stalled = Arc::clone(&stalled_ms);
        let thread =
            std::thread::spawn(move || run(&outer, &inner, path, &stopped, [&counted, &code, &stalled]));
        Self {
            address,
            lost,
            stalled_ms,
            refused,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn run(
    outer: &UdpSocket,
    inner: &UdpSocket,
    path: Path,
    stop: &AtomicBool,
    [lost, refused, stalled_ms]: [&AtomicU64; 3],
) {
    let mut random = path.seed.max(1);
    let mut caller: Option<SocketAddr> = None;
    let mut held = Held::new();
    let mut order = 0;
    let mut buffer = [0; 2048];
    let mut last = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let pause = u64::try_from(last.elapsed().as_millis()).unwrap();
        stalled_ms.fetch_max(pause, Ordering::Relaxed);
        last = Instant::now();
        let mut idle = true;
        for up in [true, false] {
            let length = if up {
                let Ok((length, from)) = outer.recv_from(&mut buffer) else {
                    continue;
                };
                caller = Some(from);
                length
            } else {
                let Ok(length) = inner.recv(&mut buffer) else {
                    continue;
                };
                if let Some(code) = refusal(&buffer[..length]) {
                    refused.store(code, Ordering::Relaxed);
                }
                length
            };
            idle = false;
            if next(&mut random) % 1000 < path.loss {
                lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let late = next(&mut random) % 1000 < path.delayed;
            let due = Instant::now() + if late { path.delay } else { Duration::ZERO };
            order += 1;
            held.push(Reverse((due, order, buffer[..length].to_vec(), up)));
        }
        let now = Instant::now();
        while held.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
            let Some(Reverse((_, _, bytes, up))) = held.pop() else {
                break;
            };
            // A datagram that cannot be sent is one more that is lost.
            if up {
                drop(inner.send(&bytes));
            } else if let Some(caller) = caller {
                drop(outer.send_to(&bytes, caller));
            }
        }
        if idle {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The code in a handshake packet that refuses: its type is 1000 and the code.
fn refusal(packet: &[u8]) -> Option<u64> {
    let word = |at: usize| {
        packet
            .get(at..at + 4)
            .map(|word| u32::from_be_bytes(word.try_into().unwrap()))
    };
    // Connection types of a handshake that goes on are 1, and "negative".
    let kind = word(36).filter(|kind| (1000..1_000_000).contains(kind))?;
    (word(0)? == 0x8000_0000).then_some(u64::from(kind) - 1000)
}

/// xorshift64
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn the_same_seed_loses_the_same() {
    let losses = |seed| -> BTreeMap<usize, bool> {
        let mut state = seed;
        (0..200).map(|n| (n, next(&mut state) % 1000 < 50)).collect()
    };
    assert_eq!(losses(7), losses(7));
    assert_ne!(losses(7), losses(8));
    assert!((1..40).contains(&losses(7).values().filter(|lost| **lost).count()));
}
