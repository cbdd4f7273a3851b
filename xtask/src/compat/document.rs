//! docs/tokio-rustls.md: what of tokio-rustls is the same, written from `compat/items` and from the
//! kept run of the crates.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::crates::{CRATES, Outcome, data};
use super::items;
use crate::shell;

const HEAD: &str = "\
# In the place of tokio-rustls

Written by xtask from `compat/items` and `compat/crates.json`; do not edit it. How to put underseal in
the place of tokio-rustls, and what behaves otherwise though it compiles, is in
[the shim's README](../compat/tokio-rustls/README.md).

";

const OWN_TESTS: &str = "\
## Its own tests

The 12 tests of tokio-rustls that need no Internet pass with the shim. They are those of the package
0.26.4, the last that was published with its tests; `cargo xtask compat` fetches and runs them.

";

const PROGRAMS: &str = "\
## Programs

With each test of the repository, `cargo xtask compat` compiles small programs of actix-tls, async-nats,
axum-server, hickory-proto, lettre, mysql_async, reqwest, rumqttc, tokio-tungstenite and tonic with the
shim (`compat/programs`), and runs three against Debian's servers: hyper-rustls against nginx,
tokio-postgres-rustls against PostgreSQL, with the password bound to the channel, and redis against
Redis.

";

fn document() -> PathBuf {
    shell::root().join("docs/tokio-rustls.md")
}

/// Keeps what came of a crate beside what is known of the others, and writes the document.
pub(super) fn write(outcome: Outcome) -> Result<()> {
    let mut known = kept()?;
    known.retain(|old| old.name != outcome.name);
    known.push(outcome);
    // In the order of the list, and nothing that is no longer on it.
    let kept: Vec<_> = CRATES
        .iter()
        .filter_map(|(name, ..)| known.iter().find(|outcome| outcome.name == *name))
        .collect();
    let text = serde_json::to_string_pretty(&kept).context("results are no JSON")?;
    fs::write(data(), text + "\n")?;
    fs::write(document(), render(&items::read()?, &self::kept()?))?;
    Ok(())
}

fn kept() -> Result<Vec<Outcome>> {
    let path = data();
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

fn render(items: &[items::Item], crates: &[Outcome]) -> String {
    let mut text = HEAD.to_owned();
    let same = items.iter().filter(|item| item.differs.is_none()).count();
    let _ = writeln!(
        text,
        "## Item by item\n\n{same} of {} items of tokio-rustls 0.26's public API compile. Each is a \
         program of `compat/items`, which\n`cargo xtask compat` compiles with tokio-rustls and with \
         the shim.\n\n| item | compiles | why not |\n|---|---|---|",
        items.len()
    );
    for item in items {
        let (compiles, reason) = match &item.differs {
            None => ("yes", ""),
            Some(reason) => ("no", reason.as_str()),
        };
        let _ = writeln!(text, "| {} | {compiles} | {reason} |", item.title);
    }
    text.push('\n');
    text.push_str(OWN_TESTS);
    text.push_str(PROGRAMS);
    published(&mut text, crates);
    text
}

fn published(text: &mut String, crates: &[Outcome]) {
    let compiled = crates.iter().filter(|outcome| outcome.error.is_none());
    let _ = writeln!(
        text,
        "## Published crates\n\n`cargo xtask compat --crates` compiles {} published crates that depend on \
         tokio-rustls with the shim.\n{} were tried so far, and {} compile.\n\n| crate | compiles | what \
         the compiler says | tried on |\n|---|---|---|---|",
        CRATES.len(),
        crates.len(),
        compiled.count(),
    );
    for outcome in crates {
        let _ = writeln!(text, "{}", crate_row(outcome));
    }
    let is_tried = |name: &str| crates.iter().any(|outcome| outcome.name == name);
    for (name, version, _) in CRATES.iter().filter(|(name, ..)| !is_tried(name)) {
        let _ = writeln!(text, "| {name} {version} | not tried | | |");
    }
}

pub(super) fn crate_row(outcome: &Outcome) -> String {
    let (compiles, error) = match &outcome.error {
        None => ("yes", ""),
        Some(error) => ("no", error.as_str()),
    };
    format!(
        "| {} {} | {compiles} | {} | {} |",
        outcome.name,
        outcome.version,
        error.replace('|', "\\|"),
        outcome.date
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_is_written_from_the_items_and_the_committed_run() {
        let written = render(&items::read().unwrap(), &kept().unwrap());
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(document(), &written).unwrap();
        }
        let text = fs::read_to_string(document()).unwrap();
        assert!(
            text == written,
            "docs/tokio-rustls.md is not what is written from compat/: run `UPDATE_SNAPSHOTS=1 cargo \
             test -p xtask`"
        );
    }

    #[test]
    fn the_readme_says_how_much_compiles() {
        let (items, crates) = (items::read().unwrap(), kept().unwrap());
        let same = items.iter().filter(|item| item.differs.is_none()).count();
        let compiled = crates.iter().filter(|outcome| outcome.error.is_none());
        let sentence = format!(
            "{same} of {} items of its API and {} of {} published crates that depend on it compile",
            items.len(),
            compiled.count(),
            CRATES.len()
        );
        let readme = fs::read_to_string(shell::root().join("README.md")).unwrap();
        let words: Vec<_> = readme.split_whitespace().collect();
        assert!(words.join(" ").contains(&sentence), "{sentence}");
    }

    #[test]
    fn what_is_kept_is_of_the_versions_in_the_list() {
        for outcome in kept().unwrap() {
            let listed = CRATES.iter().find(|(name, ..)| *name == outcome.name);
            let version = listed.map(|(_, version, _)| (*version).to_owned());
            assert_eq!(version, Some(outcome.version), "{}", outcome.name);
        }
    }
}
