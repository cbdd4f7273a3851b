//! Policies, compiled for one workload and one direction.

mod nearest;

use std::collections::BTreeMap;

use underseal_http::Request;

use crate::asked::Asked;
use crate::connection::Connection;
use crate::decision::{Decision, Match, Reason, Verdict};
use crate::index::{BLOCK, Index};
use crate::model::{
    Action, AuthorizationPolicy, RequestAuthentication, Selector, TrafficDirection,
};
use crate::rule::{self, Checked, Facts, Rule};
use crate::validate::{Fault, WithoutHttp, faults};

/// The labels of a workload.
pub type Labels = BTreeMap<String, String>;

/// Whether `policy` judges what the workload with `labels` receives or sends.
pub fn applies(policy: &AuthorizationPolicy, labels: &Labels, direction: TrafficDirection) -> bool {
    selects(policy.spec.selector.as_ref(), labels) && policy.spec.direction == direction
}

fn selects(selector: Option<&Selector>, labels: &Labels) -> bool {
    selector.is_none_or(|selector| {
        let mut wanted = selector.match_labels.iter();
        wanted.all(|(label, value)| labels.get(label) == Some(value))
    })
}

impl RequestAuthentication {
    /// Whether the workload with `labels` believes its tokens.
    pub fn applies(&self, labels: &Labels) -> bool {
        selects(self.spec.selector.as_ref(), labels)
    }
}

/// The policies for one workload and direction. Compiled once, then shared: deciding takes no
/// lock and allocates nothing.
///
/// ```
/// use underseal_policy::model::TrafficDirection;
/// use underseal_policy::{Connection, Fact, Labels, Matcher, PolicyFile, Verdict, load};
///
/// let text = "
/// apiVersion: underseal/v1alpha1
/// kind: AuthorizationPolicy
/// metadata: { name: web-only }
/// spec:
///   rules: [{ from: [{ source: { principals: ['spiffe://corp/ns/shop/sa/web'] } }] }]
/// ";
/// let policies = load(&[PolicyFile { name: "p.yaml", text }], &[]).expect("a policy");
/// let matcher = Matcher::new(&policies, &Labels::new(), TrafficDirection::Ingress).expect("valid");
///
/// let mut connection = Connection { port: 5432, ..Connection::default() };
/// assert_eq!(matcher.decide(&connection, None).verdict, Verdict::Deny);
/// connection.source.principal = Fact::Is("spiffe://corp/ns/shop/sa/web");
/// assert_eq!(matcher.decide(&connection, None).verdict, Verdict::Allow);
/// ```
#[derive(Clone, Debug)]
pub struct Matcher {
    names: Vec<Box<str>>,
    deny: RuleSet,
    allow: RuleSet,
    audit: RuleSet,
    /// Whether any ALLOW policy is there, be it one without rules.
    default_deny: bool,
    asked: Asked,
}

impl Matcher {
    /// Compiles those of `policies` that are for a workload with `labels`.
    ///
    /// # Errors
    /// What is wrong with a policy that was not made by [`load`](crate::load()), even if it is for
    /// another workload.
    pub fn new(
        policies: &[AuthorizationPolicy],
        labels: &Labels,
        direction: TrafficDirection,
    ) -> Result<Self, Vec<Fault>> {
        let faults: Vec<_> = policies
            .iter()
            .flat_map(|policy| faults(policy, WithoutHttp::NOWHERE))
            .collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut compiled = Self {
            names: Vec::new(),
            deny: RuleSet::new(Action::Deny),
            allow: RuleSet::new(Action::Allow),
            audit: RuleSet::new(Action::Audit),
            default_deny: false,
            asked: Asked::default(),
        };
        for policy in policies {
            if applies(policy, labels, direction) {
                compiled.add(policy).map_err(|fault| vec![fault])?;
            }
        }
        for set in [&mut compiled.deny, &mut compiled.allow, &mut compiled.audit] {
            set.index();
        }
        Ok(compiled)
    }

