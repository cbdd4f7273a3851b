//! Network interfaces: what they can do to TLS records.

use underseal_sys::ethtool::{self, Feature};
use underseal_sys::{Errno, errno_name};

use super::report::{Answer, Column, Entry, Finding, Grid, Outcome, Section};

/// The kernel's name of each feature, in the order of [`COLUMNS`].
const FEATURES: [&str; 3] = ["tls-hw-tx-offload", "tls-hw-rx-offload", "tls-hw-record"];

const COLUMNS: [Column; 3] = [
    Column::new("tls_hw_tx_offload", "send"),
    Column::new("tls_hw_rx_offload", "receive"),
    Column::new("tls_hw_record", "TCP and TLS"),
];

/// Asks every interface.
pub(super) fn probe() -> Section {
    let interfaces = ethtool::interfaces();
    let asked = interfaces.map(|names| {
        let ask = |name: String| {
            let features = ethtool::features(&name);
            let get = |feature| features.as_ref().map(|found| found.get(feature));
            let found = FEATURES.map(|feature| get(feature).map_err(|errno| *errno));
            (name, found)
        };
        names.into_iter().map(ask).collect()
    });
    section(asked)
}

/// An interface, and what was said of each of [`FEATURES`].
pub(super) type Asked = (String, [Result<Feature, Errno>; 3]);

pub(super) fn section(asked: Result<Vec<Asked>, Errno>) -> Section {
    let entry = match asked {
        Ok(asked) => Entry::Grid(Grid {
            key: "interfaces",
            title: "interfaces",
            columns: COLUMNS.into(),
            rows: asked.into_iter().map(row).collect(),
        }),
        Err(errno) => Entry::Finding(Finding {
            key: "interfaces",
            subject: "interfaces",
            outcome: Outcome::said(Answer::CannotTell, errno_name(errno))
                .or_fix("mount proc on /proc"),
        }),
    };
    Section {
        key: "nic_tls",
        title: "NIC TLS (AES-GCM under TLS 1.2, beneath kernel TLS)",
        entries: vec![entry],
    }
}

fn row((interface, found): Asked) -> (String, Vec<Outcome>) {
    let outcomes = FEATURES
        .iter()
        .zip(found)
        .map(|(feature, found)| match found {
            Ok(found) => outcome(&interface, feature, found),
            Err(errno) => Outcome::said(Answer::CannotTell, errno_name(errno)),
        });
    let outcomes = outcomes.collect();
    (interface, outcomes)
}

fn outcome(interface: &str, feature: &str, found: Feature) -> Outcome {
    match found {
        Feature::On => Outcome::YES,
        Feature::Off => Outcome::said(Answer::No, "off")
            .or_fix(format!("as root: ethtool -K {interface} {feature} on")),
        Feature::Fixed => Outcome::said(Answer::No, "not in the driver"),
        Feature::Unknown => Outcome::said(Answer::No, "not in this kernel"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_off_can_be_turned_on() {
        let asked = (
            "eth7".to_owned(),
            [Ok(Feature::Off), Ok(Feature::Fixed), Ok(Feature::On)],
        );
        let (name, outcomes) = row(asked);
        assert_eq!(name, "eth7");
        let fix = outcomes[0].fix.as_deref();
        assert_eq!(fix, Some("as root: ethtool -K eth7 tls-hw-tx-offload on"));
        assert_eq!((outcomes[1].answer, &outcomes[1].fix), (Answer::No, &None));
        assert_eq!(outcomes[2], Outcome::YES);
    }

    #[test]
    fn what_could_not_be_asked_cannot_be_told() {
        let (_, outcomes) = row(("gone".to_owned(), [Err(Errno::NODEV); 3]));
        let expected = Outcome::said(Answer::CannotTell, "ENODEV");
        assert_eq!(outcomes, vec![expected; 3]);
        let section = section(Err(Errno::NOENT));
        let [Entry::Finding(finding)] = section.entries.as_slice() else {
            panic!("{section:?}");
        };
        assert_eq!(finding.outcome.answer, Answer::CannotTell);
        assert!(finding.outcome.fix.is_some());
    }

    #[test]
    fn this_machines_loopback_interface_is_asked() {
        let section = probe();
        let [Entry::Grid(grid)] = section.entries.as_slice() else {
            panic!("{section:?}");
        };
        let lo = grid.rows.iter().find(|(name, _)| name == "lo").unwrap();
        let fixed = Outcome::said(Answer::No, "not in the driver");
        assert_eq!(lo.1[..2], [fixed.clone(), fixed]);
    }
}
