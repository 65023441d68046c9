//! An answer's body: chunks of bytes that many answers share.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use http_body::{Frame, SizeHint};

use crate::File;

/// Bytes known in full before the first is sent, so every answer has a length.
#[derive(Debug, Default)]
pub struct Body {
    chunks: VecDeque<Bytes>,
    /// The same bytes, where a file has them.
    file: Option<(File, Range<u64>)>,
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The same, which this file has from its beginning on: so it need not be copied on a plain connection.
    pub fn also_in(mut self, file: Option<File>) -> Self {
        self.file = file.map(|file| (file, 0..self.len()));
        self
    }

    pub(crate) fn file(&self) -> Option<(File, Range<u64>)> {
        self.file.clone()
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        self.chunks.iter()
    }

    /// So many bytes are sent.
    pub(crate) fn advance(&mut self, mut sent: usize) {
        self.file = None;
        while let Some(chunk) = self.chunks.front_mut() {
            let here = sent.min(chunk.len());
            chunk.advance(here);
            sent -= here;
            if !chunk.is_empty() {
                return;
            }
            self.chunks.pop_front();
        }
    }

    /// Length, bytes.
    pub fn len(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.len() as u64).sum()
    }

    /// These bytes of it, shared.
    pub(crate) fn slice(&self, range: Range<u64>) -> Self {
        let mut at = 0_u64;
        let cut = |chunk: &Bytes| {
            let (start, end) = (at, at + chunk.len() as u64);
            at = end;
            let inside = |place: u64| usize::try_from(place.clamp(start, end) - start).unwrap_or(chunk.len());
            chunk.slice(inside(range.start)..inside(range.end))
        };
        let chunks = self
            .chunks
            .iter()
            .map(cut)
            .filter(|chunk| !chunk.is_empty())
            .collect();
        let file = self.file.as_ref().map(|(file, whole)| {
            let place = |at: u64| (whole.start + at).min(whole.end);
            (file.clone(), place(range.start)..place(range.end))
        });
        Self { chunks, file }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::from_iter([bytes.into()])
    }
}

impl FromIterator<Bytes> for Body {
    fn from_iter<I: IntoIterator<Item = Bytes>>(chunks: I) -> Self {
        Self {
            chunks: chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect(),
            file: None,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.chunks.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}
