//! The kernels that tests are run on: one list, with the reason of each.

use clap::ValueEnum;

/// What a kernel is called on the command line and in KERNELS.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Name {
    /// Debian bookworm's: the oldest that is supported, without rekey
    #[value(name = "6.1")]
    V6_1,
    /// bookworm-backports': long-term, without rekey
    #[value(name = "6.12")]
    V6_12,
    /// trixie-backports': current, with rekey and a payload limit
    #[value(name = "7.x")]
    V7,
    /// 6.12 with the module `tls` left out: every stream has to fall back
    #[value(name = "no-tls")]
    NoTls,
}

impl Name {
    /// The Debian suite that the kernel comes from.
    pub(crate) fn suite(self) -> &'static str {
        match self {
            Self::V6_1 => "bookworm",
            Self::V6_12 | Self::NoTls => "bookworm-backports",
            Self::V7 => "trixie-backports",
        }
    }

    /// Whether the VM has the module `tls`.
    pub(crate) fn has_tls(self) -> bool {
        self != Self::NoTls
    }

    /// How many CPUs its VM has. One kernel has two, for what only two can do to each other: the same
    /// tests cost a fifth more there and take as long, since they wait more than they compute, and VMs
    /// of one run side by side. With two, 6.1 was seen to hang under software emulation: one CPU span in
    /// an `int3` while the other patched a jump label.
    pub(crate) fn cpus(self) -> usize {
        match self {
            Self::V6_1 | Self::V6_12 | Self::NoTls => 1,
            Self::V7 => 2,
        }
    }

    /// The word that names the kernel on the command line.
    pub(crate) fn word(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What is special about the kernel.
    pub(crate) fn about(self) -> String {
        self.to_possible_value()
            .and_then(|value| value.get_help().map(ToString::to_string))
            .unwrap_or_default()
    }
}

/// Depends on the kernel that a suite has at the moment. The cloud flavour has what the tests need
/// and is a third of the plain one.
pub(crate) const METAPACKAGE: &str = "linux-image-cloud-amd64";

/// Modules without which a VM is not worth booting. `init` loads them, so that tests need not.
pub(crate) const MODULES: &[&str] = &[
    "tls",
    "gcm",
    "ccm",
    "ctr",
    "chacha20poly1305",
    "aesni-intel",
    "tcp_diag",
    "tun",
];

/// Modules that only some kernels have: the others have the code elsewhere.
pub(crate) const OPTIONAL_MODULES: &[&str] = &[
    "ghash-clmulni-intel",
    "chacha-x86_64",
    "poly1305-x86_64",
    "chacha",
    "kcm",
];
