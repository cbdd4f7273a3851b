//! Streams that change their engine, their socket, or both, in the middle of a connection.

use std::io::{Read, Write};

use underseal::blocking;
use underseal::record::AlertDescription;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::case::Case;
use crate::connect::{Client, Server, pattern, sockets};

fn again(stream: Server) -> Server {
    Server::from_parts(stream.into_parts().unwrap()).unwrap()
}

/// On the same socket: with plaintext not read, with half a record received, and at the end.
pub(crate) fn a_stream_goes_on_after_it_was_taken_apart(case: Case) {
    let (mut stream, mut peer) = case.server();
    let data = pattern(20_000);
    let mut wire = Vec::new();
    for chunk in data.chunks(3_000) {
        wire.extend(peer.record(APPLICATION_DATA, chunk));
    }
    wire.extend(peer.record(ALERT, &[1, 0]));
    let mut received = Vec::new();
    let mut buffer = [0; 1_000];
    let segments = wire.chunks(2_222);
    let ticks = b"tick".repeat(segments.len());
    for segment in segments {
        peer.send_bytes(segment);
        stream.get_ref().0.set_nonblocking(true).unwrap();
        match stream.read(&mut buffer) {
            Ok(n) => received.extend(&buffer[..n]),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
        stream.get_ref().0.set_nonblocking(false).unwrap();
        stream.write_all(b"tick").unwrap();
        stream = again(stream);
    }
    stream.read_to_end(&mut received).unwrap();
    assert!(received == data);
    stream = again(stream);
    assert_eq!(
        stream.read(&mut buffer).unwrap(),
        0,
        "the end is remembered"
    );
    stream.shutdown().unwrap();
    stream = again(stream);
    let error = stream.write(b"x").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    assert_eq!(peer.receive_data(), (ticks, true));
}

/// Keys and sequence numbers move; the old sockets are gone.
pub(crate) fn both_ends_move_to_other_sockets(case: Case) {
    let (mut server, mut client) = case.both();
    let data = pattern(30_000);
    let mut received = vec![0; data.len()];
    for round in 0..3 {
        server.write_all(&data[round..]).unwrap();
        client.write_all(&data[..20_000 + round]).unwrap();
        client.read_exact(&mut received[round..]).unwrap();
        assert!(received[round..] == data[round..]);
        server.read_exact(&mut received[..20_000 + round]).unwrap();
        assert!(received[..20_000 + round] == data[..20_000 + round]);
        let (mut server_parts, mut client_parts) =
            (server.into_parts().unwrap(), client.into_parts().unwrap());
        (server_parts.io, client_parts.io) = sockets();
        server = blocking::TlsStream::from_parts(server_parts).unwrap();
        client = Client::from_parts(client_parts).unwrap();
    }
    client.write_all(b"the end").unwrap();
    client.shutdown().unwrap();
    let mut end = Vec::new();
    server.read_to_end(&mut end).unwrap();
    assert_eq!(end, b"the end");
}

pub(crate) fn a_failed_stream_cannot_be_taken_apart(case: Case) {
    let (mut stream, mut peer) = case.server();
    let mut record = peer.record(APPLICATION_DATA, b"x");
    *record.last_mut().unwrap() ^= 1;
    peer.send_bytes(&record);
    stream.read(&mut [0]).unwrap_err();
    assert!(stream.into_parts().is_err());

    let (mut stream, mut peer) = case.server();
    peer.send(ALERT, &[2, AlertDescription::ACCESS_DENIED.0]);
    stream.read(&mut [0]).unwrap_err();
    assert!(stream.into_parts().is_err());
}
