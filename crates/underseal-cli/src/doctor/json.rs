//! The report as one JSON object. Its keys are promised in the README of this crate.

use serde_json::{Map, Value, json};

use super::report::{Choices, Entry, Grid, Outcome, Report, Section, Speeds};

/// Raised when a key is removed or changes its meaning; new keys do not raise it.
const SCHEMA: u32 = 1;

/// Renders the report.
pub(super) fn render(report: &Report) -> Value {
    let machine = &report.machine;
    let head = [
        ("schema", json!(SCHEMA)),
        ("underseal", json!(machine.underseal)),
        ("kernel", json!(machine.kernel)),
        ("privileged", json!(machine.privileged)),
    ];
    let sections = report.sections.iter().map(|s| (s.key, section(s)));
    object(head.into_iter().chain(sections))
}

fn section(section: &Section) -> Value {
    object(section.entries.iter().map(|entry| match entry {
        Entry::Finding(finding) => (finding.key, outcome(&finding.outcome)),
        Entry::Choices(found) => (found.key, choices(found)),
        Entry::Grid(found) => (found.key, grid(found)),
        Entry::Speeds(found) => (found.key, speeds(found)),
    }))
}

fn outcome(outcome: &Outcome) -> Value {
    json!({ "answer": outcome.answer.word(), "said": outcome.said, "fix": outcome.fix })
}

fn choices(found: &Choices) -> Value {
    object(found.rows.iter().map(|choice| {
        let value = json!({ "chosen": choice.chosen, "because": choice.because });
        (choice.key.as_str(), value)
    }))
}

fn grid(found: &Grid) -> Value {
    object(found.rows.iter().map(|(subject, outcomes)| {
        let cells = found.columns.iter().zip(outcomes);
        let cells = cells.map(|(column, cell)| (column.key, outcome(cell)));
        (subject.as_str(), object(cells))
    }))
}

fn speeds(found: &Speeds) -> Value {
    object(found.rows.iter().map(|(subject, speeds)| {
        let cells = found.columns.iter().zip(speeds);
        // Two decimals, as people see it: more would promise what was not measured.
        let rounded = |speed: &f64| (speed * 100.0).round() / 100.0;
        let cells = cells.map(|(column, speed)| (column.key, json!(speed.as_ref().map(rounded))));
        (subject.as_str(), object(cells))
    }))
}

fn object<'a>(members: impl Iterator<Item = (&'a str, Value)>) -> Value {
    let members = members.map(|(key, value)| (key.to_owned(), value));
    Value::Object(members.collect::<Map<_, _>>())
}
