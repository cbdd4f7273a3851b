//! Linux' own test of TLS sockets (`tools/testing/selftests/net/tls.c`) under `underseal-preload`. Its source comes
//! from Debian, is built below `target`, and is never in this repository.

mod page;
mod session;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

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

/// The others that there are: each has a process of its own, since cases wait more than they work. One
/// that is not named here is with the cases that have no suite.
const SEALED: [&str; 7] = [
    "12_aes_gcm",
    "12_aes_gcm_256",
    "12_chacha",
    "13_aes_gcm",
    "13_aes_gcm_256",
    "13_chacha",
    "13_nopad",
];

/// Its records were sealed by one of those that are refused.
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
    build()?;
    let apt = Apt::open(crate::vm::directory().join("apt"))?;
    let (package, source) = apt.source(SUITE)?;
    let directory = directory();
    fs::create_dir_all(&directory)?;
    unpack(&package, &source, &directory)?;
    let program = compile(&directory)?;
    let cases = page::cases(&run(&program, &directory)?);
    let place = || format!("see {}/output.*", directory.display());
    page::check(&source, &cases).with_context(place)
}

/// Builds the library as the tests of the workspace have it built: with their features of its dependencies.
fn build() -> Result<()> {
    let mut build = shell::cargo(&["build", "--locked", "--workspace", "--lib"]);
    build.args(["--test", "traps"]);
    shell::run(build)
}

/// Runs all shares of the cases at once, and returns what they printed, share by share.
fn run(program: &Path, directory: &Path) -> Result<String> {
    let run_share = |(number, arguments): (usize, Vec<String>)| {
        let output = directory.join(format!("output.{number}"));
        Session::run(program, &arguments, &output)?;
        let printed = fs::read_to_string(&output).context("no output")?;
        let place = output.display();
        ensure!(page::is_whole(&printed), "not all cases ran; see {place}");
        Ok(printed)
    };
    thread::scope(|scope| {
        let shares = shares().into_iter().enumerate();
        let runs: Vec<_> = shares
            .map(|share| scope.spawn(|| run_share(share)))
            .collect();
        runs.into_iter()
            .map(|run| run.join().unwrap_or_else(|_| bail!("a share panicked")))
            .collect()
    })
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

/// The arguments for each share of the cases: those of one suite, and at last those that have none.
fn shares() -> Vec<Vec<String>> {
    let with = |option: &str, name: &str| [option.to_owned(), name.to_owned()];
    let excluded = SHARED.iter().map(|name| with("-T", name));
    let refused = REFUSED.iter().map(|name| with("-V", name));
    let fixture = with("-F", REFUSED_FIXTURE);
    let excluded: Vec<_> = excluded.chain(refused).chain([fixture]).flatten().collect();
    let of_suite = SEALED.iter().map(|name| with("-v", name).to_vec());
    let others = SEALED.iter().flat_map(|name| with("-V", name)).collect();
    of_suite
        .chain([others])
        .map(|share| [&excluded[..], &share].concat())
        .collect()
}
