//! What a run was measured on: without it no number means anything.

use std::fs;
use std::process::Command;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::tunables;

/// Description of the machine and of what was compared.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Day of the run, UTC.
    pub date: String,
    /// Commit that was built, with `-dirty` if the tree had changes.
    pub commit: String,
    /// CPU model and number of CPUs.
    pub cpu: String,
    /// CPU flags that decide between AEAD implementations.
    pub flags: Vec<String>,
    /// Frequency governor, if the kernel shows one.
    pub governor: String,
    /// Kernel release.
    pub kernel: String,
    /// Load average before the first measurement: above 0.1 or so the machine was not quiet.
    pub load_before: f64,
    /// Settings of the C library.
    pub libc: String,
    /// Name and version of everything that was compared.
    pub versions: Vec<(String, String)>,
}

impl Machine {
    /// Describes this machine.
    ///
    /// # Errors
    ///
    /// When `/proc` is not there.
    pub fn this() -> anyhow::Result<Self> {
        let cpuinfo = read("/proc/cpuinfo")?;
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let model = field("model name").unwrap_or_else(|| "unknown CPU".to_owned());
        let cpus = cpuinfo
            .lines()
            .filter(|line| line.starts_with("processor"))
            .count();
        let has = field("flags").unwrap_or_default();
        let has: Vec<&str> = has.split(' ').collect();
        let load = read("/proc/loadavg")?;
        Ok(Self {
            date: time::OffsetDateTime::now_utc().date().to_string(),
            commit: first_line("git", &["describe", "--always", "--dirty"]),
            cpu: format!("{model}, {cpus} CPUs"),
            flags: FLAGS
                .iter()
                .filter(|f| has.contains(f))
                .map(|f| (*f).to_owned())
                .collect(),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
                .map_or_else(|_| "not shown".to_owned(), |text| text.trim().to_owned()),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            load_before: load
                .split(' ')
                .next()
                .and_then(|l| l.parse().ok())
                .unwrap_or(0.0),
            libc: tunables::in_force(),
            versions: versions(),
        })
    }

    /// The name of a run's directory: the day and the CPU.
    pub fn slug(&self) -> String {
        let cpu = self
            .cpu
            .split(',')
            .next()
            .unwrap_or_default()
            .to_lowercase();
        let words = cpu.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        format!("{}-{}", self.date, words.join("-"))
    }

    /// The description as a Markdown list.
    pub fn to_markdown(&self) -> String {
        let versions: Vec<String> = self
            .versions
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        format!(
            "- date {}, commit {}\n- CPU {} ({}), governor {}\n- kernel {}, load before {:.2}\n- C library {}\n- {}\n",
            self.date,
            self.commit,
            self.cpu,
            self.flags.join(" "),
            self.governor,
            self.kernel,
            self.load_before,
            self.libc,
            versions.join(", "),
        )
    }
}

const FLAGS: [&str; 7] = [
    "aes",
    "pclmulqdq",
    "avx2",
    "avx512f",
    "vaes",
    "vpclmulqdq",
    "sha_ni",
];

/// Crates whose versions matter, as the lock file has them.
const CRATES: [&str; 7] = [
    "rustls",
    "tokio-rustls",
    "ring",
    "aws-lc-rs",
    "aws-lc-sys",
    "openssl",
    "tokio",
];

fn versions() -> Vec<(String, String)> {
    let lock = include_str!("../../Cargo.lock");
    let mut versions: Vec<(String, String)> = CRATES
        .iter()
        .map(|name| {
            (
                (*name).to_owned(),
                locked(lock, name).unwrap_or("unknown").to_owned(),
            )
        })
        .collect();
    versions.push(("OpenSSL".to_owned(), openssl::version::version().to_owned()));
    versions.push(("nginx".to_owned(), first_line("nginx", &["-v"])));
    versions.push(("HAProxy".to_owned(), first_line("haproxy", &["-v"])));
    versions.push(("rustc".to_owned(), first_line("rustc", &["-V"])));
    versions
}

fn locked<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    rest.split('"').next()
}

/// The first line that a program prints about itself, on whichever stream.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        return "not installed".to_owned();
    };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text)
        .lines()
        .next()
        .unwrap_or("unknown")
        .to_owned()
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_after_day_and_cpu() {
        let machine = Machine {
            date: "2026-11-21".to_owned(),
            cpu: "AMD EPYC 9R14 (Genoa), 2 CPUs".to_owned(),
            ..Machine::default()
        };
        assert_eq!(machine.slug(), "2026-11-21-amd-epyc-9r14-genoa");
    }

    #[test]
    fn every_compared_crate_is_in_the_lock_file() {
        let unknown: Vec<_> = versions()
            .into_iter()
            .filter(|(_, version)| version == "unknown")
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
