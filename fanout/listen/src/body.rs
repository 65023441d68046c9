//! An answer's body: chunks of bytes that many answers share.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// Bytes known in full before the first is sent, so every answer has a length.
#[derive(Debug, Default)]
pub struct Body(VecDeque<Bytes>);

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Length, bytes.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|chunk| chunk.len() as u64).sum()
    }

    /// These bytes of it, shared.
    pub(crate) fn slice(&self, range: std::ops::Range<u64>) -> Self {
        let mut at = 0_u64;
        let cut = |chunk: &Bytes| {
            let (start, end) = (at, at + chunk.len() as u64);
            at = end;
            let inside = |place: u64| usize::try_from(place.clamp(start, end) - start).unwrap_or(chunk.len());
            chunk.slice(inside(range.start)..inside(range.end))
        };
        self.0.iter().map(cut).collect()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self(VecDeque::from([bytes.into()]))
    }
}

impl FromIterator<Bytes> for Body {
    fn from_iter<I: IntoIterator<Item = Bytes>>(chunks: I) -> Self {
        Self(chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}
