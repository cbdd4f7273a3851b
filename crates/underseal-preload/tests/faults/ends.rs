//! Connections that end while something still goes out, or a call goes on.

use super::*;

#[test]
fn a_socket_that_is_closed_is_watched_no_more_while_something_still_goes_out() {
    let mut case = Case::of("closed-and-watched", "");
    case.peer.wait_for("closed");
    // It makes the socket readable, which is still there.
    case.stream.write_all(b"x").expect("somebody who reads");
    case.go_on("closed");
    case.peer.finish().successful();
}

#[test]
fn a_socket_that_is_closed_is_watched_no_more_while_a_call_goes_on() {
    let mut case = Case::of("closed-and-watched-under-a-call", "");
    case.go_on("closed");
    case.stream.write_all(b"x").expect("somebody who reads");
    case.peer.finish().successful();
}

/// What a program leaves sealed comes while it does nothing, a record of `last` at its end.
fn comes_while_nothing_is_done(fault: &str, last: &str) {
    let mut case = Case::of(fault, "");
    case.peer.wait_for("left");
    let len = last.len() + 1 + 16;
    let header = [23, 3, 3, 0, len as u8];
    let mut wire = Vec::new();
    let mut piece = [0; 4096];
    while !wire
        .len()
        .checked_sub(header.len() + len)
        .is_some_and(|start| wire[start..].starts_with(&header))
    {
        let read = case.stream.read(&mut piece);
        let read = read.unwrap_or_else(|error| panic!("{fault}: a record is missing: {error}"));
        assert!(read > 0, "{fault}: a record is missing");
        wire.extend_from_slice(&piece[..read]);
    }
    case.peer.write("\n");
    case.peer.finish().successful();
}

#[test]
fn what_a_call_has_sealed_and_a_full_socket_not_taken_goes_out_by_itself() {
    comes_while_nothing_is_done("sealed-by-keys", "open");
    comes_while_nothing_is_done("sealed-by-an-empty-file", "open");
    comes_while_nothing_is_done("sealed-by-an-alert", "no");
    comes_while_nothing_is_done("sealed-alert", "no");
    comes_while_nothing_is_done("sealed-by-a-close", "open");
    comes_while_nothing_is_done("sealed-by-a-reader", "head");
}

#[test]
fn a_reset_is_told_to_the_program_whoever_in_the_library_was_told() {
    for fault in ["reset-for-a-reader", "reset-for-who-asks"] {
        let mut case = Case::of(fault, "");
        case.peer.wait_for("full");
        // What was not read makes it a reset.
        drop(case.stream);
        case.peer.write("\n");
        case.peer.finish().successful();
    }
}

#[test]
fn nothing_is_taken_behind_the_end_of_the_direction() {
    let mut case = Case::of("behind-the-end", "");
    case.peer.wait_for("closed");
    let mut wire = Vec::new();
    case.stream.read_to_end(&mut wire).expect("the end");
    case.peer.write("\n");
    case.peer.finish().successful();
    let records = records(&wire);
    let (last, data) = records.split_last().expect("records");
    assert!(*last == (ContentType::ALERT, vec![1, 0]), "it is the last");
    let is_late = data.iter().any(|(_, text)| text.ends_with(b"late"));
    assert!(!is_late, "it is behind the end");
}

#[test]
fn a_call_goes_on_where_its_number_is_closed_and_given_out_again() {
    let (other, port) = listener();
    let mut case = Case::of("closed-under-calls", &port);
    let mut plain = String::new();
    let (mut stream, _) = other.accept().expect("a connection");
    stream.read_to_string(&mut plain).expect("the end");
    assert_eq!(plain, "in plain words");
    case.go_on("closed");
    case.stream.write_all(b"x").expect("somebody who reads");
    let (wire, _) = case.end();
    assert_eq!(text(&wire).len(), "first".len() + (4 << 20));
}

#[test]
fn a_signal_handler_that_interrupts_the_library_can_close_connections() {
    let (others, port) = listener();
    let mut case = Case::of("closed-by-a-handler", &port);
    let mut first = case.stream.try_clone().expect("a stream");
    let first = thread::spawn(move || first.read_to_end(&mut Vec::new()).expect("the end"));
    for number in 0..64 {
        let mut wire = Vec::new();
        let (mut stream, _) = others.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let read = stream.read_to_end(&mut wire);
        read.unwrap_or_else(|error| panic!("{number} is not closed: {error}"));
        assert_eq!(text(&wire), "open", "{number}");
    }
    case.go_on("closed");
    case.peer.finish().successful();
    first.join().expect("all of it");
}
