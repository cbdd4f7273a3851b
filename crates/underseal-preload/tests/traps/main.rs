//! What programs do to a connection past the library: nothing of it may reach the wire as plaintext, and
//! no nonce may be used twice. The program in C beside this file falls into the traps; this end looks at every byte.

#[path = "../harness/library.rs"]
mod library;
mod more;
#[path = "../harness/program.rs"]
mod program;
#[path = "../harness/records.rs"]
mod records;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use rustix::io::Errno;
use underseal_record::ContentType;
use underseal_testkit::{PATIENCE, Peer};

use program::program;
use records::{records, text};

const MARKER: &str = "MARKER-of-plaintext";

/// All that came, on the first connection and on the second, if there is one.
struct Wire {
    first: Vec<u8>,
    second: Vec<u8>,
}

/// Runs the program into a trap, and takes what it sends.
fn fall_into(trap: &str) -> Wire {
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"));
    let [first, second] = &listeners;
    let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
    let mut command = program();
    command.args([&port(first).to_string(), trap, &port(second).to_string()]);
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            let (mut stream, _) = first.accept().expect("a connection");
            if trap == "carried-over" {
                stream.write_all(b"hello").expect("somebody who reads");
            }
            take_all(stream)
        });
        second.set_nonblocking(true).expect("a listener");
        Peer::spawn(&mut command).finish().successful();
        // The program has ended: what it connected to is waiting, or never comes.
        let second = second
            .accept()
            .map_or_else(|_| Vec::new(), |(stream, _)| take_all(stream));
        let first = first.join().expect("the wire is read");
        Wire { first, second }
    })
}

fn take_all(mut stream: TcpStream) -> Vec<u8> {
    stream.set_nonblocking(false).expect("a stream");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the end");
    bytes
}

fn has_marker(bytes: &[u8]) -> bool {
    bytes
        .windows(MARKER.len())
        .any(|window| window == MARKER.as_bytes())
}

/// The connection's plaintext, after a look for the marker on the wire.
fn plaintext_after(trap: &str) -> String {
    let wire = fall_into(trap);
    assert!(!has_marker(&wire.first), "plaintext is on the wire");
    assert!(wire.second.is_empty(), "there is no other connection");
    text(&wire.first)
}

/// The program closes the connection, and opens another at the same number.
fn is_another_connection_after(trap: &str) {
    let wire = fall_into(trap);
    assert!(!has_marker(&wire.first), "plaintext is on the wire");
    assert_eq!(text(&wire.first), "first");
    assert_eq!(wire.second, MARKER.as_bytes(), "it is not sealed");
}

#[test]
fn what_is_written_is_sealed() {
    assert_eq!(plaintext_after("nothing"), "firstlast");
}

#[test]
fn what_a_pipe_holds_is_sealed() {
    assert_eq!(plaintext_after("splice"), "firstpipedmorelast");
}

#[test]
fn the_c_librarys_own_writes_fail() {
    assert_eq!(plaintext_after("dprintf"), "firstlast");
    assert_eq!(plaintext_after("fputs"), "firstlast");
}

#[test]
fn raw_system_calls_fail() {
    assert_eq!(plaintext_after("syscall"), "firstlast");
}

#[test]
fn io_uring_fails() {
    let wire = fall_into("io_uring").first;
    let wire = wire.strip_prefix(b"by io_uring");
    let wire = wire.expect("what io_uring writes to a socket that is none of TLS yet");
    assert!(!has_marker(wire), "plaintext is on the wire");
    assert_eq!(text(wire), "firstlast");
}

#[test]
fn a_number_that_is_passed_on_is_dead() {
    assert_eq!(plaintext_after("rights"), "firstlast");
}

#[test]
fn every_number_of_a_connection_seals() {
    assert_eq!(plaintext_after("dup"), "firstdupdup2dup3dupfdstilllast");
}

#[test]
fn a_number_stays_a_connections_where_the_call_that_was_to_change_it_fails() {
    assert_eq!(plaintext_after("dup-fails"), "firstopenedotherlast");
}

