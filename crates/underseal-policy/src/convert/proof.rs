//! Proofs that Cilium asks of peers. An item that requires one requires it of its peers for its ports,
//! whichever item allows them; here every rule is read for itself.

use super::Document;
use super::both::meet;
use crate::load::{LoadError, Place};
use crate::model::{Rule, Spec};

/// An item that allows something, as far as it matters to proofs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allowing {
    pub(super) place: Place,
    pub(super) path: String,
    /// Its rules, for its workloads.
    pub(super) spec: Spec,
    pub(super) proof: Proof,
}

/// What an item says of proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    Required,
    /// Its rules allow pods that prove nothing.
    Missing,
}

/// Refuses what requires a proof of peers that another item allows without one. Of what is refused
/// already, nobody knows what it says.
pub(super) fn refuse_unproven(documents: &mut [Document]) {
    let kept = documents
        .iter()
        .filter(|document| document.errors.is_empty());
    let missing = kept.flat_map(|document| {
        let items = document.allowing.iter();
        let items = items.filter(|item| item.proof == Proof::Missing);
        items.map(|item| (document.name.clone(), item.spec.clone()))
    });
    let missing: Vec<_> = missing.collect();
    for document in documents {
        let items = document.allowing.iter();
        let required = items.filter(|item| item.proof == Proof::Required);
        let errors = required.filter_map(|item| {
            let mut missing = missing.iter();
            let (name, _) = missing.find(|(_, other)| is_same(&item.spec, other))?;
            Some(LoadError {
                file: document.file.clone(),
                place: item.place,
                path: item.path.clone(),
                message: format!(
                    "not supported: a proof, where `{name}` allows the same peers without one: \
                     there they are asked for it, and here they are not"
                ),
            })
        });
        let errors: Vec<_> = errors.collect();
        document.errors.extend(errors);
    }
}

/// Whether both may be about one connection.
fn is_same(one: &Spec, other: &Spec) -> bool {
    let each = |rule: &Rule| other.rules.iter().any(|other| share_port(rule, other));
    meet(one, other) && one.rules.iter().any(each)
}

fn share_port(one: &Rule, other: &Rule) -> bool {
    let (one, other) = (ports(one), ports(other));
    one.is_empty() || other.is_empty() || one.iter().any(|port| other.contains(port))
}

/// None for all. What carries them is not looked at.
fn ports(rule: &Rule) -> &[String] {
    match &*rule.to {
        [to] => &to.operation.ports,
        _ => &[],
    }
}
