//! A packager with two rungs and audio, its feed, and a client. Program time is the feed's, so nothing waits for it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ::bytes::{Bytes, BytesMut};
use feed::message::PROTOCOL;
use feed::{Codec, Cue, Decoder, Hello, Message, Shape, Track, Unit, auth, encode};
use hls::check::Violation;
use hls::id::{Cell, Epoch, StreamId, TrackId};
use hls::time::{FrameRate, Grid, Profile};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use packager::subtitles::Subtitles;
use packager::{Config, Packager};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub(crate) const TRACKS: [&str; 3] = ["360p", "240p", "audio"];
pub(crate) const FIRST: Cell = Cell(160_000_000);

/// Nothing in these tests may take longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) const SECRET: &[u8] = b"secret";

/// A real AVCDecoderConfigurationRecord of x264 (baseline, 64x64).
const AVCC: &[u8] = &[
    1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 0x17, 0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x04, 0x26, 0xc0, 0x44, 0, 0, 3,
    0, 4, 0, 0, 3, 0, 0xf0, 0x3c, 0x48, 0x99, 0x20, 1, 0, 5, 0x68, 0xcb, 0x83, 0xcb, 0x20,
];

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) length: Option<usize>,
    /// Retry-After, seconds.
    pub(crate) later_s: Option<u32>,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }
}

/// An HTTP answer with all it says.
#[derive(Debug, Clone)]
pub(crate) struct Exact {
    pub(crate) status: http::StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) client: Client<HttpConnector, Empty<Bytes>>,
    pub(crate) origin: SocketAddr,
}

impl Reader {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let uri = format!("http://{}/live/main/{path}", self.origin);
        let answer = async {
            let response = self.client.get(uri.parse().unwrap()).await.unwrap();
            let number = |name| Some(response.headers().get(name)?.to_str().unwrap().parse().unwrap());
            let length = number(http::header::CONTENT_LENGTH).map(|length: u32| length as usize);
            let later_s = number(http::header::RETRY_AFTER);
            let status = response.status().as_u16();
            Answer {
                status,
                length,
                later_s,
                body: response.into_body().collect().await.unwrap().to_bytes(),
            }
        };
        timeout(PATIENCE, answer)
            .await
            .expect("every request is answered")
    }

    /// An answer with all it says.
    pub(crate) async fn exact(&self, method: http::Method, path: &str, headers: &[(&str, &str)]) -> Exact {
        let uri = format!("http://{}/live/main/{path}", self.origin);
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Empty::new()).unwrap()).await
    }

    /// The answer to a request as it is, on a connection that is kept.
    pub(crate) async fn send(&self, request: http::Request<Empty<Bytes>>) -> Exact {
        let answer = async {
            let response = self.client.request(request).await.unwrap();
            let (parts, body) = response.into_parts();
            Exact {
                status: parts.status,
                headers: parts.headers,
                body: body.collect().await.unwrap().to_bytes(),
            }
        };
        timeout(PATIENCE, answer)
            .await
            .expect("every request is answered")
    }

    /// A track's playlist as it is.
    pub(crate) async fn playlist(&self, track: &str) -> String {
        let answer = self.get(&format!("{track}/media.m3u8")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text()
    }
}

/// Cells of 0.5 s that PART-HOLD-BACK of 1.566 s does not fit into: a stream is shown from the next one on.
pub(crate) const UNSHOWN: u64 = 3;

pub(crate) struct Stage {
    pub(crate) grid: Grid,
    pub(crate) reader: Reader,
    pub(crate) next: Cell,
    packager: SocketAddr,
    feed: TcpStream,
    ladder: Ladder,
    /// Time of the next audio frame, samples.
    sample: u64,
    /// Where cues of subtitle tracks go, where the packager has any.
    pub(crate) subtitles: Option<Subtitles>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    _ends: DropGuard,
}

/// Both ports free, nothing kept.
pub(crate) fn config() -> Config {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = Config::default();
    config.feed.listen = any;
    config.origin.listen = any;
    config
}

pub(crate) fn grid(profile: Profile, num: u32, den: u32, audio: u32) -> Grid {
    Grid::of(profile, FrameRate::new(num, den).unwrap(), audio).unwrap()
}

impl Stage {
    /// 30 frames a second, parts of 0.5 s, segments of 2 s.
    pub(crate) async fn usual() -> Self {
        Self::start(grid(Profile::Low, 30, 1, 48_000)).await
    }

