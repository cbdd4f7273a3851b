//! `underseal doctor`: what this machine can do for TLS records, found out by trying.
//!
//! Each module below turns one set of probes into a [`report::Section`]; [`text`] and [`json`]
//! print the whole.

mod aead;
mod datagrams;
mod engines;
mod json;
mod kernel_tls;
mod nic;
mod programs;
mod report;
mod run;
#[cfg(test)]
mod tests;
mod text;

use std::io::{self, IsTerminal as _, Write as _};

use rustix::thread::CapabilitySet;

use self::report::{Machine, Report};
use crate::cli::DoctorArgs;
use crate::diagnostics;
use crate::exit::{Failure, tolerate_closed_stdout};

/// Probes and prints. Whatever the answers are, that is a success.
///
/// # Errors
/// When stdout cannot be written for another reason than a closed pipe.
pub(crate) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let report = probe();
    let stdout = io::stdout().lock();
    let text = if args.json {
        format!("{:#}\n", json::render(&report))
    } else {
        text::render(&report, diagnostics::colour_wanted(stdout.is_terminal()))
    };
    let mut stdout = stdout;
    tolerate_closed_stdout(
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush()),
    )
}

fn probe() -> Report {
    let privileged = is_privileged();
    Report {
        machine: Machine {
            underseal: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
            privileged,
        },
        sections: vec![
            engines::probe(),
            kernel_tls::probe(privileged),
            nic::probe(),
            aead::probe(),
            datagrams::probe_udp(),
            datagrams::probe_tun(),
            programs::probe(),
            run::probe(),
        ],
    }
}

/// Whether this process may do what some probes need: load the module `tls` and BPF programs, make
/// a tun interface.
fn is_privileged() -> bool {
    let needed = CapabilitySet::NET_ADMIN | CapabilitySet::SYS_ADMIN;
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}
