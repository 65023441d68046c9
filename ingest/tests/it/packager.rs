//! A packager's end of the feed that only remembers what it was told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use feed::{Cue, Decoder, Hello, Message, Unit};
use hls::id::Cell;
use hls::time::AUDIO_FRAME_SAMPLES;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

pub(crate) const SECRET: &[u8] = b"between us";

/// What came, in order.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) hellos: Vec<Hello>,
    pub(crate) units: Vec<(Instant, Unit)>,
    pub(crate) watermarks: Vec<(u16, Cell)>,
    pub(crate) gaps: Vec<(u16, Cell)>,
    pub(crate) cues: Vec<Cue>,
    pub(crate) pictures: Vec<(Cell, Bytes)>,
}

#[derive(Clone)]
pub(crate) struct Packager {
    pub(crate) addr: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    changed: watch::Sender<u64>,
    hang_up: Arc<Notify>,
}

impl Packager {
    /// Serves one ingest at a time, for as long as the test's runtime lives.
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let packager = Self {
            addr,
            seen: Arc::default(),
            changed: watch::Sender::new(0),
            hang_up: Arc::default(),
        };
        let server = packager.clone();
        let tasks = tokio_util::task::TaskTracker::new();
        tasks.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                server.serve(socket).await;
            }
        });
        packager
    }

    async fn serve(&self, mut socket: TcpStream) {
        let challenge = [7; 32];
        let mut bytes = BytesMut::new();
        feed::encode(&Message::Challenge(challenge), &mut bytes);
        socket.write_all(&bytes).await.unwrap();
        let (mut decoder, mut buffer) = (Decoder::default(), vec![0; 65_536]);
        loop {
            while let Some(message) = decoder.next().unwrap() {
                if let Message::Hello(hello) = &message {
                    assert!(feed::auth::verify(SECRET, &challenge, &hello.stream, &hello.mac));
                    bytes.clear();
                    feed::encode(&Message::Resume(self.resume()), &mut bytes);
                    socket.write_all(&bytes).await.unwrap();
                }
                self.note(message);
            }
            let read = tokio::select! {
                read = socket.read(&mut buffer) => read,
                () = self.hang_up.notified() => return,
            };
            match read {
                Ok(length) if length > 0 => decoder.push(&buffer[..length]),
                _ => return,
            }
        }
    }

    /// Closes the connection that is open.
    pub(crate) fn hang_up(&self) {
        self.hang_up.notify_one();
    }

    /// The first cell not yet complete in every track; what is here of it and later is forgotten.
    fn resume(&self) -> Cell {
        let mut seen = self.seen.lock().unwrap();
        let Some(hello) = seen.hellos.first().cloned() else {
            return Cell(0);
        };
        let tracks = 0..u16::try_from(hello.shape.tracks.len()).unwrap();
        let next = tracks
            .map(|track| {
                seen.watermarks
                    .iter()
                    .filter(|(t, _)| *t == track)
                    .map(|(_, cell)| cell.0 + 1)
                    .max()
            })
            .map(|next| next.unwrap_or(hello.epoch.0))
            .min()
            .map_or(Cell(0), Cell);
        let grid = hello.shape.grid;
        seen.units.retain(|(_, unit)| {
            let is_video = hello.shape.tracks[usize::from(unit.track)].is_video();
            let cell = if is_video {
                grid.cell_of_frame(unit.time)
            } else {
                grid.cell_of_sample(unit.time)
            };
            cell < next
        });
        seen.watermarks.retain(|(_, cell)| *cell < next);
        next
    }

    fn note(&self, message: Message) {
        let mut seen = self.seen.lock().unwrap();
        match message {
            Message::Hello(hello) => seen.hellos.push(*hello),
            Message::Unit(unit) => seen.units.push((Instant::now(), unit)),
            Message::Watermark { track, cell } => seen.watermarks.push((track, cell)),
            Message::Gap { track, cell } => seen.gaps.push((track, cell)),
            Message::Cue(cue) => seen.cues.push(*cue),
            Message::Thumbnail { cell, jpeg } => seen.pictures.push((cell, jpeg)),
            other @ (Message::Challenge(_) | Message::Resume(_) | Message::Refuse(_) | Message::End) => {
                panic!("an ingest never says {other:?}")
            }
        }
        drop(seen);
        self.changed.send_modify(|n| *n += 1);
    }

    pub(crate) fn look<T>(&self, at: impl FnOnce(&Seen) -> T) -> T {
        at(&self.seen.lock().unwrap())
    }

    /// Waits for a state, at most `within`.
    pub(crate) async fn wait_for(&self, what: &str, within: Duration, state: impl Fn(&Seen) -> bool) {
        let mut changed = self.changed.subscribe();
        let reached = async {
            while !self.look(&state) {
                changed.changed().await.unwrap();
            }
        };
        assert!(
            tokio::time::timeout(within, reached).await.is_ok(),
            "not within {within:?}: {what}"
        );
    }

    /// Waits until track 0 has `frames` frames.
    pub(crate) async fn wait_for_frames(&self, frames: usize) {
        let within = Duration::from_secs(10) + Duration::from_millis(50) * u32::try_from(frames).unwrap();
        self.wait_for("frames", within, |seen| seen.times(0).len() >= frames)
            .await;
    }
}

impl Seen {
    pub(crate) fn of(&self, track: u16) -> impl Iterator<Item = &Unit> {
        self.units
            .iter()
            .map(|(_, unit)| unit)
            .filter(move |unit| unit.track == track)
    }

    pub(crate) fn times(&self, track: u16) -> Vec<u64> {
        self.of(track).map(|unit| unit.time).collect()
    }

    /// The promise of the feed: every frame and sample in order from the epoch on, keys where GOPs start,
    /// watermarks for every cell.
    pub(crate) fn assert_unbroken(&self) {
        let hello = self.hellos.first().expect("a hello came");
        let (grid, epoch) = (hello.shape.grid, Cell(hello.epoch.0));
        assert_eq!(self.gaps, []);
        for (index, track) in hello.shape.tracks.iter().enumerate() {
            let index = u16::try_from(index).unwrap();
            let (first, step) = if track.is_video() {
                (grid.first_frame(epoch), 1)
            } else {
                (
                    grid.first_sample(grid.first_frame(epoch)),
                    u64::from(AUDIO_FRAME_SAMPLES),
                )
            };
            for (n, unit) in self.of(index).enumerate() {
                assert_eq!(unit.time, first + n as u64 * step, "{} unit {n}", track.id);
                let cell = grid.cell_of_frame(unit.time);
                let starts = grid.starts_gop(cell) && grid.first_frame(cell) == unit.time;
                assert_eq!(
                    unit.key,
                    !track.is_video() || n == 0 || starts,
                    "{} unit {n}",
                    track.id
                );
            }
            let closed = self.watermarks.iter().filter(|(track, _)| *track == index);
            let closed: Vec<u64> = closed.map(|(_, cell)| cell.0).collect();
            let expected: Vec<u64> = (epoch.0..).take(closed.len()).collect();
            assert_eq!(closed, expected, "watermarks of {}", track.id);
            let end = self.times(index).last().unwrap() + step;
            let whole = if track.is_video() {
                grid.cell_of_frame(end)
            } else {
                grid.cell_of_sample(end)
            };
            let told = closed.last().map_or(epoch, |cell| Cell(cell + 1));
            assert!(
                whole.0 - told.0 <= 1,
                "{}: watermark of {told}, media up to {whole}",
                track.id
            );
        }
    }
}
