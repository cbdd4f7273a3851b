//! Streams taken apart and put together again in one process.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::thread;

use proptest::prelude::*;
use rustls::HandshakeKind;
use rustls::client::Resumption;
use underseal::message::{Filter, Message, MessageDirection, Peer, Verdict};
use underseal::record::{ApiMisuse, Limits, Padding};
use underseal::{ClientConnection, Error, KeyUpdateRequest, Parts, ServerConnection, blocking};
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA, HANDSHAKE, key_update};
use underseal_testkit::{Certificates, KeyType, Pipe, SERVER_NAME, Suite, pair};

use crate::pairs::{pattern, with_record_peer};

type Stream = blocking::TlsStream<Pipe, ServerConnection>;

/// How a stream changes hands.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// As parts: the secrets of later keys come along.
    Parts,
    /// As bytes, as to another process.
    Bytes,
}

impl Move {
    fn take(self, stream: Stream) -> Stream {
        let parts = stream.into_parts().unwrap();
        match self {
            Self::Parts => Stream::from_parts(parts).unwrap(),
            Self::Bytes => {
                let (io, bytes) = parts.into_bytes();
                Stream::from_parts(Parts::from_bytes(io, &bytes).unwrap()).unwrap()
            }
        }
    }
}

/// Moved at every point of a transfer in both directions: with plaintext not read, with half a
/// record received, with ciphertext that the socket did not take.
#[test]
fn a_moved_stream_goes_on_where_it_was() {
    for suite in Suite::ALL {
        for how in [Move::Parts, Move::Bytes] {
            let (mut stream, mut peer) = with_record_peer(suite, 1 << 20);
            let data = pattern(30_000);
            let mut wire = Vec::new();
            for chunk in data.chunks(3_000) {
                wire.extend(peer.record(APPLICATION_DATA, chunk));
            }
            wire.extend(peer.record(ALERT, &[1, 0]));
            let mut received = Vec::new();
            let mut buffer = [0; 1_000];
            for segment in wire.chunks(1_111) {
                peer.send_bytes(segment);
                stream.get_mut().0.set_nonblocking(true);
                match stream.read(&mut buffer) {
                    Ok(n) => received.extend(&buffer[..n]),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
                stream.write_all(b"tick").unwrap();
                stream = how.take(stream);
            }
            stream.read_to_end(&mut received).unwrap();
            assert!(received == data, "{suite:?} {how:?}");
            stream = how.take(stream);
            assert_eq!(
                stream.read(&mut buffer).unwrap(),
                0,
                "the end is remembered"
            );
            stream.shutdown().unwrap();
            stream = how.take(stream);
            assert_eq!(
                stream.write(b"x").unwrap_err().kind(),
                ErrorKind::BrokenPipe
            );
            let ticks = b"tick".repeat(wire.chunks(1_111).count());
            assert_eq!(peer.receive_data(), (ticks, true), "{suite:?} {how:?}");
        }
    }
}

#[test]
fn what_the_socket_did_not_take_moves_along() {
    for suite in Suite::EACH_VERSION {
        for how in [Move::Parts, Move::Bytes] {
            let (mut stream, mut peer) = with_record_peer(suite, 10_000);
            stream.get_mut().0.set_nonblocking(true);
            let data = pattern(60_000);
            let taken = stream.write(&data).unwrap();
            let pending = stream.pending_bytes();
            assert!(pending > 0);
            stream = how.take(stream);
            assert_eq!(stream.pending_bytes(), pending);
            let reader = thread::spawn(move || peer.receive_data());
            stream.get_mut().0.set_nonblocking(false);
            stream.write_all(&data[taken..]).unwrap();
            stream.shutdown().unwrap();
            assert!(reader.join().unwrap() == (data, true), "{suite:?} {how:?}");
        }
    }
}

/// Keys are updated in both directions between moves, so each move has secrets of its own to carry.
#[test]
fn key_updates_go_on_after_every_move() {
    for suite in Suite::ALL.into_iter().filter(|suite| suite.is_tls13()) {
        let (mut stream, mut peer) = with_record_peer(suite, 1 << 16);
        for (round, how) in [Move::Bytes, Move::Parts, Move::Bytes]
            .into_iter()
            .enumerate()
        {
            stream = how.take(stream);
            peer.send(HANDSHAKE, &key_update(0));
            peer.update_tx();
            peer.send(APPLICATION_DATA, &[round as u8]);
            let mut byte = [0xff];
            stream.read_exact(&mut byte).unwrap();
            assert_eq!(byte, [round as u8]);

            stream.key_update(KeyUpdateRequest::NotRequested).unwrap();
            stream.write_all(&byte).unwrap();
            loop {
                match peer.receive().unwrap() {
                    (HANDSHAKE, message) if message == key_update(0) => peer.update_rx(),
                    (HANDSHAKE, _) => {}
                    other => break assert_eq!(other, (APPLICATION_DATA, byte.to_vec())),
                }
            }
        }
    }
}

#[test]
fn padding_moves_along() {
    for padding in [Padding::None, Padding::Multiple(100), Padding::Full] {
        let (mut stream, _peer) = with_record_peer(Suite::Tls13Aes128, 1 << 16);
        stream.set_padding(padding).unwrap();
        for how in [Move::Bytes, Move::Parts] {
            stream = how.take(stream);
        }
        assert_eq!(stream.into_parts().unwrap().padding, padding);
    }
}

/// Also the automatic key update goes on, as early as it was asked for.
#[test]
fn lowered_limits_move_along() {
    let (mut stream, mut peer) = with_record_peer(Suite::Tls13Aes128, 1 << 16);
    stream.lower_limits(Limits { soft: 4, hard: 5 });
    for how in [Move::Bytes, Move::Parts, Move::Bytes] {
        stream = how.take(stream);
        for _ in 0..5 {
            stream.write_all(b"d").unwrap();
        }
    }
    let (mut data, mut updates) = (0, 0);
    while data < 15 {
        match peer.receive().unwrap() {
            (APPLICATION_DATA, payload) => data += payload.len(),
            (HANDSHAKE, message) if message[0] == 24 => {
                peer.update_rx();
                updates += 1;
            }
            (HANDSHAKE, _) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(updates >= 3, "{updates}");
}

#[test]
fn a_failed_connection_cannot_be_taken_apart() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = with_record_peer(suite, 1 << 16);
        let mut record = peer.record(APPLICATION_DATA, b"x");
        record[10] ^= 1;
        peer.send_bytes(&record);
        stream.read(&mut [0]).unwrap_err();
        assert!(stream.into_parts().is_err());
    }
}

/// The first key update would part the two sides.
#[test]
fn keys_come_with_the_secret_that_they_derive_from() {
    type Swap = fn(&mut Parts<Pipe, ServerConnection>);
    let swaps: [Swap; 4] = [
        |parts| std::mem::swap(&mut parts.tx_secret, &mut parts.rx_secret),
        |parts| std::mem::swap(&mut parts.tx, &mut parts.rx),
        |parts| parts.tx_secret.as_mut().unwrap().update(),
        |parts| parts.rx_secret.as_mut().unwrap().update(),
    ];
    for suite in Suite::ALL.into_iter().filter(|suite| suite.is_tls13()) {
        for swap in swaps {
            let (stream, _peer) = with_record_peer(suite, 1 << 16);
            let mut parts = stream.into_parts().unwrap();
            swap(&mut parts);
            let Err(Error::Record(error)) = Stream::from_parts(parts) else {
                panic!("{suite:?}: taken");
            };
            assert_eq!(error, ApiMisuse::SecretDiffers.into());
        }
    }
}

#[test]
fn half_a_control_message_cannot_be_taken_apart() {
    let (mut stream, mut peer) = with_record_peer(Suite::Tls13Aes128, 1 << 16);
    peer.send(HANDSHAKE, &key_update(0)[..2]);
    stream.get_mut().0.set_nonblocking(true);
    stream.read(&mut [0]).unwrap_err();
    assert!(matches!(
        stream.into_parts(),
        Err(Error::Unsupported { .. })
    ));
}

#[test]
fn bytes_of_parts_name_their_session() {
    for suite in Suite::ALL {
        let (stream, _peer) = with_record_peer(suite, 1 << 16);
        let (_, bytes) = stream.into_parts().unwrap().into_bytes();
        let parts = Parts::<_, ServerConnection>::from_bytes((), &bytes).unwrap();
        assert_eq!(parts.session.server_name(), Some("localhost"));
        assert_eq!(parts.session.protocol_version(), Some(suite.version()));
        let shown = format!("{parts:?}");
        assert!(shown.contains("seq"), "{shown}");
        for secret in ["key:", "iv:", "bytes:"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

/// Bytes of a server are not those of a client.
#[test]
fn bytes_of_the_other_side_are_refused() {
    let (stream, _peer) = with_record_peer(Suite::Tls13Aes128, 1 << 16);
    let (io, bytes) = stream.into_parts().unwrap().into_bytes();
    assert!(Parts::<_, ClientConnection>::from_bytes(io, &bytes).is_err());
}

#[test]
fn bytes_that_are_cut_short_are_refused() {
    let (stream, _peer) = with_record_peer(Suite::Tls12Aes256, 1 << 16);
    let (_, bytes) = stream.into_parts().unwrap().into_bytes();
    for len in 0..bytes.len() {
        let parts = Parts::<_, ServerConnection>::from_bytes((), &bytes[..len]);
        assert!(parts.is_err(), "{len} of {} bytes", bytes.len());
    }
}

/// A number that changed on its way would make a nonce that was used.
#[test]
fn a_bit_that_changed_anywhere_is_refused() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = with_record_peer(suite, 10_000);
        peer.send(APPLICATION_DATA, b"received and not read");
        stream.read_exact(&mut [0; 3]).unwrap();
        let (_, bytes) = stream.into_parts().unwrap().into_bytes();
        let from = |bytes: &[u8]| Parts::<_, ServerConnection>::from_bytes((), bytes);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(from(&changed).is_err(), "{suite:?}: bit {bit}");
        }
        let (_, again) = from(&bytes).unwrap().into_bytes();
        assert_eq!(again, bytes, "{suite:?}");
    }
}

#[test]
fn bytes_with_something_behind_them_are_refused() {
    let (stream, _peer) = with_record_peer(Suite::Tls13Aes128, 1 << 16);
    let (_, bytes) = stream.into_parts().unwrap().into_bytes();
    for rest in [&[0][..], &[0; 4], &bytes] {
        let longer = [&bytes, rest].concat();
        assert!(Parts::<_, ServerConnection>::from_bytes((), &longer).is_err());
    }
}

fn passes(_: &mut Message<'_>) -> Verdict<Peer> {
    Verdict::Pass
}

fn panics(_: &mut Message<'_>) -> Verdict<Peer> {
    std::panic::resume_unwind(Box::new("the program's own"))
}

fn drops(_: &mut Message<'_>) -> Verdict<Peer> {
    Verdict::Drop
}

/// Else its policy would be gone where the stream goes on.
#[test]
fn a_program_keeps_a_stream_together_until_it_is_detached() {
    type Judge = fn(&mut Message<'_>) -> Verdict<Peer>;
    let programs: [(&str, Judge); 3] = [("passes", passes), ("panics", panics), ("drops", drops)];
    for (name, program) in programs {
        for direction in [MessageDirection::Egress, MessageDirection::Ingress] {
            let attached = || {
                let (mut stream, mut peer) = with_record_peer(Suite::Tls13Aes128, 1 << 16);
                match direction {
                    MessageDirection::Egress => stream.attach(Filter::egress(program)).unwrap(),
                    MessageDirection::Ingress => stream.attach(Filter::ingress(program)).unwrap(),
                }
                let _ = stream.write(b"judged");
                peer.send(APPLICATION_DATA, b"judged");
                stream.get_mut().0.set_nonblocking(true);
                let _ = stream.read(&mut [0; 10]);
                (stream, peer)
            };
            let (stream, _peer) = attached();
            assert!(stream.into_parts().is_err());
            // A direction that was ended by its program stays ended: nothing goes on unjudged.
            let is_dead = name == "panics";
            let (mut stream, _peer) = attached();
            let detached = stream.detach(direction);
            let stays = is_dead && direction == MessageDirection::Egress;
            assert_eq!(detached.is_err(), stays, "{name} {direction:?}");
            assert_eq!(
                stream.into_parts().is_err(),
                is_dead,
                "{name} {direction:?}"
            );
        }
    }
}

/// Sealed for the peer's request, while the socket takes nothing: a reader sends it.
#[test]
fn an_answer_that_waits_for_the_socket_moves_along() {
    for how in [Move::Parts, Move::Bytes] {
        let (mut stream, mut peer) = with_record_peer(Suite::Tls13Aes128, 2_000);
        stream.get_mut().0.set_nonblocking(true);
        let data = pattern(10_000);
        assert_eq!(stream.write(&data).unwrap(), data.len());
        assert!(stream.pending_bytes() > 0);
        peer.send(HANDSHAKE, &key_update(1));
        peer.update_tx();
        assert_eq!(
            stream.read(&mut [0]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        stream = how.take(stream);
        peer.send(APPLICATION_DATA, b"!");
        let reader = thread::spawn(move || {
            let mut received = Vec::new();
            loop {
                match peer.receive().unwrap() {
                    (APPLICATION_DATA, payload) => received.extend(payload),
                    (HANDSHAKE, message) if message == key_update(0) => break (received, peer),
                    _ => {}
                }
            }
        });
        stream.get_mut().0.set_nonblocking(false);
        stream.read_exact(&mut [0]).unwrap();
        let (received, _peer) = reader.join().unwrap();
        assert!(received == data, "{how:?}");
    }
}

/// Bytes do not say where tickets go: those that come later are ignored.
#[test]
fn tickets_go_where_they_went_unless_bytes_moved() {
    for in_bytes in [false, true] {
        let certificates = Certificates::new(KeyType::Ecdsa);
        let mut config = certificates.client_config(Suite::Tls13Aes128);
        config.resumption = Resumption::in_memory_sessions(4);
        let config = Arc::new(config);
        let acceptor =
            blocking::TlsAcceptor::from(Arc::new(certificates.server_config(Suite::Tls13Aes128)));
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let (left, right) = pair(1 << 16);
            let acceptor = acceptor.clone();
            let server = thread::spawn(move || {
                let mut stream = acceptor.accept(left).unwrap();
                stream.write_all(b"behind the tickets").unwrap();
                stream.get_ref().1.handshake_kind().unwrap()
            });
            let connector = blocking::TlsConnector::from(Arc::clone(&config));
            let name = SERVER_NAME.try_into().unwrap();
            let parts = connector
                .connect(name, right)
                .unwrap()
                .into_parts()
                .unwrap();
            let parts = match in_bytes {
                false => parts,
                true => {
                    let (io, bytes) = parts.into_bytes();
                    Parts::from_bytes(io, &bytes).unwrap()
                }
            };
            let mut stream = blocking::TlsStream::<_, ClientConnection>::from_parts(parts).unwrap();
            let mut received = [0; 18];
            stream.read_exact(&mut received).unwrap();
            assert_eq!(&received, b"behind the tickets");
            kinds.push(server.join().unwrap());
        }
        let second = match in_bytes {
            false => HandshakeKind::Resumed,
            true => HandshakeKind::Full,
        };
        assert_eq!(kinds, [HandshakeKind::Full, second]);
    }
}

#[test]
fn the_kind_of_handshake_moves_along() {
    let (stream, _peer) = with_record_peer(Suite::Tls13Aes128, 1 << 16);
    let kind = stream.get_ref().1.handshake_kind();
    assert!(kind.is_some());
    let moved = Move::Bytes.take(stream);
    assert_eq!(moved.get_ref().1.handshake_kind(), kind);
}

proptest! {
    #[test]
    fn bytes_that_were_changed_are_refused(
        at in any::<prop::sample::Index>(),
        xor in 1..=255u8,
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let (stream, _peer) = with_record_peer(Suite::Tls13ChaCha20, 1 << 16);
        let (_, bytes) = stream.into_parts().unwrap().into_bytes();
        let mut changed = bytes.to_vec();
        changed[at.index(bytes.len())] ^= xor;
        prop_assert!(Parts::<_, ServerConnection>::from_bytes((), &changed).is_err());
        prop_assert!(Parts::<_, ServerConnection>::from_bytes((), &noise).is_err());
    }
}
