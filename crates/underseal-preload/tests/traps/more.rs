//! Records that a program leaves open (`MSG_MORE`), or that wait for others.

use super::*;

/// The texts of the records of a wire, or how long they are; an alert is one without.
fn texts(wire: &[u8]) -> Vec<String> {
    let text = |(content_type, plaintext): (ContentType, Vec<u8>)| match plaintext.len() {
        _ if content_type == ContentType::ALERT => String::new(),
        len if len > 100 => format!("{len} bytes"),
        _ => String::from_utf8(plaintext).expect("text"),
    };
    records(wire).into_iter().map(text).collect()
}

#[test]
fn a_record_stays_open_until_it_is_ended_or_full() {
    let wire = fall_into("open-records").first;
    let expected = [
        "first",
        "onetwothree",
        "before",
        "",
        "headfile",
        "piped",
        "parents",
        "16384 bytes",
        "\0last",
    ];
    assert_eq!(texts(&wire), expected);
}

#[test]
fn a_socket_that_is_full_again_and_again_gets_each_byte_once() {
    let data: String = ('a'..='w').cycle().take(1 << 20).collect();
    let plaintext = plaintext_after("full-and-open");
    assert!(plaintext == format!("first{data}last"), "they differ");
}

#[test]
fn a_record_that_is_open_at_the_end_is_sent() {
    for trap in ["open-closed", "open-shut", "open-exit"] {
        assert_eq!(texts(&fall_into(trap).first), ["first", "open"], "{trap}");
    }
}

#[test]
fn a_record_that_nothing_follows_is_sent() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut command = program();
    command.args([&port.to_string(), "left-open"]);
    let mut peer = Peer::spawn(&mut command);
    let (mut stream, _) = listener.accept().expect("a connection");
    peer.wait_for("waits");
    // It comes while the program does nothing that the library sees.
    let len = ["first", "open"].map(|text| 5 + text.len() + 1 + 16);
    let mut wire = vec![0; len.iter().sum()];
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.read_exact(&mut wire).expect("all of it");
    peer.close_stdin();
    peer.finish().successful();
    assert_eq!(texts(&wire), ["first", "open"]);
}

#[test]
fn records_are_as_short_as_the_peer_wants_them() {
    let records = records(&fall_into("short-records").first);
    let lens: Vec<_> = records.iter().map(|(_, text)| text.len()).collect();
    let expected = ["first", "opened"].map(str::len);
    assert_eq!(lens, [&expected[..], &[100, 100, 50, 4]].concat());
}

#[test]
fn records_that_are_held_go_with_the_flags_of_their_call() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut command = program();
    command.args([&port.to_string(), "behind-the-end"]);
    let mut peer = Peer::spawn(&mut command);
    let (stream, _) = listener.accept().expect("a connection");
    peer.wait_for("ended");
    let records = records(&take_all(stream));
    peer.close_stdin();
    peer.finish().successful();
    let last = records.last().expect("records");
    assert!(
        *last == (ContentType::ALERT, vec![1, 0]),
        "it is not the last"
    );
}
