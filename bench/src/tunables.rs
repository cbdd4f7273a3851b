//! Settings of the C library that peers depend on, and that a process must have when it starts.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

/// The variable that glibc reads its settings from.
pub const VARIABLE: &str = "GLIBC_TUNABLES";

/// What is set, unless the user has set the variable already.
///
/// - glibc copies more than 2 KiB with `rep movsb` where the CPU has ERMS. On AMD Zen 3 and 4 that
///   is several times slower than its vector loop for some alignments (glibc bug 30994), and up to
///   Debian 12 nothing avoids it. Who copies whole records pays for it; rustls' receive side takes
///   twice the CPU.
/// - malloc gives memory at the top of the heap back to the kernel as soon as 128 KiB are free, and
///   a program that allocates a buffer per record and nothing else faults its pages in again and
///   again. Real programs have something allocated on top.
const FAVOUR_PEERS: &str = "glibc.cpu.x86_rep_movsb_threshold=1000000000\
                            :glibc.malloc.trim_threshold=1073741824\
                            :glibc.malloc.top_pad=16777216\
                            :glibc.malloc.mmap_threshold=33554432";

/// Starts this program again with the settings, unless it has some already.
///
/// # Errors
///
/// When the program cannot be started again; otherwise this returns only when there is nothing to
/// change.
pub fn apply() -> anyhow::Result<()> {
    if std::env::var_os(VARIABLE).is_some() {
        return Ok(());
    }
    let this = std::env::current_exe().context("cannot find this program")?;
    let arguments = std::env::args_os().skip(1);
    let error = Command::new(this)
        .args(arguments)
        .env(VARIABLE, FAVOUR_PEERS)
        .exec();
    Err(error).context("cannot start this program again")
}

/// The settings in force, for the description of a run.
pub fn in_force() -> String {
    match std::env::var(VARIABLE) {
        Ok(tunables) if tunables == FAVOUR_PEERS => {
            format!("set in favour of the peers: {tunables}")
        }
        Ok(tunables) => tunables,
        Err(_) => "as shipped".to_owned(),
    }
}
