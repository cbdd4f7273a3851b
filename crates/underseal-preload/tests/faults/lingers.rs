//! Connections whose last close is to wait until the peer has all of it (`SO_LINGER`).

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::net::sockopt::set_socket_recv_buffer_size;

use super::*;

/// A peer that takes little of what it does not read.
fn started(fault: &str, more: &str) -> Case {
    let (listener, port) = listener();
    set_socket_recv_buffer_size(&listener, 4096).expect("a size");
    Case::at((listener, port), fault, more)
}

/// That all came, to the last record.
fn is_complete(wire: &[u8], case: &str) {
    let records = records(wire);
    let last = records.last().expect("records");
    assert!(
        *last == (ContentType::ALERT, vec![1, 0]),
        "{case}: it is not the last"
    );
}

/// That all comes of a connection whose peer takes nothing before it is closed.
fn is_complete_behind_the_close(fault: &str) {
    let mut case = started(fault, "");
    case.peer.wait_for("closed");
    let mut wire = Vec::new();
    case.stream.read_to_end(&mut wire).expect("the end");
    is_complete(&wire, fault);
    case.peer.close_stdin();
    case.peer.finish().successful();
}

#[test]
fn the_last_close_waits_for_the_peer_where_the_program_wants_that() {
    for way in ["close", "dup2", "close_range"] {
        let case = started("lingers", way);
        case.peer.wait_for("closing");
        is_complete(&case.end().0, way);
    }
}

#[test]
fn a_number_is_free_while_its_close_waits() {
    let case = started("lingers-elsewhere", "");
    case.peer.wait_for("closing");
    is_complete(&case.end().0, "elsewhere");
}

#[test]
fn a_close_waits_though_the_library_is_sending() {
    let case = started("lingers-under-the-library", "");
    case.peer.wait_for("closing");
    is_complete(&case.end().0, "under the library");
}

#[test]
fn it_waits_no_longer_than_it_is_to_and_the_rest_goes_out_behind_it() {
    is_complete_behind_the_close("lingers-in-vain");
}

#[test]
fn it_does_not_send_again_and_again_where_the_socket_says_that_it_failed() {
    is_complete_behind_the_close("lingers-with-a-notification");
}

#[test]
fn a_signal_ends_that_wait_also_where_it_comes_between_waits() {
    is_complete_behind_the_close("lingers-but-for-a-signal-between");
}

#[test]
fn a_signal_ends_that_wait_and_nobody_waits_in_its_place() {
    let (others, port) = listener();
    let mut case = started("lingers-until-a-signal", &port);
    let (mut other, _) = others.accept().expect("a connection");
    other.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    case.peer.wait_for("closed");
    let is_gone = AtomicBool::new(false);
    let mut wire = Vec::new();
    thread::scope(|scope| {
        // It takes what the library has left, and leaves the kernel something.
        scope.spawn(|| {
            let mut piece = [0; 2048];
            while !is_gone.load(Ordering::Acquire) {
                let read = case.stream.read(&mut piece).expect("more of it");
                wire.extend_from_slice(&piece[..read]);
                thread::sleep(Duration::from_millis(2));
            }
        });
        case.peer.wait_for("gone");
        is_gone.store(true, Ordering::Release);
    });
    let mut record = [0; 5 + 4 + 1 + 16];
    other
        .read_exact(&mut record)
        .expect("a record that was left open");
    assert_eq!(text(&record), "open");
    case.stream.read_to_end(&mut wire).expect("the end");
    is_complete(&wire, "until a signal");
    case.peer.close_stdin();
    case.peer.finish().successful();
}

#[test]
fn an_end_that_waits_behind_the_rest_comes_though_a_close_is_to_linger() {
    for seconds in ["1000", "0"] {
        let mut case = started("lingers-behind-an-end", seconds);
        case.peer.wait_for("closed");
        let mut wire = Vec::new();
        case.stream.read_to_end(&mut wire).expect("the end");
        is_complete(&wire, seconds);
        case.stream.write_all(b"x").expect("the reader is there");
        case.peer.finish().successful();
    }
}
