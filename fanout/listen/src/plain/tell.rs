//! Answers, as bytes into a socket: head and body in one call where they fit, large bodies out of a file.

use std::cell::RefCell;
use std::future::pending;
use std::io::{self, IoSlice, Write as _};
use std::time::SystemTime;

use bytes::{Buf as _, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{Response, StatusCode};
use rustix::net::SendFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::Body;
use crate::file::File;
use crate::metrics::Cause;
use crate::seat::Seat;

/// Handed to the kernel at once.
const SLICES_MAX: usize = 16;

/// Writes all of an answer; fails where the peer has left, or takes too little.
pub(super) async fn write(
    stream: &TcpStream,
    seat: &Seat,
    answer: Response<Body>,
    is_head: bool,
    last: bool,
) -> io::Result<()> {
    let head = head(&answer, last);
    let body = if is_head {
        Body::empty()
    } else {
        answer.into_body()
    };
    match body.file() {
        Some((file, range)) => {
            let mut out = Out::File {
                head,
                sent: 0,
                at: range.start,
                end: range.end,
                file,
            };
            drain(stream, seat, &mut out).await
        }
        None => {
            let mut out = Out::Chunks {
                head: head.into(),
                body,
            };
            drain(stream, seat, &mut out).await
        }
    }
}

/// What is left to write.
enum Out {
    Chunks {
        head: Bytes,
        body: Body,
    },
    File {
        head: Vec<u8>,
        sent: usize,
        file: File,
        at: u64,
        end: u64,
    },
}

async fn drain(stream: &TcpStream, seat: &Seat, out: &mut Out) -> io::Result<()> {
    loop {
        match stream.try_io(Interest::WRITABLE, || out.push(stream)) {
            Ok(sent) => {
                seat.sent(sent);
                if out.is_done() {
                    seat.is_drained();
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                seat.is_blocked();
                tokio::select! {
                    writable = stream.writable() => writable?,
                    () = cut(seat) => return Err(io::ErrorKind::TimedOut.into()),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Ends when the connection has to end at once: not for others, who wait until its answer is told.
async fn cut(seat: &Seat) {
    if matches!(seat.ended().await, Cause::Idle | Cause::Room) {
        pending().await
    }
}

impl Out {
    fn is_done(&self) -> bool {
        match self {
            Self::Chunks { head, body } => head.is_empty() && body.is_empty(),
            Self::File {
                head, sent, at, end, ..
            } => *sent == head.len() && at == end,
        }
    }

    /// One call to the kernel. How many bytes it took.
    fn push(&mut self, stream: &TcpStream) -> io::Result<usize> {
        match self {
            Self::Chunks { head, body } => {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let all = std::iter::once(&*head).chain(body.chunks());
                let mut count = 0;
                for (slot, chunk) in slices.iter_mut().zip(all.filter(|chunk| !chunk.is_empty())) {
                    *slot = IoSlice::new(chunk);
                    count += 1;
                }
                let sent = send(stream, slices.get(..count).unwrap_or_default())?;
                let of_head = sent.min(head.len());
                head.advance(of_head);
                body.advance(sent - of_head);
                Ok(sent)
            }
            Self::File {
                head,
                sent,
                file,
                at,
                end,
            } => {
                if let Some(rest) = head.get(*sent..).filter(|rest| !rest.is_empty()) {
                    // The body follows at once: no packet of its own for the head.
                    let taken = rustix::net::send(stream, rest, SendFlags::MORE | SendFlags::NOSIGNAL)?;
                    *sent += taken;
                    return Ok(taken);
                }
                let left = usize::try_from(*end - *at).unwrap_or(usize::MAX);
                match rustix::fs::sendfile(stream, file, Some(at), left)? {
                    0 if left > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
                    sent => Ok(sent),
                }
            }
        }
    }
}

fn send(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut none = rustix::net::SendAncillaryBuffer::default();
    Ok(rustix::net::sendmsg(
        stream,
        slices,
        &mut none,
        SendFlags::NOSIGNAL,
    )?)
}

/// Status line and headers.
fn head(answer: &Response<Body>, last: bool) -> Vec<u8> {
    let status = answer.status();
    let mut head = Vec::with_capacity(768);
    head.extend_from_slice(b"HTTP/1.1 ");
    head.extend_from_slice(status.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    head.extend_from_slice(b"\r\n");
    let ours = [CONNECTION, DATE, TRANSFER_ENCODING];
    for (name, value) in answer.headers().iter().filter(|(name, _)| !ours.contains(name)) {
        line(&mut head, name.as_str(), value.as_bytes());
    }
    // RFC 9110 §8.6: none of these has a body.
    let bodiless =
        status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !bodiless && !answer.headers().contains_key(CONTENT_LENGTH) {
        // Writing to memory does not fail.
        let _infallible = write!(head, "content-length: {}\r\n", answer.body().len());
    }
    if last {
        line(&mut head, "connection", b"close");
    }
    TODAY.with_borrow_mut(|today| line(&mut head, "date", today.now().as_bytes()));
    head.extend_from_slice(b"\r\n");
    head
}

fn line(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

thread_local! {
    static TODAY: RefCell<Today> = const { RefCell::new(Today { second: 0, text: String::new() }) };
}

/// The date header (RFC 9110 §6.6.1), made once a second.
struct Today {
    second: u64,
    text: String,
}

impl Today {
    fn now(&mut self) -> &str {
        let now = SystemTime::now();
        let second = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        if second != self.second || self.text.is_empty() {
            (self.second, self.text) = (second, httpdate::fmt_http_date(now));
        }
        &self.text
    }
}
