//! DTLS 1.3: key updates, and messages that are acknowledged (RFC 9147 sections 5.8, 7 and 8).

mod limits;
mod moves;

use std::net::UdpSocket;
use std::thread;

use underseal_dtls::blocking::DtlsSocket;
use underseal_dtls::message::{Filter, Message, Verdict};
use underseal_dtls::{Discard, Error, Parts};
use underseal_record::dtls::{
    EpochSecret, KeyUpdates, Opened, Opener, RecordNumber, ReplayWindow, Sealer,
};
use underseal_record::{Algorithm, ContentType, PeerMisbehaved};
use underseal_testkit::PATIENCE;

use crate::tasks::adopt;
use crate::{recv, sockets};

const ALGORITHM: Algorithm = Algorithm::Aes128Gcm;
/// The number of the next handshake message, in either direction.
const MESSAGE: u16 = 5;

fn secret(side: u8) -> EpochSecret {
    EpochSecret::new(ALGORITHM, &[side; 32], 3).unwrap()
}

/// The secret of the epoch behind the first.
fn next_secret(side: u8) -> EpochSecret {
    let mut secret = secret(side);
    secret.update().unwrap();
    secret
}

fn parts(side: u8) -> Parts {
    let (own, peers) = (secret(side), secret(1 - side));
    let parts = Parts::new(own.keys(), peers.keys(), ReplayWindow::default());
    parts.with_key_updates(KeyUpdates::new(own, peers, MESSAGE, MESSAGE))
}

fn pair() -> (DtlsSocket, DtlsSocket) {
    let (near, far) = sockets();
    let near = DtlsSocket::from_parts(near, parts(0)).unwrap();
    (near, DtlsSocket::from_parts(far, parts(1)).unwrap())
}

/// A peer that seals what it likes.
struct Wire {
    socket: UdpSocket,
    sealer: Sealer,
    opener: Opener,
}

impl Wire {
    fn beside(socket: UdpSocket) -> Self {
        Self {
            socket,
            sealer: Sealer::new(secret(1).keys()),
            opener: Opener::new(secret(0).keys(), ReplayWindow::default()),
        }
    }

    fn seal(&mut self, content_type: ContentType, body: &[u8]) -> Vec<u8> {
        let mut out = vec![0; body.len() + self.sealer.overhead()];
        self.sealer.seal(content_type, body, &mut out).unwrap();
        out
    }

    /// Seals and sends; the record's number.
    fn send(&mut self, content_type: ContentType, body: &[u8]) -> RecordNumber {
        let number = self.sealer.next_number();
        let record = self.seal(content_type, body);
        self.socket.send(&record).unwrap();
        number
    }

    fn data(&mut self, text: &str) {
        self.send(ContentType::APPLICATION_DATA, text.as_bytes());
    }

    fn acknowledge(&mut self, number: RecordNumber) {
        self.send(ContentType::ACK, &ack(number));
    }

    /// The next record that the socket under test sends.
    fn receive(&mut self) -> (Opened, Vec<u8>) {
        let mut datagram = vec![0; 1 << 16];
        let len = self.socket.recv(&mut datagram).unwrap();
        let opened = self.opener.open(&mut datagram[..len]).opened.unwrap();
        let body = datagram[opened.plaintext.clone()].to_vec();
        (opened, body)
    }

    fn receive_data(&mut self) -> (u16, String) {
        let (opened, body) = self.receive();
        assert_eq!(opened.content_type, ContentType::APPLICATION_DATA);
        (opened.number.epoch, String::from_utf8(body).unwrap())
    }

    fn receive_message(&mut self) -> (RecordNumber, Vec<u8>) {
        let (opened, body) = self.receive();
        assert_eq!(opened.content_type, ContentType::HANDSHAKE);
        (opened.number, body)
    }

    fn receive_ack(&mut self) -> Vec<u8> {
        let (opened, body) = self.receive();
        assert_eq!(opened.content_type, ContentType::ACK);
        body
    }
}

