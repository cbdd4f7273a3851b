//! One connection, as a line of JSON: what a process answers, and what `conns --json` prints.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A live connection. What is not known is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The process, in the PID namespace of whoever asks.
    pub(crate) pid: Option<u32>,
    /// The subcommand, or the name of a program that is not underseal.
    pub(crate) command: Option<String>,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    /// Since the handshake was complete.
    pub(crate) age_seconds: Option<f64>,
    /// TLS version and cipher suite, named as in the access log.
    pub(crate) tls: Option<String>,
    pub(crate) suite: Option<String>,
    /// Who seals, and who opens.
    pub(crate) tx_engine: Engine,
    pub(crate) rx_engine: Engine,
    /// Plaintext.
    pub(crate) tx_bytes: Option<u64>,
    pub(crate) rx_bytes: Option<u64>,
    pub(crate) tx_key_updates: Option<u64>,
    pub(crate) rx_key_updates: Option<u64>,
}

impl Row {
    /// Whether the kernel protects the records of a direction.
    pub(crate) fn in_kernel(&self) -> bool {
        [self.tx_engine, self.rx_engine] != [Engine::User; 2]
    }
}

/// Who protects the records of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Engine {
    /// The process itself.
    User,
    /// The kernel; whether in software or in a device is for the kernel to say.
    Kernel,
    /// The kernel's software.
    KernelSoftware,
    /// A network device.
    KernelDevice,
}

impl Engine {
    /// As it is written in JSON, too.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Kernel => "kernel",
            Self::KernelSoftware => "kernel-software",
            Self::KernelDevice => "kernel-device",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_has_one_name() {
        use Engine::{Kernel, KernelDevice, KernelSoftware, User};
        for engine in [User, Kernel, KernelSoftware, KernelDevice] {
            let json = serde_json::to_string(&engine).expect("a name");
            assert_eq!(json, format!("\"{}\"", engine.name()));
        }
    }
}
