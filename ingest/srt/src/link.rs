//! One connection as the reader sees it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::connection::{Connection, End, Flow, Sink};
use crate::counters::{Tally, add};
use crate::ffi::{Epoll, Flag, Interest, PAYLOAD_MAX, Received, Socket};

/// Most bytes handed on at once.
pub(crate) const CHUNK_MAX: usize = 64 << 10;

/// A refused chunk is offered again after this, and a draining connection looked at.
const RETRY: Duration = Duration::from_millis(10);

/// What libsrt still holds is due within the latency; this much later at most.
const DRAIN_SLACK: Duration = Duration::from_millis(250);

/// libsrt notices an idle peer late, and we notice its last packet late; by less than this together.
const IDLE_SLACK: Duration = Duration::from_millis(500);

pub(crate) struct Link {
    connection: Connection,
    sink: Box<dyn Sink>,
    state: State,
    /// A chunk the sink had no room for.
    held: Option<Bytes>,
    packets: u64,
    last_packet: Instant,
}

enum State {
    /// libsrt says when something is due.
    Reading,
    /// The sink is full; libsrt is not asked.
    HeldUp { since: Instant, retry: Instant },
    /// The connection is over, and what arrived before may yet be due.
    Draining {
        end: End,
        until: Instant,
        retry: Instant,
    },
}

/// What all links share.
pub(crate) struct Shared<'a> {
    pub(crate) epoll: &'a Epoll,
    pub(crate) tally: &'a Tally,
    pub(crate) scratch: &'a mut [u8],
    pub(crate) idle: Duration,
    pub(crate) stall_max: Duration,
}

