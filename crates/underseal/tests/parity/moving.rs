//! Streams that change their engine, their socket, or both, in the middle of a connection.

use std::io::{Read, Write};
use std::thread;

use underseal::message::{Filter, Message, MessageDirection, Peer, Verdict};
use underseal::record::{AlertDescription, ContentType};
use underseal::{Engine, Error, KeyUpdateRequest, Parts, Refusal, blocking};
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA, HANDSHAKE, key_update};

use crate::bad_records::{HEADERS, WAIT};
use crate::case::Case;
use crate::connect::{Client, Server, pattern, sockets};
use crate::counts::{MUCH, little_room};
use crate::no_rekey::can_rekey;

pub(crate) fn again(stream: Server) -> Server {
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

/// What it counted, and that its owner reads records of other types.
pub(crate) fn what_a_stream_knows_moves_along(case: Case) {
    let (mut stream, mut peer) = case.server();
    peer.send(24, b"one");
    let mut buffer = [0; 10];
    let first = stream.read_record(&mut buffer).unwrap();
    assert_eq!(first, Some((ContentType(24), 3)));
    stream.write_all(b"counted").unwrap();
    peer.send(APPLICATION_DATA, b"data");
    stream.read_exact(&mut buffer[..4]).unwrap();
    let (counters, engines) = (stream.counters(), stream.engines());
    let exported = stream.export_keying_material([0; 40], b"EXPERIMENTAL", None);
    assert_eq!((counters.tx_bytes, counters.rx_bytes), (7, 4));
    let parts = stream.into_parts().unwrap();
    assert_eq!((parts.counters(), parts.engines()), (counters, engines));
    let (io, bytes) = parts.into_bytes();
    let parts = Parts::from_bytes(io, &bytes).unwrap();
    let mut stream = again(Server::from_parts(parts).unwrap());
    assert_eq!(stream.counters(), counters);
    assert_eq!(stream.engines(), engines);
    let again = stream.export_keying_material([0; 40], b"EXPERIMENTAL", None);
    assert!(exported.is_ok_and(|first| first != [0; 40] && again == Ok(first)));
    peer.send(24, b"two");
    let second = stream.read_record(&mut buffer).unwrap();
    assert_eq!(second, Some((ContentType(24), 3)));
}

/// A kernel that opens says once that it cannot, and this was taken from who sent.
pub(crate) fn what_no_reader_was_told_yet_is_not_lost(case: Case) {
    for (spoil, alert) in HEADERS {
        for told in [false, true] {
            let (mut stream, mut peer) = case.server();
            let mut bad = peer.record(APPLICATION_DATA, b"spoilt");
            spoil(&mut bad);
            peer.send_bytes(&bad);
            thread::sleep(WAIT);
            if told {
                stream.write_all(b"sent").unwrap();
            }
            let error = match stream.into_parts() {
                Err(error) => error,
                Ok(parts) => {
                    let mut stream = Server::from_parts(parts).unwrap();
                    Error::of(&stream.read(&mut [0]).unwrap_err()).unwrap()
                }
            };
            assert_eq!(error.alert(), Some(alert), "{error}");
        }
    }
}

pub(crate) fn an_open_record_moves_along_or_is_to_be_flushed(case: Case) {
    let open = || {
        let (mut stream, peer) = case.server();
        assert_eq!(stream.write_more(b"open").unwrap(), 4);
        (stream, peer)
    };
    let (stream, mut peer) = open();
    match case.engines.tx {
        Engine::User => {
            let mut stream = again(stream);
            stream.shutdown().unwrap();
            assert_eq!(peer.receive_data(), (b"open".to_vec(), true));
        }
        _ => {
            let refused = stream.into_parts().map(drop).unwrap_err();
            assert!(matches!(refused, Error::Unsupported { .. }), "{refused}");
        }
    }
    let (mut stream, mut peer) = open();
    stream.flush().unwrap();
    again(stream).shutdown().unwrap();
    assert_eq!(peer.receive_data(), (b"open".to_vec(), true));
}

/// The socket is full, and the peer has to be told of the next key before anything else.
pub(crate) fn a_key_update_that_waits_moves_along_or_is_to_be_flushed(case: Case) {
    if !can_rekey(case, &[underseal::Direction::Tx]) {
        return;
    }
    let (mut stream, mut peer) = case.server();
    little_room(stream.get_ref().0, peer.io());
    stream.get_ref().0.set_nonblocking(true).unwrap();
    let (data, mut taken) = (pattern(MUCH), 0);
    while let Ok(n) = stream.write(&data[taken..]) {
        taken += n;
    }
    stream.key_update(KeyUpdateRequest::NotRequested).unwrap();
    stream.get_ref().0.set_nonblocking(false).unwrap();
    let parts = match (stream.into_parts(), case.engines.tx) {
        (Err(Error::Unsupported { .. }), Engine::Kernel) => return,
        (parts, Engine::User) => parts.unwrap(),
        _ => panic!("the kernel cannot seal it later"),
    };
    let mut stream = Server::from_parts(parts).unwrap();
    let peer = thread::spawn(move || {
        let (mut received, mut updates) = (Vec::new(), 0);
        loop {
            match peer.receive().unwrap() {
                (APPLICATION_DATA, data) => received.extend(data),
                (HANDSHAKE, message) if message == key_update(0) => {
                    peer.update_rx();
                    updates += 1;
                }
                (HANDSHAKE, _) => {}
                (ALERT, _) => return (received, updates),
                other => panic!("{other:?}"),
            }
        }
    });
    stream.write_all(b"behind it").unwrap();
    stream.shutdown().unwrap();
    let expected = [&data[..taken], b"behind it"].concat();
    assert!(peer.join().unwrap() == (expected, 1));
}

pub(crate) fn a_record_of_another_type_keeps_a_stream_together(case: Case) {
    let (mut stream, mut peer) = case.server();
    peer.send(24, b"in two");
    let first = stream.read_record(&mut [0; 3]).unwrap();
    assert_eq!(first, Some((ContentType(24), 3)));
    let refused = stream.into_parts().map(drop).unwrap_err();
    assert!(matches!(refused, Error::Unsupported { .. }), "{refused}");
}

pub(crate) fn who_redirects_to_a_stream_that_moved_finds_it_closed(case: Case) {
    let (mut from, _from_peer) = case.server();
    let (mut to, mut to_peer) = case.server();
    let target = to.redirect_peer(100);
    let all = move |_: &mut Message<'_>| Verdict::Redirect {
        to: target.clone(),
        direction: MessageDirection::Egress,
    };
    from.attach(Filter::egress(all)).unwrap();
    let mut to = again(to);
    from.write(b"redirected").unwrap_err();
    to.shutdown().unwrap();
    assert_eq!(to_peer.receive_data(), (Vec::new(), true));
}

