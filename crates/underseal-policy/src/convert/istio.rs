//! Istio's AuthorizationPolicy: the keys are the same, identities lack their scheme there, and the
//! root namespace is everybody's.

mod conditions;
mod identities;
mod sources;
mod tokens;

use self::sources::Sender;
use super::metadata::Metadata;
use super::{Conversion, NAMESPACE_LABEL, RemoteIp};
use crate::condition::Key;
use crate::load::{Fields, Value};
use crate::model::{
    Action, AuthorizationPolicy, Condition, From, Operation, Rule, Selector, Source, Spec, To,
};
use crate::pattern::Pattern;
use crate::validate::check_value;

/// Keys that Istio has and that nothing here can say.
pub(super) const FOREIGN: &[(&str, &str)] = &[
    ("outputPayloadToHeader", "nothing is added to requests"),
    ("outputClaimToHeaders", "nothing is added to requests"),
    ("presence", "a policy says which requests need a token"),
    ("provider", "no other service is asked"),
];

/// The label of the workloads of a gateway.
const GATEWAY_LABEL: &str = "gateway.networking.k8s.io/gateway-name";

impl Conversion<'_> {
    /// The policies, or none if it is only noted and notes nothing.
    pub(super) fn istio(
        &mut self,
        fields: &mut Fields<'_>,
        metadata: &Metadata,
    ) -> Vec<AuthorizationPolicy> {
        let spec = fields.take("spec");
        let mut read = Spec::default();
        let mut targets = vec![(String::new(), self.scope(None, metadata))];
        if let Some(value) = &spec {
            let known = ["selector", "targetRef", "targetRefs", "action", "rules"];
            let mut fields = self.reader.mapping(value, &known);
            targets = self.targets(value, &mut fields, metadata);
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
        let policy = |(suffix, selector)| {
            let name = format!("{}{suffix}", metadata.origin.full_name());
            let spec = Spec {
                selector,
                ..read.clone()
            };
            AuthorizationPolicy::new(name, spec)
        };
        targets.into_iter().map(policy).collect()
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

    /// Whom a policy is for, and what its name ends with: whom its selector selects, or each of the
    /// gateways that it names.
    pub(super) fn targets(
        &mut self,
        value: &Value<'_>,
        fields: &mut Fields<'_>,
        metadata: &Metadata,
    ) -> Vec<(String, Option<Selector>)> {
        let selector = fields.take("selector");
        let (one, several) = (fields.take("targetRef"), fields.take("targetRefs"));
        let references: Vec<_> = one
            .into_iter()
            .chain(several.iter().flat_map(|list| self.reader.items(list)))
            .collect();
        if references.is_empty() {
            let selector = selector.and_then(|value| self.labels_of(&value));
            return vec![(String::new(), self.scope(selector, metadata))];
        }
        if selector.is_some() {
            self.reader
                .fault(value, "has both a selector and `targetRefs`");
        }
        let is_alone = references.len() == 1;
        let names: Vec<_> = references
            .iter()
            .filter_map(|reference| self.gateway(reference))
            .collect();
        let places = names.into_iter().enumerate();
        places
            .map(|(index, name)| {
                let label = (GATEWAY_LABEL.to_owned(), name);
                let selector = Selector {
                    match_labels: [label].into(),
                };
                let suffix = if is_alone {
                    String::new()
                } else {
                    format!("/{index}")
                };
                // One of the root namespace is for the gateways of that namespace alone.
                (suffix, metadata.origin.selector(Some(selector)))
            })
            .collect()
    }

    /// The name of a gateway whose workloads a policy is for.
    fn gateway(&mut self, reference: &Value<'_>) -> Option<String> {
        let known = ["group", "kind", "name", "namespace"];
        let mut fields = self.reader.mapping(reference, &known);
        let text =
            |value: Option<Value<'_>>| value.and_then(|value| value.as_text().map(str::to_owned));
        let (group, namespace) = (text(fields.take("group")), text(fields.take("namespace")));
        let kind = self.reader.required(reference, &mut fields, "kind")?;
        let name = self.reader.required(reference, &mut fields, "name")?;
        let (kind, name) = (self.reader.text(&kind), self.reader.text(&name));
        if group.as_deref() != Some("gateway.networking.k8s.io") || kind != "Gateway" {
            let message = format!("not supported: {kind}: waypoints of services are not known");
            self.reader.fault(reference, message);
        }
        if namespace.is_some_and(|namespace| !namespace.is_empty()) {
            self.reader
                .fault(reference, "a policy is for gateways of its own namespace");
        }
        Some(name)
    }

    /// A selector within the namespace of the policy; one of the root namespace is for all.
    fn scope(&self, selector: Option<Selector>, metadata: &Metadata) -> Option<Selector> {
        let is_root = metadata.origin.namespace.as_deref() == Some(&*self.options.root_namespace);
        if is_root {
            selector
        } else {
            metadata.origin.selector(selector)
        }
    }

    /// `None` if it selects every workload.
    fn labels_of(&mut self, value: &Value<'_>) -> Option<Selector> {
        let mut fields = self.reader.mapping(value, &["matchLabels"]);
        let labels = fields.take("matchLabels")?;
        let mut selector = Selector::default();
        for (label, value) in self.reader.entries(&labels) {
            let text = self.reader.text(&value);
            if label == NAMESPACE_LABEL {
                let message = "stands for the namespace here, and for a label of the pod there";
                self.reader.fault(&value, message);
            }
            selector.match_labels.insert(label.to_owned(), text);
        }
        (!selector.match_labels.is_empty()).then_some(selector)
    }

    /// The rule, or one for each sender where they ask for what no one key says.
    fn istio_rule(&mut self, value: &Value<'_>, action: Action, metadata: &Metadata) -> Vec<Rule> {
        let mut fields = self.reader.mapping(value, &["from", "to", "when"]);
        let from = self.reader.list(fields.take("from"));
        let from = from
            .iter()
            .map(|value| self.istio_from(value, action, metadata))
            .collect();
        let to = self.reader.list(fields.take("to"));
        let to = to
            .iter()
            .map(|value| self.istio_to(value, action))
            .collect();
        let when = self.reader.list(fields.take("when"));
        let when = when
            .iter()
            .map(|value| self.istio_condition(value, action, metadata))
            .collect();
        let mut rules = rules_of(from, to, when);
        if rules.iter().any(asks_token) {
            let message = "a token is known where a RequestAuthentication is in force, and what is \
                           asked of it is decided against the request elsewhere";
            self.note(value, message);
        }
        if rules.iter().any(asks_told) {
            let message = "`underseal proxy` has to be given `--trusted-proxies`, with the blocks of those \
                           proxies that Istio trusts: without it, who is behind a proxy is not known";
            self.note(value, message);
        }
        if action == Action::Allow && rules.iter().any(asks_http) {
            let others = rules.iter_mut().filter(|rule| !is_of_http(rule));
            others.for_each(ask_http);
        }
        rules
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
            if (key == "paths" && action == Action::Deny)
                || (key == "notPaths" && action == Action::Allow)
            {
                self.note_operators(list.as_ref());
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

    /// What the operators of a template do not take there is denied here.
    fn note_operators(&mut self, list: Option<&Value<'_>>) {
        if let Some(list) = list.filter(|list| list.any_text(|text| text.contains('{'))) {
            let message = "`{*}` and `{**}` take no `*` and no `=` there, and here what has one in \
                           their place is denied";
            self.narrow(list, message);
        }
    }

    /// A host with a port is denied where the host alone is.
    fn note_ports(&mut self, list: Option<&Value<'_>>) {
        let has_port = |text: &str| text.ends_with('*') || text.contains(':');
        if let Some(list) = list.filter(|list| list.any_text(|text| !has_port(text))) {
            let message =
                "a host with a port is denied here where the host alone is, and not there";
            self.narrow(list, message);
        }
    }
}

fn rules_of(from: Vec<Sender>, to: Vec<To>, when: Vec<Condition>) -> Vec<Rule> {
    let rule = Rule {
        to,
        when,
        ..Rule::default()
    };
    if from.iter().all(|sender| sender.when.is_empty()) {
        let from = from
            .into_iter()
            .map(|Sender { source, .. }| From { source });
        return vec![Rule {
            from: from.collect(),
            ..rule
        }];
    }
    let rules = from.into_iter().map(|Sender { source, when }| {
        let mut rule = rule.clone();
        if source != Source::default() {
            rule.from.push(From { source });
        }
        rule.when.extend(when);
        rule
    });
    rules.collect()
}

/// Whether the rule, or an alternative of it, asks for something that is known of HTTP only. Such a
/// rule allows nothing else there.
fn asks_http(rule: &Rule) -> bool {
    rule.from.iter().any(source_asks_http)
        || rule.to.iter().any(operation_asks_http)
        || rule.when.iter().any(condition_asks_http)
}

/// Whether each alternative of the rule does.
fn is_of_http(rule: &Rule) -> bool {
    (!rule.from.is_empty() && rule.from.iter().all(source_asks_http))
        || (!rule.to.is_empty() && rule.to.iter().all(operation_asks_http))
        || rule.when.iter().any(condition_asks_http)
}

fn source_asks_http(From { source }: &From) -> bool {
    !source.request_principals.is_empty() || !source.not_request_principals.is_empty()
}

fn asks_token(rule: &Rule) -> bool {
    let of_token = |when: &Condition| when.key.starts_with("request.auth.");
    rule.from.iter().any(source_asks_http) || rule.when.iter().any(of_token)
}

/// Whether the rule asks for an address that other proxies tell.
fn asks_told(rule: &Rule) -> bool {
    let told = RemoteIp::Told.key();
    rule.when.iter().any(|when| Some(&*when.key) == told)
}

fn condition_asks_http(when: &Condition) -> bool {
    Key::parse(&when.key).is_ok_and(|key| key.is_of_http())
}

fn operation_asks_http(To { operation }: &To) -> bool {
    let Operation {
        ports, not_ports, ..
    } = operation;
    *operation
        != Operation {
            ports: ports.clone(),
            not_ports: not_ports.clone(),
            ..Operation::default()
        }
}

/// Makes each alternative one of HTTP: every request has a method.
fn ask_http(rule: &mut Rule) {
    if rule.to.is_empty() {
        rule.to.push(To::default());
    }
    for to in &mut rule.to {
        if !operation_asks_http(to) {
            to.operation.methods.push("*".to_owned());
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
