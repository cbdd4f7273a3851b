//! Associations that move to another socket object.

use std::thread;

use underseal_dtls::blocking::DtlsSocket;
use underseal_record::ContentType;

use super::{MESSAGE, ack, key_update, next_secret, pair, socket_and_wire};
use crate::recv;

#[test]
fn an_association_moves_to_another_socket_object_with_its_key_updates() {
    let (near, far) = pair();
    near.update_keys(false).unwrap();
    let (socket, parts) = near.into_parts();
    let near = DtlsSocket::from_parts(socket, parts).unwrap();
    near.send(b"before").unwrap();
    assert_eq!(recv(&far).unwrap(), "before");
    far.send(b"acknowledged").unwrap();
    assert_eq!(recv(&near).unwrap(), "acknowledged");
    near.send(b"after").unwrap();
    assert_eq!(recv(&far).unwrap(), "after");
    near.update_keys(false).unwrap();
    near.send(b"again").unwrap();
    assert_eq!(recv(&far).unwrap(), "again");
}

/// The same association, on another socket object.
fn moved(socket: DtlsSocket) -> DtlsSocket {
    let (socket, parts) = socket.into_parts();
    DtlsSocket::from_parts(socket, parts).unwrap()
}

#[test]
fn an_association_that_moves_opens_the_epoch_that_its_peer_has_not_left() {
    let (socket, mut wire) = socket_and_wire();
    wire.send(ContentType::HANDSHAKE, &key_update(MESSAGE, 0));
    wire.data("before");
    assert_eq!(recv(&socket).unwrap(), "before");
    let lost = wire.receive_ack();
    let socket = moved(socket);
    // The ACK was lost, so that the peer goes on as it was.
    wire.data("still");
    assert_eq!(recv(&socket).unwrap(), "still");
    let repeated = wire.send(ContentType::HANDSHAKE, &key_update(MESSAGE, 0));
    wire.data("again");
    assert_eq!(recv(&socket).unwrap(), "again");
    assert_ne!(lost, ack(repeated));
    assert_eq!(wire.receive_ack(), ack(repeated));
}

#[test]
fn an_association_that_moves_repeats_its_key_update_and_sends_what_waits_for_it() {
    let (socket, mut wire) = socket_and_wire();
    socket.update_keys(false).unwrap();
    wire.send(ContentType::HANDSHAKE, &key_update(MESSAGE, 1));
    wire.data("data");
    assert_eq!(recv(&socket).unwrap(), "data");
    let (_, lost) = wire.receive_message();
    wire.receive_ack();
    let socket = moved(socket);
    thread::scope(|scope| {
        let received = scope.spawn(|| recv(&socket));
        let (number, repeated) = wire.receive_message();
        assert_eq!(lost, repeated);
        wire.acknowledge(number);
        wire.data("acknowledged");
        assert_eq!(received.join().unwrap().unwrap(), "acknowledged");
    });
    wire.opener.advance(next_secret(0).keys()).unwrap();
    let (_, answer) = wire.receive_message();
    assert_eq!(answer, key_update(MESSAGE + 1, 0));
}
