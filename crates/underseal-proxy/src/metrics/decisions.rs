//! Decisions, counted by the rule that made them.
//!
//! A worker finds the counter of a rule in a map of its own. The first time, and after each reload,
//! it takes it from a map that it shares with whoever reads the sums.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use underseal_policy::model::{Action, AuthorizationPolicy};
use underseal_policy::{Decision, Match, Reason, Verdict};

use super::tally::Counter;

/// A rule of a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RuleKey {
    pub(super) policy: Box<str>,
    pub(super) rule: usize,
    pub(super) action: Action,
}

impl RuleKey {
    fn is(&self, found: &Match<'_>) -> bool {
        self.rule == found.rule && self.action == found.action && *self.policy == *found.policy
    }
}

impl From<&Match<'_>> for RuleKey {
    fn from(found: &Match<'_>) -> Self {
        Self {
            policy: found.policy.into(),
            rule: found.rule,
            action: found.action,
        }
    }
}

/// What one worker counted, for others to read.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// No rule of an ALLOW policy matched.
    pub(super) default_deny: Counter,
    /// There was no ALLOW policy.
    pub(super) no_policy: Counter,
    rules: Mutex<BTreeMap<RuleKey, Arc<Counter>>>,
}

impl Counted {
    /// The counters of rules that are loaded; the others are forgotten.
    pub(super) fn rules(&self, loaded: &Loaded) -> MutexGuard<'_, BTreeMap<RuleKey, Arc<Counter>>> {
        let mut rules = self.lock();
        loaded.retain(&mut rules);
        rules
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RuleKey, Arc<Counter>>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which rules are loaded.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// One more with each change.
    generation: AtomicU64,
    /// How many rules a policy has.
    policies: RwLock<BTreeMap<(Box<str>, Action), usize>>,
}

impl Loaded {
    pub(super) fn set(&self, policies: &[AuthorizationPolicy]) {
        let rules = policies.iter().map(|policy| {
            let name = policy.metadata.name.as_str().into();
            ((name, policy.spec.action), policy.spec.rules.len())
        });
        let mut loaded = self
            .policies
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *loaded = rules.collect();
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    fn retain(&self, rules: &mut BTreeMap<RuleKey, Arc<Counter>>) {
        let loaded = self.policies.read().unwrap_or_else(PoisonError::into_inner);
        rules.retain(|key, _| {
            let policy = (key.policy.clone(), key.action);
            loaded.get(&policy).is_some_and(|count| key.rule < *count)
        });
    }
}

/// The counters that a worker has found so far.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    generation: u64,
    hasher: RandomState,
    /// By a hash of the rule's key, which a decision gives without owning it.
    found: HashMap<u64, Vec<(RuleKey, Arc<Counter>)>>,
}

impl Decisions {
    pub(super) fn count(&mut self, decision: &Decision<'_>, counted: &Counted, loaded: &Loaded) {
        let generation = loaded.generation.load(Ordering::Relaxed);
        if self.generation != generation {
            self.generation = generation;
            self.found.clear();
        }
        match (&decision.reason, decision.verdict) {
            (Reason::Rule(found), _) => self.counter(found, counted).add(1),
            (Reason::Default | Reason::NoPolicy, Verdict::Deny) => counted.default_deny.add(1),
            (Reason::Default | Reason::NoPolicy, Verdict::Allow) => counted.no_policy.add(1),
        }
        if let Some(found) = &decision.audit {
            self.counter(found, counted).add(1);
        }
    }

    fn counter(&mut self, found: &Match<'_>, counted: &Counted) -> &Counter {
        let hash = self.hasher.hash_one((found.policy, found.rule));
        let alike = self.found.entry(hash).or_default();
        let place = alike.iter().position(|(key, _)| key.is(found));
        let place = place.unwrap_or_else(|| {
            let key = RuleKey::from(found);
            let counter = Arc::clone(counted.lock().entry(key.clone()).or_default());
            alike.push((key, counter));
            alike.len() - 1
        });
        &alike[place].1
    }
}
