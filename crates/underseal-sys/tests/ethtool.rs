//! Features of interfaces, compared with what the program ethtool prints.

use std::process::Command;

use underseal_sys::ethtool::{Feature, Features, features, interfaces};

/// The lines of `ethtool -k` that have the kernel's own names, which are among ours.
fn compared(interface: &str, ours: &Features) -> Vec<(String, Feature, Feature)> {
    let output = Command::new("ethtool")
        .args(["-k", interface])
        .output()
        .expect("ethtool runs; on Debian the package `ethtool` has it");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = printed
        .lines()
        .filter_map(|line| line.trim().split_once(": "));
    let known = lines.filter(|(name, _)| ours.get(name) != Feature::Unknown);
    let theirs = |state: &str| match state {
        state if state.starts_with("on") => Feature::On,
        "off [fixed]" => Feature::Fixed,
        _ => Feature::Off,
    };
    known
        .map(|(name, state)| (name.to_owned(), theirs(state), ours.get(name)))
        .collect()
}

#[test]
fn every_feature_is_what_ethtool_says() {
    for interface in interfaces().expect("/proc/net/dev") {
        let ours = features(&interface).expect("an interface has features");
        let compared = compared(&interface, &ours);
        assert!(compared.len() > 20, "{interface}: {compared:?}");
        assert!(compared.iter().any(|(_, _, ours)| *ours == Feature::On));
        for (name, theirs, ours) in compared {
            assert_eq!(ours, theirs, "{interface}: {name}");
        }
    }
}

#[test]
fn interfaces_are_those_of_sysfs() {
    let mut listed = Vec::new();
    for entry in std::fs::read_dir("/sys/class/net").expect("sysfs") {
        let entry = entry.expect("an entry of sysfs");
        // Files there, such as bonding_masters, are no interfaces.
        if entry.path().join("ifindex").exists() {
            listed.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    listed.sort();
    let mut ours = interfaces().expect("/proc/net/dev");
    ours.sort();
    assert_eq!(ours, listed);
}
