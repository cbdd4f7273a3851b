//! How far rules come that an attribute leaves out.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::attribute::ATTRIBUTES;
use super::{Bits, Left};
use crate::rule::Reached;

/// Rules that come this far even if an attribute leaves them out, for each attribute.
type Sets = [Bits; ATTRIBUTES.len()];

/// How far rules come at most: to the test of the attribute that leaves them out. Gathered while
/// an index is built.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds(BTreeMap<Reverse<Reached>, Sets>);

impl Bounds {
    /// Rule `id` comes no further than `reached` if the attribute at `place` leaves it out.
    pub(super) fn add(&mut self, place: usize, id: usize, reached: Reached) {
        self.0.entry(Reverse(reached)).or_default()[place].insert(id);
    }

    /// The furthest first.
    pub(super) fn levels(self) -> Vec<Level> {
        let mut sets = Sets::default();
        let levels = self.0.into_iter().map(|(Reverse(reached), added)| {
            for (set, added) in sets.iter_mut().zip(&added) {
                set.add(added);
            }
            Level { reached, sets }
        });
        levels.collect()
    }
}

/// One of the places up to which a rule can come that does not match.
#[derive(Clone, Debug)]
pub(crate) struct Level {
    /// What is reached there.
    pub(crate) reached: Reached,
    sets: Sets,
}

impl Level {
    /// Every rule that may come this far, or match, where the attributes leave `left`.
    pub(crate) fn may_reach(&self, left: &Left) -> Bits {
        let mut rules = Bits::FULL;
        for (left, set) in left.iter().zip(&self.sets) {
            let mut either = *left;
            either.add(set);
            rules.keep(&either);
        }
        rules
    }
}
