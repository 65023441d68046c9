//! Answers, as bytes into a socket: head and body in one call where they fit, large bodies out of a file.

use std::cell::RefCell;
use std::io::{self, IoSlice, Write as _};
use std::time::{Duration, SystemTime};

use bytes::{Buf as _, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{Response, StatusCode};
use rustix::net::SendFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::stalled;
use crate::Body;
use crate::file::File;

/// Handed to the kernel at once.
const SLICES_MAX: usize = 16;

/// Writes all of an answer; fails where the peer has left, or takes nothing for `patience`.
pub(super) async fn write(
    stream: &TcpStream,
    answer: Response<Body>,
    is_head: bool,
    last: bool,
    patience: Duration,
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
            drain(stream, &mut out, patience).await
        }
        None => {
            let mut out = Out::Chunks {
                head: head.into(),
                body,
            };
            drain(stream, &mut out, patience).await
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

async fn drain(stream: &TcpStream, out: &mut Out, patience: Duration) -> io::Result<()> {
    loop {
        match stream.try_io(Interest::WRITABLE, || out.push(stream)) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                timeout(patience, stream.writable())
                    .await
                    .map_err(|_| stalled())??;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Out {
    /// One call to the kernel. Whether nothing is left.
    fn push(&mut self, stream: &TcpStream) -> io::Result<bool> {
        match self {
            Self::Chunks { head, body } => {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let all = std::iter::once(&*head).chain(body.chunks());
                let mut count = 0;
                for (slot, chunk) in slices.iter_mut().zip(all.filter(|chunk| !chunk.is_empty())) {
                    *slot = IoSlice::new(chunk);
                    count += 1;
                }
                let mut sent = send(stream, slices.get(..count).unwrap_or_default())?;
                let of_head = sent.min(head.len());
                head.advance(of_head);
                sent -= of_head;
                body.advance(sent);
                Ok(head.is_empty() && body.is_empty())
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
                    *sent += rustix::net::send(stream, rest, SendFlags::MORE | SendFlags::NOSIGNAL)?;
                    return Ok(false);
                }
                let left = usize::try_from(*end - *at).unwrap_or(usize::MAX);
                if rustix::fs::sendfile(stream, file, Some(at), left)? == 0 && *at < *end {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(*at == *end)
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
