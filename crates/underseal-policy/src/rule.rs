//! A rule, compiled: what it asks, in the order in which it is looked at.

mod compile;
mod test;

pub(crate) use self::compile::compile;
pub(crate) use self::test::{Facts, Subject, Test, Truth, Values};

/// Tests that must all hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clause {
    pub(crate) tests: Vec<Test>,
}

/// A rule of a policy.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// The policy's place among those that were compiled together.
    pub(crate) policy: usize,
    /// The rule's place in its policy.
    pub(crate) index: usize,
    /// One of them must hold, if there are any.
    pub(crate) from: Vec<Clause>,
    /// One of them must hold, if there are any.
    pub(crate) to: Vec<Clause>,
    pub(crate) when: Clause,
}

/// How far a rule came that does not match: how many parts of it (from, to, when) held, and how many
/// tests of the part that did not.
pub(crate) type Reached = (usize, usize);

/// What came of a rule.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Checked<'p> {
    /// It holds; the last test that was looked at, if it has any.
    Held(Option<&'p Test>),
    /// It does not: the test that failed, and what held before it. Of several alternatives, the one
    /// that came furthest.
    Failed(&'p Test, Reached),
}

impl Rule {
    /// Tries the rule. `lean` is what an unknown truth is taken for.
    pub(crate) fn check(&self, facts: &Facts<'_>, lean: bool) -> Checked<'_> {
        let mut last = None;
        for (part, clauses) in [&*self.from, &*self.to, std::slice::from_ref(&self.when)]
            .into_iter()
            .enumerate()
        {
            match one_of(clauses, facts, lean) {
                Ok(test) => last = test.or(last),
                Err((test, held)) => return Checked::Failed(test, (part, held)),
            }
        }
        Checked::Held(last)
    }
}

/// The last test of the first clause that holds, or the one failed test that came furthest.
fn one_of<'p>(
    clauses: &'p [Clause],
    facts: &Facts<'_>,
    lean: bool,
) -> Result<Option<&'p Test>, (&'p Test, usize)> {
    let mut furthest: Option<(&Test, usize)> = None;
    for clause in clauses {
        let failed = clause.tests.iter().position(|test| {
            !(match test.truth(facts) {
                Truth::Yes => true,
                Truth::No => false,
                Truth::Unknown => lean,
            })
        });
        match failed {
            None => return Ok(clause.tests.last()),
            Some(held) if furthest.is_none_or(|(_, most)| held > most) => {
                furthest = Some((&clause.tests[held], held));
            }
            Some(_) => {}
        }
    }
    furthest.map_or(Ok(None), Err)
}
