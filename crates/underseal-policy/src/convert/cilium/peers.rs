//! Who may send or be sent to.

use super::{Direction, NAMESPACE_LABEL, Rule, SERVICE_ACCOUNT_LABEL, TOLD_LABELS};
use crate::convert::{Conversion, Origin};
use crate::load::{Fields, Value};
use crate::model::{Condition, From, Source};

impl Conversion<'_> {
    /// For each peer a rule that asks for it alone; `None` if the item names no peers.
    pub(super) fn peers(
        &mut self,
        fields: &mut Fields<'_>,
        direction: Direction,
        origin: &Origin,
    ) -> Option<Vec<Rule>> {
        let keys = match direction {
            Direction::Ingress => ["fromEndpoints", "fromEntities", "fromCIDR"],
            Direction::Egress => ["toEndpoints", "toEntities", "toCIDR"],
        };
        let [endpoints, entities, blocks] = keys.map(|key| fields.take(key));
        if endpoints.is_none() && entities.is_none() && blocks.is_none() {
            return None;
        }
        let mut peers = Vec::new();
        for endpoint in self.reader.list(endpoints) {
            let principal = self.principal(&endpoint, origin);
            peers.extend(principal.map(|principal| by_principal(principal, direction)));
        }
        for entity in self.reader.list(entities) {
            // The other entities are places in a cluster, which a connection does not tell.
            if self.reader.word(&entity, &[("all", ())]).is_some() {
                peers.push(Rule::default());
            }
        }
        let blocks = self.reader.texts(blocks);
        if !blocks.is_empty() {
            peers.push(by_address(blocks, direction));
        }
        Some(peers)
    }

    /// The pattern of the SPIFFE IDs of a peer.
    fn principal(&mut self, endpoint: &Value<'_>, origin: &Origin) -> Option<String> {
        let mut namespace = origin.namespace.clone();
        let mut account = None;
        for (label, value) in self.labels(endpoint) {
            let text = self.reader.text(&value);
            match label.as_str() {
                NAMESPACE_LABEL => namespace = Some(text),
                SERVICE_ACCOUNT_LABEL => account = Some(text),
                _ => {
                    let told = TOLD_LABELS.join(" and ");
                    let message = format!("a SPIFFE ID does not tell this label; it tells {told}");
                    self.reader.fault(&value, message);
                }
            }
        }
        let domain = self.options.trust_domain.as_ref();
        match (domain, namespace, account) {
            (_, None, None) => Some("*".to_owned()),
            (Some(domain), Some(namespace), None) => {
                Some(format!("spiffe://{domain}/ns/{namespace}/*"))
            }
            (Some(domain), Some(namespace), Some(account)) => {
                Some(format!("spiffe://{domain}/ns/{namespace}/sa/{account}"))
            }
            (None, Some(namespace), Some(account)) => {
                Some(format!("*/ns/{namespace}/sa/{account}"))
            }
            (None, Some(_), None) => {
                self.reader.fault(
                    endpoint,
                    "all of a namespace can be told only where the trust domain is given",
                );
                None
            }
            (_, None, Some(_)) => {
                self.reader
                    .fault(endpoint, "names a service account of no namespace");
                None
            }
        }
    }
}

fn by_principal(principal: String, direction: Direction) -> Rule {
    match direction {
        Direction::Ingress => from(Source {
            principals: vec![principal],
            ..Source::default()
        }),
        Direction::Egress => when("destination.principal", vec![principal]),
    }
}

fn by_address(blocks: Vec<String>, direction: Direction) -> Rule {
    match direction {
        Direction::Ingress => from(Source {
            ip_blocks: blocks,
            ..Source::default()
        }),
        Direction::Egress => when("destination.ip", blocks),
    }
}

fn from(source: Source) -> Rule {
    Rule {
        from: vec![From { source }],
        ..Rule::default()
    }
}

fn when(key: &str, values: Vec<String>) -> Rule {
    let condition = Condition {
        key: key.to_owned(),
        values,
        ..Condition::default()
    };
    Rule {
        when: vec![condition],
        ..Rule::default()
    }
}
