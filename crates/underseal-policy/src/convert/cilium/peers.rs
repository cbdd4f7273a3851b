//! Who may send or be sent to.

use super::{Direction, NAMESPACE_LABEL, Rule, SERVICE_ACCOUNT_LABEL, Section, TOLD_LABELS};
use crate::convert::{Conversion, Origin};
use crate::load::{Fields, Value};
use crate::model::{Action, Condition, From, Source};
use crate::pattern;
use crate::validate::check_value;

/// Addresses that a peer must have, and must not have.
#[derive(Default)]
struct Blocks {
    inside: Vec<String>,
    outside: Vec<String>,
}

const CLUSTER: &str = "the addresses of pods and nodes are not known: give `--cluster-block`";
const HOST: &str = "the addresses of the node are not known: give `--host-block`";

impl Conversion<'_> {
    /// For each peer a rule that asks for it alone; `None` if the item names no peers.
    pub(super) fn peers(
        &mut self,
        fields: &mut Fields<'_>,
        section: &Section,
        origin: &Origin,
    ) -> Option<Vec<Rule>> {
        let keys = match section.direction {
            Direction::Ingress => ["fromEndpoints", "fromEntities", "fromCIDR", "fromCIDRSet"],
            Direction::Egress => ["toEndpoints", "toEntities", "toCIDR", "toCIDRSet"],
        };
        let [endpoints, entities, blocks, sets] = keys.map(|key| fields.take(key));
        let lists = [&endpoints, &entities, &blocks, &sets];
        if lists.iter().all(|list| list.is_none()) {
            return None;
        }
        let mut peers = Vec::new();
        for endpoint in self.reader.list(endpoints) {
            if let Some(principal) = self.principal(&endpoint, origin) {
                peers.extend(by_principal(principal, section));
                if section.action == Action::Deny {
                    self.narrow(
                        &endpoint,
                        "a peer that proves no identity is denied as well",
                    );
                }
            }
        }
        let mut addresses = Vec::new();
        for entity in self.reader.list(entities) {
            match self.entity(&entity) {
                Some(Some(blocks)) => addresses.push(blocks),
                Some(None) => peers.push(Rule::default()),
                None => {}
            }
        }
        if let Some(list) = &blocks {
            let inside = self.blocks(Some(list.clone()));
            addresses.extend(self.beyond_cluster(list, inside, Vec::new()));
        }
        for set in self.reader.list(sets) {
            addresses.extend(self.set(&set));
        }
        peers.extend(
            addresses
                .into_iter()
                .map(|blocks| by_address(blocks, section)),
        );
        Some(peers)
    }

    fn blocks(&mut self, list: Option<Value<'_>>) -> Vec<String> {
        let written = |text: &str| Ok(vec![pattern::read_block(text)?.trunc().to_string()]);
        self.values(
            list,
            |_, text| written(text),
            |text| check_value("ipBlocks", text),
        )
    }

    /// A block of addresses never holds what Cilium knows better: a pod, or a node.
    fn beyond_cluster(
        &mut self,
        value: &Value<'_>,
        inside: Vec<String>,
        mut outside: Vec<String>,
    ) -> Option<Blocks> {
        let options = self.options;
        if options.cluster_blocks.is_empty() {
            let message = format!("a block is never of pods and nodes there, and {CLUSTER}");
            self.reader.fault(value, message);
            return None;
        }
        outside.extend(options.cluster_blocks.iter().cloned());
        outside.extend(options.host_blocks.iter().cloned());
        Some(Blocks { inside, outside })
    }

    /// A block with exceptions.
    fn set(&mut self, value: &Value<'_>) -> Option<Blocks> {
        let mut fields = self.reader.mapping(value, &["cidr", "except"]);
        let block = self.reader.required(value, &mut fields, "cidr")?;
        let text = self.reader.text(&block);
        let inside = match pattern::read_block(&text) {
            Ok(block) => block.trunc().to_string(),
            Err(message) => {
                self.reader.fault(&block, message);
                return None;
            }
        };
        let except = self.blocks(fields.take("except"));
        self.beyond_cluster(value, vec![inside], except)
    }

    /// The addresses of an entity; `Some(None)` for all.
    fn entity(&mut self, value: &Value<'_>) -> Option<Option<Blocks>> {
        let options = self.options;
        let (cluster, host) = (&options.cluster_blocks, &options.host_blocks);
        let text = self.reader.text(value);
        let (needed, what, blocks) = match &*text {
            "all" => return Some(None),
            "world" => {
                let outside = cluster.iter().chain(host).cloned().collect();
                let inside = Vec::new();
                (cluster, CLUSTER, Blocks { inside, outside })
            }
            "cluster" => {
                let inside = cluster.iter().chain(host).cloned().collect();
                let outside = Vec::new();
                (cluster, CLUSTER, Blocks { inside, outside })
            }
            "host" => {
                let inside = host.clone();
                let outside = Vec::new();
                (host, HOST, Blocks { inside, outside })
            }
            other => {
                let message = format!(
                    "not supported: the entity `{other}`; there are `all`, `world`, `cluster` and \
                     `host`"
                );
                self.reader.fault(value, message);
                return None;
            }
        };
        if needed.is_empty() {
            self.reader.fault(value, what);
            return None;
        }
        Some(Some(blocks))
    }

    /// The pattern of the SPIFFE IDs of a peer.
    fn principal(&mut self, endpoint: &Value<'_>, origin: &Origin) -> Option<String> {
        let mut namespace = origin.namespace.clone();
        let mut account = None;
        let before = self.reader.faults.len();
        for (label, value) in self.labels(endpoint) {
            let text = self.reader.text(&value);
            let slot = match label.as_str() {
                NAMESPACE_LABEL => &mut namespace,
                SERVICE_ACCOUNT_LABEL => &mut account,
                _ => {
                    let told = TOLD_LABELS.join(" and ");
                    let message = format!("a SPIFFE ID does not tell this label; it tells {told}");
                    self.reader.fault(&value, message);
                    continue;
                }
            };
            if let Err(message) = check_value("namespaces", &text) {
                self.reader.fault(&value, message);
            }
            *slot = Some(text);
        }
        let Some(domain) = &self.options.trust_domain else {
            let message = "a peer has the trust domain of the cluster: give `--trust-domain`";
            self.reader.fault(endpoint, message);
            return None;
        };
        let principal = match (namespace, account) {
            (None, None) => format!("spiffe://{domain}/*"),
            (Some(namespace), None) => format!("spiffe://{domain}/ns/{namespace}/*"),
            (Some(namespace), Some(account)) => {
                format!("spiffe://{domain}/ns/{namespace}/sa/{account}")
            }
            (None, Some(_)) => {
                self.reader
                    .fault(endpoint, "names a service account of no namespace");
                return None;
            }
        };
        if self.reader.faults.len() > before {
            return None;
        }
        if let Err(message) = check_value("principals", &principal) {
            self.reader.fault(endpoint, message);
            return None;
        }
        Some(principal)
    }
}

