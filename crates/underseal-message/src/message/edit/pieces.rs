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
#[derive(Debug)]
pub(super) struct Piece<'a> {
    pub(super) source: Source<'a>,
    /// Bytes of the writer that came before it, deleted ones included.
    pub(super) behind: usize,
    /// Bytes of the tree that it is the root of.
    len: usize,
    children: [Index; 2],
    /// The pieces before and after it.
    neighbours: [Index; 2],
}

/// Whose bytes they are.
#[derive(Clone, Debug)]
pub(super) enum Source<'a> {
    Written(&'a [u8]),
    /// A range of what was pushed.
    Pushed(Range<u32>),
}

impl Source<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Written(bytes) => bytes.len(),
            Self::Pushed(range) => (range.end - range.start) as usize,
        }
    }

    /// Leaves the first `len` bytes, and returns the rest.
    fn split_off(&mut self, len: usize) -> Self {
        match self {
            Self::Written(bytes) => {
                let (head, tail) = bytes.split_at(len);
                *bytes = head;
                Self::Written(tail)
            }
            Self::Pushed(range) => {
                let len = u32::try_from(len).expect("the cut lies in the range");
                let tail = range.start + len..range.end;
                range.end = tail.start;
                Self::Pushed(tail)
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Pieces<'a> {
    /// The first one is [`NONE`].
    nodes: Vec<Piece<'a>>,
    root: Index,
    /// Pieces that were stepped over.
    #[cfg(test)]
    pub(super) steps: usize,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(slices: impl Iterator<Item = &'a [u8]>) -> Self {
        let none = Piece {
            source: Source::Written(&[]),
            behind: 0,
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
        for slice in slices {
            pieces.insert(pieces.len(), Source::Written(slice));
            pieces[NONE].behind += slice.len();
        }
        pieces
    }

    /// Bytes in all.
    pub(super) fn len(&self) -> usize {
        self[self.root].len
    }

    /// The pieces from `first` on.
    pub(super) fn iter_from(&self, first: Index) -> impl Iterator<Item = &Piece<'a>> {
        let found = move |index| Some(index).filter(|index| *index != NONE);
        let next = move |index: &Index| found(self[*index].neighbours[RIGHT]);
        std::iter::successors(found(first), next).map(|index| &self[index])
    }

    /// All pieces.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Piece<'a>> {
        self.iter_from(self[NONE].neighbours[RIGHT])
    }

    /// The piece that has byte `at`, and where in it that byte is.
    pub(super) fn find(&mut self, at: usize) -> (Index, usize) {
        let (root, within) = self.splay(self.root, at);
        self.root = root;
        (root, within)
    }

    /// Inserts a piece before byte `at`, or at the end.
    pub(super) fn insert(&mut self, at: usize, source: Source<'a>) {
        let (before, after) = self.split(self.root, at);
        let inserted = self.add(source, self[after].behind, after, [before, NONE]);
        self.root = self.concatenate(inserted, after);
    }

    /// Removes the bytes of a range that is not empty.
    pub(super) fn remove(&mut self, range: Range<usize>) {
        let (before, removed) = self.split(self.root, range.start);
        let [last, _] = self[removed].neighbours;
        let after = self.skip(removed, range.len());
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
    fn skip(&mut self, tree: Index, len: usize) -> Index {
        if len >= self[tree].len {
            return NONE;
        }
        let (root, within) = self.splay(tree, len);
        let piece = &mut self[root];
        let rest = piece.source.split_off(within);
        if let Source::Written(_) = std::mem::replace(&mut piece.source, rest) {
            piece.behind += within;
        }
        piece.children[LEFT] = NONE;
        root
    }

    /// A new piece before `after` in the list.
    fn add(
        &mut self,
        source: Source<'a>,
        behind: usize,
        after: Index,
        children: [Index; 2],
    ) -> Index {
        let index = self.nodes.len();
        let index = Index::try_from(index).expect("memory ends before this number does");
        let [before, _] = self[after].neighbours;
        self.nodes.push(Piece {
            source,
            behind,
            len: 0,
            children,
            neighbours: [before, after],
        });
        self.join(before, index);
        self.join(index, after);
        self.measure(index);
        index
    }

    /// Makes two pieces neighbours.
    fn join(&mut self, before: Index, after: Index) {
        self[before].neighbours[RIGHT] = after;
        self[after].neighbours[LEFT] = before;
    }

    /// Cuts a tree before byte `at`. The root of the second part is its first piece.
    fn split(&mut self, tree: Index, at: usize) -> (Index, Index) {
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
    fn cut(&mut self, root: Index, within: usize) -> Index {
        let piece = &mut self[root];
        let tail = piece.source.split_off(within);
        let behind = match tail {
            Source::Written(_) => piece.behind + within,
            Source::Pushed(_) => piece.behind,
        };
        let after = std::mem::replace(&mut piece.children[RIGHT], NONE);
        let [_, next] = piece.neighbours;
        self.measure(root);
        self.add(tail, behind, next, [NONE, after])
    }

    fn measure(&mut self, index: Index) {
        let [left, right] = self[index].children;
        let around = self[left].len + self[right].len;
        self[index].len = around + self[index].source.len();
    }

    /// On which side of the root of `tree` byte `at` of it lies, and which byte it is there; none
    /// if it is the root's own, or lies past the end.
    fn side(&self, tree: Index, at: usize) -> Option<(usize, usize)> {
        let root = &self[tree];
        let left = self[root.children[LEFT]].len;
        let own = left + root.source.len();
        match at {
            _ if at < left => Some((LEFT, at)),
            _ if at < own || root.children[RIGHT] == NONE => None,
            _ => Some((RIGHT, at - own)),
        }
    }

    /// Brings the piece that has byte `at` to the root of `tree`; the last one, if none has.
    /// Returns that root, and where in it the byte is.
    fn splay(&mut self, tree: Index, mut at: usize) -> (Index, usize) {
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
        sides.lens[other] += self[beyond].len + self[root].source.len();
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
                len -= self[beyond].len + self[index].source.len();
                index = self[index].children[1 - side];
            }
            self[sides.ends[side]].children[1 - side] = child;
            self[root].children[side] = sides.roots[side];
        }
        self.measure(root);
    }
}

impl<'a> ops::Index<Index> for Pieces<'a> {
    type Output = Piece<'a>;

    fn index(&self, index: Index) -> &Piece<'a> {
        &self.nodes[index as usize]
    }
}

impl ops::IndexMut<Index> for Pieces<'_> {
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
    lens: [usize; 2],
}
