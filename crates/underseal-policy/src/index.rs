//! Which rules may match: a set of bits per attribute, and what is in all of them.
//!
//! After T. V. Lakshman and D. Stiliadis, "High-speed policy-based packet forwarding using
//! efficient multi-dimensional range matching", SIGCOMM 1998. The index never leaves out a rule
//! that matches; whether one does is for [`Rule::check`](crate::rule::Rule::check) to say.

mod bits;
mod column;
mod levels;
mod prefixes;

pub(crate) use self::bits::{BLOCK, Bits};
use self::column::Column;
use self::levels::Bounds;
pub(crate) use self::levels::Level;
use crate::rule::{Clause, Facts, Reached, Rule, Subject, Test, Values};

/// What a column is of.
#[derive(Clone, Copy, Debug)]
enum Attribute {
    Text(&'static Subject),
    Port,
}

/// The attributes that are indexed, those that tell most rules apart first.
const ATTRIBUTES: [Attribute; 6] = [
    Attribute::Text(&Subject::Path),
    Attribute::Text(&Subject::SourcePrincipal),
    Attribute::Text(&Subject::SourceNamespace),
    Attribute::Text(&Subject::Host),
    Attribute::Text(&Subject::Method),
    Attribute::Port,
];

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
                let furthest = add(&mut columns[place], id, *attribute, rule);
                if let Some(reached) = furthest {
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
        let port = facts.connection.port.to_be_bytes();
        for (attribute, column) in ATTRIBUTES.iter().zip(&self.columns) {
            if column.is_trivial() || (lean && attribute.is_unknown(facts)) {
                continue;
            }
            candidates.keep(&column.left(attribute.value(facts, &port)));
            if candidates.is_empty() {
                break;
            }
        }
        candidates
    }

    /// What each attribute leaves, where an unknown truth is taken for no.
    pub(crate) fn left(&self, facts: &Facts<'_>) -> Left {
        let port = facts.connection.port.to_be_bytes();
        let mut left = [self.all; ATTRIBUTES.len()];
        for ((attribute, column), left) in ATTRIBUTES.iter().zip(&self.columns).zip(&mut left) {
            if !column.is_trivial() {
                *left = column.left(attribute.value(facts, &port));
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

impl Attribute {
    fn value<'a>(self, facts: &Facts<'a>, port: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Self::Text(subject) => subject.text(facts),
            Self::Port => Some(port),
        }
    }

    fn is_unknown(self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Text(subject) => subject.is_unknown(facts),
            Self::Port => false,
        }
    }

    /// The part of a rule that asks for it, and how many parts come before.
    fn part(self, rule: &Rule) -> (usize, &[Clause]) {
        match self {
            Self::Text(Subject::SourcePrincipal | Subject::SourceNamespace) => (0, &rule.from),
            Self::Text(_) | Self::Port => (1, &rule.to),
        }
    }

    fn is_asked_by(self, test: &Test) -> bool {
        let same = match (&test.values, self) {
            (Values::Texts(found, _), Self::Text(subject)) => found == subject,
            (Values::Ports(_), Self::Port) => true,
            _ => false,
        };
        same && !test.negated
    }
}

/// Adds the rule to the column of `attribute`, and says how far it can come at most if the column
/// leaves it out: to the test that asks, in the alternative where that stands last.
fn add(column: &mut Column, id: usize, attribute: Attribute, rule: &Rule) -> Option<Reached> {
    let (part, clauses) = attribute.part(rule);
    let asks = |clause: &Clause| {
        let mut tests = clause.tests.iter();
        tests.position(|test| attribute.is_asked_by(test))
    };
    // An alternative that does not ask for it makes the rule one that may match any.
    let asked: Option<Vec<_>> = clauses.iter().map(asks).collect();
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
        column.add_any(id);
        return None;
    };
    for (clause, place) in clauses.iter().zip(&asked) {
        match &clause.tests[*place].values {
            Values::Texts(_, patterns) => {
                patterns.iter().for_each(|pattern| column.add(id, pattern));
            }
            Values::Ports(ports) => {
                let ports = ports.iter();
                ports.for_each(|port| column.add_exact(id, &port.to_be_bytes()));
            }
            Values::SourceBlocks(_) | Values::DestinationBlocks(_) => {}
        }
    }
    asked.into_iter().max().map(|held| (part, held))
}