/// A rule, and for what denies one more: who proves no identity may be the peer.
fn by_principal(principal: String, section: &Section) -> Vec<Rule> {
    let mut rules = Vec::new();
    let anybody = "*".to_owned();
    match section.direction {
        Direction::Ingress => {
            rules.push(from(Source {
                principals: vec![principal],
                ..Source::default()
            }));
            rules.push(from(Source {
                not_principals: vec![anybody],
                ..Source::default()
            }));
        }
        Direction::Egress => {
            const KEY: &str = "destination.principal";
            rules.push(when(KEY, vec![principal], Vec::new()));
            rules.push(when(KEY, Vec::new(), vec![anybody]));
        }
    }
    if section.action != Action::Deny {
        rules.truncate(1);
    }
    rules
}

fn by_address(blocks: Blocks, section: &Section) -> Rule {
    match section.direction {
        Direction::Ingress => from(Source {
            ip_blocks: blocks.inside,
            not_ip_blocks: blocks.outside,
            ..Source::default()
        }),
        Direction::Egress => when("destination.ip", blocks.inside, blocks.outside),
    }
}

fn from(source: Source) -> Rule {
    Rule {
        from: vec![From { source }],
        ..Rule::default()
    }
}

fn when(key: &str, values: Vec<String>, not_values: Vec<String>) -> Rule {
    let condition = Condition {
        key: key.to_owned(),
        values,
        not_values,
    };
    Rule {
        when: vec![condition],
        ..Rule::default()
    }
}
