//! Encoders that send CMAF by HTTP: FFmpeg, live, in its own ways.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ::bytes::Bytes;
use hls::check::{self, Sibling};
use hls::id::{StreamId, TrackId};
use hls::playlist::{Parsed, parse};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use packager::Packager;
use packager::cmafin::config::{KeyHash, Rate, Stream, Track};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::stage::{Reader, clean, config};

/// SHA-256 of `secret-key`, by sha256sum.
const KEY_SHA256: &str = "85dbe15d75ef9308c7ae0f33c7a324cc6f4bf519a2ed2f3027bd33c140a4f9aa";
pub(crate) const KEY: &str = "secret-key";

pub(crate) const TRACKS: [&str; 3] = ["720p", "360p", "audio"];

/// Nothing that encoders do here may take longer.
const PATIENCE: Duration = Duration::from_secs(40);

/// A packager that takes `main` as CMAF.
pub(crate) struct Intake {
    pub(crate) reader: Reader,
    pub(crate) address: SocketAddr,
    pub(crate) feed: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    _ends: DropGuard,
}

impl Intake {
    pub(crate) async fn start(tracks: &[&str]) -> Self {
        let mut config = config();
        config.cmaf.listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        config.cmaf.idle_s = 2;
        let track = |id: &&str| Track {
            id: TrackId::new(id).unwrap(),
            bitrate_kbps: Some(400),
        };
        config.cmaf.streams = vec![Stream {
            id: StreamId::new("main").unwrap(),
            keys_sha256: vec![KeyHash::try_from(KEY_SHA256.to_owned()).unwrap()],
            frame_rate: Rate::try_from("30".to_owned()).unwrap(),
            profile: hls::time::Profile::Low,
            tracks: tracks.iter().map(track).collect(),
        }];
        let packager = Packager::bind(config, b"secret".to_vec()).await.unwrap();
        let (origin, feed) = (packager.origin_address(), packager.feed_address().unwrap());
        let address = packager.cmaf_address().unwrap();
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(packager.run(shutdown.clone()));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            reader: Reader { client, origin },
            address,
            feed,
            client: Client::builder(TokioExecutor::new()).build_http(),
            _ends: shutdown.drop_guard(),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Sends a whole body; status and reason.
    pub(crate) async fn send(&self, method: &str, path: &str, body: impl Into<Bytes>) -> (u16, String) {
        let request = http::Request::builder().method(method).uri(self.url(path));
        let request = request.body(Full::new(body.into())).unwrap();
        let answer = async {
            let response = self.client.request(request).await.unwrap();
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        };
        timeout(PATIENCE, answer)
            .await
            .expect("every request is answered")
    }

    /// A body with the right key.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> (u16, String) {
        self.send("POST", &format!("{path}?key={KEY}"), body).await
    }

    /// All playlists; none before the stream has begun.
    async fn texts(&self) -> Option<Vec<String>> {
        let mut texts = Vec::new();
        for track in TRACKS {
            let answer = self.reader.get(&format!("{track}/media.m3u8")).await;
            if answer.status == 503 {
                return None;
            }
            assert_eq!(answer.status, 200, "{answer:?}");
            texts.push(answer.text());
        }
        Some(texts)
    }

    /// Reads all playlists until the first one is as it has to be, and holds them to every rule on the way.
    async fn until(&self, what: &str, seen: impl Fn(&Parsed) -> bool) -> Parsed {
        let mut last: Option<Vec<String>> = None;
        let reached = async {
            loop {
                let Some(now) = self.texts().await else {
                    sleep(Duration::from_millis(120)).await;
                    continue;
                };
                now.iter().for_each(|text| clean(&check::playlist(text)));
                let pairs = last.iter().flatten().zip(&now);
                pairs.for_each(|(before, after)| clean(&check::successive(before, after)));
                let parsed = parse(&now[0]).unwrap();
                if seen(&parsed) {
                    let uris = TRACKS.map(|track| format!("{track}/media.m3u8"));
                    let all: Vec<_> = uris
                        .iter()
                        .zip(&now)
                        .map(|(uri, text)| Sibling { uri, text })
                        .collect();
                    // Read one after the other, so that a part may have come in between.
                    if check::siblings(&all).is_empty() {
                        return parsed;
                    }
                }
                last = Some(now);
                sleep(Duration::from_millis(120)).await;
            }
        };
        timeout(PATIENCE, reached)
            .await
            .unwrap_or_else(|_| panic!("not reached: {what}"))
    }
}

/// An encoder's process, ended when dropped.
pub(crate) struct Encoder(Child);

