//! From YAML values to the model: which keys there are, and what kind of value each has.

use std::collections::{BTreeMap, HashMap};

use super::values::{Fields, Reader, Value};
use crate::model::{
    API_VERSION, Action, AuthorizationPolicy, Condition, From, KIND, Operation, Rule, Selector,
    Source, Spec, To, TrafficDirection,
};

impl Reader {
    /// The policy that the document is. It is whole if there are no faults.
    pub(crate) fn policy(&mut self, document: &Value<'_>) -> AuthorizationPolicy {
        let mut fields = self.mapping(document, &["apiVersion", "kind", "metadata", "spec"]);
        for (key, expected) in [("apiVersion", API_VERSION), ("kind", KIND)] {
            if let Some(value) = self.required(document, &mut fields, key) {
                self.word(&value, &[(expected, ())]);
            }
        }
        let name = self.name(document, &mut fields);
        let spec = self
            .required(document, &mut fields, "spec")
            .map_or_else(Spec::default, |spec| self.spec(&spec));
        AuthorizationPolicy::new(name, spec)
    }

    /// The name that the document gives itself.
    pub(super) fn name<'n>(&mut self, document: &Value<'n>, fields: &mut Fields<'n>) -> String {
        let Some(metadata) = self.required(document, fields, "metadata") else {
            return String::new();
        };
        let mut fields = self.mapping(&metadata, &["name"]);
        self.required(&metadata, &mut fields, "name")
            .map_or_else(String::new, |name| self.text(&name))
    }

    pub(crate) fn spec(&mut self, value: &Value<'_>) -> Spec {
        let mut fields = self.mapping(value, &["selector", "direction", "action", "rules"]);
        let directions =
            [TrafficDirection::Ingress, TrafficDirection::Egress].map(|d| (d.as_str(), d));
        let actions = [Action::Allow, Action::Deny, Action::Audit].map(|a| (a.as_str(), a));
        Spec {
            selector: fields.take("selector").map(|value| self.selector(&value)),
            direction: self.choice(fields.take("direction"), &directions),
            action: self.choice(fields.take("action"), &actions),
            rules: fields.take("rules").map_or_else(Vec::new, |rules| {
                // Alone among the lists it may be empty: then the policy matches nothing.
                let rules = self.items(&rules);
                rules.iter().map(|rule| self.rule(rule)).collect()
            }),
        }
    }

    pub(super) fn selector(&mut self, value: &Value<'_>) -> Selector {
        let mut fields = self.mapping(value, &["matchLabels"]);
        let labels = self.required(value, &mut fields, "matchLabels");
        let mut match_labels = BTreeMap::new();
        if let Some(labels) = labels {
            let entries = self.entries(&labels);
            if entries.is_empty() {
                self.fault(
                    &labels,
                    "has no label; for all workloads leave out `selector`",
                );
            }
            for (label, value) in entries {
                match_labels.insert(label.to_owned(), self.text(&value));
            }
        }
        Selector { match_labels }
    }

    fn rule(&mut self, value: &Value<'_>) -> Rule {
        let mut fields = self.mapping(value, &["from", "to", "when"]);
        let from = self.list(fields.take("from"));
        let to = self.list(fields.take("to"));
        let when = self.list(fields.take("when"));
        Rule {
            from: from.iter().map(|value| self.from(value)).collect(),
            to: to.iter().map(|value| self.to(value)).collect(),
            when: when.iter().map(|value| self.condition(value)).collect(),
        }
    }

    fn from(&mut self, value: &Value<'_>) -> From {
        let mut fields = self.mapping(value, &["source"]);
        let Some(source) = self.required(value, &mut fields, "source") else {
            return From::default();
        };
        let mut lists = self.lists(
            &source,
            [
                "principals",
                "notPrincipals",
                "requestPrincipals",
                "notRequestPrincipals",
                "namespaces",
                "notNamespaces",
                "ipBlocks",
                "notIpBlocks",
            ],
        );
        let mut take = |key| lists.remove(key).unwrap_or_default();
        From {
            source: Source {
                principals: take("principals"),
                not_principals: take("notPrincipals"),
                request_principals: take("requestPrincipals"),
                not_request_principals: take("notRequestPrincipals"),
                namespaces: take("namespaces"),
                not_namespaces: take("notNamespaces"),
                ip_blocks: take("ipBlocks"),
                not_ip_blocks: take("notIpBlocks"),
            },
        }
    }

    fn to(&mut self, value: &Value<'_>) -> To {
        let mut fields = self.mapping(value, &["operation"]);
        let Some(operation) = self.required(value, &mut fields, "operation") else {
            return To::default();
        };
        let mut lists = self.lists(
            &operation,
            [
                "hosts",
                "notHosts",
                "ports",
                "notPorts",
                "methods",
                "notMethods",
                "paths",
                "notPaths",
            ],
        );
        let mut take = |key| lists.remove(key).unwrap_or_default();
        To {
            operation: Operation {
                hosts: take("hosts"),
                not_hosts: take("notHosts"),
                ports: take("ports"),
                not_ports: take("notPorts"),
                methods: take("methods"),
                not_methods: take("notMethods"),
                paths: take("paths"),
                not_paths: take("notPaths"),
            },
        }
    }

    fn condition(&mut self, value: &Value<'_>) -> Condition {
        let mut fields = self.mapping(value, &["key", "values", "notValues"]);
        let key = self.required(value, &mut fields, "key");
        if fields.is_empty() && key.is_some() {
            self.fault(value, "has neither `values` nor `notValues`");
        }
        Condition {
            key: key.map_or_else(String::new, |key| self.text(&key)),
            values: self.texts(fields.take("values")),
            not_values: self.texts(fields.take("notValues")),
        }
    }

    /// The lists of texts that a mapping consists of; at least one.
    fn lists<const N: usize>(
        &mut self,
        value: &Value<'_>,
        known: [&'static str; N],
    ) -> HashMap<&'static str, Vec<String>> {
        self.check_not_empty(value);
        let mut fields = self.mapping(value, &known);
        let read = known.map(|key| (key, self.texts(fields.take(key))));
        read.into_iter().collect()
    }
}
