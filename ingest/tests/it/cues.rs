//! Breaks that encoders announce, as the feed has them and as the playlists of a real packager list them.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use feed::cue::{Cue, Kind};
use hls::check;
use hls::time::date_time;
use ingest::config::Ladder;
use ingest::report::{Order, Unfit};
use rtmp::amf::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::packager::{SECRET, Seen};
use crate::raw::{Raw, Tag, record};
use crate::stage::{KEY, Stage, frames_more};
use crate::transport;
use crate::viewer::watched;

/// White for a second from 3 s on.
const BREAK: &str = "color=c=black:s=320x180:r=30,drawbox=color=white:t=fill:enable='between(t,2.99,3.98)'";
const SILENCE: &str = "anullsrc=r=48000:cl=stereo";

/// First and last white frame.
fn white(seen: &Seen) -> (u64, u64) {
    let pictures = watched(seen);
    let mut white = pictures
        .iter()
        .filter(|(_, picture)| !picture.has_clock() && picture.middle() > 200)
        .map(|(frame, _)| *frame);
    let first = white.next().expect("the break was shown");
    (first, white.next_back().unwrap())
}

/// The break's two ends, within a frame of its pictures.
fn assert_break(seen: &Seen) -> &Cue {
    let (first, last) = white(seen);
    let [out, back] = seen.cues.as_slice() else {
        panic!("{:?}", seen.cues)
    };
    assert_eq!((out.kind, back.kind), (Kind::Out, Kind::In));
    assert_eq!(out.id, back.id);
    assert!(
        out.frame.abs_diff(first) <= 1,
        "{} where {first} was shown",
        out.frame
    );
    assert!(back.frame.abs_diff(last + 1) <= 1, "{} after {last}", back.frame);
    out
}

