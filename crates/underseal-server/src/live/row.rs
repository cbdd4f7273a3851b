//! One connection, as a line of JSON: what a process answers, and what `conns --json` prints.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A live connection. What is not known is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The process, in the PID namespace of whoever asks.
    pub pid: Option<u32>,
    /// The subcommand, or the name of a program that is not underseal.
    pub command: Option<String>,
    /// The process's end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
    /// Since the handshake was complete.
    pub age_seconds: Option<f64>,
    /// TLS version, named as in the access log.
    pub tls: Option<String>,
    /// The cipher suite, named as in the access log.
    pub suite: Option<String>,
    /// Who seals.
    pub tx_engine: Engine,
    /// Who opens.
    pub rx_engine: Engine,
    /// Plaintext sent, in bytes.
    pub tx_bytes: Option<u64>,
    /// Plaintext received, in bytes.
    pub rx_bytes: Option<u64>,
    /// Key updates sent.
    pub tx_key_updates: Option<u64>,
    /// Key updates received.
    pub rx_key_updates: Option<u64>,
}

impl Row {
    /// Whether the kernel protects the records of a direction.
    pub fn in_kernel(&self) -> bool {
        [self.tx_engine, self.rx_engine] != [Engine::User; 2]
    }
}

/// Who protects the records of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
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
    pub fn name(self) -> &'static str {
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
