//! The doctor: an encoder set wrong, a machine with a taken port, and an operator's hand on what is on air.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::{Client, LISTENERS, Up, get, ringside};

/// ffmpeg on a stream of `up`, killed when dropped.
struct Encoder(Child);

impl Encoder {
    fn start(options: &[&str], output: &[&str]) -> Self {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-hide_banner", "-loglevel", "error", "-nostdin"]);
        for input in [
            "testsrc2=size=320x180:rate=30",
            "sine=frequency=440:sample_rate=48000",
        ] {
            ffmpeg.args(["-re", "-f", "lavfi", "-i", input]);
        }
        ffmpeg.args([
            "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "2",
        ]);
        let child = ffmpeg.args(options).args(output).stdin(Stdio::null()).spawn();
        Self(child.expect("ffmpeg is installed"))
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // Ended already where the server closed it.
        let _gone_is_fine = self.0.kill();
        let _gone_is_fine = self.0.wait();
    }
}

/// The first stream, as the operators' port tells it.
fn stream(up: &Up) -> Value {
    let answer = get(&up.host("ops_url"), "/api/streams");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json: Value = serde_json::from_slice(&answer.body).unwrap();
    json["streams"][0].clone()
}

fn codes(stream: &Value) -> Vec<&str> {
    let findings = stream["contributions"][0]["doctor"]["findings"].as_array();
    let findings = findings.map(Vec::as_slice).unwrap_or_default();
    findings
        .iter()
        .filter_map(|finding| finding["code"].as_str())
        .collect()
}

fn wait(up: &Up, seconds: u64, what: &str, met: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let seen = stream(up);
        if met(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what}: {seen:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn an_encoder_set_wrong_is_told_what_to_set_within_15_s() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path(), &[]);
    let url = format!("{}/{}", up.text("rtmp_server"), up.text("stream_key"));
    let wrong = ["-preset", "ultrafast", "-bf", "2", "-g", "150", "-ar", "44100"];
    let _encoder = Encoder::start(&wrong, &["-f", "flv", &url]);
    let wanted = ["keyframe_interval", "b_frames", "sample_rate"];
    let seen = wait(&up, 15, "findings", |stream| {
        let codes = codes(stream);
        let video = &stream["contributions"][0]["doctor"]["video"];
        wanted.iter().all(|code| codes.contains(code)) && video["keyframe_interval_s"] == 5.0
    });
    let doctor = &seen["contributions"][0]["doctor"];
    assert_eq!(doctor["audio"][0]["sample_rate_hz"], 44_100);
    assert_eq!(
        (&doctor["video"]["width"], &doctor["video"]["height"]),
        (&320.into(), &180.into())
    );
    assert_eq!(doctor["video"]["b_frames_max"], 2);
    assert!(
        doctor["declared"]["encoder"]
            .as_str()
            .unwrap()
            .starts_with("Lavf")
    );

    let output = ringside(&["doctor", "--live", "--ops", &up.text("ops_url")])
        .output()
        .unwrap();
    let sheet = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{sheet}");
    for part in [
        "stream main   on air: contribution (primary)",
        "320x180",
        "44.1 kHz",
        "warn  Keyframe Interval is 5.0 s: set Settings > Output > Streaming",
        "hint  B-frames are on: Tune zerolatency",
    ] {
        assert!(sheet.contains(part), "{part}:\n{sheet}");
    }
    assert!(sheet.lines().all(|line| line.chars().count() <= 80), "{sheet}");
    assert!(up.stop().success());
}

#[test]
fn an_encoder_set_right_is_left_alone_and_its_line_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path(), &[]);
    let right = [
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-g",
        "60",
        "-ar",
        "48000",
        "-b:a",
        "160k",
    ];
    let _encoder = Encoder::start(&right, &["-f", "mpegts", &up.text("srt_url")]);
    let seen = wait(&up, 20, "healthy", |stream| codes(stream) == ["healthy"]);
    let doctor = &seen["contributions"][0]["doctor"];
    assert_eq!(doctor["video"]["width"], 320, "{doctor:#}");
    assert_eq!(doctor["video"]["keyframe_interval_s"], 2.0, "{doctor:#}");
    assert!(
        doctor["srt"]["packets_received"].as_u64().unwrap() > 10,
        "{doctor:#}"
    );
    assert_eq!(doctor["srt"]["latency_ms"], 200, "{doctor:#}");
    assert!(up.stop().success());
}