    /// The usual one, with ten segments and `cells` more.
    pub(crate) async fn running(cells: u64) -> Self {
        let mut stage = Self::usual().await;
        stage.feed(40 + cells).await;
        stage
    }

    pub(crate) async fn start(grid: Grid) -> Self {
        Self::set(grid, |_| {}).await
    }

    /// One whose packager is set otherwise.
    pub(crate) async fn set(grid: Grid, set: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        set(&mut config);
        let packager = Packager::bind(config, SECRET.to_vec()).await.unwrap();
        let (feed, origin) = (packager.feed_address().unwrap(), packager.origin_address());
        let subtitles = packager.subtitles();
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(packager.run(shutdown.clone()));
        let stage = Self::at(grid, feed, origin, tasks, shutdown).await;
        Self { subtitles, ..stage }
    }

    /// The usual one, of a packager in a process of its own: its feed and its origin.
    pub(crate) async fn of((feed, origin): (SocketAddr, SocketAddr)) -> Self {
        let usual = grid(Profile::Low, 30, 1, 48_000);
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        Self::at(usual, feed, origin, tasks, shutdown).await
    }

    async fn at(
        grid: Grid,
        packager: SocketAddr,
        origin: SocketAddr,
        tasks: TaskTracker,
        shutdown: CancellationToken,
    ) -> Self {
        let ladder = Ladder::first();
        // A stream it has not known before: from the oldest cell the ingest keeps.
        let feed = connect(packager, grid, ladder).await;
        let feed = feed.resumed(Cell(0));
        let client = Client::builder(TokioExecutor::new()).build_http();
        let reader = Reader { client, origin };
        let sample = grid.first_sample(grid.first_frame(FIRST));
        Self {
            grid,
            reader,
            next: FIRST,
            packager,
            feed,
            ladder,
            sample,
            subtitles: None,
            tasks,
            shutdown: shutdown.clone(),
            _ends: shutdown.drop_guard(),
        }
    }

    /// The packager is another process now; nothing feeds it yet.
    pub(crate) fn moved(&mut self, addresses: (SocketAddr, SocketAddr)) {
        (self.packager, self.reader.origin) = addresses;
    }

    /// The packager ends as it is told to.
    pub(crate) async fn stop(&self) {
        self.shutdown.cancel();
        self.tasks.close();
        timeout(PATIENCE, self.tasks.wait()).await.expect("it ends");
    }

    /// Goes back to a cell that has been fed before.
    pub(crate) fn rewind(&mut self, cell: Cell) {
        self.next = cell;
        self.sample = self.grid.first_sample(self.grid.first_frame(self.ladder.first));
        while self.grid.cell_of_sample(self.sample) < cell {
            self.sample += 1_024;
        }
    }

    /// Is fed from the middle of a cell on, which it will not have.
    pub(crate) async fn join(&mut self, cell: Cell) {
        self.rewind(cell);
        let middle = self.grid.first_frame(cell) + 7;
        for track in 0..2 {
            let mut out = BytesMut::new();
            for (time, key) in self.video(cell).into_iter().filter(|(time, _)| *time >= middle) {
                let data = Bytes::from_static(&[0, 0, 0, 1, 0x65]);
                encode(
                    &Message::Unit(Unit {
                        track,
                        time,
                        key,
                        data,
                    }),
                    &mut out,
                );
            }
            encode(&Message::Watermark { track, cell }, &mut out);
            self.feed.write_all(&out).await.unwrap();
        }
        self.push_track(2, cell, true).await;
        self.rewind(cell.next());
    }

    /// The ingest dies, and so many cells later another ladder begins; perhaps with other decoder configurations.
    pub(crate) async fn restart(&mut self, pause: u64, changed: bool) {
        let first = Cell(self.next.0 + pause);
        let level = self.ladder.level + u8::from(changed);
        self.ladder = Ladder {
            first,
            discontinuity: self.ladder.discontinuity + 1,
            level,
            ..self.ladder
        };
        self.reconnect(Cell(0)).await;
        self.next = first;
        self.sample = self.grid.first_sample(self.grid.first_frame(first));
    }

    /// The same, with so many tracks only.
    pub(crate) async fn restart_with_tracks(&mut self, tracks: usize) {
        self.ladder.tracks = tracks;
        self.restart(4, false).await;
    }

