//! What the engine needs of a byte stream, blocking or not.

use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::net::sockopt::Timeout;
use underseal_sys::Errno;
use underseal_sys::stream::std_tcp_socket;
use underseal_sys::tls::Direction;
#[cfg(feature = "tokio")]
use {
    crate::wakers::Wakers,
    std::os::fd::AsFd,
    std::pin::Pin,
    std::task::{Context, Poll},
    tokio::io::{AsyncRead, AsyncWrite, Interest},
    underseal_sys::stream::tokio_tcp_stream,
};

use crate::backoff::{self, Backoff, Stopwatch};
use crate::engine::Waiting;
use crate::splice;

/// A byte stream below the records. `WouldBlock` means: come back when it is ready.
pub(crate) trait Transport {
    /// Receives some bytes; zero is the end of the stream.
    fn recv(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Sends some of `buf`.
    fn send(&mut self, buf: &[u8]) -> io::Result<usize>;

    /// Sends what the stream below keeps for itself of what [`send`](Self::send) gave it. What was
    /// not asked for by the application is flushed by whoever sent it: nobody else will.
    fn flush(&mut self) -> io::Result<()>;

    /// The TCP socket below, if that is what the stream is.
    fn socket(&self) -> Option<BorrowedFd<'_>>;

    /// Makes a system call that receives from [`socket`](Self::socket). `EAGAIN` means that the
    /// task is woken when the socket is readable.
    fn when_readable<T>(
        &mut self,
        call: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Result<T, Errno>;

    /// Makes a system call that sends to [`socket`](Self::socket). `EAGAIN` means that the task is
    /// woken when the socket is writable.
    fn when_writable<T>(
        &mut self,
        call: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Result<T, Errno>;

    /// Whether calls on [`socket`](Self::socket) wait.
    fn waits(&self) -> Result<bool, Errno> {
        Ok(false)
    }

    /// Waits as calls on [`socket`](Self::socket) do; returns what it says then. Its time limit is
    /// one for all that is waited for on behalf of one call.
    ///
    /// # Errors
    ///
    /// `EAGAIN` where they do not wait, and when the time is over.
    fn wait_as(&mut self, _backoff: &mut Backoff, _timeout: Timeout) -> Result<PollFlags, Errno> {
        Err(Errno::AGAIN)
    }

    /// Whether a record that is received may put an error on [`socket`](Self::socket), which a reader has
    /// to be told.
    fn may_get_error(&self) -> bool {
        false
    }

    /// Leaves to the reader what the next call that sends would fail with because of a record that was
    /// received.
    ///
    /// # Errors
    ///
    /// Another error of the socket.
    fn leave_error(&mut self) -> Result<(), Errno> {
        Ok(())
    }

    /// Notes who is to be woken by the next notification, on behalf of `direction`. What is waited
    /// for is looked at after that.
    fn note(&mut self, waiting: &Waiting, direction: Direction);

    /// Lets the other tasks of this thread have their turn. `WouldBlock` where it is a task that
    /// does; it is woken at once.
    fn yield_now(&mut self) -> io::Result<()>;

    /// Waits for a notification. `WouldBlock` where it is a task that waits.
    fn wait(&mut self, waiting: &Waiting) -> io::Result<()>;
}

/// A `std::io` stream, for the length of one call. Interrupted system calls are repeated.
pub(crate) struct Std<'a, S> {
    io: &'a mut S,
    stopwatch: Stopwatch,
}

impl<'a, S> Std<'a, S> {
    pub(crate) fn new(io: &'a mut S) -> Self {
        Self {
            io,
            stopwatch: Stopwatch::default(),
        }
    }

    /// Waits for a pipe that waits itself, within the time that the socket's own calls have: for room
    /// in it where they receive, for data where they send. A stream that is no socket waits for ever.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if the pipe or the socket does not wait, and when the time is over.
    pub(crate) fn wait_for_pipe(
        &mut self,
        pipe: BorrowedFd<'_>,
        timeout: Timeout,
    ) -> Result<(), Errno> {
        let wanted = match timeout {
            Timeout::Recv => PollFlags::OUT,
            Timeout::Send => PollFlags::IN,
        };
        let limit = match std_tcp_socket(self.io) {
            Some(socket) if !splice::waits(socket)? => return Err(Errno::AGAIN),
            Some(socket) => backoff::time_limit(socket, timeout)?,
            None => Duration::MAX,
        };
        if !splice::waits(pipe)? {
            return Err(Errno::AGAIN);
        }
        self.stopwatch.wait(pipe, wanted, limit).map(drop)
    }
}

impl<S: Read + Write> Transport for Std<'_, S> {
    fn recv(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| self.io.read(buf))
    }