fn ack(number: RecordNumber) -> Vec<u8> {
    let mut ack = vec![0, 16];
    ack.extend(u64::from(number.epoch).to_be_bytes());
    ack.extend(number.seq.to_be_bytes());
    ack
}

/// A handshake message in one piece.
fn message(message_type: u8, seq: u16, body: &[u8]) -> Vec<u8> {
    let len = &(body.len() as u32).to_be_bytes()[1..];
    let seq = &seq.to_be_bytes()[..];
    [&[message_type][..], len, seq, &[0; 3], len, body].concat()
}

fn key_update(seq: u16, request: u8) -> Vec<u8> {
    message(24, seq, &[request])
}

fn socket_and_wire() -> (DtlsSocket, Wire) {
    let (near, far) = sockets();
    let socket = DtlsSocket::from_parts(near, parts(0)).unwrap();
    (socket, Wire::beside(far))
}

#[test]
fn both_sides_update_their_keys_and_go_on() {
    let (near, far) = pair();
    for turn in 0..5 {
        near.update_keys(turn % 2 == 0).unwrap();
        for text in ["one", "two"] {
            near.send(text.as_bytes()).unwrap();
            assert_eq!(recv(&far).unwrap(), text);
            far.send(text.as_bytes()).unwrap();
            assert_eq!(recv(&near).unwrap(), text);
        }
    }
    for socket in [&near, &far] {
        assert_eq!(socket.counters().all_dropped(), 0);
    }
}

#[test]
fn a_new_key_is_used_when_the_peer_has_acknowledged_it_and_not_before() {
    let (socket, mut wire) = socket_and_wire();
    socket.update_keys(false).unwrap();
    // There is never a second.
    socket.update_keys(false).unwrap();
    let (number, update) = wire.receive_message();
    assert_eq!(update, key_update(MESSAGE, 0));
    socket.send(b"before").unwrap();
    assert_eq!(wire.receive_data(), (3, "before".to_owned()));
    // Of another record.
    wire.acknowledge(RecordNumber { epoch: 3, seq: 99 });
    wire.data("wait");
    assert_eq!(recv(&socket).unwrap(), "wait");
    socket.send(b"still").unwrap();
    assert_eq!(wire.receive_data(), (3, "still".to_owned()));
    wire.acknowledge(number);
    wire.data("go");
    assert_eq!(recv(&socket).unwrap(), "go");
    wire.opener.advance(next_secret(0).keys()).unwrap();
    socket.send(b"after").unwrap();
    assert_eq!(wire.receive_data(), (4, "after".to_owned()));
}

#[test]
fn a_key_update_that_is_lost_is_repeated_in_a_new_record() {
    let (socket, mut wire) = socket_and_wire();
    thread::scope(|scope| {
        socket.update_keys(false).unwrap();
        let received = scope.spawn(|| recv(&socket));
        let (lost, update) = wire.receive_message();
        let (again, repeated) = wire.receive_message();
        assert_eq!(update, repeated);
        assert!(again > lost);
        // Either record says that it came.
        wire.acknowledge(lost);
        wire.data("data");
        assert_eq!(received.join().unwrap().unwrap(), "data");
    });
    wire.opener.advance(next_secret(0).keys()).unwrap();
    socket.send(b"after").unwrap();
    assert_eq!(wire.receive_data().0, 4);
    assert_eq!(socket.counters().flights_resent, 1);
}

/// Whoever waits already when a key update begins learns when it is due.
#[tokio::test]
async fn a_task_that_waits_repeats_what_another_began() {
    let (near, far) = sockets();
    let socket = underseal_dtls::DtlsSocket::from_parts(adopt(near), parts(0)).unwrap();
    let mut wire = Wire::beside(far);
    let mut buffer = [0; 100];
    let receive = socket.recv(&mut buffer);
    let update = async {
        tokio::task::yield_now().await;
        socket.update_keys(false).unwrap();
        let peer = move || {
            let (_, first) = wire.receive_message();
            let (number, second) = wire.receive_message();
            assert_eq!(first, second);
            wire.acknowledge(number);
            wire.data("data");
        };
        tokio::task::spawn_blocking(peer).await.unwrap();
    };
    let (received, ()) = tokio::join!(receive, update);
    assert_eq!(received.unwrap(), 4);
}