struct Origin {
    feed: SocketAddr,
    origin: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Origin {
    /// A real packager.
    async fn open(feed: SocketAddr) -> Self {
        let mut config = packager::Config::default();
        config.feed.listen = feed;
        config.origin.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let packager = packager::Packager::bind(config, SECRET.to_vec()).await.unwrap();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (feed, origin) = (packager.feed_address().unwrap(), packager.origin_address());
        tasks.spawn(packager.run(stop.clone()));
        Self {
            feed,
            origin,
            stop,
            tasks,
        }
    }

    async fn close(self) -> SocketAddr {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.feed
    }

    async fn playlist(&self, track: &str) -> String {
        let mut socket = TcpStream::connect(self.origin).await.unwrap();
        let ask =
            format!("GET /live/main/{track}/media.m3u8 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        socket.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        body.to_owned()
    }

    /// Reads a track until its date ranges are good; every playlist has to follow the one before.
    async fn until(&self, track: &str, good: impl Fn(&[&str]) -> bool) -> String {
        let mut before: Option<String> = None;
        for _ in 0..400 {
            let text = self.playlist(track).await;
            if text.starts_with("#EXTM3U") {
                assert_eq!(check::playlist(&text), []);
                if let Some(before) = &before {
                    assert_eq!(check::successive(before, &text), []);
                }
                if good(&dates(&text)) {
                    return text;
                }
                before = Some(text);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not within 20 s: {before:?}")
    }
}

fn dates(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("#EXT-X-DATERANGE:"))
        .collect()
}

fn is_over(dates: &[&str]) -> bool {
    dates.len() == 1 && dates[0].contains(",DURATION=")
}

/// The stand-in looks at frames, the real packager lists dates; the one that is restarted lists the same.
async fn listed(stage: Stage, origin: Origin, publish: impl Future<Output = ()>) -> String {
    let announced = async {
        let text = origin.until("240p", |dates| dates.len() == 1).await;
        assert!(!is_over(&dates(&text)), "it is announced before it is over");
        origin.until("240p", is_over).await;
    };
    tokio::join!(publish, announced);
    let text = origin.until("audio", is_over).await;
    let line = dates(&text)[0].to_owned();
    let again = Origin::open(origin.close().await).await;
    let text = again.until("240p", is_over).await;
    assert_eq!(dates(&text), [line.as_str()]);
    again.close().await;
    // The picture after the break has to be out.
    frames_more(&stage.packager, 45).await;
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        let out = assert_break(seen);
        let start = seen.hellos[0].shape.grid.frame_time(out.frame);
        let expected = format!("ID=\"{}\",", out.id);
        assert!(line.starts_with(&expected), "{line}");
        assert!(
            line.contains(&format!("START-DATE=\"{}\"", date_time(start))),
            "{line}"
        );
    });
    line
}

async fn set() -> (Stage, Origin) {
    let origin = Origin::open(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await;
    let feed = origin.feed;
    let stage = Stage::set_with(Ladder::default(), |config| config.packagers.push(feed)).await;
    (stage, origin)
}

fn point(timestamp_ms: u32, time_s: f64, start: bool) -> Tag {
    let object = Value::object([
        ("name", Value::string("half time")),
        ("id", Value::string("b 7")),
        ("time", Value::Number(time_s)),
        ("duration", Value::Number(1.5)),
        ("cue_point_start", Value::Boolean(start)),
    ]);
    Tag::data(timestamp_ms, &[Value::string("onCuePoint"), object])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cue_point_of_rtmp_is_a_date_range_at_its_picture() {
    let (stage, origin) = set().await;
    let mut tags = record(BREAK, SILENCE, 6);
    tags.extend([
        point(1_000, 3.0, true),
        point(1_500, 3.0, true),
        point(3_500, 4.0, false),
    ]);
    tags.sort_by_key(|tag| tag.timestamp_ms);
    let mut raw = Raw::publish(stage.ingest.ports().rtmp, KEY).await;
    let line = listed(stage, origin, async move { raw.play(&tags).await }).await;
    let said =
        "PLANNED-DURATION=1.50000,X-COM-RINGSIDE-MESSAGE=\"onCuePoint\",X-COM-RINGSIDE-NAME=\"half time\"";
    assert!(line.starts_with("ID=\"amf-b_7-") && line.contains(said), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_splice_of_scte35_over_srt_is_a_date_range_at_its_picture() {
    let (stage, origin) = set().await;
    let mut stream = transport::record(BREAK, SILENCE, 6);
    let at = |seconds: u64| stream.first_pts + seconds * 90_000;
    let (start, end) = (at(3), at(4));
    let out = transport::splice_insert(7, start, true, Some(90_000));
    let back = transport::splice_insert(7, end, false, None);
    // Encoders announce a splice more than once.
    for (ms, section) in [(1_000, &out), (1_800, &out), (3_700, &back)] {
        stream.insert(ms, section);
    }
    let to = stage.ingest.ports().srt;
    let publish = async move { stream.play(to, KEY).await };
    let line = listed(stage, origin, publish).await;
    assert!(line.starts_with("ID=\"scte35-7-"), "{line}");
    let hexadecimal = |section: &[u8]| {
        section
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect::<String>()
    };
    let sections = format!(
        "SCTE35-OUT=0x{},SCTE35-IN=0x{}",
        hexadecimal(&out),
        hexadecimal(&back)
    );
    assert!(
        line.contains("PLANNED-DURATION=1.00000") && line.ends_with(&sections),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_encoder_on_air_is_listened_to() {
    let stage = Stage::set(Ladder::default()).await;
    let to = stage.ingest.ports().rtmp;
    let named = |id: &str, at: u32| {
        let object = Value::object([("id", Value::string(id))]);
        Tag::data(at, &[Value::string("onCuePoint"), object])
    };
    let show = |id: &str, seconds: u32, at: u32| {
        let mut tags = record("color=c=white:s=320x180:r=30", SILENCE, seconds);
        tags.push(named(id, at));
        tags.sort_by_key(|tag| tag.timestamp_ms);
        tags
    };
    let (long, brief) = (show("p", 6, 5_000), show("b", 2, 1_000));
    let tasks = TaskTracker::new();
    let primary = tasks.spawn(async move { Raw::publish(to, KEY).await.play(&long).await });
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    while stage.ingest.control().streams().await[0].role.is_none() {
        assert!(
            tokio::time::Instant::now() < until,
            "the primary never came on air"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Raw::publish(to, &format!("{KEY}?role=backup"))
        .await
        .play(&brief)
        .await;
    primary.await.unwrap();
    frames_more(&stage.packager, 15).await;
    let (packager, _) = stage.strike().await;
    let ids = packager.look(|seen| seen.cues.iter().map(|cue| cue.id.clone()).collect::<Vec<_>>());
    assert!(ids.len() == 1 && ids[0].starts_with("amf-p-"), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sets_a_break_and_is_told_what_does_not_fit() {
    let stage = Stage::set(Ladder::default()).await;
    let (control, main) = (stage.ingest.control(), hls::id::StreamId::new("main").unwrap());
    let order = |json: &str| serde_json::from_str::<Order>(json).unwrap();
    let out = r#"{"id":"ad-1","kind":"out","in_s":2.5,"duration_s":30,"class":"org.example.ad","attributes":{"LEVEL":"3"}}"#;
    let before = stage.packager.look(|seen| *seen.times(0).last().unwrap());
    control.cue(&main, order(out)).await.unwrap();
    control
        .cue(&main, order(r#"{"id":"ad-1","kind":"in","in_s":5}"#))
        .await
        .unwrap();
    for (bad, field) in [
        (r#"{"id":"ad 1"}"#, "id"),
        (r#"{"id":"a","in_s":-1}"#, "in_s"),
        (r#"{"id":"a","duration_s":1e9}"#, "duration_s"),
        (r#"{"id":"a","class":"\""}"#, "class"),
        (r#"{"id":"a","attributes":{"level":"3"}}"#, "attributes"),
    ] {
        assert_eq!(control.cue(&main, order(bad)).await, Err(Unfit::Field(field)));
    }
    let other = hls::id::StreamId::new("other").unwrap();
    assert_eq!(control.cue(&other, order(out)).await, Err(Unfit::Stream));
    stage
        .packager
        .wait_for("both ends", Duration::from_secs(5), |seen| seen.cues.len() == 2)
        .await;
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        let [first, last] = seen.cues.as_slice() else {
            panic!("{:?}", seen.cues)
        };
        assert_eq!((first.kind, last.kind), (Kind::Out, Kind::In));
        assert_eq!((first.id.as_str(), last.id.as_str()), ("ad-1", "ad-1"));
        assert_eq!(first.duration, Some(Duration::from_secs(30)));
        let level = hls::playlist::Value::Text("3".to_owned());
        assert_eq!(first.attributes, [("LEVEL".to_owned(), level)]);
        assert!(
            (before + 75..before + 75 + 45).contains(&first.frame),
            "{before} and {}",
            first.frame
        );
        assert!((73..=77).contains(&(last.frame - first.frame)), "2.5 s apart");
    });
}
