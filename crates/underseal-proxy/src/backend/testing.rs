//! What tests of backends need.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use underseal_server::access_log::Sink;
use underseal_server::current::Current;
use underseal_server::live::Registry;

use super::{Address, At, Name};
use crate::metrics::Metrics;
use crate::process::{Process, ProcessSettings, Timeouts};

/// A backend, in plaintext, that has a name for these addresses.
pub(crate) fn address(sockets: Vec<SocketAddr>) -> Address {
    let name = Name {
        host: "a.test".into(),
        port: 0,
        sockets: Current::new(sockets),
    };
    Address {
        name: "a.test:0".into(),
        at: At::Name(name),
        tls: None,
    }
}

/// A worker's part of a process that waits so long for connections, and logs nothing.
pub(crate) fn process(connect: Duration) -> Process {
    let long = Duration::from_secs(60);
    let settings = ProcessSettings {
        log: Sink::open(Path::new("off")).expect("nothing to open"),
        timeouts: Timeouts {
            header: long,
            idle: long,
            send: long,
            connect,
            response: long,
            tunnel: long,
            half_close: long,
        },
        metrics: Metrics::new(1),
    };
    let registry = Registry::new("test", 1);
    let table = registry.tables().next().expect("a table");
    Process::new(&settings, 0, Arc::clone(table))
}