#[test]
fn a_key_update_of_the_peers_is_acknowledged_and_what_it_overtook_is_opened() {
    let (socket, mut wire) = socket_and_wire();
    let overtaken = wire.seal(ContentType::APPLICATION_DATA, b"overtaken");
    let update = wire.send(ContentType::HANDSHAKE, &key_update(MESSAGE, 0));
    // The ACK was lost: it comes again, under another number.
    let repeated = wire.send(ContentType::HANDSHAKE, &key_update(MESSAGE, 0));
    wire.sealer.advance(next_secret(1).keys()).unwrap();
    wire.data("under the next key");
    assert_eq!(recv(&socket).unwrap(), "under the next key");
    assert_eq!(wire.receive_ack(), ack(update));
    assert_eq!(wire.receive_ack(), ack(repeated));
    wire.socket.send(&overtaken).unwrap();
    assert_eq!(recv(&socket).unwrap(), "overtaken");
    // Once.
    wire.socket.send(&overtaken).unwrap();
    wire.data("last");
    assert_eq!(recv(&socket).unwrap(), "last");
    assert_eq!(socket.counters().dropped(Discard::Replayed), 1);
}

#[test]
fn a_key_update_that_asks_for_one_gets_one_behind_its_ack() {
    let (socket, mut wire) = socket_and_wire();
    let update = wire.send(ContentType::HANDSHAKE, &key_update(MESSAGE, 1));
    wire.data("data");
    assert_eq!(recv(&socket).unwrap(), "data");
    assert_eq!(wire.receive_ack(), ack(update));
    let (_, answer) = wire.receive_message();
    assert_eq!(answer, key_update(MESSAGE, 0), "it asks for none");
}

/// A peer that asks for updates without end, and acknowledges none, gets one, again and again.
#[test]
fn a_storm_of_key_updates_is_followed_and_has_one_for_an_answer() {
    let (socket, mut wire) = socket_and_wire();
    let mut secret = secret(1);
    let receive = |wire: &mut Wire| loop {
        let (opened, body) = wire.receive();
        match opened.content_type {
            ContentType::HANDSHAKE => assert_eq!(body, key_update(MESSAGE, 0)),
            _ => return (opened.number.epoch, body),
        }
    };
    for turn in 0..500 {
        let number = wire.send(ContentType::HANDSHAKE, &key_update(MESSAGE + turn, 1));
        secret.update().unwrap();
        wire.sealer.advance(secret.keys()).unwrap();
        wire.data("data");
        assert_eq!(recv(&socket).unwrap(), "data");
        assert_eq!(receive(&mut wire), (3, ack(number)));
    }
    socket.send(b"same key").unwrap();
    assert_eq!(receive(&mut wire), (3, b"same key".to_vec()));
    let counters = socket.counters();
    assert_eq!(counters.all_dropped(), 0);
    // ACKs, the data, and one update with what repeated it.
    assert_eq!(counters.sealed, 500 + 1 + 1 + counters.flights_resent);
}

#[test]
fn other_messages_are_acknowledged_in_their_order() {
    let (socket, mut wire) = socket_and_wire();
    let ticket = |seq| message(4, seq, &[7; 40]);
    let first = wire.send(ContentType::HANDSHAKE, &ticket(MESSAGE));
    // One before it is missing: no ACK, so that its sender repeats it.
    wire.send(ContentType::HANDSHAKE, &ticket(MESSAGE + 2));
    let second = wire.send(ContentType::HANDSHAKE, &ticket(MESSAGE + 1));
    wire.data("data");
    assert_eq!(recv(&socket).unwrap(), "data");
    assert_eq!(wire.receive_ack(), ack(first));
    assert_eq!(wire.receive_ack(), ack(second));
    socket.send(b"nothing between").unwrap();
    assert_eq!(wire.receive_data().1, "nothing between");
}

