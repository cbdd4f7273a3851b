//! KERNELS.md: what each kernel gives underseal, written from a run.

mod can_do;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use super::kernels::Name;
use super::results::{Cell, Results};
use crate::shell;

const HEAD: &str = "\
# What do I get on my kernel?

Written by `cargo xtask vm --write` from a run in Debian's own kernels, and only if every test
passed in all of them; do not edit it. On a machine of yours, ask `underseal doctor`.

Where the kernel cannot do something, the user engine does: underseal never needs kernel TLS. What
*unsupported* means is that a connection told to use the kernel alone ends in the documented error.

Before Linux 6.5 a splice or a sendfile could wait for ever in a small send buffer: underseal has TCP
send what it gathered, and gives a socket that blocks less at once
([why](docs/kernel-tls.md#send-buffer)).

A kernel that seals does not say to every call that the peer has left (seen on 7.x): some are answered
as if all had been sent, and what they were given stays in the kernel's memory. underseal looks at the
state of the connection on every kernel
([when](docs/kernel-tls.md#a-peer-that-left)).

";

const TAIL: &str = "\
## How it was found out

Each kernel was booted under QEMU by software emulation, with the modules `tls`, `gcm`, `ccm`,
`chacha20poly1305` and what they need. *Can do* is what sockets of that kernel answered. *Engines*
is one suite of tests that runs for each pair of engines, with TLS 1.3 and 1.2 and each suite that
underseal negotiates; the other end is not underseal, or uses the user engine. *Faults* are tests
that break something first. There is no such NIC in the emulation: whether zero-copy does anything
is for `underseal doctor` to say.
";

/// Pairs of engines as tests name them, and as the document does: sending, then receiving.
const PAIRS: &[(&str, &str)] = &[
    ("user_user", "user, user"),
    ("kernel_user", "kernel, user"),
    ("user_kernel", "user, kernel"),
    ("kernel_kernel", "kernel, kernel"),
];

/// Suites as tests name them, and as the document does.
const SUITES: &[(&str, &str)] = &[
    ("tls13::aes128gcm", "TLS 1.3 AES-128-GCM"),
    ("tls13::aes256gcm", "TLS 1.3 AES-256-GCM"),
    ("tls13::chacha20poly1305", "TLS 1.3 ChaCha20-Poly1305"),
    ("tls12::aes128gcm", "TLS 1.2 AES-128-GCM"),
    ("tls12::aes256gcm", "TLS 1.2 AES-256-GCM"),
    ("tls12::chacha20poly1305", "TLS 1.2 ChaCha20-Poly1305"),
];

fn data() -> PathBuf {
    shell::root().join("vm/results.json")
}

fn document() -> PathBuf {
    shell::root().join("KERNELS.md")
}

/// Writes the run and the document.
pub(crate) fn write(mut results: Vec<Results>) -> Result<()> {
    let order = |results: &Results| Name::from_str(&results.kernel, false).ok();
    results.sort_by_key(order);
    ensure!(
        results.len() == Name::value_variants().len(),
        "KERNELS.md is written from a run on all kernels"
    );
    let text = serde_json::to_string_pretty(&results).context("results are no JSON")?;
    fs::write(data(), text + "\n")?;
    fs::write(document(), render(&results))?;
    eprintln!("xtask: wrote KERNELS.md and vm/results.json");
    Ok(())
}

fn render(results: &[Results]) -> String {
    let mut text = HEAD.to_owned();
    can_do::can_do(&mut text, results);
    engines(&mut text, results);
    faults(&mut text, results);
    text + TAIL
}

fn row(text: &mut String, first: &str, cells: &[String]) {
    let _ = writeln!(text, "| {first} | {} |", cells.join(" | "));
}

fn engines(text: &mut String, results: &[Results]) {
    text.push_str(
        "## Engines\n\nTests passed, for what seals and what opens. In parentheses: how many of \
         them found the\nkernel unable, and saw the documented end.\n\n",
    );
    for kernel in results {
        let _ = writeln!(text, "### {} ({})\n", kernel.kernel, kernel.version);
        let pairs: Vec<_> = PAIRS
            .iter()
            .filter(|(pair, _)| {
                SUITES
                    .iter()
                    .any(|(suite, _)| cell(kernel, suite, pair).is_some())
            })
            .collect();
        let heads: Vec<_> = pairs.iter().map(|(_, words)| (*words).to_owned()).collect();
        row(text, "", &heads);
        row(text, "---", &vec!["---".to_owned(); heads.len()]);
        for (suite, words) in SUITES {
            let cells = pairs
                .iter()
                .map(|(pair, _)| match cell(kernel, suite, pair) {
                    Some(cell) if cell.unsupported_len() == 0 => cell.passed.to_string(),
                    Some(cell) => format!("{} ({})", cell.passed, cell.unsupported_len()),
                    None => "not run".to_owned(),
                });
            row(text, words, &cells.collect::<Vec<_>>());
        }
        text.push('\n');
        unsupported(text, kernel);
    }
}

fn cell<'a>(kernel: &'a Results, suite: &str, pair: &str) -> Option<&'a Cell> {
    kernel.parity.get(&format!("{suite}::{pair}"))
}

/// What the kernel is unable to do, by its reason.
fn unsupported(text: &mut String, kernel: &Results) {
    let mut by_reason: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for cell in kernel.parity.values() {
        for (reason, tests) in &cell.unsupported {
            let names = tests.iter().map(String::as_str);
            by_reason.entry(reason).or_default().extend(names);
        }
    }
    for (reason, tests) in &by_reason {
        let _ = writeln!(text, "Unsupported, because {reason}:\n");
        for test in tests {
            let _ = writeln!(text, "- {}", words(test));
        }
        text.push('\n');
    }
}

fn faults(text: &mut String, results: &[Results]) {
    let all: BTreeSet<_> = results.iter().flat_map(|kernel| &kernel.faults).collect();
    if all.is_empty() {
        return;
    }
    text.push_str(
        "## Faults\n\nEach was caused in a test, and what stands here is what came of it.\n\n",
    );
    let names: Vec<_> = results.iter().map(|kernel| kernel.kernel.clone()).collect();
    row(text, "", &names);
    row(text, "---", &vec!["---".to_owned(); names.len()]);
    for fault in all {
        let cells = results
            .iter()
            .map(|kernel| match kernel.faults.contains(fault) {
                true => "yes".to_owned(),
                false => "–".to_owned(),
            });
        row(text, &words(fault), &cells.collect::<Vec<_>>());
    }
    text.push('\n');
}

/// A test's name as a sentence has it.
fn words(test: &str) -> String {
    test.rsplit("::").next().unwrap_or(test).replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed() -> Vec<Results> {
        let text = fs::read_to_string(data()).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn the_committed_document_is_written_from_the_committed_run() {
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(document(), render(&committed())).unwrap();
        }
        let text = fs::read_to_string(document()).unwrap();
        assert!(
            text == render(&committed()),
            "KERNELS.md is not what is written from vm/results.json: run `UPDATE_SNAPSHOTS=1 cargo \
             test -p xtask`, or `cargo xtask vm --write` for another run"
        );
    }

    #[test]
    fn the_committed_run_is_of_every_kernel_and_answers_every_question() {
        let results = committed();
        let names: Vec<_> = Name::value_variants()
            .iter()
            .map(|name| name.word())
            .collect();
        let kernels: Vec<_> = results.iter().map(|kernel| kernel.kernel.clone()).collect();
        assert_eq!(kernels, names);
        let text = render(&results);
        assert!(
            !text.contains("not asked"),
            "the probe asks less than the document tells"
        );
        assert!(
            !text.contains("not run"),
            "a suite of the document has no tests"
        );
        for (kernel, name) in results.iter().zip(Name::value_variants()) {
            let pairs = if name.has_tls() { PAIRS.len() } else { 1 };
            assert_eq!(
                kernel.parity.len(),
                SUITES.len() * pairs,
                "{}",
                kernel.kernel
            );
        }
    }

    #[test]
    fn what_is_unsupported_is_a_test_that_exists() {
        let directory = shell::root().join("crates/underseal/tests/parity");
        let sources: String = fs::read_dir(directory)
            .unwrap()
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect();
        for kernel in committed() {
            for test in kernel
                .parity
                .values()
                .flat_map(|cell| cell.unsupported.values().flatten())
            {
                assert!(
                    sources.contains(&format!("fn {test}(")),
                    "there is no test {test}"
                );
            }
        }
    }
}
