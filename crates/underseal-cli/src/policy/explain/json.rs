//! An account for programs: one JSON object.

use serde_json::{Value, json};
use underseal_http::Request;
use underseal_policy::{Explanation, Match, Reason, RuleOutcome};

use super::{Account, Outcome};

pub(super) fn render(account: &Account<'_>) -> String {
    let mut object = match &account.outcome {
        Outcome::Refused(refusal) => json!({
            "verdict": "deny",
            "reason": "refused",
            "refusal": refusal.to_string(),
            "status": refusal.status(),
        }),
        Outcome::Decided(explanation) => decided(explanation),
    };
    object["request"] = account.request.as_ref().map_or(Value::Null, request);
    object["other_policies"] = json!(account.others);
    format!("{object:#}\n")
}

fn decided(explanation: &Explanation<'_>) -> Value {
    let decision = &explanation.decision;
    let (reason, by) = match &decision.reason {
        Reason::Rule(found) => ("rule", rule(found)),
        Reason::Default => ("default", Value::Null),
        Reason::NoPolicy => ("no_policy", Value::Null),
    };
    let nearest = explanation
        .nearest
        .filter(|_| decision.reason == Reason::Default);
    json!({
        "verdict": decision.verdict.as_str(),
        "reason": reason,
        "rule": by,
        "nearest": nearest.as_ref().map(rule),
        "audit": decision.audit.as_ref().map(rule),
        "rules": explanation.rules.iter().map(outcome).collect::<Vec<_>>(),
    })
}

fn rule(found: &Match<'_>) -> Value {
    json!({
        "policy": found.policy,
        "action": found.action.as_str(),
        "rule": found.rule,
        "attribute": found.attribute,
    })
}

fn outcome(outcome: &RuleOutcome<'_>) -> Value {
    let mut object = rule(&outcome.rule);
    object["matches"] = json!(outcome.matches);
    object["wanted"] = json!(outcome.wanted);
    object["found"] = json!(outcome.found);
    object
}

fn request(request: &Request<'_>) -> Value {
    json!({
        "method": String::from_utf8_lossy(request.method()),
        "path": request.path().map(String::from_utf8_lossy),
        "host": String::from_utf8_lossy(request.authority()),
    })
}