#[test]
fn a_connection_whose_number_becomes_another_files_ends_behind_what_waits() {
    let wire = fall_into("dup-to");
    assert_eq!(text(&wire.first), "firstagainlast");
    assert_eq!(text(&wire.second), "otheropen");
}

#[test]
fn a_file_that_has_two_numbers_already_is_refused() {
    assert_eq!(plaintext_after("dup-before"), "");
    assert_eq!(plaintext_after("dup-before-vfork"), "");
    assert_eq!(plaintext_after("inherit"), "");
}

#[test]
fn a_socket_is_new_whatever_had_its_number() {
    assert_eq!(plaintext_after("dup-unseen"), "firstlast");
}

#[test]
fn a_file_that_is_to_have_two_numbers_is_refused_whoever_gives_it_the_other() {
    assert_eq!(plaintext_after("dup-meanwhile"), "");
    assert_eq!(plaintext_after("dup-in-handler"), "firstlast");
}

#[test]
fn another_program_gets_nothing_to_write_to() {
    assert_eq!(plaintext_after("exec"), "firstlast");
    assert_eq!(plaintext_after("posix_spawn"), "firstlast");
}

#[test]
fn a_program_that_replaces_itself_loses_the_connection() {
    let wire = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mut command = program();
        command.args([&port.to_string(), "exec-self"]);
        let taken = thread::spawn(move || take_all(listener.accept().expect("a connection").0));
        // echo finds nobody to write to.
        let finished = Peer::spawn(&mut command).finish();
        assert!(!finished.status.success(), "{}", finished.text());
        taken.join().expect("the wire is read")
    };
    assert!(!has_marker(&wire), "plaintext is on the wire");
    assert_eq!(text(&wire), "first");
}

#[test]
fn one_process_owns_a_connection_however_fork_is_called() {
    assert_eq!(plaintext_after("fork"), "firstparentlast");
    assert_eq!(plaintext_after("raw-fork"), "firstparentlast");
    assert_eq!(plaintext_after("raw-fork-file"), "firstparentlast");
    assert_eq!(plaintext_after("raw-fork-dup"), "firstparentlast");
}

#[test]
fn a_child_of_vfork_closes_its_own_numbers() {
    assert_eq!(plaintext_after("vfork"), "firstparentlast");
}

#[test]
fn what_a_child_of_vfork_makes_is_not_its_parents_to_know() {
    assert_eq!(plaintext_after("vfork-dup"), "firstlast");
}

#[test]
fn a_number_that_comes_again_is_another_connections() {
    is_another_connection_after("fclose");
    is_another_connection_after("raw-close");
}

#[test]
fn a_number_that_comes_again_as_a_file_is_sealed_no_more() {
    for call in [
        "dup",
        "fcntl",
        "cloexec",
        "creat",
        "eventfd",
        "memfd_create",
        "socketpair",
    ] {
        let wire = fall_into(&format!("raw-close-{call}"));
        assert_eq!(text(&wire.first), "first", "{call}");
    }
}

#[test]
fn a_hidden_number_that_is_closed_unseen_is_no_other_connections() {
    let wire = fall_into("raw-close_range");
    assert_eq!(text(&wire.first), "first");
    assert_eq!(text(&wire.second), "otherstill");
}

#[test]
fn closing_all_numbers_closes_the_connection() {
    is_another_connection_after("close_range");
    is_another_connection_after("closefrom");
    is_another_connection_after("loop");
}

#[test]
fn threads_that_write_at_once_use_each_number_once() {
    let plaintext = plaintext_after("threads");
    assert_eq!(plaintext.len(), "firstlast".len() + 4 * 500 * MARKER.len());
}

#[test]
fn what_the_program_could_ask_of_its_socket_goes_on() {
    assert_eq!(plaintext_after("carried-over"), "firstlast");
}

#[test]
fn a_request_that_is_granted_leaves_errno_alone() {
    assert_eq!(plaintext_after("errno"), "firstlast");
}

#[test]
fn bad_addresses_are_errors() {
    assert_eq!(plaintext_after("bad-addresses"), "firstilelast");
}

