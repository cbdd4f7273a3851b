//! A guest that hung, told from a test that failed.
//!
//! QEMU's software emulation now and then loses a CPU of the guest: Linux 6.1 patched a jump label,
//! and the CPUs went round the breakpoint that stands there meanwhile for ever. That says nothing
//! about what is tested, and the kernel is booted again, once. A failed test never is.

use std::fmt;
use std::time::Duration;

use super::log::{Log, kernel_fault};

/// How long a guest that lives is silent at most: it is to say something every other second, and a
/// busy machine delays it.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);

/// How the kernel says that a CPU of it does not go on.
const STALLS: &[&str] = &["detected stall", "soft lockup", "hard LOCKUP"];

/// The error of a guest that hung.
#[derive(Debug)]
pub(crate) struct Hung(pub(crate) String);

impl fmt::Display for Hung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the guest hung: {}", self.0)
    }
}

impl std::error::Error for Hung {}

/// Why the guest is taken for hung, if it is: its kernel reports a stall before any other fault, or
/// nothing came from it for too long. Not where a test had failed already.
pub(crate) fn hang(console: &str, log: &Log, silent: Duration) -> Option<String> {
    if log.has_failed() {
        return None;
    }
    match kernel_fault(console) {
        Some(line) if STALLS.iter().any(|stall| line.contains(stall)) => Some(line.to_owned()),
        Some(_) => None,
        None if silent >= SILENCE => Some(format!("silent for {} s", silent.as_secs())),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: &str = "[    0.812345] tls: loading out-of-tree module\n";

    /// In the words of Linux 6.1: a CPU that goes round the breakpoint of a jump label.
    const STALL: &str = "\
        [   61.284117] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\n\
        [   61.284603] rcu: \t1-...!: (0 ticks this GP) idle=6a3c/1/0x4000000000000000\n\
        [   61.290011] RIP: 0010:udp_destroy_sock+0x2b/0xa0\n\
        [   61.290420]  ? exc_int3+0x5a/0x70\n";

    const LOCKUP: &str = "[   88.1] watchdog: BUG: soft lockup - CPU#1 stuck for 52s! [init:1]\n";

    const OOPS: &str = "\
        [    9.1] BUG: kernel NULL pointer dereference, address: 0000000000000010\n\
        [   70.2] rcu: INFO: rcu_preempt self-detected stall on CPU\n";

    fn log(output: &str) -> Log {
        Log::parse(&format!("underseal-vm: begin parity\n{output}"))
    }

    #[test]
    fn a_stall_and_a_lockup_are_hangs() {
        let log = log("test a ... ok\n");
        let stall = hang(STALL, &log, Duration::ZERO);
        assert_eq!(stall.as_deref(), STALL.lines().next());
        assert!(hang(LOCKUP, &log, Duration::ZERO).is_some());
    }

    #[test]
    fn a_guest_that_says_nothing_hangs_and_one_that_lives_does_not() {
        let log = log("test a ... ok\n");
        assert_eq!(
            hang(QUIET, &log, SILENCE).as_deref(),
            Some("silent for 60 s")
        );
        assert_eq!(hang(QUIET, &log, SILENCE / 2), None);
    }

    #[test]
    fn a_failed_test_is_no_hang_whatever_the_kernel_says() {
        for output in ["test a ... FAILED\n", "underseal-vm: end parity 101\n"] {
            let log = log(output);
            assert_eq!(hang(STALL, &log, SILENCE), None, "{output}");
        }
    }

    #[test]
    fn a_fault_before_a_stall_is_no_hang() {
        assert_eq!(hang(OOPS, &log("test a ... ok\n"), SILENCE), None);
    }
}
