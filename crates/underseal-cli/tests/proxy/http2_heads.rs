//! Heads of HTTP/2 that are long, too long, or scattered.

use std::io::{ErrorKind, Write as _};

use serde_json::json;

use crate::http2::get_head;
use crate::http2_floods::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, bystander, connect,
    count, goaway, proxy, read,
};
use crate::http2_frames::frame;

/// `:status: 431`: a name of the static table, put into the dynamic one with this value, which is
/// Huffman-coded (RFC 7541 section 6.2.1, appendices A and B).
const STATUS_431: [u8; 5] = [0x48, 0x83, 0x69, 0x90, 0xff];

/// `:status: 200`, an entry of the static table.
const STATUS_200: u8 = 0x88;

/// The list of fields may be as long as a head of HTTP/1.1, and no longer: its stream is refused, and
/// the connection goes on.
#[test]
fn a_list_of_fields_that_is_too_long_is_answered_431() {
    let (proxy, backend) = proxy();
    let mut client = connect(&proxy);
    // 17 fields of two KiB are more than 32 KiB; eight of them fit into a frame.
    let fields: Vec<_> = (0..17).map(long_field).collect();
    let mut heads = vec![frame(HEADERS, END_STREAM, 1, &get_head())];
    for (n, some) in fields.chunks(8).enumerate() {
        let flags = if n == 2 { END_HEADERS } else { 0 };
        heads.push(frame(CONTINUATION, flags, 1, &some.concat()));
    }
    let next = frame(HEADERS, END_HEADERS | END_STREAM, 3, &get_head());
    heads.push(next);
    client.write_all(&heads.concat()).expect("send");
    // Nothing but the 431 is in the table of fields when the 200 comes.
    let (came, end) = read(&mut client, |frame| frame.0 == DATA);
    assert_eq!(end, None, "{came:?}");
    let heads: Vec<_> = came.iter().filter(|frame| frame.0 == HEADERS).collect();
    assert_eq!(heads[0].2, STATUS_431);
    assert_ne!(heads[0].1 & END_STREAM, 0);
    assert_eq!(heads[1].2[0], STATUS_200);
    assert_eq!(heads.len(), 2);
    let heads = backend.heads();
    assert_eq!(heads.len(), 1, "{heads:?}");
    assert!(!heads[0].contains("vvv"), "{heads:?}");
    let line = proxy.logged(|line| line["status"] == 431);
    assert_eq!(
        (&line["protocol"], &line["error"], &line["verdict"]),
        (
            &"h2".into(),
            &"refused:head-too-long".into(),
            &"deny".into()
        )
    );
}

/// Whoever resets it: the library, or a client that thinks better of it.
#[test]
fn each_request_has_one_line_in_the_log() {
    let (proxy, _backend) = proxy();
    let mut client = connect(&proxy);
    // `connection: close` is none of HTTP/2's fields.
    let closing = [&get_head(), &b"\x40\x0aconnection\x05close"[..]].concat();
    // `content-length: 1`.
    let short = [&get_head(), &b"\x0f\x0d\x011"[..]].concat();
    let streams = [
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &closing),
        frame(HEADERS, END_HEADERS, 3, &short),
        // More than it said: the library resets the stream, which somebody is given.
        frame(DATA, END_STREAM, 3, b"more"),
        frame(HEADERS, END_HEADERS | END_STREAM, 5, &get_head()),
    ];
    client.write_all(&streams.concat()).expect("send");
    let (came, _) = read(&mut client, |frame| frame.0 == DATA && frame.2 == b"ok");
    drop(client);
    let refused = proxy.logged(|line| line["error"] == "stream-refused");
    assert_eq!(
        (&refused["method"], &refused["status"]),
        (&json!(null), &json!(null))
    );
    proxy.logged(|line| line["status"] == 200);
    proxy.signal(rustix::process::Signal::TERM);
    let finished = proxy.running.peer.finish();
    let lines = crate::running::log_lines(&finished.stdout);
    assert_eq!(lines.len(), 3, "{lines:#?} {came:?}");
}

/// Long heads need several frames each, which are no frames of control: the limit of a head bounds
/// them.
#[test]
fn long_heads_are_no_flood() {
    let (proxy, _backend) = proxy();
    let mut client = connect(&proxy);
    let fields: Vec<_> = (0..15).map(long_field).collect();
    let (some, others) = fields.split_at(8);
    for n in 0..20 {
        let stream = 2 * n + 1;
        let head = [
            frame(HEADERS, END_STREAM, stream, &get_head()),
            frame(CONTINUATION, 0, stream, &some.concat()),
            frame(CONTINUATION, END_HEADERS, stream, &others.concat()),
        ];
        client.write_all(&head.concat()).expect("send");
        let (came, end) = read(&mut client, |frame| frame.0 == DATA);
        assert_eq!(end, None, "request {n}: {came:?}");
        let head = came.iter().find(|frame| frame.0 == HEADERS);
        assert_eq!(head.map(|head| head.2[0]), Some(STATUS_200), "request {n}");
    }
}

/// A list of fields that is scattered over more frames than it needs is read no further, and neither
/// is one that is much too long, however short it is on the wire.
#[test]
fn a_list_of_fields_that_is_scattered_or_unpacks_ends_the_connection() {
    let mut scattered = vec![frame(HEADERS, END_STREAM, 1, &get_head())];
    scattered.extend((0..6).map(|n| frame(CONTINUATION, 0, 1, &long_field(n))));
    // The field is the newest of the dynamic table then, and each byte says it once more.
    let unpacks = [get_head(), long_field(0), vec![0xbe; 100]].concat();
    let unpacks = frame(HEADERS, END_STREAM | END_HEADERS, 1, &unpacks);
    for sent in [scattered.concat(), unpacks] {
        let (proxy, backend) = proxy();
        let mut client = connect(&proxy);
        client.write_all(&sent).expect("send");
        let (came, end) = read(&mut client, |_| false);
        assert_eq!(end, Some(ErrorKind::UnexpectedEof), "{came:?}");
        assert_eq!(goaway(&came), Some(ENHANCE_YOUR_CALM), "{came:?}");
        assert_eq!(count(&came, HEADERS, 0), 0, "{came:?}");
        assert_eq!(bystander(&proxy), "HTTP/1.1 200 OK");
        assert!(backend.heads().iter().all(|head| !head.contains("a.test")));
    }
}

/// A field of two KiB, spelt out: a literal without a name in the table.
fn long_field(n: u8) -> Vec<u8> {
    // 2000 in seven bits and a rest: 127, then 1873 as 0xd1 0x0e.
    let name = [0x40, 2, b'x', b'a' + n % 26, 0x7f, 0xd1, 0x0e];
    [&name[..], &[b'v'; 2000]].concat()
}
