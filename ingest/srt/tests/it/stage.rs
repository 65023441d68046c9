//! A listener that records what it is sent, and ffmpeg as the caller.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use srt::{Connection, End, Flow, Listener, Options, Passphrase, Refusal, Request, Sink, Verdict};

/// No wait in these tests is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// libsrt and the machine are shared: one test at a time.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What became of one key.
#[derive(Default, Clone)]
pub(crate) struct Record {
    pub(crate) bytes: Vec<u8>,
    pub(crate) chunks: usize,
    pub(crate) chunk_max: usize,
    pub(crate) connections: Vec<Connection>,
    pub(crate) ends: Vec<End>,
    pub(crate) role: Option<String>,
}

#[derive(Default)]
struct Book {
    records: Mutex<BTreeMap<String, Record>>,
    changed: Condvar,
}

/// A listener with its book.
pub(crate) struct Server {
    pub(crate) listener: Listener,
    book: Arc<Book>,
}

/// How the sinks of a server behave.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Take,
    /// Full from the first byte for so long.
    FullFor(Duration),
    Panic,
    CloseAtOnce,
}

struct Recorder {
    key: String,
    book: Arc<Book>,
    manner: Manner,
    since: Instant,
}

impl Recorder {
    fn record(&self, change: impl FnOnce(&mut Record)) {
        let mut records = self.book.records.lock().unwrap();
        change(records.entry(self.key.clone()).or_default());
        drop(records);
        self.book.changed.notify_all();
    }
}

impl Sink for Recorder {
    fn data(&mut self, bytes: Bytes) -> Flow {
        match self.manner {
            Manner::FullFor(time) if self.since.elapsed() < time => return Flow::Full(bytes),
            Manner::Panic => panic!("a sink that panics, on purpose"),
            Manner::CloseAtOnce => return Flow::Close,
            Manner::Take | Manner::FullFor(_) => {}
        }
        self.record(|record| {
            record.bytes.extend_from_slice(&bytes);
            record.chunks += 1;
            record.chunk_max = record.chunk_max.max(bytes.len());
        });
        Flow::Taken
    }

    fn end(&mut self, end: End) {
        self.record(|record| record.ends.push(end));
    }
}

pub(crate) fn options() -> Options {
    Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        ..Options::default()
    }
}

/// Keys `one`, `two`, `three`, `live/four` are known; `safe` wants this passphrase; `held` is taken, `shut` forbidden.
pub(crate) const PASSPHRASE: &str = "correct horse battery";

pub(crate) fn authorize(request: &Request) -> Verdict<(String, Option<String>)> {
    let stream_id = match &request.stream_id {
        Ok(stream_id) => stream_id,
        Err(error) => return Verdict::Refuse((*error).into()),
    };
    let accept = |key: &str, passphrase| Verdict::Accept {
        passphrase,
        tag: (key.to_owned(), stream_id.role.clone()),
    };
    for key in stream_id.key.candidates() {
        match key {
            "one" | "two" | "three" => return accept(key, None),
            "safe" => return accept(key, Some(Passphrase::new(PASSPHRASE).unwrap())),
            "held" => return Verdict::Refuse(Refusal::Conflict),
            "shut" => return Verdict::Refuse(Refusal::Forbidden),
            "boom" => panic!("a verdict that panics, on purpose"),
            _ => {}
        }
    }
    Verdict::Refuse(Refusal::Unauthorized)
}

impl Server {
    pub(crate) fn start(options: &Options) -> Self {
        Self::with(options, Manner::Take)
    }

    pub(crate) fn with(options: &Options, manner: Manner) -> Self {
        let book = Arc::new(Book::default());
        let sinks = Arc::clone(&book);
        let connected = move |connection: Connection, (key, role): (String, Option<String>)| {
            let recorder = Recorder {
                key,
                book: Arc::clone(&sinks),
                manner,
                since: Instant::now(),
            };
            recorder.record(|record| {
                record.connections.push(connection);
                record.role = role;
            });
            Box::new(recorder) as Box<dyn Sink>
        };
        let listener = Listener::bind(options, Arc::new(authorize), connected).unwrap();
        Self { listener, book }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// The record of `key`, once `done` holds of it.
    pub(crate) fn when(&self, key: &str, what: &str, done: impl Fn(&Record) -> bool) -> Record {
        let records = self.book.records.lock().unwrap();
        let (records, timeout) = self
            .book
            .changed
            .wait_timeout_while(records, PATIENCE, |records| !records.get(key).is_some_and(&done))
            .unwrap();
        let record = records.get(key).cloned().unwrap_or_default();
        assert!(
            !timeout.timed_out(),
            "{what}: {key} has {} bytes, {} connections, {:?}",
            record.bytes.len(),
            record.connections.len(),
            record.ends
        );
        record
    }

    pub(crate) fn ended(&self, key: &str) -> Record {
        self.when(key, "no end", |record| !record.ends.is_empty())
    }

    pub(crate) fn flowing(&self, key: &str) -> Record {
        self.when(key, "no data", |record| record.bytes.len() > 20_000)
    }
}

/// Polls a state nobody announces.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Without `linger=3` among the arguments, libsrt's caller forgets what it has not yet sent when it closes: a message
/// or two. With it, it stays until all was handed on.
pub(crate) const UNSENT_MAX: usize = 4 * 1316;

/// ffmpeg, publishing. Killed when dropped.
pub(crate) struct Publisher {
    child: Child,
    log: PathBuf,
    /// What it sent, as it wrote it to a file beside.
    pub(crate) copy: PathBuf,
    _folder: tempfile::TempDir,
}

/// What it publishes.
#[derive(Clone, Copy)]
pub(crate) struct Picture {
    pub(crate) seconds: f64,
    pub(crate) size: &'static str,
    pub(crate) bits: &'static str,
}

pub(crate) const SMALL: Picture = Picture {
    seconds: 60.0,
    size: "160x90",
    bits: "400k",
};

impl Picture {
    pub(crate) fn lasting(self, seconds: f64) -> Self {
        Self { seconds, ..self }
    }
}

impl Publisher {
    /// `arguments` go behind `?` of the SRT address, such as `streamid=one`.
    pub(crate) fn start(to: SocketAddr, arguments: &str, picture: Picture) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let copy = folder.path().join("copy.ts");
        let source = format!("testsrc2=size={}:rate=25", picture.size);
        let seconds = picture.seconds.to_string();
        let outputs = format!(
            "[f=mpegts]{}|[f=mpegts:onfail=abort]srt://{to}?{arguments}&pkt_size=1316",
            copy.display()
        );
        let child = Command::new("ffmpeg")
            .args(["-nostdin", "-hide_banner", "-loglevel", "warning", "-re"])
            .args(["-f", "lavfi", "-i", &source, "-t", &seconds])
            .args(["-c:v", "mpeg2video", "-g", "25", "-b:v", picture.bits])
            .args([
                "-minrate",
                picture.bits,
                "-maxrate",
                picture.bits,
                "-bufsize",
                "1M",
            ])
            .args(["-map", "0:v", "-f", "tee", &outputs])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .expect("ffmpeg is installed");
        Self {
            child,
            log,
            copy,
            _folder: folder,
        }
    }

    pub(crate) fn finish(&mut self) -> ExitStatus {
        let mut status = None;
        until("ffmpeg does not end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn log(&self) -> String {
        read(&self.log)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
}
