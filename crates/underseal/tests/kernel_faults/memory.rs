//! A kernel that has too little memory for what a socket is to hold.

use std::io::{self, ErrorKind, Write as _};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use underseal::{Error, Offload, Offloads, Refusal};
use underseal_testkit::{PATIENCE, Suite, pipe};

use crate::connect::{
    Peer, SUITE, Server, USER, accept_over, assert_alive, in_kernel, pattern, sockets,
};
use crate::machine::alone;

/// Pages that all TCP sockets of the machine may have: they have more already, so that each gets
/// the least a socket always has.
const NO_PAGES: &str = "1 1 1";

/// How long it lasts: TCP waits longer from one attempt to the next, in the end longer than any
/// test does.
const SHORTAGE: Duration = Duration::from_millis(300);

/// Less than a record, in bytes.
const SMALL: usize = 4_096;

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_kernel_out_of_memory_loses_no_byte_of_a_blocking_stream() {
    let machine = alone();
    for suite in Suite::EACH_VERSION {
        let (mut server, mut peer) = in_kernel(suite);
        let data = pattern(400_000);
        let no_pages = machine.set("net/ipv4/tcp_mem", NO_PAGES);
        let peer = thread::spawn(move || peer.receive_data());
        let shortage = thread::spawn(move || {
            thread::sleep(SHORTAGE);
            drop(no_pages);
        });
        server.write_all(&data).unwrap();
        server.shutdown().unwrap();
        shortage.join().unwrap();
        let (received, closed) = peer.join().unwrap();
        assert!(closed && received == data, "{} bytes came", received.len());
    }
}

/// Sends what there is of the data; returns whether any was taken.
type Send = fn(&mut Server, &[u8], &mut usize) -> bool;

fn send_file_once(server: &mut Server, data: &[u8], taken: &mut usize) -> bool {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&data[*taken..]).unwrap();
    count(server.send_file(&file, 0..u64::MAX), taken)
}

fn splice_once(server: &mut Server, data: &[u8], taken: &mut usize) -> bool {
    let (reader, mut writer) = pipe();
    let held = writer.write(&data[*taken..]).unwrap();
    count(server.splice_from(&reader, held).map(|n| n as u64), taken)
}

/// A server that only seals in the kernel: its sendfile may wait there, too.
fn sealing_in_kernel(suite: Suite) -> (Server, Peer) {
    let offloads = Offloads {
        tx: Offload::Kernel,
        rx: Offload::User,
    };
    accept_over(sockets(), suite, offloads).unwrap()
}

fn ends_within_its_time((mut server, _peer): (Server, Peer), what: &str, send: Send) {
    let socket = server.get_ref().0;
    socket.set_write_timeout(Some(SHORTAGE)).unwrap();
    // More than the peer's socket holds, which takes what it can.
    let data = vec![7; 8_000_000];
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        let mut taken = 0;
        while send(&mut server, &data, &mut taken) {}
        ended.send(taken < data.len())
    });
    let end = end.recv_timeout(PATIENCE);
    let is_full = end.unwrap_or_else(|_| panic!("a {what} waits for ever"));
    assert!(is_full, "the socket took everything by a {what}");
}

/// poll(2) says that a socket has room, and it takes nothing: it is waited for no longer than the socket
/// would wait.
#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_kernel_out_of_memory_keeps_a_blocking_stream_no_longer_than_its_time_limit() {
    let machine = alone();
    let ways: [(&str, Send); 3] = [
        ("write", write_once),
        ("file", send_file_once),
        ("splice", splice_once),
    ];
    for suite in Suite::EACH_VERSION {
        for (what, send) in ways {
            for connected in [in_kernel, sealing_in_kernel] {
                let connected = connected(suite);
                let _no_pages = machine.set("net/ipv4/tcp_mem", NO_PAGES);
                ends_within_its_time(connected, what, send);
            }
        }
    }
}

/// What the socket does not take is told by `WouldBlock`, and what it took is there.
#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_kernel_out_of_memory_loses_no_byte_of_a_non_blocking_stream() {
    let machine = alone();
    let _small = machine.set("net/ipv4/tcp_wmem", "4096 4096 4096");
    for suite in Suite::EACH_VERSION {
        let (mut server, mut peer) = in_kernel(suite);
        let data = pattern(400_000);
        let no_pages = machine.set("net/ipv4/tcp_mem", NO_PAGES);
        server.get_ref().0.set_nonblocking(true).unwrap();
        let mut taken = 0;
        while write_once(&mut server, &data, &mut taken) {}
        assert!(taken < data.len(), "the socket took everything");
        let peer = thread::spawn(move || peer.receive_data());
        let start = Instant::now();
        while start.elapsed() < SHORTAGE {
            write_once(&mut server, &data, &mut taken);
            thread::sleep(Duration::from_millis(1));
        }
        drop(no_pages);
        while taken < data.len() {
            write_once(&mut server, &data, &mut taken);
            thread::sleep(Duration::from_millis(1));
        }
        server.get_ref().0.set_nonblocking(false).unwrap();
        server.shutdown().unwrap();
        let (received, closed) = peer.join().unwrap();
        assert!(closed && received == data, "{} bytes came", received.len());
    }
}

/// Writes what the socket takes; whether it took any.
fn write_once(server: &mut Server, data: &[u8], taken: &mut usize) -> bool {
    count(server.write(&data[*taken..]).map(|n| n as u64), taken)
}

/// Counts what was taken, of a call that may have failed for want of room alone; whether it was any.
fn count(sent: io::Result<u64>, taken: &mut usize) -> bool {
    match sent {
        Ok(n) => {
            *taken += usize::try_from(n).unwrap();
            n > 0
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    }
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_receive_buffer_that_cannot_be_raised_is_refused() {
    let machine = alone();
    let small = || {
        let (ours, theirs) = sockets();
        set_socket_recv_buffer_size(&ours, SMALL).unwrap();
        (ours, theirs)
    };
    let _most = machine.set("net/core/rmem_max", &SMALL.to_string());
    let error = accept_over(small(), SUITE, Offload::Kernel).unwrap_err();
    match Error::of(&error) {
        Some(Error::Offload { refusal, .. }) => {
            assert_eq!(refusal, Refusal::ReceiveBuffer(2 * SMALL));
        }
        other => panic!("{other:?}"),
    }
    let (mut server, mut peer) = accept_over(small(), SUITE, Offload::User).unwrap();
    assert_eq!(server.engines(), USER);
    assert_alive(&mut server, &mut peer);
}
