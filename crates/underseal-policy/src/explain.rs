//! A decision with the account of every rule: for people, slower than deciding.

use underseal_http::Request;

use crate::connection::Connection;
use crate::decision::{Decision, Match};
use crate::matcher::Matcher;
use crate::rule::{Checked, Facts};

/// What was decided, and what each rule said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation<'p> {
    /// The same as [`Matcher::decide`] returns.
    pub decision: Decision<'p>,
    /// The rule that came nearest, if the request is denied by default.
    pub nearest: Option<Match<'p>>,
    /// Every rule, in the order in which they are looked at: DENY, ALLOW, AUDIT.
    pub rules: Vec<RuleOutcome<'p>>,
}

/// What one rule said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleOutcome<'p> {
    /// The rule, and the attribute that was looked at last.
    pub rule: Match<'p>,
    /// Whether it matches.
    pub matches: bool,
    /// The values that the attribute may have (or must not have), as in the policy.
    pub wanted: String,
    /// The value that it has.
    pub found: String,
}

impl Matcher {
    /// Decides as [`Matcher::decide`] does, and says why.
    pub fn explain(
        &self,
        connection: &Connection<'_>,
        request: Option<&Request<'_>>,
    ) -> Explanation<'_> {
        let facts = Facts {
            connection,
            request,
        };
        let mut rules = Vec::new();
        for set in self.sets() {
            for rule in &set.rules {
                let (test, matches) = match rule.check(&facts, set.lean) {
                    Checked::Held(test) => (test, true),
                    Checked::Failed(test, _) => (Some(test), false),
                };
                rules.push(RuleOutcome {
                    rule: self.name(set, (rule, test)),
                    matches,
                    wanted: test.map_or_else(String::new, |test| test.wanted()),
                    found: test.map_or_else(String::new, |test| test.found(&facts)),
                });
            }
        }
        Explanation {
            decision: self.decide(connection, request),
            nearest: self.nearest(connection, request),
            rules,
        }
    }
}