    fn add(&mut self, policy: &AuthorizationPolicy) -> Result<(), Fault> {
        let place = self.names.len();
        self.names.push(policy.metadata.name.as_str().into());
        self.asked.note(policy);
        let set = match policy.spec.action {
            Action::Deny => &mut self.deny,
            Action::Audit => &mut self.audit,
            Action::Allow => {
                self.default_deny = true;
                &mut self.allow
            }
        };
        for (index, rule) in policy.spec.rules.iter().enumerate() {
            let compiled = rule::compile(place, index, rule);
            let compiled =
                compiled.map_err(|message| Fault::new(format!("spec.rules[{index}]"), message))?;
            set.rules.push(compiled);
        }
        Ok(())
    }

    /// Decides on a request, or on a connection that does not speak HTTP, for which `request` is
    /// `None`. What a rule asks for and nobody knows is decided against the request.
    pub fn decide(
        &self,
        connection: &Connection<'_>,
        request: Option<&Request<'_>>,
    ) -> Decision<'_> {
        let facts = Facts {
            connection,
            request,
        };
        let audit = self
            .audit
            .first(&facts)
            .map(|found| self.name(&self.audit, found));
        let (verdict, reason) = if let Some(found) = self.deny.first(&facts) {
            (Verdict::Deny, Reason::Rule(self.name(&self.deny, found)))
        } else if !self.default_deny {
            (Verdict::Allow, Reason::NoPolicy)
        } else if let Some(found) = self.allow.first(&facts) {
            (Verdict::Allow, Reason::Rule(self.name(&self.allow, found)))
        } else {
            (Verdict::Deny, Reason::Default)
        };
        Decision {
            verdict,
            reason,
            audit,
        }
    }

    /// Of the rules that would allow the request, the one that came nearest and the attribute at
    /// which it failed: first by parts of a rule (`from`, `to`, `when`), then by keys, then the
    /// first. `None` if a rule matches or there is none.
    ///
    /// Costs about as much as deciding: the index says how far rules can come at most, and those that
    /// can come furthest are tried first. Where they fail by what is not indexed (`not…` keys, `when`,
    /// the end of a template), others are tried too, each rule once at the most.
    pub fn nearest(
        &self,
        connection: &Connection<'_>,
        request: Option<&Request<'_>>,
    ) -> Option<Match<'_>> {
        let facts = Facts {
            connection,
            request,
        };
        let (rule, test) = self.allow.nearest(&facts)?;
        Some(self.name(&self.allow, (rule, Some(test))))
    }

    /// What the policies ask of requests.
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// The names of the policies that were compiled, in their order.
    pub fn policies(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    pub(crate) fn sets(&self) -> [&RuleSet; 3] {
        [&self.deny, &self.allow, &self.audit]
    }

    pub(crate) fn name<'p>(
        &'p self,
        set: &RuleSet,
        (rule, test): (&'p Rule, Option<&'p rule::Test>),
    ) -> Match<'p> {
        Match {
            policy: &self.names[rule.policy],
            action: set.action,
            rule: rule.index,
            attribute: test.map(|test| &*test.attribute),
        }
    }
}

/// All rules of one action.
#[derive(Clone, Debug)]
pub(crate) struct RuleSet {
    pub(crate) action: Action,
    /// What an unknown truth is taken for.
    pub(crate) lean: bool,
    pub(crate) rules: Vec<Rule>,
    /// One for each [`BLOCK`] of them.
    indexes: Vec<Index>,
}

impl RuleSet {
    fn new(action: Action) -> Self {
        Self {
            action,
            lean: action != Action::Allow,
            rules: Vec::new(),
            indexes: Vec::new(),
        }
    }

    fn index(&mut self) {
        self.indexes = self.rules.chunks(BLOCK).map(Index::new).collect();
    }

    /// The first rule that matches, and the test that was looked at last.
    fn first(&self, facts: &Facts<'_>) -> Option<(&Rule, Option<&rule::Test>)> {
        let mut blocks = self.rules.chunks(BLOCK).zip(&self.indexes);
        blocks.find_map(|(rules, index)| {
            let candidates = index.candidates(facts, self.lean);
            candidates.iter().find_map(|id| {
                let rule = &rules[id];
                match rule.check(facts, self.lean) {
                    Checked::Held(test) => Some((rule, test)),
                    Checked::Failed(..) => None,
                }
            })
        })
    }
}
