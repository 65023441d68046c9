//! An origin that is not ours: its own paths, names and cadence, HTTP/1.1, and media that ffmpeg made.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// Parts of a segment; the window is six segments.
const PARTS: usize = 4;
const WINDOW: usize = 6;
/// Segments are numbered from here on.
const FIRST: usize = 1_000;

/// One rendition in pieces.
struct Media {
    init: Bytes,
    parts: Vec<Bytes>,
}

/// Twelve seconds in fragments of 0.3 s, cut where they begin.
fn made(input: &str, codec: &[&str]) -> Media {
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", input, "-t", "12"])
        .args(codec)
        .args(["-movflags", "+empty_moov+default_base_moof+cmaf"])
        .args([
            "-frag_duration",
            "300000",
            "-min_frag_duration",
            "290000",
            "-f",
            "mp4",
            "-",
        ])
        .output()
        .expect("ffmpeg is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut rest = Bytes::from(made.stdout);
    let (mut init, mut parts) = (Vec::new(), Vec::<Vec<u8>>::new());
    while rest.len() >= 8 {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        let piece = rest.split_to(length);
        match &piece[4..8] {
            b"ftyp" | b"moov" => init.extend_from_slice(&piece),
            b"moof" => parts.push(piece.to_vec()),
            b"mdat" => parts.last_mut().unwrap().extend_from_slice(&piece),
            _ => {}
        }
    }
    assert!(parts.len() >= 36, "{} fragments", parts.len());
    Media {
        init: init.into(),
        parts: parts.into_iter().map(Bytes::from).collect(),
    }
}

fn media() -> &'static [(&'static str, Media); 2] {
    static MEDIA: OnceLock<[(&str, Media); 2]> = OnceLock::new();
    MEDIA.get_or_init(|| {
        let x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "24", "-bf", "0"];
        [
            ("v", made("testsrc=size=128x72:rate=20", &x264)),
            (
                "a",
                made("sine=frequency=440:sample_rate=48000", &["-c:a", "aac"]),
            ),
        ]
    })
}

type Edit = fn(String) -> String;

/// How an origin answers.
#[derive(Clone, Copy)]
struct Habits {
    blocks: bool,
    edit: Edit,
    encoding: Option<&'static str>,
}

const GOOD: Habits = Habits {
    blocks: true,
    edit: |text| text,
    encoding: None,
};

