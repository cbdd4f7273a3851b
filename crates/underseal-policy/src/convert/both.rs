//! Policies of Istio and of Cilium for the same workloads: there both have to allow, and here one that
//! allows is enough.

use super::{Document, Misread};
use crate::model::{Action, Selector, Spec};

/// Refuses what Cilium allows to workloads for which Istio allows something, too. Of what is refused
/// already, nobody knows what it says.
pub(super) fn refuse_both(documents: &mut [Document]) {
    let of_istio = documents.iter().filter(|document| {
        let is_kept = document.errors.is_empty();
        is_kept && !is_of_cilium(document)
    });
    let of_istio: Vec<_> = of_istio.flat_map(allowing).cloned().collect();
    for document in documents
        .iter_mut()
        .filter(|document| is_of_cilium(document))
    {
        let meets = allowing(document).any(|own| of_istio.iter().any(|other| meet(own, other)));
        if meets {
            let message = "not supported: Istio allows something for the same workloads, and there \
                           both have to allow: convert one of them, and say the other by hand";
            let fault = Misread {
                location: document.location,
                path: String::new(),
                message: message.to_owned(),
            };
            document.errors.push(fault.error(&document.file));
        }
    }
}

fn is_of_cilium(document: &Document) -> bool {
    document.kind.starts_with("Cilium")
}

fn allowing(document: &Document) -> impl Iterator<Item = &Spec> {
    let specs = document.policies.iter().map(|policy| &policy.spec);
    specs.filter(|spec| spec.action == Action::Allow)
}

/// Whether both may be for one workload.
pub(super) fn meet(one: &Spec, other: &Spec) -> bool {
    one.direction == other.direction
        && one
            .selector
            .iter()
            .zip(&other.selector)
            .all(|(one, other)| !differ(one, other))
}

/// Whether no workload has the labels of both.
fn differ(one: &Selector, other: &Selector) -> bool {
    let mut labels = one.match_labels.iter();
    labels.any(|(label, value)| {
        let other = other.match_labels.get(label);
        other.is_some_and(|other| other != value)
    })
}
