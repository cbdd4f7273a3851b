//! Frames of HTTP/2 with little in them, or nothing: however many come, nobody's connection ends by them.

use std::io::Write as _;

use h2::server::SendResponse;
use http::Request;
use hyper::body::Bytes;

use crate::backend::Backend;
use crate::harness::Start;
use crate::http2::get_head;
use crate::http2_backends::http2_server;
use crate::http2_floods::{DATA, END_HEADERS, END_STREAM, HEADERS, connect, count, proxy, read};
use crate::http2_frames::frame;
use crate::judged::Version;

/// More empty frames than the library takes of a connection, and fewer than a client may send at once.
const EMPTY: usize = 300;

/// More short frames than the library lets wait, and fewer bytes than a stream's window before its client has
/// agreed to another.
const PIECES: usize = 3_000;
const PIECE: &[u8] = b"twenty bytes of data";

#[test]
fn empty_frames_of_a_client_end_nothing() {
    let (proxy, _backend) = proxy();
    let mut client = connect(&proxy);
    for stream in [1, 3] {
        let upload = [
            frame(HEADERS, END_HEADERS, stream, &get_head()),
            frame(DATA, 0, stream, b"").repeat(EMPTY),
            frame(DATA, 0, stream, b"data"),
            frame(DATA, 0, stream, b"").repeat(EMPTY / 3),
            frame(DATA, END_STREAM, stream, b""),
        ];
        client.write_all(&upload.concat()).expect("send");
        let (came, end) = read(&mut client, |(kind, flags, _)| {
            *kind == DATA && flags & END_STREAM != 0
        });
        assert_eq!((end, count(&came, HEADERS, 0)), (None, 1), "{stream}");
    }
}

#[test]
fn empty_frames_of_a_backend_end_nothing() {
    let address = http2_server(
        |_: Request<_>, mut respond: SendResponse<Bytes>| async move {
            let sink = respond.send_response(http::Response::new(()), false);
            let mut sink = sink.expect("a stream");
            for _ in 0..EMPTY {
                sink.send_data(Bytes::new(), false).expect("an empty frame");
            }
            sink.send_data("ok".into(), true).expect("the end");
        },
    );
    let proxy = Start::new(address)
        .plain()
        .with(&["--to-protocol", "h2", "--workers", "1"])
        .start();
    for client in Version::BOTH {
        for _ in 0..2 {
            assert_eq!(client.get(proxy.address, &[]), 200, "{client:?}");
        }
    }
    let lines = crate::running::log_lines(&proxy.peer.stdout());
    assert!(
        lines.iter().all(|line| line["error"].is_null()),
        "{lines:?}"
    );
}

#[test]
fn a_burst_of_short_frames_passes() {
    let backend = Backend::new(|connection| {
        while let Some((_, body)) = connection.request() {
            let content = body.windows(PIECE.len()).filter(|part| *part == PIECE);
            let length = content.count().to_string();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{length}",
                length.len()
            ));
        }
    });
    let proxy = Start::new(backend.address).plain().start();
    let mut client = connect(&proxy);
    let upload = [
        frame(HEADERS, END_HEADERS, 1, &get_head()),
        frame(DATA, 0, 1, PIECE).repeat(PIECES),
        frame(DATA, END_STREAM, 1, b""),
    ];
    client.write_all(&upload.concat()).expect("send");
    let (came, end) = read(&mut client, |(kind, flags, _)| {
        *kind == DATA && flags & END_STREAM != 0
    });
    assert_eq!(end, None);
    assert_eq!(count(&came, HEADERS, 0), 1);
    let mut pieces = 0;
    for (kind, _, payload) in came {
        if kind == DATA && !payload.is_empty() {
            let text = String::from_utf8(payload).expect("digits");
            pieces += text.parse::<usize>().expect("a number");
        }
    }
    // Chunks may begin within one.
    assert!(pieces > PIECES / 2, "{pieces}");
    assert_eq!(
        proxy.logged(|line| line["protocol"] == "h2")["bytes_in"],
        PIECES * PIECE.len()
    );
}
