//! The end of a client's connection.

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use underseal::Linger;
use underseal_sys::tcp::bytes_received;

use super::deadline::{Deadline, Phase, Stop};

/// Longest wait for a client to take a close_notify.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often it is looked, in the time that a client may be silent for, whether it was.
const LOOKS: u32 = 4;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With close_notify, and after the client had time to read what was sent.
    Close,
    /// The same before all of a request has come: the client may be in the middle of sending it, to its
    /// end, before it reads the answer.
    CloseEarly,
    /// Such that what was sent cannot be taken for complete.
    Abort,
}

impl End {
    /// With an orderly end of which the request `is_read`, or has more to come.
    pub fn of(is_read: bool) -> Self {
        match is_read {
            true => Self::Close,
            false => Self::CloseEarly,
        }
    }
}

/// A client's stream.
pub trait Closing: AsyncWrite + Unpin {
    /// The connection below.
    fn tcp(&self) -> Option<&TcpStream>;

    /// Reads and throws away what comes until the client closes, the connection fails, or `bytes`
    /// of it came; see [`underseal::linger`].
    fn linger(&mut self, bytes: usize) -> impl Future<Output = ()>;
}

impl Closing for TcpStream {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self)
    }

    async fn linger(&mut self, bytes: usize) {
        underseal::linger(self, bytes).await;
    }
}

impl Closing for underseal::server::TlsStream<TcpStream> {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self.get_ref().0)
    }

    async fn linger(&mut self, bytes: usize) {
        self.linger(bytes).await;
    }
}

/// How long a client is heard out that does not close.
#[derive(Clone, Copy, Debug)]
pub struct LingerLimits {
    /// While something comes.
    time: Duration,
    /// While nothing does.
    stall: Duration,
    /// Bytes to throw away.
    bytes: usize,
}

impl LingerLimits {
    /// For a client that may be in the middle of an upload. The times are those of nginx
    /// (`lingering_time`, `lingering_timeout`); a byte costs little where nobody reads it, so that their
    /// number bounds only who sends faster than any upload.
    pub const UPLOAD: Self = Self {
        time: Duration::from_secs(30),
        stall: Duration::from_secs(5),
        bytes: 1 << 30,
    };

    /// For a client that has sent its requests, or whose uploads end without the connection, as those of
    /// HTTP/2 do: the library's.
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
    let limits = match end {
        End::Close => LingerLimits::brief(),
        End::CloseEarly => LingerLimits::UPLOAD,
        End::Abort => return,
    };
    deadline.enter(Phase::Busy, CLOSE_TIMEOUT);
    let shut = deadline.until(pin!(stream.shutdown())).await;
    if !matches!(shut, Ok(Ok(()))) {
        let remote = stream.tcp().and_then(|tcp| tcp.peer_addr().ok());
        tracing::debug!("{remote:?} did not take close_notify: {shut:?}");
        return;
    }
    linger(deadline, stream, limits).await;
}

/// Reads and throws away until the client closes, within `limits`: closing while its bytes are unread
/// would reset the connection and may destroy the answer (RFC 9112 section 9.6). A server that is
/// shutting down hears nobody out for long.
pub async fn linger(deadline: &Deadline, stream: &mut impl Closing, limits: LingerLimits) {
    let ended = throw_away(deadline, Phase::Idle, stream, limits).await;
    if ended == Err(Stop::Closing) {
        // The time being over is an end like any other.
        let _ = throw_away(deadline, Phase::Busy, stream, LingerLimits::brief()).await;
    }
}

async fn throw_away(
    deadline: &Deadline,
    phase: Phase,
    stream: &mut impl Closing,
    limits: LingerLimits,
) -> Result<(), Stop> {
    let begun = Instant::now();
    let before = received(stream);
    let (mut last, mut moved) = (before, begun);
    loop {
        let time = limits.time.saturating_sub(begun.elapsed());
        let stall = limits.stall.saturating_sub(moved.elapsed());
        deadline.enter(phase, time.min(stall).min(limits.stall / LOOKS));
        let thrown_away = usize::try_from(last - before).unwrap_or(usize::MAX);
        let bytes = limits.bytes.saturating_sub(thrown_away);
        let ended = deadline.until(pin!(stream.linger(bytes))).await;
        let now = received(stream);
        if now > last {
            (last, moved) = (now, Instant::now());
        }
        let is_over = begun.elapsed() >= limits.time || moved.elapsed() >= limits.stall;
        if is_over || ended != Err(Stop::TimedOut) {
            return ended;
        }
    }
}

