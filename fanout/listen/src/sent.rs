//! An answer on its way: its bytes tell a [`Ticket`] when they are taken, and when there are none left.

use std::convert::Infallible;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};

use crate::Body;
use crate::seat::Ticket;

/// The body as the protocol's code takes it.
pub(crate) struct Sent {
    pub(crate) body: Body,
    pub(crate) ticket: Arc<Ticket>,
}

/// A chunk, shared with all who are sent the same.
pub(crate) struct Piece {
    bytes: Bytes,
    ticket: Arc<Ticket>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.bytes.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.ticket.moves();
        self.bytes.advance(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.ticket.moves();
        self.bytes.copy_to_bytes(length)
    }
}

impl http_body::Body for Sent {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let ticket = &self.ticket;
        polled.map_ok(|frame| {
            frame.map_data(|bytes| Piece {
                bytes,
                ticket: Arc::clone(ticket),
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
