//! What poll may say of a socket.

use super::*;

#[test]
fn a_part_of_a_record_is_nothing_to_read_and_is_taken() {
    for suite in ALL {
        let (mut receive, mut socket) = (receive(suite), Socket::new(suite));
        assert!(!receive.is_readable(&mut socket));
        let record = socket.record(ContentType::APPLICATION_DATA, b"data");
        let (last, part) = record.split_last().unwrap();
        for byte in part {
            socket.queue.push_back(*byte);
            assert!(!receive.is_readable(&mut socket));
            assert!(socket.queue.is_empty(), "it would be told of again");
        }
        socket.queue.push_back(*last);
        for _ in 0..2 {
            assert!(receive.is_readable(&mut socket));
            assert_eq!(socket.queue.len(), 1, "it stays readable");
        }
        let got = text(&mut receive, &mut socket, with_type(100));
        assert_eq!(got.as_deref(), Ok("data"));
        assert!(!receive.is_readable(&mut socket));
    }
}

#[test]
fn nothing_is_read_before_somebody_reads_it() {
    let (mut receive, mut socket) = (receive(TLS13), Socket::new(TLS13));
    socket.data(b"one");
    socket.seal(ContentType::ALERT, &[1, 0]);
    assert!(receive.is_readable(&mut socket));
    assert_eq!(
        text(&mut receive, &mut socket, without(1)).as_deref(),
        Ok("o")
    );
    assert!(receive.is_readable(&mut socket));
    assert_eq!(
        text(&mut receive, &mut socket, without(9)).as_deref(),
        Ok("ne")
    );
    assert!(receive.is_readable(&mut socket));
    assert_eq!(call(&mut receive, &mut socket, without(9)), Err(Errno::IO));
    assert!(
        receive.is_readable(&mut socket),
        "an error is to be read too"
    );
    let (bytes, _) = call(&mut receive, &mut socket, with_type(9)).unwrap();
    assert_eq!(bytes, [1, 0]);
    assert!(!receive.is_readable(&mut socket));
}

#[test]
fn empty_records_are_nothing_to_read() {
    let (mut receive, mut socket) = (receive(TLS13), Socket::new(TLS13));
    (0..3).for_each(|_| socket.data(b""));
    assert!(!receive.is_readable(&mut socket));
    assert!(socket.queue.is_empty());
    socket.data(b"full");
    assert!(receive.is_readable(&mut socket));
    assert_eq!(
        text(&mut receive, &mut socket, without(9)).as_deref(),
        Ok("full")
    );
}

#[test]
fn the_end_and_what_is_broken_are_to_be_read() {
    for cut in [0, 3, 20] {
        let (mut receive, mut socket) = (receive(TLS13), Socket::new(TLS13));
        let record = socket.record(ContentType::APPLICATION_DATA, b"never whole");
        socket.queue.extend(&record[..cut]);
        assert!(!receive.is_readable(&mut socket));
        socket.is_over = true;
        assert!(receive.is_readable(&mut socket));
    }
    let (mut receive, mut socket) = (receive(TLS13), Socket::new(TLS13));
    socket.queue.extend([23, 3, 3, 0xff, 0xff]);
    for _ in 0..2 {
        assert!(receive.is_readable(&mut socket));
        assert_eq!(
            call(&mut receive, &mut socket, without(9)),
            Err(Errno::MSGSIZE)
        );
    }
}

/// Its connection was reset.
struct Reset;

impl Source for Reset {
    fn take(&mut self, _: &mut [u8], _: bool) -> Result<usize, Errno> {
        Err(Errno::CONNRESET)
    }

    fn peek(&mut self, _: bool) -> Result<Option<u8>, Errno> {
        Err(Errno::CONNRESET)
    }
}

#[test]
fn an_error_of_the_socket_is_to_be_read() {
    let (mut receive, mut socket) = (receive(TLS13), Socket::new(TLS13));
    assert!(receive.is_readable(&mut Reset));
    assert!(
        !receive.is_readable(&mut socket),
        "and nothing is lost by it"
    );
    socket.data(b"data");
    assert!(receive.is_readable(&mut socket));
}
