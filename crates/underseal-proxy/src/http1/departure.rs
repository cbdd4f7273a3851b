//! Whether the client is still there while others are waited for.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::chunk::Chunk;
use crate::stream::Stream;

/// How often a client is asked for where nothing tells of it.
const PERIOD: Duration = Duration::from_secs(1);

/// The client has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left;

/// What came of reading ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    /// More of the request, or the next one.
    More,
    /// Nothing can be read: there is no room for it, or the client has ended what it sends, as it may.
    /// Only [`Hangup`] tells of it from now on.
    Over,
}

/// Reads once ahead of what the client sends, into `read`. Pending when nothing is to be read now.
///
/// # Errors
/// [`Left`] if the client has left: by a reset, or by the end of what it sends, unless it `may_end` that
/// and read on.
pub(super) fn poll_ahead(
    cx: &mut Context<'_>,
    client: &mut Stream,
    read: &mut Chunk,
    may_end: bool,
) -> Poll<Result<Ahead, Left>> {
    if read.is_full() {
        return Poll::Ready(Ok(Ahead::Over));
    }
    match ready!(read.poll_fill(cx, Pin::new(client))) {
        Ok(0) if may_end => Poll::Ready(Ok(Ahead::Over)),
        Ok(0) | Err(_) => Poll::Ready(Err(Left)),
        Ok(_) => Poll::Ready(Ok(Ahead::More)),
    }
}

/// Reads ahead of what the client sends, into `read`, until it has left.
pub(super) fn poll_left(
    cx: &mut Context<'_>,
    (client, read): (&mut Stream, &mut Chunk),
    hangup: &mut Hangup,
    may_end: bool,
) -> Poll<()> {
    loop {
        match ready!(poll_ahead(cx, client, read, may_end)) {
            Ok(Ahead::More) => {}
            Ok(Ahead::Over) => return hangup.poll_left(cx, client, may_end).map(|Left| ()),
            Err(Left) => return Poll::Ready(()),
        }
    }
}

/// Tells of a client whose bytes nobody reads.
#[derive(Default)]
pub(super) struct Hangup(Option<Detector>);

enum Detector {
    /// Ends when the client has left. It has the client's socket once more: whoever goes on with the body
    /// has to find the readiness of the first one as it was.
    Told(Pin<Box<dyn Future<Output = ()>>>),
    /// The client is asked for time and again, because there is no descriptor to be told by.
    Asked(Interval),
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
        // No client comes by a socket in the file system.
        let Some(tcp) = client.tcp() else {
            return Poll::Pending;
        };
        match self.0.get_or_insert_with(|| Detector::over(tcp, may_end)) {
            Detector::Told(left) => left.as_mut().poll(cx).map(|()| Left),
            Detector::Asked(times) => loop {
                ready!(times.poll_tick(cx));
                if has_left(tcp, may_end) {
                    return Poll::Ready(Left);
                }
            },
        }
    }
}

impl Detector {
    fn over(tcp: &TcpStream, may_end: bool) -> Self {
        match copy(tcp) {
            Ok(socket) => Self::Told(Box::pin(left(socket, may_end))),
            Err(error) => {
                tracing::debug!("a client is asked for every {PERIOD:?}: {error}");
                let mut times = interval(PERIOD);
                times.set_missed_tick_behavior(MissedTickBehavior::Delay);
                Self::Asked(times)
            }
        }
    }
}

fn copy(tcp: &TcpStream) -> io::Result<TcpStream> {
    let copy = tcp.as_fd().try_clone_to_owned()?;
    TcpStream::from_std(copy.into())
}

/// Waits until the client has left.
async fn left(socket: TcpStream, may_end: bool) {
    // The end of what it sends stays, and would hide the reset behind it. Two at once cannot be taken back.
    let news = match may_end {
        true => Interest::ERROR,
        false => Interest::READABLE,
    };
    // Fails with the runtime, and nobody is served then.
    while socket.ready(news).await.is_ok() {
        if has_left(&socket, may_end) {
            return;
        }
        // What came is not read here: the next news is waited for.
        let _ = socket.try_io(news, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    }
}

fn has_left(socket: impl AsFd, may_end: bool) -> bool {
    let mut asked = [PollFd::new(&socket, PollFlags::RDHUP)];
    let at_once = Timespec::default();
    if poll(&mut asked, Some(&at_once)).is_err() {
        return false;
    }
    let said = asked[0].revents();
    said.intersects(PollFlags::HUP | PollFlags::ERR) || !may_end && said.contains(PollFlags::RDHUP)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;
    use crate::metrics::{Metrics, Side};
    use crate::stream::Io;

    async fn connected() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let far = TcpStream::connect(address).await.expect("a connection");
        let (near, _) = listener.accept().await.expect("a connection");
        let open = Metrics::new(1).tally(0).connection(Side::Client);
        (Stream::new(Io::Plain(near), None, open), far)
    }

    #[tokio::test]
    async fn an_end_and_a_reset_are_told_behind_bytes_that_nobody_reads() {
        for may_end in [false, true] {
            for is_asked in [false, true] {
                let (client, mut far) = connected().await;
                let mut hangup = Hangup(is_asked.then(|| Detector::Asked(interval(PERIOD))));
                far.write_all(b"unread").await.expect("send");
                let left = poll_fn(|cx| Poll::Ready(hangup.poll_left(cx, &client, may_end)));
                assert!(left.await.is_pending());
                far.shutdown().await.expect("shut down");
                if may_end {
                    let left = poll_fn(|cx| hangup.poll_left(cx, &client, may_end));
                    let wait = PERIOD + PERIOD / 2;
                    tokio::time::timeout(wait, left).await.expect_err("it may");
                    let linger = socket2::SockRef::from(&far).set_linger(Some(Duration::ZERO));
                    linger.expect("an option");
                    drop(far);
                }
                let left = poll_fn(|cx| hangup.poll_left(cx, &client, may_end));
                let left = tokio::time::timeout(10 * PERIOD, left).await;
                assert_eq!(left, Ok(Left), "may end: {may_end}, asked: {is_asked}");
            }
        }
    }
}
