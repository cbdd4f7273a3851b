//! A message that a program has changed.

use std::ops::Range;

use super::{one_piece, written};
use crate::{HelperError, Message, Slices};

mod pieces;

use pieces::{FIRST, Index, Piece, Pieces};

/// The bytes of a message in order, and whose they are.
#[derive(Debug)]
pub(super) struct Edited<'a> {
    pieces: Pieces,
    /// The writer's bytes, each with what comes before it.
    written: Vec<(usize, &'a [u8])>,
    /// What was pushed, in the order in which it was.
    pushed: Vec<u8>,
}

impl<'a> Edited<'a> {
    /// [`HelperError::TooLarge`] if there are too many bytes.
    // Once for a message: it stays out of the way of each edit.
    #[cold]
    pub(super) fn new(held: &'a [u8], input: Slices<'a>) -> Result<Self, HelperError> {
        let mut len = 0;
        let starts = written(held, input).map(|slice| {
            let start = len;
            len += slice.len();
            (start, slice)
        });
        let written: Vec<_> = starts.collect();
        if len > Pieces::MAX - Message::MAX_PUSHED {
            return Err(HelperError::TooLarge { len });
        }
        Ok(Self {
            pieces: Pieces::new(written.iter().map(|(_, slice)| slice.len())),
            written,
            pushed: Vec::new(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.slices_from(FIRST)
    }

    /// The bytes of a range that the caller has checked: in place, or a copy in `linear`.
    pub(super) fn pull<'s>(&'s mut self, range: Range<usize>, linear: &'s mut Vec<u8>) -> &'s [u8] {
        let (piece, within) = self.pieces.find(range.start);
        let slices = self.slices_from(piece);
        one_piece(slices, within..within + range.len(), linear)
    }

    /// Inserts before byte `at`, which the caller has checked. Of the places between two bytes it
    /// is the one behind all that was deleted there.
    pub(super) fn push(&mut self, at: usize, bytes: &[u8]) -> Result<(), HelperError> {
        let start = self.pushed.len();
        let pushed = start.saturating_add(bytes.len());
        if pushed > Message::MAX_PUSHED {
            return Err(HelperError::TooLong { pushed });
        }
        append(&mut self.pushed, bytes);
        self.pieces.insert(at, start..pushed);
        Ok(())
    }

    /// Deletes a range that the caller has checked.
    pub(super) fn pop(&mut self, range: Range<usize>) {
        self.pieces.remove(range);
    }

    /// The message with the edits among its first `covered` written bytes; what was pushed right
    /// behind them is among them.
    pub(super) fn first(&self, covered: u64) -> Vec<u8> {
        let covered = usize::try_from(covered).unwrap_or(usize::MAX);
        let mut out = Vec::with_capacity(self.len());
        for (piece, written) in self.pieces_from(FIRST) {
            let Some(left) = covered.checked_sub(piece.written().start) else {
                break;
            };
            if left < written.len() {
                append(&mut out, &written[..left]);
                break;
            }
            append(&mut out, written);
            append(&mut out, &self.pushed[piece.pushed()]);
        }
        out
    }

    /// The slices of a piece and of those behind it; none is empty.
    fn slices_from(&self, first: Index) -> impl Iterator<Item = &[u8]> {
        self.pieces_from(first)
            .flat_map(|(piece, written)| [written, &self.pushed[piece.pushed()]])
            .filter(|slice| !slice.is_empty())
    }

    /// A piece and those behind it, each with its bytes of the writer.
    fn pieces_from(&self, first: Index) -> impl Iterator<Item = (&Piece, &[u8])> {
        let (mut start, mut slice): (usize, &[u8]) = (0, &[]);
        self.pieces.iter_from(first).map(move |piece| {
            let written = piece.written();
            // Most pieces lie in the slice in which the one before does.
            if written.end > start + slice.len() {
                let next = self.written.partition_point(|(at, _)| *at <= written.start);
                (start, slice) = self.written[next - 1];
            }
            (piece, &slice[written.start - start..written.end - start])
        })
    }

    /// Pieces that there are, of which some may be left behind.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        self.pieces.count()
    }

    /// Pieces that were stepped over to find places.
    #[cfg(test)]
    pub(super) fn steps(&self) -> usize {
        self.pieces.steps
    }
}

/// Appends bytes that are one or none most of the time: a call to copy one costs more than it does.
#[inline]
fn append(to: &mut Vec<u8>, bytes: &[u8]) {
    match bytes {
        [] => {}
        [byte] => to.push(*byte),
        [a, b] => to.extend([*a, *b]),
        _ => to.extend_from_slice(bytes),
    }
}
