//! Calls that wait, and what ends a wait.

use super::*;

#[test]
fn a_signal_stops_a_call_where_the_program_has_asked_for_it_and_loses_nothing() {
    let much: String = "0123456789abcde".chars().cycle().take(8 << 20).collect();
    for fault in ["interrupted", "restarted"] {
        let case = Case::of(fault, "");
        case.peer.wait_for("beats");
        let sent = text(&case.end().0);
        assert!(sent == format!("first{much}last"), "{fault}: they differ");
    }
}

#[test]
fn one_signal_stops_a_call_of_which_a_part_is_taken() {
    let case = Case::of("interrupted-once", "");
    assert_eq!(case.peer.finish().successful().text().trim(), "stopped");
}

#[test]
fn a_call_waits_no_longer_than_it_is_to_however_often_the_peer_takes_a_little() {
    let mut case = Case::of("send-in-time", "");
    let mut wire = Vec::new();
    let mut piece = [0; 4096];
    while wire.len() < 2 << 20 {
        let read = case.stream.read(&mut piece).expect("more of it");
        assert!(read > 0, "it is too short");
        wire.extend_from_slice(&piece[..read]);
        thread::sleep(Duration::from_millis(1));
    }
    let (rest, _) = case.end();
    wire.extend(rest);
    assert_eq!(text(&wire).len(), "first".len() + (4 << 20) + "last".len());
}

#[test]
fn a_signal_handler_is_refused_whatever_it_calls_and_how_often() {
    let case = Case::of("used-by-a-handler", "");
    assert_eq!(case.peer.finish().successful().text().trim(), "stopped");
}

#[test]
fn a_signal_ends_a_wait() {
    assert_eq!(plaintext_after("interrupted-waits"), "firstlast");
}

#[test]
fn whether_a_call_waits_is_the_files_to_say_from_one_call_to_the_next() {
    let mut case = Case::of("toggled", "");
    case.go_on("full");
    let (wire, said) = case.end();
    let sent: usize = said
        .trim()
        .rsplit('\n')
        .next()
        .and_then(|sent| sent.parse().ok())
        .expect("a number");
    assert_eq!(text(&wire).len(), "first".len() + sent + "last".len());
}

#[test]
fn a_thread_that_polls_a_socket_when_it_gets_tls_is_told_of_its_peer() {
    let mut case = Case::of("polled-before", "");
    case.peer.wait_for("moved");
    case.stream.write_all(b"x").expect("somebody who reads");
    case.peer.write("\n");
    assert_eq!(text(&case.end().0), "firstlast");
}

#[test]
fn arrays_that_cannot_be_written_are_errors() {
    assert_eq!(plaintext_after("arrays"), "firstlast");
}

#[test]
fn select_says_how_much_time_is_left() {
    assert_eq!(plaintext_after("time-left"), "firstlast");
}

#[test]
fn calls_that_few_programs_make_find_the_connection() {
    assert_eq!(plaintext_after("rare-calls"), "firstpwritev2last");
}

#[test]
fn as_many_epoll_instances_as_a_program_has_go_on_watching() {
    assert_eq!(plaintext_after("watched-often"), "firstlast");
}