#[test]
fn an_operator_puts_the_slate_on_air_and_takes_it_off() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path(), &[]);
    let url = format!("{}/{}", up.text("rtmp_server"), up.text("stream_key"));
    let _encoder = Encoder::start(&["-preset", "ultrafast", "-g", "30"], &["-f", "flv", &url]);
    let shows = |what: &'static str| move |stream: &Value| stream["shown"] == what;
    wait(&up, 15, "the encoder on air", shows("contribution"));
    let mut ops = Client::new(&up.host("ops_url"));
    let answer = ops.post("/api/streams/main/air", r#"{"show":"slate"}"#);
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, r#"{"show":"slate"}"#)
    );
    let seen = wait(&up, 5, "the slate", shows("slate"));
    assert_eq!(seen["choice"], "slate");
    assert_eq!(
        ops.post("/api/streams/main/air", r#"{"show":"auto"}"#).status,
        200
    );
    wait(&up, 10, "the encoder again", shows("contribution"));

    for (path, body, status) in [
        ("/api/streams/other/air", r#"{"show":"auto"}"#, 404),
        ("/api/streams/Not%20An%20Id/air", r#"{"show":"auto"}"#, 404),
        ("/api/streams/main/air", r#"{"show":"bars"}"#, 400),
        (
            "/api/streams/main/cues",
            r#"{"id":"ad-1","kind":"out","duration_s":30}"#,
            202,
        ),
        ("/api/streams/main/cues", r#"{"id":"ad 1"}"#, 400),
        ("/api/streams/main/cues", r#"{"id":"a","what":1}"#, 422),
        ("/api/streams/other/cues", r#"{"id":"a"}"#, 404),
        ("/api/streams/main/air", r#"{"show":"auto","x":1}"#, 400),
        ("/api/streams/main/air", "{", 400),
    ] {
        let answer = ops.post(path, body);
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
        assert!(
            status != 400 || path.ends_with("/cues") || answer.text().contains("backup"),
            "{}",
            answer.text()
        );
    }
    // What a form of a foreign page could send without asking.
    let text = "POST /api/streams/main/air";
    assert_eq!(
        ops.request(text.split_once(' ').unwrap().0, "/api/streams/main/air")
            .status,
        415
    );
    assert!(up.stop().success());
}

/// `ringside doctor --json` on free ports; how it ended, and what it said.
fn doctor(dir: &Path, settings: &[String]) -> (Option<i32>, Value) {
    let mut command = ringside(&[
        "doctor",
        "--json",
        "--set",
        &format!("data.dir={}", dir.display()),
    ]);
    for name in LISTENERS {
        command.args(["--set", &format!("{name}.listen=127.0.0.1:0")]);
    }
    settings.iter().for_each(|setting| {
        command.args(["--set", setting]);
    });
    let output = command.output().unwrap();
    let json = serde_json::from_slice(&output.stdout);
    let json = json.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), json)
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).expect(name)
}

#[test]
fn this_machine_passes_and_its_speed_is_measured() {
    let dir = tempfile::tempdir().unwrap();
    let (code, report) = doctor(dir.path(), &[]);
    assert_eq!(code, Some(0), "{report:#}");
    assert_ne!(report["status"], "fail", "{report:#}");
    let encode = check(&report, "encode");
    let found = encode["found"].as_str().unwrap();
    assert!(
        found.contains("640x360p30") && found.contains("x real time"),
        "{found}"
    );
    for name in [
        "port",
        "descriptors",
        "receive_buffer",
        "clock",
        "timer",
        "processors",
        "disk",
        "memory",
        "elements",
    ] {
        check(&report, name);
    }
}

#[test]
fn a_taken_port_fails_and_names_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut command = ringside(&[
        "doctor",
        "--no-probe",
        "--set",
        &format!("data.dir={}", dir.path().display()),
    ]);
    for name in LISTENERS {
        let at = if name == "edge.http" {
            address.to_string()
        } else {
            "127.0.0.1:0".to_owned()
        };
        command.args(["--set", &format!("{name}.listen={at}")]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let line = format!("fail  tcp {address} (edge.http.listen) is taken by");
    assert!(said.contains(&line), "{said}");
    assert!(
        said.replace("\n      ", " ")
            .contains(&format!("process {}", std::process::id())),
        "{said}"
    );
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
}

#[test]
fn ports_of_the_ringside_that_runs_are_no_fault_and_it_is_not_disturbed() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path(), &[]);
    let ports = [
        ("ops", "ops_url"),
        ("edge.http", "watch_url"),
        ("ingest.srt", "srt_url"),
    ];
    let settings = ports.map(|(name, key)| {
        let host = up.host(key);
        format!("{name}.listen={}", host.split('?').next().unwrap())
    });
    let (code, report) = doctor(dir.path(), &settings);
    assert_eq!(code, Some(0), "{report:#}");
    let checks = report["checks"].as_array().unwrap();
    let held = checks.iter().filter(|check| {
        check["found"]
            .as_str()
            .unwrap()
            .contains("is held by the ringside")
    });
    assert_eq!(held.count(), ports.len(), "{report:#}");
    assert!(
        check(&report, "encode")["found"]
            .as_str()
            .unwrap()
            .contains("not measured")
    );
    assert!(up.stop().success());
}
