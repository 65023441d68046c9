//! A link between two tiers that a drill can make slow, silent or broken: plain TCP, one proxy each.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Connections through one link; further ones are refused and counted.
const CONNECTIONS_MAX: usize = 64;
/// Reads under way in one direction of a connection; beyond it the sender has to wait, as on a full network.
const READS_MAX: usize = 256;
/// Read at once.
const READ_BYTES: usize = 64 << 10;
/// How soon a change is felt, and the end.
const LOOK: Duration = Duration::from_millis(10);

/// What a link does to what passes; nothing by default.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Toxic {
    /// Added to each way.
    pub latency: Duration,
    /// Thousand bits per second of each connection and way.
    pub kbps: Option<f64>,
    /// Nothing passes; what was sent passes afterwards.
    pub blackhole: bool,
    /// Connections are cut, and new ones refused.
    pub reset: bool,
}

/// A link; it is cut when dropped.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    to: SocketAddr,
    toxic: Mutex<Toxic>,
    open: Mutex<BTreeMap<u64, [TcpStream; 2]>>,
    refused: AtomicU64,
    ended: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// Begins to pass on what comes to `listen`.
    pub fn open(listen: SocketAddr, to: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(listen)?;
        socket.set_nonblocking(true)?;
        let state = Arc::new(State {
            to,
            toxic: Mutex::default(),
            open: Mutex::default(),
            refused: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let (address, own) = (socket.local_addr()?, state.clone());
        thread::spawn(move || own.accept(&socket));
        Ok(Self { address, state })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub fn set(&self, toxic: Toxic) {
        *lock(&self.state.toxic) = toxic;
        if toxic.reset {
            self.state.cut();
        }
    }

    /// Connections that were refused: too many, or during a reset, or nobody answered.
    pub fn refused(&self) -> u64 {
        self.state.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        self.state.cut();
    }
}

impl State {
    fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn cut(&self) {
        for stream in lock(&self.open).values().flatten() {
            // One that the other end has closed cannot be.
            let _closed = stream.shutdown(Shutdown::Both);
        }
    }

    fn accept(self: &Arc<Self>, socket: &TcpListener) {
        for number in 0.. {
            let client = loop {
                match socket.accept() {
                    _ if self.ended() => return,
                    Ok((client, _)) => break client,
                    Err(_) => thread::sleep(LOOK),
                }
            };
            let is_full = lock(&self.open).len() >= CONNECTIONS_MAX;
            if is_full || lock(&self.toxic).reset || self.join(number, client).is_err() {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Two directions of two threads each; the last one to end forgets the connection.
    fn join(self: &Arc<Self>, number: u64, client: TcpStream) -> io::Result<()> {
        client.set_nonblocking(false)?;
        let server = TcpStream::connect_timeout(&self.to, Duration::from_secs(2))?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
        }
        let ways = [
            (client.try_clone()?, server.try_clone()?),
            (server.try_clone()?, client.try_clone()?),
        ];
        lock(&self.open).insert(number, [client, server]);
        let last = Arc::new(Forget(self.clone(), number));
        for (from, to) in ways {
            let (put, take) = sync_channel(READS_MAX);
            let (state, last) = (self.clone(), last.clone());
            thread::spawn(move || read(from, &put));
            thread::spawn(move || {
                state.write(to, &take);
                drop(last);
            });
        }
        Ok(())
    }

    fn write(&self, mut to: TcpStream, take: &Receiver<(Instant, Vec<u8>)>) {
        while let Ok((arrived, bytes)) = take.recv() {
            if !self.hold(arrived, bytes.len()) || to.write_all(&bytes).is_err() {
                break;
            }
        }
        // Gone already, perhaps.
        let _closed = to.shutdown(Shutdown::Write);
    }

    /// Waits until bytes may pass; whether they may at all.
    fn hold(&self, arrived: Instant, bytes: usize) -> bool {
        let began = Instant::now();
        loop {
            let toxic = *lock(&self.toxic);
            if self.ended() || toxic.reset {
                return false;
            }
            let paced = toxic
                .kbps
                .map_or(0.0, |kbps| bytes as f64 * 8.0 / (kbps * 1_000.0));
            let due =
                (arrived + toxic.latency).max(began + Duration::try_from_secs_f64(paced).unwrap_or_default());
            let left = due.saturating_duration_since(Instant::now());
            if toxic.blackhole {
                thread::sleep(LOOK);
            } else if left.is_zero() {
                return true;
            } else {
                thread::sleep(left.min(LOOK));
            }
        }
    }
}

fn read(mut from: TcpStream, put: &SyncSender<(Instant, Vec<u8>)>) {
    let mut room = vec![0; READ_BYTES];
    while let Ok(n @ 1..) = from.read(&mut room) {
        let bytes = room.get(..n).unwrap_or_default().to_vec();
        if put.send((Instant::now(), bytes)).is_err() {
            break;
        }
    }
}

/// Forgets a connection when both of its ways have ended.
struct Forget(Arc<State>, u64);

impl Drop for Forget {
    fn drop(&mut self) {
        let gone = lock(&self.0.open).remove(&self.1);
        for stream in gone.iter().flatten() {
            let _closed = stream.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// A server that gives back what it is given, behind a link.
    fn echo() -> Link {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let socket = TcpListener::bind(any).unwrap();
        let to = socket.local_addr().unwrap();
        thread::spawn(move || {
            for stream in socket.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || io::copy(&mut stream.try_clone().unwrap(), &mut stream));
            }
        });
        Link::open(any, to).unwrap()
    }

    fn client(link: &Link) -> TcpStream {
        let stream = TcpStream::connect(link.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
    }

    fn there_and_back(stream: &mut TcpStream, bytes: usize) -> io::Result<Duration> {
        let began = Instant::now();
        stream.write_all(&vec![7; bytes])?;
        stream.read_exact(&mut vec![0; bytes]).map(|()| began.elapsed())
    }

    #[test]
    fn a_link_is_slow_while_it_is_told_to_be() {
        let link = echo();
        let mut stream = client(&link);
        assert!(there_and_back(&mut stream, 100).unwrap() < Duration::from_millis(90));
        let latency = Duration::from_millis(100);
        link.set(Toxic {
            latency,
            ..Toxic::default()
        });
        assert!(there_and_back(&mut stream, 100).unwrap() >= 2 * latency);
        link.set(Toxic {
            kbps: Some(800.0),
            ..Toxic::default()
        });
        // 10 kB at 100 kB/s, each way.
        assert!(there_and_back(&mut stream, 10_000).unwrap() >= Duration::from_millis(190));
        link.set(Toxic::default());
        assert!(there_and_back(&mut stream, 100).unwrap() < Duration::from_millis(90));
    }

    #[test]
    fn what_falls_into_a_black_hole_comes_out_after_it() {
        let link = echo();
        let mut stream = client(&link);
        there_and_back(&mut stream, 1).unwrap();
        link.set(Toxic {
            blackhole: true,
            ..Toxic::default()
        });
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        assert!(there_and_back(&mut stream, 5).is_err());
        link.set(Toxic::default());
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
    }

    #[test]
    fn a_reset_cuts_and_refuses_until_it_is_over() {
        let link = echo();
        let mut stream = client(&link);
        there_and_back(&mut stream, 1).unwrap();
        link.set(Toxic {
            reset: true,
            ..Toxic::default()
        });
        assert!(there_and_back(&mut stream, 5).is_err());
        assert!(there_and_back(&mut client(&link), 5).is_err());
        assert_eq!(link.refused(), 1);
        link.set(Toxic::default());
        there_and_back(&mut client(&link), 5).unwrap();
    }

    #[test]
    fn a_link_takes_only_so_many_connections_and_forgets_those_that_ended() {
        let link = echo();
        let all: Vec<_> = (0..CONNECTIONS_MAX)
            .map(|_| {
                let mut stream = client(&link);
                there_and_back(&mut stream, 1).unwrap();
                stream
            })
            .collect();
        assert!(there_and_back(&mut client(&link), 1).is_err());
        drop(all);
        let deadline = Instant::now() + Duration::from_secs(5);
        while there_and_back(&mut client(&link), 1).is_err() {
            assert!(Instant::now() < deadline);
        }
    }
}
