//! Which packages of others may be built: where they are from, under which licence, and which may be there in two
//! versions. Which of them have known faults, nothing here tells: CONTRIBUTING.md, "What is not checked".

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

const SOURCE: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// As the packages say them. A new one is read before it is added: it has to leave a choice that asks for no
/// more than that its text goes along.
const LICENCES: [&str; 22] = [
    "(Apache-2.0 OR MIT) AND BSD-3-Clause",
    "(MIT OR Apache-2.0) AND Unicode-3.0",
    "Apache-2.0",
    "Apache-2.0 / MIT",
    "Apache-2.0 AND ISC",
    "Apache-2.0 OR BSD-3-Clause",
    "Apache-2.0 OR ISC OR MIT",
    "Apache-2.0 OR MIT",
    "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
    "BSD-3-Clause",
    "CC0-1.0 OR MIT-0 OR Apache-2.0",
    "ISC",
    "ISC AND (Apache-2.0 OR ISC)",
    "ISC AND (Apache-2.0 OR ISC) AND Apache-2.0 AND MIT AND BSD-3-Clause AND (Apache-2.0 OR ISC OR MIT) AND \
     (Apache-2.0 OR ISC OR MIT-0)",
    "MIT",
    "MIT AND BSD-3-Clause",
    "MIT OR Apache-2.0",
    "MIT OR Apache-2.0 OR LGPL-2.1-or-later",
    "MIT OR Apache-2.0 OR Zlib",
    "MIT/Apache-2.0",
    "Unlicense OR MIT",
    "Zlib OR Apache-2.0 OR MIT",
];

/// Of which others still want an older version.
const TWICE: [&str; 6] = [
    "base64",
    "cpufeatures",
    "getrandom",
    "rand_core",
    "syn",
    "windows-sys",
];

/// What of the output of `cargo metadata` may not be, one line each.
pub(super) fn refused(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array();
    let mut refused = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages.into_iter().flatten() {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        let (name, version) = (text("name"), text("version"));
        versions.entry(name).or_default().insert(version);
        // The workspace's own have none.
        if !["", SOURCE].contains(&text("source")) {
            refused.push(format!("{name} {version} is from `{}`", text("source")));
        }
        if !LICENCES.contains(&text("license")) {
            refused.push(format!(
                "{name} {version} has the licence `{}`",
                text("license")
            ));
        }
    }
    let twice = versions
        .into_iter()
        .filter(|(name, versions)| versions.len() > 1 && !TWICE.contains(name));
    refused.extend(twice.map(|(name, versions)| format!("{name} is there as {versions:?}")));
    refused
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_package_has_a_known_licence_and_source_and_one_version() {
        let package = |name: &str, version: &str, license: &str, source: Option<&str>| json!({ "name": name, "version": version, "license": license, "source": source });
        let metadata = json!({ "packages": [
            package("own", "0.1.0", "MIT OR Apache-2.0", None),
            package("syn", "2.0.0", "MIT", Some(SOURCE)),
            package("syn", "3.0.0", "MIT", Some(SOURCE)),
            package("a", "1.0.0", "MIT", Some(SOURCE)),
            package("a", "2.0.0", "GPL-3.0-only", Some("git+https://example.com/a")),
        ] });
        assert_eq!(
            refused(&metadata),
            [
                "a 2.0.0 is from `git+https://example.com/a`",
                "a 2.0.0 has the licence `GPL-3.0-only`",
                "a is there as {\"1.0.0\", \"2.0.0\"}",
            ]
        );
    }
}
