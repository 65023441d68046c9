//! One rung between the tee and the feed: which of its frames are encoded, and how busy that keeps its encoder.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use hls::id::Cell;

use crate::program::Program;
use crate::push::replay::Replay;

/// Shared by the encoder's two pads, the rung's outlet and the switcher; frames are program frames.
pub(crate) struct Branch {
    index: u16,
    program: Program,
    replay: Arc<Replay>,
    state: Mutex<State>,
    /// Frames the encoder gave.
    encoded: AtomicU64,
    busy_ns: AtomicU64,
    /// The frame after the newest one that came out.
    next: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// First cell not closed by a watermark or a gap.
    open: Cell,
    /// Frames that are not part of the stream; without an end while the rung is off.
    off: Option<Range<u64>>,
    /// Frames are missing before the next one.
    broken: bool,
    /// The gate is shut, so key frames that are asked for are not for this encoder.
    shut: bool,
    /// When the encoder was last handed a frame or gave one.
    touched: Option<Instant>,
}

/// What the gate does with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// It is encoded.
    Yes,
    /// It is encoded, and must be a key frame.
    Key,
    /// It is not.
    No,
}

impl Branch {
    pub(crate) fn new(index: usize, program: Program, replay: Arc<Replay>) -> Self {
        Self {
            index: u16::try_from(index).unwrap_or(u16::MAX),
            program,
            replay,
            state: Mutex::new(State {
                open: Cell(program.epoch.0),
                off: None,
                broken: false,
                shut: false,
                touched: None,
            }),
            encoded: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
            next: AtomicU64::new(program.first_frame),
        }
    }

    /// A frame is about to enter the encoder.
    pub(crate) fn gate(&self, running_ns: u64) -> Pass {
        let frame = self.program.first_frame + self.program.frame_of_running(running_ns);
        let mut state = self.state();
        if state.off.as_ref().is_some_and(|off| off.contains(&frame)) {
            state.shut = true;
            return Pass::No;
        }
        state.touched = Some(Instant::now());
        if std::mem::take(&mut state.shut) {
            Pass::Key
        } else {
            Pass::Yes
        }
    }

    /// Whether a key frame that is asked for is for this encoder.
    pub(crate) fn passes_keys(&self) -> bool {
        !self.state().shut
    }

    /// A frame came out of the encoder.
    pub(crate) fn encoded(&self) {
        let now = Instant::now();
        let since = self.state().touched.replace(now).unwrap_or(now);
        let busy = u64::try_from(now.saturating_duration_since(since).as_nanos()).unwrap_or(u64::MAX);
        self.busy_ns.fetch_add(busy, Ordering::Relaxed);
        self.encoded.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs `push`, which closes cells, unless the frame is not part of the stream. After a hole, of whatever
    /// cause, the stream goes on at a key frame where a GOP starts; cells until then are declared missing.
    pub(crate) fn publish(&self, frame: u64, key: bool, closed: &Range<u64>, push: impl FnOnce()) -> bool {
        let mut state = self.state();
        let next = self.next.fetch_max(frame + 1, Ordering::Relaxed);
        let grid = &self.program.grid;
        let cell = grid.cell_of_frame(frame);
        // An encoder with two threads kept a frame while it was off.
        let is_late = cell < state.open;
        if is_late || state.off.as_ref().is_some_and(|off| off.contains(&frame)) {
            return false;
        }
        state.broken |= frame > next;
        let starts_gop = key && grid.starts_gop(cell) && grid.first_frame(cell) == frame;
        if state.broken && !starts_gop {
            self.declare(&mut state, frame);
            return false;
        }
        state.broken = false;
        push();
        state.open = state.open.max(Cell(closed.end));
        true
    }

    /// From now on nothing of this rung is part of the stream, the open cell included.
    pub(crate) fn shed(&self, frame: u64) {
        let mut state = self.state();
        let first = self.program.grid.first_frame(state.open);
        state.off = Some(first..u64::MAX);
        state.broken = true;
        self.declare(&mut state, frame);
    }

    /// Declares the cells up to that of `frame` missing, as far as the rung is off in them.
    pub(crate) fn miss(&self, frame: u64) {
        self.declare(&mut self.state(), frame);
    }

    /// The rung is part of the stream again from `frame` on, where a GOP starts.
    pub(crate) fn resume(&self, frame: u64) {
        let mut state = self.state();
        let off = state.off.take();
        state.off = off.map(|off| off.start..frame);
        self.next.fetch_max(frame, Ordering::Relaxed);
    }

    /// Media handed on before `frame` that has not come out; none before the first unit.
    pub(crate) fn behind(&self, frame: u64) -> Option<Duration> {
        let waiting = frame.saturating_sub(self.next.load(Ordering::Relaxed));
        let begun = self.encoded.load(Ordering::Relaxed) > 0;
        begun.then(|| self.program.grid.frame_time(waiting))
    }

    fn declare(&self, state: &mut State, frame: u64) {
        let cell = self.program.grid.cell_of_frame(frame);
        if state.open <= cell {
            self.replay.gap(self.index, state.open.0..cell.0 + 1);
            state.open = cell.next();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the branch")
    }
}

/// Media time over busy time of the last seconds.
#[derive(Debug)]
pub(crate) struct Factor {
    /// Frames and busy time at each look, oldest first.
    looks: VecDeque<(u64, u64)>,
    keep: usize,
}

impl Factor {
    /// Over the last `keep` looks.
    pub(crate) fn new(keep: usize) -> Self {
        Self {
            looks: VecDeque::from([(0, 0)]),
            keep: keep.max(1),
        }
    }

    /// None where nothing was encoded.
    pub(crate) fn look(&mut self, branch: &Branch) -> Option<f64> {
        let now = (
            branch.encoded.load(Ordering::Relaxed),
            branch.busy_ns.load(Ordering::Relaxed),
        );
        let frame = branch.program.grid.frame_time(1);
        self.note(now, frame)
    }

    fn note(&mut self, now: (u64, u64), frame: Duration) -> Option<f64> {
        self.looks.push_back(now);
        if self.looks.len() > self.keep + 1 {
            self.looks.pop_front();
        }
        let from = self.looks.front()?;
        let (frames, busy) = (now.0 - from.0, Duration::from_nanos((now.1 - from.1).max(1)));
        #[expect(clippy::cast_precision_loss, reason = "some hundred frames")]
        let media = frames as f64 * frame.as_secs_f64();
        (frames > 0).then(|| media / busy.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_is_media_over_work_and_forgets() {
        let (frame, ms) = (Duration::from_millis(40), 1_000_000);
        let mut factor = Factor::new(2);
        assert_eq!(factor.note((0, 0), frame), None, "nothing encoded");
        let near = |got: Option<f64>, want: f64| assert!((got.unwrap() - want).abs() < 1e-9, "{got:?}");
        near(factor.note((10, 100 * ms), frame), 4.0);
        near(factor.note((20, 500 * ms), frame), 1.6);
        near(factor.note((30, 900 * ms), frame), 1.0);
    }
}
