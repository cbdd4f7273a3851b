//! Whether Cilium asks a peer for a proof of who it is, written from its source: `authPreferredInsert`
//! and `lookup` of `pkg/policy/mapstate.go`, `__policy_check` of `bpf/lib/policy.h`. It is asked for an
//! entry of a map of identities and ports, to which every item that allows adds, whatever it asks of
//! HTTP. Later releases put an entry with rules of HTTP before one without, which only takes proofs
//! away where what requires one names endpoints.

use serde_json::Value;

use crate::cluster::{Sent, length, list};

/// What an entry says of proofs; the later of two that are said wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    Disabled,
    Required,
    AlwaysFail,
}

/// What an item adds for one peer and port.
struct Entry {
    /// For all peers at once, or for each of those that it selects.
    is_of_all: bool,
    /// How much of protocol and port is written out.
    length: u8,
    said: Option<Mode>,
}

impl Entry {
    /// `None` if the item is not about what is sent.
    fn of(item: &Value, sent: &Sent) -> Option<Self> {
        let said = item["authentication"]["mode"]
            .as_str()
            .map(|mode| match mode {
                "required" => Mode::Required,
                "test-always-fail" => Mode::AlwaysFail,
                _ => Mode::Disabled,
            });
        Some(Self {
            is_of_all: is_of_all(item),
            length: length(&item["toPorts"], sent)?,
            said,
        })
    }
}

fn is_of_all(item: &Value) -> bool {
    let names = |key: &str| !item[key].is_null();
    let entities = list(&item["fromEntities"]);
    let mut entities = entities.iter().chain(list(&item["toEntities"]));
    let kinds = ["Endpoints", "Entities", "CIDR", "CIDRSet"];
    let mut kinds = kinds
        .iter()
        .map(|kind| names(&format!("from{kind}")) || names(&format!("to{kind}")));
    entities.any(|entity| entity == "all") || !kinds.any(|is_named| is_named)
}

/// What is asked of a peer that all of these items are about.
pub(crate) fn asked(items: &[&Value], sent: &Sent) -> Mode {
    let entries: Vec<_> = items
        .iter()
        .filter_map(|item| Entry::of(item, sent))
        .collect();
    let of_peer = chosen(entries.iter().filter(|entry| !entry.is_of_all));
    let of_all = chosen(entries.iter().filter(|entry| entry.is_of_all));
    let (first, second) = match (of_peer, of_all) {
        (None, None) => return Mode::Disabled,
        (Some(one), None) | (None, Some(one)) => return one.mode,
        // The one that says more of the port; of two that say the same, that of the peer.
        (Some(peer), Some(all)) if all.length > peer.length => (all, peer),
        (Some(peer), Some(all)) => (peer, all),
    };
    if first.is_said {
        first.mode
    } else {
        first.mode.max(second.mode)
    }
}

struct Chosen {
    length: u8,
    is_said: bool,
    mode: Mode,
}

/// Of entries for the same peers: the longest, which takes over what the longest says that says
/// something.
fn chosen<'e>(entries: impl Iterator<Item = &'e Entry> + Clone) -> Option<Chosen> {
    let length = entries.clone().map(|entry| entry.length).max()?;
    let said = entries.filter_map(|entry| Some((entry.length, entry.said?)));
    let said = said.max();
    Some(Chosen {
        length,
        is_said: said.is_some_and(|(of, _)| of == length),
        mode: said.map_or(Mode::Disabled, |(_, mode)| mode),
    })
}