    fn send(&mut self, buf: &[u8]) -> io::Result<usize> {
        uninterrupted(|| self.io.write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        uninterrupted(|| self.io.flush())
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        std_tcp_socket(self.io)
    }

    fn when_readable<T>(
        &mut self,
        mut call: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        call(self.socket().ok_or(Errno::NOTSOCK)?)
    }

    fn when_writable<T>(
        &mut self,
        mut call: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        call(self.socket().ok_or(Errno::NOTSOCK)?)
    }

    fn waits(&self) -> Result<bool, Errno> {
        splice::waits(self.socket().ok_or(Errno::NOTSOCK)?)
    }

    fn wait_as(&mut self, backoff: &mut Backoff, timeout: Timeout) -> Result<PollFlags, Errno> {
        let socket = std_tcp_socket(self.io).ok_or(Errno::NOTSOCK)?;
        match splice::waits(socket)? {
            true => backoff.wait_as(&mut self.stopwatch, socket, timeout),
            false => Err(Errno::AGAIN),
        }
    }

    fn note(&mut self, waiting: &Waiting, _direction: Direction) {
        waiting.note_thread();
    }

    fn yield_now(&mut self) -> io::Result<()> {
        // A thread is its caller's own.
        Ok(())
    }

    fn wait(&mut self, waiting: &Waiting) -> io::Result<()> {
        waiting.block();
        Ok(())
    }
}

fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The TCP socket of a tokio stream, if that is what `io` is.
#[cfg(feature = "tokio")]
pub(crate) fn tokio_socket<IO>(io: &IO) -> Option<BorrowedFd<'_>> {
    tokio_tcp_stream(io).map(AsFd::as_fd)
}

/// A tokio stream, for the length of one poll.
#[cfg(feature = "tokio")]
pub(crate) struct Polled<'a, 'cx, IO> {
    pub(crate) io: &'a mut IO,
    pub(crate) cx: &'a mut Context<'cx>,
    pub(crate) wakers: &'a mut Wakers,
    /// What the task works on: one that reads may have something to send, too.
    pub(crate) direction: Direction,
}

#[cfg(feature = "tokio")]
impl<IO: Unpin> Polled<'_, '_, IO> {
    /// Polls what waits for the stream below to take bytes.
    pub(crate) fn poll_writable<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut IO>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let io = Pin::new(&mut *self.io);
        let poll = |cx: &mut Context<'_>| poll(io, cx);
        self.wakers.poll(self.direction, self.cx, poll)
    }
}

#[cfg(feature = "tokio")]
impl<IO: AsyncRead + AsyncWrite + Unpin> Transport for Polled<'_, '_, IO> {
    fn recv(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buf = tokio::io::ReadBuf::new(buf);
        match Pin::new(&mut *self.io).poll_read(self.cx, &mut buf) {
            Poll::Ready(result) => result.map(|()| buf.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn send(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self.poll_writable(|io, cx| io.poll_write(cx, buf)) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.poll_writable(AsyncWrite::poll_flush) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        tokio_socket(self.io)
    }

    fn when_readable<T>(
        &mut self,
        call: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.when(Interest::READABLE, call)
    }

    fn when_writable<T>(
        &mut self,
        call: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.when(Interest::WRITABLE, call)
    }

    fn note(&mut self, waiting: &Waiting, direction: Direction) {
        waiting.note_task(direction, self.cx.waker());
    }

    fn yield_now(&mut self) -> io::Result<()> {
        match tokio::task::try_id() {
            // It wakes after the runtime has looked at its sockets, so that a task which yields all
            // the time does not keep those that wait for one from their turn.
            Some(_) => {
                let yielded = std::pin::pin!(tokio::task::yield_now());
                // It is pending the first time.
                let _ = yielded.poll(self.cx);
            }
            // What is put off outside of a task is forgotten where the outer future ends.
            None => self.cx.waker().wake_by_ref(),
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn wait(&mut self, _waiting: &Waiting) -> io::Result<()> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

#[cfg(feature = "tokio")]
impl<IO> Polled<'_, '_, IO> {
    /// Makes the call until it does not say `EAGAIN`, or the socket is not ready. tokio's own
    /// reads and writes take a short one for a sign that the socket is drained; on a kernel TLS
    /// socket it is none.
    fn when<T>(
        &mut self,
        interest: Interest,
        mut call: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let stream = tokio_tcp_stream(self.io).ok_or(Errno::NOTSOCK)?;
        loop {
            let ready = match interest.is_readable() {
                true => stream.poll_read_ready(self.cx),
                false => self
                    .wakers
                    .poll(self.direction, self.cx, |cx| stream.poll_write_ready(cx)),
            };
            match ready {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Err(errno(&error)),
                Poll::Pending => return Err(Errno::AGAIN),
            }
            match stream.try_io(interest, || Ok(call(stream.as_fd())?)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result.map_err(|error| errno(&error)),
            }
        }
    }
}

/// The number of an error that a system call gave.
pub(crate) fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// The other direction of [`Polled`]: a result of the engine as a poll.
#[cfg(feature = "tokio")]
pub(crate) fn into_poll<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}
