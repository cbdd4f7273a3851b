//! System calls that a signal interrupts: on a socket with a time limit the kernel does not repeat
//! them by itself, not even where nobody handles the signal (signal(7)).

use std::io::{ErrorKind, Write as _};
use std::process::Command;
use std::thread;

use underseal_testkit::{Suite, pipe};

use crate::connect::{Server, in_kernel, pattern};
use crate::machine::alone;

const LEN: usize = 10_000;

fn write(server: &mut Server) {
    assert_eq!(server.write(&pattern(LEN)).unwrap(), LEN);
}

fn splice(server: &mut Server) {
    let (reader, mut writer) = pipe();
    writer.write_all(&pattern(LEN)).unwrap();
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

/// Stops this process and has it go on, whatever its threads wait in.
fn interrupt() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "sleep 1; kill -STOP $PPID; sleep 1; kill -CONT $PPID"]);
    assert!(shell.status().unwrap().success());
}

/// All of them wait in their calls when the one signal comes.
#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_signal_while_the_socket_is_full_costs_nothing() {
    let _machine = alone();
    type Send = fn(&mut Server);
    let ways: [(&str, Send); 3] = [("write", write), ("splice", splice), ("file", file)];
    let mut waiting = Vec::new();
    for suite in Suite::EACH_VERSION {
        for (name, send) in ways {
            let (mut server, peer) = in_kernel(suite);
            let filled = fill(&mut server);
            let sending = thread::spawn(move || {
                send(&mut server);
                server.shutdown().unwrap();
                server
            });
            waiting.push((format!("{suite:?} {name}"), filled, peer, sending));
        }
    }
    interrupt();
    for (what, filled, mut peer, sending) in waiting {
        let (received, is_closed) = peer.receive_data();
        assert!(is_closed, "{what}");
        assert!(received[filled..] == pattern(LEN), "{what}");
        drop(sending.join().unwrap());
    }
}
