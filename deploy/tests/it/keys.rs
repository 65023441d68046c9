//! `ringside key` beside an `up` that runs, and without one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::process::{Up, ringside};

/// A change is in force within two seconds; this leaves room for a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// `ringside key …` on the keys in `dir`.
fn key(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = ringside(&["key"]);
    command.args(arguments);
    command.args(["--set", &format!("data.dir={}", dir.display())]);
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// What it says where it works.
fn said(dir: &Path, arguments: &[&str]) -> String {
    let output = key(dir, arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    text(&output)
}

/// Id and secret of a key just made.
fn made(said: &str) -> (String, String) {
    let after = |name: &str| {
        let rest = said
            .split_once(name)
            .unwrap_or_else(|| panic!("no {name} in {said}"))
            .1;
        rest.split_whitespace().next().unwrap().to_owned()
    };
    (after("key "), after("Stream Key"))
}

/// ffmpeg publishing over RTMP, killed when dropped.
pub(crate) struct Encoder(Child);

impl Encoder {
    /// Gives it once it is in, or what it said as it was refused.
    pub(crate) fn publish(up: &Up, key: &str) -> Result<Self, String> {
        let before = up.metric("ringside_ingest_publishes_total");
        let url = format!("{}/{key}", up.text("rtmp_server"));
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args([
            "-hide_banner",
            "-loglevel",
            "error",
            "-nostdin",
            "-re",
            "-f",
            "lavfi",
        ]);
        ffmpeg.args([
            "-i",
            "testsrc=size=320x180:rate=30",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
        ]);
        ffmpeg.args([
            "-tune",
            "zerolatency",
            "-g",
            "30",
            "-pix_fmt",
            "yuv420p",
            "-f",
            "flv",
            &url,
        ]);
        let child = ffmpeg.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut encoder = Self(child.expect("ffmpeg is installed"));
        let deadline = Instant::now() + SOON;
        loop {
            if up.metric("ringside_ingest_publishes_total") > before {
                return Ok(encoder);
            }
            if !encoder.is_running() {
                let said = encoder.0.stderr.take().unwrap();
                return Err(std::io::read_to_string(said).unwrap());
            }
            assert!(Instant::now() < deadline, "neither let in nor refused");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Does something to the keys and waits until `up` follows.
fn followed(up: &Up, dir: &Path, arguments: &[&str]) -> String {
    const RELOADS: &str = "ringside_ingest_keys_reloads_total";
    let before = up.metric(RELOADS);
    let said = said(dir, arguments);
    wait_until("the keys are read again", || up.metric(RELOADS) > before);
    said
}

#[test]
fn a_key_made_while_up_runs_opens_and_a_revoked_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut up = Up::start(dir.path(), &[]);
    let mut first = Encoder::publish(&up, &up.text("stream_key")).ok().unwrap();

    let new = ["new", "--stream", "main", "--role", "backup", "--note", "van 2"];
    let (id, secret) = made(&followed(&up, dir.path(), &new));
    assert_eq!(up.metric("ringside_ingest_keys"), 1.0);
    let mut live = Encoder::publish(&up, &secret).ok().unwrap();
    let list = said(dir.path(), &["list"]);
    assert!(
        list.contains("first ") && list.contains(&id) && list.contains("van 2"),
        "{list}"
    );
    assert!(
        !list.contains(&secret) && !list.contains(&up.text("stream_key")),
        "{list}"
    );

    followed(&up, dir.path(), &["revoke", &id]);
    let refused = Encoder::publish(&up, &secret).err().unwrap();
    assert!(refused.contains("this stream key was revoked on 20"), "{refused}");
    assert!(live.is_running(), "revoked is not disconnected");
    assert!(said(dir.path(), &["list"]).contains("revoked 20"));

    // What makes no sense changes nothing.
    let file = dir.path().join("keys.toml");
    let good = std::fs::read(&file).unwrap();
    std::fs::write(&file, "[[key]]\nsecret = \"x\"\n").unwrap();
    wait_until("the bad file is noticed", || {
        up.metric("ringside_ingest_keys_reload_failed_total") > 0.0
    });
    let refused = Encoder::publish(&up, &secret).err().unwrap();
    assert!(refused.contains("revoked on"), "{refused}");
    std::fs::write(&file, good).unwrap();

    said(dir.path(), &["revoke", &id, "--disconnect"]);
    wait_until("its encoder is closed", || !live.is_running());
    assert_eq!(up.metric("ringside_ingest_keys_disconnected_total"), 1.0);
    assert!(first.is_running() && up.is_running());
    assert_eq!(up.metric("ringside_ingest_takeovers_total"), 0.0);
    assert!(up.stop().success());
}

#[test]
fn keys_expire_and_rotate_with_grace() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path(), &[]);
    let expiring = ["new", "--stream", "main", "--expires", "15s"];
    let (_, short) = made(&followed(&up, dir.path(), &expiring));
    let mut live = Encoder::publish(&up, &short).ok().unwrap();
    let (id, old) = made(&followed(
        &up,
        dir.path(),
        &["new", "--stream", "main", "--role", "backup"],
    ));

    let rotated = Instant::now();
    let (same, new) = made(&followed(&up, dir.path(), &["rotate", &id, "--grace", "15s"]));
    assert!(same == id && new != old);
    for secret in [&old, &new] {
        drop(Encoder::publish(&up, secret).ok().unwrap());
    }
    std::thread::sleep(Duration::from_millis(16_500).saturating_sub(rotated.elapsed()));
    let refused = Encoder::publish(&up, &old).err().unwrap();
    assert!(
        refused.contains("was replaced by a new one and ended on 20"),
        "{refused}"
    );
    drop(Encoder::publish(&up, &new).ok().unwrap());

    let refused = Encoder::publish(&up, &short).err().unwrap();
    assert!(refused.contains("this stream key expired on 20"), "{refused}");
    assert!(live.is_running(), "who is live when a key ends stays live");
    assert!(said(dir.path(), &["list"]).contains("expired 20"));
    assert!(up.stop().success());
}

#[test]
fn many_at_once_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("not/yet");
    let running: Vec<Child> = (0..12)
        .map(|n| {
            let stream = format!("stream-{n}");
            let mut new = key(&dir, &["new", "--stream", &stream]);
            new.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let outputs: Vec<Output> = running
        .into_iter()
        .map(|child| child.wait_with_output().unwrap())
        .collect();
    let list = said(&dir, &["list"]);
    for output in outputs {
        assert!(output.status.success(), "{}", text(&output));
        let (id, secret) = made(&text(&output));
        assert!(list.contains(&id) && secret.len() == 32, "{id} in {list}");
    }
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dir), mode(&dir.join("keys.toml"))), (0o700, 0o600));
}

