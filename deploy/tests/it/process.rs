//! A `ringside` process on free loopback ports, and a plain HTTP client.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Sections that listen.
pub(crate) const LISTENERS: [&str; 8] = [
    "ingest.rtmp",
    "ingest.rtmps",
    "ingest.srt",
    "edge.http",
    "edge.https",
    "ops",
    "origin",
    "packager.feed",
];

/// A command for the binary under test.
pub(crate) fn ringside(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringside"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("RUST_LOG");
    command
}

/// `ringside up`, killed when dropped.
pub(crate) struct Up {
    child: Child,
    dir: PathBuf,
    pub(crate) json: serde_json::Value,
}

impl Up {
    /// Starts in `dir` and waits for `up.json`.
    pub(crate) fn start(dir: &Path, settings: &[&str]) -> Self {
        let mut command = ringside(&["up", "--set", &format!("data.dir={}", dir.display())]);
        for name in LISTENERS {
            command.args(["--set", &format!("{name}.listen=127.0.0.1:0")]);
        }
        settings.iter().for_each(|setting| {
            command.args(["--set", setting]);
        });
        let mut child = command
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary was built");
        let path = dir.join("up.json");
        let deadline = Instant::now() + Duration::from_secs(40);
        while !path.exists() {
            assert!(
                child.try_wait().unwrap().is_none(),
                "ringside ended before it was up"
            );
            assert!(Instant::now() < deadline, "not up in time");
            std::thread::sleep(Duration::from_millis(20));
        }
        let json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        Self {
            child,
            dir: dir.to_owned(),
            json,
        }
    }

    pub(crate) fn text(&self, key: &str) -> String {
        self.json[key]
            .as_str()
            .unwrap_or_else(|| panic!("{key} in up.json"))
            .to_owned()
    }

    /// `host:port` of one of the URLs.
    pub(crate) fn host(&self, key: &str) -> String {
        let url = self.text(key);
        url.split('/').nth(2).expect("a URL with a host").to_owned()
    }

    /// The sum of a metric over its labels; 0 where it was never counted.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = get(&self.host("ops_url"), "/metrics").text();
        let lines = text.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Memory in use, bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
    }

    /// SIGTERM; returns how it ended.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(
                    !self.dir.join("up.json").exists(),
                    "up.json outlived a clean exit"
                );
                return status;
            }
            assert!(Instant::now() < deadline, "did not stop in time");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Ended already where the test went well.
        let _gone_is_fine = self.child.kill();
        let _gone_is_fine = self.child.wait();
    }
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A keep-alive HTTP/1.1 connection.
pub(crate) struct Client {
    host: String,
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn new(host: &str) -> Self {
        let stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            host: host.to_owned(),
            stream: BufReader::new(stream),
        }
    }

    pub(crate) fn request(&mut self, method: &str, path: &str) -> Answer {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        self.answer(method, path)
    }

    fn answer(&mut self, method: &str, path: &str) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(
                self.stream.read_line(&mut head).unwrap() > 0,
                "closed in the head of {path}: {head}"
            );
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer {
            status,
            head,
            body: Vec::new(),
        };
        let length = answer
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        if method != "HEAD" {
            answer.body.resize(length, 0);
            self.stream.read_exact(&mut answer.body).unwrap();
        }
        answer
    }

    /// A POST of JSON.
    pub(crate) fn post(&mut self, path: &str, json: &str) -> Answer {
        let (host, length) = (&self.host, json.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{json}"
        );
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        self.answer("POST", path)
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path)
    }
}

/// One GET on a connection of its own.
pub(crate) fn get(host: &str, path: &str) -> Answer {
    Client::new(host).get(path)
}