impl Link {
    pub(crate) fn new(connection: Connection, sink: Box<dyn Sink>, now: Instant) -> Self {
        Self {
            connection,
            sink,
            state: State::Reading,
            held: None,
            packets: 0,
            last_packet: now,
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// libsrt has something. `Some` is the end.
    pub(crate) fn ready(&mut self, shared: &mut Shared<'_>, now: Instant) -> Option<End> {
        match self.state {
            State::Reading => self.read(shared, now),
            // Only an end is waited for.
            State::HeldUp { .. } => {
                self.drain(shared, now);
                None
            }
            State::Draining { .. } => None,
        }
    }

    /// Time has passed. `Some` is the end.
    pub(crate) fn tick(&mut self, shared: &mut Shared<'_>, now: Instant) -> Option<End> {
        if self.connection.is_closing() {
            return Some(End::Owner);
        }
        match self.state {
            State::HeldUp { since, retry } if now >= retry => {
                if now.duration_since(since) >= shared.stall_max {
                    return Some(End::Stalled);
                }
                self.resume(shared, since, now)
            }
            State::Draining { end, until, retry } if now >= retry => {
                let retry = now + RETRY;
                self.state = State::Draining { end, until, retry };
                self.drained(shared, now).or((now >= until).then_some(end))
            }
            State::Reading | State::HeldUp { .. } | State::Draining { .. } => None,
        }
    }

    /// Notes whether packets arrive, and keeps the counters that libsrt will not give after the end.
    pub(crate) fn sample(&mut self, now: Instant) {
        let packets = self.connection.stats().packets_received;
        if packets != self.packets {
            self.packets = packets;
            self.last_packet = now;
        }
    }

    /// The end: tells the sink, and lets go of the socket.
    pub(crate) fn end(mut self, end: End, tally: &Tally) {
        let undelivered = self.held.take().map_or(0, |held| held.len());
        add(
            &tally.bytes_undelivered,
            u64::try_from(undelivered).unwrap_or(u64::MAX),
        );
        tally.ended(end);
        self.socket().close();
        let sink = &mut self.sink;
        if catch_unwind(AssertUnwindSafe(|| sink.end(end))).is_err() {
            add(&tally.panics, 1);
        }
        if catch_unwind(AssertUnwindSafe(|| drop(self))).is_err() {
            add(&tally.panics, 1);
        }
    }

    fn read(&mut self, shared: &mut Shared<'_>, now: Instant) -> Option<End> {
        let (length, last) = fill(self.socket(), shared.scratch);
        if let Some(bytes) = shared.scratch.get(..length).filter(|bytes| !bytes.is_empty())
            && let Some(end) = self.offer(shared, Bytes::copy_from_slice(bytes), now)
        {
            return Some(end);
        }
        match last {
            Received::Lost => self.drain(shared, now),
            Received::Failed => return Some(End::Broken),
            Received::Message(_) | Received::Nothing => {}
        }
        None
    }

    fn offer(&mut self, shared: &Shared<'_>, bytes: Bytes, now: Instant) -> Option<End> {
        let sink = &mut self.sink;
        match catch_unwind(AssertUnwindSafe(|| sink.data(bytes))) {
            Ok(Flow::Taken) => None,
            Ok(Flow::Full(bytes)) => {
                self.hold(shared, bytes, now);
                None
            }
            Ok(Flow::Close) => Some(End::Owner),
            Err(_) => {
                add(&shared.tally.panics, 1);
                Some(End::Owner)
            }
        }
    }

    fn hold(&mut self, shared: &Shared<'_>, bytes: Bytes, now: Instant) {
        self.held = Some(bytes);
        if let State::Reading = self.state {
            add(&shared.tally.held_up, 1);
            // Readiness is a level: what is not read would be told again and again.
            // If libsrt no longer knows the socket, the next read says so.
            drop(shared.epoll.change(self.socket(), Interest::End));
            self.state = State::HeldUp {
                since: now,
                retry: now + RETRY,
            };
        }
    }

    fn resume(&mut self, shared: &mut Shared<'_>, since: Instant, now: Instant) -> Option<End> {
        self.state = State::HeldUp {
            since,
            retry: now + RETRY,
        };
        if let Some(bytes) = self.held.take()
            && let Some(end) = self.offer(shared, bytes, now)
        {
            return Some(end);
        }
        if self.held.is_some() {
            return None;
        }
        self.state = State::Reading;
        // If libsrt no longer knows the socket, the read says so.
        drop(shared.epoll.change(self.socket(), Interest::Read));
        self.read(shared, now)
    }

    /// Begins to wait for what arrived before the connection was over: libsrt hands it out when it is due.
    fn drain(&mut self, shared: &Shared<'_>, now: Instant) {
        shared.epoll.remove(self.socket());
        let silent = now.duration_since(self.last_packet) + IDLE_SLACK >= shared.idle;
        let latency = self.socket().get(Flag::ReceiveLatency).unwrap_or_default();
        let latency = Duration::from_millis(u64::try_from(latency).unwrap_or_default());
        self.state = State::Draining {
            end: if silent { End::Idle } else { End::Caller },
            until: now + latency + DRAIN_SLACK,
            retry: now,
        };
    }

    fn drained(&mut self, shared: &mut Shared<'_>, now: Instant) -> Option<End> {
        let State::Draining { end, .. } = self.state else {
            return None;
        };
        if let Some(bytes) = self.held.take()
            && let Some(end) = self.offer(shared, bytes, now)
        {
            return Some(end);
        }
        while self.held.is_none() {
            let (length, _) = fill(self.socket(), shared.scratch);
            let Some(bytes) = shared.scratch.get(..length).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            let bytes = Bytes::copy_from_slice(bytes);
            if let Some(end) = self.offer(shared, bytes, now) {
                return Some(end);
            }
        }
        let left = self.socket().get(Flag::ReceivedPackets).unwrap_or_default();
        (self.held.is_none() && left == 0).then_some(end)
    }

    fn socket(&self) -> Socket {
        self.connection.socket()
    }
}

/// Reads as many messages as are due and fit; also what the last read gave.
fn fill(socket: Socket, scratch: &mut [u8]) -> (usize, Received) {
    let mut length = 0;
    loop {
        let Some(room) = scratch.get_mut(length..).filter(|room| room.len() >= PAYLOAD_MAX) else {
            return (length, Received::Message(0));
        };
        match socket.receive(room) {
            Received::Message(read) => length += read,
            last @ (Received::Nothing | Received::Lost | Received::Failed) => return (length, last),
        }
    }
}