impl Encoder {
    fn run(arguments: &[String]) -> Self {
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-nostdin", "-loglevel", "error"]);
        Self(
            command
                .args(arguments)
                .stdin(Stdio::null())
                .spawn()
                .expect("ffmpeg is installed"),
        )
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.0.kill().expect("the encoder is ours");
        self.0.wait().expect("it has ended");
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

const INPUTS: &str =
    "-re -f lavfi -i testsrc2=size=320x180:rate=30 -re -f lavfi -i sine=frequency=440:sample_rate=48000";
const X264: &str = "-c:v libx264 -preset ultrafast -tune zerolatency -b:v 300k -g 30 -keyint_min 30 -sc_threshold 0 -pix_fmt yuv420p";
const CMAF: &str = "-f mp4 -movflags +frag_keyframe+empty_moov+default_base_moof+cmaf -frag_duration 250000 -flush_packets 1";

fn url(intake: &Intake, track: &str) -> String {
    intake.url(&format!("main/{track}.cmfv?key={KEY}"))
}

fn pictures(intake: &Intake) -> String {
    let (best, small) = (url(intake, "720p"), url(intake, "360p"));
    format!("-map 0:v {X264} {CMAF} {best} -map 0:v -s 160x90 {X264} {CMAF} {small}")
}

fn sound(intake: &Intake) -> String {
    format!("-map 1:a -c:a aac -b:a 64k {CMAF} {}", url(intake, "audio"))
}

/// One POST for each track, as long as the encoder lives.
fn posts(intake: &Intake) -> Vec<String> {
    words(&format!("{INPUTS} {} {}", pictures(intake), sound(intake)))
}

/// One PUT for each segment, and a manifest that nobody needs.
fn puts(intake: &Intake) -> Vec<String> {
    let mut arguments = words(&format!(
        "{INPUTS} -map 0:v -map 0:v -map 1:a {X264} -s:v:1 160x90 -c:a aac -b:a 64k -f dash -seg_duration 1 \
         -window_size 5 -method PUT -http_persistent 1"
    ));
    arguments.extend([
        "-http_opts".to_owned(),
        format!("headers=Authorization\\: Bearer {KEY}\r\n"),
    ]);
    arguments.push(intake.url("main/live.mpd"));
    arguments
}

/// All segments listed are media, but for those that a stream begins behind.
fn media(playlist: &Parsed) -> usize {
    playlist.segments.iter().filter(|segment| !segment.gap).count()
}

/// Times of a track's packets as a player reads them.
fn packets(intake: &Intake, track: &str) -> Vec<f64> {
    let url = format!("http://{}/live/main/{track}/media.m3u8", intake.reader.origin);
    let arguments = "-v error -read_intervals %+3 -show_entries packet=dts_time -of csv=p=0";
    let output = Command::new("timeout")
        .args(["20", "ffprobe"])
        .args(words(arguments))
        .arg(url)
        .output()
        .unwrap();
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| line.trim_end_matches(',').parse().unwrap())
        .collect()
}

fn plays_without_a_hole(intake: &Intake) {
    for (track, step) in [
        ("720p", 1.0 / 30.0),
        ("360p", 1.0 / 30.0),
        ("audio", 1_024.0 / 48_000.0),
    ] {
        let times = tokio::task::block_in_place(|| packets(intake, track));
        assert!(times.len() > 60, "{track}: {} packets", times.len());
        for pair in times.windows(2) {
            assert!((pair[1] - pair[0] - step).abs() < 0.001, "{track}: {pair:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_posts_a_ladder_that_plays() {
    let intake = Intake::start(&TRACKS).await;
    let _encoder = Encoder::run(&posts(&intake));
    let seen = intake
        .until("three segments of media", |playlist| media(playlist) >= 3)
        .await;
    assert!(seen.parts().all(|part| !part.gap), "nothing was late");
    let index = intake.reader.get("index.m3u8").await.text();
    for said in [
        "RESOLUTION=320x180",
        "RESOLUTION=160x90",
        "FRAME-RATE=30.000",
        "avc1.",
        "mp4a.40.2",
        "BANDWIDTH=1132000",
    ] {
        assert!(index.contains(said), "{said}: {index}");
    }
    plays_without_a_hole(&intake);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpegs_dash_muxer_puts_a_ladder_that_plays() {
    let intake = Intake::start(&TRACKS).await;
    let _encoder = Encoder::run(&puts(&intake));
    let seen = intake
        .until("four segments of media", |playlist| media(playlist) >= 4)
        .await;
    assert!(seen.parts().all(|part| !part.gap), "nothing was late");
    plays_without_a_hole(&intake);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encoder_that_starts_again_goes_on_behind_a_discontinuity() {
    let intake = Intake::start(&TRACKS).await;
    let encoder = Encoder::run(&posts(&intake));
    let before = intake
        .until("six segments of media", |playlist| media(playlist) >= 6)
        .await;
    drop(encoder);
    let _encoder = Encoder::run(&posts(&intake));
    let count = |playlist: &Parsed| -> u64 {
        playlist
            .segments
            .iter()
            .map(|segment| segment.discontinuities)
            .sum()
    };
    assert_eq!(count(&before), 0);
    let after = intake.until("a discontinuity", |playlist| {
        let at = playlist
            .segments
            .iter()
            .position(|segment| segment.discontinuities > 0);
        at.is_some_and(|at| {
            playlist.segments[at..]
                .iter()
                .filter(|segment| !segment.gap)
                .count()
                >= 2
        })
    });
    let after = after.await;
    assert_eq!(count(&after), 1);
    assert!(after.media_sequence >= before.media_sequence, "numbers go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_track_that_is_lost_becomes_gap_and_the_others_go_on() {
    let intake = Intake::start(&TRACKS).await;
    let _seen = Encoder::run(&words(&format!("{INPUTS} {}", pictures(&intake))));
    let heard = Encoder::run(&words(&format!("{INPUTS} {}", sound(&intake))));
    intake
        .until("two segments of media", |playlist| media(playlist) >= 2)
        .await;
    drop(heard);
    let gone = async {
        loop {
            let texts = intake.texts().await.expect("it has begun");
            texts.iter().for_each(|text| clean(&check::playlist(text)));
            let [best, _, sound] = [0, 1, 2].map(|track| parse(&texts[track]).unwrap());
            if sound.parts().filter(|part| part.gap).count() >= 4 {
                return best;
            }
            sleep(Duration::from_millis(120)).await;
        }
    };
    let best = timeout(PATIENCE, gone)
        .await
        .expect("a track that is lost is not waited for");
    assert!(best.parts().all(|part| !part.gap));
}
