//! Bytes on their way, in buffers that the thread lends.
//!
//! A connection that waits owns no buffer: one is lent when there is something to read, and goes
//! back when it has been written. What has to wait meanwhile is copied into an allocation of its own
//! size if it is little.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of a lent buffer: what one read takes and one write of a TLS stream seals at most.
const LEN: usize = 256 * 1024;

/// Buffers that a thread keeps when nobody uses them.
const KEPT: usize = 8;

/// Up to this many bytes are copied, so that what waits gives the large buffer back.
const COPIED: usize = 32 * 1024;

thread_local! {
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that were read and not yet written. Empty, it owns nothing.
#[derive(Default)]
pub(crate) struct Chunk {
    allocation: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Chunk {
    /// A copy of `bytes`.
    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        Self {
            allocation: bytes.into(),
            start: 0,
            end: bytes.len(),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.allocation[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Drops the first `n` bytes, and gives the buffer back with the last of them.
    pub(crate) fn consume(&mut self, n: usize) {
        self.start = self.end.min(self.start + n);
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Goes through the bytes from the first one on, to leave some of them out.
    pub(crate) fn compact(&mut self) -> Compaction<'_> {
        Compaction {
            chunk: self,
            kept: 0,
            seen: 0,
        }
    }

    /// Moves bytes within the allocation.
    fn shift(&mut self, from: Range<usize>, to: usize) {
        #[cfg(test)]
        tests::MOVED.set(tests::MOVED.get() + from.len());
        self.allocation.copy_within(from, to);
    }

    /// Reads behind what is there; zero bytes are the end of `source`.
    ///
    /// # Errors
    /// Those of `source`; `OutOfMemory` where a whole buffer has been read and nothing consumed.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        source: Pin<&mut impl AsyncRead>,
    ) -> Poll<io::Result<usize>> {
        if self.is_full() {
            return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
        }
        self.make_room(1);
        let mut room = ReadBuf::new(&mut self.allocation[self.end..]);
        let polled = source.poll_read(cx, &mut room);
        let read = room.filled().len();
        self.end += read;
        if read == 0 {
            self.settle();
        }
        ready!(polled)?;
        Poll::Ready(Ok(read))
    }

    /// Whether a whole buffer waits, or a copy that is longer, so that nothing can be added.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes().len() >= LEN
    }

    /// Adds as much of `bytes` as there is room for, and says how much: less only where the chunk is full then.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> usize {
        if bytes.is_empty() || self.is_full() {
            return 0;
        }
        self.make_room(bytes.len());
        let len = bytes.len().min(LEN - self.end);
        self.allocation[self.end..self.end + len].copy_from_slice(&bytes[..len]);
        self.end += len;
        len
    }

    /// Gives a lent buffer back where little is in it.
    pub(crate) fn settle(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        } else if self.allocation.len() >= LEN && self.bytes().len() <= COPIED {
            *self = Self::copy_of(self.bytes());
        }
    }

    /// Moves the bytes, which are no whole buffer, to the start of a lent one, unless there is room for
    /// `wanted` more behind them.
    fn make_room(&mut self, wanted: usize) {
        if self.allocation.len() == LEN {
            if LEN - self.end < wanted && self.start > 0 {
                self.allocation.copy_within(self.start..self.end, 0);
                self.end -= mem::take(&mut self.start);
            }
            return;
        }
        let mut lent = lend();
        let bytes = self.bytes();
        let len = bytes.len();
        lent[..len].copy_from_slice(bytes);
        *self = Self {
            allocation: lent,
            start: 0,
            end: len,
        };
    }
}

/// Bytes of a chunk, some of which are left out. However many pieces are, each byte that is kept moves to
/// its place once, and all close up once in the end: a peer chooses how many there are.
pub(crate) struct Compaction<'a> {
    chunk: &'a mut Chunk,
    /// How many bytes were kept. They are the first ones.
    kept: usize,
    /// How many bytes were gone through; what is between the two counts is garbage.
    seen: usize,
}

impl Compaction<'_> {
    /// What has not been gone through.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.chunk.bytes()[self.seen..]
    }

    /// Goes through the next `n` bytes, and keeps them.
    pub(crate) fn keep(&mut self, n: usize) {
        if self.kept != self.seen {
            let from = self.chunk.start + self.seen;
            self.chunk
                .shift(from..from + n, self.chunk.start + self.kept);
        }
        self.seen += n;
        self.kept += n;
    }

    /// Goes through the next `n` bytes, and leaves them out.
    pub(crate) fn leave_out(&mut self, n: usize) {
        self.seen += n;
    }

    /// Has what was kept and the rest be neighbours, by moving the shorter one, and says how many bytes
    /// were kept.
    pub(crate) fn finish(self) -> usize {
        let Self { chunk, kept, seen } = self;
        let (start, gap) = (chunk.start, seen - kept);
        if gap == 0 {
            return kept;
        }
        if kept <= chunk.bytes().len() - seen {
            chunk.shift(start..start + kept, start + gap);
            chunk.start += gap;
        } else {
            chunk.shift(start + seen..chunk.end, start + kept);
            chunk.end -= gap;
        }
        if chunk.is_empty() {
            *chunk = Chunk::default();
        }
        kept
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if self.allocation.len() != LEN {
            return;
        }
        let buffer = mem::take(&mut self.allocation);
        // A thread that is shutting down has no pool any more; the buffer is freed then.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < KEPT {
                free.push(buffer);
            }
        });
    }
}

