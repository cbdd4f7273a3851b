//! An account for people.

use std::fmt::Write as _;

use underseal_http::Request;
use underseal_policy::{Connection, Explanation, Fact, Match, Reason, RuleOutcome, Transport};

use super::{Account, Outcome};
use underseal_server::terminal;

/// The verdict first, then what was judged, then every rule.
pub(super) fn render(account: &Account<'_>) -> String {
    let mut text = String::new();
    match &account.outcome {
        Outcome::Refused(refusal) => {
            line(&mut text, "verdict", "deny");
            line(&mut text, "by", &format!("the head itself: {refusal}"));
        }
        Outcome::Decided(explanation) => verdict(&mut text, explanation),
    }
    if let Some(request) = &account.request {
        line(&mut text, "request", &shown(request));
    }
    line(&mut text, "connection", &connection(&account.connection));
    if let Outcome::Decided(explanation) = &account.outcome {
        rules(&mut text, explanation);
    }
    for (index, name) in account.others.iter().enumerate() {
        let label = if index == 0 { "not for it" } else { "" };
        line(&mut text, label, name);
    }
    text
}

fn line(text: &mut String, label: &str, value: &str) {
    // A String takes all that is written to it.
    let _ = writeln!(text, "{label:<11} {}", terminal::shown(value));
}

fn verdict(text: &mut String, explanation: &Explanation<'_>) {
    let decision = &explanation.decision;
    line(text, "verdict", decision.verdict.as_str());
    let by = match decision.reason {
        Reason::Rule(rule) => name(&rule),
        Reason::Default => "default: no rule of an ALLOW policy matches".to_owned(),
        Reason::NoPolicy => "default: no ALLOW policy is for this workload".to_owned(),
    };
    line(text, "by", &by);
    let nearest = explanation
        .nearest
        .filter(|_| decision.reason == Reason::Default);
    if let Some(nearest) = nearest {
        line(text, "nearest", &name(&nearest));
    }
    if let Some(audit) = &decision.audit {
        line(text, "audit", &name(audit));
    }
}

fn name(rule: &Match<'_>) -> String {
    let attribute = rule
        .attribute
        .map_or_else(String::new, |attribute| format!(" {attribute}"));
    format!("{} rules[{}]{attribute}", rule.policy, rule.rule)
}

fn shown(request: &Request<'_>) -> String {
    let text = String::from_utf8_lossy;
    format!(
        "{} {} host {}",
        text(request.method()),
        text(request.path().unwrap_or(b"(no path)")),
        text(request.authority())
    )
}

fn connection(connection: &Connection<'_>) -> String {
    let source = match connection.source.principal {
        Fact::Unknown => "nobody known",
        Fact::Absent => "nobody with a certificate",
        Fact::Is(id) => id,
    };
    let address = |ip: Option<std::net::IpAddr>| ip.map_or_else(String::new, |ip| format!(" {ip}"));
    let mut shown = format!("from {source}{}", address(connection.source.ip));
    let datagrams = match connection.transport {
        Transport::Udp => "UDP ",
        Transport::Tcp | Transport::Unknown => "",
    };
    shown += &format!(" to {datagrams}port {}", connection.port);
    shown += &address(connection.destination.ip);
    if let Fact::Is(principal) = connection.destination.principal {
        shown += &format!(" {principal}");
    }
    if let Fact::Is(sni) = connection.sni {
        shown += &format!(" sni {sni}");
    }
    shown
}

fn rules(text: &mut String, explanation: &Explanation<'_>) {
    let names: Vec<_> = explanation
        .rules
        .iter()
        .map(|outcome| format!("{} rules[{}]", outcome.rule.policy, outcome.rule.rule))
        .collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    for (outcome, name) in explanation.rules.iter().zip(names) {
        let width = width.unwrap_or_default();
        let matches = if outcome.matches {
            "matches"
        } else {
            "does not"
        };
        let action = outcome.rule.action.as_str();
        let said = format!(
            "{action:<5}  {name:<width$}  {matches:<8}  {}",
            why(outcome)
        );
        line(text, "rule", said.trim_end());
    }
}

fn why(outcome: &RuleOutcome<'_>) -> String {
    match outcome.rule.attribute {
        Some(attribute) => format!("{attribute}: {}; is {}", outcome.wanted, outcome.found),
        None => "asks for nothing".to_owned(),
    }
}