    /// The feed's connection is made anew, and the packager wants this cell.
    pub(crate) async fn reconnect(&mut self, wanted: Cell) {
        let feed = connect(self.packager, self.grid, self.ladder).await;
        self.feed = feed.resumed(wanted);
    }

    /// The same, whatever cell it wants: that one.
    pub(crate) async fn resumed(&mut self) -> Cell {
        let greeted = connect(self.packager, self.grid, self.ladder).await;
        let Message::Resume(wanted) = greeted.wish else {
            panic!("refused: {:?}", greeted.wish)
        };
        self.feed = greeted.feed;
        wanted
    }

    /// Feeds this many cells, and waits until they are published.
    pub(crate) async fn feed(&mut self, cells: u64) {
        for _ in 0..cells {
            self.push(&[]).await;
        }
        self.published().await;
    }

    /// Feeds the cells before the stream is shown.
    pub(crate) async fn feed_unshown(&mut self) {
        for _ in 0..UNSHOWN {
            self.push(&[]).await;
        }
    }

    /// Feeds one cell, which some tracks do not have, and waits until it is published.
    pub(crate) async fn feed_with_gaps(&mut self, gaps: &[u16]) {
        self.push(gaps).await;
        self.published().await;
    }

    /// Something happens in the programme.
    pub(crate) async fn cue(&mut self, cue: Cue) {
        let mut out = BytesMut::new();
        encode(&Message::Cue(Box::new(cue)), &mut out);
        self.feed.write_all(&out).await.unwrap();
    }

    /// A picture of a cell.
    pub(crate) async fn picture(&mut self, cell: Cell, jpeg: Bytes) {
        let mut out = BytesMut::new();
        encode(&Message::Thumbnail { cell, jpeg }, &mut out);
        self.feed.write_all(&out).await.unwrap();
    }

    pub(crate) async fn push(&mut self, gaps: &[u16]) {
        let cell = self.next;
        for track in 0..u16::try_from(self.ladder.tracks).unwrap() {
            self.push_track(track, cell, gaps.contains(&track)).await;
        }
        self.next = cell.next();
    }

    /// Feeds a cell of one track.
    pub(crate) async fn push_track(&mut self, track: u16, cell: Cell, gap: bool) {
        let mut out = BytesMut::new();
        let units = if track == 2 {
            self.audio(cell)
        } else {
            self.video(cell)
        };
        for (time, key) in units.into_iter().filter(|_| !gap) {
            let data = [
                &[0, 0, 0, 12, 0x65, 0, 0],
                &track.to_be_bytes()[..],
                &time.to_be_bytes(),
            ]
            .concat();
            encode(
                &Message::Unit(Unit {
                    track,
                    time,
                    key,
                    data: data.into(),
                }),
                &mut out,
            );
        }
        let closed = if gap {
            Message::Gap { track, cell }
        } else {
            Message::Watermark { track, cell }
        };
        encode(&closed, &mut out);
        self.feed.write_all(&out).await.unwrap();
    }

    fn video(&self, cell: Cell) -> Vec<(u64, bool)> {
        let first = self.grid.first_frame(cell);
        let key = self.grid.starts_gop(cell) || cell == self.ladder.first;
        (first..self.grid.first_frame(cell.next()))
            .map(|frame| (frame, key && frame == first))
            .collect()
    }

    fn audio(&mut self, cell: Cell) -> Vec<(u64, bool)> {
        let mut units = Vec::new();
        while self.grid.cell_of_sample(self.sample) == cell {
            units.push((self.sample, true));
            self.sample += 1_024;
        }
        units
    }

    pub(crate) async fn published(&self) {
        let hint = format!("\"part-{}.m4s\"", self.next);
        let seen = async {
            while !self.reader.playlist("360p").await.contains(&hint) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, seen).await.expect("what is fed is published");
    }

