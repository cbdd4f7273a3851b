//! Pieces of bytes in their order, found by position.
//!
//! A splay tree: what was looked for last is at the root, so that a program which goes through a
//! message pays for the way to the next place, and one that jumps for the logarithm of the pieces,
//! on average over its edits. A list of pieces, or one with a gap, would make a peer that decides
//! where the places are cost the square of a message.

use std::ops::{self, Range};

mod splay;

use splay::Position;

/// Where a piece is among the nodes.
pub(super) type Index = u32;

/// No piece: a tree without one, and what follows the last. Its node has no bytes.
const NONE: Index = 0;

/// The first piece. It stays there: an edit changes what is in a piece and adds pieces behind it.
pub(super) const FIRST: Index = 1;

const LEFT: usize = 0;
const RIGHT: usize = 1;

/// A run of the writer's bytes, then a run of pushed ones, and where the piece is. The last piece
/// is the only one that is empty, so that every place is before a piece or in one.
///
/// As small as it can be, and no more than one for an edit: a peer decides how many there are, and
/// what they cost is the memory that is gone through.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Piece {
    /// The piece that follows.
    next: Index,
    /// Bytes of the writer that came before its own, deleted ones included.
    behind: u32,
    /// Bytes of the writer, from `behind` on.
    written: u32,
    /// Where its pushed bytes start in all that was pushed.
    start: u32,
    /// Pushed bytes.
    pushed: u32,
    /// Bytes of the tree on its left.
    left_len: u32,
    children: [Index; 2],
}

impl Piece {
    /// Which of the writer's bytes it has.
    pub(super) fn written(&self) -> Range<usize> {
        range(self.behind, self.written)
    }

    /// Which of the pushed bytes it has.
    pub(super) fn pushed(&self) -> Range<usize> {
        range(self.start, self.pushed)
    }

    fn own(&self) -> u32 {
        self.written + self.pushed
    }

    /// Where it ends in the tree that it is the root of.
    fn end(&self) -> u32 {
        self.left_len + self.own()
    }

    /// Drops its first `n` bytes.
    fn skip(&mut self, n: u32) {
        let written = n.min(self.written);
        self.behind += written;
        self.written -= written;
        self.start += n - written;
        self.pushed -= n - written;
    }

    /// Keeps its first `n` bytes.
    fn truncate(&mut self, n: u32) {
        self.written = n.min(self.written);
        self.pushed = n - self.written;
    }
}

fn range(start: u32, len: u32) -> Range<usize> {
    start as usize..start as usize + len as usize
}

#[derive(Debug)]
pub(super) struct Pieces {
    nodes: Vec<Piece>,
    root: Index,
    len: u32,
    /// Pieces that were stepped over.
    #[cfg(test)]
    pub(super) steps: usize,
}

impl Pieces {
    /// Bytes that there can be at any time.
    pub(super) const MAX: usize = u32::MAX as usize;

    /// A piece for each slice of the writer, of which these are the lengths: together at most
    /// [`Self::MAX`].
    pub(super) fn new(lens: impl Iterator<Item = usize>) -> Self {
        let mut pieces = Self {
            nodes: vec![Piece::default()],
            root: NONE,
            len: 0,
            #[cfg(test)]
            steps: 0,
        };
        for written in lens.map(number).chain([0]) {
            let before = pieces.root;
            pieces.root = number(pieces.nodes.len());
            pieces.nodes.push(Piece {
                behind: pieces.len,
                written,
                left_len: pieces.len,
                children: [before, NONE],
                ..Piece::default()
            });
            pieces.len += written;
            if before != NONE {
                pieces[before].next = pieces.root;
            }
        }
        pieces
    }

    /// Bytes in all.
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    /// Pieces that take memory.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.nodes.len() - 1
    }

    /// The pieces from `first` on.
    pub(super) fn iter_from(&self, first: Index) -> impl Iterator<Item = &Piece> {
        let mut next = first;
        std::iter::from_fn(move || {
            let piece = (next != NONE).then(|| &self[next])?;
            next = piece.next;
            Some(piece)
        })
    }

    /// The piece that has byte `at`, and where in it that byte is; past the end, the last.
    pub(super) fn find(&mut self, at: usize) -> (Index, usize) {
        let within = self.find_root(number(at));
        (self.root, within as usize)
    }

    /// Inserts a range of what was pushed before byte `at`, or at the end.
    pub(super) fn insert(&mut self, at: usize, pushed: Range<usize>) {
        let within = self.find_root(number(at));
        let mut before = self.cut(within, 0);
        if self[before].pushed > 0 {
            before = self.cut(0, 0);
        }
        let len = number(pushed.len());
        let piece = &mut self[before];
        (piece.start, piece.pushed) = (number(pushed.start), len);
        let root = self.root;
        self[root].left_len += len;
        self.len += len;
    }

    /// Removes the bytes of a range that is not empty.
    pub(super) fn remove(&mut self, range: Range<usize>) {
        let within = self.find_root(number(range.start));
        let len = number(range.len());
        self.len -= len;
        if within + len < self[self.root].own() {
            self.cut(within, len);
        } else {
            self.remove_beyond(within, len);
        }
    }

    /// Removes `len` bytes from `within` the piece at the root on: to its end, or in others, too.
    // Most edits are of few bytes: this stays out of their way.
    #[cold]
    fn remove_beyond(&mut self, within: u32, len: u32) {
        if within > 0 {
            self.cut(within, 0);
        }
        let removed = self.root;
        let before = std::mem::replace(&mut self[removed].children[LEFT], NONE);
        let left_len = std::mem::replace(&mut self[removed].left_len, 0);
        let (after, within) = self.splay(removed, len);
        // What comes before goes on to the first piece that is removed: what is left behind the
        // range takes that one's place.
        let mut rest = self[after];
        rest.skip(within);
        rest.children[LEFT] = before;
        rest.left_len = left_len;
        self[removed] = rest;
        self.root = removed;
    }

    /// Brings the piece that has byte `at` to the root; past the end, the last. Returns where in
    /// it the byte is.
    fn find_root(&mut self, at: u32) -> u32 {
        if let Position::Root(within) = self.place(self.root, at) {
            return within;
        }
        let (root, within) = self.splay(self.root, at);
        self.root = root;
        within
    }

    /// Cuts the piece at the root, and drops `gone` bytes behind the cut. What is left of it becomes
    /// the root: the next edit is most likely there, or close behind it. Returns the piece of the
    /// bytes before `within`, which may be none.
    #[inline]
    fn cut(&mut self, within: u32, gone: u32) -> Index {
        let (head, tail) = (self.root, number(self.nodes.len()));
        let piece = &mut self[head];
        let mut rest = *piece;
        rest.skip(within + gone);
        rest.left_len += within;
        rest.children[LEFT] = head;
        piece.truncate(within);
        piece.next = tail;
        piece.children[RIGHT] = NONE;
        self.nodes.push(rest);
        self.root = tail;
        head
    }
}

impl ops::Index<Index> for Pieces {
    type Output = Piece;

    fn index(&self, index: Index) -> &Piece {
        &self.nodes[index as usize]
    }
}

impl ops::IndexMut<Index> for Pieces {
    fn index_mut(&mut self, index: Index) -> &mut Self::Output {
        &mut self.nodes[index as usize]
    }
}

/// A number that is no greater than [`Pieces::MAX`], for which the owner of the pieces cares.
fn number(n: usize) -> u32 {
    u32::try_from(n).expect("pieces have no more than MAX bytes")
}
