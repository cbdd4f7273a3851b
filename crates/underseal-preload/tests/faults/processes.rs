//! Processes that come by fork in a bad moment, and one that ends in any.

use super::*;

/// The records of a wire that is cut off anywhere.
fn whole_records(wire: &[u8]) -> &[u8] {
    let mut len = 0;
    while let Some([_, _, _, high, low]) = wire.get(len..len + 5) {
        let next = len + 5 + usize::from(u16::from_be_bytes([*high, *low]));
        if next > wire.len() {
            break;
        }
        len = next;
    }
    &wire[..len]
}

#[test]
fn a_program_that_is_killed_in_any_moment_has_sent_nothing_but_records() {
    for round in 0..12_u64 {
        let mut case = Case::of("killed", "");
        case.peer.wait_for("talks");
        let moment = RandomState::new().hash_one(round) % 20_000;
        thread::sleep(Duration::from_micros(moment));
        case.peer.kill();
        let mut wire = Vec::new();
        case.stream.read_to_end(&mut wire).expect("the end");
        let sent = text(whole_records(&wire));
        let sent = sent.strip_prefix("first").expect("what it begins with");
        assert!(sent.as_bytes().chunks(10).all(|said| said == b"0123456789"));
    }
}

/// What came on the wire of a child's own connection; on its parent's came "firstlast".
fn of_child(fault: &str) -> String {
    let (other, port) = listener();
    let case = Case::of(fault, &port);
    let (mut stream, _) = other.accept().expect("a connection");
    let mut wire = Vec::new();
    stream.read_to_end(&mut wire).expect("the end");
    assert_eq!(text(&case.end().0), "firstlast");
    text(&wire)
}

#[test]
fn a_child_has_connections_though_a_thread_of_its_parents_was_in_the_list() {
    assert_eq!(of_child("forked-under-the-list"), "the child's");
}

#[test]
fn a_child_waits_for_no_thread_of_its_parents_that_makes_a_number_another_files() {
    for fault in ["forked-before-connections", "closed-in-this-memory"] {
        let (_listener, port) = listener();
        let mut command = program();
        command.args([&port, fault, ""]);
        Peer::spawn(&mut command).finish().successful();
    }
}

#[test]
fn a_signal_handler_can_close_what_a_child_gives_up_just_then() {
    assert_eq!(
        plaintext_after("forked-and-closed-by-a-handler"),
        "firstlast"
    );
}

#[test]
fn no_thread_of_a_child_has_a_connection_of_its_parents_while_another_gives_it_up() {
    assert_eq!(of_child("forked-with-threads"), "otherstill");
}

#[test]
fn a_process_that_came_by_fork_sends_no_head_of_its_parents() {
    let sent = plaintext_after("forked-under-a-head");
    assert_eq!(sent, format!("first{}last", "headfile".repeat(20)));
}
