//! A program that ends a stream, by the reason that its parser gives.

use std::io::{BufRead, ErrorKind, Read, Write};
use std::thread;

use underseal::Error;
use underseal::message::{ByMessage, Denied, Filter, LengthPrefixed, Message, MessageDirection};
use underseal::message::{ParseError, Peer, Program, StreamParser, Verdict, Width};
use underseal::record::ContentType;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::case::Case;
use crate::connect::pattern;
use crate::endings::CLOSE_NOTIFY;

/// One byte of length, of up to ten bytes in all.
fn short_messages() -> impl Program<Peer> + Send + 'static {
    let parser = StreamParser::new(LengthPrefixed::new(Width::U8), 10);
    ByMessage::new(parser, |_: &mut Message<'_>| Verdict::<Peer>::Pass)
}

fn reason(error: &std::io::Error) -> ParseError {
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    match Error::of(error) {
        Some(Error::Denied(Denied::Ended(reason))) => reason,
        other => panic!("{other:?}"),
    }
}

const TOO_LONG: ParseError = ParseError::TooLong { len: 78, max: 10 };

/// Each way of reading gives what passed first, then the reason, and never an end.
pub(crate) fn a_reader_is_told_why_a_program_ended_the_stream(case: Case) {
    for len in [1, 3, 100] {
        let (mut stream, mut peer) = case.server();
        stream.attach(Filter::ingress(short_messages())).unwrap();
        peer.send(APPLICATION_DATA, b"\x02ab\x01");
        // The message that is too long begins in a record with one that is not.
        peer.send(APPLICATION_DATA, b"cMtoo long");
        peer.send(APPLICATION_DATA, b"\x01d");
        peer.send(ALERT, &CLOSE_NOTIFY);
        let mut got = Vec::new();
        let mut buffer = vec![0; len];
        let error = loop {
            match stream.read(&mut buffer) {
                Ok(0) => panic!("a clean end"),
                Ok(n) => got.extend_from_slice(&buffer[..n]),
                Err(error) => break error,
            }
        };
        assert_eq!((&got[..], reason(&error)), (&b"\x02ab\x01c"[..], TOO_LONG));
        assert_eq!(reason(&stream.read(&mut buffer).unwrap_err()), TOO_LONG);
        assert_eq!(reason(&stream.fill_buf().unwrap_err()), TOO_LONG);
        // The other direction goes on.
        stream.write_all(b"reply").unwrap();
        stream.shutdown().unwrap();
        assert_eq!(peer.receive_data(), (b"reply".to_vec(), true));
    }
}

pub(crate) fn every_way_of_reading_is_told_why(case: Case) {
    let (mut stream, mut peer) = case.server();
    stream.attach(Filter::ingress(short_messages())).unwrap();
    peer.send(APPLICATION_DATA, b"\x02abM");
    assert_eq!(stream.fill_buf().unwrap(), b"\x02ab");
    stream.consume(3);
    assert_eq!(reason(&stream.fill_buf().unwrap_err()), TOO_LONG);

    let (mut stream, mut peer) = case.server();
    stream.attach(Filter::ingress(short_messages())).unwrap();
    peer.send(APPLICATION_DATA, b"\x02abM");
    let mut out = [0; 10];
    let data = Some((ContentType::APPLICATION_DATA, 3));
    assert_eq!(stream.read_record(&mut out).unwrap(), data);
    assert_eq!(reason(&stream.read_record(&mut out).unwrap_err()), TOO_LONG);
    assert_eq!(reason(&stream.peek(&mut out).unwrap_err()), TOO_LONG);
}

/// The peer closed cleanly, and the program's protocol did not.
pub(crate) fn a_stream_that_ends_within_a_message_is_an_error(case: Case) {
    let (mut stream, mut peer) = case.server();
    stream.attach(Filter::ingress(short_messages())).unwrap();
    peer.send(APPLICATION_DATA, b"\x01a\x05bc");
    peer.send(ALERT, &CLOSE_NOTIFY);
    let mut got = Vec::new();
    for _ in 0..2 {
        let error = stream.read_to_end(&mut got).unwrap_err();
        assert_eq!(reason(&error), ParseError::Truncated { seen: 3 });
    }
    assert_eq!(got, b"\x01a");
}

/// Data from before the program came is no exception.
pub(crate) fn unread_data_ends_a_stream_too(case: Case) {
    let (mut stream, mut peer) = case.server();
    peer.send(APPLICATION_DATA, b"-\x01aM");
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 1);
    stream.attach(Filter::ingress(short_messages())).unwrap();
    let mut got = Vec::new();
    let error = stream.read_to_end(&mut got).unwrap_err();
    assert_eq!((&got[..], reason(&error)), (&b"\x01a"[..], TOO_LONG));
}

/// At each write from then on; what passed before is sent.
pub(crate) fn a_writer_is_told_why_a_program_ended_the_stream(case: Case) {
    let (mut stream, mut peer) = case.server();
    stream.attach(Filter::egress(short_messages())).unwrap();
    assert_eq!(stream.write(b"\x02abM").unwrap(), 3);
    for _ in 0..2 {
        assert_eq!(reason(&stream.write(b"\x01c").unwrap_err()), TOO_LONG);
    }
    stream.shutdown().unwrap();
    assert_eq!(peer.receive_data(), (b"\x02ab".to_vec(), true));

    let (mut stream, _peer) = case.server();
    stream.attach(Filter::egress(short_messages())).unwrap();
    stream.write_all(b"\x05bc").unwrap();
    let error = stream.shutdown().unwrap_err();
    assert_eq!(reason(&error), ParseError::Truncated { seen: 3 });
}

/// README's program, in either direction.
pub(crate) fn dns_messages_of_any_length_pass(case: Case) {
    const LIMIT: usize = 2 + 65_535;
    let queries_only = || {
        let parser = StreamParser::new(LengthPrefixed::dns(), LIMIT as u64);
        ByMessage::new(parser, |message: &mut Message<'_>| {
            match message.pull(4..5) {
                Ok([flags]) if flags & 0x80 == 0 => Verdict::<Peer>::Pass,
                _ => Verdict::Drop,
            }
        })
    };
    let (mut stream, mut peer) = case.server();
    for filter in [
        Filter::ingress(queries_only()),
        Filter::egress(queries_only()),
    ] {
        let direction = filter.direction();
        let refused = stream.attach(filter).unwrap_err();
        let limit = 64 * 1024;
        assert!(
            matches!(refused, Error::CorkLimit { longest: 65_537, limit: l } if l == limit),
            "{direction:?}: {refused}"
        );
        // Nothing was attached.
        stream.detach(direction).unwrap();
    }
    for filter in [
        Filter::ingress(queries_only()),
        Filter::egress(queries_only()),
    ] {
        stream.attach(filter.cork_limit(LIMIT)).unwrap();
    }
    let mut queries = [&[0xff, 0xff][..], &pattern(65_535)].concat();
    queries[4] = 0;
    queries.extend([0, 12]);
    queries.extend([0; 12]);
    let own = queries.clone();
    let peer = thread::spawn(move || {
        for chunk in own.chunks(16_000) {
            peer.send(APPLICATION_DATA, chunk);
        }
        peer.send(ALERT, &CLOSE_NOTIFY);
        peer.receive_data()
    });
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert!(got == queries, "{} bytes of {}", got.len(), queries.len());
    for chunk in got.chunks(10_000) {
        stream.write_all(chunk).unwrap();
    }
    stream.shutdown().unwrap();
    assert!(peer.join().unwrap() == (queries, true));
    stream.detach(MessageDirection::Ingress).unwrap();
}
