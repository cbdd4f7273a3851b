//! Which rules may match: a set of bits per attribute, and what is in all of them.
//!
//! After T. V. Lakshman and D. Stiliadis, "High-speed policy-based packet forwarding using
//! efficient multi-dimensional range matching", SIGCOMM 1998. The index never leaves out a rule
//! that matches; whether one does is for [`Rule::check`](crate::rule::Rule::check) to say.

mod attribute;
mod bits;
mod column;
mod levels;
mod prefixes;

use self::attribute::{ADDRESS, ATTRIBUTES};
pub(crate) use self::bits::{BLOCK, Bits};
use self::column::Column;
use self::levels::Bounds;
pub(crate) use self::levels::Level;
use crate::rule::{Facts, Rule};

/// For each attribute the rules that its value leaves.
pub(crate) type Left = [Bits; ATTRIBUTES.len()];

/// The index of up to [`BLOCK`] rules.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    all: Bits,
    columns: [Column; ATTRIBUTES.len()],
    levels: Vec<Level>,
}

impl Index {
    /// The index of `rules`, of which there are at most [`BLOCK`].
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let mut columns = ATTRIBUTES.map(|_| Column::default());
        let mut bounds = Bounds::default();
        for (id, rule) in rules.iter().enumerate() {
            for (place, attribute) in ATTRIBUTES.iter().enumerate() {
                if let Some(reached) = attribute.add(&mut columns[place], id, rule) {
                    bounds.add(place, id, reached);
                }
            }
        }
        for column in &mut columns {
            column.finish(rules.len());
        }
        Self {
            all: Bits::first(rules.len()),
            columns,
            levels: bounds.levels(),
        }
    }

    /// Every rule that may match. `lean` is what an unknown truth is taken for.
    pub(crate) fn candidates(&self, facts: &Facts<'_>, lean: bool) -> Bits {
        let mut candidates = self.all;
        let mut out = [0; ADDRESS];
        for (attribute, column) in ATTRIBUTES.iter().zip(&self.columns) {
            if column.is_trivial() || (lean && attribute.is_unknown(facts)) {
                continue;
            }
            candidates.keep(&column.left(attribute.value(facts, &mut out)));
            // What is left says itself whether it matches, sooner than more columns do.
            if candidates.is_one_at_most() {
                break;
            }
        }
        candidates
    }

    /// What each attribute leaves, where an unknown truth is taken for no.
    pub(crate) fn left(&self, facts: &Facts<'_>) -> Left {
        let mut out = [0; ADDRESS];
        let mut left = [self.all; ATTRIBUTES.len()];
        for ((attribute, column), left) in ATTRIBUTES.iter().zip(&self.columns).zip(&mut left) {
            if !column.is_trivial() {
                *left = column.left(attribute.value(facts, &mut out));
            }
        }
        left
    }

    /// The rules that no attribute leaves out.
    pub(crate) fn in_all(&self, left: &Left) -> Bits {
        let mut rules = self.all;
        left.iter().for_each(|left| rules.keep(left));
        rules
    }

    /// How far rules that do not match can come, the furthest first.
    pub(crate) fn levels(&self) -> &[Level] {
        &self.levels
    }
}
