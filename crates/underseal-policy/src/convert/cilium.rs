//! CiliumNetworkPolicy: what it says of identities, addresses, ports and HTTP. Its identities are
//! labels; of these a SPIFFE ID holds the namespace and the service account.

mod authentication;
mod http;
mod identity;
mod peers;
mod ports;
mod selector;

use self::selector::{Asks, Requirement};
use super::{Conversion, Origin};
use crate::load::{Fields, Value};
use crate::model::{Action, AuthorizationPolicy, Rule, Selector, Spec, TrafficDirection};

const DNS: &str = "names are not resolved";
const SELECTORS: &str = "rules about other rules, and labels of nodes, are not known";

/// Keys that Cilium has and that nothing here can say.
pub(super) const FOREIGN: &[(&str, &str)] = &[
    ("nodeSelector", "policies are for workloads"),
    ("enableDefaultDeny", "a policy that allows denies the rest"),
    ("fromRequires", SELECTORS),
    ("toRequires", SELECTORS),
    ("fromNodes", SELECTORS),
    ("toNodes", SELECTORS),
    ("fromGroups", "groups of a cloud are not known"),
    ("toGroups", "groups of a cloud are not known"),
    ("toServices", DNS),
    ("toFQDNs", DNS),
    ("icmps", "ICMP is not judged"),
    ("cidrGroupRef", "groups of addresses are not known"),
    ("cidrGroupSelector", "groups of addresses are not known"),
    ("kafka", "Kafka is not read"),
    ("dns", DNS),
    ("l7", "protocols of one's own are not read"),
    ("l7proto", "protocols of one's own are not read"),
    (
        "headerMatches",
        "fields are not compared with secrets or changed",
    ),
    ("terminatingTLS", "TLS is the listener's matter"),
    ("originatingTLS", "TLS is the listener's matter"),
    ("serverNames", "names of servers are the listener's matter"),
    ("listener", "other proxies are not asked"),
];

/// A list of rules of a spec, and what it becomes.
struct Section {
    key: &'static str,
    direction: TrafficDirection,
    action: Action,
    suffix: &'static str,
}

const SECTIONS: [Section; 4] = [
    Section {
        key: "ingress",
        direction: TrafficDirection::Ingress,
        action: Action::Allow,
        suffix: "",
    },
    Section {
        key: "ingressDeny",
        direction: TrafficDirection::Ingress,
        action: Action::Deny,
        suffix: "/deny",
    },
    Section {
        key: "egress",
        direction: TrafficDirection::Egress,
        action: Action::Allow,
        suffix: "/egress",
    },
    Section {
        key: "egressDeny",
        direction: TrafficDirection::Egress,
        action: Action::Deny,
        suffix: "/egress/deny",
    },
];

impl Conversion<'_> {
    /// The policies of a document: one for each section of each spec.
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
            "ingressDeny",
            "egress",
            "egressDeny",
            "description",
            "labels",
        ];
        let mut fields = self.reader.mapping(value, &known);
        let selector = self.reader.required(value, &mut fields, "endpointSelector");
        let selector = selector.and_then(|selector| self.endpoints(&selector));
        let mut policies = Vec::new();
        let mut allowing = Vec::new();
        for section in SECTIONS {
            let Some(items) = fields.take(section.key) else {
                continue;
            };
            let spec = |action, rules| {
                origin.scope(Spec {
                    selector: selector.clone(),
                    direction: section.direction,
                    action,
                    rules,
                })
            };
            let mut rules = Vec::new();
            for item in self.reader.list(Some(items)) {
                let of_item = self.rules(&item, &section, origin);
                if section.action == Action::Allow {
                    self.remember(&item, spec(Action::Allow, Vec::new()), &of_item);
                }
                rules.extend(of_item);
            }
            // What is selected by a rule that denies is denied what no rule allows, too.
            if section.action == Action::Deny && !allowing.contains(&section.direction) {
                let suffix = section.suffix.trim_end_matches("/deny");
                let nothing = spec(Action::Allow, Vec::new());
                policies.push(AuthorizationPolicy::new(format!("{name}{suffix}"), nothing));
            }
            allowing.push(section.direction);
            policies.push(AuthorizationPolicy::new(
                format!("{name}{}", section.suffix),
                spec(section.action, rules),
            ));
        }
        if policies.is_empty() {
            self.reader
                .fault(value, "has neither `ingress` nor `egress`");
        }
        policies
    }

    /// `None` if it selects every workload.
    fn endpoints(&mut self, value: &Value<'_>) -> Option<Selector> {
        let mut selector = Selector::default();
        for Requirement { label, asks, .. } in self.requirements(value) {
            let one = match asks {
                Asks::OneOf(mut values) if values.len() == 1 => values.pop(),
                _ => None,
            };
            let labels = &mut selector.match_labels;
            let is_one = one.is_some_and(|one| *labels.entry(label).or_insert(one.clone()) == one);
            if !is_one {
                let message = "not supported: a workload is selected by one value of a label";
                self.reader.fault(value, message);
            }
        }
        (!selector.match_labels.is_empty()).then_some(selector)
    }

    /// The rules of one item of a section: peers and ports, each of them with each.
    fn rules(&mut self, item: &Value<'_>, section: &Section, origin: &Origin) -> Vec<Rule> {
        let known = match section.direction {
            TrafficDirection::Ingress => [
                "fromEndpoints",
                "fromEntities",
                "fromCIDR",
                "fromCIDRSet",
                "toPorts",
                "authentication",
            ],
            TrafficDirection::Egress => [
                "toEndpoints",
                "toEntities",
                "toCIDR",
                "toCIDRSet",
                "toPorts",
                "authentication",
            ],
        };
        let mut fields = self.reader.mapping(item, &known);
        if let Some(value) = fields.take("authentication") {
            self.authentication(item, &value, section);
        }
        let ports = fields.take("toPorts");
        let has_ports = ports.is_some();
        let Some(peers) = self.peers(item, &mut fields, section, origin) else {
            // An item that names neither peers nor ports selects nothing: all is denied.
            return if has_ports {
                self.operations(ports, section)
            } else {
                Vec::new()
            };
        };
        let mut operations = self.operations(ports, section);
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
