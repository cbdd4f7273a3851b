//! A stream that misbehaves as networks and sockets do, by the byte.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What goes wrong in one direction. Offsets count the bytes of that direction from the start of
/// the stream; the default is that nothing goes wrong.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The most bytes one call moves: 1 splits everything.
    pub most_bytes: Option<usize>,
    /// Every n-th call moves nothing and returns `WouldBlock`. Calls that the stream below refuses do
    /// not count: tasks that wait for it would wake each other for ever.
    pub would_block_every: Option<u64>,
    /// The first call at this offset returns `WouldBlock`, and no call goes beyond it before.
    pub would_block_at: Vec<u64>,
    /// The stream ends here: end of file when reading, broken pipe when writing.
    pub end_at: Option<u64>,
    /// The connection is reset here.
    pub reset_at: Option<u64>,
    /// The lowest bit of the byte at each of these offsets is flipped.
    pub flip_at: Vec<u64>,
}

/// A stream with [`Faults`] in either direction; blocking or asynchronous as what it wraps. In the
/// asynchronous case a `WouldBlock` is a `Poll::Pending` that wakes the task at once.
#[derive(Debug)]
pub struct FaultyStream<S> {
    inner: S,
    reading: Lane,
    writing: Lane,
}

impl<S> FaultyStream<S> {
    /// Wraps `inner`; nothing goes wrong yet.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            reading: Lane::default(),
            writing: Lane::default(),
        }
    }

    /// Sets what goes wrong when reading. Offsets go on counting from the start of the stream.
    #[must_use]
    pub fn on_read(mut self, faults: Faults) -> Self {
        self.reading.faults = faults;
        self
    }

    /// Sets what goes wrong when writing. Offsets go on counting from the start of the stream.
    #[must_use]
    pub fn on_write(mut self, faults: Faults) -> Self {
        self.writing.faults = faults;
        self
    }

    /// Changes what goes wrong when reading, for a stream that is in use.
    pub fn set_read_faults(&mut self, faults: Faults) {
        self.reading.faults = faults;
    }

    /// Changes what goes wrong when writing, for a stream that is in use.
    pub fn set_write_faults(&mut self, faults: Faults) {
        self.writing.faults = faults;
    }

    /// How many bytes were read through this stream.
    pub fn bytes_read(&self) -> u64 {
        self.reading.offset
    }

    /// How many bytes were written through this stream.
    pub fn bytes_written(&self) -> u64 {
        self.writing.offset
    }

    /// What this wraps.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }
}

impl<S: Read> Read for FaultyStream<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = match self.reading.admit(buffer.len())? {
            Admission::End => return Ok(0),
            Admission::Most(limit) => limit,
        };
        let read = self.inner.read(&mut buffer[..limit]);
        let read = self.reading.moved(read)?;
        self.reading.pass(&mut buffer[..read]);
        Ok(read)
    }
}

impl<S: Write> Write for FaultyStream<S> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let changed = match self.writing.admit(buffer.len())? {
            Admission::End => return Err(io::ErrorKind::BrokenPipe.into()),
            Admission::Most(limit) => self.writing.flipped(&buffer[..limit]),
        };
        let written = self.inner.write(&changed);
        let written = self.writing.moved(written)?;
        self.writing.offset += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FaultyStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let limit = match ready!(this.reading.poll_admit(context, buffer.remaining()))? {
            Admission::End => return Poll::Ready(Ok(())),
            Admission::Most(limit) => limit,
        };
        let mut limited = ReadBuf::new(buffer.initialize_unfilled_to(limit));
        let read = Pin::new(&mut this.inner).poll_read(context, &mut limited);
        ready!(this.reading.poll_moved(read))?;
        this.reading.pass(limited.filled_mut());
        let read = limited.filled().len();
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FaultyStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let changed = match ready!(this.writing.poll_admit(context, buffer.len()))? {
            Admission::End => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Admission::Most(limit) => this.writing.flipped(&buffer[..limit]),
        };
        let written = Pin::new(&mut this.inner).poll_write(context, &changed);
        let written = ready!(this.writing.poll_moved(written))?;
        this.writing.offset += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    faults: Faults,
    offset: u64,
    calls: u64,
}

enum Admission {
    Most(usize),
    End,
}

