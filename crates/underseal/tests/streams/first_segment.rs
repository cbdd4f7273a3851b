//! What a peer sends in one segment with the end of its handshake: rustls sees it first.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use underseal::blocking;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA, HANDSHAKE, key_update};
use underseal_testkit::{Certificates, KeyType, Pipe, RecordPeer, Suite, pair};

use crate::pairs::{name, pattern};

/// Holds back what is written until something is read, or it is told to let go.
struct Corked {
    io: Pipe,
    held: Vec<u8>,
}

impl Corked {
    fn let_go(&mut self) {
        self.io.write_all(&self.held).unwrap();
        self.held.clear();
    }
}

impl Read for Corked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.let_go();
        self.io.read(buffer)
    }
}

impl Write for Corked {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a stream to its end whose peer has its say in one segment with its last flight: what was
/// delivered, how it ended, what the peer says. The peer is told when the stream exists.
fn read_to_end<T: Send + 'static>(
    suite: Suite,
    is_server: bool,
    peer_does: impl FnOnce(&mut RecordPeer<Corked>, &Receiver<()>) -> T + Send + 'static,
) -> (Vec<u8>, io::Result<usize>, T) {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let (left, right) = pair(1 << 20);
    let (server, client) = (
        certificates.server_config(suite),
        certificates.client_config(suite),
    );
    let own = (Arc::new(server.clone()), Arc::new(client.clone()));
    let (exists, established) = mpsc::channel();
    let peer = thread::spawn(move || {
        let io = Corked {
            io: right,
            held: Vec::new(),
        };
        let mut peer = match is_server {
            true => RecordPeer::client(io, client),
            false => RecordPeer::server(io, server),
        };
        let said = peer_does(&mut peer, &established);
        peer.io().let_go();
        (said, peer)
    });
    let mut data = Vec::new();
    let end = match is_server {
        true => blocking::TlsAcceptor::from(own.0)
            .accept(left)
            .and_then(|mut stream| {
                let _ = exists.send(());
                let end = stream.read_to_end(&mut data);
                assert_eq!(stream.counters().rx_bytes, data.len() as u64);
                end
            }),
        false => blocking::TlsConnector::from(own.1)
            .connect(name(), left)
            .and_then(|mut stream| {
                let _ = exists.send(());
                let end = stream.read_to_end(&mut data);
                assert_eq!(stream.counters().rx_bytes, data.len() as u64);
                end
            }),
    };
    // Only now does the peer go.
    let (said, _) = peer.join().unwrap();
    (data, end, said)
}

/// Every suite on the side whose peer speaks last: a TLS 1.3 client, a server in both versions.
fn cases() -> impl Iterator<Item = (Suite, bool)> {
    Suite::ALL
        .into_iter()
        .flat_map(|suite| [(suite, true), (suite, false)])
        .filter(|(suite, is_server)| suite.is_tls13() || !is_server)
}

#[test]
fn data_and_close_notify_are_delivered() {
    for (suite, is_server) in cases() {
        for len in [0, 1, 1_000, 20_000, 100_000] {
            let (data, end, ()) = read_to_end(suite, is_server, move |peer, _| {
                for chunk in pattern(len).chunks(16_384) {
                    peer.send(APPLICATION_DATA, chunk);
                }
                peer.send(ALERT, &[1, 0]);
            });
            end.unwrap_or_else(|error| panic!("{suite:?} {is_server}: {error}"));
            assert!(
                data == pattern(len),
                "{suite:?} {is_server}: {} of {len}",
                data.len()
            );
        }
    }
}

/// Whatever it is: it is not looked at (RFC 8446 section 6.1).
#[test]
fn what_comes_behind_close_notify_is_ignored() {
    for (suite, is_server) in cases() {
        for junk in [vec![0x17, 3, 3, 1], pattern(15), vec![0xff; 9_000]] {
            let shown = format!("{suite:?} {is_server} {} bytes", junk.len());
            let (data, end, ()) = read_to_end(suite, is_server, move |peer, _| {
                peer.send(APPLICATION_DATA, b"before");
                peer.send(ALERT, &[1, 0]);
                peer.send_bytes(&junk);
            });
            end.unwrap_or_else(|error| panic!("{shown}: {error}"));
            assert_eq!(data, b"before");
        }
    }
}

/// Keys that change before the hand-over change again after it.
#[test]
fn key_updates_before_and_after_the_hand_over_are_followed() {
    for (suite, is_server) in cases().filter(|(suite, _)| suite.is_tls13()) {
        for request in [0, 1] {
            let (data, end, ()) = read_to_end(suite, is_server, move |peer, established| {
                for round in 0..4_u8 {
                    peer.send(HANDSHAKE, &key_update(request));
                    peer.update_tx();
                    peer.send(APPLICATION_DATA, &[round; 100]);
                    if round == 1 {
                        // The other half arrives after the hand-over.
                        peer.io().let_go();
                        established.recv().unwrap();
                    }
                }
                peer.send(ALERT, &[1, 0]);
            });
            end.unwrap_or_else(|error| panic!("{suite:?} {is_server} {request}: {error}"));
            let expected: Vec<u8> = (0..4).flat_map(|round| [round; 100]).collect();
            assert_eq!(data, expected, "{suite:?} {is_server} {request}");
        }
    }
}

/// A record that is broken: its data is not delivered, the peer is told, whoever opened it.
#[test]
fn a_broken_record_is_refused() {
    for (suite, is_server) in cases() {
        let (data, end, alert) = read_to_end(suite, is_server, move |peer, _| {
            let mut record = peer.record(APPLICATION_DATA, b"broken");
            *record.last_mut().unwrap() ^= 1;
            peer.send_bytes(&record);
            peer.receive_alert()
        });
        assert_eq!(
            end.unwrap_err().kind(),
            ErrorKind::InvalidData,
            "{suite:?} {is_server}"
        );
        assert_eq!(data, b"");
        assert_eq!(alert, Some(20), "{suite:?} {is_server}");
    }
}

/// Half a record waits for the other half across the hand-over.
#[test]
fn half_a_record_is_completed_later() {
    for (suite, is_server) in cases() {
        for cut in [1, 4, 5, 6, 50] {
            let (data, end, ()) = read_to_end(suite, is_server, move |peer, _| {
                let record = peer.record(APPLICATION_DATA, &pattern(100));
                peer.send_bytes(&record[..cut]);
                peer.io().let_go();
                peer.send_bytes(&record[cut..]);
                peer.send(ALERT, &[1, 0]);
            });
            end.unwrap_or_else(|error| panic!("{suite:?} {is_server} {cut}: {error}"));
            assert_eq!(data, pattern(100));
        }
    }
}

/// A message that is cut between the two: the hand-over waits for its end.
#[test]
fn half_a_handshake_message_is_completed_later() {
    for (suite, is_server) in cases().filter(|(suite, _)| suite.is_tls13()) {
        let (data, end, ()) = read_to_end(suite, is_server, move |peer, _| {
            peer.send(HANDSHAKE, &key_update(0)[..3]);
            peer.io().let_go();
            peer.send(HANDSHAKE, &key_update(0)[3..]);
            peer.update_tx();
            peer.send(APPLICATION_DATA, b"under the next key");
            peer.send(ALERT, &[1, 0]);
        });
        end.unwrap_or_else(|error| panic!("{suite:?} {is_server}: {error}"));
        assert_eq!(data, b"under the next key");
    }
}
