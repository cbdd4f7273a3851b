//! The end of a client's connection.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use underseal::Linger;

use super::deadline::{Deadline, Phase};

/// Longest wait for a client to take a close_notify.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With close_notify, and after the client had time to read what was sent.
    Close,
    /// Such that what was sent cannot be taken for complete.
    Abort,
}

/// A client's stream.
pub trait Closing: AsyncWrite + Unpin {
    /// The client's address, as far as the log needs it.
    fn remote(&self) -> Option<SocketAddr>;

    /// Reads and throws away what comes until the client closes, the connection fails, or `bytes`
    /// of it came; see [`underseal::linger`].
    fn linger(&mut self, bytes: usize) -> impl Future<Output = ()>;
}

impl Closing for TcpStream {
    fn remote(&self) -> Option<SocketAddr> {
        self.peer_addr().ok()
    }

    async fn linger(&mut self, bytes: usize) {
        underseal::linger(self, bytes).await;
    }
}

impl Closing for underseal::server::TlsStream<TcpStream> {
    fn remote(&self) -> Option<SocketAddr> {
        self.get_ref().0.peer_addr().ok()
    }

    async fn linger(&mut self, bytes: usize) {
        self.linger(bytes).await;
    }
}

/// How long a client is heard out that does not close.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// While something comes.
    time: Duration,
    /// While nothing does.
    stall: Duration,
    /// Bytes to throw away.
    bytes: usize,
}

impl Limits {
    /// For a client that may be in the middle of an upload, which it sends to its end before it reads
    /// the answer. The times are those of nginx (`lingering_time`, `lingering_timeout`); a byte costs
    /// little where nobody reads it, so that their number bounds only who sends faster than any upload.
    pub const UPLOAD: Self = Self {
        time: Duration::from_secs(30),
        stall: Duration::from_secs(5),
        bytes: 1 << 30,
    };

    /// For a client whose uploads end without the connection, as those of HTTP/2 do: the library's.
    pub fn brief() -> Self {
        let Linger { time, bytes } = Linger::default();
        Self {
            time,
            stall: time,
            bytes,
        }
    }
}

/// Ends a stream as `end` says; one to abort is left as it is, for its owner to drop or reset.
pub async fn close(deadline: &Deadline, stream: &mut impl Closing, end: End) {
    if end == End::Abort {
        return;
    }
    deadline.enter(Phase::Busy, CLOSE_TIMEOUT);
    let shut = deadline.until(pin!(stream.shutdown())).await;
    if !matches!(shut, Ok(Ok(()))) {
        tracing::debug!("{:?} did not take close_notify: {shut:?}", stream.remote());
        return;
    }
    linger(deadline, stream, Limits::UPLOAD).await;
}

/// Reads and throws away until the client closes, within `limits`: closing while its bytes are unread
/// would reset the connection and may destroy the answer (RFC 9112 section 9.6).
pub async fn linger(deadline: &Deadline, stream: &mut impl Closing, limits: Limits) {
    let begun = Instant::now();
    let mut lingering = pin!(stream.linger(limits.bytes));
    let within = poll_fn(|cx| match begun.elapsed() < limits.time {
        true => lingering.as_mut().poll(cx),
        false => Poll::Ready(()),
    });
    // The time being over is an end like any other.
    let _ = deadline.while_moving(limits.stall, pin!(within)).await;
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::thread;

    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;
    use crate::deadline::Deadlines;

    /// Longer than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(60);

    const ENDLESS: Limits = Limits {
        time: Duration::MAX,
        stall: Duration::MAX,
        bytes: usize::MAX,
    };

    /// Looks at the deadlines as a worker does.
    async fn sweep(deadlines: &Deadlines) {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            deadlines.sweep();
        }
    }

    /// Lingers on a client that writes until it fails, or nothing at all if it `is_silent`.
    async fn hear_out(limits: Limits, is_silent: bool) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let client = thread::spawn(move || {
            let mut tcp = std::net::TcpStream::connect(address).expect("connect");
            while !is_silent && tcp.write_all(&[b'x'; 1024]).is_ok() {}
            tcp
        });
        let (mut tcp, _) = listener.accept().await.expect("a client");
        let deadlines = Deadlines::new();
        let deadline = deadlines.add();
        let ended = timeout(PATIENCE, async {
            tokio::select! {
                () = linger(&deadline, &mut tcp, limits) => {}
                () = sweep(&deadlines) => {}
            }
        });
        ended.await.expect("an end");
        drop(tcp);
        client.join().expect("a client that was cut off");
    }

    #[tokio::test]
    async fn a_client_that_sends_for_ever_is_cut_off_by_time_and_by_bytes() {
        let brief = Limits {
            time: Duration::from_millis(50),
            ..ENDLESS
        };
        hear_out(brief, false).await;
        let few = Limits {
            bytes: 1 << 20,
            ..ENDLESS
        };
        hear_out(few, false).await;
    }

    #[tokio::test]
    async fn a_client_that_sends_nothing_is_cut_off() {
        let limits = Limits {
            stall: Duration::from_millis(1),
            ..ENDLESS
        };
        hear_out(limits, true).await;
    }
}
