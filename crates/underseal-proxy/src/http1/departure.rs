//! Whether the client is still there while others are waited for.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::chunk::Chunk;
use crate::stream::Stream;

/// The client has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left;

/// Reads once ahead of what the client sends, into `read`, if there is room: it is more of its request,
/// or the next one. Pending when nothing is to be read now.
///
/// # Errors
/// [`Left`] if the client has left: by a reset, or by the end of what it sends, unless it `may_end` that
/// and read on.
pub(super) fn poll_ahead(
    cx: &mut Context<'_>,
    client: &mut Stream,
    read: &mut Chunk,
    may_end: bool,
) -> Poll<Result<(), Left>> {
    if read.is_full() {
        return Poll::Pending;
    }
    match read.poll_fill(cx, Pin::new(client)) {
        Poll::Ready(Ok(0)) if may_end => Poll::Pending,
        Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(Left)),
        Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    }
}

/// Tells of a client whose bytes nobody reads, because they pass through a pipe and that is full.
#[derive(Default)]
pub(super) struct Hangup {
    /// The client's socket once more: whoever goes on with the body has to find the readiness of the
    /// first one as it was.
    socket: Option<TcpStream>,
}

impl Hangup {
    /// Ready when the client has left: by a reset, or by the end of what it sends, unless it `may_end`
    /// that.
    pub(super) fn poll_left(
        &mut self,
        cx: &mut Context<'_>,
        client: &Stream,
        may_end: bool,
    ) -> Poll<Left> {
        if self.socket.is_none() {
            let copied = client.tcp().map(copy).transpose();
            self.socket = copied
                .inspect_err(|error| tracing::debug!("a client may leave unseen: {error}"))
                .ok()
                .flatten();
        }
        let Some(socket) = &self.socket else {
            return Poll::Pending;
        };
        // The second time nothing new can have come, but an end stays.
        for _ in 0..2 {
            if socket.poll_read_ready(cx).is_pending() {
                break;
            }
            if has_left(socket, may_end) {
                return Poll::Ready(Left);
            }
            // What came is not read here: the next news is waited for.
            let _ = socket.try_io(Interest::READABLE, || {
                Err::<(), _>(io::ErrorKind::WouldBlock.into())
            });
        }
        Poll::Pending
    }
}

fn copy(socket: &TcpStream) -> io::Result<TcpStream> {
    let copy = socket.as_fd().try_clone_to_owned()?;
    TcpStream::from_std(copy.into())
}

fn has_left(socket: &TcpStream, may_end: bool) -> bool {
    let mut asked = [PollFd::new(socket, PollFlags::RDHUP)];
    let at_once = Timespec::default();
    if poll(&mut asked, Some(&at_once)).is_err() {
        return false;
    }
    let said = asked[0].revents();
    said.intersects(PollFlags::HUP | PollFlags::ERR) || !may_end && said.contains(PollFlags::RDHUP)
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
        loop {
            if let Err(left) = ready!(poll_ahead(cx, client, read, may_end)) {
                return Poll::Ready(Err(left));
            }
        }
    })
    .await
}
