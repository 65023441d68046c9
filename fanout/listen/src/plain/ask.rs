//! Requests, read out of bytes. Strict: what is not understood to the last header is somebody else's.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use tokio::io::{AsyncRead as _, ReadBuf};

use crate::Limits;
use crate::guard::Guard;

/// More are hyper's to refuse.
const HEADERS_MAX: usize = 64;
/// Read at once.
const SCRATCH_BYTES: usize = 8 << 10;

thread_local! {
    static SCRATCH: RefCell<[u8; SCRATCH_BYTES]> = const { RefCell::new([0; SCRATCH_BYTES]) };
}

/// What there is to answer.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
pub(super) enum Asked {
    /// A request; its bytes are taken.
    Whole(Request<()>),
    /// The beginning of one.
    Partly,
    /// A body, an upgrade, another version, an error: all of it as it came.
    Other,
}

/// Waits for bytes and adds them. False where the peer has finished.
pub(super) async fn more(stream: &mut Guard, unread: &mut BytesMut) -> io::Result<bool> {
    poll_fn(|context| {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut scratch = ReadBuf::new(scratch);
            // Unlike `try_read`, this knows that a short read was the last one.
            ready!(Pin::new(&mut *stream).poll_read(context, &mut scratch))?;
            unread.extend_from_slice(scratch.filled());
            Poll::Ready(Ok(!scratch.filled().is_empty()))
        })
    })
    .await
}

