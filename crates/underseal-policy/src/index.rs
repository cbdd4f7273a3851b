//! Which rules may match: a set of bits per attribute, and what is in all of them.
//!
//! After T. V. Lakshman and D. Stiliadis, "High-speed policy-based packet forwarding using
//! efficient multi-dimensional range matching", SIGCOMM 1998. The index never leaves out a rule
//! that matches; whether one does is for [`Rule::check`](crate::rule::Rule::check) to say.

mod bits;
mod column;
mod prefixes;

pub(crate) use self::bits::{BLOCK, Bits};
use self::column::Column;
use crate::rule::{Clause, Facts, Rule, Subject, Values};

/// The attributes that are indexed, those that tell most rules apart first.
const SUBJECTS: [Subject; 4] = [
    Subject::Path,
    Subject::SourcePrincipal,
    Subject::Host,
    Subject::Method,
];

/// The index of up to [`BLOCK`] rules.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    all: Bits,
    texts: [Column; SUBJECTS.len()],
    ports: Column,
}

impl Index {
    /// The index of `rules`, of which there are at most [`BLOCK`].
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let mut index = Self {
            all: Bits::first(rules.len()),
            texts: SUBJECTS.map(|_| Column::default()),
            ports: Column::default(),
        };
        for (id, rule) in rules.iter().enumerate() {
            for (subject, column) in SUBJECTS.iter().zip(&mut index.texts) {
                index_texts(column, id, subject, rule);
            }
            index_ports(&mut index.ports, id, rule);
        }
        for column in index.texts.iter_mut().chain([&mut index.ports]) {
            column.finish(rules.len());
        }
        index
    }

    /// Every rule that may match. `lean` is what an unknown truth is taken for.
    pub(crate) fn candidates(&self, facts: &Facts<'_>, lean: bool) -> Bits {
        let mut candidates = self.all;
        for (subject, column) in SUBJECTS.iter().zip(&self.texts) {
            if column.is_trivial() || (lean && subject.is_unknown(facts)) {
                continue;
            }
            column.narrow(subject.text(facts), &mut candidates);
            if candidates.is_empty() {
                return candidates;
            }
        }
        if !self.ports.is_trivial() {
            let port = facts.connection.port.to_be_bytes();
            self.ports.narrow(Some(&port), &mut candidates);
        }
        candidates
    }
}

fn index_texts(column: &mut Column, id: usize, subject: &Subject, rule: &Rule) {
    let clauses = match subject {
        Subject::SourcePrincipal => &rule.from,
        _ => &rule.to,
    };
    let patterns = |clause: &Clause| {
        clause.tests.iter().find_map(|test| match &test.values {
            Values::Texts(found, patterns) if !test.negated && found == subject => {
                Some(patterns.clone())
            }
            _ => None,
        })
    };
    // An alternative that does not ask for it makes the rule one that may match any.
    let asked: Option<Vec<_>> = clauses.iter().map(patterns).collect();
    match asked.filter(|asked| !asked.is_empty()) {
        Some(asked) => asked
            .iter()
            .flatten()
            .for_each(|pattern| column.add(id, pattern)),
        None => column.add_any(id),
    }
}

fn index_ports(column: &mut Column, id: usize, rule: &Rule) {
    let ports = |clause: &Clause| {
        clause.tests.iter().find_map(|test| match &test.values {
            Values::Ports(ports) if !test.negated => Some(ports.clone()),
            _ => None,
        })
    };
    let asked: Option<Vec<_>> = rule.to.iter().map(ports).collect();
    match asked.filter(|asked| !asked.is_empty()) {
        Some(asked) => {
            for port in asked.iter().flatten() {
                column.add_exact(id, &port.to_be_bytes());
            }
        }
        None => column.add_any(id),
    }
}
