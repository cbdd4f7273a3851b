//! The index of one attribute.

use super::bits::Bits;
use super::prefixes::{Backward, Prefixes};
use crate::pattern::Pattern;

/// Which rules a value of one attribute leaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    /// Rules that do not ask.
    any: Bits,
    /// Rules that ask only that there is a value.
    present: Bits,
    forward: Prefixes,
    /// Suffixes, as prefixes of what is read backwards.
    backward: Prefixes,
    trivial: bool,
}

impl Column {
    pub(crate) fn add_any(&mut self, id: usize) {
        self.any.insert(id);
    }

    pub(crate) fn add(&mut self, id: usize, pattern: &Pattern) {
        match pattern {
            Pattern::Present => self.present.insert(id),
            Pattern::Exact(text) => self.add_exact(id, text),
            Pattern::Prefix(text) => self.add_prefix(id, text),
            Pattern::Suffix(text) => {
                let reversed: Vec<u8> = text.iter().rev().copied().collect();
                self.backward.add(&reversed, false, id);
            }
            // Fewer than these do not match; the rest of the template is looked at later.
            Pattern::Template(template) => self.add_prefix(id, template.prefix()),
        }
    }

    pub(crate) fn add_exact(&mut self, id: usize, text: &[u8]) {
        self.forward.add(text, true, id);
    }

    pub(crate) fn add_prefix(&mut self, id: usize, text: &[u8]) {
        self.forward.add(text, false, id);
    }

    /// To be called once, when all of `rules` are in.
    pub(crate) fn finish(&mut self, rules: usize) {
        self.trivial = self.any == Bits::first(rules);
        self.forward.finish();
        self.backward.finish();
    }

    /// Whether no rule asks.
    pub(crate) fn is_trivial(&self) -> bool {
        self.trivial
    }

    /// What matches `value`.
    pub(crate) fn left(&self, value: Option<&[u8]>) -> Bits {
        let mut left = self.any;
        if let Some(value) = value {
            left.add(&self.present);
            self.forward.each(value, |found| found.add_to(&mut left));
            self.backward
                .each(Backward(value), |found| found.add_to(&mut left));
        }
        left
    }
}