/// The first request of these bytes; one whose head is too long is somebody else's to refuse.
pub(super) fn read(unread: &mut BytesMut, limits: &Limits) -> Asked {
    if unread.is_empty() {
        return Asked::Partly;
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(unread) {
        Ok(httparse::Status::Complete(length)) if length <= limits.head_bytes => length,
        Ok(httparse::Status::Partial) if unread.len() < limits.head_bytes => return Asked::Partly,
        Ok(httparse::Status::Complete(_) | httparse::Status::Partial) | Err(_) => return Asked::Other,
    };
    let Some(plain) = Plain::of(&parsed, unread, limits) else {
        return Asked::Other;
    };
    // Names are few and known; values and target are shared with what was read.
    let head = unread.split_to(length).freeze();
    if unread.is_empty() {
        // A viewer that waits holds no buffer.
        *unread = BytesMut::new();
    }
    plain.request(&head).map_or(Asked::Other, Asked::Whole)
}

/// A request that needs nothing but an answer, as places in its head.
struct Plain {
    method: Method,
    target: (usize, usize),
    headers: Vec<(HeaderName, (usize, usize))>,
}

impl Plain {
    fn of(parsed: &httparse::Request<'_, '_>, bytes: &[u8], limits: &Limits) -> Option<Self> {
        let place = |part: &[u8]| {
            let from = (part.as_ptr() as usize).checked_sub(bytes.as_ptr() as usize)?;
            (from + part.len() <= bytes.len()).then_some((from, from + part.len()))
        };
        let method = match parsed.method? {
            "GET" => Method::GET,
            "HEAD" => Method::HEAD,
            "OPTIONS" => Method::OPTIONS,
            _ => return None,
        };
        let target = parsed.path?;
        let fits = target.len() <= limits.target_bytes;
        if parsed.version? != 1 || !fits || !target.starts_with('/') || Uri::try_from(target).is_err() {
            return None;
        }
        let mut headers = Vec::with_capacity(parsed.headers.len());
        let mut hosts = 0;
        for header in parsed.headers.iter() {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
            if !is_plain(&name, header.value) || HeaderValue::from_bytes(header.value).is_err() {
                return None;
            }
            hosts += usize::from(name == http::header::HOST);
            headers.push((name, place(header.value)?));
        }
        // RFC 9112 §3.2: exactly one.
        (hosts == 1).then_some(Self {
            method,
            target: place(target.as_bytes())?,
            headers,
        })
    }

    fn request(self, head: &Bytes) -> Option<Request<()>> {
        let mut request = Request::new(());
        *request.method_mut() = self.method;
        *request.uri_mut() = Uri::from_maybe_shared(head.slice(self.target.0..self.target.1)).ok()?;
        let headers = request.headers_mut();
        headers.reserve(self.headers.len());
        for (name, (from, to)) in self.headers {
            headers.append(name, HeaderValue::from_maybe_shared(head.slice(from..to)).ok()?);
        }
        Some(request)
    }
}

/// Whether a header changes nothing about how the request is read or the connection goes on.
fn is_plain(name: &HeaderName, value: &[u8]) -> bool {
    use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
    if *name == CONNECTION {
        return value.eq_ignore_ascii_case(b"keep-alive");
    }
    ![CONTENT_LENGTH, EXPECT, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(name)
        && name != "http2-settings"
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1_024;

    fn read(unread: &mut BytesMut) -> Asked {
        let limits = Limits {
            head_bytes: LIMIT,
            target_bytes: 100,
            ..Limits::default()
        };
        super::read(unread, &limits)
    }

    fn whole(text: &str) -> Option<Request<()>> {
        match read(&mut text.as_bytes().into()) {
            Asked::Whole(request) => Some(request),
            Asked::Partly | Asked::Other => None,
        }
    }

    fn is_other(text: &str) -> bool {
        let mut unread: BytesMut = text.as_bytes().into();
        let other = matches!(read(&mut unread), Asked::Other);
        assert!(!other || unread == text.as_bytes(), "hyper needs every byte");
        other
    }

    #[test]
    fn a_players_request_is_read_as_it_is() {
        let request = whole(
            "GET /live/main/360p/media.m3u8?_HLS_msn=4&_HLS_part=1 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n",
        )
        .unwrap();
        assert_eq!(request.method(), Method::GET);
        assert_eq!(request.uri().path(), "/live/main/360p/media.m3u8");
        assert_eq!(request.uri().query(), Some("_HLS_msn=4&_HLS_part=1"));
        assert_eq!(request.headers()["accept-encoding"], "gzip");
    }

    #[test]
    fn what_follows_a_request_is_the_next_one() {
        let mut unread: BytesMut =
            "GET /a HTTP/1.1\r\nHost: x\r\n\r\nHEAD /b HTTP/1.1\r\nHost: x\r\n\r\nGE"[..].into();
        let mut paths = Vec::new();
        while let Asked::Whole(request) = read(&mut unread) {
            paths.push(request.uri().path().to_owned());
        }
        assert_eq!(paths, ["/a", "/b"]);
        assert_eq!(unread[..], b"GE"[..]);
    }

    #[test]
    fn whatever_is_not_plain_is_hypers() {
        for head in [
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nz",
            "GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
            "GET /a HTTP/1.1\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
            "GET /a HTTP/1.0\r\nHost: x\r\n\r\n",
            "GET http://x/a HTTP/1.1\r\nHost: x\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost : x\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: x\r\nBad: \u{1}\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "\u{16}\u{3}\u{1}",
        ] {
            assert!(is_other(head), "{head:?}");
        }
        assert!(is_other(&format!(
            "GET /{} HTTP/1.1\r\nHost: x\r\n\r\n",
            "a".repeat(100)
        )));
        let long = format!("GET /a HTTP/1.1\r\nHost: x\r\nA: {}", "b".repeat(LIMIT));
        assert!(is_other(&long) && is_other(&format!("{long}\r\n\r\n")));
        let many = "A: b\r\n".repeat(HEADERS_MAX);
        assert!(is_other(&format!("GET /a HTTP/1.1\r\nHost: x\r\n{many}\r\n")));
    }

    #[test]
    fn a_request_in_pieces_is_waited_for() {
        let text = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
        for end in 1..text.len() {
            let mut unread: BytesMut = text.as_bytes()[..end].into();
            assert!(matches!(read(&mut unread), Asked::Partly), "{end}");
            unread.extend_from_slice(&text.as_bytes()[end..]);
            assert!(matches!(read(&mut unread), Asked::Whole(_)), "{end}");
        }
    }
}
