//! What a program may run out of, or is not allowed.

use super::*;

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
fn a_read_takes_no_memory() {
    let (listener, port) = listener();
    let mut command = program();
    command.args([&port, "no-memory-to-read", ""]);
    command.env("UNDERSEAL_PRELOAD_RECEIVE", "1");
    let peer = Peer::spawn(&mut command);
    let (mut stream, _) = listener.accept().expect("a connection");
    peer.finish().successful();
    let mut wire = Vec::new();
    stream.read_to_end(&mut wire).expect("the end");
    assert_eq!(text(&wire), "firstlast");
}

#[test]
fn a_number_of_which_nothing_can_be_noted_is_not_made() {
    let (wire, _) = Case::of("no-memory-for-numbers", "").end();
    assert_eq!(text(&wire), "firstlast");
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
