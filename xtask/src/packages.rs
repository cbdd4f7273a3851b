//! The Debian packages the tests need: one list, with the reason of each.

use std::fmt;
use std::process::Command;

use anyhow::Result;

use crate::shell;
use crate::test::StepName;

/// How to see that a package's content is on this machine, whoever put it there.
enum Probe {
    Program(&'static str),
    Library(&'static str),
    PythonModule(&'static str),
}

struct Package {
    name: &'static str,
    probe: Probe,
    reason: &'static str,
    needed_by: &'static [StepName],
}

use StepName::{Boring, Clippy, Compat, Docs, Features, Fuzz, Readme, Selftest, Tree, Unit, Vm};

/// Steps that compile what C libraries are needed for: underseal-dtls, and peers of the bench.
const COMPILES_C: &[StepName] = &[Clippy, Docs, Unit, Features, Readme, Selftest, Vm];

#[rustfmt::skip]
const PACKAGES: &[Package] = &[
    Package { name: "binutils", probe: Probe::Program("strip"),
        reason: "takes debug information off what a VM runs", needed_by: &[Vm] },
    Package { name: "busybox-static", probe: Probe::Program("busybox"),
        reason: "the shell of the VMs", needed_by: &[Vm] },
    Package { name: "clang", probe: Probe::Program("clang"),
        reason: "reads BoringSSL's headers", needed_by: &[Boring] },
    Package { name: "cmake", probe: Probe::Program("cmake"),
        reason: "builds BoringSSL", needed_by: &[Boring] },
    Package { name: "cpio", probe: Probe::Program("cpio"),
        reason: "packs what a VM starts with", needed_by: &[Vm] },
    Package { name: "bsdutils", probe: Probe::Program("script"),
        reason: "gives the command line a terminal", needed_by: &[Unit] },
    Package { name: "curl", probe: Probe::Program("curl"),
        reason: "peer of the interop tests; fetches from `serve`", needed_by: &[Unit, Readme] },
    Package { name: "ethtool", probe: Probe::Program("ethtool"),
        reason: "says what interfaces can do by another route", needed_by: &[Unit] },
    Package { name: "g++", probe: Probe::Program("g++"),
        reason: "compiles libFuzzer and BoringSSL", needed_by: &[Boring, Fuzz] },
    Package { name: "git", probe: Probe::Program("git"),
        reason: "lists the files of the tree", needed_by: &[Tree] },
    Package { name: "gnutls-bin", probe: Probe::Program("gnutls-cli"),
        reason: "peer of the interop tests", needed_by: &[Unit] },
    Package { name: "haproxy", probe: Probe::Program("haproxy"),
        reason: "reads the smuggling corpus; peer of `proxy` in the bench",
        needed_by: &[Unit] },
    Package { name: "kmod", probe: Probe::Program("depmod"),
        reason: "says which kernel modules need which", needed_by: &[Vm] },
    Package { name: "libcoap3-bin", probe: Probe::Program("coap-client-openssl"),
        reason: "peers of the tests of DTLS: CoAP", needed_by: &[Unit] },
    Package { name: "libssl-dev", probe: Probe::Library("openssl"),
        reason: "handshakes of underseal-dtls; OpenSSL as a peer of the bench", needed_by: COMPILES_C },
    Package { name: "nghttp2-client", probe: Probe::Program("h2load"),
        reason: "peer of the tests of `proxy`: HTTP/2 that others wrote", needed_by: &[Unit] },
    Package { name: "nginx", probe: Probe::Program("nginx"),
        reason: "reads the smuggling corpus; runs under underseal-preload; peer of the bench and of the shim",
        needed_by: &[Unit, Compat] },
    Package { name: "ngtcp2-client", probe: Probe::Program("gtlsclient"),
        reason: "peer of the tests of QUIC packets", needed_by: &[Unit] },
    Package { name: "ngtcp2-server", probe: Probe::Program("gtlsserver"),
        reason: "peer of the tests of QUIC packets", needed_by: &[Unit] },
    Package { name: "openssl", probe: Probe::Program("openssl"),
        reason: "peer of the interop tests; makes RSA keys", needed_by: &[Unit] },
    Package { name: "pkg-config", probe: Probe::Program("pkg-config"),
        reason: "finds OpenSSL for underseal-dtls and the bench", needed_by: COMPILES_C },
    Package { name: "postgresql", probe: Probe::Program("pg_ctlcluster"),
        reason: "serves a program of the shim", needed_by: &[Compat] },
    Package { name: "python3", probe: Probe::Program("python3"),
        reason: "peer of the interop tests (module ssl)", needed_by: &[Unit] },
    Package { name: "python3-venv", probe: Probe::PythonModule("ensurepip"),
        reason: "has room for packages that Debian lacks", needed_by: &[Unit] },
    Package { name: "qemu-system-x86", probe: Probe::Program("qemu-system-x86_64"),
        reason: "boots the kernels", needed_by: &[Vm] },
    Package { name: "redis-server", probe: Probe::Program("redis-server"),
        reason: "serves a program of the shim; runs under `underseal run`", needed_by: &[Unit, Compat] },
    Package { name: "strace", probe: Probe::Program("strace"),
        reason: "counts the system calls of a test", needed_by: &[Unit] },
    Package { name: "xz-utils", probe: Probe::Program("xz"),
        reason: "unpacks kernel modules and sources", needed_by: &[Vm, Selftest] },
    Package { name: "zstd", probe: Probe::Program("zstd"),
        reason: "unpacks kernel modules", needed_by: &[Vm] },
];

/// The packages that are missing where this user may not install them.
#[derive(Debug)]
pub(crate) struct Missing(Vec<(&'static str, &'static str)>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Debian packages are missing, and only root may install them:"
        )?;
        for (name, reason) in &self.0 {
            writeln!(f, "  {name}: {reason}")?;
        }
        let names: Vec<_> = self.0.iter().map(|(name, _)| *name).collect();
        write!(
            f,
            "hint: run `sudo apt-get update && sudo apt-get install --yes \
             --no-install-recommends {}`",
            names.join(" ")
        )
    }
}

impl std::error::Error for Missing {}

/// Installs what `steps` need and this machine lacks.
///
/// # Errors
/// [`Missing`] when this user is not root or there is no apt-get here; otherwise what apt-get said.
pub(crate) fn install_for(steps: &[StepName]) -> Result<()> {
    let missing: Vec<_> = PACKAGES
        .iter()
        .filter(|package| package.needed_by.iter().any(|step| steps.contains(step)))
        .filter(|package| !is_present(&package.probe))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root() || !shell::exists("apt-get") {
        let missing = missing
            .iter()
            .map(|package| (package.name, package.reason))
            .collect();
        return Err(Missing(missing).into());
    }
    for package in &missing {
        eprintln!("xtask: installing {} ({})", package.name, package.reason);
    }
    shell::run(apt_get(&["update", "--quiet"]))?;
    let mut install = apt_get(&["install", "--yes", "--quiet", "--no-install-recommends"]);
    install.args(missing.iter().map(|package| package.name));
    shell::run(install)
}

fn apt_get(args: &[&str]) -> Command {
    let mut command = shell::program("apt-get", args);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_present(probe: &Probe) -> bool {
    match probe {
        Probe::Program(name) => shell::exists(name),
        Probe::Library(name) => {
            shell::output(shell::program("pkg-config", &["--exists", name])).is_ok()
        }
        Probe::PythonModule(name) => {
            let import = format!("import {name}");
            shell::output(shell::program("python3", &["-c", &import])).is_ok()
        }
    }
}

fn is_root() -> bool {
    shell::output(shell::program("id", &["-u"])).is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_packages_end_in_one_apt_line() {
        let text = Missing(vec![("curl", "a peer"), ("g++", "a compiler")]).to_string();
        let last = text.lines().last().unwrap();
        assert!(
            last.starts_with("hint: run `sudo apt-get update && "),
            "{last}"
        );
        assert!(
            last.ends_with("--no-install-recommends curl g++`"),
            "{last}"
        );
    }

    #[test]
    fn a_program_that_does_not_exist_is_not_present() {
        assert!(!is_present(&Probe::Program("no-such-program-here")));
        assert!(is_present(&Probe::Program("sh")));
        assert!(!is_present(&Probe::PythonModule("no_such_module_here")));
    }
}
