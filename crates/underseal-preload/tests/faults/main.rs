//! Faults around a connection: signals, ends that come at a bad moment, and what runs out. `program.c` has them, this
//! end looks at every byte.

#[path = "../harness/library.rs"]
mod library;
#[path = "../harness/program.rs"]
mod program;
#[path = "../harness/records.rs"]
mod records;

use std::hash::{BuildHasher as _, RandomState};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use underseal_record::ContentType;
use underseal_testkit::{PATIENCE, Peer};

use program::program;
use records::{records, text};

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port.to_string())
}

/// The program in a fault, and the other end of its connection.
struct Case {
    peer: Peer,
    stream: TcpStream,
}

impl Case {
    fn of(fault: &str, more: &str) -> Self {
        let (listener, port) = listener();
        let mut command = program();
        command.args([&port, fault, more]);
        let peer = Peer::spawn(&mut command);
        let (stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { peer, stream }
    }

    /// Lets the program go on behind `step`.
    fn go_on(&mut self, step: &str) {
        self.peer.wait_for(step);
        self.peer.write("\n");
    }

    /// All that comes, of a program that ends well; with what it says.
    fn end(mut self) -> (Vec<u8>, String) {
        let mut wire = Vec::new();
        self.stream.read_to_end(&mut wire).expect("the end");
        (wire, self.peer.finish().successful().text())
    }
}

/// What the program sends in a fault for which it needs nobody.
fn plaintext_after(fault: &str) -> String {
    text(&Case::of(fault, "").end().0)
}

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
fn nothing_of_the_file_system_is_needed() {
    let empty = tempfile::tempdir().expect("a directory");
    let place = empty.path().display().to_string();
    let (wire, _) = Case::of("chroot", &place).end();
    assert_eq!(text(&wire), "firstlast");
}

#[test]
fn what_would_be_held_goes_out_at_once_where_no_thread_can_be_had() {
    let mut case = Case::of("no-threads", "");
    case.peer.wait_for("waits");
    let texts = [
        "first", "head", "file", "head", "file", "head", "file", "alone", "open", "open",
    ];
    let len = texts.iter().map(|text| 5 + text.len() + 1 + 16).sum();
    let mut wire = vec![0; len];
    case.stream.read_exact(&mut wire).expect("all of it");
    case.peer.write("\n");
    let (rest, _) = case.end();
    wire.extend(rest);
    assert_eq!(text(&wire), format!("{}last", texts.concat()));
}

#[test]
fn a_program_without_memory_is_told_so_and_lives() {
    let (wire, said) = Case::of("no-memory", "").end();
    let sent: usize = said.trim().parse().expect("a number");
    assert_eq!(text(&wire).len(), "first".len() + sent + "last".len());
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

#[test]
fn numbers_above_the_limit_are_closed_where_a_filter_forbids_close_range() {
    let (wire, _) = Case::of("closefrom", "").end();
    assert_eq!(text(&wire), "firstlast");
}

#[test]
fn thousands_of_connections_seal_each_for_itself_and_leave_nothing_behind() {
    const MOST: u64 = 10_000;
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a limit that is allowed");
    // Each has two numbers; who has fewer, as by `ulimit -Hn 20000`, comes near to it.
    let count = limit
        .maximum
        .map_or(MOST, |most| most.saturating_sub(200) / 2);
    let count = count.min(MOST) as usize;
    assert!(count >= 5000, "`ulimit -Hn` is to be above 10200");
    let (listener, port) = listener();
    let mut command = program();
    command.args([&port, "many", &count.to_string()]);
    let mut peer = Peer::spawn(&mut command);
    let accepted = (0..count).map(|_| listener.accept().expect("a connection").0);
    let mut streams: Vec<TcpStream> = accepted.collect();
    peer.wait_for("all");
    for stream in &mut streams {
        stream.write_all(b"x").expect("somebody who reads");
    }
    peer.write("\n");
    for (number, mut stream) in streams.into_iter().enumerate() {
        let mut wire = Vec::new();
        stream.set_read_timeout(Some(PATIENCE)).expect("a stream");
        stream.read_to_end(&mut wire).expect("the end");
        assert_eq!(text(&wire), format!("number {number}"));
    }
    peer.finish().successful();
}

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

#[test]
fn a_file_that_shrinks_is_sent_as_far_as_it_is_there() {
    let case = Case::of("shrinks", "");
    case.peer.wait_for("shorter");
    let (wire, said) = case.end();
    let sent: usize = said
        .lines()
        .find_map(|line| line.trim().parse().ok())
        .expect("a number");
    let content: String = (0..sent)
        .map(|at| char::from(b'a' + (at % (1 << 20) % 23) as u8))
        .collect();
    assert!(text(&wire) == format!("first{content}last"), "they differ");
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

#[test]
fn a_child_has_connections_though_a_thread_of_its_parents_was_in_the_list() {
    let (other, port) = listener();
    let case = Case::of("forked-under-the-list", &port);
    let (mut stream, _) = other.accept().expect("a connection");
    let mut wire = Vec::new();
    stream.read_to_end(&mut wire).expect("the end");
    assert_eq!(text(&wire), "the child's");
    assert_eq!(text(&case.end().0), "firstlast");
}

#[test]
fn a_process_that_came_by_fork_sends_no_head_of_its_parents() {
    let sent = plaintext_after("forked-under-a-head");
    assert_eq!(sent, format!("first{}last", "headfile".repeat(20)));
}
