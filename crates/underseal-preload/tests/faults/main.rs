//! Faults around a connection: signals, ends that come at a bad moment, and what runs out. The program in C beside this
//! file has them, this end looks at every byte.

mod allocations;
mod ends;
mod keys;
#[path = "../harness/library.rs"]
mod library;
mod lingers;
mod processes;
#[path = "../harness/program.rs"]
mod program;
#[path = "../harness/records.rs"]
mod records;
mod shortages;
mod waits;

use std::hash::{BuildHasher as _, RandomState};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use underseal_record::ContentType;
use underseal_testkit::{PATIENCE, Peer};

use program::program;
use records::{records, text};

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port.to_string())
}

/// The program in a fault, and the other end of its connection.
struct Case {
    peer: Peer,
    stream: TcpStream,
}

impl Case {
    fn of(fault: &str, more: &str) -> Self {
        Self::at(listener(), fault, more)
    }

    fn at((listener, port): (TcpListener, String), fault: &str, more: &str) -> Self {
        let mut command = program();
        command.args([&port, fault, more]);
        let peer = Peer::spawn(&mut command);
        let (stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { peer, stream }
    }

    /// Lets the program go on behind `step`.
    fn go_on(&mut self, step: &str) {
        self.peer.wait_for(step);
        self.peer.write("\n");
    }

    /// All that comes, of a program that ends well; with what it says.
    fn end(mut self) -> (Vec<u8>, String) {
        let mut wire = Vec::new();
        self.stream.read_to_end(&mut wire).expect("the end");
        (wire, self.peer.finish().successful().text())
    }
}

/// What the program sends in a fault for which it needs nobody.
fn plaintext_after(fault: &str) -> String {
    text(&Case::of(fault, "").end().0)
}
