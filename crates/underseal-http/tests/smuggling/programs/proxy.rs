//! A reverse proxy before a backend that records.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use underseal_testkit::free_port;

use super::backend::{self, Record};

/// A running proxy before a backend of its own; it ends when it is dropped.
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) record: Record,
    child: Child,
    _directory: tempfile::TempDir,
}

impl Proxy {
    /// Starts what `command` says, which is given a directory of its own and the configuration, a
    /// text that is made of that directory, the address to listen on and that of the backend.
    pub(crate) fn start(
        name: &'static str,
        configuration: fn(&Path, SocketAddr, SocketAddr) -> String,
        command: fn(&Path, &Path) -> Command,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (backend, record) = backend::start();
        let file = directory.path().join("configuration");
        // Whoever takes the port that was free a moment ago has it: then with another.
        for _ in 0..5 {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
            let text = configuration(directory.path(), address, backend);
            fs::write(&file, text).expect("a file in a directory of our own");
            let log = fs::File::create(directory.path().join("log")).expect("the same");
            let mut command = command(directory.path(), &file);
            let command = command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log);
            let mut child = command.spawn().expect("the program starts");
            if listens(&mut child, address) {
                return Self {
                    name,
                    address,
                    record,
                    child,
                    _directory: directory,
                };
            }
        }
        let said = ["log", "errors"].map(|log| fs::read_to_string(directory.path().join(log)));
        panic!("{name} does not start: {said:?}");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
    }
}

/// Whether it listens in time; it has ended if not.
fn listens(child: &mut Child, address: SocketAddr) -> bool {
    for _ in 0..500 {
        if TcpStream::connect(address).is_ok() {
            return true;
        }
        if child.try_wait().expect("our own child").is_some() {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("our own child");
    child.wait().expect("our own child");
    false
}
