//! HTTP/1.1 without TLS as nearly every player speaks it: requests without a body, answered from bytes that all viewers
//! share. A viewer that waits holds no buffer, and a part may leave without being copied. Whatever is not that plain goes
//! to hyper with every byte that was read, and stays there.

mod ask;
mod tell;

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response};
use tokio_util::sync::CancellationToken;

use crate::guard::Guard;
use crate::seat::Seat;
use crate::{Body, Incoming, Limits, Peer};
use ask::Asked;

/// Answers until the peer or the service is through; or until something is asked that is hyper's, and then gives back the
/// connection with the bytes that were read and not answered.
pub(crate) async fn serve<S, F>(
    mut stream: Guard,
    peer: &Arc<Peer>,
    seat: &Arc<Seat>,
    limits: &Limits,
    shutdown: &CancellationToken,
    service: &S,
) -> Option<(Guard, Bytes)>
where
    S: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Body>>,
{
    let mut unread = BytesMut::new();
    let mut ending = pin!(shutdown.cancelled());
    loop {
        let request = match ask::read(&mut unread, limits) {
            Asked::Whole(request) => request,
            Asked::Other => return Some((stream, unread.freeze())),
            Asked::Partly => {
                let more = tokio::select! {
                    more = ask::more(&mut stream, &mut unread) => more,
                    _ = seat.ended() => return None,
                    () = ending.as_mut() => return None,
                };
                match more {
                    Ok(true) => continue,
                    Ok(false) | Err(_) => return None,
                }
            }
        };
        let ticket = seat.begins();
        let is_head = request.method() == Method::HEAD;
        let answer = {
            let mut answer = pin!(service(request.map(|()| Incoming::new(peer, None))));
            tokio::select! {
                biased;
                answer = answer.as_mut() => answer,
                () = gone(&mut stream, &mut unread, limits.head_bytes) => return None,
            }
        };
        // Whoever was to make room while it waited has had its answer.
        let last = shutdown.is_cancelled() || seat.ends().is_some();
        if tell::write(stream.socket(), seat, answer, is_head, last)
            .await
            .is_err()
            || last
        {
            return None;
        }
        drop(ticket);
        // Whoever asks without pause is not served at the others' cost.
        tokio::task::consume_budget().await;
    }
}

/// Ends when the peer has left. What it asks meanwhile is kept, up to the size of a head; beyond that it is not heard.
async fn gone(stream: &mut Guard, unread: &mut BytesMut, most: usize) {
    while unread.len() < most {
        match ask::more(stream, unread).await {
            Ok(true) => {}
            Ok(false) | Err(_) => return,
        }
    }
    pending().await
}
