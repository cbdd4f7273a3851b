//! What may be asked for: `toPorts`, and its HTTP rules.

use super::ports::Ports;
use super::{Rule, Section};
use crate::condition::Key;
use crate::convert::Conversion;
use crate::convert::regex::{self, Kind};
use crate::load::Value;
use crate::model::{Action, Condition, Operation, To};

/// What an HTTP rule asks of the text of a key: patterns, of which some end where the path does.
type Asked = Option<Vec<String>>;

impl Conversion<'_> {
    /// For each port and HTTP rule a rule that asks for it alone.
    pub(super) fn operations(&mut self, value: Option<Value<'_>>, section: &Section) -> Vec<Rule> {
        let items = self.reader.list(value);
        let mut rules = Vec::new();
        for item in &items {
            let mut fields = self.reader.mapping(item, &["ports", "rules"]);
            // Without ports nothing is allowed there, and nothing denied.
            let ports = self.reader.required(item, &mut fields, "ports");
            let ports = self.ports(ports);
            let asked = fields.take("rules");
            if let (Some(asked), Action::Deny) = (&asked, section.action) {
                let message =
                    "not supported: what denies has no rules in Cilium, and denies the port";
                self.reader.fault(asked, message);
            }
            let Some(value) = asked else {
                rules.extend(ports.into_iter().map(on_ports));
                continue;
            };
            if ports.iter().any(Ports::is_udp) {
                let message = "Cilium takes rules of HTTP for TCP alone, and no such policy";
                self.reader.fault(&value, message);
            }
            let ports: Vec<_> = ports.into_iter().flat_map(|ports| ports.ports).collect();
            rules.extend(self.http_rules(&value, &ports));
        }
        rules
    }

    fn http_rules(&mut self, value: &Value<'_>, ports: &[String]) -> Vec<Rule> {
        let mut fields = self.reader.mapping(value, &["http"]);
        let items = self.reader.required(value, &mut fields, "http");
        let items = self.reader.list(items);
        items
            .iter()
            .flat_map(|item| self.http_rule(item, ports))
            .collect()
    }

    /// The rule; two, where some paths are asked for with any query and some without one.
    fn http_rule(&mut self, value: &Value<'_>, ports: &[String]) -> Vec<Rule> {
        let known = ["method", "path", "host", "headers"];
        let mut fields = self.reader.mapping(value, &known);
        let methods = self.patterns(fields.take("method"), Kind::Method);
        let paths = self.patterns(fields.take("path"), Kind::Path);
        let hosts = self.patterns(fields.take("host"), Kind::Host);
        let headers = self.reader.list(fields.take("headers"));
        let headers: Vec<_> = headers
            .iter()
            .filter_map(|header| self.header(header))
            .collect();
        let asks = methods.is_some() || paths.is_some() || hosts.is_some() || !headers.is_empty();
        // What asks for nothing allows every request, and nothing that is none.
        let methods = methods.or_else(|| (!asks).then(|| vec!["*".to_owned()]));
        let rule = |paths: Vec<String>| Rule {
            when: headers.clone(),
            ..operation(Operation {
                ports: ports.to_vec(),
                methods: methods.clone().unwrap_or_default(),
                hosts: hosts.clone().unwrap_or_default(),
                paths,
                ..Operation::default()
            })
        };
        let Some(paths) = paths else {
            return vec![rule(Vec::new())];
        };
        let (open, closed): (Vec<_>, Vec<_>) = paths
            .into_iter()
            .partition(|path| path.ends_with('*') || path.ends_with("{**}"));
        let mut rules = Vec::new();
        if !open.is_empty() {
            rules.push(rule(open));
        }
        if !closed.is_empty() {
            let mut rule = rule(closed);
            rule.when.push(no_query());
            rules.push(rule);
        }
        rules
    }

    /// What an expression becomes; `None` if it asks for nothing.
    fn patterns(&mut self, value: Option<Value<'_>>, kind: Kind) -> Asked {
        let value = value?;
        let expression = self.reader.text(&value);
        match regex::patterns(&expression, kind) {
            Ok(found) if found.texts.iter().any(|text| text == "*") => None,
            Ok(found) => {
                for message in found.narrower {
                    self.narrow(&value, message);
                }
                Some(found.texts)
            }
            Err(message) => {
                if !expression.is_empty() {
                    self.reader.fault(&value, message);
                }
                None
            }
        }
    }

    /// `Name` must be there; `Name: value` must have the value, letter by letter: what stands behind
    /// the first space, spaces included.
    fn header(&mut self, value: &Value<'_>) -> Option<Condition> {
        let text = self.reader.text(value);
        let (name, wanted) = match text.split_once(' ') {
            Some((name, wanted)) => (name.trim_end_matches(':'), Some(wanted)),
            None => (text.as_str(), None),
        };
        if text.is_empty() {
            return None;
        }
        let key = format!("request.headers[{name}]");
        let checked = match wanted {
            Some("") => Err(format!("no pattern says an empty value: `{text}`")),
            Some(wanted) if wanted.contains('*') => Err(format!(
                "no pattern says a `*` within a value, which is itself there: `{text}`"
            )),
            _ => Key::parse(&key).and_then(|key| key.check(wanted.unwrap_or("*"))),
        };
        if let Err(message) = checked {
            self.reader.fault(value, message);
            return None;
        }
        Some(Condition {
            key,
            values: vec![wanted.unwrap_or("*").to_owned()],
            ..Condition::default()
        })
    }
}

/// Cilium compares the path with its query.
fn no_query() -> Condition {
    Condition {
        key: "request.query".to_owned(),
        not_values: vec!["*".to_owned()],
        ..Condition::default()
    }
}

/// Whatever is said to these ports. What is HTTP is not carried by datagrams; what is anything may be.
fn on_ports(ports: Ports) -> Rule {
    let carried = ports.condition();
    let mut rule = operation(Operation {
        ports: ports.ports,
        ..Operation::default()
    });
    rule.when.extend(carried);
    rule
}

fn operation(operation: Operation) -> Rule {
    let asks = operation != Operation::default();
    Rule {
        to: asks.then_some(To { operation }).into_iter().collect(),
        ..Rule::default()
    }
}