#[derive(Clone)]
struct Origin {
    address: SocketAddr,
    habits: Habits,
    /// Parts that are out.
    out: watch::Sender<usize>,
    /// How often it began anew, with other media under the same names.
    life: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    async fn new(habits: Habits) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let origin = Self {
            address: socket.local_addr().unwrap(),
            habits,
            out: watch::Sender::new(10),
            life: Arc::default(),
            asked: Arc::default(),
        };
        let this = origin.clone();
        TaskTracker::new().spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let this = this.clone();
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let this = this.clone();
                    async move { Ok::<_, std::convert::Infallible>(this.answer(&request).await) }
                });
                let serving = hyper::server::conn::http1::Builder::new();
                TaskTracker::new().spawn(serving.serve_connection(TokioIo::new(stream), service));
            }
        });
        origin
    }

    fn master(&self) -> String {
        format!("http://{}/event/7/Master.m3u8?sid=1", self.address)
    }

    async fn answer(&self, request: &http::Request<hyper::body::Incoming>) -> Response<Full<Bytes>> {
        let target = request.uri().path_and_query().unwrap().to_string();
        self.asked.lock().unwrap().push(target.clone());
        let ours = ["ringside-child", "ringside-tier"];
        assert!(ours.iter().all(|name| !request.headers().contains_key(*name)));
        let mut response = match self.find(&target).await {
            Some(bytes) => Response::new(Full::new(bytes)),
            None => {
                let mut missing = Response::new(Full::default());
                *missing.status_mut() = StatusCode::NOT_FOUND;
                missing
            }
        };
        if let Some(encoding) = self.habits.encoding.filter(|_| !target.contains(".m3u8")) {
            response
                .headers_mut()
                .insert("content-encoding", encoding.parse().unwrap());
        }
        response
    }

    async fn find(&self, target: &str) -> Option<Bytes> {
        let edit = self.habits.edit;
        if target == "/event/7/Master.m3u8?sid=1" {
            let text = format!(
                "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-VENDOR:MASTER=1\n\
                 #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"s\",NAME=\"S\",DEFAULT=YES,URI=\"/snd/a.m3u8?sid=1\"\n\
                 #EXT-X-STREAM-INF:BANDWIDTH=300000,CODECS=\"avc1.42c00a,mp4a.40.2\",AUDIO=\"s\"\n\
                 http://{}/event/7/pic/v.m3u8?sid=1\n",
                self.address
            );
            return Some(edit(text).into());
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        for (kind, media) in media() {
            let list = if *kind == "v" {
                "/event/7/pic/v.m3u8"
            } else {
                "/snd/a.m3u8"
            };
            if path == list {
                assert!(query.starts_with("sid=1"), "{query}");
                self.wait_for(query).await;
                return Some(edit(self.playlist(kind)).into());
            }
            let Some(name) = path.strip_prefix(&format!("/store/{kind}/")) else {
                continue;
            };
            if name == "head.cmf" {
                return Some(media.init.clone());
            }
            if let Some(number) = name.strip_prefix("whole.") {
                let first = (number.parse::<usize>().ok()? - FIRST) * PARTS + self.shift();
                return Some(segment(media.parts.get(first..first + PARTS)?));
            }
            let at: usize = name.strip_prefix("chunk@")?.parse().ok()?;
            let mut out = self.out.subscribe();
            let here = timeout(Duration::from_secs(10), out.wait_for(|out| *out > at)).await;
            here.ok()?.ok()?;
            return media.parts.get(at + self.shift()).cloned();
        }
        None
    }

    /// How far on the media is that it has.
    fn shift(&self) -> usize {
        self.life.load(Ordering::Relaxed) * 10
    }

    async fn wait_for(&self, query: &str) {
        let number = |name: &str| {
            let mut pairs = query.split('&');
            pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse::<usize>().ok())
        };
        if let Some(msn) = number("_HLS_msn").filter(|_| self.habits.blocks) {
            let wanted = (msn - FIRST) * PARTS + number("_HLS_part").unwrap_or(PARTS - 1);
            self.out
                .subscribe()
                .wait_for(|out| *out > wanted || wanted > out + 2 * PARTS)
                .await
                .unwrap();
        }
    }

    fn playlist(&self, kind: &str) -> String {
        let out = *self.out.borrow();
        let first = (out / PARTS).saturating_sub(WINDOW);
        let control = if self.habits.blocks {
            "CAN-BLOCK-RELOAD=YES,"
        } else {
            ""
        };
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART-INF:PART-TARGET=0.35\n\
             #EXT-X-SERVER-CONTROL:{control}PART-HOLD-BACK=1.05\n#EXT-X-MEDIA-SEQUENCE:{}\n\
             #EXT-X-VENDOR:KIND=\"{kind}\"\n#EXT-X-MAP:URI=\"/store/{kind}/head.cmf\"\n",
            FIRST + first
        );
        for at in first * PARTS..out {
            if at + 3 * PARTS >= out / PARTS * PARTS {
                let independent = if at % PARTS == 0 { ",INDEPENDENT=YES" } else { "" };
                writeln!(
                    text,
                    "#EXT-X-PART:DURATION=0.3,URI=\"/store/{kind}/chunk@{at}\"{independent}"
                )
                .unwrap();
            }
            if at % PARTS == PARTS - 1 {
                writeln!(text, "#EXTINF:1.2,\n/store/{kind}/whole.{}", FIRST + at / PARTS).unwrap();
            }
        }
        if self.habits.blocks {
            writeln!(
                text,
                "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"/store/{kind}/chunk@{out}\""
            )
            .unwrap();
        }
        text
    }

    /// How often each was asked for.
    fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for target in self.asked.lock().unwrap().iter() {
            *counts.entry(target.clone()).or_default() += 1;
        }
        counts
    }
}

/// More than its parts, as many origins have it.
fn segment(parts: &[Bytes]) -> Bytes {
    let all = std::iter::once(b"\0\0\0\x08free".as_slice()).chain(parts.iter().map(AsRef::as_ref));
    all.flatten().copied().collect::<Vec<u8>>().into()
}

mod viewers;
