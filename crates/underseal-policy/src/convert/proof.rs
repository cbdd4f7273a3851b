//! Proofs that Cilium asks of peers. An item that requires one requires it of its peers for its ports,
//! whichever item allows them; here every rule is read for itself.

use super::Document;
use super::both::meet;
use crate::load::{LoadError, Location};
use crate::model::{Rule, Spec};

/// An item that allows something, as far as it matters to proofs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allowing {
    pub(super) location: Location,
    pub(super) path: String,
    /// For which workloads, and which way. Its rules are elsewhere.
    pub(super) spec: Spec,
    pub(super) ports: PortSet,
    pub(super) proof: Proof,
}

/// The ports that rules are about, whatever carries them: ranges are long, and each item is compared
/// with many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PortSet {
    All,
    /// A bit for each.
    These(Box<[u64; 1024]>),
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
        items.map(|item| (document.name.clone(), item.clone()))
    });
    let missing: Vec<_> = missing.collect();
    for document in documents {
        let items = document.allowing.iter();
        let required = items.filter(|item| item.proof == Proof::Required);
        let errors = required.filter_map(|item| {
            let mut missing = missing.iter();
            let (name, _) = missing.find(|(_, other)| is_same(item, other))?;
            Some(LoadError {
                file: document.file.clone(),
                location: item.location,
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
fn is_same(one: &Allowing, other: &Allowing) -> bool {
    meet(&one.spec, &other.spec) && one.ports.meet(&other.ports)
}

impl PortSet {
    pub(super) fn of(rules: &[Rule]) -> Self {
        let mut these = Box::new([0; 1024]);
        for rule in rules {
            let ports = ports(rule);
            if ports.is_empty() {
                return Self::All;
            }
            for port in ports {
                let Ok(port) = port.parse::<u16>() else {
                    return Self::All;
                };
                these[usize::from(port / 64)] |= 1 << (port % 64);
            }
        }
        Self::These(these)
    }

    fn meet(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, Self::All) => true,
            (Self::All, Self::These(these)) | (Self::These(these), Self::All) => {
                these.iter().any(|bits| *bits != 0)
            }
            (Self::These(one), Self::These(other)) => {
                let mut pairs = one.iter().zip(&**other);
                pairs.any(|(one, other)| one & other != 0)
            }
        }
    }
}

/// None for all. What carries them is not looked at.
fn ports(rule: &Rule) -> &[String] {
    match &*rule.to {
        [to] => &to.operation.ports,
        _ => &[],
    }
}
