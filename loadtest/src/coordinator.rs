//! Many worker processes as one crowd: their counts added, their seconds in one line, their deaths told.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::{Clock, Offset};
use crate::crowd::{EdgeNow, Plan, Progress};
use crate::tally::Tally;
use crate::timeline::Coarse;
use crate::worker::{SILENCE_MAX, Said, Told, hear, say};

/// How often workers are told of the origin's clock.
const OFFSET_EVERY: Duration = Duration::from_millis(500);
/// Things said and not yet heard; beyond it workers wait, and are late by their own account.
const HEARD_MAX: usize = 1_024;

/// What is heard of workers.
type News = (usize, Option<Said>);

/// A worker process; killed when dropped.
struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    heard: Instant,
    progress: Option<Progress>,
    tally: Option<Box<Tally>>,
    lost: Option<String>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.input = None;
        // One that has ended cannot be killed, and need not.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Worker {
    fn is_at_work(&self) -> bool {
        self.tally.is_none() && self.lost.is_none()
    }

    fn tell(&mut self, told: &Told) {
        // Where it is gone, the end of its output says so.
        let _heard = self.input.as_mut().map(|input| say(input, told));
    }

    fn lose(&mut self, why: String) {
        if self.is_at_work() {
            self.lost = Some(why);
            let _ended = self.child.kill();
        }
    }

    fn end(&mut self) -> String {
        self.child
            .wait()
            .map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

/// Worker processes that are there, and wait for a plan.
pub(crate) struct Workers {
    workers: Vec<Worker>,
    heard: Receiver<News>,
    /// The second that was said last.
    said: u64,
    lateness: Coarse,
}

impl Workers {
    /// Starts so many by `command`, and waits until all are there.
    pub(crate) fn start(command: &[OsString], number: u32) -> io::Result<Self> {
        let (news, heard) = sync_channel(HEARD_MAX);
        let mut workers = Vec::new();
        for number in 0..number {
            workers.push(start(command, usize::try_from(number).unwrap_or(0), &news)?);
        }
        await_all(&mut workers, &heard)?;
        Ok(Self {
            workers,
            heard,
            said: 0,
            lateness: Coarse::default(),
        })
    }

    /// Plays a plan. What workers that were lost counted is lost with them, and the tally says so.
    pub(crate) fn play(
        mut self,
        plan: &Plan,
        clock: Clock,
        offset: &Mutex<Offset>,
        stop: &AtomicBool,
        say: &mut dyn FnMut(&Progress),
    ) -> Tally {
        for (number, worker) in (0..).zip(&mut self.workers) {
            let plan = Plan {
                worker: number,
                ..plan.clone()
            };
            worker.heard = Instant::now();
            worker.tell(&Told::Play(Box::new(plan), clock.wall_us(Duration::ZERO)));
        }
        let (mut told, mut stopped) = (None::<Instant>, false);
        while self.workers.iter().any(Worker::is_at_work) {
            match self.heard.recv_timeout(Duration::from_millis(50)) {
                Ok((number, said)) => self.hear(number, said),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.lose_the_silent();
            if let Some(progress) = self.progress() {
                say(&progress);
            }
            if told.is_none_or(|told| told.elapsed() >= OFFSET_EVERY) {
                told = Some(Instant::now());
                let offset = offset.lock().unwrap_or_else(PoisonError::into_inner).clone();
                self.tell(&Told::Offset(offset));
            }
            if stop.load(Ordering::Relaxed) && !stopped {
                stopped = true;
                self.tell(&Told::Stop);
            }
        }
        self.tally()
    }

    fn hear(&mut self, number: usize, said: Option<Said>) {
        let Some(worker) = self.workers.get_mut(number) else {
            return;
        };
        worker.heard = Instant::now();
        match said {
            Some(Said::Ready(_)) => {}
            Some(Said::Progress(progress)) => {
                self.lateness.merge(&progress.second.lateness);
                worker.progress = Some(*progress);
            }
            Some(Said::Tally(tally)) => worker.tally = Some(tally),
            Some(Said::Broken(why)) => worker.lose(why),
            None if worker.is_at_work() => {
                // What cannot be read is not waited for.
                let _ended = worker.child.kill();
                let how = worker.end();
                worker.lose(how);
            }
            None => {}
        }
    }

    fn tell(&mut self, told: &Told) {
        self.workers
            .iter_mut()
            .filter(|worker| worker.is_at_work())
            .for_each(|worker| worker.tell(told));
    }

    /// They speak every second, and add up within the bound.
    fn lose_the_silent(&mut self) {
        for worker in &mut self.workers {
            if worker.heard.elapsed() > SILENCE_MAX {
                worker.lose(format!("silent for {} s", SILENCE_MAX.as_secs()));
            }
        }
    }

    /// The next second, once every worker has said it.
    fn progress(&mut self) -> Option<Progress> {
        let at_work = || self.workers.iter().filter(|worker| worker.is_at_work());
        let all: Vec<&Progress> = at_work().filter_map(|worker| worker.progress.as_ref()).collect();
        let at_s = all.iter().map(|progress| progress.at_s).min()?;
        if at_s <= self.said || all.len() < at_work().count() {
            return None;
        }
        let mut sum = Progress {
            at_s,
            lateness_ms: [0.5, 0.99].map(|q| self.lateness.ms(q)),
            ..Progress::default()
        };
        for progress in all {
            sum.viewers += progress.viewers;
            sum.playing += progress.playing;
            sum.stalled += progress.stalled;
            sum.requests += progress.requests;
            sum.errors += progress.errors;
            sum.second.merge(&progress.second);
            // The latest of them is what the run is judged by.
            sum.lag_ms_p99 = sum
                .lag_ms_p99
                .into_iter()
                .chain(progress.lag_ms_p99)
                .reduce(f64::max);
            sum.edges.resize(progress.edges.len(), EdgeNow::default());
            for (sum, edge) in sum.edges.iter_mut().zip(&progress.edges) {
                sum.viewers += edge.viewers;
                sum.playing += edge.playing;
                sum.stalled += edge.stalled;
            }
        }
        self.said = at_s;
        Some(sum)
    }

    fn tally(mut self) -> Tally {
        let mut tally = Tally::default();
        let mut lost = BTreeMap::new();
        for (number, worker) in self.workers.iter_mut().enumerate() {
            match worker.tally.take() {
                Some(own) => tally.merge(&own),
                None => {
                    let why = worker.lost.take().unwrap_or_else(|| worker.end());
                    lost.insert(number, why);
                }
            }
        }
        let of = self.workers.len();
        tally.doubts.extend(
            lost.iter().map(|(number, why)| {
                format!("worker {} of {of} was lost with its viewers: {why}", number + 1)
            }),
        );
        tally
    }
}

/// Starts a worker, and a thread that hears it until it ends.
fn start(command: &[OsString], number: usize, news: &SyncSender<News>) -> io::Result<Worker> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::NotFound)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Ctrl-C is for the coordinator, who asks workers what they have.
        .process_group(0)
        .spawn()?;
    let input = child.stdin.take();
    let output = child.stdout.take();
    let news = news.clone();
    thread::spawn(move || {
        let mut output = output.map(BufReader::new);
        loop {
            let said = output.as_mut().and_then(|output| hear(output).ok().flatten());
            let is_last = said.is_none();
            if news.send((number, said)).is_err() || is_last {
                break;
            }
        }
    });
    Ok(Worker {
        child,
        input,
        heard: Instant::now(),
        progress: None,
        tally: None,
        lost: None,
    })
}

/// Nobody begins before all are there.
fn await_all(workers: &mut [Worker], heard: &Receiver<News>) -> io::Result<()> {
    let broken = |why: String| io::Error::other(format!("a worker did not start: {why}"));
    for _ in 0..workers.len() {
        match heard.recv_timeout(SILENCE_MAX) {
            Ok((_, Some(Said::Ready(_)))) => {}
            Ok((number, _)) => {
                return Err(broken(workers.get_mut(number).map_or(String::new(), Worker::end)));
            }
            Err(error) => return Err(broken(error.to_string())),
        }
    }
    Ok(())
}
