//! Whether the client is still there while others are waited for.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::chunk::Chunk;
use crate::stream::Stream;

/// The client has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left;

/// Ready when the client has left: by a reset, or by the end of what it sends, unless it `may_end` that
/// and read on. To see that, what it sends is read ahead, into `read`, as far as there is room: it is
/// more of its request, or the next one.
pub(super) fn poll_left(
    cx: &mut Context<'_>,
    client: &mut Stream,
    read: &mut Chunk,
    may_end: bool,
) -> Poll<Left> {
    while !read.is_full() {
        match read.poll_fill(cx, Pin::new(client)) {
            Poll::Ready(Ok(0)) if may_end => break,
            Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Left),
            Poll::Ready(Ok(_)) => {}
            Poll::Pending => break,
        }
    }
    read.settle();
    Poll::Pending
}

/// Runs `future` as long as the client stays.
///
/// # Errors
/// [`Left`] if it does not.
pub(super) async fn unless_left<F: Future>(
    (client, read): (&mut Stream, &mut Chunk),
    may_end: bool,
    mut future: Pin<&mut F>,
) -> Result<F::Output, Left> {
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        poll_left(cx, client, read, may_end).map(Err)
    })
    .await
}