#[test]
fn a_message_that_may_not_be_sent_ends_the_association_with_its_alert() {
    let (socket, mut wire) = socket_and_wire();
    wire.send(ContentType::HANDSHAKE, &key_update(MESSAGE, 2));
    let error = underseal_record::Error::from(PeerMisbehaved::BadKeyUpdate);
    for _ in 0..2 {
        assert!(matches!(recv(&socket), Err(Error::Record(why)) if why == error));
    }
    let (opened, alert) = wire.receive();
    assert_eq!(opened.content_type, ContentType::ALERT);
    assert_eq!(alert, [2, 47], "illegal_parameter");
    assert!(matches!(socket.send(b"x"), Err(Error::Closed)));
    assert!(matches!(socket.update_keys(false), Err(Error::Closed)));
}

#[test]
fn an_alert_is_fatal_whatever_its_level() {
    let (socket, mut wire) = socket_and_wire();
    wire.send(ContentType::ALERT, &[1, 90]);
    wire.data("still there");
    assert_eq!(recv(&socket).unwrap(), "still there");
    wire.send(ContentType::ALERT, &[1, 80]);
    assert!(matches!(recv(&socket), Err(Error::AlertReceived(_))));
}

#[test]
fn what_nobody_sealed_acknowledges_and_updates_nothing() {
    let (socket, mut wire) = socket_and_wire();
    socket.update_keys(false).unwrap();
    let (number, _) = wire.receive_message();
    let forge = |record: &mut Vec<u8>| *record.last_mut().unwrap() ^= 1;
    let mut forged = [
        wire.seal(ContentType::ACK, &ack(number)),
        wire.seal(ContentType::HANDSHAKE, &key_update(MESSAGE, 1)),
        wire.seal(ContentType::ALERT, &[2, 80]),
    ];
    forged.iter_mut().for_each(forge);
    for record in &forged {
        wire.socket.send(record).unwrap();
    }
    // Of epochs that there are no keys of, and in the clear.
    let mut other_epoch = forged[0].clone();
    other_epoch[0] ^= 3;
    wire.socket.send(&other_epoch).unwrap();
    let plain = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 80];
    wire.socket.send(&plain).unwrap();
    wire.data("data");
    assert_eq!(recv(&socket).unwrap(), "data");
    socket.send(b"same key").unwrap();
    assert_eq!(wire.receive_data(), (3, "same key".to_owned()));
    let counters = socket.counters();
    assert_eq!(counters.dropped(Discard::Forged), 3);
    assert_eq!(counters.dropped(Discard::Epoch), 2);
}

#[test]
fn sending_does_not_wait_for_a_program_on_what_is_received() {
    let (socket, mut wire) = socket_and_wire();
    let (sent, told) = std::sync::mpsc::channel();
    let (running, runs) = std::sync::mpsc::channel();
    let waits = move |_: &mut Message<'_>| {
        running.send(()).unwrap();
        match told.recv_timeout(PATIENCE / 2) {
            Ok(()) => Verdict::Pass,
            Err(_) => Verdict::Drop,
        }
    };
    socket.attach(Filter::ingress(waits)).unwrap();
    wire.data("judged");
    thread::scope(|scope| {
        let received = scope.spawn(|| recv(&socket));
        runs.recv_timeout(PATIENCE).unwrap();
        socket.send(b"meanwhile").unwrap();
        socket.update_keys(false).unwrap();
        sent.send(()).unwrap();
        assert_eq!(received.join().unwrap().unwrap(), "judged");
    });
    assert_eq!(wire.receive_data().1, "meanwhile");
}

#[test]
fn dtls_1_2_has_no_key_updates() {
    let (near, _far) = crate::blocking::pair();
    assert!(matches!(near.update_keys(false), Err(Error::NoKeyUpdates)));
}
