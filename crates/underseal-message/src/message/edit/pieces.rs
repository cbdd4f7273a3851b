//! Pieces of bytes in their order, found by position.
//!
//! A splay tree (Sleator and Tarjan, "Self-Adjusting Binary Search Trees", 1985; top-down): what
//! was looked for last is at the root, so that a program which goes through a message pays for
//! the way to the next place, and one that jumps for the logarithm of the pieces, on average over
//! its edits. A list of pieces, or one with a gap, would make a peer that decides where the places
//! are cost the square of a message.

use std::ops::{self, Range};

/// Where a piece is among the nodes.
type Index = u32;

/// No piece: a tree without one, and both ends of the list.
pub(super) const NONE: Index = 0;

const LEFT: usize = 0;
const RIGHT: usize = 1;

/// A piece, and what says where it is. None is empty.
///
/// As small as it can be: a peer decides how many there are, and what they cost is the memory that
/// is gone through.
#[derive(Debug)]
pub(super) struct Piece {
    /// Bytes of the writer that came before it, deleted ones included.
    pub(super) behind: u32,
    /// Where it starts in what was pushed, or [`WRITTEN`].
    start: u32,
    /// Bytes of its own.
    own: u32,
    /// Bytes of the tree that it is the root of.
    len: u32,
    children: [Index; 2],
    /// The pieces before and after it.
    neighbours: [Index; 2],
}

/// In the place of a start: its bytes are the writer's, from `behind` on.
const WRITTEN: u32 = u32::MAX;

/// Whose bytes they are, and which.
#[derive(Debug)]
pub(super) enum Source {
    Written(Range<usize>),
    Pushed(Range<usize>),
}

impl Piece {
    pub(super) fn source(&self) -> Source {
        let range = |start: u32| start as usize..start as usize + self.own as usize;
        match self.start {
            WRITTEN => Source::Written(range(self.behind)),
            start => Source::Pushed(range(start)),
        }
    }

    /// Where the piece behind its first `len` bytes would be: `behind` and `start`.
    fn place_behind(&self, len: u32) -> (u32, u32) {
        match self.start {
            WRITTEN => (self.behind + len, WRITTEN),
            start => (self.behind, start + len),
        }
    }
}

#[derive(Debug)]
pub(super) struct Pieces {
    /// The first one is [`NONE`].
    nodes: Vec<Piece>,
    root: Index,
    /// Pieces that were stepped over.
    #[cfg(test)]
    pub(super) steps: usize,
}

impl Pieces {
    /// Bytes that there can be at any time.
    pub(super) const MAX: usize = WRITTEN as usize - 1;

    /// A piece for each slice of the writer, of which these are the lengths: together at most
    /// [`Self::MAX`].
    pub(super) fn new(lens: impl Iterator<Item = usize>) -> Self {
        let none = Piece {
            behind: 0,
            start: WRITTEN,
            own: 0,
            len: 0,
            children: [NONE; 2],
            neighbours: [NONE; 2],
        };
        let mut pieces = Self {
            nodes: vec![none],
            root: NONE,
            #[cfg(test)]
            steps: 0,
        };
        for len in lens {
            let len = number(len);
            let written = pieces[NONE].behind;
            pieces.root = pieces.add((written, WRITTEN), len, NONE, [pieces.root, NONE]);
            pieces[NONE].behind += len;
        }
        pieces
    }

    /// Bytes in all.
    pub(super) fn len(&self) -> usize {
        self[self.root].len as usize
    }

    /// The pieces from `first` on.
    pub(super) fn iter_from(&self, first: Index) -> impl Iterator<Item = &Piece> {
        let found = move |index| Some(index).filter(|index| *index != NONE);
        let next = move |index: &Index| found(self[*index].neighbours[RIGHT]);
        std::iter::successors(found(first), next).map(|index| &self[index])
    }

