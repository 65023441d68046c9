//! A publisher in the test's own hands: what ffmpeg made, sent as the test wants it.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rtmp::amf::{self, Value};
use rtmp::chunk::{Message, Reader, Writer, kind};
use rtmp::handshake::{PACKET_BYTES, RANDOM_BYTES};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

/// One FLV tag.
#[derive(Clone)]
pub(crate) struct Tag {
    pub(crate) kind: u8,
    pub(crate) timestamp_ms: u32,
    /// When it is sent.
    pub(crate) due_ms: u32,
    body: Bytes,
}

impl Tag {
    /// A data message.
    pub(crate) fn data(timestamp_ms: u32, values: &[Value]) -> Self {
        let mut body = BytesMut::new();
        amf::encode(values, &mut body);
        Self {
            kind: kind::DATA,
            timestamp_ms,
            due_ms: timestamp_ms,
            body: body.freeze(),
        }
    }
}

/// What ffmpeg makes of a file of H.264, as it is.
pub(crate) fn copied(file: &std::path::Path, rate: u32) -> Vec<Tag> {
    tags(&crate::captions::muxed(file, rate, &["-f", "flv", "-"]).into())
}

/// Has ffmpeg encode `seconds` of lavfi, as fast as it can.
pub(crate) fn record(picture: &str, sound: &str, seconds: u32) -> Vec<Tag> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-hide_banner", "-loglevel", "error", "-nostdin"]);
    ffmpeg.args(["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]);
    ffmpeg.args([
        "-t",
        &seconds.to_string(),
        "-c:a",
        "aac",
        "-c:v",
        "libx264",
        "-g",
        "30",
    ]);
    ffmpeg.args([
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-pix_fmt",
        "yuv420p",
    ]);
    let made = ffmpeg
        .args(["-f", "flv", "-"])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(made.status.success());
    tags(&Bytes::from(made.stdout))
}

/// flv §E.3: a header of 9 bytes, then tags of 11 bytes and a body, each after the size of the one before.
fn tags(file: &Bytes) -> Vec<Tag> {
    let (mut tags, mut at) = (Vec::new(), 13);
    while at + 11 <= file.len() {
        let header = &file[at..at + 11];
        let length = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
        let timestamp_ms = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
        tags.push(Tag {
            kind: header[0],
            timestamp_ms,
            due_ms: timestamp_ms,
            body: file.slice(at + 11..at + 11 + length),
        });
        at += 11 + length + 4;
    }
    tags
}

/// A connection that was let in.
pub(crate) struct Raw {
    socket: TcpStream,
    writer: Writer,
}

impl Raw {
    /// Connects and publishes; returns once media may come.
    pub(crate) async fn publish(to: SocketAddr, key: &str) -> Self {
        let mut socket = TcpStream::connect(to).await.unwrap();
        socket.write_all(&[3; 1 + PACKET_BYTES]).await.unwrap();
        let mut answer = vec![0; 1 + 2 * PACKET_BYTES];
        socket.read_exact(&mut answer).await.unwrap();
        socket.write_all(&answer[1..=PACKET_BYTES]).await.unwrap();
        const { assert!(PACKET_BYTES == RANDOM_BYTES + 8) };
        let (mut writer, mut bytes) = (Writer::default(), BytesMut::new());
        writer.set_chunk_size(60_000, &mut bytes);
        let app = Value::object([("app", Value::string("live"))]);
        let name = |name, number| [Value::string(name), Value::Number(number), Value::Null];
        command(
            0,
            &[Value::string("connect"), Value::Number(1.0), app],
            &mut writer,
            &mut bytes,
        );
        command(0, &name("createStream", 2.0), &mut writer, &mut bytes);
        let publish = [
            &name("publish", 3.0)[..],
            &[Value::string(key), Value::string("live")],
        ]
        .concat();
        command(1, &publish, &mut writer, &mut bytes);
        socket.write_all(&bytes).await.unwrap();
        let mut raw = Self { socket, writer };
        timeout(Duration::from_secs(5), raw.accepted()).await.unwrap();
        raw
    }

    async fn accepted(&mut self) {
        let (mut reader, mut buffer) = (Reader::new(1 << 20, 64), vec![0; 4_096]);
        loop {
            let length = self.socket.read(&mut buffer).await.unwrap();
            assert!(length > 0, "closed before it was let in");
            let mut rest = &buffer[..length];
            while let Some(message) = reader.read(&mut rest).unwrap() {
                if message.kind == kind::SET_CHUNK_SIZE {
                    let size = message.payload.first_chunk().copied().map(u32::from_be_bytes);
                    reader.set_chunk_size(size.unwrap()).unwrap();
                }
                let start = b"NetStream.Publish.Start";
                if message.payload.windows(start.len()).any(|bytes| bytes == start) {
                    return;
                }
            }
        }
    }

    /// Sends each tag when it is due.
    pub(crate) async fn play(&mut self, tags: &[Tag]) {
        let start = Instant::now();
        for tag in tags {
            sleep_until(start + Duration::from_millis(tag.due_ms.into())).await;
            let bytes = self.message(tag.kind, tag.timestamp_ms, tag.body.clone());
            self.socket.write_all(&bytes).await.unwrap();
        }
    }

    /// Begins a frame that would be 50 kB and never gets beyond the first of them.
    pub(crate) async fn begin_a_frame(&mut self, timestamp_ms: u32) {
        let bytes = self.message(kind::VIDEO, timestamp_ms, vec![0x27; 50_000].into());
        self.socket.write_all(&bytes[..1_000]).await.unwrap();
    }

    /// Hangs, but for `crumb` every tenth of a second, until it is closed; gives how long that took.
    pub(crate) async fn hang(mut self, crumb: &[u8]) -> Duration {
        let (start, mut buffer) = (Instant::now(), vec![0; 4_096]);
        loop {
            assert!(start.elapsed() < Duration::from_secs(20), "nobody closes it");
            let read = timeout(Duration::from_millis(100), self.socket.read(&mut buffer)).await;
            let is_closed = matches!(read, Ok(Ok(0) | Err(_)));
            if is_closed || self.socket.write_all(crumb).await.is_err() {
                return start.elapsed();
            }
        }
    }

    /// A ping, as an encoder that has nothing to say may send.
    pub(crate) fn ping(&mut self) -> Vec<u8> {
        self.message(kind::USER_CONTROL, 0, Bytes::from_static(&[0, 6, 0, 0, 0, 0]))
    }

    fn message(&mut self, kind: u8, timestamp_ms: u32, payload: Bytes) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        let message = Message {
            timestamp_ms,
            kind,
            stream: u32::from(kind != kind::USER_CONTROL),
            payload,
        };
        let id = if message.stream == 0 { 2 } else { kind.min(18) };
        self.writer.write(id, &message, &mut bytes);
        bytes.to_vec()
    }
}

fn command(stream: u32, values: &[Value], writer: &mut Writer, output: &mut BytesMut) {
    let mut payload = BytesMut::new();
    amf::encode(values, &mut payload);
    let message = Message {
        timestamp_ms: 0,
        kind: kind::COMMAND,
        stream,
        payload: payload.freeze(),
    };
    writer.write(3, &message, output);
}
