//! System calls that a signal interrupts: on a socket with a time limit the kernel does not repeat
//! them by itself, not even where nobody handles the signal (signal(7)).

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use underseal_testkit::Suite;

use crate::connect::{Server, in_kernel, pattern};
use crate::machine::alone;

const LEN: usize = 10_000;

fn write(server: &mut Server) {
    assert_eq!(server.write(&pattern(LEN)).unwrap(), LEN);
}

fn splice(server: &mut Server) {
    let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap();
    File::from(writer).write_all(&pattern(LEN)).unwrap();
    assert_eq!(server.splice_from(&reader, LEN).unwrap(), LEN);
}

fn file(server: &mut Server) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&pattern(LEN)).unwrap();
    assert_eq!(server.send_file(&file, 0..LEN as u64).unwrap(), LEN as u64);
}

/// Fills the socket; returns how many bytes it took.
fn fill(server: &mut Server) -> usize {
    server.get_ref().0.set_nonblocking(true).unwrap();
    let mut filled = 0;
    let full = loop {
        match server.write(&[1; LEN]) {
            Ok(n) => filled += n,
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    server.get_ref().0.set_nonblocking(false).unwrap();
    filled
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_signal_while_the_socket_is_full_costs_nothing() {
    let _machine = alone();
    type Send = fn(&mut Server);
    for suite in Suite::EACH_VERSION {
        let ways: [(&str, Send); 3] = [("write", write), ("splice", splice), ("file", file)];
        for (name, send) in ways {
            let (mut server, mut peer) = in_kernel(suite);
            let filled = fill(&mut server);
            let peer = thread::spawn(move || {
                thread::sleep(Duration::from_secs(4));
                peer.receive_data()
            });
            let mut shell = Command::new("sh");
            shell.args(["-c", "sleep 1; kill -STOP $PPID; sleep 1; kill -CONT $PPID"]);
            let mut shell = shell.spawn().unwrap();
            send(&mut server);
            assert!(shell.wait().unwrap().success());
            server.shutdown().unwrap();
            let (received, is_closed) = peer.join().unwrap();
            assert!(is_closed, "{suite:?} {name}");
            assert!(received[filled..] == pattern(LEN), "{suite:?} {name}");
        }
    }
}