impl Lane {
    fn poll_admit(
        &mut self,
        context: &mut Context<'_>,
        wanted: usize,
    ) -> Poll<io::Result<Admission>> {
        match self.admit(wanted) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            admission => Poll::Ready(admission),
        }
    }

    /// How much of a call for `wanted` bytes may go through now.
    fn admit(&mut self, wanted: usize) -> io::Result<Admission> {
        self.calls += 1;
        if self.faults.reset_at.is_some_and(|at| at <= self.offset) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if self.faults.end_at.is_some_and(|at| at <= self.offset) {
            return Ok(Admission::End);
        }
        if self.would_block() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let stops = [self.faults.reset_at, self.faults.end_at];
        let limit = stops
            .into_iter()
            .flatten()
            .chain(self.faults.would_block_at.iter().copied())
            .map(|stop| usize::try_from(stop.saturating_sub(self.offset)).unwrap_or(usize::MAX))
            .filter(|limit| *limit > 0)
            .chain(self.faults.most_bytes)
            .fold(wanted, usize::min);
        Ok(Admission::Most(limit))
    }

    /// What became of a call that went through.
    fn moved<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() == io::ErrorKind::WouldBlock
        {
            self.calls -= 1;
        }
        result
    }

    /// The same, of an asynchronous one.
    fn poll_moved<T>(&mut self, polled: Poll<T>) -> Poll<T> {
        if polled.is_pending() {
            self.calls -= 1;
        }
        polled
    }

    fn would_block(&mut self) -> bool {
        let here = self
            .faults
            .would_block_at
            .iter()
            .position(|at| *at == self.offset);
        if let Some(index) = here {
            self.faults.would_block_at.swap_remove(index);
        }
        let due = self
            .faults
            .would_block_every
            .is_some_and(|n| self.calls.is_multiple_of(n));
        here.is_some() || due
    }

    /// Flips what is to be flipped in bytes that went through, and counts them.
    fn pass(&mut self, bytes: &mut [u8]) {
        let changed = self.flipped(bytes);
        bytes.copy_from_slice(&changed);
        self.offset += bytes.len() as u64;
    }

    fn flipped(&self, bytes: &[u8]) -> Vec<u8> {
        let mut changed = bytes.to_vec();
        for at in &self.faults.flip_at {
            let index = at
                .checked_sub(self.offset)
                .and_then(|index| usize::try_from(index).ok());
            if let Some(byte) = index.and_then(|index| changed.get_mut(index)) {
                *byte ^= 1;
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(faults: Faults) -> (Vec<u8>, Vec<io::ErrorKind>) {
        let mut stream = FaultyStream::new(&b"0123456789"[..]).on_read(faults);
        let (mut bytes, mut errors) = (Vec::new(), Vec::new());
        for _ in 0..40 {
            let mut buffer = [0; 4];
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => bytes.extend(&buffer[..read]),
                Err(error) => errors.push(error.kind()),
            }
        }
        (bytes, errors)
    }

    #[test]
    fn reads_are_split_and_refused_and_nothing_is_lost() {
        let faults = Faults {
            most_bytes: Some(1),
            would_block_every: Some(3),
            would_block_at: vec![5],
            ..Faults::default()
        };
        let (bytes, errors) = read_all(faults);
        assert_eq!(bytes, b"0123456789");
        assert!(errors.len() >= 5, "{errors:?}");
        assert!(
            errors.iter().all(|kind| *kind == io::ErrorKind::WouldBlock),
            "{errors:?}"
        );
    }

    #[test]
    fn a_stream_ends_where_it_is_told_to() {
        let (bytes, errors) = read_all(Faults {
            end_at: Some(7),
            ..Faults::default()
        });
        assert_eq!((bytes.as_slice(), errors.len()), (&b"0123456"[..], 0));
    }

    #[test]
    fn a_reset_comes_after_the_bytes_before_it() {
        let (bytes, errors) = read_all(Faults {
            reset_at: Some(6),
            ..Faults::default()
        });
        assert_eq!(bytes, b"012345");
        assert_eq!(errors[0], io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn flips_hit_their_offset_when_reading_and_when_writing() {
        let faults = Faults {
            flip_at: vec![0, 9],
            ..Faults::default()
        };
        assert_eq!(read_all(faults.clone()).0, b"1123456788");
        let mut stream = FaultyStream::new(Vec::new()).on_write(faults);
        stream.write_all(b"01234").unwrap();
        stream.write_all(b"56789").unwrap();
        assert_eq!(stream.get_mut(), b"1123456788");
    }

    #[tokio::test]
    async fn asynchronous_streams_have_the_same_faults() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (left, right) = tokio::io::duplex(64);
        let split = Faults {
            most_bytes: Some(1),
            would_block_every: Some(2),
            ..Faults::default()
        };
        let mut left = FaultyStream::new(left).on_write(split.clone());
        let ends = Faults {
            flip_at: vec![1],
            end_at: Some(4),
            ..split
        };
        let mut right = FaultyStream::new(right).on_read(ends);
        left.write_all(b"abcdef").await.unwrap();
        let mut received = Vec::new();
        right.read_to_end(&mut received).await.unwrap();
        assert_eq!(
            (received.as_slice(), left.bytes_written()),
            (&b"accd"[..], 6)
        );
    }
}
