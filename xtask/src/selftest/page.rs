//! What came of the cases: `docs/selftest.md`, and whether each that failed has a reason.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Result, bail};

use crate::shell;

/// Cases that fail, by a part of their names, and why that is meant; the first counts.
const REASONS: [(&str, &str); 4] = [
    (
        "bad_rec",
        "behind a record that is too long every read fails; the kernel says so once, and then waits for nothing",
    ),
    (
        "epoll_partial_rec",
        "epoll tells of a socket as soon as a part of a record is there; the read returns `EAGAIN`",
    ),
    (
        "rekey",
        "the keys of these cases come with record numbers past 2^24, where a key seals nothing more",
    ),
    (
        "tls_12_tx_max_payload_len",
        "these cases ask for AES-CCM, which is refused",
    ),
];

/// One case in one variant.
pub(super) struct Case {
    /// The fixture with its variant.
    group: String,
    name: String,
    passed: bool,
}

/// Whether every case that the test announces has a result: not if it was killed, or none was chosen.
pub(super) fn is_whole(output: &str) -> bool {
    let announced = output.lines().find_map(|line| line.strip_prefix("1.."));
    let announced = announced.and_then(|count| count.trim().parse().ok());
    let is_result = |line: &&str| line.starts_with("ok ") || line.starts_with("not ok ");
    let results = output.lines().filter(is_result).count();
    results > 0 && announced == Some(results)
}

/// The cases in the output of the test.
pub(super) fn cases(output: &str) -> Vec<Case> {
    output.lines().filter_map(case).collect()
}

fn case(line: &str) -> Option<Case> {
    let (passed, rest) = match line.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok ")?),
    };
    if rest.contains("# SKIP") {
        return None;
    }
    let name = rest.split_whitespace().nth(1)?;
    let (group, name) = name.rsplit_once('.')?;
    Some(Case {
        group: group.to_owned(),
        name: name.to_owned(),
        passed,
    })
}

/// Writes the page if that is wanted.
///
/// # Errors
///
/// If a case has failed without a reason.
pub(super) fn check(source: &str, cases: &[Case]) -> Result<()> {
    let passed = cases.iter().filter(|case| case.passed).count();
    eprintln!("xtask: selftest: {passed} of {} cases pass", cases.len());
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(shell::root().join("docs/selftest.md"), page(source, cases))?;
    }
    let unexplained = cases.iter().filter(|case| !case.passed);
    let unexplained = unexplained.filter(|case| reason(&case.name).is_none());
    let names: Vec<_> = unexplained
        .map(|case| format!("{}.{}", case.group, case.name))
        .collect();
    if !names.is_empty() {
        bail!("cases fail without a reason: {}", names.join(", "));
    }
    Ok(())
}

fn reason(name: &str) -> Option<&'static str> {
    let known = REASONS.iter().find(|(part, _)| name.contains(part));
    known.map(|(_, reason)| *reason)
}

fn page(source: &str, cases: &[Case]) -> String {
    let mut groups = BTreeMap::<&str, (usize, usize)>::new();
    let mut failures = BTreeMap::<&str, Vec<&str>>::new();
    for case in cases {
        let (passed, all) = groups.entry(&case.group).or_default();
        *passed += usize::from(case.passed);
        *all += 1;
        if !case.passed {
            failures.entry(&case.name).or_default().push(&case.group);
        }
    }
    let (passed, all) = (cases.iter().filter(|case| case.passed).count(), cases.len());
    let mut text = format!(
        "# Linux' own test of TLS sockets, under underseal-preload\n\n\
         Written by `UPDATE_SNAPSHOTS=1 cargo xtask test --only selftest`, which takes\n\
         `tools/testing/selftests/net/tls.c` from Debian's `{source}`, and runs it with `--receive`.\n\n\
         {passed} of {all} cases pass, for the suites that are sealed. Those of other suites are refused, and cases in\n\
         which two processes use one socket are left out: one process owns a connection here.\n\n\
         | cases | passed | of |\n|---|---:|---:|\n"
    );
    for (group, (passed, all)) in groups {
        let _ = writeln!(text, "| `{group}` | {passed} | {all} |");
    }
    if !failures.is_empty() {
        text.push_str("\n| fails | in | why |\n|---|---|---|\n");
    }
    for (name, groups) in failures {
        let groups: Vec<_> = groups.iter().map(|group| format!("`{group}`")).collect();
        let why = reason(name).unwrap_or("not known");
        let _ = writeln!(text, "| `{name}` | {} | {why} |", groups.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "TAP version 13\n#  RUN  tls.12_aes_gcm.sendfile ...\n\
        ok 1 tls.12_aes_gcm.sendfile\nnot ok 2 tls.12_aes_gcm.bad_rec\n\
        ok 3 tls.13_ccm.sendfile # SKIP no TLS support\nok 4 global.keysizes\n";

    #[test]
    fn cases_are_counted_by_variant_and_failures_have_reasons() {
        let found = cases(OUTPUT);
        assert_eq!(found.len(), 3);
        let text = page("linux-source-7.3", &found);
        assert!(text.contains("2 of 3 cases pass"), "{text}");
        assert!(text.contains("| `tls.12_aes_gcm` | 1 | 2 |"), "{text}");
        assert!(
            text.contains("| `bad_rec` | `tls.12_aes_gcm` | behind a record"),
            "{text}"
        );
        assert!(check("linux-source-7.3", &found).is_ok());
    }

    #[test]
    fn an_output_without_all_results_is_not_whole() {
        let whole =
            "TAP version 13\n1..2\nok 1 tls.13_chacha.sendfile\nnot ok 2 tls.13_chacha.bad_rec\n";
        assert!(is_whole(whole));
        let (cut, _) = whole.split_once("not ok").expect("a failure");
        assert!(!is_whole(cut));
        assert!(!is_whole("TAP version 13\n1..0\n"));
        assert!(!is_whole(""));
    }

    #[test]
    fn a_failure_without_a_reason_is_one() {
        let found = cases("not ok 1 tls.12_aes_gcm.sendfile\n");
        let error = check("linux-source-7.3", &found).expect_err("a failure");
        assert!(error.to_string().contains("tls.12_aes_gcm.sendfile"));
    }
}