#[test]
fn messages_that_were_sent_count_where_a_later_one_fails() {
    assert_eq!(plaintext_after("messages"), "firstonetwotwolast");
}

#[test]
fn no_message_goes_behind_a_part_of_another() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut command = program();
    command.args([&port.to_string(), "part"]);
    let peer = Peer::spawn(&mut command);
    let (stream, _) = listener.accept().expect("a connection");
    peer.wait_for("part");
    let wire = take_all(stream);
    peer.finish().successful();
    assert_eq!(text(&wire).len(), "first".len() + (8 << 20) + "last".len());
}

#[test]
fn a_close_notify_at_a_full_socket_comes_behind_the_data() {
    for trap in ["full-socket", "shutdown"] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mut command = program();
        command.args([&port.to_string(), trap]);
        let mut peer = Peer::spawn(&mut command);
        let (mut stream, _) = listener.accept().expect("a connection");
        peer.wait_for("closed");
        let records = records(&take_all(stream.try_clone().expect("a stream")));
        if trap == "shutdown" {
            stream.write_all(b"answer").expect("somebody who reads");
        }
        peer.close_stdin();
        peer.finish().successful();
        let (last, data) = records.split_last().expect("records");
        assert_eq!(*last, (ContentType::ALERT, vec![1, 0]), "{trap}");
        assert!(
            data.iter()
                .all(|(content_type, _)| *content_type == ContentType::APPLICATION_DATA)
        );
        assert!(data.len() > 1, "{} records fill a socket", data.len());
    }
}

#[test]
fn who_waits_for_an_answer_in_splice_has_sent_what_it_answers() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut command = program();
    command.args([&port.to_string(), "answer"]);
    let peer = Peer::spawn(&mut command);
    let (mut stream, _) = listener.accept().expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    peer.wait_for("full");
    let alert = 2 + 1 + 16;
    let mut body = Vec::new();
    while body.len() != alert {
        let mut header = [0; 5];
        stream.read_exact(&mut header).expect("a record");
        body.resize(usize::from(u16::from_be_bytes([header[3], header[4]])), 0);
        stream.read_exact(&mut body).expect("a record");
    }
    stream.write_all(b"answer").expect("somebody who reads");
    peer.finish().successful();
}

#[test]
fn the_head_of_a_response_is_in_the_record_of_its_file_and_goes_out_alone_where_none_follows() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut command = program();
    command.args([&port.to_string(), "heads"]);
    let mut peer = Peer::spawn(&mut command);
    let (mut stream, _) = listener.accept().expect("a connection");
    peer.wait_for("waits");
    // It comes while the program does nothing that the library sees.
    let texts = ["first", "head", "file", "headfile", "headfile", "alone"];
    let len = texts.iter().map(|text| 5 + text.len() + 1 + 16).sum();
    let mut wire = vec![0; len];
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.read_exact(&mut wire).expect("all of it");
    peer.close_stdin();
    peer.finish().successful();
    let records = records(&wire);
    let records: Vec<_> = records
        .iter()
        .map(|(_, text)| String::from_utf8_lossy(text))
        .collect();
    assert_eq!(records, texts);
}

#[test]
fn a_kernel_that_has_tls_keeps_it_unless_the_library_is_to_take_over() {
    let (none, given) = (Errno::NOENT.raw_os_error(), 0);
    for (is_always, answer, whose) in [
        (false, given, "the kernel's"),
        (true, given, "the library's"),
        (false, none, "the library's"),
    ] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mut command = program();
        command.args([&port.to_string(), "whose", &answer.to_string()]);
        if !is_always {
            command.env_remove("UNDERSEAL_PRELOAD_ALWAYS");
        }
        let said = Peer::spawn(&mut command).finish().successful().text();
        assert_eq!(said.trim(), whose, "always: {is_always}, answer: {answer}");
    }
}

#[test]
fn what_cannot_be_had_is_refused_and_the_connection_stays_the_programs() {
    let wire = fall_into("refusals");
    assert_eq!(
        String::from_utf8_lossy(&wire.first),
        "in the program's own words"
    );
    assert_eq!(fall_into("one-shot").first, b"");
}
