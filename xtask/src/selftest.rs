//! Linux' own test of TLS sockets (`tools/testing/selftests/net/tls.c`) under `underseal-preload`. Its source comes
//! from Debian, is built below `target`, and is never in this repository.

mod page;
mod session;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::shell;
use crate::vm::apt::Apt;
use session::Session;

/// The suite whose kernel is the newest.
const SUITE: &str = "trixie-backports";

/// What is taken out of the source.
const FILES: [&str; 4] = [
    "tools/testing/selftests/net/tls.c",
    "tools/testing/selftests/kselftest_harness.h",
    "tools/testing/selftests/kselftest.h",
    "include/uapi/linux/tls.h",
];

/// The suites that are not sealed, as the test calls them: each case of them is refused.
const REFUSED: [&str; 6] = [
    "12_aes_ccm",
    "13_aes_ccm",
    "13_sm4_gcm",
    "13_sm4_ccm",
    "12_aria_gcm",
    "12_aria_gcm_256",
];

/// Its records were sealed by one of these.
const REFUSED_FIXTURE: &str = "zero_len";

/// Cases in which two processes use one socket, which one of them owns here.
const SHARED: [&str; 12] = [
    "blocking",
    "nonblocking",
    "mutliproc_even",
    "mutliproc_readers",
    "mutliproc_writers",
    "mutliproc_sendpage_even",
    "mutliproc_sendpage_readers",
    "mutliproc_sendpage_writers",
    "rekey_poll_delay",
    "rekey_poll_pending",
    "poll_partial_rec_async",
    "timeo",
];

/// Builds and runs the test. Every case that fails has to have a reason.
pub(crate) fn step() -> Result<()> {
    shell::run(shell::cargo(&[
        "build",
        "--locked",
        "--package",
        "underseal-preload",
    ]))?;
    let apt = Apt::open(crate::vm::directory().join("apt"))?;
    let (package, source) = apt.source(SUITE)?;
    let directory = directory();
    fs::create_dir_all(&directory)?;
    unpack(&package, &source, &directory)?;
    let program = compile(&directory)?;
    let output = directory.join("output");
    Session::run(&program, &arguments(), &output)?;
    let cases = page::cases(&fs::read_to_string(&output).context("no output")?);
    ensure!(
        !cases.is_empty(),
        "no case was run; see {}",
        output.display()
    );
    page::check(&source, &cases).with_context(|| format!("see {}", output.display()))
}

fn directory() -> PathBuf {
    shell::root().join("target/selftest")
}

fn unpack(package: &Path, source: &str, directory: &Path) -> Result<()> {
    const PIPELINE: &str = "set -e; package=$1; archive=./usr/src/$2.tar.xz; shift 2; \
        dpkg --fsys-tarfile \"$package\" | tar -xO \"$archive\" | tar -xJ --strip-components=1 \"$@\"";
    if FILES.iter().all(|file| directory.join(file).is_file()) {
        return Ok(());
    }
    let mut command = shell::program("sh", &["-c", PIPELINE, "unpack"]);
    command.arg(package).arg(source).current_dir(directory);
    command.args(FILES.map(|file| format!("{source}/{file}")));
    shell::run(command)
}

/// With the kernel's own header of TLS before that of this machine, which may be older.
fn compile(directory: &Path) -> Result<PathBuf> {
    let headers = directory.join("headers/linux");
    fs::create_dir_all(&headers)?;
    fs::copy(directory.join(FILES[3]), headers.join("tls.h"))?;
    let program = directory.join("tls");
    let mut command = shell::program("cc", &["-O2", "-w", "-Iheaders"]);
    command
        .args(["-Itools/testing/selftests", "-o"])
        .arg(&program);
    command.arg(FILES[0]).current_dir(directory);
    shell::run(command)?;
    Ok(program)
}

fn arguments() -> Vec<String> {
    let with = |option: &str, name: &str| [option.to_owned(), name.to_owned()];
    let excluded = SHARED.iter().map(|name| with("-T", name));
    let refused = REFUSED.iter().map(|name| with("-V", name));
    let fixture = with("-F", REFUSED_FIXTURE);
    let all = excluded.chain(refused).chain([fixture]);
    all.flatten().collect()
}
