//! Finds a piece by position, and makes it the root.
//!
//! Top-down splaying (Sleator and Tarjan, "Self-Adjusting Binary Search Trees", 1985).

use super::{Index, LEFT, NONE, Pieces, RIGHT};

/// Where a byte of a tree is.
pub(super) enum Position {
    /// In the piece at the root, behind so many of its bytes.
    Root(u32),
    /// In the tree of this child, behind so many of its bytes.
    Child(usize, u32),
}

impl Pieces {
    /// Where byte `at` of a tree is. What lies past the end is in the last piece.
    pub(super) fn place(&self, tree: Index, at: u32) -> Position {
        let root = &self[tree];
        let end = root.end();
        match at {
            _ if at < root.left_len => Position::Child(LEFT, at),
            _ if at < end || root.children[RIGHT] == NONE => Position::Root(at - root.left_len),
            _ => Position::Child(RIGHT, at - end),
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
                Position::Root(within) => break within,
                Position::Child(side, at) => (side, at),
            };
            let child = self[root].children[side];
            place = self.place(child, at);
            if let Position::Child(then, at) = place
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
        match side {
            LEFT => self[root].left_len -= self[child].end(),
            _ => self[child].left_len += self[root].end(),
        }
    }

    /// Leaves a root behind for its child on `side`; it lies on the other side of what is looked
    /// for.
    fn set_aside(&mut self, sides: &mut Sides, root: Index, side: usize) -> Index {
        #[cfg(test)]
        {
            self.steps += 1;
        }
        match side {
            // Until the end is known of what is looked for: all that is before it.
            LEFT => self[root].left_len += sides.left_len,
            _ => sides.left_len += self[root].end(),
        }
        let other = 1 - side;
        match std::mem::replace(&mut sides.ends[other], root) {
            NONE => sides.roots[other] = root,
            end => self[end].children[side] = root,
        }
        self[root].children[side]
    }

    /// Makes what was set aside the children of `root`.
    fn assemble(&mut self, sides: &Sides, root: Index) {
        self[root].left_len += sides.left_len;
        for side in [LEFT, RIGHT] {
            if sides.ends[side] != NONE {
                let child = std::mem::replace(&mut self[root].children[side], sides.roots[side]);
                self[sides.ends[side]].children[1 - side] = child;
            }
        }
        let end = self[root].end();
        let (mut index, last) = (sides.roots[RIGHT], sides.ends[RIGHT]);
        while index != NONE {
            self[index].left_len -= end;
            index = match index == last {
                true => NONE,
                false => self[index].children[LEFT],
            };
        }
    }
}

/// Two trees of what lies left and right of a piece that is looked for.
#[derive(Default)]
struct Sides {
    roots: [Index; 2],
    /// The piece of each that is nearest to the one looked for.
    ends: [Index; 2],
    /// Bytes of the left one.
    left_len: u32,
}
