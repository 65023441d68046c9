//! Bytes nobody should send, on every port; the stream goes on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::process::{Client, Up, get};

/// Bytes that look random and are the same in every run.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

fn throw(host: &str, bytes: &[u8]) {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    // The peer may close while we write or answer whatever it likes.
    let _refused_is_fine = stream.write_all(bytes);
    let _silent_is_fine = stream.read(&mut [0; 1_024]);
}

#[test]
fn garbage_on_every_port_ends_only_its_own_connection() {
    let dir = tempfile::tempdir().unwrap();
    let fixed = [
        "packager.feed.listen=127.0.0.1:19602",
        "edge.https.listen=127.0.0.1:19443",
    ];
    let mut up = Up::start(dir.path(), &fixed);
    let rtmp = up.host("rtmp_server");
    let edge = up.host("watch_url");
    let ports = [
        rtmp.clone(),
        edge.clone(),
        up.host("origin_url"),
        up.host("ops_url"),
        "127.0.0.1:19602".to_owned(),
        "127.0.0.1:19443".to_owned(),
    ];
    // Half-open connections that say nothing, kept until the end.
    let silent: Vec<_> = ports
        .iter()
        .map(|host| TcpStream::connect(host).unwrap())
        .collect();
    for host in &ports {
        for seed in 0..20 {
            throw(
                host,
                &noise(seed, 1 + usize::try_from(seed).unwrap() * 577 % 5_000),
            );
        }
        throw(host, b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n");
        throw(host, &[0xff; 8]);
        throw(
            host,
            format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000)).as_bytes(),
        );
        throw(
            host,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        );
    }
    assert!(up.is_running());
    let mut viewer = Client::new(&edge);
    let now = viewer.get("/live/main/360p/media.m3u8").text();
    let hint = now
        .split("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"")
        .nth(1)
        .and_then(|tail| tail.split('"').next());
    let part = viewer.get(&format!(
        "/live/main/360p/{}",
        hint.expect("a live playlist has a hint")
    ));
    assert_eq!(part.status, 200, "the stream goes on: {}", part.text());
    drop(silent);
    assert!(up.stop().success());
}

#[test]
fn names_nobody_publishes_are_404_and_cost_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path(), &[]);
    let edge = up.host("watch_url");
    let mut viewer = Client::new(&edge);
    let mut ask = |n: usize| {
        let paths = [
            format!("/live/ghost{n}/index.m3u8"),
            format!("/live/ghost{n}/360p/media.m3u8"),
            format!("/live/main/ghost{n}/media.m3u8"),
            format!("/live/main/360p/part-{n}.m4s"),
            format!("/live/main/360p/init-{n:016x}.mp4"),
            format!("/live/main/360p/seg-{n}.m4s"),
        ];
        for path in paths {
            assert_eq!(viewer.get(&path).status, 404, "{path}");
        }
    };
    (0..500).for_each(&mut ask);
    let (memory, asked) = (up.resident(), up.metric("ringside_edge_upstream_requests_total"));
    (500..5_500).for_each(&mut ask);
    let grown = up.resident().saturating_sub(memory);
    assert!(grown < 24 << 20, "{grown} bytes for 5,000 unknown names");
    let asked = up.metric("ringside_edge_upstream_requests_total") - asked;
    // One question for each unknown stream; none for tracks, parts, inits and segments of a known one, whose
    // mirror meanwhile asks for what is new.
    assert!(asked < 5_500.0, "{asked} questions to the parent");
    assert!(up.stop().success());
}

#[test]
fn requests_out_of_the_draft_are_refused_in_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path(), &[]);
    for host in [up.host("watch_url"), up.host("origin_url")] {
        let status = |path: &str| get(&host, &format!("/live/main/360p/{path}")).status;
        assert_eq!(status("media.m3u8?_HLS_part=1"), 400);
        assert_eq!(status("media.m3u8?_HLS_msn=-1"), 400);
        assert_eq!(status("media.m3u8?_HLS_msn=99999999999"), 400);
        assert_eq!(status("media.m3u8?_HLS_msn=1&_HLS_part=0&CMCD=sid"), 200);
        assert_eq!(status("part-99999999999.m4s"), 404);
        assert_eq!(status("media.m3u8/.."), 404);
        let mut client = Client::new(&host);
        assert_eq!(client.request("DELETE", "/live/main/index.m3u8").status, 405);
        let head = client.request("HEAD", "/live/main/360p/media.m3u8");
        assert_eq!(
            (head.status, head.header("access-control-allow-origin")),
            (200, Some("*"))
        );
        assert_eq!(
            client.request("OPTIONS", "/live/main/360p/media.m3u8").status,
            204
        );
    }
    assert!(up.stop().success());
}
