//! What the library asks of the system may fail, or come late. `program.c` answers it in the system's place; this end
//! looks at every byte.

#[path = "../harness/library.rs"]
mod library;
#[path = "../harness/program.rs"]
mod program;
#[path = "../harness/records.rs"]
mod records;

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use underseal_record::ContentType;
use underseal_testkit::{PATIENCE, Peer};

use program::program;
use records::{records, text};

/// More calls than the program's library makes that can fail.
const MANY: usize = 500;

/// The program with these arguments behind its port, and where it connects to.
fn started(arguments: &[&str]) -> (Peer, TcpListener) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    // Who connects to it fills a socket soon.
    set_socket_recv_buffer_size(&listener, 4096).expect("a size");
    let port = listener.local_addr().expect("an address").port();
    let mut command = program();
    command.arg(port.to_string()).args(arguments);
    (Peer::spawn(&mut command), listener)
}

fn accepted(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

fn all_of(mut stream: TcpStream) -> Vec<u8> {
    let mut wire = Vec::new();
    stream.read_to_end(&mut wire).expect("the end");
    wire
}

/// That all is there of what the program was told is sent, once and in order.
fn is_whole(wire: &[u8], case: &str) {
    let records = records(wire);
    let of = |wanted| {
        let texts = records.iter().filter(move |(found, _)| *found == wanted);
        let bytes = texts.flat_map(|(_, text)| text.clone()).collect();
        String::from_utf8(bytes).expect("text")
    };
    let data = "firstheadfileheadfileheadfilealonemorelesspiecespipedotherlast";
    assert_eq!(of(ContentType::APPLICATION_DATA), data, "{case}");
    assert_eq!(of(ContentType::HANDSHAKE), "ticket", "{case}");
    assert_eq!(of(ContentType::ALERT), "\u{1}\0", "{case}");
}

#[test]
fn whichever_system_call_fails_nothing_is_lost_that_was_told_and_nothing_is_sent_twice() {
    for error in [Errno::NOMEM, Errno::NOBUFS, Errno::NOSPC, Errno::IO] {
        let end = (1..MANY).find(|number| {
            let (number, error) = (number.to_string(), error.raw_os_error().to_string());
            let (mut peer, listener) = started(&["fails", &number, &error]);
            let wire = all_of(accepted(&listener));
            peer.close_stdin();
            let said = peer.finish().successful().text();
            let case = format!("call {number} fails with {error}: {said}");
            match said.starts_with("refused") {
                true => assert_eq!(String::from_utf8_lossy(&wire), "in plain words", "{case}"),
                false => is_whole(&wire, &case),
            }
            said.starts_with("none")
        });
        assert!(end > Some(20), "few calls fail: {end:?}");
    }
}

#[test]
fn what_a_peer_takes_late_is_still_there_however_late_it_is() {
    let (mut peer, listener) = started(&["hour"]);
    let stream = accepted(&listener);
    peer.wait_for("closed");
    let records = records(&all_of(stream));
    assert_eq!(records.last(), Some(&(ContentType::ALERT, vec![1, 0])));
    peer.close_stdin();
    peer.finish().successful();
}

#[test]
fn connections_that_are_closed_leave_the_program_numbers_to_go_on_with() {
    const COUNT: usize = 40;
    let (mut peer, listener) = started(&["many", &COUNT.to_string()]);
    peer.wait_for("closed");
    let streams: Vec<_> = (0..COUNT).map(|_| accepted(&listener)).collect();
    // An alert is two bytes, its type, and the tag.
    const ALERT: [u8; 5] = [23, 3, 3, 0, 2 + 1 + 16];
    let is_complete = |stream: TcpStream| {
        let wire = all_of(stream);
        let start = wire.len().checked_sub(ALERT.len() + usize::from(ALERT[4]));
        start.is_some_and(|start| wire[start..].starts_with(&ALERT))
    };
    let complete = streams
        .into_iter()
        .filter_map(|stream| is_complete(stream).then_some(()));
    // A quarter of the numbers are for these.
    assert!(complete.count() >= 64 / 4, "they were given up");
    peer.close_stdin();
    peer.finish().successful();
}

#[test]
fn a_connection_goes_on_unlisted_where_there_is_no_memory_for_the_list() {
    let (peer, listener) = started(&["list"]);
    let stream = accepted(&listener);
    assert_eq!(text(&all_of(stream)), "first");
    peer.finish().successful();
}
