//! What a run found out about each kernel, in the form that is kept in `vm/results.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::log::Log;
use super::modules::Kernel;

/// The program that answers questions, see `crates/underseal-sys/examples/kernel_tls.rs`.
const PROBE: &str = "kernel_tls";
/// The suite of tests that runs for each pair of engines.
const PARITY: &str = "parity";
/// What can go wrong, tried.
const FAULTS: &str = "kernel_faults";

/// One kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Results {
    /// What the command line calls it.
    pub(crate) kernel: String,
    /// Debian's version of it.
    pub(crate) version: String,
    /// What `uname -r` says.
    pub(crate) release: String,
    /// What it can do: `yes`, or why not.
    pub(crate) answers: BTreeMap<String, String>,
    /// The parity suite, by version, suite and engines: `tls13::aes128gcm::kernel_user`.
    pub(crate) parity: BTreeMap<String, Cell>,
    /// The faults that were survived.
    pub(crate) faults: Vec<String>,
}

/// The parity suite for one version, suite and pair of engines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// How many tests passed, those among them that the kernel cannot do.
    pub(crate) passed: usize,
    /// What the kernel cannot do: tests that saw the documented end, by the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) unsupported: BTreeMap<String, Vec<String>>,
}

impl Cell {
    /// How many tests ended because the kernel cannot do what they are about.
    pub(crate) fn unsupported_len(&self) -> usize {
        self.unsupported.values().map(Vec::len).sum()
    }
}

impl Results {
    /// What `log` says about `kernel`.
    pub(crate) fn read(kernel: &Kernel, log: &Log) -> Self {
        let mut results = Self {
            kernel: kernel.name().word(),
            version: kernel.version(),
            release: kernel.release().to_owned(),
            ..Self::default()
        };
        for run in &log.runs {
            match run.name.as_str() {
                PROBE => results.read_answers(&run.output),
                PARITY => results.read_parity(&run.output),
                FAULTS => results
                    .faults
                    .extend(passed(&run.output).map(str::to_owned)),
                _ => {}
            }
        }
        results
    }

    /// `question: answer`
    fn read_answers(&mut self, output: &str) {
        let answers = output.lines().filter_map(|line| line.split_once(": "));
        self.answers
            .extend(answers.map(|(question, answer)| (question.to_owned(), answer.to_owned())));
    }

    fn read_parity(&mut self, output: &str) {
        for name in passed(output) {
            if let Some((cell, _)) = cell_and_test(name) {
                self.parity.entry(cell.to_owned()).or_default().passed += 1;
            }
        }
        for line in output.lines() {
            let unsupported = line.strip_prefix("unsupported: ");
            let Some((name, reason)) = unsupported.and_then(|line| line.split_once(' ')) else {
                continue;
            };
            if let Some((cell, test)) = cell_and_test(name) {
                let cell = self.parity.entry(cell.to_owned()).or_default();
                let tests = cell.unsupported.entry(reason.to_owned()).or_default();
                tests.push(test.to_owned());
                tests.sort();
            }
        }
    }
}

/// The tests that passed, as libtest lists them.
fn passed(output: &str) -> impl Iterator<Item = &str> {
    output
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... ok"))
}

/// `parity::tls13::aes128gcm::kernel_user::test` is a test of a cell.
fn cell_and_test(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("parity::")?.rsplit_once("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_by_cell_with_what_the_kernel_cannot_do() {
        let output = "test parity::tls13::aes128gcm::kernel_user::a ... ok\n\
            test parity::tls13::aes128gcm::kernel_user::b ... ok\n\
            test parity::tls13::aes128gcm::user_user::a ... ok\n\
            test parity::tls13::aes128gcm::user_user::b ... FAILED\n\
            ---- parity::tls13::aes128gcm::kernel_user::b stdout ----\n\
            unsupported: parity::tls13::aes128gcm::kernel_user::b cannot update keys \
            (EBUSY)\n";
        let mut results = Results::default();
        results.read_parity(output);
        let cell = &results.parity["tls13::aes128gcm::kernel_user"];
        assert_eq!((cell.passed, cell.unsupported_len()), (2, 1));
        assert_eq!(cell.unsupported["cannot update keys (EBUSY)"], ["b"]);
        assert_eq!(results.parity["tls13::aes128gcm::user_user"].passed, 1);
    }

    #[test]
    fn answers_keep_what_the_kernel_said() {
        let mut results = Results::default();
        results.read_answers("ulp: yes\nrekey: no: EBUSY\n");
        assert_eq!(results.answers["ulp"], "yes");
        assert_eq!(results.answers["rekey"], "no: EBUSY");
    }
}