#[test]
fn what_cannot_be_done_is_said_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (id, _) = made(&said(
        dir,
        &["new", "--stream", "main", "--passphrase", "correct-horse"],
    ));
    let cases: [(&[&str], i32, &str); 8] = [
        (&["new"], 64, "--stream"),
        (&["new", "--stream", "Main"], 64, "not an id"),
        (
            &["new", "--stream", "x", "--passphrase", "short"],
            64,
            "10 to 79 bytes",
        ),
        (&["new", "--stream", "x", "--expires", "30"], 64, "30d"),
        (&["new", "--stream", "x", "--priority", "256"], 64, "256"),
        (&["rotate", "first"], 64, "stream-key"),
        (&["revoke", "00000000"], 1, "no key 00000000"),
        (&["revoke", &id, "--set", "nonsense=1"], 64, "nonsense"),
    ];
    let file = dir.join("keys.toml");
    let before = std::fs::read(&file).unwrap();
    for (arguments, code, part) in cases {
        let output = key(dir, arguments).output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), before);

    std::fs::write(&file, "[[key]]\nid = \"00000000\"\npassphrase = 1\n").unwrap();
    let data = format!("data.dir={}", dir.display());
    let mut commands = [
        key(dir, &["new", "--stream", "x"]),
        key(dir, &["list"]),
        ringside(&["up", "--set", &data]),
    ];
    for command in &mut commands {
        let output = command.output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains("keys.toml:3: passphrase: "), "{said}");
    }
    assert!(std::fs::read_to_string(&file).unwrap().contains("passphrase = 1"));
}

#[test]
fn the_printed_urls_are_those_of_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [
        "--set",
        "ingest.rtmp.listen=127.0.0.1:2935",
        "--set",
        "ingest.srt.listen=127.0.0.1:2890",
    ];
    let new = ["new", "--stream", "main", "--passphrase", "two words!"];
    let elsewhere = dir.path().join("elsewhere.toml");
    let keys = format!("ingest.keys={}", elsewhere.display());
    let said = said(dir.path(), &[&new[..], &settings[..], &["--set", &keys]].concat());
    assert!(elsewhere.exists() && !dir.path().join("keys.toml").exists());
    let (_, secret) = made(&said);
    for line in [
        format!("rtmp://127.0.0.1:2935/live/{secret}\n"),
        format!("srt://127.0.0.1:2890?streamid={secret}&passphrase=two%20words%21\n"),
    ] {
        assert!(said.contains(&line), "{line} in {said}");
    }
}
