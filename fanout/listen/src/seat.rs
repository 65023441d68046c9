//! What is known of one connection: what it does now, and since when. Decides when it has to end; reads no clock.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Limits;
use crate::metrics::Cause;

/// One connection. Times are milliseconds after `epoch` plus one; zero is "not".
#[derive(Debug)]
pub(crate) struct Seat {
    epoch: Instant,
    is_h2: AtomicBool,
    /// Requests whose answers are not all sent.
    under_way: AtomicU32,
    /// Since when nothing is under way.
    idle_since: AtomicU64,
    /// Since when a head is here in part.
    head_since: AtomicU64,
    /// Since when the socket takes no more.
    blocked_since: AtomicU64,
    /// Bytes the socket has taken.
    written: AtomicU64,
    /// HTTP/2 answers, each of which can be stuck while the socket is not. Never held across an await.
    answers: Mutex<Vec<Weak<Ticket>>>,
    ends: OnceLock<Cause>,
    wake: Notify,
}

/// One request under way, until the last byte of its answer has been taken or let go of.
#[derive(Debug)]
pub(crate) struct Ticket {
    seat: Arc<Seat>,
    /// When a byte of the answer last moved.
    moved: AtomicU64,
}

/// What a connection had taken when somebody last looked.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Mark {
    since: u64,
    written: u64,
}

impl Seat {
    pub(crate) fn new(epoch: Instant) -> Self {
        let seat = Self {
            epoch,
            is_h2: AtomicBool::new(false),
            under_way: AtomicU32::new(0),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            blocked_since: AtomicU64::new(0),
            written: AtomicU64::new(0),
            answers: Mutex::default(),
            ends: OnceLock::new(),
            wake: Notify::new(),
        };
        seat.idle_since.store(seat.now(), Ordering::Relaxed);
        seat
    }

    fn now(&self) -> u64 {
        millis(self.epoch.elapsed()).saturating_add(1)
    }

