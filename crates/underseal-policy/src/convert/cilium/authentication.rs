//! Whether peers have to prove who they are.

use super::{Section, TrafficDirection};
use crate::convert::Conversion;
use crate::convert::proof::{Allowing, PortSet, Proof};
use crate::load::{Location, Value};
use crate::model::{Action, Rule, Spec};

impl Conversion<'_> {
    /// Here peers always have to, where a rule asks who they are.
    pub(super) fn authentication(
        &mut self,
        item: &Value<'_>,
        value: &Value<'_>,
        section: &Section,
    ) {
        let mut fields = self.reader.mapping(value, &["mode"]);
        let mode = self.reader.required(value, &mut fields, "mode");
        let modes = [("required", true), ("disabled", false)];
        let is_required = mode.and_then(|mode| self.reader.word(&mode, &modes));
        let endpoints = ["fromEndpoints", "toEndpoints"];
        let message = if section.action == Action::Deny {
            "not supported: what denies asks for no proof in Cilium"
        } else if is_required == Some(true) && endpoints.iter().all(|key| item.get(key).is_none()) {
            "not supported: a proof of those that no endpoints name"
        } else {
            return;
        };
        self.reader.fault(value, message);
    }

    /// Remembers an item, whose rules are those of `spec`, for what other items require.
    pub(super) fn remember(&mut self, item: &Value<'_>, spec: Spec, rules: &[Rule]) {
        let authentication = item.get("authentication");
        let mode = authentication.as_ref().and_then(|value| value.get("mode"));
        let (place, proof) = match mode {
            Some(mode) if mode.as_text() == Some("required") => (mode, Proof::Required),
            _ if allows_unproven(item, spec.direction) => (item.clone(), Proof::Missing),
            _ => return,
        };
        self.allowing.push(Allowing {
            location: Location::of(place.node.referenced),
            path: place.path,
            spec,
            ports: PortSet::of(rules),
            proof,
        });
    }
}

/// Whether pods are allowed by their address, or with everybody. The node and the world are no pods.
fn allows_unproven(item: &Value<'_>, direction: TrafficDirection) -> bool {
    let keys = match direction {
        TrafficDirection::Ingress => ["fromEntities", "fromEndpoints", "fromCIDR", "fromCIDRSet"],
        TrafficDirection::Egress => ["toEntities", "toEndpoints", "toCIDR", "toCIDRSet"],
    };
    let [entities, others @ ..] = keys.map(|key| item.get(key));
    match entities {
        Some(entities) => entities.any_text(|entity| matches!(entity, "all" | "cluster")),
        None => others.iter().all(Option::is_none),
    }
}
