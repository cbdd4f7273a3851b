//! Istio's AuthorizationPolicy: the keys are the same, identities lack their scheme there, and the
//! root namespace is everybody's.

mod conditions;
mod identities;
mod sources;

use super::Conversion;
use super::metadata::Metadata;
use crate::load::{Fields, Value};
use crate::model::{Action, AuthorizationPolicy, Condition, Operation, Rule, Selector, Spec, To};
use crate::pattern::{self, Pattern};
use crate::validate::check_value;

const JWT: &str = "JSON Web Tokens are not judged";

/// Keys that Istio has and that nothing here can say.
pub(super) const FOREIGN: &[(&str, &str)] = &[
    ("provider", "no other service is asked"),
    ("targetRef", "gateways and waypoints are not known"),
    ("targetRefs", "gateways and waypoints are not known"),
    ("requestPrincipals", JWT),
    ("notRequestPrincipals", JWT),
];

impl Conversion<'_> {
    /// The policy, or none if it is only noted and notes nothing.
    pub(super) fn istio(
        &mut self,
        fields: &mut Fields<'_>,
        metadata: &Metadata,
    ) -> Vec<AuthorizationPolicy> {
        let spec = fields.take("spec");
        let mut read = Spec::default();
        if let Some(value) = &spec {
            let mut fields = self.reader.mapping(value, &["selector", "action", "rules"]);
            read.selector = fields
                .take("selector")
                .and_then(|value| self.labels_of(&value));
            let action = fields.take("action");
            read.action = action.map_or(Action::Allow, |action| self.action(&action));
            if let Some(rules) = fields.take("rules") {
                for rule in self.reader.items(&rules) {
                    let rules = self.istio_rule(&rule, read.action, metadata);
                    read.rules.extend(rules);
                }
            }
        }
        if metadata.dry_run {
            if read.action == Action::Audit {
                if let Some(value) = &spec {
                    self.narrow(value, "is a dry run of AUDIT, which says nothing: left out");
                }
                return Vec::new();
            }
            read.action = Action::Audit;
        }
        if metadata.origin.namespace.as_deref() != Some(&*self.options.root_namespace) {
            read = metadata.origin.scope(read);
        }
        vec![AuthorizationPolicy::new(metadata.origin.full_name(), read)]
    }

    fn action(&mut self, value: &Value<'_>) -> Action {
        if value.as_text() == Some("CUSTOM") {
            self.reader
                .fault(value, "not supported: CUSTOM: no other service is asked");
            return Action::Allow;
        }
        let actions = [Action::Allow, Action::Deny, Action::Audit].map(|a| (a.as_str(), a));
        self.reader.word(value, &actions).unwrap_or_default()
    }

    /// `None` if it selects every workload.
    fn labels_of(&mut self, value: &Value<'_>) -> Option<Selector> {
        let mut fields = self.reader.mapping(value, &["matchLabels"]);
        let labels = fields.take("matchLabels")?;
        let mut selector = Selector::default();
        for (label, value) in self.reader.entries(&labels) {
            let text = self.reader.text(&value);
            selector.match_labels.insert(label.to_owned(), text);
        }
        (!selector.match_labels.is_empty()).then_some(selector)
    }

    /// The rule, or one for each sender where they ask for what no one key says.
    fn istio_rule(&mut self, value: &Value<'_>, action: Action, metadata: &Metadata) -> Vec<Rule> {
        let mut fields = self.reader.mapping(value, &["from", "to", "when"]);
        let from = self.reader.list(fields.take("from"));
        let from: Vec<_> = from
            .iter()
            .map(|value| self.istio_from(value, metadata))
            .collect();
        let to = self.reader.list(fields.take("to"));
        let to = to
            .iter()
            .map(|value| self.istio_to(value, action))
            .collect();
        let when = self.reader.list(fields.take("when"));
        let when = when
            .iter()
            .map(|value| self.istio_condition(value, metadata))
            .collect();
        let rule = Rule {
            to,
            when,
            ..Rule::default()
        };
        if from.iter().all(|(_, more)| more.is_empty()) {
            let from = from.into_iter().map(|(from, _)| from).collect();
            return vec![Rule { from, ..rule }];
        }
        let rules = from.into_iter().map(|(from, more): (_, Vec<Condition>)| {
            let mut rule = rule.clone();
            rule.from.push(from);
            rule.when.extend(more);
            rule
        });
        rules.collect()
    }

    fn istio_to(&mut self, value: &Value<'_>, action: Action) -> To {
        let mut fields = self.reader.mapping(value, &["operation"]);
        let Some(value) = self.reader.required(value, &mut fields, "operation") else {
            return To::default();
        };
        let keys = [
            "hosts",
            "notHosts",
            "ports",
            "notPorts",
            "methods",
            "notMethods",
            "paths",
            "notPaths",
        ];
        self.reader.check_not_empty(&value);
        let mut fields = self.reader.mapping(&value, &keys);
        let hosts = keys.map(|key| {
            let list = fields.take(key);
            if (key == "hosts" && action == Action::Deny)
                || (key == "notHosts" && action == Action::Allow)
            {
                self.note_ports(list.as_ref());
            }
            self.values(
                list,
                |_, text| as_written(key, text),
                |text| check_value(key, text),
            )
        });
        let [
            hosts,
            not_hosts,
            ports,
            not_ports,
            methods,
            not_methods,
            paths,
            not_paths,
        ] = hosts;
        To {
            operation: Operation {
                hosts,
                not_hosts,
                ports,
                not_ports,
                methods,
                not_methods,
                paths,
                not_paths,
            },
        }
    }

    /// A host with a port is denied where the host alone is.
    fn note_ports(&mut self, list: Option<&Value<'_>>) {
        let Some(list) = list else { return };
        let has_port = |text: &str| text.ends_with('*') || text.contains(':');
        let mut items = self.reader.items(list).into_iter();
        if items.any(|item| item.as_text().is_some_and(|text| !has_port(text))) {
            let message =
                "a host with a port is denied here where the host alone is, and not there";
            self.narrow(list, message);
        }
    }
}

/// Hosts are compared there as they are written, but for their case.
fn as_written(key: &str, text: &str) -> Result<Vec<String>, String> {
    if matches!(key, "hosts" | "notHosts")
        && Pattern::host(text)?.to_string() != text.to_lowercase()
    {
        return Err(format!(
            "is compared there as it is written, and no host is written so here: `{text}`"
        ));
    }
    Ok(vec![text.to_owned()])
}

/// A block of addresses, whose bits beyond the prefix do not count there.
fn block(text: &str) -> Result<Vec<String>, String> {
    let block = pattern::read_block(text)?.trunc();
    if pattern::ip_block(&block.to_string())? != block {
        return Err(format!("an address of IPv4 is not written so: `{text}`"));
    }
    Ok(vec![if text.contains('/') {
        block.to_string()
    } else {
        text.to_owned()
    }])
}
