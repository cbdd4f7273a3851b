//! Istio's AuthorizationPolicy: the keys are the same, identities lack their scheme there, and the
//! root namespace is everybody's.

use super::{Conversion, Origin};
use crate::load::Value;
use crate::model::Spec;

/// Where policies for the whole mesh are kept, unless an operator has said otherwise.
const ROOT_NAMESPACE: &str = "istio-system";

impl Conversion<'_> {
    /// The spec of a policy. Keys that are known to Istio alone (JWT, providers, gateways, the
    /// addresses of X-Forwarded-For) are faults, by their name.
    pub(super) fn istio(&mut self, value: Option<Value<'_>>, origin: &Origin) -> Spec {
        let spec = value.map(|value| self.reader.spec(&value));
        let mut spec = spec.unwrap_or_default();
        for rule in &mut spec.rules {
            for from in &mut rule.from {
                let source = &mut from.source;
                let lists = [&mut source.principals, &mut source.not_principals];
                lists.into_iter().flatten().for_each(add_scheme);
            }
            let conditions = rule.when.iter_mut();
            for condition in conditions.filter(|when| when.key == "source.principal") {
                let lists = [&mut condition.values, &mut condition.not_values];
                lists.into_iter().flatten().for_each(add_scheme);
            }
        }
        if origin.namespace.as_deref() == Some(ROOT_NAMESPACE) {
            return spec;
        }
        origin.scope(spec)
    }
}

/// `cluster.local/ns/a/sa/b` is a SPIFFE ID without scheme; what begins with `*` is the end of one.
fn add_scheme(principal: &mut String) {
    if !principal.is_empty() && !principal.starts_with('*') {
        principal.insert_str(0, "spiffe://");
    }
}
