use underseal_dtls::Error;
use underseal_dtls::blocking::DtlsSocket;
use underseal_record::{AlertDescription, ContentType};

use crate::{recv, socket_and_wire};

/// Whether an error is the one that is expected.
type IsIt = fn(&Error) -> bool;

pub(crate) fn moved(socket: DtlsSocket) -> DtlsSocket {
    let (socket, parts) = socket.into_parts();
    DtlsSocket::from_parts(socket, parts).unwrap()
}

#[test]
fn closing_sends_one_close_notify_and_receiving_goes_on() {
    let (socket, mut wire) = socket_and_wire();
    socket.close();
    socket.close();
    assert_eq!(wire.receive(), (ContentType::ALERT, vec![1, 0]));
    assert!(matches!(socket.send(b"x"), Err(Error::Closed)));
    let data = wire.data("still there");
    wire.send(&data);
    assert_eq!(recv(&socket).unwrap(), "still there");
    assert_eq!(socket.counters().sealed, 1);
}

#[test]
fn what_this_side_has_closed_stays_closed_where_it_moves() {
    let (socket, mut wire) = socket_and_wire();
    socket.close();
    let socket = moved(socket);
    assert!(matches!(socket.send(b"x"), Err(Error::Closed)));
    let data = wire.data("still there");
    wire.send(&data);
    assert_eq!(recv(&socket).unwrap(), "still there");
}

#[test]
fn an_end_that_the_peer_has_made_moves_with_the_association() {
    let is_closed = |error: &Error| matches!(error, Error::ClosedByPeer);
    let is_alert = |error: &Error| matches!(error, Error::AlertReceived(why) if *why == AlertDescription::INTERNAL_ERROR);
    let ends: [([u8; 2], IsIt); 2] = [([1, 0], is_closed), ([2, 80], is_alert)];
    for (alert, is_it) in ends {
        let (socket, mut wire) = socket_and_wire();
        let alert = wire.seal(ContentType::ALERT, &alert);
        wire.send(&alert);
        assert!(is_it(&recv(&socket).unwrap_err()));
        let socket = moved(socket);
        let data = wire.data("too late");
        wire.send(&data);
        assert!(is_it(&recv(&socket).unwrap_err()));
        assert!(matches!(socket.send(b"x"), Err(Error::Closed)));
    }
}
