//! The Python packages that the tests need: in an environment of their own below `target`, since
//! Debian's Python takes none from elsewhere, and Debian has none of these.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::shell;
use crate::test::StepName;

/// Package, module, version, and why.
const PACKAGES: &[(&str, &str, &str, &str)] = &[
    ("aioquic", "aioquic", "1.7.2", "peer of the tests of QUIC"),
    (
        "python-mbedtls",
        "mbedtls",
        "2.10.1",
        "peer of the tests of DTLS",
    ),
];

/// Installs what the step of unit tests needs and the environment lacks.
///
/// # Errors
/// What Python or pip said.
pub(crate) fn install_for(steps: &[StepName]) -> Result<()> {
    let is_present = |(_, module, ..): &(_, &str, _, _)| {
        let import = format!("import {module}");
        shell::output(python(&["-c", &import])).is_ok()
    };
    if !steps.contains(&StepName::Unit) || PACKAGES.iter().all(is_present) {
        return Ok(());
    }
    let environment = environment();
    let mut make = shell::program("python3", &["-m", "venv"]);
    make.arg(&environment);
    shell::run(make)?;
    for (name, _, version, reason) in PACKAGES {
        eprintln!("xtask: installing {name} {version} for Python ({reason})");
        let package = format!("{name}=={version}");
        let mut install = python(&["-m", "pip", "install", "--quiet"]);
        install.args(["--disable-pip-version-check", &package]);
        shell::run(install)?;
    }
    Ok(())
}

/// Where tests look for it: `underseal_testkit::peers::python_with`.
fn environment() -> PathBuf {
    shell::root().join("target/python")
}

fn python(args: &[&str]) -> Command {
    shell::program(environment().join("bin/python3"), args)
}
