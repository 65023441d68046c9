//! HTTP/1.1 without TLS as nearly every player speaks it: requests without a body, answered from bytes that all viewers
//! share. A viewer that waits holds no buffer, and a part may leave without being copied. Whatever is not that plain goes
//! to hyper with every byte that was read, and stays there.

mod ask;
mod tell;

use std::future::{Future, pending};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use crate::{Body, Incoming, Limits, Peer};
use ask::Asked;

/// How a connection left here.
pub(crate) enum End {
    /// For good.
    Closed,
    /// By something that is hyper's: these bytes were read, and not answered.
    Other(TcpStream, Bytes),
}

/// Answers until the peer or the service is through, or asks what only hyper knows.
pub(crate) async fn serve<S, F>(
    mut stream: TcpStream,
    peer: &Arc<Peer>,
    limits: &Limits,
    shutdown: &CancellationToken,
    service: &S,
) -> End
where
    S: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Body>>,
{
    let mut unread = BytesMut::new();
    let mut idle = Idle::new(limits.head);
    let mut ending = pin!(shutdown.cancelled());
    loop {
        let asked = match ask::read(&mut unread, limits.head_bytes) {
            Asked::Whole(request) => request,
            Asked::Other => return End::Other(stream, unread.freeze()),
            Asked::Partly => {
                let more = tokio::select! {
                    more = ask::more(&mut stream, &mut unread) => more,
                    () = idle.over() => return End::Closed,
                    () = ending.as_mut(), if unread.is_empty() => return End::Closed,
                };
                match more {
                    Ok(true) => continue,
                    Ok(false) | Err(_) => return End::Closed,
                }
            }
        };
        let is_head = asked.method() == Method::HEAD;
        let mut request = asked;
        request.extensions_mut().insert(Arc::clone(peer));
        let answer = {
            let mut answer = pin!(service(request));
            tokio::select! {
                biased;
                answer = answer.as_mut() => answer,
                () = gone(&mut stream, &mut unread, limits.head_bytes) => return End::Closed,
            }
        };
        let last = shutdown.is_cancelled();
        let told = tell::write(&stream, answer, is_head, last, limits.unacknowledged).await;
        if told.is_err() || last {
            return End::Closed;
        }
        idle.again();
        // Whoever asks without pause is not served at the others' cost.
        tokio::task::consume_budget().await;
    }
}

/// Ends when the peer has left. What it asks meanwhile is kept, up to the size of a head; beyond that it is not heard.
async fn gone(stream: &mut TcpStream, unread: &mut BytesMut, most: usize) {
    while unread.len() < most {
        match ask::more(stream, unread).await {
            Ok(true) => {}
            Ok(false) | Err(_) => return,
        }
    }
    pending().await
}

/// The wait for a request's head: one timer for a connection's life, which is wound up only when it runs down.
struct Idle {
    limit: Duration,
    until: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Idle {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            until: Instant::now() + limit,
            timer: Box::pin(sleep(limit)),
        }
    }

    fn again(&mut self) {
        self.until = Instant::now() + self.limit;
    }

    async fn over(&mut self) {
        loop {
            self.timer.as_mut().await;
            if Instant::now() >= self.until {
                return;
            }
            self.timer.as_mut().reset(self.until);
        }
    }
}

/// Nothing was written for as long as a peer may take.
fn stalled() -> io::Error {
    io::ErrorKind::TimedOut.into()
}
