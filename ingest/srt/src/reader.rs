//! The one thread that reads all connections of a listener.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::connection::{Connection, End, Sink};
use crate::counters::{Tally, add};
use crate::ffi::{Epoll, Flag, HookToken, Interest, Socket};
use crate::gate::Gate;
use crate::link::{CHUNK_MAX, Link, Shared};
use crate::options::Options;
use crate::process::{self, Inside, Life, Running};

/// Requests to close, full sinks and draining connections are looked at this often.
const TICK: Duration = Duration::from_millis(10);

/// How soon a stop is seen where nobody is in; callers wake it at once.
const IDLE: Duration = Duration::from_millis(100);

/// Counters and failed handshakes are looked at this often.
const SAMPLE: Duration = Duration::from_millis(250);

pub(crate) struct Reader<T> {
    pub(crate) options: Options,
    pub(crate) listener: Socket,
    pub(crate) epoll: Epoll,
    pub(crate) gate: Arc<Gate<T>>,
    pub(crate) hook: HookToken,
    pub(crate) connected: Box<dyn FnMut(Connection, T) -> Box<dyn Sink> + Send>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) open: Arc<RwLock<bool>>,
    pub(crate) life: Arc<Life>,
    pub(crate) running: Running,
}

impl<T: Send> Reader<T> {
    /// Reads until the life is told to stop; then leaves nothing in libsrt.
    pub(crate) fn run(mut self) {
        process::enter(Inside::Reader);
        let mut links = BTreeMap::new();
        let mut scratch = vec![0; CHUNK_MAX];
        let mut ready = Vec::with_capacity(Epoll::READY_MAX);
        let mut next_tick = Instant::now();
        let mut next_sample = next_tick;
        let tick_ms = i64::try_from(TICK.as_millis()).expect("a tick is short");
        while !self.life.is_stopping() {
            if !self.gate.wait(IDLE) {
                continue;
            }
            self.epoll.wait(&mut ready, tick_ms);
            let now = Instant::now();
            for &socket in &ready {
                if socket == self.listener {
                    self.accept(&mut links, now);
                } else {
                    self.serve(&mut links, socket, &mut scratch, |link, shared| {
                        link.ready(shared, now)
                    });
                }
            }
            if now >= next_tick {
                next_tick = now + TICK;
                let all: Vec<Socket> = links.keys().copied().collect();
                for socket in all {
                    self.serve(&mut links, socket, &mut scratch, |link, shared| {
                        link.tick(shared, now)
                    });
                }
            }
            if now >= next_sample {
                next_sample = now + SAMPLE;
                links.values_mut().for_each(|link| link.sample(now));
                self.gate.sweep();
            }
        }
        self.close(links);
    }

    fn serve(
        &self,
        links: &mut BTreeMap<Socket, Link>,
        socket: Socket,
        scratch: &mut [u8],
        step: impl FnOnce(&mut Link, &mut Shared<'_>) -> Option<End>,
    ) {
        let Some(link) = links.get_mut(&socket) else {
            // A level nobody answers would be told for ever.
            self.epoll.remove(socket);
            return;
        };
        let mut shared = Shared {
            epoll: &self.epoll,
            tally: &self.tally,
            scratch,
            idle: Duration::from_millis(self.options.idle_timeout_ms.into()),
            stall_max: Duration::from_millis(self.options.stall_ms_max.into()),
        };
        if let Some(end) = step(link, &mut shared)
            && let Some(link) = links.remove(&socket)
        {
            self.epoll.remove(socket);
            self.gate.leave(link.connection().peer());
            link.end(end, &self.tally);
        }
    }

    fn accept(&mut self, links: &mut BTreeMap<Socket, Link>, now: Instant) {
        while let Some(socket) = self.listener.accept() {
            // One that was swept in the moment before has left the counts already.
            let Some((peer, tag)) = self.gate.claim(socket) else {
                socket.close();
                continue;
            };
            match self.admit(socket, peer, tag) {
                Some((connection, sink)) => {
                    links.insert(socket, Link::new(connection, sink, now));
                }
                None => {
                    self.epoll.remove(socket);
                    socket.close();
                    self.gate.leave(peer);
                }
            }
        }
    }

    fn admit(
        &mut self,
        socket: Socket,
        peer: std::net::SocketAddr,
        tag: T,
    ) -> Option<(Connection, Box<dyn Sink>)> {
        let agreed = socket.get(Flag::ReceiveLatency).unwrap_or(i32::MAX);
        if u32::try_from(agreed).is_ok_and(|agreed| agreed > self.options.latency_ms_max) {
            add(&self.tally.refused_latency, 1);
            return None;
        }
        self.epoll.add(socket, Interest::Read).ok()?;
        let connection = Connection::new(socket, peer, Arc::clone(&self.open));
        let connected = &mut self.connected;
        let sink = catch_unwind(AssertUnwindSafe(|| connected(connection.clone(), tag)));
        let Ok(sink) = sink else {
            add(&self.tally.panics, 1);
            return None;
        };
        add(&self.tally.accepted, 1);
        Some((connection, sink))
    }

    fn close(self, links: BTreeMap<Socket, Link>) {
        // First the port, so that no verdict comes after this.
        self.listener.close();
        for link in links.into_values() {
            link.end(End::Listener, &self.tally);
        }
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = false;
        let Self {
            epoll,
            gate,
            hook,
            connected,
            running,
            life,
            ..
        } = self;
        drop((epoll, hook));
        // Tags and the owner's functions may panic when dropped; libsrt must end all the same.
        drop(catch_unwind(AssertUnwindSafe(|| drop((gate, connected)))));
        drop(running);
        life.end();
    }
}
