//! What may be asked for: `toPorts`, and its HTTP rules.

use super::Rule;
use crate::convert::{Conversion, regex};
use crate::load::{Fields, Value};
use crate::model::{Condition, Operation, To};

impl Conversion<'_> {
    /// For each port and HTTP rule a rule that asks for it alone.
    pub(super) fn operations(&mut self, value: Option<Value<'_>>) -> Vec<Rule> {
        let items = self.reader.list(value);
        let mut rules = Vec::new();
        for item in &items {
            let mut fields = self.reader.mapping(item, &["ports", "rules"]);
            let ports = self.reader.list(fields.take("ports"));
            let ports: Vec<_> = ports.iter().map(|port| self.port(port)).collect();
            match fields.take("rules") {
                None => rules.push(operation(Operation {
                    ports,
                    ..Operation::default()
                })),
                Some(value) => rules.extend(self.http_rules(&value, &ports)),
            }
        }
        rules
    }

    fn port(&mut self, value: &Value<'_>) -> String {
        let mut fields = self.reader.mapping(value, &["port", "protocol"]);
        if let Some(protocol) = fields.take("protocol") {
            self.reader.word(&protocol, &[("TCP", ()), ("ANY", ())]);
        }
        let port = self.reader.required(value, &mut fields, "port");
        port.map_or_else(String::new, |port| self.reader.text(&port))
    }

    fn http_rules(&mut self, value: &Value<'_>, ports: &[String]) -> Vec<Rule> {
        let mut fields = self.reader.mapping(value, &["http"]);
        let items = self.reader.required(value, &mut fields, "http");
        let items = self.reader.list(items);
        items
            .iter()
            .map(|item| self.http_rule(item, ports))
            .collect()
    }

    fn http_rule(&mut self, value: &Value<'_>, ports: &[String]) -> Rule {
        let known = ["method", "path", "host", "headers"];
        let mut fields = self.reader.mapping(value, &known);
        let mut rule = operation(Operation {
            ports: ports.to_vec(),
            methods: self.patterns(&mut fields, "method", None),
            paths: self.patterns(
                &mut fields,
                "path",
                Some("is compared without the query, which Cilium compares too"),
            ),
            hosts: self.patterns(
                &mut fields,
                "host",
                Some("is compared without the port, which Cilium compares too"),
            ),
            ..Operation::default()
        });
        let headers = self.reader.list(fields.take("headers"));
        let headers = headers.iter().filter_map(|header| self.header(header));
        rule.when = headers.collect();
        rule
    }

    /// What an expression becomes. Where it does not end with `.*`, what the new pattern leaves
    /// out of the comparison makes a difference, and `note` says which.
    fn patterns(&mut self, fields: &mut Fields<'_>, key: &str, note: Option<&str>) -> Vec<String> {
        let Some(value) = fields.take(key) else {
            return Vec::new();
        };
        let expression = self.reader.text(&value);
        match regex::patterns(&expression) {
            // Anything at all is what a rule that does not ask allows.
            Ok(patterns) if patterns.iter().any(|pattern| pattern == "*") => Vec::new(),
            Ok(patterns) => {
                let is_open =
                    |pattern: &String| pattern.ends_with('*') || pattern.ends_with("{**}");
                if let Some(note) = note.filter(|_| !patterns.iter().all(is_open)) {
                    self.note(&value, note);
                }
                patterns
            }
            Err(message) => {
                if !expression.is_empty() {
                    self.reader.fault(&value, message);
                }
                Vec::new()
            }
        }
    }

    /// `Name` must be there; `Name: value` must have the value, letter by letter.
    fn header(&mut self, value: &Value<'_>) -> Option<Condition> {
        let text = self.reader.text(value);
        let (name, wanted) = match text.split_once(' ') {
            Some((name, wanted)) => (name.trim_end_matches(':'), wanted.trim()),
            None => (text.as_str(), "*"),
        };
        if wanted != "*" && wanted.contains('*') {
            self.reader
                .fault(value, "no pattern says a `*` within a value");
            return None;
        }
        Some(Condition {
            key: format!("request.headers[{name}]"),
            values: vec![wanted.to_owned()],
            ..Condition::default()
        })
    }
}

fn operation(operation: Operation) -> Rule {
    let asks = operation != Operation::default();
    Rule {
        to: asks.then_some(To { operation }).into_iter().collect(),
        ..Rule::default()
    }
}
