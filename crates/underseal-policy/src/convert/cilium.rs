//! CiliumNetworkPolicy: what it says of identities, ports and HTTP. Its identities are labels; of
//! these a SPIFFE ID holds the namespace and the service account.

mod http;
mod peers;

use super::{Conversion, NAMESPACE_LABEL, Origin};
use crate::load::{Fields, Value};
use crate::model::{AuthorizationPolicy, Direction, Rule, Selector, Spec};

impl Conversion<'_> {
    /// The policies of a document: one for each direction of each spec.
    pub(super) fn cilium(
        &mut self,
        document: &Value<'_>,
        fields: &mut Fields<'_>,
        origin: &Origin,
    ) -> Vec<AuthorizationPolicy> {
        let name = origin.full_name();
        let (spec, specs) = (fields.take("spec"), fields.take("specs"));
        if spec.is_none() && specs.is_none() {
            self.reader.fault(document, "spec is missing");
        }
        let mut policies = Vec::new();
        if let Some(spec) = spec {
            policies.extend(self.cilium_spec(&spec, &name, origin));
        }
        let specs = self.reader.list(specs);
        for (index, spec) in specs.iter().enumerate() {
            policies.extend(self.cilium_spec(spec, &format!("{name}/{index}"), origin));
        }
        policies
    }

    fn cilium_spec(
        &mut self,
        value: &Value<'_>,
        name: &str,
        origin: &Origin,
    ) -> Vec<AuthorizationPolicy> {
        let known = [
            "endpointSelector",
            "ingress",
            "egress",
            "description",
            "labels",
        ];
        let mut fields = self.reader.mapping(value, &known);
        let selector = self.reader.required(value, &mut fields, "endpointSelector");
        let selector = selector.and_then(|selector| self.selector(&selector));
        let mut policies = Vec::new();
        for (key, direction, suffix) in [
            ("ingress", Direction::Ingress, ""),
            ("egress", Direction::Egress, "/egress"),
        ] {
            let Some(section) = fields.take(key) else {
                continue;
            };
            let items = self.reader.list(Some(section));
            let rules = items
                .iter()
                .flat_map(|item| self.rules(item, direction, origin));
            let spec = Spec {
                selector: selector.clone(),
                direction,
                rules: rules.collect(),
                ..Spec::default()
            };
            policies.push(AuthorizationPolicy::new(
                format!("{name}{suffix}"),
                origin.scope(spec),
            ));
        }
        if policies.is_empty() {
            self.reader
                .fault(value, "has neither `ingress` nor `egress`");
        }
        policies
    }

    /// `None` if it selects every workload.
    fn selector(&mut self, value: &Value<'_>) -> Option<Selector> {
        let labels = self.labels(value);
        let match_labels = labels
            .into_iter()
            .map(|(label, value)| (label, self.reader.text(&value)));
        let match_labels = match_labels.collect::<std::collections::BTreeMap<_, _>>();
        (!match_labels.is_empty()).then_some(Selector { match_labels })
    }

    /// The labels of a selector, without the source that Cilium writes before them.
    fn labels<'n>(&mut self, selector: &Value<'n>) -> Vec<(String, Value<'n>)> {
        let mut fields = self.reader.mapping(selector, &["matchLabels"]);
        let Some(labels) = fields.take("matchLabels") else {
            return Vec::new();
        };
        let mut read = Vec::new();
        for (label, value) in self.reader.entries(&labels) {
            match label.split_once(':') {
                None => read.push((label.to_owned(), value)),
                Some(("k8s" | "any", label)) => read.push((label.to_owned(), value)),
                Some((source, _)) => {
                    let message = format!("labels of `{source}` cannot be told here");
                    self.reader.fault(&value, message);
                }
            }
        }
        read
    }

    /// The rules of one item of `ingress` or `egress`: peers and ports, each of them with each.
    fn rules(&mut self, item: &Value<'_>, direction: Direction, origin: &Origin) -> Vec<Rule> {
        let known = match direction {
            Direction::Ingress => ["fromEndpoints", "fromEntities", "fromCIDR", "toPorts"],
            Direction::Egress => ["toEndpoints", "toEntities", "toCIDR", "toPorts"],
        };
        let mut fields = self.reader.mapping(item, &known);
        let ports = fields.take("toPorts");
        let has_ports = ports.is_some();
        let Some(peers) = self.peers(&mut fields, direction, origin) else {
            // An item that names neither peers nor ports selects nothing: all is denied.
            return if has_ports {
                self.operations(ports)
            } else {
                Vec::new()
            };
        };
        let mut operations = self.operations(ports);
        if !has_ports {
            operations.push(Rule::default());
        }
        let mut rules = Vec::new();
        for operation in operations {
            for peer in &peers {
                let mut rule = operation.clone();
                rule.from.extend(peer.from.iter().cloned());
                rule.when.extend(peer.when.iter().cloned());
                rules.push(rule);
            }
        }
        rules
    }
}

/// The label of a peer's service account.
const SERVICE_ACCOUNT_LABEL: &str = "io.cilium.k8s.policy.serviceaccount";

/// Labels of a peer that a SPIFFE ID holds.
const TOLD_LABELS: [&str; 2] = [NAMESPACE_LABEL, SERVICE_ACCOUNT_LABEL];
