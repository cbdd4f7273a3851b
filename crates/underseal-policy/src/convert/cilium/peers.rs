//! Who may send or be sent to.

use super::identity::Identity;
use super::{Rule, Section, TrafficDirection};
use crate::convert::block::block;
use crate::convert::{Conversion, Origin};
use crate::load::{Fields, Value};
use crate::model::{Action, Condition, From, Source};
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
        item: &Value<'_>,
        fields: &mut Fields<'_>,
        section: &Section,
        origin: &Origin,
    ) -> Option<Vec<Rule>> {
        let keys = match section.direction {
            TrafficDirection::Ingress => {
                ["fromEndpoints", "fromEntities", "fromCIDR", "fromCIDRSet"]
            }
            TrafficDirection::Egress => ["toEndpoints", "toEntities", "toCIDR", "toCIDRSet"],
        };
        let [endpoints, entities, blocks, sets] = keys.map(|key| fields.take(key));
        let lists = [&endpoints, &entities, &blocks, &sets];
        match lists.iter().filter(|list| list.is_some()).count() {
            0 => return None,
            1 => {}
            _ => {
                let message = "Cilium takes one kind of peers in an item, and no such policy";
                self.reader.fault(item, message);
            }
        }
        let mut peers = Vec::new();
        for endpoint in self.reader.list(endpoints) {
            if let Some(identity) = self.identity(&endpoint, section, origin) {
                peers.extend(by_identity(identity, section));
                if section.action == Action::Deny {
                    let message = "a peer that proves no identity of the cluster is denied as well";
                    self.narrow(&endpoint, message);
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
        self.values(
            list,
            |_, text| block(text),
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
        let cidr = self.reader.required(value, &mut fields, "cidr")?;
        let text = self.reader.text(&cidr);
        let except = self.blocks(fields.take("except"));
        match block(&text) {
            Ok(inside) => self.beyond_cluster(value, inside, except),
            Err(message) => {
                if !text.is_empty() {
                    self.reader.fault(&cidr, message);
                }
                None
            }
        }
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
}

/// A rule, and for what denies one more: who proves no identity that tells a namespace may be the
/// peer.
fn by_identity(identity: Identity, section: &Section) -> Vec<Rule> {
    let Identity {
        principals,
        told,
        labels,
    } = identity;
    let mut rules = match section.direction {
        TrafficDirection::Ingress => vec![
            from(Source {
                principals,
                ..Source::default()
            }),
            from(Source {
                not_principals: told,
                ..Source::default()
            }),
        ],
        TrafficDirection::Egress => {
            const KEY: &str = "destination.principal";
            vec![
                when(KEY, principals, Vec::new()),
                when(KEY, Vec::new(), told),
            ]
        }
    };
    if section.action != Action::Deny {
        rules.truncate(1);
    }
    for rule in &mut rules {
        rule.when.extend(labels.iter().cloned());
    }
    rules
}

fn by_address(blocks: Blocks, section: &Section) -> Rule {
    match section.direction {
        TrafficDirection::Ingress => from(Source {
            ip_blocks: blocks.inside,
            not_ip_blocks: blocks.outside,
            ..Source::default()
        }),
        TrafficDirection::Egress => when("destination.ip", blocks.inside, blocks.outside),
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