/// Bytes that have come. That the task is woken does not say that any have: one whose kernel cannot open
/// what came looks at its socket time and again.
fn received(stream: &impl Closing) -> u64 {
    let received = stream.tcp().map(bytes_received);
    received.and_then(Result::ok).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write as _};
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::thread;

    use tokio::net::TcpListener;
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::deadline::Deadlines;

    /// Longer than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(60);

    const TICK: Duration = Duration::from_millis(1);

    const ENDLESS: LingerLimits = LingerLimits {
        time: Duration::MAX,
        stall: Duration::MAX,
        bytes: usize::MAX,
    };

    /// More than a client is heard out for, and than sockets hold, where nothing of a request is missing.
    const MUCH: u64 = 64 << 20;

    /// Looks at the deadlines as a worker does.
    async fn sweep(deadlines: &Deadlines) {
        loop {
            sleep(TICK).await;
            deadlines.sweep();
        }
    }

    /// What a client could write until it was cut off by `end`, unless it `is_silent`.
    async fn heard_out(
        end: impl AsyncFnOnce(&Deadlines, &Deadline, TcpStream),
        is_silent: bool,
    ) -> u64 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let client = thread::spawn(move || {
            let mut tcp = std::net::TcpStream::connect(address).expect("connect");
            let mut written = 0;
            while !is_silent && tcp.write_all(&[b'x'; 1024]).is_ok() {
                written += 1024;
            }
            (written, tcp)
        });
        let (tcp, _) = listener.accept().await.expect("a client");
        let deadlines = Deadlines::new();
        let deadline = deadlines.add();
        let ended = timeout(PATIENCE, async {
            tokio::select! {
                () = end(&deadlines, &deadline, tcp) => {}
                () = sweep(&deadlines) => {}
            }
        });
        ended.await.expect("an end");
        client.join().expect("a client that was cut off").0
    }

    async fn hear_out(limits: LingerLimits, is_silent: bool) {
        let lingers = async |_: &Deadlines, deadline: &Deadline, mut tcp: TcpStream| {
            linger(deadline, &mut tcp, limits).await;
        };
        heard_out(lingers, is_silent).await;
    }

    #[tokio::test]
    async fn a_client_that_sends_for_ever_is_cut_off_by_time_and_by_bytes() {
        let brief = LingerLimits {
            time: Duration::from_millis(50),
            ..ENDLESS
        };
        hear_out(brief, false).await;
        let few = LingerLimits {
            bytes: 1 << 20,
            ..ENDLESS
        };
        hear_out(few, false).await;
    }

    #[tokio::test]
    async fn a_client_that_sends_nothing_is_cut_off() {
        let limits = LingerLimits {
            stall: Duration::from_millis(1),
            ..ENDLESS
        };
        hear_out(limits, true).await;
    }

    #[tokio::test]
    async fn a_client_that_has_sent_its_requests_is_not_heard_out_for_long() {
        let closes = async |_: &Deadlines, deadline: &Deadline, mut tcp: TcpStream| {
            close(deadline, &mut tcp, End::of(true)).await;
        };
        let written = heard_out(closes, false).await;
        assert!(written < MUCH, "{written} bytes");
    }

    #[tokio::test]
    async fn who_shuts_down_hears_nobody_out_for_long() {
        for is_silent in [false, true] {
            let lingers = async |deadlines: &Deadlines, deadline: &Deadline, mut tcp: TcpStream| {
                let mut lingering = pin!(linger(deadline, &mut tcp, ENDLESS));
                let meanwhile = timeout(10 * TICK, lingering.as_mut()).await;
                assert!(meanwhile.is_err(), "it is heard out");
                deadlines.close_idle();
                lingering.await;
            };
            heard_out(lingers, is_silent).await;
        }
    }

    /// What is looked at time and again, as a socket is whose bytes a kernel cannot open.
    struct Stuck(TcpStream);

    impl Closing for Stuck {
        fn tcp(&self) -> Option<&TcpStream> {
            Some(&self.0)
        }

        async fn linger(&mut self, _: usize) {
            loop {
                sleep(TICK).await;
            }
        }
    }

    impl AsyncWrite for Stuck {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    #[tokio::test]
    async fn a_client_that_sends_nothing_is_cut_off_however_often_its_socket_is_looked_at() {
        let limits = LingerLimits {
            stall: 40 * TICK,
            ..ENDLESS
        };
        let lingers = async |_: &Deadlines, deadline: &Deadline, tcp: TcpStream| {
            linger(deadline, &mut Stuck(tcp), limits).await;
        };
        heard_out(lingers, true).await;
    }
}
