//! What the guest's kernel counted: TLS sockets, and the run time of everything.

use std::fs;

/// Counters of /proc at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counters {
    /// Sockets that the kernel's software seals for; zero without the module. Those that are open,
    /// because probes open some, too.
    pub(super) tls_tx: u64,
    /// Sockets that it opens for.
    pub(super) tls_rx: u64,
    /// Run time of all processes and kernel threads, in nanoseconds.
    pub(super) running: u64,
}

impl Counters {
    /// Reads them. What the kernel does not have is zero.
    pub(super) fn now() -> Self {
        let tls = fs::read_to_string("/proc/net/tls_stat").unwrap_or_default();
        let scheduler = fs::read_to_string("/proc/schedstat").unwrap_or_default();
        Self {
            tls_tx: named(&tls, "TlsCurrTxSw"),
            tls_rx: named(&tls, "TlsCurrRxSw"),
            running: running(&scheduler),
        }
    }
}

/// The number behind `name`.
fn named(table: &str, name: &str) -> u64 {
    let value = table.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(name)).then(|| words.next()?.parse().ok())?
    });
    value.unwrap_or(0)
}

/// Seventh number of each `cpu` line: `rq_cpu_time` (kernel/sched/stats.c).
fn running(schedstat: &str) -> u64 {
    let cpus = schedstat.lines().filter(|line| line.starts_with("cpu"));
    cpus.filter_map(|line| line.split_whitespace().nth(7)?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_name_and_place() {
        let tls = "TlsTxSw \t9\nTlsCurrTxSw                     \t4\nTlsCurrRxSw \t2\n";
        assert_eq!(
            (named(tls, "TlsCurrTxSw"), named(tls, "TlsCurrRxSw")),
            (4, 2)
        );
        assert_eq!(named("", "TlsCurrTxSw"), 0);
        let schedstat = "version 15\ntimestamp 1\ncpu0 0 0 3 4 5 6 700 8 9\ndomain0 1 0 0\n\
                         cpu1 0 0 3 4 5 6 70 8 9\n";
        assert_eq!(running(schedstat), 770);
    }
}
