//! A message that a program has changed.

use crate::{HelperError, Message, Slices};

/// The bytes of a message in order, and what became of those that the writer wrote.
#[derive(Debug)]
pub(super) struct Edited<'a> {
    pieces: Vec<Piece<'a>>,
    pushed: usize,
}

#[derive(Debug)]
enum Piece<'a> {
    Written(&'a [u8]),
    Pushed(Box<[u8]>),
    /// So many bytes of the writer were deleted here.
    Popped(usize),
}

impl Piece<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Written(bytes) => bytes,
            Self::Pushed(bytes) => bytes,
            Self::Popped(_) => &[],
        }
    }
}

impl<'a> Edited<'a> {
    pub(super) fn new(held: &'a [u8], input: Slices<'a>) -> Self {
        let held = Some(held).filter(|held| !held.is_empty());
        let slices = held.into_iter().chain(input.iter());
        Self {
            pieces: slices.map(Piece::Written).collect(),
            pushed: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes().len()).sum()
    }

    pub(super) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let slices = self.pieces.iter().map(Piece::bytes);
        slices.filter(|slice| !slice.is_empty())
    }

    /// Inserts before byte `at`, which the caller has checked.
    pub(super) fn push(&mut self, at: usize, bytes: &[u8]) -> Result<(), HelperError> {
        let pushed = self.pushed.saturating_add(bytes.len());
        if pushed > Message::MAX_PUSHED {
            return Err(HelperError::TooLong { pushed });
        }
        self.pushed = pushed;
        let index = self.split(at);
        self.pieces.insert(index, Piece::Pushed(bytes.into()));
        Ok(())
    }

    /// Deletes a range that the caller has checked.
    pub(super) fn pop(&mut self, start: usize, end: usize) {
        let first = self.split(start);
        let last = self.split(end);
        for piece in &mut self.pieces[first..last] {
            match piece {
                Piece::Written(bytes) => *piece = Piece::Popped(bytes.len()),
                Piece::Pushed(bytes) => *bytes = Box::default(),
                Piece::Popped(_) => {}
            }
        }
    }

    /// The message with the edits among its first `covered` written bytes; what was pushed right
    /// behind them is among them.
    pub(super) fn first(&self, covered: u64) -> Vec<u8> {
        let mut left = usize::try_from(covered).unwrap_or(usize::MAX);
        let mut out = Vec::new();
        for piece in &self.pieces {
            let written = match piece {
                Piece::Pushed(bytes) => {
                    out.extend_from_slice(bytes);
                    continue;
                }
                Piece::Written(bytes) => {
                    out.extend_from_slice(&bytes[..bytes.len().min(left)]);
                    bytes.len()
                }
                Piece::Popped(len) => *len,
            };
            let Some(rest) = left.checked_sub(written) else {
                break;
            };
            left = rest;
        }
        out
    }

    /// Cuts pieces so that one starts at byte `at`, and returns its index. Of the places between
    /// two bytes it is the one behind all that was deleted and pushed there.
    fn split(&mut self, at: usize) -> usize {
        let mut offset = 0;
        for index in 0..self.pieces.len() {
            let len = self.pieces[index].bytes().len();
            if at < offset + len {
                return index + self.cut(index, at - offset);
            }
            offset += len;
        }
        self.pieces.len()
    }

    /// Cuts one piece in two at a byte inside of it; returns how many lie before the cut.
    fn cut(&mut self, index: usize, at: usize) -> usize {
        if at == 0 {
            return 0;
        }
        let tail = match &mut self.pieces[index] {
            Piece::Written(bytes) => {
                let (head, tail) = bytes.split_at(at);
                *bytes = head;
                Piece::Written(tail)
            }
            Piece::Pushed(bytes) => {
                let tail = bytes[at..].into();
                *bytes = bytes[..at].into();
                Piece::Pushed(tail)
            }
            Piece::Popped(_) => return 0,
        };
        self.pieces.insert(index + 1, tail);
        1
    }
}