    /// All pieces.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Piece> {
        self.iter_from(self[NONE].neighbours[RIGHT])
    }

    /// The piece that has byte `at`, and where in it that byte is.
    pub(super) fn find(&mut self, at: usize) -> (Index, usize) {
        let (root, within) = self.splay(self.root, number(at));
        self.root = root;
        (root, within as usize)
    }

    /// Inserts a range of what was pushed before byte `at`, or at the end.
    pub(super) fn insert(&mut self, at: usize, pushed: Range<usize>) {
        let (before, after) = self.split(self.root, number(at));
        let place = (self[after].behind, number(pushed.start));
        let inserted = self.add(place, number(pushed.len()), after, [before, NONE]);
        self.root = self.concatenate(inserted, after);
    }

    /// Removes the bytes of a range that is not empty.
    pub(super) fn remove(&mut self, range: Range<usize>) {
        let (before, removed) = self.split(self.root, number(range.start));
        let [last, _] = self[removed].neighbours;
        let after = self.skip(removed, number(range.len()));
        self.join(last, after);
        self.root = self.concatenate(before, after);
    }

    /// Puts one tree before another, whose root is its first piece: the next edit is most likely
    /// there, or close behind it.
    fn concatenate(&mut self, before: Index, after: Index) -> Index {
        if after == NONE {
            return before;
        }
        self[after].children[LEFT] = before;
        self.measure(after);
        after
    }

    /// Leaves the first `len` bytes of a tree out. The root of the rest is its first piece.
    fn skip(&mut self, tree: Index, len: u32) -> Index {
        if len >= self[tree].len {
            return NONE;
        }
        let (root, within) = self.splay(tree, len);
        let piece = &mut self[root];
        (piece.behind, piece.start) = piece.place_behind(within);
        piece.own -= within;
        piece.children[LEFT] = NONE;
        root
    }

    /// A new piece before `after` in the list.
    fn add(
        &mut self,
        (behind, start): (u32, u32),
        own: u32,
        after: Index,
        children: [Index; 2],
    ) -> Index {
        let index = number(self.nodes.len());
        let [before, _] = self[after].neighbours;
        let [left, right] = children.map(|child| self[child].len);
        self.nodes.push(Piece {
            behind,
            start,
            own,
            len: left + own + right,
            children,
            neighbours: [before, after],
        });
        self.join(before, index);
        self.join(index, after);
        index
    }

    /// Makes two pieces neighbours.
    fn join(&mut self, before: Index, after: Index) {
        self[before].neighbours[RIGHT] = after;
        self[after].neighbours[LEFT] = before;
    }

    /// Cuts a tree before byte `at`. The root of the second part is its first piece.
    fn split(&mut self, tree: Index, at: u32) -> (Index, Index) {
        if at >= self[tree].len {
            return (tree, NONE);
        }
        let (root, within) = self.splay(tree, at);
        if within > 0 {
            let tail = self.cut(root, within);
            return (root, tail);
        }
        let before = std::mem::replace(&mut self[root].children[LEFT], NONE);
        self.measure(root);
        (before, root)
    }

    /// Cuts the piece at a root; what comes behind the cut becomes a tree of its own.
    fn cut(&mut self, root: Index, within: u32) -> Index {
        let piece = &mut self[root];
        let place = piece.place_behind(within);
        let tail = piece.own - within;
        piece.own = within;
        let after = std::mem::replace(&mut piece.children[RIGHT], NONE);
        let [_, next] = piece.neighbours;
        self.measure(root);
        self.add(place, tail, next, [NONE, after])
    }

    fn measure(&mut self, index: Index) {
        let [left, right] = self[index].children;
        let around = self[left].len + self[right].len;
        self[index].len = around + self[index].own;
    }

    /// On which side of the root of `tree` byte `at` of it lies, and which byte it is there; none
    /// if it is the root's own, or lies past the end.
    fn side(&self, tree: Index, at: u32) -> Option<(usize, u32)> {
        let root = &self[tree];
        let left = self[root.children[LEFT]].len;
        let own = left + root.own;
        match at {
            _ if at < left => Some((LEFT, at)),
            _ if at < own || root.children[RIGHT] == NONE => None,
            _ => Some((RIGHT, at - own)),
        }
    }

    /// Brings the piece that has byte `at` to the root of `tree`; the last one, if none has.
    /// Returns that root, and where in it the byte is.
    fn splay(&mut self, tree: Index, mut at: u32) -> (Index, u32) {
        let mut root = tree;
        let mut sides = Sides::default();
        let mut way = self.side(root, at);
        if way.is_none() {
            let [left, _] = self[root].children;
            return (root, at - self[left].len);
        }
        while let Some((side, at_child)) = way {
            let child = self[root].children[side];
            (way, at) = (self.side(child, at_child), at_child);
            if let Some((_, at_grandchild)) = way.filter(|(then, _)| *then == side) {
                self.rotate(root, side);
                root = child;
                at = at_grandchild;
                way = self.side(self[child].children[side], at);
            }
            root = self.set_aside(&mut sides, root, side);
        }
        let [left, _] = self[root].children;
        let within = at - self[left].len;
        self.assemble(&sides, root);
        (root, within)
    }

    /// Puts the child on `side` in the place of its parent.
    fn rotate(&mut self, root: Index, side: usize) {
        let child = self[root].children[side];
        self[root].children[side] = self[child].children[1 - side];
        self[child].children[1 - side] = root;
        self.measure(root);
    }

    /// Leaves a root behind for its child on `side`; it lies on the other side of what is looked
    /// for.
    fn set_aside(&mut self, sides: &mut Sides, root: Index, side: usize) -> Index {
        #[cfg(test)]
        {
            self.steps += 1;
        }
        let other = 1 - side;
        let beyond = self[root].children[other];
        sides.lens[other] += self[beyond].len + self[root].own;
        match std::mem::replace(&mut sides.ends[other], root) {
            NONE => sides.roots[other] = root,
            end => self[end].children[side] = root,
        }
        self[root].children[side]
    }

    /// Makes what was set aside the children of `root`.
    fn assemble(&mut self, sides: &Sides, root: Index) {
        for side in [LEFT, RIGHT] {
            let child = self[root].children[side];
            let mut len = sides.lens[side] + self[child].len;
            if sides.ends[side] == NONE {
                continue;
            }
            self[sides.ends[side]].children[1 - side] = NONE;
            let mut index = sides.roots[side];
            while index != NONE {
                self[index].len = len;
                let beyond = self[index].children[side];
                len -= self[beyond].len + self[index].own;
                index = self[index].children[1 - side];
            }
            self[sides.ends[side]].children[1 - side] = child;
            self[root].children[side] = sides.roots[side];
        }
        self.measure(root);
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

/// Two trees of what lies left and right of a piece that is looked for.
#[derive(Default)]
struct Sides {
    roots: [Index; 2],
    /// The piece of each that is nearest to the one looked for.
    ends: [Index; 2],
    lens: [u32; 2],
}

/// A number that is no greater than [`Pieces::MAX`], for which the owner of the pieces cares.
fn number(n: usize) -> u32 {
    u32::try_from(n).expect("pieces have no more than MAX bytes")
}
