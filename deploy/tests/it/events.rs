//! Events: ended by an operator, watched again, followed by the next; and `ringside events`.

use std::time::{Duration, Instant};

use crate::keys::Encoder;
use crate::process::{Client, Up, get, ringside};

/// Asks until the answer is what is wanted.
fn until(host: &str, path: &str, seconds: u64, wanted: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let answer = get(host, path);
        let text = answer.text();
        if answer.status == 200 && wanted(&text) {
            return text;
        }
        assert!(Instant::now() < deadline, "{path}: {} {text}", answer.status);
        std::thread::sleep(Duration::from_millis(250));
    }
}

fn sequence(playlist: &str) -> u64 {
    let tag = |line: &str| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:")?.parse().ok();
    playlist.lines().find_map(tag).expect("a media playlist")
}

#[test]
fn an_event_that_an_operator_ends_is_its_recording_until_the_next_one_begins() {
    const MEDIA: &str = "/live/main/360p/media.m3u8";
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path(), &[]);
    let (edge, ops) = (up.host("watch_url"), up.host("ops_url"));
    let recorded = until(&edge, "/live/main/360p/dvr.m3u8", 30, |_| true);
    let live = get(&edge, MEDIA).text();
    let open = sequence(&live) + live.matches("#EXTINF").count() as u64;
    let waiting = std::thread::spawn({
        let edge = edge.clone();
        move || get(&edge, &format!("{MEDIA}?_HLS_msn={}", open + 1))
    });
    let post = |stream: &str, body: &str| Client::new(&ops).post(&format!("/api/streams/{stream}/end"), body);
    assert_eq!(post("main", r#"{"end":"other"}"#).status, 400);
    assert_eq!(post("ghost", r#"{"end":"ghost"}"#).status, 404);
    let ended = post("main", r#"{"end":"main"}"#);
    assert_eq!(ended.status, 204, "{}", ended.text());
    assert_eq!(post("main", r#"{"end":"main"}"#).status, 404, "it is over");

    let parked = waiting.join().unwrap();
    assert_eq!(parked.status, 200);
    assert!(parked.text().ends_with("#EXT-X-ENDLIST\n"), "{}", parked.text());
    let whole = until(&edge, MEDIA, 30, |text| text.contains("#EXT-X-PLAYLIST-TYPE:VOD"));
    assert!(sequence(&whole) <= sequence(&recorded));
    let segments: Vec<&str> = whole.lines().filter(|line| line.starts_with("seg-")).collect();
    assert!(segments.len() >= 4, "{whole}");
    for segment in segments {
        assert_eq!(
            get(&edge, &format!("/live/main/360p/{segment}")).status,
            200,
            "{segment}"
        );
    }
    let mut list = ringside(&["events", "list"]);
    list.args(["--set", &format!("data.dir={}", dir.path().display())]);
    let list = String::from_utf8(list.output().unwrap().stdout).unwrap();
    assert!(list.contains("main"), "{list}");

    let encoder = Encoder::publish(&up, &up.text("stream_key")).unwrap();
    let next = until(&edge, MEDIA, 40, |text| !text.contains("#EXT-X-ENDLIST"));
    assert!(sequence(&next) > sequence(&whole));
    drop(encoder);
    assert!(up.stop().success());
}

#[test]
fn an_empty_data_dir_has_no_events_and_an_unknown_one_is_said_to_be_so() {
    let dir = tempfile::tempdir().unwrap();
    let events = |arguments: &[&str]| {
        let mut command = ringside(&["events"]);
        command.args(arguments);
        command.args(["--set", &format!("data.dir={}", dir.path().display())]);
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(events(&["list"]).1, "no events are kept\n");
    assert_eq!(events(&["list", "--json"]).1, "[]\n");
    for unknown in ["show", "delete"] {
        let (code, _, said) = events(&[unknown, "main", "7"]);
        assert!(
            code == Some(1) && said.contains("no event 7 of stream main"),
            "{said}"
        );
    }
    assert_eq!(events(&["show", "no stream", "7"]).0, Some(64));
}
