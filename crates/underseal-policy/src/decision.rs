//! What is decided, and by what.

use crate::model::Action;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It goes on.
    Allow,
    /// It does not.
    Deny,
}

impl Verdict {
    /// `allow` or `deny`, as logs say it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// A rule, and the attribute of a request at which it was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match<'p> {
    /// The policy's name.
    pub policy: &'p str,
    /// What the policy does.
    pub action: Action,
    /// The rule's place in the policy, from zero.
    pub rule: usize,
    /// The key that was looked at last, such as `operation.paths` or `request.headers[x-env]`:
    /// the one by which a rule that matches came to match, or the one that failed. `None` if the
    /// rule asks for nothing.
    pub attribute: Option<&'p str>,
}

/// Why it was decided so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason<'p> {
    /// A rule matched: of a DENY policy, or of an ALLOW policy.
    Rule(Match<'p>),
    /// There is an ALLOW policy, and no rule of any matched.
    /// [`Matcher::nearest`](crate::Matcher::nearest) says which came nearest.
    Default,
    /// No ALLOW policy is for this workload, and no rule of a DENY policy matched.
    NoPolicy,
}

/// A decision. It borrows from the policies, not from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'p> {
    /// What becomes of the request.
    pub verdict: Verdict,
    /// By what.
    pub reason: Reason<'p>,
    /// The first rule of an AUDIT policy that matched; it decides nothing.
    pub audit: Option<Match<'p>>,
}
