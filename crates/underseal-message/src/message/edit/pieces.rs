//! Pieces of bytes in their order, found by position.
//!
//! A splay tree: what was looked for last is at the root, so that a program which goes through a
//! message pays for the way to the next place, and one that jumps for the logarithm of the pieces,
//! on average over its edits. A list of pieces, or one with a gap, would make a peer that decides
//! where the places are cost the square of a message.

use std::ops::{self, Range};

mod splay;

use splay::Place;

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
    /// Bytes of the tree that it is the root of.
    len: u32,
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
            #[cfg(test)]
            steps: 0,
        };
        for written in lens.map(number).chain([0]) {
            let before = pieces.root;
            pieces.root = number(pieces.nodes.len());
            let behind = pieces[before].len;
            pieces.nodes.push(Piece {
                behind,
                written,
                len: behind + written,
                children: [before, NONE],
                ..Piece::default()
            });
            if before != NONE {
                pieces[before].next = pieces.root;
            }
        }
        pieces
    }

    /// Bytes in all.
    pub(super) fn len(&self) -> usize {
        self[self.root].len as usize
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
        let mut before = self.cut(within);
        if self[before].pushed > 0 {
            before = self.cut(0);
        }
        let len = number(pushed.len());
        let piece = &mut self[before];
        (piece.start, piece.pushed) = (number(pushed.start), len);
        piece.len += len;
        let root = self.root;
        self[root].len += len;
    }

    /// Removes the bytes of a range that is not empty.
    pub(super) fn remove(&mut self, range: Range<usize>) {
        let within = self.find_root(number(range.start));
        if within > 0 {
            self.cut(within);
        }
        let removed = self.root;
        let len = number(range.len());
        if len < self[removed].own() {
            self[removed].skip(len);
            self[removed].len -= len;
            return;
        }
        let before = std::mem::replace(&mut self[removed].children[LEFT], NONE);
        self.measure(removed);
        let (after, within) = self.splay(removed, len);
        // What comes before goes on to the first piece that is removed: what is left behind the
        // range takes that one's place.
        let mut rest = self[after];
        rest.skip(within);
        rest.children[LEFT] = before;
        self[removed] = rest;
        self.measure(removed);
        self.root = removed;
    }

    /// Brings the piece that has byte `at` to the root; past the end, the last. Returns where in
    /// it the byte is.
    fn find_root(&mut self, at: u32) -> u32 {
        if let Place::Root(within) = self.place(self.root, at) {
            return within;
        }
        let (root, within) = self.splay(self.root, at);
        self.root = root;
        within
    }

    /// Cuts the piece at the root. Its bytes from `within` on become the root: the next edit is
    /// most likely there, or close behind it. Returns the piece of those before, which may be none.
    fn cut(&mut self, within: u32) -> Index {
        let (head, tail) = (self.root, number(self.nodes.len()));
        let [left, _] = self[head].children;
        let len = self[left].len + within;
        let piece = &mut self[head];
        let mut rest = *piece;
        rest.skip(within);
        rest.children[LEFT] = head;
        piece.truncate(within);
        (piece.next, piece.len) = (tail, len);
        piece.children[RIGHT] = NONE;
        self.nodes.push(rest);
        self.root = tail;
        head
    }

    /// Counts the bytes of the tree that a piece is the root of.
    fn measure(&mut self, index: Index) {
        let [left, right] = self[index].children;
        let around = self[left].len + self[right].len;
        self[index].len = around + self[index].own();
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