    /// Ends the stream, and waits until that shows.
    pub(crate) async fn end(&mut self) {
        let mut out = BytesMut::new();
        encode(&Message::End, &mut out);
        self.feed.write_all(&out).await.unwrap();
        let seen = async {
            while !self.reader.playlist("360p").await.contains("#EXT-X-ENDLIST") {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, seen).await.expect("the end shows");
    }

    /// An edge of this packager's.
    pub(crate) async fn edge(&self) -> Reader {
        let any = fanout::config::Listen {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        };
        let config = fanout::Config {
            http: any.clone(),
            https: any,
            parents: vec![format!("http://{}", self.reader.origin)],
            ..fanout::Config::default()
        };
        let edge = fanout::Edge::bind(config, None).await.unwrap();
        let origin = edge.http_address();
        self.tasks.spawn(edge.run(self.shutdown.clone()));
        Reader {
            origin,
            ..self.reader.clone()
        }
    }

    /// Sends a request to this server.
    pub(crate) fn ask_of(&self, reader: &Reader, path: &str) -> JoinHandle<Answer> {
        let (reader, path) = (reader.clone(), path.to_owned());
        self.tasks.spawn(async move { reader.get(&path).await })
    }

    /// Sends a request that may have to wait.
    pub(crate) fn ask(&self, path: &str) -> JoinHandle<Answer> {
        let (reader, path) = (self.reader.clone(), path.to_owned());
        self.tasks.spawn(async move { reader.get(&path).await })
    }

    /// Whether a request has been answered: asked after as much time and work as an answer could need.
    pub(crate) async fn answered(&self, request: &JoinHandle<Answer>) -> bool {
        for _ in 0..6 {
            if request.is_finished() {
                return true;
            }
            sleep(Duration::from_millis(5)).await;
            self.reader.get("none").await;
        }
        request.is_finished()
    }
}

/// One life of the ladder.
#[derive(Debug, Clone, Copy)]
struct Ladder {
    first: Cell,
    discontinuity: u64,
    /// AVCLevelIndication: all that differs between decoder configurations.
    level: u8,
    tracks: usize,
}

impl Ladder {
    fn first() -> Self {
        Self {
            first: FIRST,
            discontinuity: 0,
            level: 0x0a,
            tracks: TRACKS.len(),
        }
    }
}

/// A connection on which everything up to the packager's wish has been said.
struct Greeted {
    feed: TcpStream,
    wish: Message,
}

impl Greeted {
    fn resumed(self, wanted: Cell) -> TcpStream {
        assert_eq!(self.wish, Message::Resume(wanted));
        self.feed
    }
}

async fn connect(address: SocketAddr, grid: Grid, ladder: Ladder) -> Greeted {
    let mut feed = TcpStream::connect(address).await.unwrap();
    feed.set_nodelay(true).unwrap();
    let mut decoder = Decoder::default();
    let Message::Challenge(challenge) = receive(&mut feed, &mut decoder).await else {
        panic!("no challenge")
    };
    let stream = StreamId::new("main").unwrap();
    let hello = Hello {
        protocol: PROTOCOL,
        mac: auth::mac(SECRET, &challenge, &stream),
        stream,
        epoch: Epoch(ladder.first.0),
        discontinuity: ladder.discontinuity,
        shape: Shape {
            grid,
            tracks: TRACKS
                .iter()
                .take(ladder.tracks)
                .map(|id| track(id, ladder.level))
                .collect(),
            captions: Vec::new(),
        },
    };
    let mut out = BytesMut::new();
    encode(&Message::Hello(Box::new(hello)), &mut out);
    feed.write_all(&out).await.unwrap();
    let wish = receive(&mut feed, &mut decoder).await;
    Greeted { feed, wish }
}

fn track(id: &str, level: u8) -> Track {
    let mut config = AVCC.to_vec();
    config[3] = level;
    let codec = match id {
        "audio" => Codec::Aac {
            config: Bytes::from_static(&[0x11, 0x90]),
            channels: 2,
        },
        _ => Codec::H264 {
            config: config.into(),
            width: 64,
            height: 64,
        },
    };
    Track {
        id: TrackId::new(id).unwrap(),
        codec,
        average_bps: 100_000,
        peak_bps: 200_000,
        language: None,
        title: None,
    }
}

async fn receive(feed: &mut TcpStream, decoder: &mut Decoder) -> Message {
    let message = async {
        loop {
            if let Some(message) = decoder.next().unwrap() {
                return message;
            }
            let mut buffer = [0; 1_024];
            let read = feed.read(&mut buffer).await.unwrap();
            assert!(read > 0, "the packager closed the feed");
            decoder.push(&buffer[..read]);
        }
    };
    timeout(PATIENCE, message).await.expect("the packager speaks")
}

pub(crate) fn clean(violations: &[Violation]) {
    assert_eq!(violations, []);
}

pub(crate) fn only(rule: u8, violations: &[Violation]) {
    let broken = !violations.is_empty() && violations.iter().all(|violation| violation.rule == rule);
    assert!(broken, "rule {rule} alone has to be broken: {violations:?}");
}
