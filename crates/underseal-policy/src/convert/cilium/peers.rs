//! Who may send or be sent to.

use super::identity::Identity;
use super::{Direction, Rule, Section};
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
            if let Some(identity) = self.identity(&endpoint, section, origin) {
                peers.extend(by_identity(identity, section));
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
}

/// A rule, and for what denies one more: who proves no identity may be the peer.
fn by_identity(identity: Identity, section: &Section) -> Vec<Rule> {
    let Identity { principals, labels } = identity;
    let anybody = vec!["*".to_owned()];
    let mut rules = match section.direction {
        Direction::Ingress => vec![
            from(Source {
                principals,
                ..Source::default()
            }),
            from(Source {
                not_principals: anybody,
                ..Source::default()
            }),
        ],
        Direction::Egress => {
            const KEY: &str = "destination.principal";
            vec![
                when(KEY, principals, Vec::new()),
                when(KEY, Vec::new(), anybody),
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
