//! A stream that loses, repeats, reorders or changes whole TLS records on their way in.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Content type, version and length.
const HEADER_BYTES: usize = 5;

/// What happens to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordEdit {
    /// It is lost.
    Lose,
    /// It arrives twice.
    Repeat,
    /// It arrives after the one that follows it.
    SwapWithNext,
    /// The lowest bit of the byte at this offset, from the header's first byte on, is flipped. An
    /// offset beyond the record counts from its end: `usize::MAX` is the last byte.
    FlipAt(usize),
    /// These bytes arrive instead of it.
    Replace(Vec<u8>),
    /// These bytes arrive before it.
    Precede(Vec<u8>),
}

/// A stream whose incoming records are edited; outgoing bytes pass untouched. Blocking or
/// asynchronous as what it wraps.
#[derive(Debug)]
pub struct RecordEditor<S> {
    inner: S,
    edits: Edits,
}

impl<S> RecordEditor<S> {
    /// Wraps `inner`; records pass unchanged until an edit is set.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            edits: Edits::default(),
        }
    }

    /// Edits the record that comes after `ahead` others, counted from the next one to be read.
    pub fn edit(&mut self, ahead: usize, edit: RecordEdit) {
        self.edits.waiting.push((self.edits.records + ahead, edit));
    }

    /// How many records have come in.
    pub fn records(&self) -> usize {
        self.edits.records
    }
}

impl<S: Read> Read for RecordEditor<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut chunk = [0; 4096];
        while !self.edits.can_answer(buffer.len()) {
            let read = self.inner.read(&mut chunk)?;
            self.edits.take(&chunk[..read]);
        }
        self.edits.outgoing.read(buffer)
    }
}

impl<S: Write> Write for RecordEditor<S> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.inner.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for RecordEditor<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut chunk = [0; 4096];
        while !this.edits.can_answer(buffer.remaining()) {
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.inner).poll_read(context, &mut chunk))?;
            this.edits.take(chunk.filled());
        }
        let read = this.edits.outgoing.read(buffer.initialize_unfilled())?;
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RecordEditor<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// The bytes between the two sides, and what is to be done to them.
#[derive(Debug, Default)]
struct Edits {
    /// Edits by the number of their record.
    waiting: Vec<(usize, RecordEdit)>,
    /// Records that came in.
    records: usize,
    /// The start of a record that is not whole yet.
    incoming: Vec<u8>,
    /// The record that [`RecordEdit::SwapWithNext`] holds back.
    held: Option<Vec<u8>>,
    /// What may be read.
    outgoing: VecDeque<u8>,
    ended: bool,
}

impl Edits {
    fn can_answer(&self, wanted: usize) -> bool {
        !self.outgoing.is_empty() || self.ended || wanted == 0
    }

    /// Takes what was read from the wrapped stream; nothing means that it ended.
    fn take(&mut self, bytes: &[u8]) {
        self.incoming.extend(bytes);
        while let Some(record) = self.next_record() {
            self.pass(record);
        }
        if bytes.is_empty() {
            self.ended = true;
            self.outgoing.extend(self.held.take().unwrap_or_default());
            self.outgoing.extend(self.incoming.drain(..));
        }
    }

    fn next_record(&mut self) -> Option<Vec<u8>> {
        let length = self.incoming.get(3..HEADER_BYTES)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let whole = HEADER_BYTES + length;
        (self.incoming.len() >= whole).then(|| self.incoming.drain(..whole).collect())
    }

    fn pass(&mut self, mut record: Vec<u8>) {
        let index = self.waiting.iter().position(|(at, _)| *at == self.records);
        let edit = index.map(|index| self.waiting.swap_remove(index).1);
        self.records += 1;
        let held = self.held.take();
        match edit {
            None => self.outgoing.extend(record),
            Some(RecordEdit::Lose) => {}
            Some(RecordEdit::Repeat) => {
                self.outgoing.extend(&record);
                self.outgoing.extend(record);
            }
            Some(RecordEdit::SwapWithNext) => self.held = Some(record),
            Some(RecordEdit::FlipAt(offset)) => {
                let last = record.len() - 1;
                record[offset.min(last)] ^= 1;
                self.outgoing.extend(record);
            }
            Some(RecordEdit::Replace(bytes)) => self.outgoing.extend(bytes),
            Some(RecordEdit::Precede(bytes)) => {
                self.outgoing.extend(bytes);
                self.outgoing.extend(record);
            }
        }
        self.outgoing.extend(held.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(byte: u8) -> Vec<u8> {
        vec![23, 3, 3, 0, 2, byte, byte]
    }

    fn edited(edit: RecordEdit) -> Vec<u8> {
        let stream: Vec<u8> = (0..4).flat_map(record).collect();
        let mut editor = RecordEditor::new(&stream[..]);
        editor.edit(1, edit);
        let mut received = Vec::new();
        editor.read_to_end(&mut received).unwrap();
        received
    }

    fn records(bytes: &[u8]) -> Vec<u8> {
        bytes.iter().flat_map(|byte| record(*byte)).collect()
    }

    #[test]
    fn whole_records_are_lost_repeated_and_reordered() {
        assert_eq!(edited(RecordEdit::Lose), records(&[0, 2, 3]));
        assert_eq!(edited(RecordEdit::Repeat), records(&[0, 1, 1, 2, 3]));
        assert_eq!(edited(RecordEdit::SwapWithNext), records(&[0, 2, 1, 3]));
    }

    #[test]
    fn records_are_changed_replaced_and_preceded() {
        assert_eq!(edited(RecordEdit::FlipAt(usize::MAX))[13], 0);
        let inserted = record(9);
        assert_eq!(
            edited(RecordEdit::Replace(inserted.clone())),
            records(&[0, 9, 2, 3])
        );
        assert_eq!(
            edited(RecordEdit::Precede(inserted)),
            records(&[0, 9, 1, 2, 3])
        );
    }

    #[test]
    fn half_a_record_at_the_end_passes() {
        let mut editor = RecordEditor::new(&[23, 3, 3, 0, 9, 1][..]);
        let mut received = Vec::new();
        editor.read_to_end(&mut received).unwrap();
        assert_eq!(received, [23, 3, 3, 0, 9, 1]);
    }

    #[tokio::test]
    async fn asynchronous_streams_are_edited_alike() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut left, right) = tokio::io::duplex(64);
        let mut editor = RecordEditor::new(right);
        editor.edit(0, RecordEdit::SwapWithNext);
        left.write_all(&records(&[1, 2, 3])).await.unwrap();
        drop(left);
        let mut received = Vec::new();
        editor.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, records(&[2, 1, 3]));
    }
}
