//! The ladder's load as the switcher sees it at every frame, and what is done about it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::branch::{Branch, Factor};
use crate::metrics::Rung;
use crate::program::Program;
use crate::shed::{Load, Order, Rules, Shed};

/// Over which the real-time factor is taken.
const FACTOR_SPAN: Duration = Duration::from_secs(5);

/// All rungs of a ladder.
pub(crate) struct Overload {
    program: Program,
    rungs: Vec<Watched>,
    /// None where nothing is ever shed.
    shed: Option<Shed>,
    since: Instant,
}

struct Watched {
    branch: Arc<Branch>,
    metrics: Rung,
    factor: Factor,
    load: Load,
    off: bool,
}

impl Overload {
    /// `rungs` in the order in which they go.
    pub(crate) fn new(program: Program, rungs: Vec<(Arc<Branch>, Rung)>, rules: Option<Rules>) -> Self {
        let looks = FACTOR_SPAN.as_nanos() / program.grid.cell_duration().as_nanos().max(1);
        let looks = usize::try_from(looks).unwrap_or(usize::MAX);
        let watched = |(branch, metrics): (Arc<Branch>, Rung)| {
            metrics.shed.set(0.0);
            Watched {
                branch,
                metrics,
                factor: Factor::new(looks),
                load: Load {
                    behind: None,
                    factor: None,
                },
                off: false,
            }
        };
        Self {
            program,
            rungs: rungs.into_iter().map(watched).collect(),
            shed: rules.map(Shed::new),
            since: Instant::now(),
        }
    }

    /// Before tick `n` is handed on.
    pub(crate) fn tick(&mut self, n: u64) {
        let (grid, frame) = (&self.program.grid, self.program.first_frame + n);
        let cell = grid.cell_of_frame(frame);
        let cell_starts = grid.first_frame(cell) == frame;
        for rung in &mut self.rungs {
            rung.look(frame, cell_starts);
        }
        let gop_starts = cell_starts && grid.starts_gop(cell);
        let Some(shed) = &mut self.shed else { return };
        let loads: Vec<Load> = self.rungs.iter().map(|rung| rung.load).collect();
        match shed.tick(self.since.elapsed(), &loads, gop_starts) {
            Some(Order::Shed(at)) => {
                let wait = shed.wait();
                let rung = self.rungs.get_mut(at);
                rung.into_iter().for_each(|rung| rung.shed(frame, wait));
            }
            Some(Order::Return(at)) => {
                let rung = self.rungs.get_mut(at);
                rung.into_iter().for_each(|rung| rung.resume(frame));
            }
            None => {}
        }
        // Told when a cell begins, so that packagers never wait for it.
        let off = self.rungs.iter().filter(|rung| rung.off && cell_starts);
        off.for_each(|rung| rung.branch.miss(frame));
    }
}

impl Watched {
    fn look(&mut self, frame: u64, cell_starts: bool) {
        self.load.behind = self.branch.behind(frame);
        if cell_starts {
            self.load.factor = self.factor.look(&self.branch);
            self.metrics.realtime_factor.set(self.load.factor.unwrap_or(0.0));
        }
    }

    fn shed(&mut self, frame: u64, wait: Duration) {
        let behind_ms = self.load.behind.unwrap_or_default().as_millis();
        let factor = self.load.factor;
        tracing::warn!(rung = %self.metrics.id, behind_ms, ?factor, ?wait, "the ladder is too slow: rung shed");
        self.off = true;
        self.metrics.shed.set(1.0);
        self.metrics.sheds.increment(1);
        self.branch.shed(frame);
    }

    fn resume(&mut self, frame: u64) {
        tracing::info!(rung = %self.metrics.id, "rung is back");
        self.off = false;
        self.metrics.shed.set(0.0);
        self.branch.resume(frame);
    }
}