pub(crate) fn a_stream_with_a_program_is_not_taken_apart(case: Case) {
    for direction in [MessageDirection::Egress, MessageDirection::Ingress] {
        let attached = || {
            let (mut stream, peer) = case.server();
            let passes = |_: &mut Message<'_>| Verdict::<Peer>::Pass;
            match direction {
                MessageDirection::Egress => stream.attach(Filter::egress(passes)).unwrap(),
                MessageDirection::Ingress => stream.attach(Filter::ingress(passes)).unwrap(),
            }
            (stream, peer)
        };
        let (stream, _peer) = attached();
        match stream.into_parts().map(drop) {
            Err(Error::ProgramAttached(of)) => assert_eq!(of, direction),
            other => panic!("{other:?}"),
        }
        let (mut stream, _peer) = attached();
        stream.detach(direction).unwrap();
        stream.into_parts().map(drop).unwrap();
    }
}

/// A socket that nobody can find below.
struct Wrapped(std::net::TcpStream);

impl Read for Wrapped {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Wrapped {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Else the kernel would seal the records of the user engine once more, under the same numbers.
pub(crate) fn a_kernel_that_cannot_be_asked_is_asserted_to_be_elsewhere(case: Case) {
    let held = [case.engines.tx, case.engines.rx].contains(&Engine::Kernel);
    let parts = || {
        let (mut stream, mut peer) = case.server();
        // Tickets may come before it.
        stream.write_all(b"here").unwrap();
        while peer.receive().unwrap() != (APPLICATION_DATA, b"here".to_vec()) {}
        let (io, bytes) = stream.into_parts().unwrap().into_bytes();
        (io, bytes, peer)
    };
    let (io, bytes, _peer) = parts();
    let over_it = Parts::from_bytes(Wrapped(io), &bytes).unwrap();
    match blocking::TlsStream::<_, underseal::ServerConnection>::from_parts(over_it) {
        Ok(_) => assert!(!held),
        Err(Error::Offload { refusal, .. }) => {
            assert!(held);
            assert!(matches!(refusal, Refusal::HeldByKernel), "{refusal}");
        }
        Err(error) => panic!("{error}"),
    }

    // And what is asserted is believed, also behind another pair of bytes.
    let (io, bytes, mut peer) = parts();
    let parts = Parts::<_, underseal::ServerConnection>::from_bytes(io, &bytes).unwrap();
    let (_old, bytes) = parts.assert_another_connection().into_bytes();
    let (ours, theirs) = sockets();
    *peer.io() = theirs;
    let parts = Parts::from_bytes(Wrapped(ours), &bytes).unwrap();
    let mut stream =
        blocking::TlsStream::<_, underseal::ServerConnection>::from_parts(parts).unwrap();
    stream.write_all(b"elsewhere").unwrap();
    stream.shutdown().unwrap();
    assert_eq!(peer.receive_data(), (b"elsewhere".to_vec(), true));
}
