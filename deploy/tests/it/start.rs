//! Starting, stopping, and everything an operator can get wrong.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::process::{LISTENERS, Up, get, ringside};

#[test]
fn the_second_run_keeps_key_and_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let first = Up::start(dir.path(), &[]);
    let key = first.text("stream_key");
    let mode = |name: &str| {
        std::fs::metadata(dir.path().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(
        (mode("up.json"), mode("stream-key"), mode("tls/key.pem")),
        (0o600, 0o600, 0o600)
    );
    let certificate = std::fs::read(dir.path().join("tls/cert.pem")).unwrap();
    let srt = first.json["srt_url"].as_str().unwrap();
    assert!(
        srt.starts_with("srt://127.0.0.1:") && srt.contains("?streamid="),
        "{srt}"
    );
    let playlist = |up: &Up| get(&up.host("playlist_url"), "/live/main/360p/media.m3u8").text();
    let msn = |text: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
        line.unwrap().parse::<u64>().unwrap()
    };
    let before = msn(&playlist(&first));
    assert!(first.stop().success());

    let second = Up::start(dir.path(), &[]);
    assert_eq!(second.text("stream_key"), key);
    assert_eq!(
        std::fs::read(dir.path().join("tls/cert.pem")).unwrap(),
        certificate
    );
    assert!(
        msn(&playlist(&second)) >= before,
        "MSN never falls, also across a restart"
    );
    assert!(second.stop().success());
}

#[test]
fn pages_playlists_and_probes_are_served_over_http_and_https() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path(), &[]);
    let edge = up.host("watch_url");
    let page = get(&edge, "/watch/main");
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    assert!(
        page.header("content-security-policy")
            .is_some_and(|policy| policy.contains("script-src 'self'"))
    );
    assert_eq!(get(&edge, "/").header("location"), Some("/watch/main"));
    for (path, status) in [
        ("/readyz", 200),
        ("/livez", 200),
        ("/version", 200),
        ("/nothing", 404),
    ] {
        assert_eq!(get(&up.host("ops_url"), path).status, status, "{path}");
    }
    let card = up.text("watch_url");
    assert!(card.ends_with("/watch/main"));
    assert!(up.stop().success());
}

#[test]
fn https_speaks_http_2() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("announced");
    let up = Up::start(&dir.path().join("data"), &["edge.https.listen=127.0.0.1:18443"]);
    let output = Command::new("curl")
        .args(["-sk", "--max-time", "10", "-o"])
        .arg(&log)
        .args([
            "-w",
            "%{http_version} %{http_code}",
            "https://127.0.0.1:18443/live/main/index.m3u8",
        ])
        .output()
        .expect("curl is installed");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2 200");
    assert!(std::fs::read_to_string(&log).unwrap().starts_with("#EXTM3U"));
    assert!(up.stop().success());
}

#[test]
fn a_bad_configuration_is_named_whole_and_opens_no_port() {
    let settings = [
        "up",
        "--set",
        "edge.htp.listen=1",
        "--set",
        "profile=lo",
        "--set",
        "ladder.frame_rate=0",
    ];
    let output = ringside(&settings).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    for part in [
        "edge.htp.listen",
        "did you mean `edge.http.listen`",
        "profile",
        "ladder.frame_rate",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_port_in_use_is_named_with_its_key() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    // SRT's port is one of UDP.
    let _taken_too = UdpSocket::bind(address).unwrap();
    for key in LISTENERS {
        let dir = tempfile::tempdir().unwrap();
        let mut command = ringside(&["up", "--set", &format!("data.dir={}", dir.path().display())]);
        for name in LISTENERS {
            let at = if name == key {
                address.to_string()
            } else {
                "127.0.0.1:0".to_owned()
            };
            command.args(["--set", &format!("{name}.listen={at}")]);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains(&format!("{key}.listen")) && said.contains(&address.to_string()),
            "{key}: {said}"
        );
    }
}

#[test]
fn a_role_alone_says_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let data = format!("data.dir={}", dir.path().display());
    for (role, lacks) in [
        ("ingest", "feed.secret"),
        ("packager", "feed.secret"),
        ("edge", "edge.parents"),
    ] {
        let output = ringside(&[role, "--set", &data, "--set", "ops.listen=127.0.0.1:0"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(lacks), "{role}: {said}");
    }
}
