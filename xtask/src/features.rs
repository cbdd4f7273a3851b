//! Every combination of features that a user may choose, with its tests, without a warning.

use anyhow::{Context, Result};

use crate::{shell, test};

/// Package, and features besides none.
type Combination = (&'static str, &'static str);

/// With either AEAD library, with both and with none; of the main crate without tokio too.
const COMBINATIONS: &[Combination] = &[
    ("underseal-record", ""),
    ("underseal-record", "aws-lc-rs"),
    ("underseal-record", "ring"),
    ("underseal-record", "ccm"),
    ("underseal-record", "ccm,ring"),
    ("underseal-record", "aws-lc-rs,ccm"),
    ("underseal-quic", ""),
    ("underseal-quic", "aws-lc-rs"),
    ("underseal-quic", "ring"),
    ("underseal-quic", "ccm"),
    ("underseal-quic", "ccm,ring"),
    ("underseal-quic", "aws-lc-rs,ccm"),
    ("underseal-quic", "aws-lc-rs,quinn"),
    ("underseal-quic", "quinn,ring"),
    ("underseal-sys", ""),
    ("underseal-dtls", ""),
    ("underseal-dtls", "aead-ring"),
    ("underseal-dtls", "aead-aws-lc-rs,tokio"),
    ("underseal-dtls", "aead-ring,openssl"),
    ("underseal-proxy", ""),
    ("underseal-cli", ""),
    ("underseal", ""),
    ("underseal", "tokio"),
    ("underseal", "aws_lc_rs"),
    ("underseal", "aws_lc_rs,tokio"),
    ("underseal", "ring"),
    ("underseal", "ring,tokio"),
    ("underseal", "aead-aws-lc-rs,tls12,tokio"),
    (
        "underseal",
        "aead-ring,brotli,early-data,logging,tls12,tokio,zlib",
    ),
];

/// A library that a build of the main crate with these features must not have.
const LEFT_OUT: &[(&str, &str)] = &[
    ("ring,tls12,tokio", "aws-lc-sys"),
    ("aws_lc_rs,tls12,tokio", "ring"),
];

/// Checks all of them: the libraries, and where there is least of it the tests too.
pub(crate) fn check() -> Result<()> {
    for (package, features) in COMBINATIONS {
        let targets = match features.is_empty() {
            true => "--all-targets",
            false => "--lib",
        };
        let what = || format!("{package} with the features `{features}` and no others");
        shell::run(clippy(package, features, targets)).with_context(what)?;
    }
    // Every suite and program of the streams, where no other library can have sealed.
    for features in ["aws_lc_rs,tls12,tokio", "ring,tls12,tokio"] {
        let mut test = test::cargo_test(&["--package", "underseal"]);
        test.args(["--no-default-features", "--features", features]);
        test.args(["--test", "streams"]);
        shell::run(test)?;
    }
    // AES-128-CCM, which no other build of the tests has.
    let packages = [
        "--package",
        "underseal-record",
        "--package",
        "underseal-quic",
    ];
    let mut test = test::cargo_test(&packages);
    test.args(["--features", "underseal-record/ccm,underseal-quic/ccm"]);
    test.args(["--lib", "--test", "quic"]);
    shell::run(test)?;
    for (features, library) in LEFT_OUT {
        is_left_out(features, library)?;
    }
    Ok(())
}

fn clippy(package: &str, features: &str, targets: &str) -> std::process::Command {
    let mut clippy = shell::cargo(&["clippy", "--locked", targets, "--package", package]);
    clippy.args(["--no-default-features", "--features", features]);
    clippy.args(["--", "-D", "warnings"]);
    clippy
}

fn is_left_out(features: &str, library: &str) -> Result<()> {
    let mut tree = shell::cargo(&["tree", "--locked", "--package", "underseal"]);
    tree.args(["--no-default-features", "--features", features]);
    tree.args(["--edges", "normal,build", "--prefix", "none"]);
    let tree = shell::output(tree)?;
    let is_there = tree
        .lines()
        .any(|line| line.split(' ').next() == Some(library));
    anyhow::ensure!(
        !is_there,
        "{library} is built for underseal with the features `{features}`"
    );
    Ok(())
}
