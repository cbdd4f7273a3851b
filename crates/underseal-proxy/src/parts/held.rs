//! Bytes of a body that came before anybody wanted them.

use std::collections::VecDeque;
use std::mem;

use bytes::{Bytes, BytesMut};

/// Shorter pieces are put together: each by itself takes some hundred bytes beside its own.
const SHORT: usize = 1024;

/// Pieces in their order, of which no two short ones stand beside each other.
#[derive(Default)]
pub(super) struct Held {
    pieces: VecDeque<Bytes>,
    /// Short ones, behind the others.
    last: BytesMut,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.last.is_empty()
    }

    pub(super) fn put(&mut self, piece: Bytes) {
        if piece.len() < SHORT {
            return self.last.extend_from_slice(&piece);
        }
        if !self.last.is_empty() {
            self.pieces.push_back(mem::take(&mut self.last).freeze());
        }
        self.pieces.push_back(piece);
    }

    /// The first, if there is one.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let first = self.pieces.pop_front();
        first.or_else(|| (!self.last.is_empty()).then(|| mem::take(&mut self.last).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_pieces_are_put_together_and_stay_in_their_place() {
        let mut held = Held::default();
        let long = Bytes::from(vec![b'l'; SHORT]);
        for piece in ["a", "", "bc"] {
            held.put(Bytes::from_static(piece.as_bytes()));
        }
        held.put(long.clone());
        held.put(long.clone());
        held.put(Bytes::from_static(b"d"));
        assert!(!held.is_empty());
        let taken: Vec<_> = std::iter::from_fn(|| held.take()).collect();
        assert_eq!(taken, [&b"abc"[..], &long, &long, b"d"]);
        assert!(held.is_empty());
    }
}
