//! What somebody does to a connection who wants to break it: every call with what is wrong for it, processes and threads
//! at once. `program.c` attacks, this end looks at every byte.

#[path = "../harness/library.rs"]
mod library;
#[path = "../harness/program.rs"]
mod program;
#[path = "../harness/records.rs"]
mod records;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use underseal_record::SeqNo;
use underseal_testkit::{PATIENCE, Peer};

use program::program;
use records::{records_from, text};

fn prepared(attack: &str) -> (Command, TcpListener) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut command = program();
    command.args([&port.to_string(), attack]);
    (command, listener)
}

fn started(attack: &str) -> (Peer, TcpListener) {
    let (mut command, listener) = prepared(attack);
    (Peer::spawn(&mut command), listener)
}

fn accepted(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

fn all_of(mut stream: &TcpStream) -> Vec<u8> {
    let mut wire = Vec::new();
    stream.read_to_end(&mut wire).expect("the end");
    wire
}

/// What the program sends in an attack, all of it sealed.
fn plaintext_after(attack: &str) -> String {
    let (peer, listener) = started(attack);
    let wire = all_of(&accepted(&listener));
    peer.finish().successful();
    text(&wire)
}

/// The same, of a program that is sent something at its step "bytes".
fn plaintext_beside_bytes(attack: &str) -> String {
    let (mut peer, listener) = started(attack);
    let mut stream = accepted(&listener);
    peer.wait_for("bytes");
    stream.write_all(b"some bytes").expect("somebody who reads");
    // They are there before it goes on.
    thread::sleep(Duration::from_millis(50));
    peer.write("\n");
    let wire = all_of(&stream);
    peer.finish().successful();
    text(&wire)
}

#[test]
fn a_bad_address_or_length_is_an_error_in_every_call() {
    assert_eq!(plaintext_beside_bytes("bad-addresses"), "firstlast");
}

#[test]
fn processes_that_come_by_fork_under_threads_that_write_send_nothing() {
    let sent = plaintext_after("fork-under-threads");
    let sent = sent.strip_prefix("first").expect("what it begins with");
    let sent = sent.strip_suffix("last").expect("what it ends with");
    assert!(sent.as_bytes().chunks(10).all(|said| said == b"0123456789"));
    assert!(!sent.is_empty(), "nobody has written");
}

#[test]
fn a_program_that_is_started_gets_no_number_that_reaches_the_wire() {
    assert_eq!(plaintext_after("spawn"), "firstafterlast");
    assert_eq!(plaintext_after("close-on-exec"), "firstafterlast");
}

#[test]
fn a_process_in_the_same_memory_seals_and_takes_nothing_away() {
    assert_eq!(plaintext_after("guest"), "firstguestafterlast");
}

#[test]
fn as_many_pieces_as_the_kernel_takes_are_taken() {
    let pieces = (0..1024).filter(|piece| piece % 3 != 0);
    let digits: String = pieces.map(|piece| (piece % 10).to_string()).collect();
    assert_eq!(plaintext_after("pieces"), format!("first{digits}last"));
}

#[test]
fn flags_that_nobody_knows_send_nothing() {
    assert_eq!(plaintext_after("flags"), "firstlast");
}

#[test]
fn every_kind_of_wait_is_told() {
    assert_eq!(plaintext_beside_bytes("waits"), "firstlast");
}

#[test]
fn signals_and_states_are_those_of_the_connection() {
    assert_eq!(plaintext_beside_bytes("states"), "firstlast");
}

#[test]
fn a_direction_that_is_over_leaves_the_other() {
    assert_eq!(plaintext_beside_bytes("half-closed"), "firstopen");
}

#[test]
fn files_of_every_kind_are_sent_or_refused() {
    assert_eq!(plaintext_after("files"), "first\0\0\0attacks\nlast");
}

#[test]
fn a_connection_that_is_to_be_reset_at_its_end_is_reset_though_something_waits() {
    let (mut peer, listener) = started("reset");
    let mut stream = accepted(&listener);
    peer.wait_for("closed");
    let read = stream.read_to_end(&mut Vec::new());
    assert_eq!(read.expect_err("no end").kind(), ErrorKind::ConnectionReset);
    peer.write("\n");
    peer.finish().successful();
}

#[test]
fn a_key_ends_with_its_last_record_and_the_program_is_told() {
    let (peer, listener) = started("key-that-ends");
    let wire = all_of(&accepted(&listener));
    peer.finish().successful();
    let records = records_from(&wire, SeqNo(0x00ff_fffe));
    let texts: Vec<_> = records
        .iter()
        .map(|(_, text)| String::from_utf8_lossy(text))
        .collect();
    assert_eq!(texts, ["last but one", "the last"]);
}

#[test]
fn whatever_threads_do_to_numbers_each_wire_has_nothing_but_records_behind_what_was_not_sealed() {
    for receives in [false, true] {
        let (mut command, listener) = prepared("chaos");
        if receives {
            command.env("UNDERSEAL_PRELOAD_RECEIVE", "1");
        }
        let peer = Peer::spawn(&mut command);
        let peer = thread::spawn(move || peer.finish().successful());
        listener.set_nonblocking(true).expect("a listener");
        let mut readers = Vec::new();
        while !peer.is_finished() {
            while let Ok((stream, _)) = listener.accept() {
                readers.push(thread::spawn(move || is_sealed(&rest_of(stream))));
            }
            thread::sleep(Duration::from_millis(1));
        }
        peer.join().expect("it ends well");
        let sealed = readers.into_iter();
        let sealed = sealed.filter_map(|reader| reader.join().expect("records").then_some(()));
        assert!(sealed.count() > 10, "few were sealed");
    }
}

/// What comes, also of a connection that is reset as something is unread.
fn rest_of(mut stream: TcpStream) -> Vec<u8> {
    let mut wire = Vec::new();
    // Whoever opens what it receives finds no record.
    let _ = stream.write_all(b"no record of TLS");
    stream.set_nonblocking(false).expect("a stream");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let _ = stream.read_to_end(&mut wire);
    wire
}

/// Whether records came; there is nothing else behind the first.
fn is_sealed(mut wire: &[u8]) -> bool {
    while let Some(rest) = wire
        .strip_prefix(b"0123456789")
        .or(wire.strip_prefix(b"open"))
    {
        wire = rest;
    }
    !text(wire).is_empty()
}
