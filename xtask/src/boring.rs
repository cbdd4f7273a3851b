//! `underseal-dtls` with the `boring` crate, in a build of its own: BoringSSL cannot be in one program with
//! OpenSSL, whose functions have the same names.

use anyhow::Result;

use crate::shell;

/// Every combination builds BoringSSL once: the same directory keeps it.
const FEATURES: &[&str] = &[
    "--locked",
    "--package",
    "underseal-dtls",
    "--no-default-features",
    "--features",
    "aead-ring,boring,tokio",
];

/// Clippy, unit tests, and the tests with BoringSSL at the other end.
pub(crate) fn step() -> Result<()> {
    let targets: &[&str] = &["--lib", "--test", "association", "--test", "boring"];
    let mut clippy = shell::cargo(&["clippy"]);
    clippy
        .args(FEATURES)
        .args(targets)
        .args(["--", "-D", "warnings"]);
    shell::run(clippy)?;
    let mut test = shell::cargo(&["test"]);
    test.args(FEATURES).args(targets);
    shell::run(test)
}
