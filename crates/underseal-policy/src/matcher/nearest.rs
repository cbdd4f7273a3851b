//! Which rule came nearest, without trying all of them.

use super::RuleSet;
use crate::index::{BLOCK, Bits, Index};
use crate::rule::{Checked, Facts, Reached, Rule, Test};

impl RuleSet {
    /// The rule that came furthest, the first of several, and the test at which it failed. `None` if
    /// one matches.
    pub(super) fn nearest(&self, facts: &Facts<'_>) -> Option<(&Rule, &Test)> {
        let mut search = Search {
            rules: &self.rules,
            facts,
            nearest: None,
        };
        for (block, index) in self.indexes.iter().enumerate() {
            search.block(block * BLOCK, index).ok()?;
        }
        let nearest = search.nearest?;
        Some((&self.rules[nearest.place], nearest.test))
    }
}

/// A rule matches after all.
struct Matches;

struct Nearest<'p> {
    reached: Reached,
    place: usize,
    test: &'p Test,
}

struct Search<'p, 'a> {
    rules: &'p [Rule],
    facts: &'a Facts<'a>,
    nearest: Option<Nearest<'p>>,
}

impl Search<'_, '_> {
    /// Searches the block whose rules begin at `first`.
    fn block(&mut self, first: usize, index: &Index) -> Result<(), Matches> {
        let left = index.left(self.facts);
        // Rules that no attribute leaves out: only they can match.
        let mut tried = index.in_all(&left);
        for id in tried.iter() {
            self.try_rule(first + id)?;
        }
        for level in index.levels() {
            if !self.may_gain(level.reached, first) {
                break;
            }
            let mut untried = level.may_reach(&left);
            untried.remove(&tried);
            self.level(level.reached, first, &untried)?;
            tried.add(&untried);
        }
        Ok(())
    }

    /// Tries rules that can come as far as `reached`, until one does.
    fn level(&mut self, reached: Reached, first: usize, rules: &Bits) -> Result<(), Matches> {
        for id in rules.iter() {
            if !self.may_gain(reached, first + id) {
                break;
            }
            self.try_rule(first + id)?;
        }
        Ok(())
    }

    /// Whether a rule at `place` or behind it would be nearer, if it came as far as `reached`.
    fn may_gain(&self, reached: Reached, place: usize) -> bool {
        self.nearest.as_ref().is_none_or(|nearest| {
            reached > nearest.reached || (reached == nearest.reached && place < nearest.place)
        })
    }

    fn try_rule(&mut self, place: usize) -> Result<(), Matches> {
        // What is nobody's knowledge fulfils no rule that allows.
        match self.rules[place].check(self.facts, false) {
            Checked::Held(_) => Err(Matches),
            Checked::Failed(test, reached) => {
                if self.may_gain(reached, place) {
                    self.nearest = Some(Nearest {
                        reached,
                        place,
                        test,
                    });
                }
                Ok(())
            }
        }
    }
}
