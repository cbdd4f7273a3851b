//! Finds a piece by position, and makes it the root.
//!
//! Top-down splaying (Sleator and Tarjan, "Self-Adjusting Binary Search Trees", 1985).

use super::{Index, LEFT, NONE, Pieces, RIGHT};

/// Where a byte of a tree is.
pub(super) enum Place {
    /// In the piece at the root, behind so many of its bytes.
    Root(u32),
    /// In the tree of this child, behind so many of its bytes.
    Child(usize, u32),
}

impl Pieces {
    /// Where byte `at` of a tree is. What lies past the end is in the last piece.
    pub(super) fn place(&self, tree: Index, at: u32) -> Place {
        let root = &self[tree];
        let [left, right] = root.children;
        let left = self[left].len;
        let own = left + root.own();
        match at {
            _ if at < left => Place::Child(LEFT, at),
            _ if at < own || right == NONE => Place::Root(at - left),
            _ => Place::Child(RIGHT, at - own),
        }
    }

    /// Brings the piece that has byte `at` to the root of `tree`; past the end, the last one.
    /// Returns that root, and where in it the byte is.
    pub(super) fn splay(&mut self, tree: Index, at: u32) -> (Index, u32) {
        let mut root = tree;
        let mut sides = Sides::default();
        let mut place = self.place(root, at);
        let within = loop {
            let (side, at) = match place {
                Place::Root(within) => break within,
                Place::Child(side, at) => (side, at),
            };
            let child = self[root].children[side];
            place = self.place(child, at);
            if let Place::Child(then, at) = place
                && then == side
            {
                self.rotate(root, side);
                root = child;
                place = self.place(self[child].children[side], at);
            }
            root = self.set_aside(&mut sides, root, side);
        };
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
        sides.lens[other] += self[beyond].len + self[root].own();
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
                len -= self[beyond].len + self[index].own();
                index = self[index].children[1 - side];
            }
            self[sides.ends[side]].children[1 - side] = child;
            self[root].children[side] = sides.roots[side];
        }
        self.measure(root);
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