    /// It speaks HTTP/2, where a head has no time of its own: browsers connect long before they ask.
    pub(crate) fn is_http2(&self) {
        self.is_h2.store(true, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
    }

    /// Bytes came.
    pub(crate) fn received(&self) {
        let waits = self.under_way.load(Ordering::Relaxed) == 0 && !self.is_h2.load(Ordering::Relaxed);
        if waits && self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// What came so far was no head.
    pub(crate) fn shook_hands(&self) {
        self.head_since.store(0, Ordering::Relaxed);
    }

    /// The socket took bytes.
    pub(crate) fn sent(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The socket takes no more for now.
    pub(crate) fn is_blocked(&self) {
        if self.blocked_since.load(Ordering::Relaxed) == 0 {
            self.blocked_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Everything there was to send has been taken.
    pub(crate) fn is_drained(&self) {
        self.blocked_since.store(0, Ordering::Relaxed);
    }

    /// A request begins.
    pub(crate) fn begins(self: &Arc<Self>) -> Arc<Ticket> {
        self.head_since.store(0, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        Arc::new(Ticket {
            seat: Arc::clone(self),
            moved: AtomicU64::new(0),
        })
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) == 0
    }

    /// Whether bytes of an answer wait for the socket: TLS keeps some of its own.
    pub(crate) fn has_unsent(&self) -> bool {
        self.blocked_since.load(Ordering::Relaxed) != 0
    }

    /// Since when it could be closed without anybody's loss.
    pub(crate) fn idle_since(&self) -> Option<u64> {
        let could = self.is_idle() && !self.has_unsent() && self.ends.get().is_none();
        could.then(|| self.idle_since.load(Ordering::Relaxed))
    }

    /// Ends it; false where that was said before.
    pub(crate) fn end(&self, cause: Cause) -> bool {
        let is_first = self.ends.set(cause).is_ok();
        if is_first {
            self.wake.notify_one();
        }
        is_first
    }

    /// Why it ends, if it does.
    pub(crate) fn ends(&self) -> Option<Cause> {
        self.ends.get().copied()
    }

    /// Waits until it has to end.
    pub(crate) async fn ended(&self) -> Cause {
        loop {
            if let Some(cause) = self.ends() {
                return cause;
            }
            self.wake.notified().await;
        }
    }

    /// Whether a deadline is over at `now`, milliseconds of the roster; `mark` is what the last look found.
    pub(crate) fn overdue(&self, now: u64, limits: &Limits, mark: &mut Mark) -> Option<Cause> {
        let over = |since: u64, limit: Duration| since != 0 && now.saturating_sub(since) > millis(limit);
        if over(self.head_since.load(Ordering::Relaxed), limits.head) {
            return Some(Cause::HeadLate);
        }
        if self.is_idle() {
            let is_over = over(self.idle_since.load(Ordering::Relaxed), limits.idle);
            return is_over.then_some(Cause::Idle);
        }
        self.slow(now, limits, mark)
            .or_else(|| self.stuck(|moved| over(moved, limits.stall)))
    }

    fn slow(&self, now: u64, limits: &Limits, mark: &mut Mark) -> Option<Cause> {
        if !self.has_unsent() {
            *mark = Mark::default();
            return None;
        }
        let written = self.written.load(Ordering::Relaxed);
        if mark.since == 0 {
            (mark.since, mark.written) = (now, written);
            return None;
        }
        if now - mark.since < millis(limits.stall) {
            return None;
        }
        let took = written - mark.written;
        (mark.since, mark.written) = (now, written);
        match took {
            0 => Some(Cause::Stalled),
            took if limits.rate > 0 && took < limits.least() => Some(Cause::Slow),
            _ => None,
        }
    }

    fn stuck(&self, is_over: impl Fn(u64) -> bool) -> Option<Cause> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_stuck = false;
        answers.retain(|answer| {
            let answer = answer.upgrade();
            is_stuck |= answer
                .as_ref()
                .is_some_and(|answer| is_over(answer.moved.load(Ordering::Relaxed)));
            answer.is_some()
        });
        is_stuck.then_some(Cause::Stalled)
    }
}

impl Ticket {
    /// Its answer is there, and from now on has to move.
    pub(crate) fn answers(self: &Arc<Self>) {
        if !self.seat.is_h2.load(Ordering::Relaxed) {
            // One answer at a time, which moves when the socket does.
            return;
        }
        self.moves();
        let mut answers = self.seat.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|answer| answer.strong_count() > 0);
        answers.push(Arc::downgrade(self));
    }

    /// Bytes of its answer were taken.
    pub(crate) fn moves(&self) {
        if self.seat.is_h2.load(Ordering::Relaxed) {
            self.moved.store(self.seat.now(), Ordering::Relaxed);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.seat.idle_since.store(self.seat.now(), Ordering::Relaxed);
        self.seat.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: fn() -> Limits = || Limits {
        idle: Duration::from_secs(60),
        head: Duration::from_secs(10),
        stall: Duration::from_secs(30),
        rate: 10_000,
        send_buffer: 100_000,
        ..Limits::default()
    };

    async fn after(seat: &Seat, seconds: u64, mark: &mut Mark) -> Option<Cause> {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        seat.overdue(seat.now(), &LIMITS(), mark)
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_from_its_first_byte_and_idling_has_more() {
        let (seat, mut mark) = (Arc::new(Seat::new(Instant::now())), Mark::default());
        assert_eq!(after(&seat, 50, &mut mark).await, None);
        seat.received();
        assert_eq!(after(&seat, 9, &mut mark).await, None);
        seat.received();
        assert_eq!(
            after(&seat, 2, &mut mark).await,
            Some(Cause::HeadLate),
            "a byte now and then buys no time"
        );
        let ticket = seat.begins();
        assert_eq!(after(&seat, 600, &mut mark).await, None, "waiting is not idling");
        drop(ticket);
        assert_eq!(after(&seat, 60, &mut mark).await, None);
        assert_eq!(after(&seat, 1, &mut mark).await, Some(Cause::Idle));
        seat.received();
        seat.is_http2();
        assert_eq!(after(&seat, 20, &mut mark).await, Some(Cause::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_too_little_is_slow_and_who_takes_nothing_is_stalled() {
        let (seat, mut mark) = (Arc::new(Seat::new(Instant::now())), Mark::default());
        let _ticket = seat.begins();
        seat.is_blocked();
        // 10 kB/s over 30 s, less what the kernel takes without a reader.
        let mut taken = Vec::new();
        for bytes in [0, 200_000, 199_999, 0] {
            seat.sent(bytes);
            taken.push(after(&seat, 30, &mut mark).await);
        }
        assert_eq!(taken, [None, None, Some(Cause::Slow), Some(Cause::Stalled)]);
        seat.is_drained();
        assert_eq!(after(&seat, 300, &mut mark).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_stream_is_stuck_though_the_socket_is_not() {
        let (seat, mut mark) = (Arc::new(Seat::new(Instant::now())), Mark::default());
        seat.is_http2();
        let (one, other) = (seat.begins(), seat.begins());
        assert_eq!(after(&seat, 90, &mut mark).await, None, "no answer yet");
        one.answers();
        other.answers();
        assert_eq!(after(&seat, 29, &mut mark).await, None);
        one.moves();
        assert_eq!(after(&seat, 2, &mut mark).await, Some(Cause::Stalled));
        drop(other);
        assert_eq!(after(&seat, 2, &mut mark).await, None);
    }
}
