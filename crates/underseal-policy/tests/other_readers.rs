//! What other libraries make of the same bytes: the fuzz targets that need them, over their
//! corpora, so that every test run drives them.

#[path = "other_readers/frames.rs"]
mod frames;
#[path = "other_readers/h2_server.rs"]
mod h2_server;
#[path = "other_readers/http1.rs"]
#[expect(
    unreachable_pub,
    reason = "the fuzz targets reach it from another crate"
)]
mod http1;
#[path = "other_readers/http2.rs"]
#[expect(
    unreachable_pub,
    reason = "the fuzz targets reach it from another crate"
)]
mod http2;
#[path = "other_readers/memory.rs"]
mod memory;

use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;
use underseal_testkit::over_corpus;

#[test]
fn http1_connections_of_the_corpus() {
    over_corpus("http1_connection", http1::http1_connection);
}

#[test]
fn http2_connections_of_the_corpus() {
    over_corpus("http2_connection", http2::http2_connection);
}

#[test]
fn http2_fields_of_the_corpus() {
    over_corpus("http2_fields", http2::http2_fields);
}

/// Two readers that read nothing agree, too.
#[test]
fn what_is_compared_is_there() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus");
    let requests = fs::read(format!("{corpus}/http1_connection/pipelined")).expect("in the corpus");
    assert_eq!(http1::hyper(&requests[1..], 7).len(), 4);
    assert_eq!(http1::requests(&requests[1..]).len(), 4);
    let frames = fs::read(format!("{corpus}/http2_connection/post-data")).expect("in the corpus");
    let seen = h2_server::serve(&[http2::START, &frames[1..]].concat(), 7);
    let contents: Vec<_> = seen
        .requests
        .iter()
        .map(|seen| (seen.content, seen.is_whole))
        .collect();
    assert_eq!(contents, [(7, true), (0, true)]);
    assert!(seen.is_clean);
}

/// Requests and parts of them, in any order.
fn http1_stream() -> impl Strategy<Value = String> {
    let parts = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "POST /c?d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\n\r\n",
        "GET http://a/e HTTP/1.1\r\nHost: a\r\n",
        "PUT /f HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\n",
        "Content-Length: 2\r\n",
        "X: y\r\n",
        "\r\n",
        "ab",
        "2\r\nab\r\n",
        "0\r\n",
        "T: u\r\n\r\n",
    ];
    vec(proptest::sample::select(parts.to_vec()), 0..8).prop_map(|parts| parts.concat())
}

/// A frame with a header that is likely to be one.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let head = b"\x82\x84\x87\x41\x01a".to_vec();
    let payload = prop_oneof![Just(head), Just(vec![0; 8]), vec(any::<u8>(), 0..30)];
    let flags = prop_oneof![Just(0), Just(1), Just(4), Just(5), any::<u8>()];
    (0..10u8, flags, 0..6u32, payload, 0..40u8).prop_map(|(kind, flags, stream, payload, error)| {
        let mut bytes = Vec::new();
        frames::write(&mut bytes, kind, flags, stream, &payload);
        if error == 0 {
            bytes.pop();
        }
        bytes
    })
}

fn field() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        ":method: GET",
        ":method: CONNECT",
        ":scheme: https",
        ":authority: a",
        ":authority: A:443",
        ":path: /",
        ":path: /a/../admin",
        ":path: /a%2fb",
        ":path: *",
        ":protocol: websocket",
        "host: a",
        "te: trailers",
        "x: y\\r\\nz: u",
        "cookie: a=b",
        "content-length: 0",
    ])
}

proptest! {
    #[test]
    fn hyper_reads_the_same_requests(piece in 0..20u8, stream in http1_stream()) {
        http1::http1_connection(&[&[piece], stream.as_bytes()].concat());
    }

    #[test]
    fn h2_sees_the_same_frames(piece in 0..20u8, frames in vec(frame(), 0..12)) {
        http2::http2_connection(&[&[piece * 2][..], &frames.concat()].concat());
    }

    #[test]
    fn h2_hands_out_the_same_fields(cut in 0..40u8, fields in vec(field(), 0..8)) {
        http2::http2_fields(&[&[cut], b"\n", fields.join("\n").as_bytes()].concat());
    }
}
