//! What players report (CMCD), in queries, headers and POSTs, counted; never part of a key, never a reason to refuse.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gate::cmcd::{REPORT_BYTES_MAX, Report};
use gate::sketch::Sketch;
use hls::id::StreamId;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use listen::Incoming;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::metrics::telemetry::Meter;

/// Where players post reports.
pub(crate) const PATH: &str = "/cmcd";
/// Largest body of a POST, bytes; a larger one is dropped and counted.
const BODY_BYTES_MAX: usize = 4 * REPORT_BYTES_MAX;
/// Of a longer one, so much is read and forgotten; then the connection is closed.
const READ_BYTES_MAX: usize = 4 << 20;
/// Longest a body may take; then it is dropped and counted.
const BODY_WAIT: Duration = Duration::from_secs(5);
/// Viewers are those who have reported within this.
const WINDOW: Duration = Duration::from_secs(60);
/// How often the number of viewers is estimated.
const EVERY: Duration = Duration::from_secs(5);
/// CTA-5004 §3.2.
const HEADERS: [&str; 4] = ["cmcd-request", "cmcd-object", "cmcd-status", "cmcd-session"];

/// Where a report came from, indexes into the labels of its metric.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    Query = 0,
    Header = 1,
    Post = 2,
}

/// The books.
pub(crate) struct Telemetry {
    enabled: bool,
    streams_max: usize,
    started: Instant,
    /// Never held across an await, and for less than a microsecond a report.
    viewers: Mutex<BTreeMap<StreamId, Viewers>>,
    meter: Meter,
}

/// The sessions of one stream, in windows.
#[derive(Default)]
struct Viewers {
    window: u64,
    now: Sketch,
    /// The window before.
    last: Sketch,
}

impl Viewers {
    fn turn(&mut self, window: u64) {
        if window > self.window {
            let now = std::mem::take(&mut self.now);
            self.last = if window == self.window + 1 {
                now
            } else {
                Sketch::default()
            };
            self.window = window;
        }
    }

    /// Those of the last whole window, or of this one while it has more.
    fn current(&self) -> &Sketch {
        if self.last.estimate() >= self.now.estimate() {
            &self.last
        } else {
            &self.now
        }
    }
}

impl Telemetry {
    pub(crate) fn new(enabled: bool, streams_max: usize) -> Self {
        Self {
            enabled,
            streams_max,
            started: Instant::now(),
            viewers: Mutex::default(),
            meter: Meter::new(),
        }
    }

    /// Whether pages are told to report.
    pub(crate) fn is_wanted(&self) -> bool {
        self.enabled
    }

    /// Estimates until `stop`.
    pub(crate) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        if !self.enabled {
            return;
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(EVERY) => {}
            }
            let mut all = Sketch::default();
            for (_, sketch) in self.sketches() {
                all.merge(&sketch);
            }
            self.meter.viewers(all.estimate());
        }
    }

    /// The report in a request that was answered, if there is one.
    pub(crate) fn request(&self, stream: &StreamId, query: &str, headers: &HeaderMap) {
        if !self.enabled {
            return;
        }
        if let Some(report) = Report::of_query(query) {
            self.take(Some(stream), &report, Source::Query);
        }
        let mut report = Report::default();
        for value in HEADERS
            .iter()
            .filter_map(|name| headers.get(*name)?.to_str().ok())
        {
            report.read(value);
        }
        if !report.is_empty() {
            self.take(Some(stream), &report, Source::Header);
        }
    }

    /// The reports of a POST, of streams that `is_known` says are played here.
    pub(crate) async fn post(&self, body: Incoming, is_known: impl Fn(&StreamId) -> bool) {
        let Ok(Some(bytes)) = timeout(BODY_WAIT, read(body)).await else {
            self.meter.dropped.increment(1);
            return;
        };
        if !self.enabled {
            return;
        }
        for report in Report::of_body(&bytes) {
            let stream = report
                .content
                .as_deref()
                .and_then(|name| StreamId::new(name).ok());
            self.take(
                stream.as_ref().filter(|stream| is_known(stream)),
                &report,
                Source::Post,
            );
        }
    }

    fn take(&self, stream: Option<&StreamId>, report: &Report, source: Source) {
        self.meter.report(report, source);
        let (Some(stream), Some(session)) = (stream, &report.session) else {
            return;
        };
        let window = self.window();
        let mut viewers = self.lock();
        if viewers.len() >= self.streams_max && !viewers.contains_key(stream) {
            // Whoever was not heard of in the last window makes room.
            viewers.retain(|_, viewers| viewers.window + 1 >= window);
            if viewers.len() >= self.streams_max {
                self.meter.dropped.increment(1);
                return;
            }
        }
        let viewers = viewers.entry(stream.clone()).or_default();
        viewers.turn(window);
        viewers.now.add(session.as_bytes());
    }

    /// Of each stream, who has reported lately.
    pub(crate) fn sketches(&self) -> Vec<(StreamId, Sketch)> {
        let window = self.window();
        let mut viewers = self.lock();
        viewers.retain(|_, viewers| {
            viewers.turn(window);
            viewers.current().estimate() > 0
        });
        let each = viewers.iter();
        each.map(|(stream, viewers)| (stream.clone(), viewers.current().clone()))
            .collect()
    }

    fn window(&self) -> u64 {
        self.started.elapsed().as_secs() / WINDOW.as_secs()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StreamId, Viewers>> {
        self.viewers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of a body; none of one that is too long, which is read on all the same: who is still writing hears no answer.
async fn read(mut body: Incoming) -> Option<Bytes> {
    let (mut kept, mut length) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else {
            continue;
        };
        length += data.len();
        if length <= BODY_BYTES_MAX {
            kept.extend_from_slice(&data);
        } else if length > READ_BYTES_MAX {
            return None;
        }
    }
    (length <= BODY_BYTES_MAX).then(|| kept.freeze())
}
