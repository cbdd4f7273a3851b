//! A message that a program has changed.

use std::ops::Range;

use super::{one_piece, written};
use crate::{HelperError, Message, Slices};

mod pieces;

use pieces::{Piece, Pieces, Source};

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
        self.pieces.iter().map(|piece| self.bytes(piece))
    }

    /// The bytes of a range that the caller has checked: in place, or a copy in `linear`.
    pub(super) fn pull<'s>(&'s mut self, range: Range<usize>, linear: &'s mut Vec<u8>) -> &'s [u8] {
        let (piece, within) = self.pieces.find(range.start);
        let pieces = self.pieces.iter_from(piece);
        let slices = pieces.map(|piece| self.bytes(piece));
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
        self.pushed.extend_from_slice(bytes);
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
        for piece in self.pieces.iter() {
            let Some(left) = covered.checked_sub(piece.behind as usize) else {
                break;
            };
            let bytes = self.bytes(piece);
            match piece.source() {
                Source::Pushed(_) => out.extend_from_slice(bytes),
                Source::Written(_) => out.extend_from_slice(&bytes[..bytes.len().min(left)]),
            }
        }
        out
    }

    fn bytes(&self, piece: &Piece) -> &[u8] {
        match piece.source() {
            Source::Pushed(range) => &self.pushed[range],
            Source::Written(range) => {
                let slice = self.written.partition_point(|(at, _)| *at <= range.start) - 1;
                let (at, slice) = self.written[slice];
                &slice[range.start - at..range.end - at]
            }
        }
    }

    /// Pieces that were stepped over to find places.
    #[cfg(test)]
    pub(super) fn steps(&self) -> usize {
        self.pieces.steps
    }
}
