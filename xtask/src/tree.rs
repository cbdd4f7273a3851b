//! The repository's own rules, checked on the files git knows.

mod arrows;
mod dependencies;
mod external;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell;

/// The crates that may say it, see ARCHITECTURE.md.
const UNSAFE_CRATES: [&str; 2] = ["crates/underseal-preload/", "crates/underseal-sys/"];

/// Marks of work left undone, written so that this file has none.
const UNDONE: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!("),
    concat!("unim", "plemented!("),
];

/// How a test starts that is not run on every machine, written so that this file has none.
const IGNORED: &str = concat!("#[ig", "nore");

/// The one reason for it: `cargo xtask vm` runs these, on kernels that have what they need.
const IGNORED_ON_HOST: &str = concat!("#[ig", "nore = \"needs ");
const RUN_IN_VM: &str = ": cargo xtask vm\"]";

/// Checks every rule and reports all that is broken, not the first only.
pub(crate) fn check() -> Result<()> {
    let files = shell::output(shell::program("git", &["ls-files"]))?;
    let mut broken = Vec::new();
    for file in files.lines() {
        // A file that is staged for removal is still listed.
        let Ok(text) = fs::read_to_string(shell::root().join(file)) else {
            continue;
        };
        broken.extend(broken_rules(file, &text));
    }
    for manifest in [
        "Cargo.toml",
        "compat/Cargo.toml",
        "compat/programs/Cargo.toml",
        "fuzz/Cargo.toml",
    ] {
        match metadata(manifest) {
            // What only the tests of the others build, nobody ships.
            Ok(metadata) if manifest == "Cargo.toml" => {
                broken.extend(dependencies::refused(&metadata));
            }
            Ok(_) => {}
            Err(error) => broken.push(format!("{manifest}: {error:#}")),
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    for line in &broken {
        eprintln!("{line}");
    }
    bail!("{} rules of the repository are broken", broken.len())
}

/// What is built for a workspace, by a lock file that is up to date.
fn metadata(manifest: &str) -> Result<Value> {
    let args = [
        "metadata",
        "--locked",
        "--format-version",
        "1",
        "--manifest-path",
        manifest,
    ];
    let metadata = shell::output(shell::cargo(&args)).context("the lock file is not up to date")?;
    Ok(serde_json::from_str(&metadata)?)
}

/// What `file` breaks, one line each, starting with its place.
fn broken_rules(file: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let extension = Path::new(file)
        .extension()
        .and_then(|extension| extension.to_str());
    for (index, line) in text.lines().enumerate() {
        let place = format!("{file}:{}", index + 1);
        if matches!(extension, Some("rs" | "md" | "sh" | "py" | "toml")) {
            let marks = UNDONE.iter().filter(|mark| line.contains(**mark));
            broken.extend(marks.map(|mark| format!("{place}: `{mark}` is not for the tree")));
        }
        if extension == Some("rs") && is_skipped(line) {
            broken.push(format!("{place}: a test that nothing runs"));
        }
        if extension == Some("rs") && !may_say_unsafe(file) && says_unsafe(line) {
            broken.push(format!("{place}: `unsafe` outside {UNSAFE_CRATES:?}"));
        }
        if extension == Some("md") {
            let links = relative_links(line).filter(|link| !exists_beside(file, link));
            broken.extend(links.map(|link| format!("{place}: the link to `{link}` is dead")));
        }
    }
    if extension == Some("rs") {
        broken.extend(external::unlisted(file, text));
    }
    if let Some(room) = file
        .strip_prefix("crates/")
        .and_then(|file| file.strip_suffix("/Cargo.toml"))
    {
        let upwards = arrows::upwards(room, text).into_iter();
        broken.extend(upwards.map(|other| format!("{file}: {room} must not depend on {other}")));
        let lacking = lacks_for_publishing(text);
        broken.extend(
            lacking
                .into_iter()
                .map(|key| format!("{file}: no `{key}`, which its page on crates.io needs")),
        );
    }
    let has_own_lints = may_say_unsafe(file);
    if file.ends_with("Cargo.toml")
        && text.contains("[package]")
        && !has_own_lints
        && !inherits_lints(text)
    {
        broken.push(format!("{file}: does not inherit the workspace's lints"));
    }
    broken
}

fn may_say_unsafe(file: &str) -> bool {
    UNSAFE_CRATES.iter().any(|room| file.starts_with(room))
}

/// Whether `line` makes a test one that neither `cargo test` nor `cargo xtask vm` runs.
fn is_skipped(line: &str) -> bool {
    let Some(start) = line.find(IGNORED) else {
        return false;
    };
    let attribute = &line[start..];
    !(attribute.starts_with(IGNORED_ON_HOST) && attribute.contains(RUN_IN_VM))
}

/// Whether the code of `line` has the keyword: not a comment, a string or a longer name.
fn says_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.split('"')
        .step_by(2)
        .flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_'))
        .any(|word| word == "unsafe")
}

/// The targets of Markdown links that stay in the repository, without their fragments.
fn relative_links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains("://"))
}

