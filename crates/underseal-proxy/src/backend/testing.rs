//! What tests of backends need.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use underseal_server::access_log::Sink;
use underseal_server::current::Current;
use underseal_server::live::Registry;

use super::{Address, At, Name};
use crate::metrics::Metrics;
use crate::process::{Process, ProcessSettings, Timeouts};

/// A listener whose queue is full: no connection is accepted, nor refused.
pub(super) struct BlackHole {
    pub(super) address: SocketAddr,
    _listener: Socket,
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    pub(super) fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP));
        let listener = listener.expect("a socket");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        listener.bind(&any.into()).expect("a port");
        listener.listen(0).expect("listen");
        let address = listener.local_addr().expect("an address");
        let address = address.as_socket().expect("an address");
        let wait = Duration::from_millis(100);
        let queued = std::iter::from_fn(|| TcpStream::connect_timeout(&address, wait).ok());
        let queued = queued.take(8).collect();
        Self {
            address,
            _listener: listener,
            _queued: queued,
        }
    }
}

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
