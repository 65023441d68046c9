//! A process with an open port and a live publisher ends by itself, however it ends.
//!
//! Its own `main`, which starts itself again as the process to be watched.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use srt::{End, Flow, Listener, Options, Sink, Verdict};

const CHILD: &str = "SRT_EXIT_TEST_WAY";

fn main() -> ExitCode {
    if let Ok(way) = std::env::var(CHILD) {
        return child(&way);
    }
    for (way, code) in [("drop", 3), ("return", 4), ("exit", 5), ("exit in a sink", 6)] {
        watch(way, code);
    }
    ExitCode::SUCCESS
}

struct Tell(mpsc::SyncSender<()>, bool);

impl Sink for Tell {
    fn data(&mut self, _: Bytes) -> Flow {
        if self.1 {
            std::process::exit(6);
        }
        match self.0.try_send(()) {
            // The first is enough.
            Ok(()) | Err(mpsc::TrySendError::Full(())) => Flow::Taken,
            Err(mpsc::TrySendError::Disconnected(())) => Flow::Close,
        }
    }

    fn end(&mut self, end: End) {
        eprintln!("{end:?}");
    }
}

fn child(way: &str) -> ExitCode {
    let options = Options {
        listen: ([127, 0, 0, 1], 0).into(),
        ..Options::default()
    };
    let (tell, told) = mpsc::sync_channel(1);
    let inside = way == "exit in a sink";
    let accept = Arc::new(|_: &srt::Request| Verdict::Accept {
        passphrase: None,
        tag: (),
    });
    let listener = Listener::bind(&options, accept, move |_, ()| {
        Box::new(Tell(tell.clone(), inside)) as Box<dyn Sink>
    })
    .expect("a free port");
    eprintln!("{}", listener.address());
    told.recv_timeout(Duration::from_secs(20)).expect("a publisher");
    eprintln!("now");
    match way {
        "drop" => {
            drop(listener);
            ExitCode::from(3)
        }
        "return" => {
            std::mem::forget(listener);
            ExitCode::from(4)
        }
        _ => std::process::exit(5),
    }
}

fn watch(way: &str, code: i32) {
    let own = std::env::current_exe().expect("its own path");
    let mut child = Command::new(own)
        .env(CHILD, way)
        .stderr(Stdio::piped())
        .spawn()
        .expect("itself again");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let address = lines.next().expect("an address").expect("text");
    let mut publisher = Command::new("ffmpeg")
        .args([
            "-nostdin",
            "-loglevel",
            "quiet",
            "-re",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=160x90",
        ])
        .args(["-t", "30", "-c:v", "mpeg2video", "-f", "mpegts"])
        .arg(format!("srt://{address}?streamid=x&latency=20000"))
        .spawn()
        .expect("ffmpeg is installed");
    // The word that it ends, or the end of its output.
    let inside = lines.next().is_none();
    let begun = Instant::now();
    let status = ended(&mut child, begun + Duration::from_secs(2));
    drop(publisher.kill());
    drop(publisher.wait());
    let status = status.unwrap_or_else(|| panic!("{way}: still there after two seconds"));
    assert_eq!(status, Some(code), "{way}");
    let told: Vec<String> = lines.map_while(Result::ok).collect();
    let end = if inside { "" } else { "Listener" };
    assert_eq!(told.concat(), end, "{way}: what the sink was told");
}

/// Its exit code, if it ends before `deadline`; killed otherwise.
fn ended(child: &mut Child, deadline: Instant) -> Option<Option<i32>> {
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("our child") {
            return Some(status.code());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(child.kill());
    drop(child.wait());
    None
}
