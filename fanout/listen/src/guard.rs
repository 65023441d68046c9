//! A connection's socket, which tells its [`Seat`] what moves.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use crate::Open;
use crate::metrics::{Cause, Meter};
use crate::roster::Place;
use crate::seat::Seat;

/// The socket, below TLS: what counts is what the peer's kernel has taken.
pub(crate) struct Guard {
    socket: TcpStream,
    held: Held,
    is_new: bool,
    is_plain: bool,
}

/// What an open socket takes up, whoever it is handed on to.
pub(crate) struct Held {
    place: Place,
    open: Open,
    meter: Meter,
    _slot: OwnedSemaphorePermit,
}

impl Held {
    pub(crate) fn new(place: Place, slot: OwnedSemaphorePermit, open: Open, meter: Meter) -> Self {
        meter.opened.increment(1);
        open.adds();
        Self {
            place,
            open,
            meter,
            _slot: slot,
        }
    }

    pub(crate) fn seat(&self) -> &Arc<Seat> {
        &self.place.seat
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.open.takes();
        self.meter.closed.increment(1);
    }
}

/// What a client of HTTP/2 says first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI ";
const LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

impl Guard {
    pub(crate) fn new(socket: TcpStream, held: Held, is_plain: bool) -> Self {
        Self {
            socket,
            held,
            is_new: true,
            is_plain,
        }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    fn wrote(&self, result: &Poll<io::Result<usize>>) {
        match result {
            Poll::Ready(Ok(bytes)) => self.held.seat().sent(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.held.seat().is_blocked(),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let ends = self.held.seat().ends();
        if matches!(ends, Some(Cause::Stalled | Cause::Slow)) {
            // The kernel would keep what it holds, and offer it for a while. Where it refuses, it does.
            let _as_well_as_can_be = self.socket.set_zero_linger();
        } else if ends == Some(Cause::HeadLate) && self.is_plain {
            // A peer that reads nothing has no use for it.
            let _said_or_not = self.socket.try_write(LATE);
        }
    }
}

impl AsyncRead for Guard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.socket).poll_read(context, buffer);
        let came = buffer.filled().get(before..).unwrap_or_default();
        if !came.is_empty() {
            if std::mem::take(&mut self.is_new) && self.is_plain && came.starts_with(PREFACE) {
                self.held.seat().is_http2();
            }
            self.held.seat().received();
        }
        result
    }
}

impl AsyncWrite for Guard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.wrote(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.socket).poll_flush(context);
        if result.is_ready() {
            self.held.seat().is_drained();
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