fn exists_beside(file: &str, link: &str) -> bool {
    let directory = shell::root().join(file);
    directory
        .parent()
        .is_some_and(|directory| directory.join(link).exists())
}

/// What the manifest of a package that is published must have and has not. `repository` is not among it: there
/// is no public address yet.
fn lacks_for_publishing(manifest: &str) -> Vec<&'static str> {
    const KEYS: [&str; 6] = [
        "description",
        "license.workspace",
        "readme",
        "keywords",
        "categories",
        "[package.metadata.docs.rs]",
    ];
    let is_published = !manifest.lines().any(|line| line == "publish = false");
    let has = |key: &str| manifest.lines().any(|line| line.starts_with(key));
    KEYS.into_iter()
        .filter(|key| is_published && !has(key))
        .collect()
}

fn inherits_lints(manifest: &str) -> bool {
    manifest.contains("[lints]\nworkspace = true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_is_found_in_code_only() {
        assert!(says_unsafe("    unsafe { read(fd) }"));
        assert!(says_unsafe("pub unsafe fn f() {}"));
        assert!(!says_unsafe("// unsafe would be wrong here"));
        assert!(!says_unsafe("#![forbid(unsafe_code)]"));
    }

    #[test]
    fn undone_work_is_reported_with_its_place() {
        let line = format!("// {}: later\n", UNDONE[0]);
        let broken = broken_rules("src/a.rs", &format!("fn f() {{}}\n{line}"));
        assert_eq!(broken.len(), 1);
        assert!(broken[0].starts_with("src/a.rs:2: "), "{broken:?}");
    }

    #[test]
    fn a_test_is_run_here_or_in_a_vm() {
        assert!(is_skipped(&format!("    {IGNORED}]")));
        assert!(is_skipped(&format!("{IGNORED} = \"slow\"]")));
        assert!(!is_skipped(&format!(
            "{IGNORED_ON_HOST}kernel TLS{RUN_IN_VM}"
        )));
        assert!(!is_skipped("#[test]"));
    }

    #[test]
    fn a_dead_link_is_reported_and_a_live_one_is_not() {
        let text = "[a](README.md#top) [b](no/such.md) [c](https://example.com/x)";
        let broken = broken_rules("README.md", text);
        assert_eq!(broken, ["README.md:1: the link to `no/such.md` is dead"]);
    }

    #[test]
    fn a_manifest_must_inherit_the_lints() {
        let without = broken_rules("a/Cargo.toml", "[package]\nname = \"a\"\n");
        assert_eq!(
            without,
            ["a/Cargo.toml: does not inherit the workspace's lints"]
        );
        let with = broken_rules("a/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n");
        assert!(with.is_empty(), "{with:?}");
    }

    #[test]
    fn a_manifest_says_what_a_published_package_needs() {
        let manifest = "[package]\ndescription = \"a\"\nlicense.workspace = true\nkeywords = []\n\n\
                        [package.metadata.docs.rs]\n";
        assert_eq!(lacks_for_publishing(manifest), ["readme", "categories"]);
        let unpublished = format!("{manifest}publish = false\n");
        assert!(lacks_for_publishing(&unpublished).is_empty());
    }
}