fn lend() -> Box<[u8]> {
    let free = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
    free.unwrap_or_else(|| vec![0; LEN].into_boxed_slice())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;
    use std::task::Waker;

    use super::*;

    thread_local! {
        /// Bytes that this thread moved within chunks.
        pub(crate) static MOVED: Cell<usize> = const { Cell::new(0) };
    }

    fn fill(chunk: &mut Chunk, mut source: &[u8]) -> Poll<io::Result<usize>> {
        let mut cx = Context::from_waker(Waker::noop());
        chunk.poll_fill(&mut cx, Pin::new(&mut source))
    }

    #[test]
    fn bytes_are_read_behind_those_that_wait() {
        let mut chunk = Chunk::copy_of(b"abc");
        assert!(matches!(fill(&mut chunk, b"def"), Poll::Ready(Ok(3))));
        chunk.consume(1);
        chunk.settle();
        assert_eq!(chunk.bytes(), b"bcdef");
        assert_eq!(chunk.allocation.len(), 5);
        chunk.consume(9);
        assert!(chunk.is_empty() && chunk.allocation.is_empty());
    }

    #[test]
    fn bytes_are_left_out_of_the_middle() {
        let mut chunk = Chunk::copy_of(b"abcdefgh");
        chunk.consume(1);
        let mut compaction = chunk.compact();
        compaction.keep(1);
        compaction.leave_out(2);
        assert_eq!(compaction.rest(), b"efgh");
        compaction.keep(1);
        compaction.leave_out(1);
        assert_eq!(compaction.finish(), 2);
        assert_eq!(chunk.bytes(), b"begh");
        // The rest may be the shorter one.
        let mut compaction = chunk.compact();
        compaction.keep(2);
        compaction.leave_out(1);
        assert_eq!(compaction.finish(), 2);
        assert_eq!(chunk.bytes(), b"beh");
        let mut compaction = chunk.compact();
        compaction.leave_out(3);
        assert_eq!(compaction.finish(), 0);
        assert!(chunk.is_empty() && chunk.allocation.is_empty());
    }

    #[test]
    fn a_full_buffer_takes_no_more_and_makes_room_for_what_was_consumed() {
        let mut chunk = Chunk::default();
        let source = vec![7; LEN + 1];
        assert!(matches!(fill(&mut chunk, &source), Poll::Ready(Ok(LEN))));
        assert!(matches!(fill(&mut chunk, &source), Poll::Ready(Err(_))));
        chunk.consume(10);
        assert!(matches!(fill(&mut chunk, &source), Poll::Ready(Ok(10))));
        assert_eq!(chunk.bytes().len(), LEN);
    }

    #[test]
    fn a_copy_that_is_longer_than_a_buffer_takes_nothing_until_it_is_not() {
        let mut chunk = Chunk::copy_of(&vec![7; LEN + 10]);
        assert!(chunk.is_full());
        assert!(matches!(fill(&mut chunk, b"abc"), Poll::Ready(Err(_))));
        assert_eq!(chunk.append(b"abc"), 0);
        chunk.consume(10);
        assert!(chunk.is_full());
        chunk.consume(1);
        assert!(matches!(fill(&mut chunk, b"abc"), Poll::Ready(Ok(1))));
        assert_eq!(chunk.bytes().len(), LEN);
        assert_eq!(chunk.bytes().last(), Some(&b'a'));
    }

    #[test]
    fn bytes_are_appended_as_far_as_there_is_room() {
        let mut chunk = Chunk::default();
        assert_eq!(chunk.append(b""), 0);
        assert!(chunk.allocation.is_empty(), "nothing needs no buffer");
        assert_eq!(chunk.append(b"abc"), 3);
        chunk.consume(1);
        assert_eq!(chunk.append(&vec![7; LEN - 4]), LEN - 4);
        assert_eq!(
            chunk.append(b"def"),
            2,
            "none is cut while there is room in front"
        );
        assert!(chunk.is_full());
        assert_eq!(chunk.append(b"e"), 0);
        assert_eq!(&chunk.bytes()[..3], b"bc\x07");
        assert!(chunk.bytes().ends_with(b"\x07de"));
    }

    #[test]
    fn an_empty_source_leaves_no_buffer() {
        let mut chunk = Chunk::default();
        assert!(matches!(fill(&mut chunk, b""), Poll::Ready(Ok(0))));
        assert!(chunk.allocation.is_empty());
    }
}
