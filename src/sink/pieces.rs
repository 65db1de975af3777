//! A [`Body`] as an HTTP request's body: its pieces one after the other, never joined.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::Body;

/// The pieces of a body from the first to the last. For another attempt, make another one.
#[derive(Debug)]
pub(super) struct Pieces {
    body: Body,
    next: usize,
    left: u64,
}

impl Pieces {
    pub(super) fn of(body: Body) -> Self {
        let left = body.len();
        Self { body, next: 0, left }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        while let Some(piece) = self.body.pieces().get(self.next).cloned() {
            self.next += 1;
            if !piece.is_empty() {
                self.left -= piece.len() as u64;
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
